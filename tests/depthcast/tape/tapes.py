"""Segments for tests: made up by chance, or out of the captured minutes beside the checkout."""

import gzip
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Final

from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment

DATA: Final = Path(__file__).parents[4] / "shared/data/binance_spot"
FILES: Final = (
    "hftbacktest_spot_ethusdt_20240808.gz",
    "hftbacktest_spot_ethusdt_20240809.gz",
)
START_MS: Final = 1_723_161_240_000
SYMBOL: Final = "ETHUSDT"

Levels = tuple[tuple[str, str], ...]


def exact(levels: Iterable[Sequence[str]]) -> Levels:
    """Levels as what can be compared."""
    return tuple((price, amount) for price, amount in levels)


class NaiveBook:
    """A book as two dictionaries of strings, written apart from the project's."""

    def __init__(self, update_id: int, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> None:
        self.update_id = update_id
        self.event_time_ms = 0
        self.sides: tuple[dict[str, str], dict[str, str]] = (dict(exact(bids)), dict(exact(asks)))

    def apply(self, diff: RecordedDiff) -> None:
        for side, levels in zip(self.sides, (diff.bids, diff.asks), strict=True):
            for price, amount in levels:
                if Decimal(amount):
                    side[price] = amount
                else:
                    side.pop(price, None)
        self.update_id, self.event_time_ms = diff.last, diff.event_time_ms

    def levels(self) -> tuple[Levels, Levels]:
        """Both sides, best first."""
        bids, asks = (sorted(side.items(), key=lambda level: Decimal(level[0])) for side in self.sides)
        return tuple(reversed(bids)), tuple(asks)

    def keyframe(self, *, complete: bool = False) -> Keyframe:
        bids, asks = self.levels()
        return Keyframe(self.update_id, self.event_time_ms, 0, bids, asks, complete, complete)


def moved(rng: Random, book: NaiveBook, event_time_ms: int, *, decimals: int = 2) -> RecordedDiff:
    """A next diff of a book, by chance; the book stays as it is."""
    first = book.update_id + 1
    last = first + rng.choice((0, 0, 1, 5))

    def side(low: int) -> Levels:
        prices = sorted({rng.randrange(low, low + 30) for _ in range(rng.randrange(4))})
        amounts = (Decimal(rng.choice((0, rng.randrange(1, 10**6)))).scaleb(-decimals) for _ in prices)
        return tuple(
            (f"{price}.50", format(amount, f".{decimals}f"))
            for price, amount in zip(prices, amounts, strict=True)
        )

    return RecordedDiff(first, last, event_time_ms, event_time_ms * 1000 + 7, side(70), side(101))


def chain(rng: Random, count: int, *, symbol: str = SYMBOL, every_ms: int = 100) -> Segment:
    """A whole segment of ``count`` diffs."""
    book = NaiveBook(1000, [("99.50", "1.00")], [("101.50", "2.00")])
    frame = book.keyframe(complete=True)
    diffs = []
    for at in range(count):
        diffs.append(moved(rng, book, START_MS + at * every_ms))
        book.apply(diffs[-1])
    return whole(Piece(0, frame, tuple(diffs)), symbol=symbol)


def whole(*pieces: Piece, symbol: str = SYMBOL) -> Segment:
    return Segment.of("binance", symbol, START_MS, 60, pieces, from_start=True, to_end=True)


def part(of: Segment, start: int, stop: int) -> Piece:
    """The piece of a whole segment's diffs ``[start, stop)``, with the book before them as its keyframe."""
    [piece] = of.pieces
    book = NaiveBook(piece.first_id, piece.keyframe.bids, piece.keyframe.asks)
    for diff in piece.diffs[:start]:
        book.apply(diff)
    frame = piece.keyframe if start == 0 else book.keyframe(complete=True)
    return Piece(piece.epoch, frame, tuple(piece.diffs[start:stop]))


@cache
def captured() -> tuple[Segment, ...]:
    """The captured minutes of ETHUSDT, each with the book of its beginning; the first one begins late."""
    diffs, book = _capture()
    segments: list[Segment] = []
    for start_ms, each in groupby(diffs, key=lambda diff: diff.event_time_ms // 60_000 * 60_000):
        of_minute = tuple(each)
        frame = book.keyframe()
        for diff in of_minute:
            book.apply(diff)
        segments.append(
            Segment.of(
                "binance",
                SYMBOL,
                start_ms,
                60,
                [Piece(0, frame, of_minute)],
                from_start=bool(segments),
                to_end=of_minute[-1] is not diffs[-1],
            )
        )
    return tuple(segments)


def _capture() -> tuple[list[RecordedDiff], NaiveBook]:
    diffs: list[RecordedDiff] = []
    book: NaiveBook | None = None
    for name in FILES:
        with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                received_ns, _, text = line.partition(" ")
                if '"depthUpdate"' in text:
                    data = json.loads(text)["data"]
                    diffs.append(
                        RecordedDiff(
                            data["U"],
                            data["u"],
                            data["E"],
                            int(received_ns) // 1000,
                            exact(data["b"]),
                            exact(data["a"]),
                        )
                    )
                elif text.startswith('{"lastUpdateId"'):
                    shown = json.loads(text)
                    book = NaiveBook(shown["lastUpdateId"], shown["bids"], shown["asks"])
    assert book is not None
    return [diff for diff in diffs if diff.last > book.update_id], book
