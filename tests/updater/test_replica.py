"""A replica as a whole: from an exchange on loopback to the files of a memory store."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from depthcast.errors import ConditionsIgnored, SettingsError, StoreUnavailable
from depthcast.files import DEPTH_PREFIX, EXCHANGE_INFO_KEY, FileInfo, Version, depth_key, version_of
from depthcast.heat.keys import tile_key
from depthcast.store import PutResult, Store
from depthcast.store.memory import MemoryStore
from updater.replica import Replica
from updater.settings import UpdaterSettings

WITHIN_S: Final = 60.0
"""What is waited for comes within two seconds on a machine that has nothing else to do."""

LATER_S: Final = 1000
"""For settings of times that are not to be waited for."""


async def until(condition: Callable[[], Any], bound_s: float = WITHIN_S) -> None:
    """Wait until something is true, awaiting it where it has to be asked for."""
    end = time.monotonic() + bound_s
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


async def honoured(_store: Store) -> None:
    """A store that needs no proof."""


def replica_on(exchange: Any, store: Store, **more: Any) -> Replica:
    prove = more.pop("prove", honoured)
    waits = {name: more.pop(name) for name in ("stop_within_s",) if name in more}
    settings = UpdaterSettings(
        **{
            "symbols": ("ETHUSDT",),
            "limits": (5, 20),
            "replica": "a",
            "rest_url": exchange.rest_url,
            "ws_url": exchange.ws_url,
        }
        | more
    )
    return Replica(settings, store, prove=prove, retry_initial_s=0.01, retry_maximum_s=0.05, **waits)


@asynccontextmanager
async def running(replica: Replica) -> Any:
    task = asyncio.ensure_future(replica.run())
    try:
        yield task
        replica.stop()
        await asyncio.wait_for(task, WITHIN_S)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def version(store: MemoryStore, limit: int = 20, symbol: str = "ETHUSDT") -> Version | None:
    held = await store.get(depth_key(symbol, limit))
    return None if held is None else version_of("", held.body, held.metadata)


async def is_stored(store: MemoryStore, wanted: Version, symbol: str = "ETHUSDT") -> bool:
    return await version(store, 5, symbol) == await version(store, 20, symbol) == wanted


def held(replica: Replica) -> set[str]:
    return {each["symbol"] for each in replica.report.status()["symbols"]}


async def is_marked(store: MemoryStore, symbol: str, status: str) -> bool:
    found = [await store.get(depth_key(symbol, limit)) for limit in (5, 20)]
    return all(
        each is not None and FileInfo.from_metadata("", each.metadata).status == status for each in found
    )


async def test_books_go_from_the_exchange_into_files(exchange: Any) -> None:
    store = MemoryStore()
    replica = replica_on(exchange, store, symbols=("all",))
    assert not replica.report.ready
    async with running(replica):
        await until(lambda: replica.report.ready)
        for _ in range(5):
            await exchange.tick("ETHUSDT")
        await until(lambda: is_stored(store, Version(0, 105)))
        await until(lambda: is_stored(store, Version(0, 100), "BTCUSDT"))
        held = await store.get(depth_key("ETHUSDT", 5))
        assert held is not None
        assert held.body == b'{"lastUpdateId":105,"bids":[["1.00","105.0"]],"asks":[["2.00","1.0"]]}'
        info = FileInfo.from_metadata("", held.metadata)
        assert (info.replica, info.event_time_ms, info.bids, info.bids_complete) == ("a", 105, 1, True)


@pytest.mark.parametrize("heatmap", [True, False])
async def test_what_is_taped_is_in_the_heatmap_unless_that_is_not_wanted(
    exchange: Any, heatmap: bool
) -> None:
    store = MemoryStore()
    replica = replica_on(exchange, store, tape=("ETHUSDT",), heatmap=heatmap)
    async with running(replica):
        await until(lambda: replica.report.ready)
        for _ in range(5):
            await exchange.tick("ETHUSDT")
        await until(lambda: is_stored(store, Version(0, 105)))
    kept = [entry.key async for entry in store.list("")]
    assert [key for key in kept if key.endswith(".parquet")]
    tiles = [key for key in kept if key.startswith("heat/")]
    assert [key for key in tiles if "zoom=0" in key] == [tile_key("binance", "ETHUSDT", 0, 0)] * heatmap
    assert bool(tiles) == heatmap


async def test_its_status_tells_what_is_known(exchange: Any) -> None:
    store = MemoryStore()
    replica = replica_on(exchange, store)
    before = replica.report.status()
    assert (before["ready"], before["store_proven"], before["symbols"]) == (False, False, [])
    async with running(replica):
        await until(lambda: replica.report.ready)
        await exchange.tick("ETHUSDT")
        await until(lambda: is_stored(store, Version(0, 101)))
        status = replica.report.status()
    assert (status["ready"], status["store_proven"], status["store_url"]) == (True, True, "memory:")
    (symbol,) = status["symbols"]
    assert (symbol["symbol"], symbol["state"], symbol["epoch"], symbol["update_id"]) == (
        "ETHUSDT",
        "live",
        0,
        101,
    )
    assert (symbol["best_bid"], symbol["best_ask"]) == (["1.00", "101.0"], ["2.00", "1.0"])
    assert (symbol["certain_bids"], symbol["certain_asks"], symbol["source"]) == (1, 1, "rest")
    assert [(file["limit"], file["update_id"], file["behind_ms"]) for file in symbol["files"]] == [
        (5, 101, 0),
        (20, 101, 0),
    ]
    assert symbol["written"] == status["writes"]["written"] == 4
    assert status["writes"]["p99_ms"] is not None
    assert (status["feed"]["live"], len(status["feed"]["connections"])) == (1, 1)
    # Nothing of it is left where a minute of the clock has just ended.
    assert status["rest"]["weight_used"] in (40, 0)
    assert status["rest"]["weight_limit"] == 6000


async def test_a_second_start_takes_its_books_from_the_files_at_no_request_weight(exchange: Any) -> None:
    store = MemoryStore()
    async with running(first := replica_on(exchange, store)):
        await until(lambda: first.report.ready)
    assert exchange.asked["depth"] == 1
    await until(lambda: not exchange.subscribed("ETHUSDT"))
    async with running(second := replica_on(exchange, store, replica="b")):
        await until(lambda: exchange.subscribed("ETHUSDT"))
        await exchange.tick("ETHUSDT")
        await until(lambda: is_stored(store, Version(0, 101)))
        assert second.report.status()["symbols"][0]["source"] == "file"
    assert exchange.asked["depth"] == 1


async def test_a_later_epoch_in_the_store_is_taken_up_from_the_exchange(exchange: Any) -> None:
    store = MemoryStore()
    async with running(replica := replica_on(exchange, store)):
        await until(lambda: replica.report.ready)
        held = await store.get(depth_key("ETHUSDT", 20))
        assert held is not None
        claimed = dict(held.metadata) | {"epoch": "4"}
        await store.put_if(depth_key("ETHUSDT", 20), held.body, match=held.etag, metadata=claimed)
        await exchange.tick("ETHUSDT")
        await until(lambda: exchange.asked["depth"] == 2)
        await exchange.tick("ETHUSDT")
        await until(lambda: is_stored(store, Version(4, 102)))


async def test_nothing_is_written_before_the_store_is_proven_and_books_are_kept_meanwhile(
    exchange: Any,
) -> None:
    store = MemoryStore()
    answers = asyncio.Event()
    attempts = 0

    async def prove(_store: Store) -> None:
        nonlocal attempts
        attempts += 1
        if not answers.is_set():
            raise StoreUnavailable("nobody listens there")

    async with running(replica := replica_on(exchange, store, prove=prove)):
        await until(lambda: attempts > 3)
        await until(lambda: bool(replica.report.status()["symbols"]))
        await until(lambda: replica.report.status()["symbols"][0]["state"] == "live")
        assert await version(store) is None
        answers.set()
        await until(lambda: is_stored(store, Version(0, 100)))


async def test_a_store_that_ignores_conditions_ends_it(exchange: Any) -> None:
    async def prove(_store: Store) -> None:
        raise ConditionsIgnored("If-None-Match was ignored")

    with pytest.raises(ConditionsIgnored, match="was ignored"):
        await asyncio.wait_for(replica_on(exchange, MemoryStore(), prove=prove).run(), WITHIN_S)


async def test_a_symbol_that_does_not_exist_ends_it_with_the_nearest(exchange: Any) -> None:
    with pytest.raises(SettingsError, match="ETHUSDT"):
        await asyncio.wait_for(replica_on(exchange, MemoryStore(), symbols=("ETHUSD",)).run(), WITHIN_S)


async def test_what_goes_wrong_in_a_publisher_ends_it_with_that_error(exchange: Any) -> None:
    class Broken(MemoryStore):
        async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
            if key.startswith(DEPTH_PREFIX):
                raise RuntimeError("a defect")
            return await super().put_if(key, body, **more)

    with pytest.raises(RuntimeError, match="a defect"):
        await asyncio.wait_for(replica_on(exchange, Broken()).run(), WITHIN_S)


async def test_an_exchange_that_does_not_answer_is_waited_for(exchange: Any) -> None:
    exchange.refuse = True
    store = MemoryStore()
    async with running(replica := replica_on(exchange, store)):
        with capture_logs() as logged:
            await until(lambda: any(line["event"] == "waiting for the exchange" for line in logged))
        assert replica.report.status()["symbols"] == []
        exchange.refuse = False
        await until(lambda: is_stored(store, Version(0, 100)))


async def test_symbols_that_the_exchange_lists_later_are_taken_up(exchange: Any) -> None:
    store = MemoryStore()
    async with running(replica := replica_on(exchange, store, symbols=("*",), symbols_every_s=0.05)):
        await until(lambda: replica.report.ready)
        exchange.ids["NEWUSDT"] = 7
        await until(lambda: is_stored(store, Version(0, 7), "NEWUSDT"))
        del exchange.ids["BTCUSDT"]
        await until(lambda: held(replica) == {"ETHUSDT", "NEWUSDT"})
        await until(lambda: is_marked(store, "BTCUSDT", "DELISTED"))
        exchange.ids["BTCUSDT"] = 200
        await until(lambda: is_stored(store, Version(0, 200), "BTCUSDT"))
        assert held(replica) == {"BTCUSDT", "ETHUSDT", "NEWUSDT"}


async def test_a_named_symbol_that_is_delisted_ends_nothing(exchange: Any) -> None:
    store = MemoryStore()
    replica = replica_on(exchange, store, symbols=("ETHUSDT", "BTCUSDT"), symbols_every_s=0.05)
    async with running(replica) as task:
        await until(lambda: replica.report.ready)
        del exchange.ids["BTCUSDT"]
        asked = exchange.asked["exchangeInfo"]
        await until(lambda: exchange.asked["exchangeInfo"] > asked + 2)
        await exchange.tick("ETHUSDT")
        await until(lambda: is_stored(store, Version(0, 101)))
        assert held(replica) == {"ETHUSDT"}
        assert not task.done()


async def test_symbols_are_asked_for_once_where_that_is_wanted(exchange: Any) -> None:
    async with running(replica := replica_on(exchange, MemoryStore(), symbols=("*",), symbols_every_s=0)):
        await until(lambda: replica.report.ready)
        await asyncio.sleep(0.2)
    assert exchange.asked["exchangeInfo"] == 1


class SlowStore(MemoryStore):
    """Every write of a file takes a while, and is counted when it begins and when it ends."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.begun = 0
        self.ended = 0

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        if not key.startswith(DEPTH_PREFIX):
            return await super().put_if(key, body, **more)
        self.begun += 1
        await asyncio.sleep(self.seconds)
        result = await super().put_if(key, body, **more)
        self.ended += 1
        return result


