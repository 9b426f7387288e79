"""Three replicas in this process, one store, one simulated exchange, and what goes wrong in a fleet.

Every file written is compared with the simulator's true book, and none may go back. Afterwards all files are
current and each symbol has one writer.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.feed import FeedLimits
from depthcast.files import DEPTH_PREFIX, depth_key, heartbeat_key
from depthcast.fleet import ranked
from depthcast.heartbeat import Heartbeat, State
from depthcast.store import Entry, Outcome, PutResult, Store, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore
from simulator.app import Simulator
from simulator.faults import Kind
from simulator.settings import Settings
from soak.proxy import Mode, Proxy
from tests.system.audit import Audited, all_are_current, auditor_of
from tests.system.replicas import Totals
from tests.system.waiting import until
from updater.replica import Replica
from updater.settings import UpdaterSettings

NAMES: Final = ("a", "b", "c")
LIMITS: Final = (5, 100, 500)
PACE: Final = ("--limits", "5,100,500", "--cadence", "100:100,500:400", "--same-levels-ms", "200")
CARE: Final = ("--epoch-after-ms", "1000", "--watch-ms", "100", "--leave-within-s", "20")
MARKET: Final = Settings(
    symbols=6, varied=False, depth=400, changes=10, weight_limit=1_000_000, connections_per_5min=100_000
)
CHAOS_S: Final = 10.0

HASTE: Final = FeedLimits(
    connects_per_5_min=10_000,
    open_timeout_s=3,
    reconnect_initial_s=0.1,
    reconnect_maximum_s=1,
    idle_timeout_s=4,
    silent_after_s=3,
    silent_maximum_s=6,
)

RATES: Final = {
    Kind.GAP: 0.002,
    Kind.STRAGGLER: 0.01,
    Kind.DUPLICATE: 0.01,
    Kind.REORDER: 0.002,
    Kind.MALFORMED: 0.002,
    Kind.GROUPING: 0.5,
    Kind.REFUSE: 0.2,
    Kind.DISCONNECT: 1 / 20,
    Kind.SHUTDOWN: 1 / 20,
    Kind.SLOW_SNAPSHOT: 0.1,
    Kind.FAILED_SNAPSHOT: 0.1,
    Kind.THROTTLE: 1 / 15,
}

pytestmark = pytest.mark.timeout(300)


class Way:
    """One replica's way to the store: it can be cut, and it counts what the replica wrote of files."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url, self.close = store.url, store.close
        self.cut = False
        self.won = self.lost = 0

    def _pass(self) -> None:
        if self.cut:
            raise StoreUnavailable("the way to the store is cut")

    async def get(self, key: str) -> StoredObject | None:
        self._pass()
        return await self._store.get(key)

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self._pass()
        return await self._store.peek(key, length)

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        self._pass()
        return await self._store.get_if_changed(key, etag)

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        self._pass()
        async for entry in self._store.list(prefix):
            yield entry

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        self._pass()
        return await self._store.list_after(folder, after, limit)

    async def put_if(self, key: str, body: bytes, *, match: str | None, **given: Any) -> PutResult:
        if self.cut:
            return PutResult(Outcome.UNKNOWN, reason="the way to the store is cut")
        result = await self._store.put_if(key, body, match=match, **given)
        if key.startswith(DEPTH_PREFIX):
            self.won += result.outcome is Outcome.WON
            self.lost += result.outcome is Outcome.LOST
        return result


