"""One fault at a time: each kind that the simulator knows, and a store that fails.

Every file written is compared with the simulator's true book and may not go back; afterwards all are current.
That the fault was met, and not passed by, is told by the simulator's record and the replica's metrics.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final, Literal, NamedTuple

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.feed import FeedLimits
from depthcast.files import BINANCE, BINANCE_USDM, depth_key
from depthcast.store import Entry, Outcome, PutResult, Store, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore
from simulator.app import Simulator
from simulator.faults import FORMS, TIMED_KINDS, Kind
from simulator.settings import Settings
from simulator.weight import Charge, WeightMeter
from tests.system.audit import Audited, Auditor, Totals, all_are_current, running_replica, until
from updater.replica import Replica

LIMITS: Final = (5, 100, 500)
PACE: Final = ("--limits", "5,100,500", "--cadence", "100:50,500:200", "--same-levels-ms", "100")
CARE: Final = ("--epoch-after-ms", "1000", "--watch-ms", "100")
HURT: Final = "BTCUSDT"
WELL: Final = "ETHUSDT"

MARKET: Final = Settings(symbols=2, varied=False, depth=400, changes=12, rate=20, hang_s=1)
"""Both sides fit into a snapshot and into the largest file: books are complete and need no second one."""

HASTE: Final = FeedLimits(
    connects_per_5_min=10_000,
    reconnect_initial_s=0.1,
    reconnect_maximum_s=1,
    idle_timeout_s=3,
    silent_after_s=2,
    silent_maximum_s=4,
)

pytestmark = pytest.mark.timeout(180)


class Case(NamedTuple):
    """How a kind is forced, and what a replica that met it has counted.

    ``first``: the opportunity comes as a replica begins, so the orders wait for that; the others are given
    to a replica that is up. ``given``: more of :meth:`simulator.faults.Faults.inject`.
    """

    first: bool
    met: Callable[[Totals], object]
    given: Mapping[str, Any] = {}


def seen(name: str, label: str = "") -> Callable[[Totals], object]:
    return lambda totals: totals[f"depthcast_{name}_total", label] > 0


CASES: Final[Mapping[Kind, Case]] = {
    Kind.GAP: Case(False, seen("gaps"), {"symbol": HURT, "count": 2}),
    Kind.STRAGGLER: Case(False, seen("diffs", "straggler"), {"symbol": HURT, "count": 5}),
    Kind.DUPLICATE: Case(False, seen("diffs", "straggler"), {"symbol": HURT, "count": 5}),
    # The late diff shows as a gap first, and as a straggler afterwards.
    Kind.REORDER: Case(False, seen("gaps"), {"symbol": HURT}),
    Kind.MALFORMED: Case(False, seen("malformed_frames"), {"symbol": HURT}),
    Kind.SILENT: Case(True, seen("feed_errors"), {"symbol": HURT}),
    Kind.GROUPING: Case(True, seen("diffs", "applied")),
    Kind.REFUSE: Case(True, seen("feed_errors")),
    Kind.DISCONNECT: Case(False, seen("feed_errors")),
    Kind.HALF_OPEN: Case(False, seen("feed_errors")),
    Kind.SHUTDOWN: Case(False, seen("diffs", "applied"), {"delay_s": 30.0}),
    Kind.STALE_SNAPSHOT: Case(True, seen("snapshots", "rest"), {"symbol": HURT, "ids": 2000}),
    Kind.SLOW_SNAPSHOT: Case(True, seen("snapshots", "rest"), {"symbol": HURT, "delay_s": 1.0}),
    Kind.FAILED_SNAPSHOT: Case(True, seen("snapshots", "rest")),
    Kind.REBASE: Case(False, seen("resyncs", "rebased"), {"symbol": HURT, "ids": 100_000}),
    Kind.THROTTLE: Case(True, seen("silences"), {"delay_s": 1.0}),
    Kind.BAN: Case(True, seen("silences"), {"delay_s": 1.0}),
}

ELSEWHERE: Final = (Kind.ERROR,)
"""What Binance's exchanges do not do: a request to subscribe is taken or refused as a whole."""


