"""Diffs and books as they wait in memory to be written: few bytes, counted exactly, cheap to make."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from depthcast.events import CONSECUTIVE
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment
from depthcast.venues.taping import Taping

PLAIN: Final = Taping()

OVERHEAD: Final = 300
"""What a diff or a book takes beside its levels, in bytes."""


class PackedDiff(NamedTuple):
    """A diff; ``levels`` are its bids and asks as JSON, empty where there are none."""

    first: int
    last: int
    event_time_ms: int
    local_time_us: int
    levels: bytes
    previous: int = CONSECUTIVE
    transaction_time_ms: int = 0
    time: str = ""

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self.levels) + OVERHEAD

    def unpack(self) -> RecordedDiff:
        bids, asks = orjson.loads(self.levels) if self.levels else ((), ())
        return RecordedDiff(
            self.first,
            self.last,
            self.event_time_ms,
            self.local_time_us,
            bids,
            asks,
            self.previous,
            self.transaction_time_ms,
            self.time,
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
    time: str = ""
    names: str = ""

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
            _texts(told["bids"]),
            _texts(told["asks"]),
            self.bids_complete,
            self.asks_complete,
            self.transaction_time_ms,
            self.time,
            self.names,
        )


def _texts(levels: list[list[Any]]) -> list[list[Any]]:
    """Levels whose members are all text."""
    if not levels or len(levels[0]) == 2:
        return levels
    return [[*map(str, level)] for level in levels]


def pack_diff(
    diff: Any, local_time_us: int, taping: Taping = PLAIN, book: Any = None, upon_id: int = 0
) -> PackedDiff:
    """A diff of the stream, or a message that is one; ``book`` has it, where the taping asks a book which
    levels it changed, and was at ``upon_id`` before. O(levels)."""
    bids, asks = taping.changes(book, diff)
    levels = orjson.dumps((bids, asks)) if bids or asks else b""
    if taping.numbered_by_book:
        return PackedDiff(upon_id + 1, book.update_id, book.event_time_ms, local_time_us, levels, upon_id)
    return PackedDiff(
        diff.first,
        diff.last,
        diff.event_time_ms,
        local_time_us,
        levels,
        diff.previous if taping.by_price else CONSECUTIVE,
        diff.transaction_time_ms if taping.transaction_times else 0,
        diff.time if taping.spelled_times else "",
    )


def pack_book(book: Any, local_time_us: int, taping: Taping = PLAIN) -> PackedBook:
    """All that a book is certain of. O(levels), and little where its files were rendered a moment ago."""
    certain = book.certainty
    return PackedBook(
        book.update_id,
        book.event_time_ms,
        local_time_us,
        taping.frame(book),
        certain.bids_complete,
        certain.asks_complete,
        book.transaction_time_ms,
        book.time if taping.spelled_times else "",
        book.names.decode() if taping.named else "",
    )


def book_after(snapshot: Any, diffs: Sequence[Any], taping: Taping = PLAIN) -> Any:
    """The book that diffs make of a snapshot: those that are not in it already, which follow on each other.

    Raises :class:`~depthcast.errors.BookError`. O(levels).
    """
    book = taping.book_of(snapshot)
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