class World:
    """The exchange, the store, and replicas that begin and end one by one."""

    def __init__(self, sim: Simulator, stack: contextlib.AsyncExitStack) -> None:
        self.sim = sim
        self.auditor = auditor_of(sim)
        self.store = Audited(MemoryStore(), self.auditor)
        self.ways: dict[str, Way] = {}
        """Of the replicas as they began last; ``_all_ways``: of those before them, too."""
        self._all_ways: list[Way] = []
        self.replicas: dict[str, Replica] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._stack = stack

    @property
    def symbols(self) -> list[str]:
        return list(self.sim.exchange.instruments)

    def begin(self, name: str, *, ws_url: str = "") -> Replica:
        """Start a replica, for the first time or again."""

        async def proven(store: Store) -> None:
            """The conformance suite proves stores."""

        urls = ("--rest-url", self.sim.rest_url, "--ws-url", ws_url or self.sim.ws_url)
        settings = UpdaterSettings.load(("--symbols", "all", "--replica", name, *urls, *PACE, *CARE), {})
        way = self.ways[name] = Way(self.store)
        self._all_ways.append(way)
        replica = self.replicas[name] = Replica(settings, way, prove=proven, feed_limits=HASTE)
        task = self.tasks[name] = asyncio.ensure_future(replica.run())
        self._stack.push_async_callback(self._end, replica, task)
        return replica

    async def _end(self, replica: Replica, task: asyncio.Task[None]) -> None:
        if not task.done():
            replica.stop()
            replica.give_up()
            await asyncio.wait({task}, timeout=30)
        if not task.cancelled():
            task.result()

    async def stop(self, name: str) -> None:
        """As SIGTERM does."""
        self.replicas[name].stop()
        await asyncio.wait_for(asyncio.shield(self.tasks[name]), 60)
        assert (await self.heartbeat(name)).state is State.GONE

    async def crash(self, name: str) -> None:
        """As kill -9 does: nothing is said, and nothing is finished."""
        self.ways[name].cut = True
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)
        assert (await self.heartbeat(name)).state is State.LIVE

    async def heartbeat(self, name: str) -> Heartbeat:
        found = await self.store.get(heartbeat_key(name))
        assert found is not None
        return Heartbeat.from_body(name, found.body)

    # What the replicas say

    @property
    def running(self) -> dict[str, Replica]:
        return {name: replica for name, replica in self.replicas.items() if not self.tasks[name].done()}

    def check(self) -> None:
        """Nobody has ended by itself."""
        for task in self.tasks.values():
            if task.done() and not task.cancelled():
                task.result()

    def roles(self, symbol: str) -> dict[str, str]:
        return {
            name: each["role"]
            for name, replica in self.running.items()
            for each in replica.report.status()["symbols"]
            if each["symbol"] == symbol
        }

    def settled(self) -> bool:
        """Whether those who run know each other, and of each symbol the first in rank alone writes."""
        self.check()
        names = sorted(self.running)
        return all(
            each.report.status()["fleet"]["living"] == names for each in self.running.values()
        ) and all(
            self.roles(symbol) == dict.fromkeys(names, "standby") | {ranked(symbol, names)[0]: "writer"}
            for symbol in self.symbols
        )

    async def current(self, bound_s: float = 90.0) -> None:
        await all_are_current(self.auditor, LIMITS, bound_s)

    def written(self) -> tuple[int, int]:
        """Files written by all replicas, and writes lost."""
        return sum(way.won for way in self._all_ways), sum(way.lost for way in self._all_ways)

    async def _wrote(self, files: int) -> None:
        await until(lambda: self.written()[0] >= files, 60)

    async def hardly_a_write_is_lost(self, writes: int) -> None:
        """Of so many in a row: soon, for a machine that stands still may have somebody take over."""
        share = 1.0
        for _ in range(10):
            won, lost = self.written()
            await self._wrote(won + writes)
            now_won, now_lost = self.written()
            share = (now_lost - lost) / (now_won - won + now_lost - lost)
            if share <= 0.01:
                return
        raise AssertionError(f"{share:.1%} of the writes are lost")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with Simulator(MARKET) as sim, contextlib.AsyncExitStack() as stack:
        yield World(sim, stack)


