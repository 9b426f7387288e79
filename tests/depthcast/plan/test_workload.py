"""The counts of a plan beside those of real publishers, heartbeats and servers, a minute in virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal

import pytest

from depthcast.book import Book
from depthcast.events import Diff, Snapshot
from depthcast.files import depth_key
from depthcast.fleet import BEAT_EVERY_S, ranked
from depthcast.heartbeat import Heartbeat, Role, State, SymbolBeat
from depthcast.metadata.kinds import EXCHANGE_INFO
from depthcast.plan import workload
from depthcast.plan.workload import Flow, Kind, Purpose, Workload
from depthcast.store import Entry, PutResult, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore
from depthcast.venues.binance import Binance
from server.hot import HotFiles
from server.listener import Listener
from server.pulse import Pulse
from server.settings import ServerSettings
from tests import virtual
from tests.depthcast.metadata.documents import listing
from tests.depthcast.metadata.documents import symbol as listed
from tests.updater.publishing import Heard as PublisherHeard
from tests.updater.publishing import Live
from tests.updater.test_fleet import Heard as FleetHeard
from updater import fleet as beating
from updater import metadata, publisher, replica, watch
from updater.cadence import Cadence
from updater.documents import DocumentWriter
from updater.fleet import Fleet
from updater.listings import Listings
from updater.publisher import Publisher
from updater.settings import UpdaterSettings

LEVELS = 200
WARM_S, SECONDS = 5.0, 60.0


class _Loop(virtual.VirtualLoop):
    """Virtual time in which a reading of the clock takes a moment.

    A loop runs timers a nanosecond early, and who then waits for the rest of it would wait without end.
    """

    def time(self) -> float:
        self.now += 1e-10
        return self.now


class CountingStore(MemoryStore):
    """One party's way to a store that takes its time: requests, and bytes moved, by kind and folder."""

    def __init__(self, shared: MemoryStore, party: str, latency_s: float) -> None:
        super().__init__()
        self._objects = shared._objects
        self._shared = shared
        self._party = party
        self._latency_s = latency_s
        self.requests: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[tuple[str, str]] = Counter()

    async def _count(self, kind: str, key: str, moved: int = 0) -> None:
        folder = key.partition("/")[0]
        self.requests[kind, folder] += 1
        self.bytes[kind, folder] += moved

    async def get(self, key: str) -> StoredObject | None:
        await asyncio.sleep(self._latency_s)
        found = await super().get(key)
        await self._count("GET", key, len(found.body) if found else 0)
        return found

    async def peek(self, key: str, length: int) -> StoredObject | None:
        await asyncio.sleep(self._latency_s)
        await self._count("GET", key, length)
        return await super().peek(key, length)

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        await asyncio.sleep(self._latency_s)
        found = await super().get_if_changed(key, etag)
        await self._count("GET", key, len(found.body) if isinstance(found, StoredObject) else 0)
        return found

    async def put_if(self, key: str, body: bytes, **given: Any) -> PutResult:
        await asyncio.sleep(self._latency_s)
        await self._count("PUT", key, len(body))
        return await self._shared.put_if(key, body, **given)

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        await asyncio.sleep(self._latency_s)
        await self._count("LIST", prefix)
        async for entry in super().list(prefix):
            yield entry


