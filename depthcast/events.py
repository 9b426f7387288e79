"""What a venue tells us about a book, as plain values.

Levels are lists ``[price, quantity]`` of the exact strings that came over the wire. They are validated
where they enter a book (:mod:`depthcast.book`), so a frame can be read without touching each level twice.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, overload

import orjson

Level = Sequence[str]
"""``[price, quantity]``, the exact strings of the wire."""


_PLAIN: Final = b"0123456789."
_BETWEEN: Final = b"],["
_SHAPE: Final = b'"",""],['
"""What is left of a level of the wire, and of what follows it, without :data:`_PLAIN`."""


class WireLevels(Sequence[Level]):
    """One side of a diff as it came: ``"price","quantity"`` a level, joined by ``],[``.

    A book reads the bytes themselves; they are taken apart only for whoever looks at single levels. What is
    not JSON raises :class:`ValueError` then.
    """

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text: bytes = text

    def levels(self) -> list[Level]:
        """All of them, as lists."""
        taken: list[Level] = orjson.loads(b"[[%b]]" % self.text) if self.text else []
        return taken

    def __len__(self) -> int:
        return len(self.levels())

    def __iter__(self) -> Iterator[Level]:
        return iter(self.levels())

    @overload
    def __getitem__(self, index: int) -> Level: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Level]: ...
    def __getitem__(self, index: int | slice) -> Level | Sequence[Level]:
        return self.levels()[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, WireLevels):
            return self.levels() == other.levels()
        return isinstance(other, list) and self.levels() == other

    def __hash__(self) -> int:
        raise TypeError("levels that are compared with lists cannot be hashed, as these cannot")

    def __repr__(self) -> str:
        return f"WireLevels({self.text!r:.200})"


class Diff(NamedTuple):
    """One depth update: quantities are absolute, zero removes the level.

    ``first`` and ``last`` are the update ids it spans (Binance ``U`` and ``u``); ``event_time_ms`` is the
    venue's own clock (Binance ``E``).
    """

    symbol: str
    first: int
    last: int
    event_time_ms: int
    bids: Sequence[Level]
    asks: Sequence[Level]


def merge(diffs: Sequence[Diff]) -> Diff:
    """One diff that leads where ``diffs``, which follow on each other, lead one after the other.

    Raises :class:`ValueError` where that cannot be told without knowing prices as numbers: one of them comes
    in two spellings. What is not a level stays what it is, or raises ValueError.
    """
    newest = diffs[-1]
    return Diff(
        newest.symbol,
        diffs[0].first,
        newest.last,
        newest.event_time_ms,
        _merge([diff.bids for diff in diffs]),
        _merge([diff.asks for diff in diffs]),
    )


def _merge(sides: Sequence[Sequence[Level]]) -> list[Level]:
    try:
        if all(type(side) is WireLevels for side in sides):
            told = _strings([side.text for side in sides if side.text])  # type: ignore[attr-defined]
        else:
            told = [text for side in sides for price, quantity in side for text in (price, quantity)]
        each = iter(told)
        standing = dict(zip(each, each, strict=True))
        prices = orjson.loads(f"[{','.join(standing)}]")
    except TypeError as error:
        raise ValueError(f"not levels: {error}") from None
    if len(set(prices)) != len(standing):
        raise ValueError("a price in two spellings")
    return list(standing.items())


def _strings(texts: Sequence[bytes]) -> list[str]:
    """Price, quantity, price, quantity, … of levels of the wire; ValueError for what is not plain numbers."""
    joined = _BETWEEN.join(texts)
    shape = joined.translate(None, _PLAIN) + _BETWEEN if joined else b""
    if shape != _SHAPE * (len(shape) // len(_SHAPE)):
        raise ValueError("not levels of two plain numbers each")
    # A digit outside of the quotes would now be no JSON.
    strings: list[str] = orjson.loads(b"[%b]" % joined.translate(None, b"[]"))
    return strings


class Snapshot(NamedTuple):
    """A book at one update id, best level first on both sides.

    ``bids_complete``: no bid exists beyond the last one shown (the venue had fewer than it was asked for).
    Where it is false, levels beyond the last price shown are *unknown*, not absent. ``event_time_ms`` is the
    venue's clock of the last diff in it, 0 where that is not known: the venue's own snapshots do not tell.
    """

    update_id: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    bids_complete: bool
    asks_complete: bool
    event_time_ms: int = 0
