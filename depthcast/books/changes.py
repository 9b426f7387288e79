"""``Changes``: what changed in one book, for a reader of any speed.

What a reader has not taken yet is kept merged: of each level only what stands there now. A slow reader thus
gets fewer and larger changes and never an older state; nothing queues. Where even that gets too large, and
where the book was built anew, the change holds no levels and tells why: the whole book is to be read then.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from depthcast.book import Book
from depthcast.events import Level

Number = TypeVar("Number", float, str)
"""Prices and quantities, as floats or as the exchange's exact strings."""

MAX_LEVELS: Final = 10_000
"""Changed levels kept for a reader at most, both sides together."""


class Change(NamedTuple, Generic[Number]):
    """What happened to a book since the change before: ``[price, quantity]`` of each level that changed.

    A quantity is the one that stands there now; zero: the level is gone. Levels beyond the book's certain
    depth are among them. The book is at ``update_id``; ``diffs`` of the exchange are merged in it.

    ``rebuilt``: the book was built anew or completed. ``skipped``: more levels changed than are kept for a
    reader. Either way ``bids`` and ``asks`` are empty: read the book itself.
    """

    symbol: str
    update_id: int
    event_time_ms: int
    bids: list[list[Number]]
    asks: list[list[Number]]
    diffs: int
    rebuilt: bool
    skipped: bool


class Changes(AsyncIterator[Change[Number]]):
    """The changes of one book, for one reader; ends when the book is kept no longer.

    The first one comes as soon as there is a book, and is ``rebuilt``. When a change is handed out, the book
    itself is at its ``update_id``, until the reader awaits something.
    """

    def __init__(
        self, symbol: str, number: type[Number], *, book: Book | None = None, max_levels: int = MAX_LEVELS
    ) -> None:
        self.symbol = symbol
        self._number: type[Number] = number
        self._max_levels = max_levels
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        self._diffs = 0
        self._rebuilt = self._skipped = self._ended = False
        self._update_id = self._event_time_ms = 0
        self._news = asyncio.Event()
        if book is not None:
            self.rebuilt(book)

    # What the book's keeper says

    def changed(
        self, update_id: int, event_time_ms: int, bids: Sequence[Level], asks: Sequence[Level]
    ) -> None:
        """A diff led the book there; these levels are now what stands at their prices."""
        self._diffs += 1
        if not self._rebuilt and not self._skipped:
            _merge(self._bids, bids)
            _merge(self._asks, asks)
            if len(self._bids) + len(self._asks) > self._max_levels:
                self._skipped = True
                self._clear()
        self._at(update_id, event_time_ms)

    def rebuilt(self, book: Book) -> None:
        """``book`` was built anew, or completed from a second snapshot."""
        self._rebuilt, self._skipped = True, False
        self._clear()
        self._at(book.update_id, book.event_time_ms)

    def end(self) -> None:
        """No further change comes."""
        self._ended = True
        self._news.set()

    # What the reader asks

    def __aiter__(self) -> "Changes[Number]":
        return self

    async def __anext__(self) -> Change[Number]:
        """The next change; waits for it."""
        await self._news.wait()
        if self._ended:
            raise StopAsyncIteration
        change = Change(
            self.symbol,
            self._update_id,
            self._event_time_ms,
            self._levels(self._bids),
            self._levels(self._asks),
            self._diffs,
            self._rebuilt,
            self._skipped,
        )
        self._clear()
        self._diffs = 0
        self._rebuilt = self._skipped = False
        self._news.clear()
        return change

    async def aclose(self) -> None:
        """Read no more."""
        self.end()

    # Within

    def _at(self, update_id: int, event_time_ms: int) -> None:
        self._update_id, self._event_time_ms = update_id, event_time_ms
        self._news.set()

    def _levels(self, levels: dict[str, str]) -> list[list[Number]]:
        number = self._number
        return [[number(price), number(quantity)] for price, quantity in levels.items()]

    def _clear(self) -> None:
        self._bids.clear()
        self._asks.clear()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        levels = len(self._bids) + len(self._asks)
        assert levels <= self._max_levels, "more levels than are kept for a reader"
        assert not levels or not (self._rebuilt or self._skipped), "levels that do not tell all that changed"
        assert self._news.is_set() or not (levels or self._diffs or self._rebuilt), "news that nobody is told"


def _merge(levels: dict[str, str], changed: Sequence[Level]) -> None:
    for price, quantity in changed:
        # Put at the end: where a price comes in two spellings, the one told last is to count.
        levels.pop(price, None)
        levels[price] = quantity
