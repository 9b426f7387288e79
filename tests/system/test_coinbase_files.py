"""Coinbase by order as files: the simulated exchange, updaters, a store, the server, and what fails of it.

Each file and each answer is the exchange's own body at its sequence, byte for byte; none goes back; what
hurts one product's book leaves the files of the others alone.
"""

import asyncio
import base64
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from depthcast.feed import FeedLimits
from depthcast.files import COINBASE, Version, check_file, parse_key
from depthcast.store import PutResult, Store
from depthcast.store.memory import MemoryStore
from depthcast.venues.coinbase_signing import CoinbaseKey
from server.service import Service
from server.settings import ServerSettings
from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.journal import OrderJournal, rfc3339
from simulator.coinbase.session import Session
from simulator.coinbase.settings import Settings
from simulator.faults import Kind
from updater.replica import Replica
from updater.settings import UpdaterSettings

HURT: Final = ("BTC-USD", "SKL-BTC")
"""In turn, for a book that breaks again at once is built the later."""
WELL: Final = "ETH-USD"
PRODUCTS: Final = (*HURT, WELL)
KEY_TEXT: Final = f"0123456789abcdef\npassphrase\n{base64.b64encode(b'a secret of some length').decode()}\n"
WAIT_S: Final = 60.0

HASTE: Final = FeedLimits(
    connects_per_5_min=10_000,
    reconnect_initial_s=0.05,
    reconnect_maximum_s=0.2,
    refused_initial_s=0.2,
    silent_after_s=1,
    idle_timeout_s=3,
)

FAULTS: Final = (
    (Kind.DUPLICATE, ""),
    (Kind.STRAGGLER, ""),
    (Kind.GAP, ""),
    (Kind.REORDER, ""),
    (Kind.MALFORMED, "json"),
    (Kind.FAILED_SNAPSHOT, "truncated"),
    (Kind.STALE_SNAPSHOT, ""),
    (Kind.THROTTLE, ""),
    (Kind.DISCONNECT, "abort"),
    (Kind.HALF_OPEN, ""),
)
NEVER_MET: Final = (Kind.GROUPING,)
"""Each order is told by a message of its own, so that nothing is to be cut otherwise."""
OF_SNAPSHOTS: Final = (Kind.FAILED_SNAPSHOT, Kind.STALE_SNAPSHOT)
OF_BOOKS: Final = (Kind.GAP, Kind.REORDER, Kind.MALFORMED, *OF_SNAPSHOTS)
OF_CONNECTIONS: Final = (Kind.DISCONNECT, Kind.HALF_OPEN)
OF_ALL: Final = (Kind.THROTTLE, *OF_CONNECTIONS)

pytestmark = pytest.mark.timeout(180)


class Audited:
    """A store that holds every write it makes against the exchange's books."""

    def __init__(self, sim: CoinbaseSimulator) -> None:
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
        self.writers: dict[str, str] = {}
        self.checked: Counter[str] = Counter()
        self._journals: dict[str, list[OrderJournal]] = {}

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
        if result.etag is not None and key.startswith(COINBASE.depth_prefixes):
            version, info = check_file(key, body, metadata or {})
            symbol, level = parse_key(key)
            assert version >= self.newest.get(key, Version(0, 0)), f"{key} went back"
            assert self.is_true(symbol, level, version.update_id, body), f"{key} at {version}"
            self.newest[key] = version
            self.writers[symbol] = info.replica
            self.checked[key] += 1
        return result

    def is_true(self, symbol: str, level: int, sequence: int, body: bytes) -> bool:
        """Whether a body is the exchange's own at a sequence, in whichever count of them."""
        journals = self._journals.setdefault(symbol, [])
        journal = self._sim.exchange.markets[symbol].journal
        if journal not in journals:
            journals.append(journal)
        return any(each.holds(sequence) and each.body(sequence, level) == body for each in journals)

    def at(self, symbol: str) -> int:
        """The smallest sequence of a product's files."""
        return min(
            self.newest.get(COINBASE.key(symbol, level), Version(0, 0)).update_id for level in COINBASE.limits
        )


