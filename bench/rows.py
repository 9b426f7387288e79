"""``python -m bench.rows``: messages of a table applied, beside a plain list that is sorted again each time.

The list is what BitMEX's example clients do: rows are found by going through it, appended and removed, and
then it is sorted by price. Both take the same messages of a synthetic flow in the present layout over as many
rows as XBTUSD was seen to have (9,346), most of them near the top of the book, and are compared before
anything is timed. They take turns; times are CPU time of this process, ratios are taken within each round and
their median is given. Once nobody reads, and once the ten best levels of both sides are read after each
message. The last line is one line of JSON.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from depthcast.events import LevelSnapshot
from depthcast.rows import RowBook, RowsChanged, RowSnapshot
from depthcast.venues.bitmex import BitMEX

ROWS: Final = 9346
TOP: Final = 10
VENUE: Final = BitMEX()

Levels = list[list[Any]]


class SortedList:
    """A plain list of rows, as they came."""

    def __init__(self, partial: dict[str, Any]) -> None:
        self.rows: list[dict[str, Any]] = [dict(row) for row in partial["data"]]
        self.rows.sort(key=_price)

    def take(self, message: dict[str, Any]) -> None:
        action = message["action"]
        if action == "insert":
            self.rows += [dict(row) for row in message["data"]]
        else:
            for row in message["data"]:
                known = next(
                    each for each in self.rows if each["id"] == row["id"] and each["side"] == row["side"]
                )
                if action == "update":
                    known.update(row)
                else:
                    self.rows.remove(known)
        self.rows.sort(key=_price)

    def top(self) -> tuple[Levels, Levels]:
        bids = [[row["price"], row["size"]] for row in self.rows if row["side"] == "Buy"][: -TOP - 1 : -1]
        asks = [[row["price"], row["size"]] for row in self.rows if row["side"] == "Sell"][:TOP]
        return bids, asks


class Ours:
    """The library's book of rows."""

    def __init__(self, partial: LevelSnapshot) -> None:
        self.book = RowBook.of(partial.snapshot)
        self.take: Callable[[RowsChanged], None] = self.book.apply

    def top(self) -> tuple[Levels, Levels]:
        bids, asks = self.book.top(TOP)
        return [list(level) for level in bids], [list(level) for level in asks]

    def read(self) -> object:
        return self.book.top(TOP)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.rows", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few messages: a check that it runs, no figure")
    quick: bool = parser.parse_args(argv).quick
    rows, count, slow, rounds = (400, 300, 100, 1) if quick else (ROWS, 50_000, 600, 5)
    frames = _flow(rows, count)
    events: list[Any] = [VENUE.parse_frame(frame) for frame in frames]
    messages = [orjson.loads(frame) for frame in frames[: slow + 1]]
    _check(events, messages)
    figures: dict[str, float] = {"rows": rows}
    console = Console()
    table = Table(title=f"{rows:,} rows: messages a second")
    for column in ("read", "depthcast", "list, sorted again", "times as many"):
        table.add_column(column, justify="right")
    for name, reads in (("never", False), ("top ten after each", True)):
        rates: dict[str, list[float]] = {"ours": [], "list": []}
        for _ in range(rounds):
            ours, other = Ours(events[0]), SortedList(messages[0])
            rates["ours"].append(_rate(ours.take, ours.read if reads else None, events[1:]))
            rates["list"].append(_rate(other.take, other.top if reads else None, messages[1:]))
        ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["list"], strict=True))
        mine, theirs = (statistics.median(rates[each]) for each in ("ours", "list"))
        table.add_row(name, f"{mine:,.0f}", f"{theirs:,.0f}", f"{ratio:.0f}")
        key = "read_top" if reads else "unread"
        figures |= {f"ratio_{key}": round(ratio, 1), f"messages_s_{key}": round(mine)}
    console.print(table)
    parse_us = statistics.median(_parse_us(frames[1:]) for _ in range(rounds))
    figures["parse_us"] = round(parse_us, 2)
    console.print(f"{parse_us:.2f} µs to parse a frame")
    book = Ours(events[0]).book
    for depth in (10, 25, 0):
        figures[f"body_{depth or 'whole'}_us"] = round(_body_us(book, events[1:2001], depth), 1)
    console.print(
        f"a body after each message, of 10, 25 and all rows a side: {figures['body_10_us']}, "
        f"{figures['body_25_us']} and {figures['body_whole_us']} µs"
    )
    print(json.dumps({"bench": "rows", **figures}))
    return 0