OF_IDS: Final = (
    *(Kind.GAP, Kind.STRAGGLER, Kind.DUPLICATE, Kind.REORDER, Kind.MALFORMED, Kind.GROUPING),
    *(Kind.DISCONNECT, Kind.STALE_SNAPSHOT, Kind.REBASE),
)
"""The kinds of which it matters how a venue counts its diffs."""


def test_each_kind_of_fault_has_its_case() -> None:
    assert {*CASES, *ELSEWHERE} == set(Kind)
    assert not CASES.keys() & {*ELSEWHERE}


@pytest.mark.parametrize("kind", CASES)
async def test_every_file_is_true_and_current_after_a_fault_of_kind(kind: Kind) -> None:
    await meet(kind, MARKET)


@pytest.mark.parametrize("kind", OF_IDS)
async def test_every_file_of_futures_is_true_and_current_after_a_fault_of_kind(kind: Kind) -> None:
    await meet(kind, replace(MARKET, futures=True, weight_limit=2400))


async def meet(kind: Kind, market: Settings) -> None:
    case = CASES[kind]
    async with Simulator(market) as sim:
        auditor = Auditor(sim.truth, BINANCE_USDM if market.futures else BINANCE)
        store = Audited(MemoryStore(), auditor)
        for _ in range(250):
            # A market with a past, for a snapshot to be old.
            sim.exchange.tick()
        wanted = force(sim, kind, case.given) if case.first else 0
        async with replica_on(sim, store, "a") as replica:
            if not case.first:
                await ready(replica)
                wanted = force(sim, kind, case.given)
            await until(lambda: not sim.faults.waiting and sim.faults.counts[kind] >= wanted > 0)
            await until(lambda: replica.report.ready and case.met(Totals([replica])))
            if kind is Kind.SHUTDOWN:
                await until(lambda: replica.report.status()["feed"]["rotations"] > 0)
            await until(lambda: all(state_of(replica, symbol) == "live" for symbol in (HURT, WELL)))
            await all_are_current(sim, auditor, LIMITS, 60)
            totals, resyncs = Totals([replica]), resyncs_of(replica)
            answered = replica.report.status()["rest"]["answered"]
        if kind in (Kind.STRAGGLER, Kind.DUPLICATE, Kind.GROUPING, Kind.SHUTDOWN):
            assert resyncs == {HURT: 0, WELL: 0}, "it costs no book anything"
        if kind in (Kind.GAP, Kind.REORDER, Kind.MALFORMED, Kind.REBASE):
            assert resyncs[HURT] > 0
            assert resyncs[WELL] == 0, "the other book is left alone"
        if kind is Kind.STALE_SNAPSHOT:
            assert answered > 3, "beside the list and a snapshot of each book, the old one was answered"
        if kind is Kind.REBASE:
            assert totals["depthcast_epoch_claims_total", "won"] > 0


def force(sim: Simulator, kind: Kind, given: Mapping[str, Any]) -> int:
    """Order a fault in each of its forms; returns how often it is to happen."""
    forms = FORMS.get(kind, ("",))
    if kind is Kind.SILENT:
        forms = ("next",)
    elif kind in TIMED_KINDS:
        # What cuts a connection finds it cut already the second time.
        forms = forms[:1]
    for form in forms:
        sim.faults.inject(kind, form=form, **given)
    return len(forms) * int(given.get("count", 1))


@pytest.mark.parametrize("form", FORMS[Kind.DISCONNECT])
async def test_a_lost_connection_costs_its_books_a_resync_and_no_file_its_truth(form: str) -> None:
    async with Simulator(MARKET) as sim:
        auditor = Auditor(sim.truth)
        async with replica_on(sim, Audited(MemoryStore(), auditor), "a") as replica:
            await ready(replica)
            (former,) = sim.exchange.connections
            sim.faults.inject(Kind.DISCONNECT, form=form)
            await until(lambda: sim.exchange.connections and former not in sim.exchange.connections)
            await until(lambda: min(resyncs_of(replica).values()) > 0)
            await all_are_current(sim, auditor, LIMITS, 60)


