"""``LiveBook``: one symbol's book as it is kept, and what its keeper notes of it."""

import asyncio
from dataclasses import dataclass, field

from depthcast.backoff import Backoff
from depthcast.book import Audit, Book
from depthcast.errors import BadLevel
from depthcast.keeper.sources import Source
from depthcast.sync import State, Sync
from depthcast.unsequenced import StreamSync


@dataclass(slots=True, eq=False)
class LiveBook:
    """One symbol's book as it is kept. Times are the keeper's clock, in seconds."""

    symbol: str
    sync: Sync
    epoch: int = 0
    """The epoch in which the book's ids count."""
    source: Source | None = None
    """Where the present book's snapshot came from."""
    synced_at: float = 0.0
    changed_at: float = 0.0
    """When the last diff was applied, or the book built."""
    resyncs: int = 0
    last_audit: Audit | None = None

    # For the keeper alone

    backoff: Backoff = field(default_factory=Backoff)
    fault: str | None = None
    """Why the book, which was found to be wrong, is not to be shown; ``None`` where it was not."""
    unsettled_since: float = 0.0
    """When the first of the diffs came that wait to be written."""
    depth: int | None = None
    """The certain levels of its shallower side when that was counted last."""
    suspect_at: float | None = None
    """Since when a diff may be missing unnoticed."""
    awaited_id: int | None = None
    """The id of a second snapshot, or told by the stream, that the book has yet to reach, seen first at
    ``awaited_since``."""
    awaited_since: float = 0.0
    told_id: int | None = None
    """An id up to which the venue's stream told, where the book had yet to reach it."""
    disagreement: int | None = None
    """The disagreement with a second stream that there is, seen first at ``disagreed_since``."""
    disagreed_since: float = 0.0
    views: int = 0
    """How many views of a second stream there were at ``unseen_since``, from when on another one is due."""
    unseen_since: float | None = None
    unseen: int = 0
    """How often the book was built anew for want of views, since they came."""
    views_then: int = 0
    """How many views there had been when it was last."""
    quiet_audits: int = 0
    """How often it was audited because nothing came, since something did."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a diff came since the book began to be built."""
    audited_at: float = 0.0
    refill_from: float = 0.0
    """No refill begins before."""
    file_levels: int | None = None
    """Levels a side of the published file, as far as known."""

    @property
    def book(self) -> Book | None:
        """The book, or the last good one while it is built anew; ``None`` where there is no good one."""
        return None if self.fault is not None else self.sync.book

    @property
    def live(self) -> bool:
        """Whether the book is being kept up to date, rather than being built."""
        return self.sync.state is State.LIVE

    @property
    def stream(self) -> StreamSync | None:
        """Its :attr:`sync` where the stream itself begins the book; ``None``: a snapshot does."""
        sync = self.sync
        return sync if isinstance(sync, StreamSync) else None

    def readable(self) -> Book | None:
        """:attr:`book` with all that was deferred in it; ``None`` also where that shows that it is wrong.

        For whoever holds the guard of :attr:`sync`. The keeper builds a book anew that was found wrong.
        """
        book = self.book
        if book is not None and book.unsettled:
            try:
                book.settle()
                fault = book.fault
            except BadLevel:
                fault = "bad"
            if fault is not None:
                self.fault = fault
                return None
        return book
