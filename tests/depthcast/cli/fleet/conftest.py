"""A fleet made of heartbeats, without any updater."""

from collections.abc import Callable, Mapping

import pytest

from depthcast.cli.fleet.overview import Seen
from depthcast.fleet import ranked
from depthcast.heartbeat import Heartbeat, Role, SymbolBeat

MakeBeat = Callable[..., Heartbeat]


@pytest.fixture
def make_beat() -> MakeBeat:
    """A heartbeat of ``replica``; ``roles`` are its symbols', the rest any members of a heartbeat."""

    def made(replica: str, roles: Mapping[str, str] | None = None, **members: object) -> Heartbeat:
        held = {
            symbol: SymbolBeat(
                role=Role(role), rank=role != "writer", live=True, id=1000, bids="4990", asks="4870+"
            )
            for symbol, role in (roles or {}).items()
        }
        fields: dict[str, object] = {
            "beat": 1,
            "time_ms": 1_700_000_003_000,
            "started_ms": 1_700_000_000_000,
            "version": "0.1.0",
            "selection": "same",
            "limits": (5, 10),
            "takeover_after_ms": 500,
            "listed": len(held),
            "symbols": held,
        }
        return Heartbeat.model_validate({"replica": replica} | fields | members)

    return made


@pytest.fixture
def healthy(make_beat: MakeBeat) -> Callable[..., list[Heartbeat]]:
    """Replicas that hold all symbols, each written by the first in rank."""

    def made(replicas: str = "abc", symbols: int = 4, **members: object) -> list[Heartbeat]:
        listed = [f"COIN{number:03}USDT" for number in range(symbols)]
        return [
            make_beat(
                name,
                {s: "writer" if ranked(s, replicas)[0] == name else "standby" for s in listed},
                feed={"symbols": symbols, "live": symbols},
                rest={"weight_used": 250, "weight_limit": 6000},
                writes={"written": 990, "lost": 10, "takeovers": 2, "p50_ms": 3.14, "p99_ms": 21.0},
                **members,
            )
            for name in replicas
        ]

    return made


def alive(*beats: Heartbeat, age_ms: int = 400) -> list[Seen]:
    """All of them living."""
    return [Seen(each, True, age_ms, 25.0) for each in beats]


def ended(beat: Heartbeat, age_ms: int = 5000) -> Seen:
    """One that beats no more."""
    return Seen(beat, False, age_ms)
