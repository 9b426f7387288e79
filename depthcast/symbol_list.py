"""The venue's list of symbols as a published file, and its parts.

The file is what the venue answered to ``GET /api/v3/exchangeInfo``, byte for byte, under
:data:`depthcast.files.EXCHANGE_INFO_KEY`::

    {"timezone":"UTC","serverTime":1723161253000,"rateLimits":[…],"exchangeFilters":[],"symbols":[{…},…],…}

``serverTime`` is the moment of the answer and different each time. Which of two lists is news is
:mod:`depthcast.metadata`'s to say.

Bytes are looked at, not parsed, except by :meth:`SymbolList.divide`. Pure: no I/O, no clock.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from depthcast.errors import BadFile
from depthcast.files import EXCHANGE_INFO_KEY

_SERVER_TIME: Final = re.compile(rb'"serverTime":([0-9]{1,17})')
_SEARCHED_BYTES: Final = 4096
_SYMBOLS: Final = re.compile(r'"symbols":\[(?=[{\]])')
_PERMISSION_SETS: Final = re.compile(rb'"permissionSets":\[(?:\[[^\[\]]*\],?)*\]')
_NO_PERMISSION_SETS: Final = b'"permissionSets":[]'
_FLAGS: Final = (("isSpotTradingAllowed", "SPOT"), ("isMarginTradingAllowed", "MARGIN"))
_DECODER: Final = json.JSONDecoder()


class Entry(NamedTuple):
    """One symbol. ``body`` is its object's own bytes; ``permissions`` are those of all its sets."""

    symbol: str
    status: str
    permissions: frozenset[str]
    body: bytes


@dataclass(frozen=True)
class SymbolList:
    """A list cut at the digits of its ``serverTime``: ``before`` + digits + ``after`` is the body."""

    before: bytes
    server_time_ms: int
    after: bytes

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Raises :class:`~depthcast.errors.BadFile` where ``body`` does not begin and end like a list.

        >>> SymbolList.of(b'{"timezone":"UTC","serverTime":17,"symbols":[]}').server_time_ms
        17
        """
        found = _SERVER_TIME.search(body, 0, _SEARCHED_BYTES)
        if found is None or not body.startswith(b"{") or not body.endswith(b"}"):
            raise BadFile(EXCHANGE_INFO_KEY, "it has no serverTime or no end")
        return cls(body[: found.start(1)], int(found[1]), body[found.end(1) :])

    def divide(self) -> "Divided":
        """Parse the symbols: O(bytes), about 20 ms for each 1,000 of Binance's.

        Raises :class:`~depthcast.errors.BadFile` where the body is not such a list, compactly written.

        >>> body = b'{"serverTime":17,"symbols":[{"symbol":"ETHUSDT","status":"HALT"}]}'
        >>> [(entry.symbol, entry.status) for entry in SymbolList.of(body).divide().entries]
        [('ETHUSDT', 'HALT')]
        """
        try:
            text = self.after.decode()
            found = _SYMBOLS.search(text)
            if found is None:
                raise ValueError("no symbols")
            entries, at = [], found.end()
            while text[at] != "]":
                parsed, end = _DECODER.raw_decode(text, at)
                entries.append(_entry(parsed, text[at:end].encode()))
                at = end + 1 if text[end] == "," else end
                if at == end and text[end] != "]":
                    raise ValueError("symbols without a comma between them")
            between, behind = self.after[: len(text[: found.end()].encode())], text[at:].encode()
            json.loads(b"".join((self.before, b"0", between, behind)))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            raise BadFile(EXCHANGE_INFO_KEY, f"its symbols cannot be read: {error!r:.80}") from None
        return Divided(between, tuple(entries), behind)


class Divided(NamedTuple):
    """A list's symbols, and its bytes ``between`` the digits of ``serverTime`` and the first symbol, and
    ``behind`` the last one."""

    between: bytes
    entries: tuple[Entry, ...]
    behind: bytes


def without_permission_sets(body: bytes) -> bytes:
    """Entries as Binance writes them for ``showPermissionSets=false``.

    >>> without_permission_sets(b'{"permissions":[],"permissionSets":[["SPOT","MARGIN"],["A"]]}')
    b'{"permissions":[],"permissionSets":[]}'
    """
    return _PERMISSION_SETS.sub(_NO_PERMISSION_SETS, body)


def _entry(parsed: Mapping[str, Any], body: bytes) -> Entry:
    symbol, status = parsed["symbol"], parsed["status"]
    if not isinstance(symbol, str) or not isinstance(status, str):
        raise TypeError("a symbol or its status is no string")
    permissions = {name for names in parsed.get("permissionSets", ()) for name in names}
    permissions.update(parsed.get("permissions", ()))
    if not permissions:
        # The list may have been asked for without them; the two most common ones are told twice.
        permissions = {name for flag, name in _FLAGS if parsed.get(flag)}
    return Entry(symbol, status, frozenset(permissions), body)
