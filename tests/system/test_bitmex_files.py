"""BitMEX's books as files: the simulated exchange, updaters, a store, the server, and what fails of it.

Each file and each answer is the exchange's own body at the row that its update id counts, byte for byte; none
goes back; what hurts one instrument's book leaves the files of the others alone. Nothing numbers the
exchange's messages, so one that never arrives is noticed by what it leads to, and not before: until then the
files of that instrument, and of no other, may be wrong.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import httpx
import pytest

from depthcast.feed import FeedLimits
from depthcast.files import Version, check_file, parse_key
from depthcast.store import PutResult, Store
from depthcast.store.memory import MemoryStore
from depthcast.unsequenced import BITS_OF_MS
from depthcast.venues.bitmex_files import BITMEX
from server.service import Service
from server.settings import ServerSettings
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.market import Market
from simulator.bitmex.settings import Settings
from simulator.faults import Kind
from updater.replica import Replica
from updater.settings import UpdaterSettings

HURT: Final = "XBTUSD"
WELL: Final = "ETHUSD"
SYMBOLS: Final = (HURT, WELL)
WAIT_S: Final = 60.0

HASTE: Final = FeedLimits(
    connects_per_5_min=10_000,
    control_interval_s=0.05,
    reconnect_initial_s=0.05,
    reconnect_maximum_s=0.2,
    refused_initial_s=0.2,
    probe_after_s=1.0,
    idle_timeout_s=2.0,
    silent_after_s=1.0,
    max_age_s=float("inf"),
)

OF_MESSAGES: Final = (
    (Kind.DUPLICATE, ""),
    (Kind.STRAGGLER, ""),
    (Kind.REORDER, ""),
    (Kind.GAP, ""),
    (Kind.REBASE, ""),
)
OF_THE_WAY: Final = (
    (Kind.THROTTLE, ""),
    (Kind.MALFORMED, "json"),
    (Kind.MALFORMED, "missing"),
    (Kind.DISCONNECT, "abort"),
    (Kind.HALF_OPEN, ""),
)
OF_BEGINNINGS: Final = (
    (Kind.BAN, ""),
    (Kind.SILENT, "next"),
    (Kind.ERROR, ""),
    (Kind.REFUSE, "status"),
    (Kind.REFUSE, "abort"),
    (Kind.SHUTDOWN, ""),
)
RECONNECTED: Final = (Kind.SILENT, Kind.ERROR, Kind.REFUSE)
"""What comes with a new connection, so that the old one is cut."""
OF_CONNECTIONS: Final = (
    *(Kind.THROTTLE, Kind.DISCONNECT, Kind.HALF_OPEN),
    *(Kind.REFUSE, Kind.SHUTDOWN, Kind.BAN),
)
OF_SNAPSHOTS: Final = (Kind.STALE_SNAPSHOT, Kind.SLOW_SNAPSHOT, Kind.FAILED_SNAPSHOT)
"""REST is asked for a book before an epoch is claimed, and only then."""
HELD: Final = (Kind.THROTTLE, Kind.BAN)
"""Lasts until it was noticed, by whoever asked for a list. It comes first: lists are asked for only so often
in a minute."""
UNNOTICED: Final = (Kind.DUPLICATE, Kind.STRAGGLER, Kind.REORDER, Kind.GAP)
"""What no stream without numbers shows at once. Of a message that cannot be read it is known that it is
missing; where that does not tell whose it was, all books of its connection begin anew."""

pytestmark = pytest.mark.timeout(180)


def is_true(market: Market, update_id: int, depth: int, body: bytes) -> bool:
    """Whether a body is the exchange's own at the row that the id counts."""
    time_ms, count = update_id >> BITS_OF_MS, update_id & ((1 << BITS_OF_MS) - 1)
    return body in market.bodies_after(time_ms, count, depth)


