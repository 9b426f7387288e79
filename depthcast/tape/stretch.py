"""A stretch of the tape as one run of diffs: a book to begin with, diffs, and a book again behind each hole.

Segments each begin with a keyframe, so that they are read alone. Read one after the other those between are
not needed: :func:`stretch` leaves them out where a segment goes on from the one before it. No more than two
segments are in memory at a time, however long the stretch is.
"""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, TypeVar

from depthcast.book import Book
from depthcast.tape.reading import Tape
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff


class Run(NamedTuple):
    """Diffs that follow on each other.

    With a ``keyframe`` they lead on from that, and nothing is known of what led to it; without one they go on
    from the run before.
    """

    epoch: int
    keyframe: Keyframe | None
    diffs: Sequence[RecordedDiff]


async def stretch(tape: Tape, symbol: str, from_ms: int, to_ms: int) -> AsyncIterator[Run]:
    """What is known from ``from_ms`` to before ``to_ms`` by the exchange's clock, oldest first.

    The first run's keyframe is the book at ``from_ms``, or the earliest one after it. Raises what
    :meth:`~depthcast.tape.reading.Tape.segments` does.
    """
    at: tuple[int, int] | None = None
    async for segment in tape.segments(symbol, from_ms, to_ms):
        for piece in segment.pieces:
            part = _within(piece, symbol, from_ms, to_ms)
            if part is None:
                continue
            if not part.diffs and any(hole.from_ms <= from_ms < hole.to_ms for hole in segment.holes):
                # It was known before a hole that goes on at the beginning.
                continue
            goes_on = at is not None and at[0] == part.epoch and part.first_id <= at[1]
            # Segments of different lengths may overlap.
            later = part.diffs if at is None or not goes_on else [d for d in part.diffs if d.last > at[1]]
            if goes_on and not later:
                continue
            yield Run(part.epoch, None if goes_on else part.keyframe, later)
            at = part.epoch, part.last_id


def _within(piece: Piece, symbol: str, from_ms: int, to_ms: int) -> Piece | None:
    """What of a piece is from ``from_ms`` on and before ``to_ms``; ``None`` where nothing is."""
    # Ids keep their order: a diff counts as of the greatest time so far, as when a moment is asked for.
    latest_ms = piece.keyframe.event_time_ms
    if latest_ms >= to_ms:
        return None
    before, during = 0, 0
    for diff in piece.diffs:
        latest_ms = max(latest_ms, diff.event_time_ms)
        before += latest_ms < from_ms
        during += from_ms <= latest_ms < to_ms
    frame = piece.keyframe
    if before:
        book, more = Book.of(_pairs(frame).snapshot()), _members(frame)
        for diff in piece.diffs[:before]:
            book.apply(_pairs(diff).diff(symbol))
            more |= _members(diff)
        last = piece.diffs[before - 1]
        bids, asks = (
            [(*level, *more[ask, level[0]]) for level in side] for ask, side in enumerate(book.strings())
        )
        complete = frame.bids_complete, frame.asks_complete
        frame = Keyframe(
            book.update_id,
            book.event_time_ms,
            last.local_time_us,
            bids,
            asks,
            *complete,
            book.transaction_time_ms,
            last.time,
            frame.names,
        )
    return Piece(piece.epoch, frame, piece.diffs[before : before + during])


_Event = TypeVar("_Event", Keyframe, RecordedDiff)


def _pairs(event: _Event) -> _Event:
    """The same with levels of a price and an amount alone."""
    bids, asks = ([level[:2] for level in side] for side in (event.bids, event.asks))
    return event._replace(bids=bids, asks=asks)


def _members(event: Keyframe | RecordedDiff) -> dict[tuple[int, str], Sequence[str]]:
    """What levels have behind their amounts, by side and price."""
    return {(ask, level[0]): level[2:] for ask, side in enumerate((event.bids, event.asks)) for level in side}
