"""The reader: tries again, gives up in time, reads many at once, and lets go of what is its own."""

import asyncio
from random import Random

import pytest

from depthcast.errors import FileMissing, SettingsError, StoreUnavailable, UnknownSymbol
from depthcast.files import depth_key
from depthcast.reading.reader import Reader
from depthcast.store import StoredObject
from depthcast.store.memory import MemoryStore
from tests.conformance.world import SYMBOLS, World
from tests.depthcast.reading.conftest import METADATA, Scripted, body_of


class BadDays(MemoryStore):
    """Fails so often; counts how many reads are under way at once; waits where it is told to."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.reads = 0
        self.at_once = 0
        self.most_at_once = 0
        self.gate: asyncio.Event | None = None

    async def get(self, key: str) -> StoredObject | None:
        self.reads += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("a bad day")
            return await super().get(key)
        finally:
            self.at_once -= 1

    async def publish(self, *symbols: str) -> None:
        for number, symbol in enumerate(symbols, 1):
            await self.put_if(depth_key(symbol, 5), body_of(number, 5), match=None, metadata=METADATA)


class Pauses:
    """Sleeps that take no time."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


async def test_what_fails_for_a_moment_is_tried_again_after_growing_pauses() -> None:
    store, pauses = BadDays(failures=2), Pauses()
    await store.publish("ETHUSDT")
    reader = Reader(store, sleep=pauses, rng=Random(1), retry_initial_s=1.0, retry_maximum_s=1.5)
    assert (await reader.read("ETHUSDT", 5)).update_id == 1
    assert store.reads == 3
    assert len(pauses.taken) == 2
    assert all(0 <= taken <= bound for taken, bound in zip(pauses.taken, (1.0, 1.5), strict=True))


async def test_it_gives_up_after_so_many_attempts_and_says_why() -> None:
    store, pauses = BadDays(failures=100), Pauses()
    reader = Reader(store, attempts=4, sleep=pauses)
    with pytest.raises(StoreUnavailable, match="a bad day"):
        await reader.read("ETHUSDT", 5)
    assert (store.reads, len(pauses.taken)) == (4, 3)


async def test_what_no_waiting_mends_is_not_tried_again(store: MemoryStore) -> None:
    pauses = Pauses()
    with pytest.raises(UnknownSymbol):
        await Reader(store, sleep=pauses).read("NOSUCH")
    assert pauses.taken == []


async def test_a_store_that_hangs_is_given_up_in_time() -> None:
    store = BadDays()
    store.gate = asyncio.Event()
    with pytest.raises(StoreUnavailable, match=r"memory: gave no file within 0\.05 s"):
        await Reader(store, timeout_s=0.05).read("ETHUSDT")
    assert store.at_once == 0


async def test_an_unavailable_server_is_asked_again(scripted: Scripted) -> None:
    target = "/api/v3/depth?symbol=ETHUSDT&limit=100"
    scripted.say(target, 503, b'{"code":-1001,"msg":"Try again."}')
    scripted.say(target, 200, body_of(9, 3))
    async with Reader(scripted.url, sleep=Pauses()) as reader:
        assert reader.where == scripted.url
        assert (await reader.read("ETHUSDT")).update_id == 9


async def test_many_are_read_in_their_order_each_once(store: MemoryStore, world: World) -> None:
    wanted = sorted(SYMBOLS, reverse=True)
    files = await Reader(store).read_many([*wanted, *wanted], 5)
    assert list(files) == wanted
    assert all(file.body == world.book(symbol, 5) for symbol, file in files.items())


async def test_no_more_are_read_at_once_than_is_allowed() -> None:
    store = BadDays()
    symbols = [f"S{n}USDT" for n in range(40)]
    await store.publish(*symbols)
    files = await Reader(store, max_in_flight=3).read_many(symbols, 5)
    assert len(files) == 40
    assert store.most_at_once == 3


async def test_a_missing_one_ends_it_unless_it_may_be_skipped(store: MemoryStore) -> None:
    with pytest.raises(UnknownSymbol, match="NOSUCH"):
        await Reader(store).read_many(["ETHUSDT", "NOSUCH", "BTCUSDT"])
    with pytest.raises(FileMissing, match="NEWUSDT"):
        await Reader(store).read_many(["NEWUSDT"], 100)
    files = await Reader(store).read_many(["ETHUSDT", "NOSUCH", "NEWUSDT", "BTCUSDT"], 100, skip_missing=True)
    assert list(files) == ["ETHUSDT", "BTCUSDT"]


async def test_after_an_error_none_of_the_others_goes_on() -> None:
    store = BadDays()
    store.gate = asyncio.Event()
    reading = asyncio.create_task(Reader(store, timeout_s=0.05).read_many([f"S{n}" for n in range(40)], 5))
    with pytest.raises(StoreUnavailable):
        await reading
    assert store.at_once == 0
    reads = store.reads
    for _ in range(20):
        await asyncio.sleep(0)
    assert store.reads == reads


async def test_a_store_that_was_given_stays_open(store: MemoryStore) -> None:
    async with Reader(store) as reader:
        await reader.read("ETHUSDT", 5)
    assert await store.get(depth_key("ETHUSDT", 5)) is not None


async def test_a_store_of_its_own_is_closed() -> None:
    reader = Reader("memory:")
    with pytest.raises(UnknownSymbol):
        await reader.read("ETHUSDT", 5)
    await reader.close()
    await reader.close()
    with pytest.raises(RuntimeError, match="closed"):
        await reader.read("ETHUSDT", 5)


@pytest.mark.parametrize("url", ["ftp://host", "my-bucket", "", "s3://", "s3://B"])
def test_a_url_that_names_nothing_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        Reader(url)


def test_bounds_that_allow_nothing_are_refused() -> None:
    for bounds in ({"attempts": 0}, {"max_in_flight": 0}):
        with pytest.raises(ValueError, match="at least one"):
            Reader("memory:", **bounds)  # type: ignore[arg-type]