class Audited:
    """A store that holds every write it makes against the exchange's books.

    Those of ``borne`` symbols are counted in ``untrue`` where they are wrong.
    """

    def __init__(self, sim: BitmexSimulator) -> None:
        self._sim = sim
        self._store: Store = MemoryStore()
        self.url = self._store.url
        self.list, self.list_after, self.close = self._store.list, self._store.list_after, self._store.close
        self.get, self.peek, self.get_if_changed = (
            self._store.get,
            self._store.peek,
            self._store.get_if_changed,
        )
        self.newest: dict[str, Version] = {}
        self.true: dict[str, Version] = {}
        self.writers: dict[str, str] = {}
        self.checked: Counter[str] = Counter()
        self.untrue: Counter[str] = Counter()
        self.borne: set[str] = set()
        self.wrong: list[str] = []

    async def put_if(
        self,
        key: str,
        body: bytes,
        *,
        match: str | None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
        cache_control: str | None = None,
    ) -> PutResult:
        result = await self._store.put_if(
            key, body, match=match, metadata=metadata, content_type=content_type, cache_control=cache_control
        )
        if result.etag is not None and key.startswith(BITMEX.depth_prefixes):
            version, info = check_file(key, body, metadata or {})
            symbol, depth = parse_key(key)
            if version < self.newest.get(key, Version(0, 0)):
                self.wrong.append(f"{key} went back to {version}")
            market = self._sim.exchange.markets[symbol]
            if is_true(market, version.update_id, depth, body):
                self.true[key] = version
            else:
                self.untrue[symbol] += 1
                if symbol not in self.borne:
                    self.wrong.append(f"{key} at {version}: {body[:300]!r}")
            self.newest[key] = version
            self.writers[symbol] = info.replica
            self.checked[key] += 1
        return result

    def time_ms(self, symbol: str) -> tuple[int, int]:
        """Epoch and time of the oldest of an instrument's files, of those that are true."""
        oldest = min(
            self.true[key]
            if self.true.get(key) == self.newest.get(key) and key in self.true
            else Version(0, 0)
            for key in (BITMEX.key(symbol, depth) for depth in BITMEX.limits)
        )
        return oldest.epoch, oldest.update_id >> BITS_OF_MS


