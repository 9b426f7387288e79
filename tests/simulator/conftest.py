"""An exchange without sockets, and what a test needs to listen to it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from simulator.clock import ManualClock
from simulator.connection import Frame
from simulator.exchange import Exchange
from simulator.market import Profile, listing_of
from simulator.session import Session, SessionLimits, parse_target


@dataclass
class Bench:
    """A small exchange in manual time, and sessions on it."""

    clock: ManualClock = field(default_factory=ManualClock)
    limits: SessionLimits = field(default_factory=SessionLimits)
    partial_share: float = 0.0
    symbols: tuple[str, ...] = ("ETHUSDT", "BTCUSDT", "XLMUSD")

    def __post_init__(self) -> None:
        self.exchange = Exchange(wall_ms=self.clock.wall_ms, seed=7, partial_share=self.partial_share)
        for symbol in self.symbols:
            self.exchange.add_market(listing_of(symbol), Profile(bids=50, asks=50, changes=8, quiet=0))
        self.opened = 0

    def tick(self, count: int = 1, ms: int = 100) -> None:
        for _ in range(count):
            self.clock.advance(ms)
            self.exchange.tick()

    def session(self, target: str = "/ws") -> Session:
        path, _, query = target.partition("?")
        request = parse_target(path, query)
        assert request is not None
        self.opened += 1
        return Session(self.exchange, self.opened, request, limits=self.limits)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return Bench


@pytest.fixture
def taken() -> Callable[[Session], list[Frame]]:
    """Takes all that waits in a session's outbox."""

    def take(session: Session) -> list[Frame]:
        frames = list(session.outbox)
        session.outbox.clear()
        return frames

    return take
