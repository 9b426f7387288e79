"""The captured minutes of USD-M futures as segments, read by the simulator's own reader."""

from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Final

from depthcast.book import Book
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment
from simulator.capture import Player, Run, load
from simulator.capture import RecordedDiff as Played
from simulator.exchange import Exchange

DATA: Final = Path(__file__).parents[4] / "shared/data/binance_usdm"
FILES: Final = ("cf_20210417_ws.txt.gz", "cf_20210417_rest_depth.txt.gz")
VENUE: Final = "binanceusdm"
LENGTH_S: Final = 10


@cache
def run() -> Run:
    """What was captured: four symbols, thirty seconds."""
    [found] = load([DATA / name for name in FILES])
    return found


def diffs_of(symbol: str) -> list[RecordedDiff]:
    """A symbol's diffs that its first snapshot does not have."""
    snapshot = run().snapshots[symbol]
    return [
        RecordedDiff(
            each.first,
            each.last,
            each.time_ms,
            int(each.at_s * 1e6),
            tuple((price, amount) for price, amount in each.bids),
            tuple((price, amount) for price, amount in each.asks),
            -1 if each.previous is None else each.previous,
            each.transaction_ms,
        )
        for each in run().flow
        if isinstance(each, Played) and each.symbol == symbol and each.last > snapshot.update_id
    ]


def segments_of(symbol: str, *, complete: bool = False) -> list[Segment]:
    """The same, ten seconds a segment, each with the book of its beginning."""
    snapshot = run().snapshots[symbol]
    assert snapshot.times is not None
    frame = Keyframe(
        snapshot.update_id,
        snapshot.times.event_ms,
        0,
        snapshot.bids,
        snapshot.asks,
        complete,
        complete,
        snapshot.times.transaction_ms,
    )
    book = Book.of(frame.snapshot())
    diffs, found = diffs_of(symbol), list[Segment]()
    for start_ms, each in groupby(diffs, key=lambda diff: diff.event_time_ms // 10_000 * 10_000):
        of_segment = tuple(each)
        if found:
            times = (book.event_time_ms, 0)
            frame = Keyframe(
                book.update_id, *times, *book.strings(), complete, complete, book.transaction_time_ms
            )
        for diff in of_segment:
            book.apply(diff.diff(symbol))
        found.append(
            Segment.of(
                VENUE,
                symbol,
                start_ms,
                LENGTH_S,
                [Piece(0, frame, of_segment)],
                from_start=bool(found),
                to_end=of_segment[-1] is not diffs[-1],
            )
        )
    return found


def played() -> Exchange:
    """The simulator's exchange after all of it, which knows each book."""
    exchange = Exchange(wall_ms=lambda: 1_618_677_448_000, futures=True)
    player = Player(run(), exchange)
    while not player.done:
        player.play_next()
    return exchange