async def until(true: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
    """Wait until it is, with a bound."""
    end = asyncio.get_running_loop().time() + WAIT_S
    while not true():
        assert asyncio.get_running_loop().time() < end, what()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def simulated(tmp_path: Path) -> AsyncIterator[CoinbaseSimulator]:
    path = tmp_path / "key"
    path.write_text(KEY_TEXT)
    settings = Settings(
        products=PRODUCTS, orders=40, actions=4, rate=50, keys=(path,), requests_a_second=1000, hang_s=1
    )
    async with CoinbaseSimulator(settings) as sim:
        yield sim


def replica_of(
    sim: CoinbaseSimulator,
    store: Store,
    name: str,
    *,
    symbols: str = ",".join(PRODUCTS),
    by_price: bool = False,
) -> Replica:
    argv = ["--venue", "coinbaseexchange", "--symbols", symbols, "--replica", name]
    argv += ["--rest-url", sim.rest_url, "--ws-url", sim.ws_url]
    argv += ["--by-price"] if by_price else []
    argv += ["--cadence", "1:0,2:50,3:100", "--same-levels-ms", "200", "--watch-ms", "100"]
    argv += ["--symbols-every-s", "0.5", "--epoch-after-ms", "1000"]

    async def proven(store: Store) -> None:
        """The conformance suite proves stores."""

    return Replica(
        UpdaterSettings.load(argv, {}),
        store,
        prove=proven,
        stream_key=None if by_price else CoinbaseKey.parse(KEY_TEXT),
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


def resyncs(replica: Replica) -> dict[str, int]:
    return {each["symbol"]: each["resyncs"] for each in replica.report.status()["symbols"]}


def states(replica: Replica) -> set[str]:
    return {each["state"] for each in replica.report.status()["symbols"]}


async def caught_up(sim: CoinbaseSimulator, store: Audited) -> None:
    """Wait until each file is at what its market is at now, or beyond it."""
    targets = {name: sim.exchange.markets[name].sequence for name in PRODUCTS}
    await until(
        lambda: all(store.at(name) >= at for name, at in targets.items()),
        lambda: (targets, store.newest),
    )


async def test_every_file_and_answer_is_the_exchange_s_whatever_goes_wrong(tmp_path: Path) -> None:
    async with simulated(tmp_path) as sim:
        store = Audited(sim)
        replica = replica_of(sim, store, "a")
        async with running(replica), serving(store) as client:
            await until(lambda: replica.report.ready)
            reading = asyncio.ensure_future(read_answers(client, store))
            for number, (kind, form) in enumerate(FAULTS):
                hurt = HURT[number % 2]
                before, happened = resyncs(replica), sim.faults.counts[kind]
                sim.faults.inject(kind, form=form, symbol=None if kind in OF_ALL else hurt)
                if kind in OF_SNAPSHOTS:
                    sim.faults.inject(Kind.GAP, symbol=hurt)
                await until(lambda k=kind, n=happened: sim.faults.counts[k] > n)  # type: ignore[misc]
                broken = (hurt,) if kind in OF_BOOKS else PRODUCTS if kind in OF_CONNECTIONS else ()
                await until(lambda b=before, s=broken: all(resyncs(replica)[each] > b[each] for each in s))  # type: ignore[misc]
                await until(lambda: sim.exchange.connections and states(replica) == {"live"})
                await caught_up(sim, store)
                if kind not in OF_ALL:
                    assert resyncs(replica)[WELL] == before[WELL], f"{kind} of one broke the other"
            assert not reading.done(), reading.exception()
            reading.cancel()
            answers = (await asyncio.gather(reading, return_exceptions=True))[0]
            assert isinstance(answers, asyncio.CancelledError)
        assert not sim.faults.waiting
        assert min(store.checked.values()) > 20
        assert len(store.checked) == len(PRODUCTS) * len(COINBASE.limits)
        assert (
            replica.metrics.registry.get_sample_value("depthcast_anomalies_total", {"anomaly": "crossed"})
            == 0
        )


async def test_a_replica_that_is_refused_and_not_answered_begins_later_and_with_true_files(
    tmp_path: Path,
) -> None:
    async with simulated(tmp_path) as sim:
        store = Audited(sim)
        sim.faults.inject(Kind.BAN, delay_s=3600)
        sim.faults.inject(Kind.REFUSE, form="status")
        sim.faults.inject(Kind.REFUSE, form="abort")
        sim.faults.inject(Kind.ERROR, symbol=HURT[0])
        sim.faults.inject(Kind.SILENT, symbol=HURT[1], form="next")
        sim.faults.inject(Kind.SLOW_SNAPSHOT, symbol=HURT[0], delay_s=0.3)
        for kind in NEVER_MET:
            sim.faults.inject(kind)
        replica = replica_of(sim, store, "a")
        async with running(replica):
            await until(lambda: silences(replica) > 0)
            sim.exchange.throttle(0, ban=True)
            met = (Kind.REFUSE, Kind.ERROR, Kind.SILENT, Kind.SLOW_SNAPSHOT)
            await until(lambda: all(sim.faults.counts[kind] for kind in met), lambda: sim.faults.counts)
            await until(lambda: replica.report.ready)
            await caught_up(sim, store)
            (former,) = sim.exchange.connections
            sim.faults.inject(Kind.SHUTDOWN, delay_s=0.2)
            await until(lambda: sim.exchange.connections and former not in sim.exchange.connections)
            await until(lambda: min(resyncs(replica).values()) > 0, lambda: resyncs(replica))
            await until(lambda: states(replica) == {"live"})
            await caught_up(sim, store)
        assert sim.faults.counts[Kind.REFUSE] == 2
        assert {each.kind for each in sim.faults.waiting} == {*NEVER_MET}


def silences(replica: Replica) -> float:
    return replica.metrics.registry.get_sample_value("depthcast_silences_total") or 0.0


async def test_a_replica_that_dies_is_followed_by_the_other_from_the_very_files(tmp_path: Path) -> None:
    async with simulated(tmp_path) as sim:
        store = Audited(sim)
        first, second = (replica_of(sim, store, name) for name in "ab")
        async with running(first) as task, running(second):
            await until(lambda: first.report.ready and second.report.ready)
            await caught_up(sim, store)
            # One of the two got its books from files of the other: of both only so many asked.
            sources = [each["source"] for each in second.report.status()["symbols"]]
            assert set(sources) <= {"file", "rest"}
            task.cancel()
            await until(lambda: set(store.writers.values()) == {"b"}, lambda: store.writers)
            await caught_up(sim, store)


async def test_a_product_that_the_stream_does_not_know_is_named_and_the_others_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is still in the list of products, and the exchange refuses a whole message for it."""
    bad, plain = HURT[0], Session._subscribe

    def subscribe(session: Session, wanted: list[tuple[str, str]], request: Mapping[str, Any]) -> None:
        if any(product == bad for _, product in wanted):
            reason = f"{bad} is not a valid product"
            session.send(json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason}))
        else:
            plain(session, wanted, request)

    monkeypatch.setattr(Session, "_subscribe", subscribe)
    async with simulated(tmp_path) as sim:
        store = Audited(sim)
        replica = replica_of(sim, store, "a")
        async with running(replica):
            others = [name for name in PRODUCTS if name != bad]
            await until(lambda: all(store.at(name) for name in others), lambda: store.newest)
            targets = {name: sim.exchange.markets[name].sequence for name in others}
            await until(lambda: all(store.at(name) >= at for name, at in targets.items()))
            errors = "depthcast_feed_errors_total"
            await until(lambda: replica.metrics.registry.get_sample_value(errors))
        assert not store.at(bad)
        assert resyncs(replica).keys() == set(PRODUCTS)
    told = capfd.readouterr()
    assert f"the exchange refused the subscription to {bad} alone" in told.out + told.err


@contextlib.asynccontextmanager
async def serving(store: Any) -> AsyncIterator[httpx.AsyncClient]:
    service = Service(
        ServerSettings.load(["--venues", "coinbaseexchange", "--symbols-refresh-s", "0.3"], {}), store
    )
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


async def read_answers(client: httpx.AsyncClient, store: Audited) -> None:
    """Ask for every book, over and over: answers are true, never go back, and are 304 to who has them."""
    seen: Counter[str] = Counter()
    while True:
        for symbol in PRODUCTS:
            for level in COINBASE.limits:
                path = f"/products/{symbol}/book?level={level}"
                answer = await client.get(path)
                if answer.status_code == 404:
                    continue  # before the first listing of its files
                assert answer.status_code == 200, answer.text
                sequence = answer.json()["sequence"]
                assert store.is_true(symbol, level, sequence, answer.content)
                assert sequence >= seen[path]
                seen[path] = sequence
                assert answer.headers["depthcast-version"].endswith(f":{sequence}")
                has = {"If-None-Match": answer.headers["etag"]}
                again = await client.get(f"/coinbaseexchange{path}", headers=has)
                assert again.status_code in (200, 304)
        await asyncio.sleep(0.02)


async def test_sequences_that_go_down_begin_an_epoch(tmp_path: Path) -> None:
    async with simulated(tmp_path) as sim:
        store = Audited(sim)
        replica = replica_of(sim, store, "a")
        async with running(replica):
            await until(lambda: replica.report.ready)
            await caught_up(sim, store)
            sim.faults.inject(Kind.REBASE, symbol=HURT[0], ids=100_000)
            keys = [COINBASE.key(HURT[0], level) for level in COINBASE.limits]
            await until(lambda: all(store.newest[key].epoch == 1 for key in keys), lambda: store.newest)
            await caught_up(sim, store)
            assert resyncs(replica)[WELL] == 0
            assert store.newest[COINBASE.key(WELL, 1)].epoch == 0


class AuditedByPrice(Audited):
    """The same for books by price: their versions are times, at which the market had these prices."""

    def is_true(self, symbol: str, level: int, sequence: int, body: bytes) -> bool:
        journal = self._sim.exchange.markets[symbol].journal
        time = datetime.fromisoformat(json.loads(body)["time"])
        told = journal.sequence
        while told > journal.oldest and moment_of(journal, told) > time:
            told -= 1
        true, shown = json.loads(journal.body(told, level)), json.loads(body)
        return all(
            [row[:2] for row in shown[side]] == [row[:2] for row in true[side]] for side in ("bids", "asks")
        )


def moment_of(journal: OrderJournal, sequence: int) -> datetime:
    return datetime.fromisoformat(rfc3339(journal._books.time_of(sequence)))


async def test_without_a_key_prices_are_published_with_versions_from_time(tmp_path: Path) -> None:
    async with simulated(tmp_path) as sim:
        store = AuditedByPrice(sim)
        first, second = (replica_of(sim, store, name, by_price=True) for name in "ab")
        async with running(first) as task, running(second), serving(store) as client:
            await until(lambda: first.report.ready and second.report.ready)
            await until(lambda: min(store.checked.values()) > 10, lambda: store.checked)
            sim.faults.inject(Kind.DISCONNECT, form="abort")
            await until(lambda: states(first) == {"live"} == states(second))
            task.cancel()
            await until(lambda: set(store.writers.values()) == {"b"}, lambda: store.writers)
            before = store.checked.total()
            await until(lambda: store.checked.total() > before + 50)
            answer = await client.get(f"/products/{WELL}/book?level=2")
            assert answer.status_code == 200
            assert {row[2] for row in answer.json()["bids"]} == {0}
            assert (await client.get(f"/products/{WELL}/book?level=3")).status_code == 503
        assert {parse_key(key).limit for key in store.newest} == {1, 2}


async def test_the_server_refuses_in_the_exchange_s_words(tmp_path: Path) -> None:
    async with simulated(tmp_path) as sim:
        store = Audited(sim)
        replica = replica_of(sim, store, "a")
        async with running(replica), serving(store) as client:
            await until(lambda: replica.report.ready)
            end = asyncio.get_running_loop().time() + WAIT_S
            while (await client.get(f"/products/{WELL}/book")).status_code != 200:
                assert asyncio.get_running_loop().time() < end
                await asyncio.sleep(0.1)
            best = (await client.get(f"/products/{WELL}/book")).json()
            assert len(best["bids"]) == len(best["asks"]) == 1
            for level, habit in ((1, "no-cache"), (2, "max-age=2"), (3, "max-age=1")):
                answer = await client.get(f"/products/{WELL}/book?level={level}")
                assert answer.headers["cache-control"] == habit
            for path, status, body in (
                (f"/products/{WELL}/book?level=4", 400, {"message": "unexpected level: _"}),
                ("/products/NO-SUCH/book", 404, {"message": "NotFound"}),
                ("/coinbaseexchange/products/no/book", 404, {"message": "NotFound"}),
            ):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()) == (status, body)
            assert (await client.get(f"/products/{WELL}/x/book")).status_code == 404
            assert (await client.get("/products/{symbol}/book")).status_code == 404
            assert "epoch" in (await client.get("/time")).json()
