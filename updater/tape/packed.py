"""Diffs and books as they wait in memory to be written: few bytes, counted exactly, cheap to make."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from depthcast.book import Book
from depthcast.events import CONSECUTIVE, Diff, Snapshot
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment

OVERHEAD: Final = 300
"""What a diff or a book takes beside its levels, in bytes."""


class PackedDiff(NamedTuple):
    """A diff; ``levels`` are its bids and asks as JSON."""

    first: int
    last: int
    event_time_ms: int
    local_time_us: int
    levels: bytes
    previous: int = CONSECUTIVE
    transaction_time_ms: int = 0

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self.levels) + OVERHEAD

    def unpack(self) -> RecordedDiff:
        bids, asks = orjson.loads(self.levels)
        return RecordedDiff(
            self.first,
            self.last,
            self.event_time_ms,
            self.local_time_us,
            bids,
            asks,
            self.previous,
            self.transaction_time_ms,
        )


class PackedBook(NamedTuple):
    """A book; ``body`` is JSON with its ``bids`` and ``asks``."""

    update_id: int
    event_time_ms: int
    local_time_us: int
    body: bytes
    bids_complete: bool
    asks_complete: bool
    transaction_time_ms: int = 0

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self.body) + OVERHEAD

    def unpack(self) -> Keyframe:
        told: dict[str, Any] = orjson.loads(self.body)
        return Keyframe(
            self.update_id,
            self.event_time_ms,
            self.local_time_us,
            told["bids"],
            told["asks"],
            self.bids_complete,
            self.asks_complete,
            self.transaction_time_ms,
        )


def pack_diff(diff: Diff, local_time_us: int) -> PackedDiff:
    """A diff of the stream. O(levels)."""
    return PackedDiff(
        diff.first,
        diff.last,
        diff.event_time_ms,
        local_time_us,
        orjson.dumps((diff.bids, diff.asks)),
        diff.previous,
        diff.transaction_time_ms,
    )


def pack_book(book: Book, local_time_us: int) -> PackedBook:
    """All that a book is certain of. O(levels), and little where its files were rendered a moment ago."""
    certain = book.certainty
    return PackedBook(
        book.update_id,
        book.event_time_ms,
        local_time_us,
        book.body(max(certain.bids, certain.asks, 1)),
        certain.bids_complete,
        certain.asks_complete,
        book.transaction_time_ms,
    )


def book_after(snapshot: Snapshot, diffs: Sequence[Diff]) -> Book:
    """The book that diffs make of a snapshot: those that are not in it already, which follow on each other.

    Raises :class:`~depthcast.errors.BadLevel`. O(levels).
    """
    book = Book.of(snapshot)
    for diff in diffs:
        if diff.last > book.update_id:
            book.apply(diff)
    return book


@dataclass(slots=True)
class PackedPiece:
    """A piece as it grows."""

    epoch: int
    frame: PackedBook
    diffs: list[PackedDiff] = field(default_factory=list)

    @property
    def last_id(self) -> int:
        """The update id that it reaches to."""
        return self.diffs[-1].last if self.diffs else self.frame.update_id

    @property
    def size(self) -> int:
        """Bytes of memory. O(diffs)."""
        return self.frame.size + sum(diff.size for diff in self.diffs)


class Take(NamedTuple):
    """What was recorded of one interval, ready to be written."""

    symbol: str
    start_ms: int
    length_s: int
    pieces: tuple[PackedPiece, ...]
    from_start: bool
    to_end: bool
    size: int

    @property
    def diffs(self) -> int:
        """How many it has."""
        return sum(len(piece.diffs) for piece in self.pieces)

    def segment(self, venue: str) -> Segment:
        """As what is written. O(levels)."""
        pieces = [
            Piece(piece.epoch, piece.frame.unpack(), tuple(diff.unpack() for diff in piece.diffs))
            for piece in self.pieces
        ]
        return Segment.of(
            venue,
            self.symbol,
            self.start_ms,
            self.length_s,
            pieces,
            from_start=self.from_start,
            to_end=self.to_end,
        )