async def test_stopping_finishes_the_writes_in_flight(exchange: Any) -> None:
    store = SlowStore(0.3)
    async with running(replica_on(exchange, store)):
        await until(lambda: store.begun == 2)
    assert store.ended == store.begun == 2


async def test_stopping_gives_up_writes_that_hang(exchange: Any) -> None:
    store = SlowStore(LATER_S)
    async with running(replica_on(exchange, store, stop_within_s=0.1)):
        await until(lambda: store.begun == 2)
    assert store.ended == 0


async def test_writes_in_flight_can_be_given_up_at_once(exchange: Any) -> None:
    store = SlowStore(LATER_S)
    async with running(replica := replica_on(exchange, store, stop_within_s=LATER_S)) as task:
        await until(lambda: store.begun == 2)
        replica.stop()
        await asyncio.sleep(0.1)
        assert not task.done()
        replica.give_up()
        await asyncio.wait_for(task, WITHIN_S)


async def test_stopping_does_not_wait_for_a_store_that_was_never_proven(exchange: Any) -> None:
    async def prove(_store: Store) -> None:
        await asyncio.sleep(LATER_S)

    async with running(replica := replica_on(exchange, MemoryStore(), prove=prove, stop_within_s=LATER_S)):
        await until(lambda: bool(replica.report.status()["symbols"]))