def _flow(rows: int, count: int) -> list[bytes]:
    """A partial, and the messages that follow on it."""
    rng = Random(7)
    middle, ids = 200_000, iter(rng.sample(range(10**10, 10**11), rows + count + 10))
    sides: dict[str, dict[int, dict[str, Any]]] = {"Buy": {}, "Sell": {}}
    now_ms = 0

    def stamp() -> str:
        return f"2024-11-11T{now_ms // 3_600_000 % 24:02d}:{now_ms // 60_000 % 60:02d}:" + (
            f"{now_ms // 1000 % 60:02d}.{now_ms % 1000:03d}Z"
        )

    def made(side: str, away: int) -> dict[str, Any]:
        price = (middle + (1 + away if side == "Sell" else -away)) / 2
        return {
            "symbol": "XBTUSD",
            "id": next(ids),
            "side": side,
            "size": 100 * rng.randint(1, 5000),
            "price": int(price) if price.is_integer() else price,
            "timestamp": stamp(),
            "transactTime": stamp(),
        }

    for side, levels in sides.items():
        for away in range(rows // 2 + (side == "Buy" and rows % 2)):
            levels[away] = made(side, away)
    opening = [row for levels in sides.values() for row in levels.values()]
    frames = [orjson.dumps({"table": "orderBookL2", "action": "partial", "data": opening})]
    while len(frames) <= count:
        now_ms += rng.choice((0, 1, 5, 40))
        side = rng.choice(("Buy", "Sell"))
        away = int((rows // 2) ** rng.random()) - 1
        known = sides[side].get(away)
        if known is None:
            action, row = "insert", made(side, away)
            sides[side][away] = row
        elif rng.random() < 0.25:
            action, row = "delete", {**known, "timestamp": stamp(), "transactTime": stamp()}
            del row["size"], sides[side][away]
        else:
            action = "update"
            row = {**known, "size": 100 * rng.randint(1, 5000), "timestamp": stamp(), "transactTime": stamp()}
            sides[side][away] = row
        frames.append(orjson.dumps({"table": "orderBookL2", "action": action, "data": [row]}))
    return frames


def _check(events: Sequence[Any], messages: Sequence[dict[str, Any]]) -> None:
    """Both have the same ten best levels."""
    ours, other = Ours(events[0]), SortedList(messages[0])
    for event, message in zip(events[1:], messages[1:], strict=False):
        ours.take(event)
        other.take(message)
        if ours.top() != other.top():
            sys.exit("the books differ")


def _price(row: dict[str, Any]) -> float:
    price: float = row["price"]
    return price


def _rate(take: Callable[[Any], None], read: Callable[[], object] | None, messages: Sequence[Any]) -> float:
    begun = time.process_time()
    if read is None:
        for message in messages:
            take(message)
    else:
        for message in messages:
            take(message)
            read()
    return len(messages) / (time.process_time() - begun)


def _parse_us(frames: Sequence[bytes]) -> float:
    parse = VENUE.parse_frame
    begun = time.process_time()
    for frame in frames:
        parse(frame)
    return 1e6 * (time.process_time() - begun) / len(frames)


def _body_us(book: RowBook, events: Sequence[Any], depth: int) -> float:
    """How long a body takes after each of some messages, which are applied to it once."""
    fresh = RowBook.of(RowSnapshot(book.symbol, book.update_id, book.rows(), book.event_time_ms))
    spent = 0.0
    for event in events:
        fresh.apply(event)
        begun = time.process_time()
        fresh.body(depth)
        spent += time.process_time() - begun
    return 1e6 * spent / len(events)


if __name__ == "__main__":
    sys.exit(main())
