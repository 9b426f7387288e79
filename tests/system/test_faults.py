"""What befalls the store, an address or a start, whichever venue it is: shown on spot.

Every file written is compared with the simulator's true book and may not go back; afterwards all are current.
What befalls messages, connections and requests is each venue's own (``test_faults_by_venue``).
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any, Final, Literal

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import depth_key
from depthcast.store import Entry, Outcome, PutResult, Store, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore
from simulator.faults import Kind
from simulator.weight import Charge, WeightMeter
from tests.system.audit import Audited, all_are_current, auditor_of
from tests.system.oracles import Simulated
from tests.system.replicas import are_ready, resyncs_of, running, sources_of
from tests.system.rigs import SPOT, Rig
from tests.system.waiting import until
from updater.replica import Replica

HURT: Final = SPOT.hurt
WELL: Final = SPOT.well

pytestmark = pytest.mark.timeout(180)


async def test_replicas_whose_diffs_are_cut_differently_write_the_same_bytes_at_the_same_id() -> None:
    """Each writes to a store of its own, so that all files of both are there to be compared."""
    # A market that stops is to have told all that happened to it.
    async with SPOT.simulator(partial_share=0) as sim, contextlib.AsyncExitStack() as stack:
        sim.faults.inject(Kind.GROUPING, count=2)
        auditors = [auditor_of(sim) for _ in range(2)]
        for name, auditor in zip("ab", auditors, strict=True):
            auditor.keep_limit = 100
            replica = await stack.enter_async_context(
                replica_on(SPOT, sim, Audited(MemoryStore(), auditor), name)
            )
            await ready(replica)
        first, second = (auditor.bodies for auditor in auditors)
        await until(lambda: len(first.keys() & second.keys()) >= 10, 60)
        assert sim.faults.counts[Kind.GROUPING] == 2
        assert first.keys() != second.keys(), "their diffs end at different ids"
        assert all(first[each] == second[each] for each in first.keys() & second.keys())

        # A market that rests comes to the same id everywhere.
        for symbol in (HURT, WELL):
            sim.exchange.set_status(symbol, "BREAK")
        for auditor in auditors:
            await all_are_current(auditor, SPOT.limits)
        for symbol in (HURT, WELL):
            for limit in SPOT.limits:
                (version, body, _), other = (each.newest[depth_key(symbol, limit)] for each in auditors)
                assert (version, body) == other[:2]


class Failing:
    """A store that can be told to fail, each time in one of the ways in which stores do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.close = store.close
        self.fails = False
        self.failures: Counter[str] = Counter()
        self._rng = Random(7)

    async def fail(self, times: int) -> None:
        """Fail until so many more calls have."""
        self.fails, end = True, self.failures.total() + times
        await until(lambda: self.failures.total() >= end)
        self.fails = False

    async def get(self, key: str) -> StoredObject | None:
        await self._read("get")
        return await self._store.get(key)

    async def peek(self, key: str, length: int) -> StoredObject | None:
        await self._read("peek")
        return await self._store.peek(key, length)

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        await self._read("get_if_changed")
        return await self._store.get_if_changed(key, etag)

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        await self._read("list")
        async for entry in self._store.list(prefix):
            yield entry

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        await self._read("list_after")
        return await self._store.list_after(folder, after, limit)

    async def _read(self, call: str) -> None:
        if self.fails:
            self.failures[call] += 1
            raise StoreUnavailable("the store is away")

    async def put_if(self, key: str, body: bytes, *, match: str | None, **given: Any) -> PutResult:
        if not self.fails:
            return await self._store.put_if(key, body, match=match, **given)
        way = self._rng.choice(("not applied", "applied", "timed out", "timed out, applied", "throttled"))
        self.failures[way] += 1
        if way.startswith("timed out"):
            await asyncio.sleep(0.3)
        if way == "throttled":
            return PutResult(Outcome.THROTTLED, reason=way)
        if way.endswith("applied") and not way.startswith("not"):
            await self._store.put_if(key, body, match=match, **given)
        return PutResult(Outcome.UNKNOWN, reason=way)


