"""``LiveBook``: one symbol's book as it is kept, and what its keeper notes of it."""

import asyncio
from dataclasses import dataclass, field

from depthcast.backoff import Backoff
from depthcast.book import Audit, Book
from depthcast.keeper.sources import Source
from depthcast.sync import State, Sync


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
    spoiled: bool = False
    """Whether the book was found to be wrong, and is not to be shown."""
    suspect_at: float | None = None
    """Since when a diff may be missing unnoticed."""
    awaited_id: int | None = None
    """The id of a second snapshot that the book has yet to reach, seen first at ``awaited_since``."""
    awaited_since: float = 0.0
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
        return None if self.spoiled else self.sync.book

    @property
    def live(self) -> bool:
        """Whether the book is being kept up to date, rather than being built."""
        return self.sync.state is State.LIVE
