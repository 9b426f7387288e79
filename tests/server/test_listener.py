"""Reading the fleet's heartbeats: what it costs, and what becomes of it where they cannot be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from depthcast.errors import AccessDenied, StoreUnavailable
from depthcast.files import Version, heartbeat_key
from depthcast.heartbeat import Heartbeat, SymbolBeat
from server.listener import Hearing, Listener
from server.pulse import Pulse

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore


class Rig:
    """A listener at work, and replicas that beat when they are told to."""

    def __init__(self, store: "WatchedStore", clock: "StillClock") -> None:
        self.store = store
        self.clock = clock
        self.pulse = Pulse(trust_s=5.0)
        self.hearings: list[Hearing] = []
        self.listener = Listener(
            store,
            self.pulse,
            on_reading=self.hearings.append,
            timeout_s=0.05,
            clock=clock,
            wall_ms=clock.wall_ms,
            sleep=clock.sleep,
        )
        self._beats = 0

    async def beat(self, replica: str, update_id: int) -> None:
        self._beats += 1
        part = SymbolBeat(live=True, epoch=1, id=update_id, heard_age_ms=100)
        beat = Heartbeat(
            replica=replica, beat=self._beats, time_ms=self.clock.wall_ms(), symbols={"ETHUSDT": part}
        )
        await self.store.put(heartbeat_key(replica), beat.to_body(), {})

    def newest(self) -> tuple[Version, float] | None:
        seen = self.pulse.sightings("ETHUSDT")
        return (seen[-1].version, round(self.clock.now - seen[-1].known_at, 3)) if seen else None


@pytest.fixture
async def rig(store: "WatchedStore", clock: "StillClock") -> AsyncIterator[Rig]:
    rig = Rig(store, clock)
    work = asyncio.create_task(rig.listener.run())
    await clock.settle()
    yield rig
    rig.pulse.check()
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def test_a_reading_is_one_listing_and_the_heartbeats_that_changed(rig: Rig) -> None:
    for name in ("a", "b", "c"):
        await rig.beat(name, 160)
    await rig.clock.advance(1.0)
    assert rig.store.reads.total() == 3
    await rig.beat("b", 161)
    await rig.clock.advance(1.0)
    assert rig.store.reads.total() == 4
    assert rig.store.fleet_listings == 3
    assert rig.newest() == (Version(1, 161), 1.1)
    await rig.clock.advance(10.0)
    assert (rig.store.reads.total(), rig.store.fleet_listings) == (4, 13)


async def test_a_reading_is_bounded_in_time_and_begun_again(rig: Rig) -> None:
    await rig.beat("a", 160)
    rig.store.gate = asyncio.Event()
    ahead = asyncio.create_task(rig.clock.advance(1.0))
    async with asyncio.timeout(30):
        while Hearing.FAILED not in rig.hearings:  # noqa: ASYNC110 (the listener's own time-out is awaited)
            await asyncio.sleep(0.005)
    await ahead
    rig.store.gate = None
    await rig.beat("a", 161)
    await rig.clock.advance(5.0)
    assert rig.hearings[-1] is Hearing.DONE
    assert rig.newest() is not None


async def test_an_absent_store_is_asked_less_and_less_and_nothing_heard_is_lost(rig: Rig) -> None:
    await rig.beat("a", 160)
    await rig.clock.advance(1.0)
    rig.store.failure = StoreUnavailable("away")
    with capture_logs() as lines:
        await rig.clock.advance(5.0)
        assert lines == [], "those who read files tell of it"
        await rig.clock.advance(120.0)
    assert [line["event"] for line in lines] == ["cannot read the heartbeats"]
    assert 20 <= rig.hearings.count(Hearing.FAILED) <= 90
    assert rig.newest() is not None
    rig.store.failure = None
    await rig.beat("a", 161)
    await rig.clock.advance(5.1)
    assert rig.hearings[-1] is Hearing.DONE


async def test_credentials_that_may_not_read_it_are_one_warning(rig: Rig) -> None:
    rig.store.failure = AccessDenied("403")
    with capture_logs() as lines:
        await rig.clock.advance(600.0)
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "heartbeats may not be read" in lines[0]["event"]
    assert rig.hearings.count(Hearing.DENIED) == 10
    assert not rig.pulse.visible
    rig.store.failure = None
    await rig.beat("a", 160)
    with capture_logs() as lines:
        await rig.clock.advance(61.0)
    assert [line["event"] for line in lines] == ["heartbeats are read again"]
    assert rig.pulse.visible


async def test_a_damaged_heartbeat_is_passed_over(rig: Rig) -> None:
    await rig.beat("a", 160)
    await rig.store.put(heartbeat_key("b"), b"{}", {})
    with capture_logs() as lines:
        await rig.clock.advance(3.0)
    assert [line["event"] for line in lines] == ["a damaged heartbeat is passed over"]
    assert rig.newest() is not None


async def test_symbols_nobody_speaks_of_any_more_are_forgotten(rig: Rig) -> None:
    await rig.beat("a", 160)
    await rig.clock.advance(1.0)
    assert rig.newest() is not None
    await rig.clock.advance(125.0)
    assert rig.newest() is None
