"""Small segments of the tape, as the recorder would have written them."""

from collections.abc import Sequence

from depthcast.tape.columns import Columns
from depthcast.tape.parquet import columns, encode
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment

Levels = Sequence[tuple[str, str]]

START_MS = 1_723_158_000_000
"""2024-08-08 23:00, the beginning of an hour."""

BIDS = (("2680.00", "1.5"), ("2679.00", "2.0"), ("2670.00", "3.0"))
ASKS = (("2680.01", "1.0"), ("2681.00", "2.5"), ("2690.00", "4.0"))


def piece_of(
    first_id: int,
    told: Sequence[tuple[int, Levels, Levels]],
    *,
    at_ms: int = 0,
    bids: Levels = BIDS,
    asks: Levels = ASKS,
    complete: bool = False,
) -> Piece:
    """A book of the id ``first_id`` at ``at_ms`` (0: nobody knows), and diffs of one id each."""
    frame = Keyframe(first_id, at_ms, 0, bids, asks, complete, complete)
    diffs = [
        RecordedDiff(first_id + number, first_id + number, time_ms, 0, bids, asks)
        for number, (time_ms, bids, asks) in enumerate(told, 1)
    ]
    return Piece(0, frame, diffs)


def segment_of(
    start_ms: int,
    *pieces: Piece,
    length_s: int = 60,
    from_start: bool = True,
    to_end: bool = True,
) -> Segment:
    """The segment of an interval; without a piece one of a book that stands still."""
    pieces = pieces or (piece_of(7, [], at_ms=start_ms - 1000),)
    return Segment.of("binance", "ETHUSDT", start_ms, length_s, pieces, from_start=from_start, to_end=to_end)


def read(segment: Segment) -> Columns:
    """The segment as it is read from the tape."""
    return columns(encode(segment))
