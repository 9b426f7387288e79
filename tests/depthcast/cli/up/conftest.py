"""What updaters say of themselves, for tests of what is made of it."""

from collections.abc import Callable

import pytest

from depthcast.cli.up.board import Board
from updater.status import FeedStatus, FleetStatus, RestStatus, Status, SymbolStatus, WriteStatus


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    return Board(log=lambda level, text, fields: None, clock=clock)


@pytest.fixture
def symbol_status() -> Callable[..., SymbolStatus]:
    def made(symbol: str = "ETHUSDT", **members: object) -> SymbolStatus:
        status = SymbolStatus(
            symbol=symbol,
            role="writer",
            rank=0,
            status="TRADING",
            state="live",
            epoch=0,
            update_id=99_000_000_123,
            best_bid=["2431.50000000", "1.20000000"],
            best_ask=["2431.51000000", "0.40000000"],
            age_ms=80,
            certain_bids=4990,
            certain_asks=5000,
            source="rest",
            resyncs=0,
            written=100,
            lost=3,
            files=[],
        )
        return status | members  # type: ignore[return-value]

    return made


@pytest.fixture
def status(symbol_status: Callable[..., SymbolStatus]) -> Callable[..., Status]:
    """The answer of ``/status``, as the updater types it."""

    def made(
        *symbols: SymbolStatus,
        replica: str = "here-1",
        written: int = 100,
        ready: bool = True,
        silent_for_ms: int = 0,
        expected_wait_ms: int = 0,
        takeovers: int = 0,
    ) -> Status:
        held = list(symbols) or [symbol_status()]
        return Status(
            replica=replica,
            version="0.1.0",
            now_ms=1,
            uptime_ms=1,
            ready=ready,
            exchange="binance",
            store_url="s3://depthcast",
            store_proven=True,
            writes=WriteStatus(written=written, lost=12, in_flight=1, p50_ms=3.14, p99_ms=21.0),
            feed=FeedStatus(
                url="wss://x",
                symbols=len(held),
                live=len(held),
                frames=1,
                bytes=1,
                malformed=0,
                lost=0,
                rotations=0,
                connections=[
                    {
                        "line": 1,
                        "role": "current",
                        "symbols": len(held),
                        "acked": len(held),
                        "age_ms": 1,
                        "last_frame_age_ms": 1,
                        "frames": 1,
                        "bytes": 1,
                    }
                ],
            ),
            tape=None,
            rest=RestStatus(
                url="https://x",
                weight_used=250,
                weight_limit=6000,
                waiting=0,
                pending=0,
                answered=1,
                expected_wait_ms=expected_wait_ms,
                silent_for_ms=silent_for_ms,
            ),
            fleet=FleetStatus(
                state="live", living=[replica], redundancy=0, listed=len(held), takeovers=takeovers
            ),
            symbols=held,
        )

    return made
