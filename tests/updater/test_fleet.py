"""Heartbeats: written, read, missed, and said good-bye with. All in virtual time on a store in memory."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from depthcast.errors import BadFile, StoreError, StoreUnavailable
from depthcast.files import heartbeat_key
from depthcast.heartbeat import MOST, Heartbeat, RestBeat, State
from depthcast.store import Outcome, PutResult
from depthcast.store.memory import MemoryStore
from tests import virtual
from updater.fleet import LONGEST_PAUSE_MS, UNDATED_PAUSE_MS, Fleet


class Heard:
    """What a fleet told its observer."""

    def __init__(self) -> None:
        self.beats: Counter[Outcome] = Counter()
        self.errors: list[StoreError] = []
        self.readings = 0
        self.damaged: list[str] = []
        self.namesakes = 0
        self.pauses: list[tuple[float, int]] = []

    def beat(self, outcome: Outcome) -> None:
        self.beats[outcome] += 1

    def fleet_read(self, error: StoreError | None) -> None:
        if error is not None:
            self.errors.append(error)

    def damaged_heartbeat(self, key: str, error: BadFile) -> None:
        self.damaged.append(key)

    def namesake(self, replica: str) -> None:
        self.namesakes += 1


class Sim:
    """Replicas on one store whose own clock is the virtual one, and which can be made to fail."""

    def __init__(self) -> None:
        self.store = MemoryStore(wall_ms=lambda: int(virtual.clock() * 1000))
        self.fleets: dict[str, Fleet] = {}
        self.heard: dict[str, Heard] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.started = 0

    def start(self, name: str, *, address: str = "", store: Any = None, **given: Any) -> Fleet:
        self.started += 1
        started_ms = self.started
        heard = self.heard[name] = Heard()

        def compose(*, beat: int, state: State, silent_for_ms: int) -> Heartbeat:
            rest = RestBeat(address=address, silent_for_ms=silent_for_ms)
            return Heartbeat(replica=name, beat=beat, state=state, started_ms=started_ms, rest=rest)

        def reading() -> None:
            heard.readings += 1

        fleet = self.fleets[name] = Fleet(
            store or self.store,
            compose,
            replica=name,
            observer=heard,
            on_reading=reading,
            on_pause=lambda ms: heard.pauses.append((virtual.clock(), ms)),
            clock=virtual.clock,
            **given,
        )
        self.tasks[name] = asyncio.ensure_future(fleet.run())
        return fleet

    async def kill(self, name: str) -> None:
        self.tasks[name].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.tasks[name]

    def living(self, name: str) -> set[str]:
        return set(self.fleets[name].living)


@contextlib.asynccontextmanager
async def simulated() -> AsyncIterator[Sim]:
    sim = Sim()
    try:
        yield sim
    finally:
        for name in list(sim.tasks):
            await sim.kill(name)


class Away:
    """A store that can be away."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.away = False
        self.url = store.url

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, prefix: str) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return self._store.list(prefix)

    async def get(self, key: str) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        return await self._store.get(key)

    async def put_if(self, key: str, body: bytes, **given: Any) -> PutResult:
        if self.away:
            return PutResult(Outcome.UNKNOWN, reason="away")
        return await self._store.put_if(key, body, **given)


def test_replicas_come_to_know_each_other_within_two_seconds() -> None:
    async def main() -> None:
        async with simulated() as sim:
            for name in "abc":
                sim.start(name)
            await asyncio.sleep(2)
            assert all(sim.living(name) == set("abc") for name in "abc")
            assert all(fleet.settled for fleet in sim.fleets.values())

    virtual.run(main())


def test_a_beat_is_written_once_a_second_and_all_are_read_twice_a_second() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a")
            await asyncio.sleep(10.2)
            assert sim.heard["a"].beats == {Outcome.WON: 11}
            assert sim.heard["a"].readings == 21

    virtual.run(main())


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3, 0.49, 0.51, 0.7, 0.9, 0.99])
def test_a_crash_is_noticed_in_under_three_seconds(moment: float) -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a")
            await asyncio.sleep(0.27)
            sim.start("b")
            await asyncio.sleep(5 + moment)
            await sim.kill("a")
            crashed = virtual.clock()
            for _ in range(500):
                await asyncio.sleep(0.01)
                if "a" not in sim.living("b"):
                    break
            assert virtual.clock() - crashed < 3.0

    virtual.run(main())


