"""BitMEX without sockets, and a naive reader of its tables."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import instrument_of
from simulator.bitmex.market import Market
from simulator.bitmex.session import Session
from simulator.clock import ManualClock
from simulator.market import Profile

XBT = "XBTUSD"
SMALL = "TRXZ26"
"""Whose prices are written with an exponent."""


@dataclass
class Bench:
    """A small exchange in manual time, and sessions on it."""

    clock: ManualClock = field(default_factory=ManualClock)
    old: bool = False
    symbols: tuple[str, ...] = (XBT, SMALL)
    seed: int = 5

    def __post_init__(self) -> None:
        self.exchange = BitmexExchange(wall_ms=self.clock.wall_ms, seed=self.seed, old=self.old)
        for symbol in self.symbols:
            self.exchange.add(instrument_of(symbol), Profile(bids=40, asks=40, changes=12, quiet=0.1))
        self.opened = 0

    def market(self, symbol: str = XBT) -> Market:
        return self.exchange.markets[symbol]

    def tick(self, count: int = 1, ms: int = 100) -> None:
        for _ in range(count):
            self.clock.advance(ms)
            self.exchange.tick()

    def session(self, query: str = "", **limits: Any) -> Session:
        self.opened += 1
        return Session(self.exchange, self.opened, query, **limits)


class Table:
    """Rows as whoever reads the documents would keep them: a dictionary by symbol, id and side."""

    def __init__(self, table: str = "orderBookL2") -> None:
        self.table = table
        self.rows: dict[tuple[str, int, str], dict[str, Any]] = {}
        self.begun = False

    def hear(self, text: str) -> bool:
        """Whether the frame was a message of this table."""
        message = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        if message.get("table") != self.table:
            return False
        if message["action"] == "partial":
            self.rows.clear()
            self.begun = True
        for row in message["data"] if self.begun else []:
            key = (row["symbol"], row["id"], row["side"])
            match message["action"]:
                case "partial" | "insert":
                    assert key not in self.rows
                    self.rows[key] = row
                case "update":
                    self.rows[key].update(row)
                case _:
                    del self.rows[key]
        return True

    def sides(self) -> list[list[tuple[Decimal, Decimal]]]:
        """Price and size of bids and asks, best first."""
        found: list[list[tuple[Decimal, Decimal]]] = []
        for side in ("Buy", "Sell"):
            levels = [(row["price"], row["size"]) for (_, _, of), row in self.rows.items() if of == side]
            found.append(sorted(levels, reverse=side == "Buy"))
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return Bench


def taken(session: Session) -> list[str]:
    """Takes all text that waits in a session's outbox."""
    frames = [frame for frame in session.outbox if isinstance(frame, str)]
    session.outbox.clear()
    return frames
