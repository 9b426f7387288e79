"""Files from a store: every limit exact, the fewest requests, and errors that tell what is there."""

import json
from collections import Counter

import pytest

from depthcast.errors import BadFile, BadKey, FileMissing, UnknownSymbol
from depthcast.files import CONTENT_TYPE, depth_key
from depthcast.reading.stored import StoredFiles
from depthcast.store import StoredObject
from depthcast.store.memory import MemoryStore
from tests.conformance.world import CHINESE, DAMAGED, World
from tests.depthcast.reading.conftest import METADATA, body_of


class CountingStore(MemoryStore):
    """Counts what is read, and listings."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    async def get(self, key: str) -> StoredObject | None:
        self.asked[key] += 1
        return await super().get(key)

    def list(self, prefix: str):  # type: ignore[no-untyped-def]
        self.asked["listing"] += 1
        return super().list(prefix)

    async def publish(self, symbol: str, *limits: int) -> None:
        for limit in limits:
            key, body = depth_key(symbol, limit), body_of(limit, limit)
            await self.put_if(key, body, match=None, metadata=METADATA, content_type=CONTENT_TYPE)


@pytest.mark.parametrize("symbol", ["ETHUSDT", "THINUSDT", "EMPTYUSDT", "ONESIDEUSDT", "HALTUSDT", CHINESE])
@pytest.mark.parametrize("limit", [1, 5, 7, 100, 101, 4999, 5000])
async def test_every_limit_is_the_exchanges_own_answer(
    store: MemoryStore, world: World, symbol: str, limit: int
) -> None:
    file = await StoredFiles(store).file(symbol, limit)
    body = world.book(symbol, limit)
    assert file.body == body
    assert (file.symbol, file.limit) == (symbol, limit)
    true = json.loads(body)
    assert file.update_id == true["lastUpdateId"]
    assert [list(level) for level in file.exact_bids] == true["bids"]
    assert [[price, amount] for price, amount in file.asks] == [
        [float(price), float(amount)] for price, amount in true["asks"]
    ]
    assert (file.replica, file.epoch) == ("world", 0)
    assert file.status == {"HALTUSDT": "HALT", "EMPTYUSDT": "BREAK"}.get(symbol, "TRADING")


async def test_a_published_limit_is_one_request_and_so_is_one_below_it() -> None:
    store = CountingStore()
    await store.publish("ETHUSDT", 5, 10, 20)
    for limit in (10, 6):
        store.asked.clear()
        assert (await StoredFiles(store).file("ETHUSDT", limit)).update_id == 10
        assert store.asked == {depth_key("ETHUSDT", 10): 1}


async def test_where_a_limit_is_not_published_the_next_larger_file_is_cut() -> None:
    store = CountingStore()
    await store.publish("ETHUSDT", 5, 1000)
    file = await StoredFiles(store).file("ETHUSDT", 20)
    assert (file.update_id, len(file.bids)) == (1000, 20)
    assert file.body.startswith(body_of(1000, 1000)[:200])


async def test_unusual_limits_are_found_by_asking_the_store_and_remembered() -> None:
    store = CountingStore()
    await store.publish("ETHUSDT", 25, 250)
    files = StoredFiles(store)
    assert (await files.file("ETHUSDT", 20)).update_id == 25
    assert store.asked["listing"] == 1
    store.asked.clear()
    assert (await files.file("ETHUSDT", 30)).update_id == 250
    assert store.asked == {depth_key("ETHUSDT", 250): 1}
    files.check()
    await store.publish("ETHUSDT", 5000)
    assert (await files.file("ETHUSDT", 300)).update_id == 5000
    files.check()


async def test_no_more_symbols_are_remembered_than_is_allowed() -> None:
    store = CountingStore()
    files = StoredFiles(store, max_remembered=2)
    for symbol in ("AUSDT", "BUSDT", "CUSDT"):
        await store.publish(symbol, 25)
        await files.file(symbol, 25)
        files.check()
    store.asked.clear()
    await files.file("CUSDT", 25)
    assert store.asked["listing"] == 0
    await files.file("AUSDT", 25)
    assert store.asked["listing"] == 1


async def test_more_levels_than_are_published_are_refused_with_how_many_there_are() -> None:
    store = CountingStore()
    await store.publish("ETHUSDT", 5, 20)
    with pytest.raises(FileMissing, match=r"of ETHUSDT the limits 5, 20 are published; ask for 20 at most"):
        await StoredFiles(store).file("ETHUSDT", 21)


async def test_a_symbol_of_which_nothing_is_published_is_unknown(store: MemoryStore) -> None:
    with pytest.raises(UnknownSymbol, match="'NOSUCH'") as caught:
        await StoredFiles(store).file("NOSUCH", 100)
    assert caught.value.symbol == "NOSUCH"
    # Another symbol's keys begin like its own.
    with pytest.raises(UnknownSymbol):
        await StoredFiles(store).file("ETH", 100)


async def test_what_is_no_file_is_refused(store: MemoryStore) -> None:
    with pytest.raises(BadFile):
        await StoredFiles(store).file(DAMAGED, 100)
    await store.put_if(depth_key("NAKEDUSDT", 5), body_of(1, 1), match=None)
    with pytest.raises(BadFile, match="its metadata has no"):
        await StoredFiles(store).file("NAKEDUSDT", 5)


@pytest.mark.parametrize(
    ("symbol", "limit"), [("ethusdt", 5), ("ETH/USDT", 5), ("ETHUSDT", 0), ("ETHUSDT", 5001)]
)
async def test_a_request_that_no_file_can_answer_asks_nobody(symbol: str, limit: int) -> None:
    store = CountingStore()
    with pytest.raises(BadKey):
        await StoredFiles(store).file(symbol, limit)
    assert not store.asked