async def test_replicas_whose_diffs_are_cut_differently_write_the_same_bytes_at_the_same_id() -> None:
    """Each writes to a store of its own, so that all files of both are there to be compared."""
    # A market that stops is to have told all that happened to it.
    settings = replace(MARKET, partial_share=0)
    async with Simulator(settings) as sim, contextlib.AsyncExitStack() as stack:
        sim.faults.inject(Kind.GROUPING, count=2)
        auditors = [Auditor(sim.truth) for _ in range(2)]
        for name, auditor in zip("ab", auditors, strict=True):
            auditor.keep_limit = 100
            replica = await stack.enter_async_context(replica_on(sim, Audited(MemoryStore(), auditor), name))
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
            await all_are_current(sim, auditor, LIMITS)
        for symbol in (HURT, WELL):
            for limit in LIMITS:
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
    async with Simulator(MARKET) as sim:
        auditor = Auditor(sim.truth)
        failing = Failing(MemoryStore())
        store = Audited(failing, auditor)
        async with replica_on(sim, store, "a") as replica, replica_on(sim, store, "b"):
            await ready(replica)
            for _ in range(3):
                await failing.fail(25)
                await all_are_current(sim, auditor, LIMITS, 60)
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
    async with Simulator(MARKET) as sim:
        charges = sim.exchange.weights = Charges()
        auditor = Auditor(sim.truth)
        store = Audited(MemoryStore(), auditor)
        async with replica_on(sim, store, "b") as other:
            async with replica_on(sim, store, "a") as replica:
                await ready(replica, other)
            await all_are_current(sim, auditor, LIMITS)
            before = len(charges.entries)
            async with replica_on(sim, store, "a") as replica:
                await ready(replica)
                await all_are_current(sim, auditor, LIMITS)
                assert sources_of(replica) == {HURT: "file", WELL: "file"}
            asked = [weight for weight, _ in charges.entries[before:]]
            assert set(asked) <= {20}, "whose turn it is asks for the list of symbols"


async def test_no_replica_of_an_address_asks_during_a_ban_and_live_books_go_on() -> None:
    async with Simulator(MARKET) as sim, contextlib.AsyncExitStack() as stack:
        charges = sim.exchange.weights = Charges()
        auditor = Auditor(sim.truth)
        store = Audited(MemoryStore(), auditor)
        replicas = [await stack.enter_async_context(replica_on(sim, store, name)) for name in "ab"]
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
        await all_are_current(sim, auditor, LIMITS, 60)
        assert all(resyncs_of(replica)[WELL] == 0 for replica in replicas)


# What replicas say of themselves


@contextlib.asynccontextmanager
async def replica_on(sim: Simulator, store: Store, name: str) -> AsyncIterator[Replica]:
    urls = ("--rest-url", sim.rest_url, "--ws-url", sim.ws_url)
    venue = ("--venue", "binanceusdm") if sim.exchange.futures else ()
    argv: Sequence[str] = ("--symbols", "all", "--replica", name, *venue, *urls, *PACE, *CARE)
    async with running_replica(store, *argv, feed_limits=HASTE) as replica:
        yield replica


async def ready(*replicas: Replica) -> None:
    await until(lambda: all(replica.report.ready for replica in replicas), 60)


def state_of(replica: Replica, symbol: str) -> str:
    return next(each["state"] for each in replica.report.status()["symbols"] if each["symbol"] == symbol)


def resyncs_of(replica: Replica) -> dict[str, int]:
    return {each["symbol"]: each["resyncs"] for each in replica.report.status()["symbols"]}


def sources_of(replica: Replica) -> dict[str, str | None]:
    return {each["symbol"]: each["source"] for each in replica.report.status()["symbols"]}


def living(replica: Replica) -> list[str]:
    return replica.report.status()["fleet"]["living"]


def silent(replica: Replica) -> int:
    return replica.report.status()["rest"]["silent_for_ms"]