async def until(true: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
    """Wait until it is, with a bound."""
    end = asyncio.get_running_loop().time() + WAIT_S
    while not true():
        assert asyncio.get_running_loop().time() < end, what()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def simulated(**settings: Any) -> AsyncIterator[BitmexSimulator]:
    # Few rows, so that what is lost of any of them shows among the best ten before long.
    made: dict[str, Any] = {"depth": 12, "changes": 3, "rate": 40, "hang_s": 1, "varied": False}
    made |= {"requests_a_minute": 100_000, "connections_an_hour": 100_000, "subscriptions_an_hour": 100_000}
    async with BitmexSimulator(Settings(symbols=SYMBOLS, **made | settings)) as sim:
        yield sim


def replica_of(sim: BitmexSimulator, store: Store, name: str, *more: str) -> Replica:
    argv = ["--venue", "bitmex", "--symbols", ",".join(SYMBOLS), "--replica", name]
    argv += ["--rest-url", sim.rest_url, "--ws-url", sim.ws_url]
    argv += ["--cadence", "100:0,500:50,1000:100", "--same-levels-ms", "200", "--watch-ms", "100"]
    argv += ["--symbols-every-s", "0.5", "--epoch-after-ms", "1000", "--disagree-for-s", "1"]
    argv += more

    async def proven(store: Store) -> None:
        """The conformance suite proves stores."""

    return Replica(
        UpdaterSettings.load(argv, {}),
        store,
        prove=proven,
        wall_ms=sim.exchange.wall_ms,
        feed_limits=HASTE,
    )


@contextlib.asynccontextmanager
async def running(replica: Replica) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(replica.run())
    try:
        yield task
        assert task.cancelled() or not task.done(), task.exception()
    finally:
        replica.stop()
        replica.give_up()
        await asyncio.gather(task, return_exceptions=True)


def counted(replica: Replica, name: str, **labels: str) -> float:
    value = replica.metrics.registry.get_sample_value(f"depthcast_{name}_total", labels)
    assert value is not None, name
    return value


def resyncs(replica: Replica) -> dict[str, int]:
    return {each["symbol"]: each["resyncs"] for each in replica.report.status()["symbols"]}


async def caught_up(sim: BitmexSimulator, store: Audited) -> None:
    """Wait until each file is true, and at what its market is at now, or beyond it."""
    epochs = {name: store.newest[BITMEX.key(name, 10)].epoch for name in SYMBOLS}
    targets = {name: sim.exchange.markets[name].time_ms for name in SYMBOLS}

    def there(name: str) -> bool:
        assert store.wrong == []
        epoch, time_ms = store.time_ms(name)
        market = sim.exchange.markets[name]
        # Where times were set back, a file of the former count is not what is waited for.
        return time_ms >= targets[name] and time_ms <= market.time_ms and epoch >= epochs[name]

    await until(
        lambda: all(map(there, SYMBOLS)), lambda: (targets, store.newest, store.true, dict(store.untrue))
    )


@pytest.mark.parametrize(
    "faults", [OF_MESSAGES, OF_THE_WAY, OF_BEGINNINGS], ids=["messages", "the way", "beginnings"]
)
async def test_every_file_and_answer_is_the_exchange_s_whatever_goes_wrong(
    faults: tuple[tuple[Kind, str], ...],
) -> None:
    async with simulated() as sim:
        store = Audited(sim)
        replica = replica_of(sim, store, "a")
        async with running(replica), serving(store) as client:
            await until(lambda: replica.report.ready)
            await caught_up(sim, store)
            reading = asyncio.ensure_future(read_answers(client, sim, store))
            for kind, form in faults:
                hurt = None if kind in OF_CONNECTIONS else HURT
                ids = 60_000 if kind is Kind.REBASE else 0
                count = 2 if kind is Kind.SILENT else 1  # of both topics
                delay_s = 3600 if kind in HELD else 0
                before, happened = resyncs(replica), sim.faults.counts[kind]
                silences = counted(replica, "silences")
                if kind in UNNOTICED:
                    store.borne.add(HURT)
                # What cuts a connection needs one: a frame that was not read had it opened again.
                await until(lambda: sim.exchange.connections)
                sim.faults.inject(kind, form=form, symbol=hurt, ids=ids, count=count, delay_s=delay_s)
                for other in OF_SNAPSHOTS if kind is Kind.REBASE else ():
                    sim.faults.inject(other, symbol=HURT)
                if kind in RECONNECTED:
                    sim.faults.inject(Kind.DISCONNECT, form="abort")
                happened += count
                await until(lambda k=kind, n=happened: sim.faults.counts[k] >= n, lambda k=kind: k)  # type: ignore[misc]
                if kind in HELD:
                    await until(lambda n=silences: counted(replica, "silences") > n)  # type: ignore[misc]
                    sim.exchange.throttle(0, ban=True)
                if kind in (*RECONNECTED, Kind.SHUTDOWN, Kind.DISCONNECT, Kind.HALF_OPEN) or form == "json":
                    await until(lambda b=before: all(resyncs(replica)[n] > b[n] for n in SYMBOLS))  # type: ignore[misc]
                if kind is Kind.REBASE:
                    await until(lambda b=before: resyncs(replica)[HURT] > b[HURT], lambda k=kind: k)  # type: ignore[misc]
                await caught_up(sim, store)
                store.borne.clear()
                if kind not in OF_CONNECTIONS and form != "json":
                    with_all = 1 if kind in RECONNECTED else 0
                    assert resyncs(replica)[WELL] == before[WELL] + with_all, f"{kind} of one broke the other"
                await caught_up(sim, store)
            assert not reading.done(), reading.exception()
            reading.cancel()
            answers = (await asyncio.gather(reading, return_exceptions=True))[0]
            assert isinstance(answers, asyncio.CancelledError)
        assert not sim.faults.waiting
        assert set(store.untrue) <= {HURT}
        assert min(store.checked.values()) > 5
        assert len(store.checked) == len(SYMBOLS) * len(BITMEX.limits)
        # Times that went back cost an epoch, of the one instrument.
        assert store.newest[BITMEX.key(HURT, 0)].epoch == sim.faults.counts[Kind.REBASE]
        assert store.newest[BITMEX.key(WELL, 0)].epoch == 0
        for kind in OF_SNAPSHOTS:
            assert sim.faults.counts[kind] == sim.faults.counts[Kind.REBASE]
        assert counted(replica, "diffs", verdict="agrees") > 20


async def test_who_may_not_connect_any_more_waits_and_the_other_replica_goes_on() -> None:
    async with simulated(connections_an_hour=2) as sim:
        store = Audited(sim)
        first, second = (replica_of(sim, store, name) for name in "ab")
        async with running(first):
            await until(lambda: first.report.ready)
            (its,) = sim.exchange.connections
            async with running(second):
                await until(lambda: second.report.ready)
                sim.faults.inject(Kind.DISCONNECT, connection=its, form="abort")
                # The lost connection. It was told that hardly another one is left, and asks for none.
                await until(lambda: counted(first, "feed_errors") == 1)
                await until(lambda: set(store.writers.values()) == {"b"}, lambda: store.writers)
                await caught_up(sim, store)
                assert counted(first, "feed_errors") == 1, "it asked again"
                assert resyncs(second) == dict.fromkeys(SYMBOLS, 0)
        assert not store.untrue


async def test_replicas_whose_messages_are_cut_otherwise_write_the_same_files() -> None:
    """Each connection has its messages in other pieces, and the second follows where the first one dies."""
    async with simulated(depth=60, rates={Kind.GROUPING: 1.0}) as sim:
        store = Audited(sim)
        first, second = (replica_of(sim, store, name) for name in "ab")
        async with running(first) as task, running(second):
            await until(lambda: first.report.ready and second.report.ready)
            await caught_up(sim, store)
            sources = {each["source"] for each in second.report.status()["symbols"]}
            assert sources == {"stream"}
            task.cancel()
            await until(lambda: set(store.writers.values()) == {"b"}, lambda: store.writers)
            await caught_up(sim, store)
            assert resyncs(second) == dict.fromkeys(SYMBOLS, 0)
        assert not store.untrue


@contextlib.asynccontextmanager
async def serving(store: Any) -> AsyncIterator[httpx.AsyncClient]:
    service = Service(ServerSettings.load(["--venues", "bitmex"], {}), store)
    work = asyncio.ensure_future(service.run())
    await until(lambda: service.catalogue.known)
    transport = httpx.ASGITransport(service.app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield client
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await service.close()


async def read_answers(client: httpx.AsyncClient, sim: BitmexSimulator, store: Audited) -> None:
    """Ask for every book, over and over: answers are true, never go back, and are 304 to who has them."""
    seen: dict[str, tuple[int, int]] = {}
    while True:
        for symbol in SYMBOLS:
            for depth in (1, 10, 25, 77, 0):
                path = f"/api/v1/orderBook/L2?symbol={symbol}&depth={depth}"
                answer = await client.get(path)
                if answer.status_code == 404:
                    continue  # before the first listing of its files
                assert answer.status_code == 200, answer.text
                epoch, update_id = map(int, answer.headers["depthcast-version"].split(":"))
                market = sim.exchange.markets[symbol]
                true = is_true(market, update_id, depth, answer.content)
                assert true or store.untrue[symbol], path
                assert (epoch, update_id) >= seen.get(path, (0, 0))
                seen[path] = epoch, update_id
                has = {"If-None-Match": answer.headers["etag"]}
                again = await client.get(f"/bitmex{path}", headers=has)
                assert again.status_code in (200, 304)
        await asyncio.sleep(0.02)


async def test_the_server_answers_and_refuses_as_the_exchange_does() -> None:
    async with simulated() as sim:
        store = Audited(sim)
        replica = replica_of(sim, store, "a")
        async with running(replica):
            await until(lambda: replica.report.ready)
            await asks_and_is_refused(store)


async def asks_and_is_refused(store: Audited) -> None:
    async with serving(store) as client:
        book = "/api/v1/orderBook/L2"
        for query, rows in (("", 12), ("&depth=3", 3), ("&depth=0", 12)):
            shown = (await client.get(f"{book}?symbol={HURT}{query}")).json()
            sides = Counter(row["side"] for row in shown)
            assert sides["Buy"] == rows or rows == 12 <= sides["Buy"] + 6, (query, sides)
            prices = [row["price"] for row in shown]
            assert prices == sorted(prices, reverse=True)
        required = {"error": {"message": "'symbol' is a required arg.", "name": "HTTPError"}}
        natural = {"error": {"message": "'depth' must be a non-negative integer.", "name": "HTTPError"}}
        unknown = {"error": {"message": "Not Found", "name": "HTTPError"}}
        for path, status, body in (
            (book, 400, required),
            (f"{book}?symbol={HURT}&depth=-1", 400, natural),
            (f"/bitmex{book}?symbol=NOSUCH", 404, unknown),
        ):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (status, body)
        assert json.loads((await client.get("/api/v1")).content)["name"] == "BitMEX API"
