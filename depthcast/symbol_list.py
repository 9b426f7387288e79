"""The venue's list of symbols as a published file, and its parts.

The file is what the venue answered to the request for its list, as :class:`Layout` says for each venue; of
Binance, under :data:`depthcast.files.EXCHANGE_INFO_KEY`::

    {"timezone":"UTC","serverTime":1723161253000,"rateLimits":[…],"exchangeFilters":[],"symbols":[{…},{…}],…}

``serverTime`` is the moment of the answer and different each time. Which of two lists is news is
:mod:`depthcast.metadata`'s to say.

Bytes are looked at, not parsed, except by :meth:`SymbolList.divide` and :meth:`Layout.kept`. Pure: no I/O, no
clock.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from depthcast.errors import BadFile
from depthcast.files import EXCHANGE_INFO_KEY
from depthcast.metadata.document import read_json, write_json

_SERVER_TIME: Final = re.compile(rb'"serverTime":([0-9]{1,17})')
_SEARCHED_BYTES: Final = 4096
_SYMBOLS: Final = re.compile(r'"symbols":\[(?=[{\]])')
_BARE: Final = re.compile(r"\[(?=[{\]])")
_PERMISSION_SETS: Final = re.compile(rb'"permissionSets":\[(?:\[[^\[\]]*\],?)*\]')
_NO_PERMISSION_SETS: Final = b'"permissionSets":[]'
_FLAGS: Final = (("isSpotTradingAllowed", "SPOT"), ("isMarginTradingAllowed", "MARGIN"))
_DECODER: Final = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Layout:
    """How a venue writes its list of symbols.

    ``bare``: the answer is the list itself; otherwise it is the member ``symbols`` of an object. ``name`` and
    ``status`` are the members of an entry that name the symbol and say what it does. ``timed``: the answer
    tells ``serverTime``. ``volatile``: members of an entry that move with the market and are no rule; they
    are left out of what is kept. ``alone``: asked for one symbol the venue answers its entry, not a list of
    it; ``absent`` is then what stands in the file of a symbol that is listed no more.
    """

    bare: bool = False
    name: str = "symbol"
    status: str = "status"
    timed: bool = True
    volatile: frozenset[str] = frozenset()
    alone: bool = False
    absent: bytes = b""

    def kept(self, body: bytes) -> bytes:
        """The list as it is kept: without what is ``volatile``, and a bare one compactly written.

        Nothing is lost of what stays: numbers keep their digits, members their order. What is no JSON stays
        as it is, for others to refuse. O(bytes) where there is something to be done.

        >>> Layout(bare=True, volatile=frozenset({"vwap"})).kept(b'[{"symbol":"A","vwap":1.50}, {"n":1.0}]')
        b'[{"symbol":"A"},{"n":1.0}]'
        """
        if not self.bare and not self.volatile:
            return body
        try:
            told = read_json(body)
        except ValueError:
            return body
        for each in self.entries(told):
            if isinstance(each, dict):
                for name in self.volatile & each.keys():
                    del each[name]
        return write_json(told)

    def entries(self, told: Any) -> list[Any]:
        """The entries of a list that was read from JSON; none where it is no such list."""
        found = told if self.bare else told.get("symbols") if isinstance(told, dict) else None
        return found if isinstance(found, list) else []


LAYOUT: Final = Layout()
"""Binance's."""


class Entry(NamedTuple):
    """One symbol. ``body`` is its object's own bytes; ``permissions`` are those of all its sets."""

    symbol: str
    status: str
    permissions: frozenset[str]
    body: bytes


