"""What a venue tells us about a book, as plain values.

Levels are lists ``[price, quantity]`` of the exact strings that came over the wire. They are validated
where they enter a book (:mod:`depthcast.book`), so a frame can be read without touching each level twice.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

Level = Sequence[str]
"""``[price, quantity]``, the exact strings of the wire."""


class PlainLevels(list[Level]):
    """Levels that are known to be lists of two strings, each of digits and one dot.

    Whoever reads a frame proves it of all of them at once; a book then looks at none of them alone. How long
    they are, and whether there is a digit at all, is not known.
    """

    __slots__ = ()


CONSECUTIVE: Final = -1
"""In place of the id before a diff: the venue's ids have no holes, so it is the one below the first."""


class Diff(NamedTuple):
    """One depth update: quantities are absolute, zero removes the level.

    ``first`` and ``last`` are the update ids it spans (Binance ``U`` and ``u``); ``event_time_ms`` is the
    venue's own clock (Binance ``E``).

    ``previous`` is the id that the book has before it (Binance futures ``pu``), where the venue tells it
    because ids have holes; :data:`CONSECUTIVE`: they have none, so that it is ``first - 1``. A diff thus
    holds every change behind :attr:`after` up to ``last``, which is all that has to be known to join diffs
    and snapshots. ``transaction_time_ms`` is when the last change was made (``T``), 0 where the venue does
    not tell.

    >>> Diff("ETHUSDT", 157, 160, 1672515782136, [["0.0024", "10"]], []).after
    156
    >>> Diff("ETHUSDT", 157, 160, 1672515782136, [["0.0024", "10"]], [], 149).after
    149
    """

    symbol: str
    first: int
    last: int
    event_time_ms: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    previous: int = CONSECUTIVE
    transaction_time_ms: int = 0

    @property
    def after(self) -> int:
        """The id that a book has to be at, at least, for this diff to lead on from it."""
        return self.first - 1 if self.previous < 0 else self.previous

    @property
    def pieces(self) -> int:
        """How many single changes it holds."""
        return len(self.bids) + len(self.asks)

    @property
    def at_last(self) -> int:
        """How many of them are of the last of its times, where it is numbered by time: all."""
        return len(self.bids) + len(self.asks)


class Snapshot(NamedTuple):
    """A book at one update id, best level first on both sides.

    ``bids_complete``: no bid exists beyond the last one shown (the venue had fewer than it was asked for).
    Where it is false, levels beyond the last price shown are *unknown*, not absent. ``event_time_ms`` is the
    venue's clock of the last diff in it, 0 where that is not known: Binance's spot snapshots do not tell.
    ``transaction_time_ms`` is when the last change in it was made, 0 likewise. ``names`` are members of the
    venue's body between the update id and the times, a comma behind each, which stay as they are: COIN-M's
    name the contract and its pair.

    >>> shown = Snapshot(160, [["0.0024", "10"]], [], bids_complete=False, asks_complete=True)
    >>> shown.event_time_ms
    0
    """

    update_id: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    bids_complete: bool
    asks_complete: bool
    event_time_ms: int = 0
    transaction_time_ms: int = 0
    names: bytes = b""


class LevelSnapshot(NamedTuple):
    """A whole book in a stream, with which what follows begins. The book is a :class:`Snapshot`, or whatever
    else the venue's books are made of.

    >>> whole = LevelSnapshot("XBTUSD", Snapshot(160, [["2.5", "10"]], [], True, True))
    >>> whole.snapshot.update_id
    160
    """

    symbol: str
    snapshot: Any


class TopLevels(NamedTuple):
    """A second stream's view of the best levels of a book, by which the first one's is checked.

    ``bids`` and ``asks`` are ``(price, size)``, best first, ``depth`` of them or all there are; ``time_ms``
    is when the book stood so, by the venue's clock.

    >>> TopLevels("XBTUSD", 1684486303911, [(2.5, 10)], [], 10).bids[0]
    (2.5, 10)
    """

    symbol: str
    time_ms: int
    bids: list[tuple[float, int]]
    asks: list[tuple[float, int]]
    depth: int