def test_a_replica_whose_beats_are_a_second_late_is_not_dead() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a", beat_every_s=1.8)
            sim.start("b")
            await asyncio.sleep(3)
            for _ in range(1000):
                await asyncio.sleep(0.05)
                assert "a" in sim.living("b")

    virtual.run(main())


def test_good_bye_is_heard_at_the_next_reading() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a")
            sim.start("b")
            await asyncio.sleep(3)
            await sim.kill("a")
            await sim.fleets["a"].say_goodbye()
            await asyncio.sleep(0.51)
            assert sim.living("b") == {"b"}
            assert sim.fleets["b"].alone

    virtual.run(main())


def test_leaving_is_told_at_once() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a")
            sim.start("b")
            await asyncio.sleep(3.1)
            assert not sim.fleets["b"].alone
            sim.fleets["a"].leave()
            assert sim.fleets["a"].own.state is State.LEAVING
            await asyncio.sleep(0.75)
            assert sim.fleets["b"].living["a"].state is State.LEAVING
            assert sim.fleets["b"].alone

    virtual.run(main())


def test_a_store_that_is_away_makes_nobody_dead_and_nobody_stop() -> None:
    async def main() -> None:
        async with simulated() as sim:
            store = Away(sim.store)
            sim.start("a", store=store)
            sim.start("b", store=store)
            await asyncio.sleep(3)
            store.away = True
            await asyncio.sleep(60)
            assert sim.living("b") == {"a", "b"}
            assert sim.heard["b"].errors
            store.away = False
            for _ in range(100):
                await asyncio.sleep(0.05)
                assert sim.living("b") == {"a", "b"}
            await sim.kill("a")
            await asyncio.sleep(3)
            assert sim.living("b") == {"b"}

    virtual.run(main())


def test_a_store_that_hangs_is_given_up_after_a_bound() -> None:
    class Hanging(Away):
        async def put_if(self, key: str, body: bytes, **given: Any) -> PutResult:
            if self.away:
                await asyncio.sleep(3600)
            return await super().put_if(key, body, **given)

    async def main() -> None:
        async with simulated() as sim:
            store = Hanging(sim.store)
            sim.start("a", store=store)
            await asyncio.sleep(1.5)
            store.away = True
            await asyncio.sleep(10)
            assert sim.heard["a"].beats[Outcome.UNKNOWN] >= 4
            store.away = False
            before = sim.heard["a"].beats[Outcome.WON]
            await asyncio.sleep(4)
            assert sim.heard["a"].beats[Outcome.WON] > before

    virtual.run(main())


def test_a_pause_reaches_the_others_of_the_address_and_ends_when_it_should() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a")
            sim.start("b")
            sim.start("c", address="elsewhere")
            await asyncio.sleep(3.1)
            began = virtual.clock()
            sim.fleets["a"].silenced(30_000)
            await asyncio.sleep(0.9)
            at, ms = sim.heard["b"].pauses[0]
            assert at - began < 0.8
            assert 28_000 < ms <= 30_000
            await asyncio.sleep(60)
            # However often it is told, it ends when the exchange said, give or take a listing's resolution.
            ends = [at + ms / 1000 for at, ms in sim.heard["b"].pauses]
            assert max(ends) - began < 31
            assert not sim.heard["c"].pauses

    virtual.run(main())


def test_a_pause_outlives_the_replica_that_was_asked_for_it_and_is_no_longer_for_that() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("b")
            sim.start("a")
            await asyncio.sleep(3.1)
            sim.fleets["a"].silenced(600_000)
            await asyncio.sleep(1)
            await sim.kill("a")
            await asyncio.sleep(300)
            sim.start("late")
            await asyncio.sleep(2)
            assert max(ms for _, ms in sim.heard["late"].pauses) == pytest.approx(300_000, abs=5_000)

    virtual.run(main())