async def test_a_fleet_outlives_a_stop_a_crash_and_a_cut_under_faults(world: World) -> None:
    for name in NAMES:
        world.begin(name)
    await until(lambda: world.replicas and all(each.report.ready for each in world.replicas.values()), 60)
    await until(world.settled, 60)

    loop = asyncio.get_running_loop()
    begun, before = loop.time(), world.written()
    world.sim.faults.set_rates(RATES)
    await asyncio.sleep(1)
    await world.stop("a")
    world.begin("a")
    await asyncio.sleep(1)
    await world.crash("b")
    world.begin("b")
    await asyncio.sleep(1)
    # No reading that failed makes anybody dead, and who is cut off is soon taken for dead by the others.
    cut = world.ways["c"]
    cut.cut = True
    await asyncio.sleep(3)
    cut.cut = False
    await asyncio.sleep(max(0.0, begun + CHAOS_S - loop.time()))
    await until(lambda: world.sim.faults.counts.total() > 20, 60)
    world.sim.faults.clear()

    await world.current()
    await until(world.settled, 90)
    won, lost = world.written()
    assert lost - before[1] <= won - before[0], "even then most writes are not in vain"
    await world.hardly_a_write_is_lost(300)
    await until(world.settled, 60)


async def test_who_was_frozen_out_of_the_store_comes_back_and_overwrites_nothing(world: World) -> None:
    """Its book went on meanwhile, its knowledge of the files did not."""
    for name in NAMES[:2]:
        world.begin(name)
    await until(world.settled, 60)
    first = ranked(world.symbols[0], NAMES[:2])[0]
    other = "b" if first == "a" else "a"
    world.ways[first].cut = True
    await until(lambda: all(world.roles(symbol)[other] != "standby" for symbol in world.symbols), 60)
    await world.current()
    won = world.ways[first].won
    world.ways[first].cut = False
    await until(lambda: world.ways[first].won > won, 60)
    await until(world.settled, 60)
    await world.current()


@pytest.mark.parametrize("when", ["from the start", "later"])
async def test_who_hears_nothing_of_the_exchange_leaves_the_writing_to_others(
    world: World, when: Literal["from the start", "later"]
) -> None:
    """The way to its stream accepts connections and carries nothing."""
    proxy = Proxy(urlsplit(world.sim.ws_url).port or 0)
    await proxy.start()
    try:
        names = NAMES if when == "later" else NAMES[:2]
        for name in names:
            world.begin(name, ws_url=f"ws://127.0.0.1:{proxy.port}" if name == "c" else "")
        await until(world.settled, 60)
        proxy.set_mode(Mode.STALL)
        if when == "from the start":
            world.begin("c", ws_url=f"ws://127.0.0.1:{proxy.port}")
            await until(lambda: lives(world, "c"), 60)
        ahead = [symbol for symbol in world.symbols if ranked(symbol, NAMES)[0] == "c"]
        assert ahead, "it comes first for some"
        await until(lambda: all(acted_for(world, symbol) for symbol in ahead), 60)
        await world.current()
        won = world.ways["c"].won
        newest = {symbol: world.auditor.newest[depth_key(symbol, 5)][0] for symbol in world.symbols}
        for symbol, version in newest.items():
            await world.auditor.reached(symbol, 5, version.update_id + 100)
        await until(lambda: Totals([world.replicas["c"]])["depthcast_feed_errors_total", ""] > 0, 60)
        assert world.ways["c"].won == won, "it writes nothing"
        assert lives(world, "c"), "and lives"
        assert not world.replicas["c"].report.ready or when == "later"

        proxy.set_mode(Mode.OPEN)
        await until(world.settled, 90)
        await world.current()
        assert world.ways["c"].won > won, "what it hears again it writes again"
    finally:
        await proxy.close()


def lives(world: World, name: str) -> bool:
    """Whether the others take it for alive."""
    world.check()
    others = (replica for other, replica in world.running.items() if other != name)
    return all(name in replica.report.status()["fleet"]["living"] for replica in others)


def acted_for(world: World, symbol: str) -> bool:
    """Whether one of the others writes a symbol for which the third comes first."""
    world.check()
    roles = world.roles(symbol)
    return "acting" in (roles.get("a"), roles.get("b"))
