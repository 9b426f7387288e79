"""``python -m bench.orders``: messages of a venue by order, beside a dictionary that is sorted at each read.

Both keep the same book (compared before anything is timed) from the same messages of a simulated market, and
both are read, all levels by price, after every so many messages. They take turns; times are CPU time of this
process, ratios are taken within each round and their median is given. The last line is one line of JSON.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from depthcast.orders import Changed, Done, Matched, Opened, OrderBook, OrderSnapshot
from depthcast.venues.coinbase import Coinbase
from simulator.coinbase.exchange import CoinbaseExchange
from simulator.coinbase.products import products
from simulator.coinbase.traders import Habits

READS: Final = (1, 10, 100, 1000)
"""After so many messages the book is read."""

VENUE: Final = Coinbase()

Levels = list[tuple[str, str, int]]


class SortedAtRead:
    """Orders by their id; levels are added up and sorted whenever somebody reads."""

    def __init__(self, snapshot: OrderSnapshot) -> None:
        self.orders: dict[str, list[Any]] = {}
        for buy, rows in ((True, snapshot.bids), (False, snapshot.asks)):
            for price, size, order_id in rows:
                self.orders[order_id] = [buy, price, Decimal(size)]

    def take(self, message: Any) -> None:
        match message:
            case Opened():
                self.orders[message.order_id] = [message.buy, message.price, Decimal(message.size)]
            case Matched():
                order = self.orders[message.order_id]
                order[2] -= Decimal(message.size)
                if not order[2]:
                    del self.orders[message.order_id]
            case Changed() if message.order_id in self.orders and message.size is not None:
                order = self.orders[message.order_id]
                order[1], order[2] = message.price or order[1], Decimal(message.size)
            case Done():
                self.orders.pop(message.order_id, None)

    def read(self) -> bytes:
        sides = []
        for buy in (True, False):
            levels: dict[str, list[Any]] = {}
            for side, price, size in self.orders.values():
                if side is buy:
                    level = levels.setdefault(price, [Decimal(), 0])
                    level[0] += size
                    level[1] += 1
            ordered = sorted(levels.items(), key=lambda item: Decimal(item[0]), reverse=buy)
            sides.append([[price, _plain(size), count] for price, (size, count) in ordered])
        return orjson.dumps(sides)


class Ours:
    """The library's book by order."""

    def __init__(self, snapshot: OrderSnapshot) -> None:
        self.book = OrderBook.of(snapshot)
        self.take = self.book.take

    def read(self) -> bytes:
        return self.book.body(2)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.orders", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few messages: a check that it runs, no figure")
    quick: bool = parser.parse_args(argv).quick
    orders, count, rounds = (200, 300, 1) if quick else (10_000, 20_000, 3)
    snapshot, frames = _flow(orders, count)
    messages = [VENUE.parse_frame(frame) for frame in frames]
    _check(snapshot, messages)
    console = Console()
    table = Table(title=f"{count:,} messages, {2 * orders:,} orders: messages a second")
    for column in ("a read after", "depthcast", "dict, sorted at read", "times as many"):
        table.add_column(column, justify="right")
    figures: dict[str, float] = {}
    for every in READS:
        # The slow one is not given more reads than it takes to know.
        part = messages[: min(count, 100 * every)]
        rates: dict[str, list[float]] = {"ours": [], "dict": []}
        for _ in range(rounds):
            rates["ours"].append(_rate(Ours(snapshot), part, every))
            rates["dict"].append(_rate(SortedAtRead(snapshot), part, every))
        ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["dict"], strict=True))
        ours, other = (statistics.median(rates[name]) for name in ("ours", "dict"))
        table.add_row(f"{every:,} messages", f"{ours:,.0f}", f"{other:,.0f}", f"{ratio:.1f}")
        figures[f"ratio_read_every_{every}"] = round(ratio, 1)
        figures[f"messages_s_read_every_{every}"] = round(ours)
    console.print(table)
    apply_us = 1e6 / statistics.median(_rate(Ours(snapshot), messages, count) for _ in range(rounds))
    parse_us = statistics.median(_parse_us(frames) for _ in range(rounds))
    console.print(f"without reads: {apply_us:.2f} µs a message, and {parse_us:.2f} µs to parse its frame")
    figures |= {"apply_us": round(apply_us, 2), "parse_us": round(parse_us, 2)}
    print(json.dumps({"bench": "orders", **figures}))
    return 0


def _flow(orders: int, count: int) -> tuple[OrderSnapshot, list[bytes]]:
    """A market's book by order, and the frames that follow on it."""
    exchange = CoinbaseExchange(
        wall_ms=lambda: 1_800_000_000_000, actions=500, habits=Habits(orders=orders), history=1
    )
    market = exchange.add(products(1)[0])
    snapshot = VENUE.parse_snapshot(market.journal.body(market.sequence, 3), 3)
    frames: list[bytes] = []

    class Ear:
        def on_message(self, message: dict[str, Any]) -> None:
            frames.append(orjson.dumps(message))

        def on_levels(self, changes: list[list[str]], time: str) -> None: ...

        def on_tick(self, now_ms: int) -> None: ...

    market.listeners[Ear()] = None
    while len(frames) < count:
        exchange.tick()
    return snapshot, frames[:count]


def _check(snapshot: OrderSnapshot, messages: Sequence[Any]) -> None:
    """Both have the same levels."""
    ours, other = Ours(snapshot), SortedAtRead(snapshot)
    for number, message in enumerate(messages[:2000]):
        ours.take(message)
        other.take(message)
        if number % 200 == 0:
            body = orjson.loads(ours.read())
            if [body["bids"], body["asks"]] != orjson.loads(other.read()):
                sys.exit(f"the books differ at {message.sequence}")


def _rate(contender: Ours | SortedAtRead, messages: Sequence[Any], every: int) -> float:
    """Messages a second, reads included."""
    take: Callable[[Any], object] = contender.take
    contender.read()
    began = time.process_time()
    for number, message in enumerate(messages, 1):
        take(message)
        if number % every == 0:
            contender.read()
    return len(messages) / max(time.process_time() - began, 1e-9)


def _parse_us(frames: Sequence[bytes]) -> float:
    parse = VENUE.parse_frame
    began = time.process_time()
    for frame in frames:
        parse(frame)
    return (time.process_time() - began) / len(frames) * 1e6


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


if __name__ == "__main__":
    sys.exit(main())
