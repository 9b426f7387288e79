"""``python -m bench.heat``: what the heatmap costs: CPU and bytes for each minute of a symbol.

Diffs, captured and synthetic, are cut into the tape's segments of a minute. Of each the steps are timed that
its writer takes: reading the columns, painting the tile, making its file, and taking it into its hour's. As a
measure beside it stands what keeping the same book takes (:class:`depthcast.book.Book`, applying alone). The
last line is one line of JSON.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from rich.console import Console
from rich.table import Table

from bench import flow
from depthcast.book import Book
from depthcast.heat.gathering import gather
from depthcast.heat.painting import paint
from depthcast.heat.spans import spans_of
from depthcast.heat.tile import Tile
from depthcast.heat.zooms import HOUR
from depthcast.tape.columns import Columns
from depthcast.tape.keys import start_of
from depthcast.tape.parquet import columns, encode
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment

STEPS: Final = ("read", "paint", "encode", "gather", "encode_hour")

T = TypeVar("T")


class Minute(NamedTuple):
    """One minute: milliseconds of CPU of each step, bytes of its tile, and what it was made of."""

    took_ms: dict[str, float]
    tile_bytes: int
    levels: int
    rows: int


class Figures(NamedTuple):
    """Means over whole minutes; ``hour_bytes`` is the fullest hour's tile, reckoned for 60 minutes."""

    name: str
    minutes: int
    levels: float
    rows: float
    took_ms: dict[str, float]
    tile_bytes: float
    hour_bytes: float
    share_of_book: float


def segments(source: flow.Flow) -> Iterator[tuple[Segment, float]]:
    """The segments of a flow, and the CPU seconds that applying each one's diffs to the book took."""
    book = Book.of(source.snapshot)
    start_ms = frame = None
    held: list[RecordedDiff] = []
    took_s = 0.0
    for diff in source.diffs:
        if start_ms != start_of(diff.event_time_ms):
            if frame is not None and start_ms is not None:
                yield segment(start_ms, frame, held), took_s
            start_ms, frame, held, took_s = start_of(diff.event_time_ms), keyframe(book), [], 0.0
        held.append(RecordedDiff(diff.first, diff.last, diff.event_time_ms, 0, diff.bids, diff.asks))
        began = time.process_time()
        book.apply(diff)
        took_s += time.process_time() - began


def keyframe(book: Book) -> Keyframe:
    """What a book is certain of."""
    certain = book.certainty
    body = json.loads(book.body(max(certain.bids, certain.asks, 1)))
    complete = certain.bids_complete, certain.asks_complete
    return Keyframe(book.update_id, book.event_time_ms, 0, body["bids"], body["asks"], *complete)


def segment(start_ms: int, frame: Keyframe, held: list[RecordedDiff]) -> Segment:
    """A whole segment of a minute."""
    pieces = [Piece(0, frame, held)]
    return Segment.of("binance", "ETHUSDT", start_ms, 60, pieces, from_start=True, to_end=True)


def measured(source: flow.Flow) -> Figures:
    """The figures of a flow. Its first and last minute are no whole ones and left out."""
    minutes: list[Minute] = []
    hour: Tile | None = None
    book_s = 0.0
    most, hour_bytes = 0, 0.0
    for each, took_s in list(segments(source))[1:]:
        body = encode(each)
        took: dict[str, float] = {}
        held = timed(took, "read", partial(columns, body))
        tile = timed(took, "paint", partial(painted, held))
        file = timed(took, "encode", tile.encode)
        if hour is not None and hour.start_ms != HOUR.start_of(tile.start_ms):
            hour = None
        hour = timed(took, "gather", partial(gather, hour, [tile]))
        packed = timed(took, "encode_hour", hour.encode)
        there = 60 - hour.children.count(".")
        if there >= most:
            most, hour_bytes = there, len(packed) * 60 / there
        minutes.append(Minute(took, len(file), len(held.price), tile.rows))
        book_s += took_s
    count = len(minutes)
    took_ms = {step: sum(minute.took_ms[step] for minute in minutes) / count for step in STEPS}
    return Figures(
        source.name,
        count,
        sum(minute.levels for minute in minutes) / count,
        sum(minute.rows for minute in minutes) / count,
        took_ms,
        sum(minute.tile_bytes for minute in minutes) / count,
        hour_bytes,
        sum(took_ms.values()) * count / 1000 / book_s,
    )


def painted(held: Columns) -> Tile:
    """The tile of a segment."""
    return paint(held.venue, held.symbol, held.start_ms, spans_of(held))


def timed(took: dict[str, float], step: str, work: Callable[[], T]) -> T:
    """Do it, and note the milliseconds of CPU of the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        done = work()
        best = min(best, time.process_time() - began)
    took[step] = best * 1000
    return done


def table(figures: list[Figures]) -> Table:
    """The figures, as people read them."""
    shown = Table(box=None, pad_edge=False)
    for name in (
        "",
        "levels",
        "rows",
        *(f"{step} ms" for step in STEPS),
        "bytes",
        "hour's bytes",
        "of Book's CPU",
    ):
        shown.add_column(name, justify="left" if not name else "right")
    for each in figures:
        shown.add_row(
            each.name,
            f"{each.levels:,.0f}",
            f"{each.rows:,.0f}",
            *(f"{each.took_ms[step]:.1f}" for step in STEPS),
            f"{each.tile_bytes:,.0f}",
            f"{each.hour_bytes:,.0f}",
            f"{each.share_of_book:.0%}",
        )
    return shown


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer minutes, for a look")
    quick: bool = arguments.parse_args().quick
    diffs = 1_900 if quick else 6_600
    sources = [flow.synthetic(seed=1, diffs=diffs), *([] if quick else [flow.recorded(diffs=diffs)])]
    figures = [measured(source) for source in sources if source is not None]
    Console(highlight=False, width=140).print(table(figures))
    told: dict[str, Any] = {"bench": "heat"}
    for each in figures:
        told[f"{each.name}_ms_a_minute"] = round(sum(each.took_ms.values()), 2)
        told[f"{each.name}_bytes_a_minute"] = round(each.tile_bytes)
        told[f"{each.name}_bytes_an_hour"] = round(each.tile_bytes * 60 + each.hour_bytes)
        told[f"{each.name}_vs_book"] = round(each.share_of_book, 3)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
