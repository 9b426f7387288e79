"""``Sources``: the snapshots books are built and completed from: published files, the venue's REST."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from depthcast.book import Book
from depthcast.orders.messages import AnySnapshot

Source = Literal["file", "rest", "stream"]

NO_FILE: Final = 2**63
"""Wanted id of a file that cannot exist: asks for the stored version only."""


class SnapshotSource(Protocol):
    """What a keeper needs of a REST interface (:class:`depthcast.rest.Rest`)."""

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> AnySnapshot: ...


@dataclass(frozen=True, slots=True)
class WarmStart:
    """What the store holds of a symbol: the version of its largest file, and the file as a snapshot.

    ``snapshot`` is ``None`` where the file is older than what was asked for.
    """

    epoch: int
    update_id: int
    snapshot: AnySnapshot | None


Warm = Callable[[str, int], Awaitable[WarmStart | None]]
"""``(symbol, wanted_id)`` -> the stored file, with its content if its id is at least ``wanted_id``; ``None``
where there is no file. Raises :class:`~depthcast.errors.StoreError`."""


class Sources:
    """Where snapshots come from. ``rest``: the venue; ``warm``: the published files, where there are any.

    ``may_ask`` tells whether this replica may ask the venue for a symbol's book now, or leaves it to another
    one; ``leads`` whether the symbol's files are this replica's to write. ``limit``: levels a side asked of
    the venue.
    """

    def __init__(
        self,
        rest: SnapshotSource,
        warm: Warm | None,
        *,
        may_ask: Callable[[str], bool],
        leads: Callable[[str], bool],
        limit: int,
        file_reads_at_once: int,
    ) -> None:
        self.rest = rest
        self.may_ask = may_ask
        self.leads = leads
        self._warm = warm
        self._limit = limit
        self.turns: asyncio.Semaphore = asyncio.Semaphore(file_reads_at_once)
        """To be held while :meth:`file` is awaited."""

    @property
    def has_files(self) -> bool:
        """Whether there are published files to look at."""
        return self._warm is not None

    async def file(self, symbol: str, wanted_id: int) -> WarmStart | None:
        """What is stored; see :data:`Warm`."""
        return None if self._warm is None else await self._warm(symbol, wanted_id)

    async def venue(self, symbol: str, *, background: bool = False) -> AnySnapshot:
        """The venue's snapshot. Raises :class:`~depthcast.errors.VenueError`."""
        return await self.rest.snapshot(symbol, self._limit, background)

    # How deep

    def depth(self, book: Book) -> int:
        """The certain levels of a book's shallower side; a complete side is as deep as any snapshot."""
        bids, asks, bids_complete, asks_complete = book.certainty
        return min(self._limit if bids_complete else bids, self._limit if asks_complete else asks)

    def levels(self, file: AnySnapshot) -> int:
        """The same of a file."""
        return min(
            self._limit if file.bids_complete else len(file.bids),
            self._limit if file.asks_complete else len(file.asks),
        )