def test_a_pause_beyond_any_bound_ends_all_the_same() -> None:
    async def main() -> None:
        async with simulated() as sim:
            body = Heartbeat(replica="x", beat=1, rest=RestBeat(silent_for_ms=MOST)).to_body()
            await sim.store.put_if(heartbeat_key("x"), body, match=None)
            sim.start("a")
            await asyncio.sleep(3.1)
            assert 0 < max(ms for _, ms in sim.heard["a"].pauses) <= LONGEST_PAUSE_MS
            await sim.kill("a")
            await asyncio.sleep(LONGEST_PAUSE_MS / 1000)
            sim.start("b")
            await asyncio.sleep(3.1)
            assert max(ms for _, ms in sim.heard["b"].pauses) <= UNDATED_PAUSE_MS

    virtual.run(main())


def test_a_pause_passes_while_nobody_runs() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a")
            await asyncio.sleep(3.1)
            sim.fleets["a"].silenced(600_000)
            await asyncio.sleep(1)
            await sim.kill("a")
            await asyncio.sleep(300)
            fleet = sim.start("b")
            await fleet.heard.wait()
            assert sim.heard["b"].pauses[-1][1] == pytest.approx(300_000, abs=5_000)
            await sim.kill("b")
            await asyncio.sleep(300)
            fleet = sim.start("c")
            await fleet.heard.wait()
            await asyncio.sleep(3)
            assert max(ms for _, ms in sim.heard["c"].pauses) <= UNDATED_PAUSE_MS

    virtual.run(main())


def test_a_replica_started_again_under_its_name_remembers_its_pause() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a")
            await asyncio.sleep(3.1)
            sim.fleets["a"].silenced(600_000)
            await asyncio.sleep(1)
            await sim.kill("a")
            await asyncio.sleep(300)
            fleet = sim.start("a")
            await fleet.heard.wait()
            assert max(ms for _, ms in sim.heard["a"].pauses) == pytest.approx(300_000, abs=5_000)
            await asyncio.sleep(2)
            assert sim.heard["a"].namesakes == 0
            assert fleet.own.beat > 4

    virtual.run(main())


def test_a_replica_counts_on_from_any_count_that_was_stored_under_its_name() -> None:
    async def main() -> None:
        async with simulated() as sim:
            await sim.store.put_if(
                heartbeat_key("a"), Heartbeat(replica="a", beat=MOST).to_body(), match=None
            )
            fleet = sim.start("a")
            sim.start("b")
            await asyncio.sleep(5)
            assert 4 <= fleet.own.beat <= 6
            assert sim.living("b") == {"a", "b"}

    virtual.run(main())


def test_two_processes_of_one_name_are_noticed() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a")
            await asyncio.sleep(2.3)
            first = sim.heard["a"]
            task = sim.tasks.pop("a")
            sim.start("a")
            await asyncio.sleep(3)
            assert first.namesakes
            task.cancel()

    virtual.run(main())


def test_a_damaged_heartbeat_is_told_and_passed_over() -> None:
    async def main() -> None:
        async with simulated() as sim:
            await sim.store.put_if(heartbeat_key("x"), b"{", match=None)
            await sim.store.put_if(heartbeat_key("a"), b"not json", match=None)
            sim.start("a")
            await asyncio.sleep(3)
            assert sim.living("a") == {"a"}
            assert set(sim.heard["a"].damaged) == {"fleet/x.json", "fleet/a.json"}
            assert sim.heard["a"].beats[Outcome.WON] >= 2

    virtual.run(main())


def test_one_that_died_long_ago_is_believed_alive_for_three_seconds_at_most() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("old")
            await asyncio.sleep(2)
            await sim.kill("old")
            await asyncio.sleep(86_400)
            sim.start("a")
            await asyncio.sleep(3)
            assert sim.living("a") == {"a"}

    virtual.run(main())


def test_one_that_died_is_missing_for_a_while_and_then_forgotten() -> None:
    async def main() -> None:
        async with simulated() as sim:
            sim.start("a", missing_s=10)
            sim.start("b")
            sim.start("c")
            await asyncio.sleep(5)
            assert not sim.fleets["a"].missing
            await sim.kill("b")
            await sim.kill("c")
            await sim.fleets["c"].say_goodbye()
            await asyncio.sleep(4)
            assert set(sim.fleets["a"].missing) == {"b"}
            await asyncio.sleep(9)
            assert not sim.fleets["a"].missing

    virtual.run(main())
