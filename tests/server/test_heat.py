"""``GET /heat/…``: tiles from the store, in memory, and not."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette

from depthcast.errors import DepthcastError, StoreUnavailable
from depthcast.files import depth_key
from depthcast.heat.album import CHANGING, IMMUTABLE
from depthcast.heat.keys import manifest_key, tile_key
from server.catalogue import Catalogue
from server.heat import HeatFiles
from server.reads import ReadOutcome
from tests.server.conftest import WatchedStore

START_MS = 1_723_161_240_000
KEY = tile_key("binance", "ETHUSDT", 0, START_MS)
HOUR_KEY = tile_key("binance", "ETHUSDT", 1, 1_723_158_000_000)


class World:
    """A store, the endpoint in front of it, and a clock."""

    def __init__(self) -> None:
        self.store = WatchedStore()
        self.catalogue = Catalogue(self.store)
        self.now = 100.0
        self.reads: list[tuple[str, ReadOutcome, DepthcastError | None]] = []
        self.files = self.made()

    def made(
        self, *, memory_bytes: int = 100_000, max_waiting: int = 4, read_timeout_s: float = 5.0
    ) -> HeatFiles:
        return HeatFiles(
            self.store,
            {"binance": self.catalogue},
            on_read=lambda key, outcome, seconds, error: self.reads.append((key, outcome, error)),
            hold_s=2.0,
            memory_bytes=memory_bytes,
            max_waiting=max_waiting,
            read_timeout_s=read_timeout_s,
            clock=lambda: self.now,
            wall_ms=lambda: START_MS + 60_000,
        )

    async def begin(self) -> None:
        for symbol in ("ETHUSDT", "币安人生USDT"):
            await self.store.inner.put_if(depth_key(symbol, 5), b"{}", match=None)
        await self.catalogue.refresh()
        self.store.reads.clear()

    async def put(self, key: str, body: bytes, cache_control: str = IMMUTABLE) -> None:
        there = await self.store.inner.get(key)
        match = None if there is None else there.etag
        await self.store.inner.put_if(key, body, match=match, cache_control=cache_control)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=[self.files.route]))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.fixture
async def world() -> World:
    made = World()
    await made.begin()
    return made


async def test_a_tile_is_answered_as_it_is_stored(world: World) -> None:
    await world.put(KEY, b"\x1f\x8btile")
    answer = await world.get(f"/{KEY}")
    assert answer.status_code == 200
    assert answer.content == b"\x1f\x8btile"
    assert answer.headers["cache-control"] == IMMUTABLE
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "content-encoding" not in answer.headers
    assert answer.headers["access-control-allow-origin"] == "*"
    again = await world.get(f"/{KEY}", if_none_match=f'"x", {answer.headers["etag"]}')
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == IMMUTABLE
    assert world.reads == [(KEY, ReadOutcome.CHANGED, None)]
    head = await world.get(f"/{KEY}", if_none_match='"x"')
    assert head.status_code == 200


async def test_a_manifest_is_json_and_symbols_may_be_of_any_alphabet(world: World) -> None:
    key = manifest_key("binance", "币安人生USDT")
    await world.put(key, b"{}", CHANGING)
    answer = await world.get(f"/{key}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == CHANGING


async def test_what_is_complete_is_read_once_and_what_may_change_again_after_a_while(world: World) -> None:
    await world.put(KEY, b"tile")
    await world.put(HOUR_KEY, b"one", CHANGING)
    for _ in range(3):
        await world.get(f"/{KEY}")
        assert (await world.get(f"/{HOUR_KEY}")).content == b"one"
    await world.put(HOUR_KEY, b"other", CHANGING)
    world.now += 1.9
    assert (await world.get(f"/{HOUR_KEY}")).content == b"one"
    world.now += 0.2
    assert (await world.get(f"/{HOUR_KEY}")).content == b"other"
    await world.get(f"/{KEY}")
    world.files.check()
    assert world.store.reads == {KEY: 1, HOUR_KEY: 2}


async def test_what_is_not_there_is_not_asked_for_with_each_request(world: World) -> None:
    for _ in range(3):
        answer = await world.get(f"/{KEY}")
        assert answer.status_code == 404
        assert answer.headers["cache-control"] == "no-store"
    assert world.store.reads == {KEY: 1}
    await world.put(KEY, b"tile")
    world.now += 3
    assert (await world.get(f"/{KEY}")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "heat/",
        "heat/venue=binance/symbol=ETHUSDT/zoom=0/date=2024-08-08/23-54-01.heat",
        "heat/venue=binance/symbol=ETHUSDT/zoom=7/date=2024-08-08/23-54-00.heat",
        "heat/../api/v3/exchangeInfo",
        tile_key("binance", "BTCUSDT", 0, START_MS),
        manifest_key("binance", "BTCUSDT"),
        tile_key("binance", "ETHUSDT", 0, START_MS + 120_000),
    ],
)
async def test_what_names_no_file_never_reaches_the_store(world: World, path: str) -> None:
    assert (await world.get(f"/{path}")).status_code == 404
    assert not world.store.reads


async def test_many_who_wait_for_one_file_cost_one_read(world: World) -> None:
    await world.put(KEY, b"tile")
    world.store.gate = asyncio.Event()
    waiting = [asyncio.create_task(world.get(f"/{KEY}")) for _ in range(5)]
    await world.store.reading.wait()
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    world.files.check()
    world.store.gate.set()
    answers = [await task for task in waiting]
    # Four may wait; the fifth is one too many.
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 503]
    assert world.store.reads == {KEY: 1}


async def test_with_the_store_away_what_was_there_is_answered_and_else_503(world: World) -> None:
    await world.put(HOUR_KEY, b"one", CHANGING)
    await world.get(f"/{HOUR_KEY}")
    world.store.failure = StoreUnavailable("away")
    world.now += 5
    assert (await world.get(f"/{HOUR_KEY}")).content == b"one"
    away = await world.get(f"/{KEY}")
    assert away.status_code == 503
    assert away.headers["retry-after"] == "1"
    assert [outcome for _, outcome, _ in world.reads] == [ReadOutcome.CHANGED, *[ReadOutcome.FAILED] * 2]


async def test_a_store_that_does_not_answer_is_not_waited_for(world: World) -> None:
    world.files = world.made(read_timeout_s=0.01)
    world.store.gate = asyncio.Event()
    assert (await world.get(f"/{KEY}")).status_code == 503
    assert isinstance(world.reads[0][2], StoreUnavailable)


async def test_memory_is_bounded_and_the_least_asked_for_goes_first(world: World) -> None:
    world.files = world.made(memory_bytes=3 * 1600)
    keys = [tile_key("binance", "ETHUSDT", 0, START_MS - number * 60_000) for number in range(4)]
    for key in keys:
        await world.put(key, bytes(1000))
    for key in (*keys[:3], keys[0], keys[3]):
        await world.get(f"/{key}")
        world.files.check()
    for key in (keys[0], keys[3]):
        await world.get(f"/{key}")
    assert world.store.reads == dict.fromkeys(keys, 1)
    await world.get(f"/{keys[1]}")
    assert world.store.reads[keys[1]] == 2


async def test_closing_ends_what_is_under_way(world: World) -> None:
    world.store.gate = asyncio.Event()
    waiting = asyncio.create_task(world.get(f"/{KEY}"))
    await world.store.reading.wait()
    await world.files.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
