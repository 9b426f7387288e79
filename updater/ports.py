"""What a publisher needs of its surroundings: a book that is kept (``LiveBook``), and who hears what it does
(``Observer``)."""

from typing import Protocol

from depthcast.book import Book
from depthcast.errors import BadFile, StoreError
from depthcast.store import PutResult
from updater.claims import ClaimEvent


class LiveBook(Protocol):
    """A book that somebody else keeps up to date; :class:`depthcast.keeper.LiveBook` is one."""

    @property
    def symbol(self) -> str: ...

    @property
    def book(self) -> Book | None:
        """``None`` until it was first synced; the last good one while it is built anew."""

    @property
    def live(self) -> bool:
        """Whether it is being kept up to date, rather than being built."""

    @property
    def epoch(self) -> int:
        """The epoch in which its ids count."""

    @property
    def changed_at(self) -> float:
        """When it last changed, on the monotonic clock, in seconds."""


class Observer(Protocol):
    """Hears what publishers do. Implemented by :class:`updater.metrics.Metrics`."""

    def wrote(self, symbol: str, limit: int, result: PutResult, seconds: float) -> None:
        """A conditional write ended."""

    def looked(self, symbol: str, limit: int) -> None:
        """A stored file, or its head, was read."""

    def look_failed(self, symbol: str, limit: int, error: StoreError) -> None:
        """A stored file, or its head, could not be read."""

    def damaged(self, symbol: str, limit: int, error: BadFile) -> None:
        """A stored object is no file of ours."""

    def newer_epoch(self, symbol: str, mine: int, stored: int) -> None:
        """A stored file is of a later epoch than the book."""

    def claim(self, symbol: str, epoch: int, event: ClaimEvent) -> None:
        """Something became of the claim of an epoch."""

    def took_over(self, symbol: str, rank: int, behind_s: float | None) -> None:
        """This replica begins to write a symbol whose file was older than its book for so long.

        ``None``: the file stays ahead of a live book, and the writer does nothing about it.
        """

    def yielded(self, symbol: str) -> None:
        """It stops, for another replica was seen to write."""