async def test_a_store_that_fails_for_a_while_costs_age_and_nothing_else() -> None:
    async with SPOT.simulator() as sim:
        auditor = auditor_of(sim)
        failing = Failing(MemoryStore())
        store = Audited(failing, auditor)
        async with replica_on(SPOT, sim, store, "a") as replica, replica_on(SPOT, sim, store, "b"):
            await ready(replica)
            for _ in range(3):
                await failing.fail(25)
                await all_are_current(auditor, SPOT.limits, 60)
        assert store.outcomes[Outcome.UNKNOWN] > 0
        assert {"not applied", "applied", "peek", "list"} <= failing.failures.keys()


class Charges(WeightMeter):
    """The simulator's meter, with a record of who was answered what: (weight, refused)."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[int, bool]] = []

    def charge(self, address: str, weight: int, now_ms: int) -> Charge:
        charge = super().charge(address, weight, now_ms)
        self.entries.append((weight, charge.refusal is not None))
        return charge


async def test_a_replica_that_comes_back_takes_its_books_from_files_at_no_weight() -> None:
    async with SPOT.simulator() as sim:
        charges = sim.exchange.weights = Charges()
        auditor = auditor_of(sim)
        store = Audited(MemoryStore(), auditor)
        async with replica_on(SPOT, sim, store, "b") as other:
            async with replica_on(SPOT, sim, store, "a") as replica:
                await ready(replica, other)
            await all_are_current(auditor, SPOT.limits)
            before = len(charges.entries)
            async with replica_on(SPOT, sim, store, "a") as replica:
                await ready(replica)
                await all_are_current(auditor, SPOT.limits)
                assert sources_of(replica) == {HURT: "file", WELL: "file"}
            asked = [weight for weight, _ in charges.entries[before:]]
            assert set(asked) <= {20}, "whose turn it is asks for the list of symbols"


async def test_no_replica_of_an_address_asks_during_a_ban_and_live_books_go_on() -> None:
    async with SPOT.simulator() as sim, contextlib.AsyncExitStack() as stack:
        charges = sim.exchange.weights = Charges()
        auditor = auditor_of(sim)
        store = Audited(MemoryStore(), auditor)
        replicas = [await stack.enter_async_context(replica_on(SPOT, sim, store, name)) for name in "ab"]
        await ready(*replicas)
        await until(lambda: all(living(replica) == ["a", "b"] for replica in replicas))
        connections = list(sim.exchange.connections)
        assert len(connections) == 2

        charges.entries.clear()
        sim.faults.inject(Kind.BAN, delay_s=8)
        for connection in connections:
            # Both books break, so no file will do and the exchange has to be asked.
            sim.faults.inject(Kind.GAP, symbol=HURT, connection=connection)
        await until(lambda: all(silent(replica) for replica in replicas))
        told = len(charges.entries)
        assert 1 <= told <= 2
        assert all(refused for _, refused in charges.entries)

        key = depth_key(WELL, 5)
        before = auditor.newest[key][0].update_id
        await auditor.reached(WELL, 5, before + 100)
        await until(lambda: max(map(silent, replicas)) < 1000)
        assert len(charges.entries) == told, "nobody asks again before its time"
        await all_are_current(auditor, SPOT.limits, 60)
        assert all(resyncs_of(replica)[WELL] == 0 for replica in replicas)


# What replicas say of themselves


@contextlib.asynccontextmanager
async def replica_on(rig: Rig, sim: Simulated, store: Store, name: str) -> AsyncIterator[Replica]:
    replica = rig.replica(sim, store, name)
    async with running(replica):
        yield replica


async def ready(*replicas: Replica) -> None:
    await until(lambda: are_ready(*replicas))


def living(replica: Replica) -> list[str]:
    return replica.report.status()["fleet"]["living"]


def silent(replica: Replica) -> int:
    return replica.report.status()["rest"]["silent_for_ms"]