async def test_its_gauges_are_read_from_its_books_and_files(exchange: Any) -> None:
    store = SlowStore(0.0)
    async with running(replica := replica_on(exchange, store)):
        await until(lambda: replica.report.ready)
        store.seconds = 0.5
        await exchange.tick("ETHUSDT")
        await until(lambda: store.begun > store.ended)
        await asyncio.sleep(0.1)
        value = replica.metrics.registry.get_sample_value
        assert value("depthcast_books", {"state": "live"}) == 1
        assert (value("depthcast_file_age_seconds", {"limit": "5"}) or 0) > 0.05
        assert value("depthcast_streams_live") == value("depthcast_connections") == 1
        assert value("depthcast_ready") == value("depthcast_store_proven") == 1
        assert value("depthcast_request_weight_used") == 40
        assert value("depthcast_requests_in_flight") == 2
        # The exchange's book of one level a side is complete, so the largest limit stands for it.
        assert value("depthcast_certain_levels") == 20


async def test_stopping_before_anything_began_waits_for_nothing(exchange: Any) -> None:
    exchange.refuse = True
    async with running(replica_on(exchange, MemoryStore(), leave_within_s=60.0, stop_within_s=LATER_S)):
        pass


async def test_the_exchange_s_list_of_symbols_is_published_as_it_is(exchange: Any) -> None:
    store = MemoryStore()

    async def published() -> bytes | None:
        found = await store.get(EXCHANGE_INFO_KEY)
        return found.body if found is not None else None

    async with running(replica_on(exchange, store)):
        await until(published)
    body = await published()
    assert body is not None
    assert body.startswith(b'{"serverTime":1700000000000,"rateLimits":[')
    assert [each["symbol"] for each in json.loads(body)["symbols"]] == ["BTCUSDT", "ETHUSDT"]


async def test_no_list_is_written_to_a_store_that_was_not_proven(exchange: Any) -> None:
    store, proof = MemoryStore(), asyncio.Event()

    async def prove(_store: Store) -> None:
        await proof.wait()

    async with running(replica_on(exchange, store, prove=prove)):
        await until(lambda: exchange.asked["exchangeInfo"])
        await asyncio.sleep(0)
        assert await store.get(EXCHANGE_INFO_KEY) is None
        proof.set()
        await until(lambda: store.get(EXCHANGE_INFO_KEY))
