"""A venue beside the first: its calls, answered from its files as the exchange answers them itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from depthcast.errors import SettingsError
from depthcast.files import BINANCE_US, BINANCE_USDM, CONTENT_TYPE, FileInfo, Scheme, depth_key
from depthcast.store.memory import MemoryStore
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment
from server.settings import ServerSettings
from simulator.app import Simulator
from simulator.clock import ManualClock
from simulator.settings import Settings
from tests.conformance.world import Got, ask, serving
from tests.depthcast.tape.stored import store_segments

SYMBOLS = ("BTCUSDT", "ETHUSDT")


class Place(NamedTuple):
    """Ports of the exchange and of the server in its place."""

    exchange: int
    server: int
    store: MemoryStore

    async def both(self, target: str) -> tuple[Got, Got]:
        asked = f"GET {target}"
        theirs = await asyncio.to_thread(ask, self.exchange, asked)
        return theirs, await asyncio.to_thread(ask, self.server, asked)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """Futures that stand still, published as they are."""
    settings = Settings(symbols=SYMBOLS, depth=1200, varied=False, futures=True, weight_limit=10**9)
    store = MemoryStore()
    async with Simulator(settings, manual=True, clock=ManualClock(1_790_000_000_000)) as sim:
        port = int(sim.rest_url.rpartition(":")[2])
        await sim.tick(3)
        for symbol in SYMBOLS:
            for limit in BINANCE_USDM.limits:
                got = await asyncio.to_thread(ask, port, f"GET /fapi/v1/depth?symbol={symbol}&limit={limit}")
                await put(store, depth_key(symbol, limit, BINANCE_USDM), got.body)
        listed = await asyncio.to_thread(ask, port, "GET /fapi/v1/exchangeInfo")
        await store.put_if(BINANCE_USDM.exchange_info_key, listed.body, match=None)
        await put(store, depth_key("BTCUSD", 5, BINANCE_US), b'{"lastUpdateId":7,"bids":[],"asks":[]}')
        async with serving(store, venues=("binanceusdm", "binanceus")) as server:
            yield Place(port, server, store)


async def put(store: MemoryStore, key: str, body: bytes) -> None:
    info = FileInfo(0, 1000, 1000, False, False, 1_790_000_000_000, 1_790_000_000_001, "a")
    await store.put_if(key, body, match=None, metadata=info.to_metadata(), content_type=CONTENT_TYPE)


ROWS = (
    *(f"depth?symbol=BTCUSDT&limit={limit}" for limit in BINANCE_USDM.limits),
    "depth?symbol=ETHUSDT",
    "depth?symbol=ethusdt&limit=5",
    "depth?limit=5&symbol=ETHUSDT&timestamp=1",
    "depth?symbol=ETHUSDT&limit=7",
    "depth?symbol=ETHUSDT&limit=5000",
    "depth?symbol=ETHUSDT&limit=0",
    "depth?symbol=ETHUSDT&limit=",
    "depth?symbol=ETHUSDT&limit=abc",
    "depth?symbol=NOUSDT",
    "depth?symbol=",
    "depth?symbol=A%2FB",
    "depth",
    "depth?symbol=A&symbol=B",
    "ticker/bookTicker?symbol=BTCUSDT",
    "ticker/bookTicker?symbol=NOUSDT",
    "ticker/bookTicker",
    "ping",
    "ping?a=1",
    "ping?a=1&a=2",
)


async def test_every_row_is_answered_as_the_exchange_answers_it(place: Place) -> None:
    for row in ROWS:
        theirs, ours = await place.both(f"/fapi/v1/{row}")
        assert (ours.status, ours.body) == (theirs.status, theirs.body), row
        assert ours.headers["Content-Type"] == theirs.headers["Content-Type"], row
        named = await asyncio.to_thread(ask, place.server, f"GET /binanceusdm/fapi/v1/{row}")
        assert (named.status, named.body) == (ours.status, ours.body), row


async def test_the_list_is_whole_and_tells_the_time_of_the_answer(place: Place) -> None:
    theirs, ours = await place.both("/fapi/v1/exchangeInfo")
    expected, given = json.loads(theirs.body), json.loads(ours.body)
    assert given.pop("serverTime") > 0
    expected.pop("serverTime")
    assert given == expected
    _, time = await place.both("/fapi/v1/time")
    assert json.loads(time.body)["serverTime"] > 0


async def test_answers_say_what_they_weigh_at_the_exchange(place: Place) -> None:
    for target, weight in {
        "/fapi/v1/depth?symbol=BTCUSDT&limit=1000": "20",
        "/fapi/v1/depth?symbol=BTCUSDT": "10",
        "/fapi/v1/ticker/bookTicker": "5",
        "/fapi/v1/exchangeInfo": "1",
    }.items():
        got = await asyncio.to_thread(ask, place.server, f"GET {target}")
        assert got.headers["x-mbx-used-weight-1m"] == weight


async def test_venues_do_not_answer_for_each_other(place: Place) -> None:
    for target, status in {
        "/api/v3/depth?symbol=BTCUSDT&limit=5": 400,
        "/binanceus/api/v3/depth?symbol=BTCUSD&limit=5": 200,
        "/binanceus/api/v3/depth?symbol=BTCUSDT&limit=5": 400,
        "/fapi/v1/depth?symbol=BTCUSD&limit=5": 400,
    }.items():
        got = await asyncio.to_thread(ask, place.server, f"GET {target}")
        assert got.status == status, target


async def test_without_the_setting_there_are_no_such_paths() -> None:
    async with serving(MemoryStore()) as port:
        got = await asyncio.to_thread(ask, port, "GET /fapi/v1/ping")
    assert got.status == 404


def test_the_first_venue_is_always_served_and_an_unknown_one_is_refused() -> None:
    assert ServerSettings.load(["--venues", "binanceusdm"], {}).venues == ("binance", "binanceusdm")
    with pytest.raises(SettingsError, match="should be some of binance, binanceus, binanceusdm"):
        ServerSettings.load(["--venues", "elsewhere"], {})


def test_schemes_say_where_a_venue_is_answered() -> None:
    schemes: list[Scheme] = [BINANCE_US, BINANCE_USDM]
    assert [scheme.root for scheme in schemes] == ["binanceus/api/v3/", "fapi/v1/"]


async def test_the_book_of_a_moment_is_the_file_of_then_at_both_paths(place: Place) -> None:
    diffs = [
        RecordedDiff(
            9, 10 + at, 1_790_000_000_000 + at, 0, [("5.0", str(at + 1))], [], 9 + at, 1_789_999_999_990
        )
        for at in range(3)
    ]
    frame = Keyframe(9, 1_789_999_999_900, 0, [("4.0", "1")], [("6.0", "1")], True, True, 1_789_999_999_890)
    piece, start_ms = Piece(0, frame, diffs), 1_790_000_000_000 // 60_000 * 60_000
    segment = Segment.of("binanceusdm", "BTCUSDT", start_ms, 60, [piece], from_start=True, to_end=True)
    await store_segments(place.store, [segment])
    wanted = b'"E":1790000000001,"T":1789999999990,"bids":[["5.0","2"],["4.0","1"]],"asks":[["6.0","1"]]}'
    for path in ("/fapi/v1/depth", "/binanceusdm/fapi/v1/depth"):
        target = f"{path}?symbol=btcusdt&limit=5&at=1790000000001"
        got = await asyncio.to_thread(ask, place.server, f"GET {target}")
        assert (got.status, got.body) == (200, b'{"lastUpdateId":11,' + wanted)
        assert got.headers["x-mbx-used-weight-1m"] == "2" if path.startswith("/fapi") else "4"
        again = await asyncio.to_thread(
            ask, place.server, f"GET {target}", {"If-None-Match": got.headers["ETag"]}
        )
        assert (again.status, again.body) == (304, b"")
    for query, code in (("limit=7&at=10", -4021), ("limit=5&at=now", -1100), ("limit=5&at=7", -1130)):
        got = await asyncio.to_thread(ask, place.server, f"GET /fapi/v1/depth?symbol=BTCUSDT&{query}")
        assert json.loads(got.body)["code"] == code
    got = await asyncio.to_thread(ask, place.server, "GET /fapi/v1/depth?symbol=ETHUSDT&at=10")
    assert (got.status, json.loads(got.body)["tape"]) == (404, None)