@dataclass
class Run:
    """A fleet and its servers over one store, their requests counted."""

    given: Workload
    latency_s: float = 0.015
    stores: dict[str, CountingStore] = field(default_factory=dict)

    def count(self, kind: str, folder: str, *parties: str) -> tuple[float, float]:
        """Requests and bytes a second of all parties whose names begin so."""
        chosen = [store for name, store in self.stores.items() if name.startswith(parties)]
        return (
            sum(store.requests[kind, folder] for store in chosen) / SECONDS,
            sum(store.bytes[kind, folder] for store in chosen) / SECONDS,
        )

    def measure(self) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self._measure())

    async def _measure(self) -> None:
        shared = MemoryStore()
        given = self.given
        names = [f"replica-{number}" for number in range(given.replicas)]
        symbols = [f"S{number}USDT" for number in range(given.symbols)]
        tasks: list[asyncio.Task[Any]] = []
        market = {symbol: Market(given, symbol) for symbol in symbols}
        publishers: dict[str, list[Publisher]] = {symbol: [] for symbol in symbols}
        for name in names:
            store = self.stores[name] = CountingStore(shared, name, self.latency_s)
            held = [symbol for symbol in symbols if name in ranked(symbol, names)[: given.holders]]
            for symbol in held:
                made = self._publisher(store, name, market[symbol].live, ranked(symbol, names).index(name))
                publishers[symbol].append(made)
                tasks.append(asyncio.ensure_future(made.run()))
            fleet = self._fleet(store, name, held, names)
            tasks.append(asyncio.ensure_future(fleet.run()))
        for number, symbol in enumerate(symbols):
            phase_s = number / len(symbols) / given.updates_per_s
            tasks.append(asyncio.ensure_future(market[symbol].run(publishers[symbol], phase_s)))
        await asyncio.sleep(WARM_S / 2)
        keys = [depth_key(symbol, limit) for symbol in symbols for limit in given.every_s]
        for number in range(given.servers):
            store = self.stores[f"server-{number}"] = CountingStore(shared, "server", self.latency_s)
            files = HotFiles(store, refresh_s=given.refresh_s, clock=virtual.clock)
            tasks.append(asyncio.ensure_future(_ask(files, keys)))
            listener = Listener(
                store,
                Pulse(trust_s=2.0),
                every_s=given.heartbeats_s,
                clock=virtual.clock,
                wall_ms=lambda: round(virtual.clock() * 1000),
            )
            tasks.append(asyncio.ensure_future(listener.run()))
        await asyncio.sleep(WARM_S / 2)
        for store in self.stores.values():
            store.requests.clear()
            store.bytes.clear()
        await asyncio.sleep(SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _publisher(self, store: CountingStore, name: str, live: Live, rank: int) -> Publisher:
        async def confirm(symbol: str) -> int:
            raise AssertionError("ids do not go down here")

        return Publisher(
            live,
            store,
            replica=name,
            observer=PublisherHeard(),
            on_newer_epoch=lambda *_: None,
            confirm=confirm,
            limits=tuple(self.given.every_s),
            cadence=Cadence(tuple((limit, round(s * 1000)) for limit, s in self.given.every_s.items())),
            rank=rank,
            takeover_after_s=self.given.takeover_after_s,
            same_levels_s=self.given.same_levels_s,
            clock=virtual.clock,
            wall_ms=lambda: round(virtual.clock() * 1000) + 1_700_000_000_000,
            rng=Random(name),
        )

    def _fleet(self, store: CountingStore, name: str, held: list[str], names: list[str]) -> Fleet:
        part = SymbolBeat(role=Role.STANDBY, rank=1, live=True, id=35346513505, bids="5000", asks="5000")

        def compose(*, beat: int, state: State, silent_for_ms: int) -> Heartbeat:
            return Heartbeat(
                replica=name, beat=beat, state=state, started_ms=1, symbols=dict.fromkeys(held, part)
            )

        return Fleet(
            store,
            compose,
            replica=name,
            observer=FleetHeard(),
            on_reading=lambda: None,
            on_pause=lambda ms: None,
            clock=virtual.clock,
        )


class Market:
    """One symbol's updates; each changes one level, near the top as often as the workload says."""

    def __init__(self, given: Workload, symbol: str) -> None:
        bids = [[f"{1000 - n}.00000000", "1.00000000"] for n in range(LEVELS)]
        asks = [[f"{1001 + n}.00000000", "1.00000000"] for n in range(LEVELS)]
        self.live = Live(symbol, Book.of(Snapshot(10**10, bids, asks, True, True)))
        self._given = given
        self._rng = Random(symbol)

    async def run(self, publishers: list[Publisher], phase_s: float) -> None:
        await asyncio.sleep(phase_s)
        step_s = 1 / self._given.updates_per_s
        due = virtual.clock()
        while True:
            due += step_s
            await asyncio.sleep(due - virtual.clock())
            book = self.live.book
            assert book is not None
            last = book.update_id + 1
            level = [f"{1000 - self._rank()}.00000000", f"{1 + last % 9}.{last % 10**8:08}"]
            book.apply(Diff("", last, last, last, [level], []))
            self.live.changed_at = virtual.clock()
            for each in publishers:
                each.wake()

    def _rank(self) -> int:
        """So deep that the files of each limit change with their share of the updates."""
        chance, low = self._rng.random(), 0
        for limit, share in sorted(self._given.changes.items()):
            if chance < share:
                return self._rng.randrange(low, limit)
            low = limit
        return LEVELS - 1


async def _ask(files: HotFiles, keys: list[str]) -> None:
    """As clients that never cease do."""
    with suppress(asyncio.CancelledError):
        while True:
            for key in keys:
                await files.read(key)
            await asyncio.sleep(5)


GIVEN = {
    "a lively fleet of three": Workload(
        3, {5: 0.0, 20: 0.0, 100: 0.25}, changes={5: 0.4, 20: 0.7, 100: 1.0}, servers=1
    ),
    "five replicas, two for each symbol": Workload(
        5,
        {5: 0.1, 100: 1.0},
        changes={5: 0.5, 100: 0.95},
        replicas=5,
        redundancy=2,
        refresh_s=0.25,
        heartbeats_s=0.5,
    ),
    "quiet symbols": Workload(
        6, {20: 0.0, 100: 0.25}, updates_per_s=2, changes={20: 0.3, 100: 0.8}, servers=1, refresh_s=0.5
    ),
    "slow takeovers": Workload(
        3, {5: 0.0, 100: 0.5}, changes={5: 0.8, 100: 1.0}, takeover_after_s=1.5, servers=1, refresh_s=0.5
    ),
    "one alone": Workload(
        5, {5: 0.0, 100: 1.0}, changes={5: 0.1, 100: 1.0}, replicas=1, servers=1, refresh_s=0.5
    ),
}

MEASURED = {
    Purpose.WRITES: ("PUT", "api", "replica"),
    Purpose.LOOKS: ("GET", "api", "replica"),
    Purpose.BEATS: ("PUT", "fleet", "replica"),
    Purpose.BEATS_LISTED: ("LIST", "fleet", "replica", "server"),
    Purpose.BEATS_READ: ("GET", "fleet", "replica", "server"),
    Purpose.REFRESHES: ("GET", "api", "server"),
}


def flow(given: Workload, purpose: Purpose) -> Flow:
    return next(each for each in given.flows() if each.purpose is purpose)


@pytest.mark.parametrize("name", GIVEN)
def test_a_minute_of_a_real_fleet_makes_the_planned_requests(name: str) -> None:
    run = Run(GIVEN[name])
    run.measure()
    for purpose, where in MEASURED.items():
        planned = flow(run.given, purpose)
        per_s, bytes_per_s = run.count(*where)
        assert planned.per_s == pytest.approx(per_s, rel=0.1), purpose
        assert planned.bytes_per_s == pytest.approx(bytes_per_s, rel=0.15), purpose


LISTED = 300
"""Symbols in the list that the exchange answers."""


def in_list(number: int, status: str = "TRADING") -> Any:
    """One symbol of the list, with what the updaters read of it."""
    return listed(f"S{number}USDT", status, baseAssetPrecision=8, quoteAssetPrecision=8)


async def told_of_itself(given: Workload, seconds: float) -> tuple[Run, int]:
    """Replicas that look at the stored list, and one that compares what the exchange answers and keeps it.

    Also how many bytes the newest change has.
    """
    shared, made = MemoryStore(), Run(given)
    stores = made.stores
    for name in ("recorder", *(f"replica-{number}" for number in range(given.replicas))):
        stores[name] = CountingStore(shared, name, made.latency_s)
    began = virtual.clock()

    def wall_ms() -> int:
        return 1_700_000_000_000 + round((virtual.clock() - began) * 1000)

    async def inline(work: Any, /, *arguments: Any) -> Any:
        return work(*arguments)

    async def at_once() -> None:
        return None

    async def take(*_: Any) -> None:
        return None

    parse = Binance().parse_exchange_info
    followers = [
        Listings(store, ["S0USDT"], parse=parse, take=take, ask=lambda: None)
        for name, store in stores.items()
        if name != "recorder"
    ]
    recorder = DocumentWriter(
        stores["recorder"],
        EXCHANGE_INFO,
        replica="recorder",
        cuts=lambda: {f"S{number}USDT" for number in range(LISTED)},
        ready=at_once,
        wall_ms=wall_ms,
        aside=inline,
    )
    tasks = [asyncio.ensure_future(recorder.run())]
    tasks += [asyncio.ensure_future(each.run()) for each in followers]
    symbols = [in_list(number) for number in range(LISTED)]
    change_every_s = workload.DAY_S / given.changes_per_day if given.changes_per_day else float("inf")
    changes = 0
    recorder.offer(listing(wall_ms(), *symbols))
    await asyncio.sleep(WARM_S + given.symbols_every_s / 2)
    for store in stores.values():
        store.requests.clear()
        store.bytes.clear()
    measured_from = virtual.clock()
    while virtual.clock() - measured_from < seconds - given.symbols_every_s / 4:
        if virtual.clock() - measured_from >= (changes + 0.5) * change_every_s:
            changes += 1
            symbols[changes] = in_list(changes, "HALT")
        recorder.offer(listing(wall_ms(), *symbols))
        await asyncio.sleep(given.symbols_every_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    newest = await shared.get(EXCHANGE_INFO.head_key)
    assert newest is not None
    return made, len(newest.body)


@pytest.mark.parametrize("changes_per_day", [0.0, 2.0 * 144])
def test_twenty_minutes_of_real_polls_make_the_planned_requests(changes_per_day: float) -> None:
    seconds = 1200.0
    body = listing(1_700_000_000_000, *map(in_list, range(LISTED)))
    given = Workload(
        1, {5: 0.0}, servers=0, changes_per_day=changes_per_day, list_bytes=len(body), symbols_every_s=60.0
    )
    with asyncio.Runner(loop_factory=_Loop) as runner:
        run, change_bytes = runner.run(told_of_itself(given, seconds))
    given = replace(given, change_bytes=change_bytes)

    def counted(kind: str, *parties: str) -> tuple[float, float]:
        counts = [run.count(kind, folder, *parties) for folder in ("api", "metadata", "history")]
        return tuple(sum(each) * SECONDS / seconds for each in zip(*counts, strict=True))

    looked, recorded = flow(given, Purpose.LISTS), flow(given, Purpose.CHANGES)
    assert looked.per_s == pytest.approx(counted("GET", "replica")[0], rel=0.1)
    assert looked.bytes_per_s == pytest.approx(counted("GET", "replica")[1], rel=0.15)
    assert recorded.per_s == pytest.approx(counted("PUT", "recorder")[0], rel=0.1)
    assert recorded.bytes_per_s == pytest.approx(counted("PUT", "recorder")[1], rel=0.15)
    if not changes_per_day:
        assert flow(given, Purpose.POLLS).per_s == pytest.approx(counted("GET", "recorder")[0], rel=0.1)


def test_constants_are_those_of_the_services() -> None:
    server = ServerSettings.model_fields
    assert workload.BEAT_EVERY_S == BEAT_EVERY_S
    assert workload.FLEET_READ_EVERY_S == beating.READ_EVERY_S
    assert workload.LOOK_EVERY_S == publisher.LOOK_EVERY_S
    assert (workload.UNHURRIED, workload.MARKS_EVERY) == (watch.UNHURRIED, watch.MARKS_EVERY)
    assert workload.MARGIN == watch.MARGIN
    assert replica.MARKS_EVERY_S == workload.SYMBOLS_LISTED_EVERY_S
    assert server["heartbeats_ms"].default == Workload(1, {5: 0.0}).heartbeats_s * 1000
    assert server["refresh_ms"].default == Workload(1, {5: 0.0}).refresh_s * 1000
    assert server["symbols_refresh_s"].default == workload.SERVER_LISTS_EVERY_S
    assert server["exchange_info_refresh_s"].default == workload.SERVER_READS_LIST_EVERY_S
    assert metadata.LOOK_EVERY_S == workload.LIST_LOOKED_AT_EVERY_S
    updater = UpdaterSettings.model_fields
    assert updater["symbols_every_s"].default == Workload(1, {5: 0.0}).symbols_every_s


@pytest.mark.parametrize(
    ("updates_per_s", "every_s", "share", "interval_s"),
    [
        (10, 0.0, 1.0, 0.1),
        (10, 0.25, 1.0, 0.25),
        (2, 0.25, 1.0, 0.5),
        # Updates that change nothing wait for the second to be full, or for one that does.
        (10, 0.0, 1e-9, 1.0),
        (0.5, 0.0, 1e-9, 2.0),
        (2, 0.0, 0.5, 0.75),
        (10, 2.0, 0.5, 2.0),
    ],
)
def test_a_file_is_written_as_its_cadence_and_its_levels_have_it(
    updates_per_s: float, every_s: float, share: float, interval_s: float
) -> None:
    given = Workload(1, {5: every_s}, updates_per_s=updates_per_s, changes={5: share})
    assert given.write_interval_s(5) == pytest.approx(interval_s)


def test_shares_of_updates_grow_between_the_limits_that_are_known() -> None:
    given = Workload(1, {5: 0.0})
    shares = [given.change(limit) for limit in (1, 5, 7, 10, 75, 100, 2000, 5000)]
    assert shares == sorted(shares)
    assert shares[0] == shares[1] == 0.863
    assert 0.863 < shares[2] < shares[3] == 0.919
    # Beyond the deepest limit that was measured nothing more is known.
    assert Workload(1, {500: 0.0}, changes={5: 0.4, 100: 0.9}).change(500) == 0.9


def test_sizes_are_those_of_a_recorded_book() -> None:
    # ETHUSDT of 2024-08-08, after 2,998 updates.
    seen = {5: 357, 10: 667, 20: 1289, 50: 3162, 100: 6271, 500: 31151, 1000: 62193, 5000: 310258}
    given = Workload(1, dict.fromkeys(seen, 0.0))
    for limit, size in seen.items():
        assert given.file_bytes(limit) == pytest.approx(size, rel=0.02)


def test_what_is_kept_are_the_files_and_the_heartbeats() -> None:
    given = Workload(3, {5: 0.0, 100: 0.25}, replicas=2)
    files = 3 * (given.file_bytes(5) + given.file_bytes(100))
    bare, each = workload.HEARTBEAT_BYTES
    assert given.files == 6
    # Both replicas hold all three symbols.
    assert given.stored_bytes - given.history_bytes == pytest.approx(files + 2 * (bare + 3 * each))
    # 400 days of 20 changes of 150 kB, the newest once more, and the list.
    assert given.history_bytes == 8001 * 150_000 + 4_000_000
    assert replace(given, changes_per_day=0).history_bytes == 0


def test_every_purpose_is_counted_once_and_listings_come_in_pages() -> None:
    given = Workload(1000, {5: 0.0, 100: 0.25}, replicas=3, servers=2, hot_files=10, taped=10)
    flows = list(given.flows())
    assert [each.purpose for each in flows] == list(Purpose)
    # 2,000 files are two pages, listed every 300 s by three replicas and every 10 s by two servers.
    assert flow(given, Purpose.LISTINGS).per_s == pytest.approx(2 * (3 / 300 + 2 / 10))
    assert flow(given, Purpose.BEATS_LISTED).per_s == pytest.approx(3 / 0.5 + 2 / 1.0)
    # Ten of the files are asked for, of each server, a little before they are 0.1 s old.
    assert flow(given, Purpose.REFRESHES).per_s == pytest.approx(2 * 10 / 0.09)
    # Four starts a month of each replica: two whole files of each symbol held, a look at each file to write.
    starts_per_s = 3 * 4 / (30 * 86_400)
    reads = starts_per_s * 1000 * 2
    assert flow(given, Purpose.STARTS).per_s == pytest.approx(reads + starts_per_s * 1000 / 3 * 2)
    assert flow(given, Purpose.STARTS).bytes_per_s == pytest.approx(reads * given.file_bytes(100))


def test_taped_symbols_are_a_recording_each_and_what_is_not_taped_asks_nothing() -> None:
    given = Workload(20, {5: 0.0}, replicas=3, taped=10, tape_days=7, heat_days=2)
    each = given.recording
    assert (given.tape_bytes, given.heat_bytes) == (10 * 7 * each.day_bytes, 10 * 2 * each.heat_day_bytes)
    assert flow(given, Purpose.TAPE) == (
        Purpose.TAPE,
        Kind.PUT,
        10 * each.puts_per_s,
        10 * each.written_per_s,
    )
    # Both standbys of each symbol look once a minute whether its segment is there.
    looks_per_s = 10 * 2 / 60
    assert flow(given, Purpose.TAPE_READ).per_s == pytest.approx(10 * each.gets_per_s + looks_per_s)
    alone = replace(given, replicas=1)
    assert flow(alone, Purpose.TAPE_READ).per_s == pytest.approx(10 * each.gets_per_s)
    assert flow(given, Purpose.HEAT).per_s == pytest.approx(10 * each.heat_puts_per_s)
    assert flow(given, Purpose.HEAT_READ).bytes_per_s == pytest.approx(10 * each.heat_read_per_s)
    heat, tape = {Purpose.HEAT, Purpose.HEAT_READ}, {Purpose.TAPE, Purpose.TAPE_READ}
    cold = replace(given, heatmap=False)
    assert set(Purpose) - {each.purpose for each in cold.flows()} == heat
    assert (cold.tape_bytes, cold.heat_bytes) == (given.tape_bytes, 0)
    untaped = replace(given, taped=0)
    assert set(Purpose) - {each.purpose for each in untaped.flows()} == heat | tape
    assert untaped.tape_bytes == untaped.heat_bytes == 0


def test_what_is_not_asked_for_is_not_looked_at() -> None:
    alone = Workload(1, {5: 0.0}, symbols_every_s=0, servers=0)
    assert [flow(alone, each).per_s for each in (Purpose.LISTS, Purpose.POLLS)] == [0, 0]
    # A list that is asked for each second is looked at as often; the status is a poll of its own.
    asked = Workload(1, {5: 0.0}, symbols_every_s=1, system_status_every_s=30, servers=0)
    assert flow(asked, Purpose.LISTS).per_s == pytest.approx(3)
    assert flow(asked, Purpose.POLLS).per_s == pytest.approx(2 + 2 / 30)


def test_readers_are_served_what_they_ask_for() -> None:
    given = Workload(1, {100: 0.0}, readers=20, reads_per_s=2.0, read_limit=5)
    assert given.served_bytes_per_s == pytest.approx(40 * given.file_bytes(5))
    assert Workload(1, {100: 0.0}).served_bytes_per_s == 0


def test_more_replicas_write_no_more_files_and_look_more_often() -> None:
    one, three = (Workload(10, {5: 0.0, 100: 0.0}, replicas=count) for count in (1, 3))
    assert flow(one, Purpose.WRITES) == flow(three, Purpose.WRITES)
    assert flow(one, Purpose.LOOKS).per_s == 0
    assert 20 < flow(three, Purpose.LOOKS).per_s <= 10 * 2 * 2
    shared = Workload(10, {5: 0.0, 100: 0.0}, replicas=6, redundancy=2)
    assert flow(shared, Purpose.LOOKS).per_s == pytest.approx(10 / shared.look_interval_s(1))


@pytest.mark.parametrize(
    "given",
    [
        {"symbols": 0},
        {"replicas": 0},
        {"every_s": {}},
        {"updates_per_s": 0},
        {"changes": {5: 1.5}},
        {"changes": {}},
        {"changes_per_day": -1},
        {"taped": 2},
        {"taped": 1, "segment_s": 0},
        {"tape_days": -1},
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"symbols": 1, "every_s": {5: 0.0}} | given
    with pytest.raises(ValueError, match=r"plan needs|greater than 0|less than 0|no more symbols are taped"):
        Workload(**whole)