@dataclass(frozen=True)
class SymbolList:
    """A list cut at the digits of its ``serverTime``: ``before`` + digits + ``after`` is the body. Of one
    that tells none all of it is ``after``."""

    before: bytes
    server_time_ms: int | None
    after: bytes
    layout: Layout = LAYOUT

    @classmethod
    def of(cls, body: bytes, layout: Layout = LAYOUT) -> Self:
        """Raises :class:`~depthcast.errors.BadFile` where ``body`` does not begin and end like a list.

        >>> SymbolList.of(b'{"timezone":"UTC","serverTime":17,"symbols":[]}').server_time_ms
        17
        """
        opening, closing = (b"[", b"]") if layout.bare else (b"{", b"}")
        if not body.startswith(opening) or not body.endswith(closing) or len(body) < 2:
            raise BadFile(EXCHANGE_INFO_KEY, "it has no beginning or no end")
        if not layout.timed:
            return cls(b"", None, body, layout)
        found = _SERVER_TIME.search(body, 0, _SEARCHED_BYTES)
        if found is None:
            raise BadFile(EXCHANGE_INFO_KEY, "it has no serverTime")
        return cls(body[: found.start(1)], int(found[1]), body[found.end(1) :], layout)

    def beginning(self, *, in_us: bool = False) -> bytes:
        """What stands before ``after``, the digits of the time at its end; ``in_us``: in microseconds.

        >>> SymbolList.of(b'{"serverTime":17,"symbols":[]}').beginning(in_us=True)
        b'{"serverTime":17000'
        """
        if self.server_time_ms is None:
            return self.before
        return b"%s%d%s" % (self.before, self.server_time_ms, b"000" * in_us)

    def divide(self) -> "Divided":
        """Parse the symbols: O(bytes), about 20 ms for each 1,000 of Binance's.

        Raises :class:`~depthcast.errors.BadFile` where the body is not such a list, compactly written.

        >>> body = b'{"serverTime":17,"symbols":[{"symbol":"ETHUSDT","status":"HALT"}]}'
        >>> [(entry.symbol, entry.status) for entry in SymbolList.of(body).divide().entries]
        [('ETHUSDT', 'HALT')]
        """
        layout = self.layout
        try:
            text = self.after.decode()
            found = _BARE.match(text) if layout.bare else _SYMBOLS.search(text)
            if found is None:
                raise ValueError("no symbols")
            entries, at = [], found.end()
            while text[at] != "]":
                parsed, end = _DECODER.raw_decode(text, at)
                entries.append(_entry(parsed, text[at:end].encode(), layout))
                at = end + 1 if text[end] == "," else end
                if at == end and text[end] != "]":
                    raise ValueError("symbols without a comma between them")
            between, behind = self.after[: len(text[: found.end()].encode())], text[at:].encode()
            digits = b"" if self.server_time_ms is None else b"0"
            json.loads(b"".join((self.before, digits, between, behind)))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            raise BadFile(EXCHANGE_INFO_KEY, f"its symbols cannot be read: {error!r:.80}") from None
        return Divided(between, tuple(entries), behind)


class Divided(NamedTuple):
    """A list's symbols, and its bytes ``between`` the digits of ``serverTime`` and the first symbol, and
    ``behind`` the last one."""

    between: bytes
    entries: tuple[Entry, ...]
    behind: bytes


class Parts(NamedTuple):
    """A list taken apart, as answers are made of it. ``whole`` is all that stands behind the digits of
    ``serverTime``; ``between`` is before the first entry, ``behind`` after the last one."""

    whole: bytes
    between: bytes
    entries: Mapping[str, Entry]
    behind: bytes

    def only(self, entries: Iterable[Entry]) -> bytes:
        """The list of these entries alone.

        >>> entry = Entry("A", "TRADING", frozenset(), b'{"symbol":"A"}')
        >>> Parts(b"", b"[", {}, b"]").only([entry])
        b'[{"symbol":"A"}]'
        """
        return b"".join((self.between, b",".join(entry.body for entry in entries), self.behind))


def without_permission_sets(body: bytes) -> bytes:
    """Entries as Binance writes them for ``showPermissionSets=false``.

    >>> without_permission_sets(b'{"permissions":[],"permissionSets":[["SPOT","MARGIN"],["A"]]}')
    b'{"permissions":[],"permissionSets":[]}'
    """
    return _PERMISSION_SETS.sub(_NO_PERMISSION_SETS, body)


def _entry(parsed: Mapping[str, Any], body: bytes, layout: Layout) -> Entry:
    symbol, status = parsed[layout.name], parsed[layout.status]
    if not isinstance(symbol, str) or not isinstance(status, str):
        raise TypeError("a symbol or its status is no string")
    permissions = {name for names in parsed.get("permissionSets", ()) for name in names}
    permissions.update(parsed.get("permissions", ()))
    if not permissions:
        # The list may have been asked for without them; the two most common ones are told twice.
        permissions = {name for flag, name in _FLAGS if parsed.get(flag)}
    return Entry(symbol, status, frozenset(permissions), body)
