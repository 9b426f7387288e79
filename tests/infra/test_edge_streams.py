"""Pushed books through the edge: they pass as they come, and a websocket's handshake passes at all."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from websockets.asyncio.client import connect

from depthcast.files import CONTENT_TYPE, FileInfo, depth_key
from depthcast.store.memory import MemoryStore
from depthcast.venues.binance_files import BINANCE_US
from server.__main__ import serve
from server.settings import ServerSettings
from tests.infra.conftest import Edge

KEYS = (depth_key("ETHUSDT", 5), depth_key("ETHUSDT", 5, BINANCE_US))
WITHIN_S = 30.0


def body(update_id: int) -> bytes:
    return b'{"lastUpdateId":%d,"bids":[["1.00","2.00"]],"asks":[["1.10","%d.00"]]}' % (update_id, update_id)


async def publish(store: MemoryStore, update_id: int) -> None:
    info = FileInfo(
        epoch=0,
        replica="a",
        bids=1,
        asks=1,
        bids_complete=True,
        asks_complete=True,
        event_time_ms=update_id,
        publish_time_ms=update_id,
    )
    for key in KEYS:
        found = await store.get(key)
        await store.put_if(
            key,
            body(update_id),
            match=None if found is None else found.etag,
            metadata=info.to_metadata(),
            content_type=CONTENT_TYPE,
        )


@pytest.fixture
async def published(edge: Edge) -> AsyncIterator[MemoryStore]:
    """A server in place of the edge's origin, and the store it reads."""
    edge.origin.go_away()
    store, stop = MemoryStore(), asyncio.Event()
    await publish(store, 1)
    with socket.create_server(("127.0.0.1", edge.origin.port)) as bound:
        serving = asyncio.create_task(
            serve(ServerSettings(venues=("binance", "binanceus")), store, bound, stop)
        )
        async with aiohttp.ClientSession() as session:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    async with session.get(f"{edge.url}/api/v3/depth?symbol=ETHUSDT&limit=5") as answer:
                        if answer.status == 200:
                            break
                    await asyncio.sleep(0.02)
        yield store
        stop.set()
        await serving


@pytest.mark.parametrize("venue", ["", "/binanceus"])
async def test_server_sent_events_pass_as_they_come(edge: Edge, published: MemoryStore, venue: str) -> None:
    url = f"{edge.url}{venue}/stream/depth?symbol=ETHUSDT&limit=5"
    async with asyncio.timeout(WITHIN_S), aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        ids = await _ids(answer, 1)
        await publish(published, 2)
        ids += await _ids(answer, 1)
    assert ids == [1, 2]


async def _ids(answer: aiohttp.ClientResponse, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        line = await answer.content.readline()
        assert line, "the stream ended"
        if line.startswith(b"id:"):
            found.append(int(line[3:]))
    return found


@pytest.mark.parametrize(
    "path",
    [
        f"{venue}{path}"
        for venue in ("", "/binanceus")
        for path in ("/ws/ethusdt@depth5@100ms", "/stream?streams=ethusdt@depth5@100ms")
    ],
)
async def test_the_exchanges_websocket_passes(edge: Edge, published: MemoryStore, path: str) -> None:
    async with asyncio.timeout(WITHIN_S), connect(edge.url.replace("http", "ws") + path) as stream:
        first = json.loads(await stream.recv())
        assert ("data" in first) == ("streams" in path)
        await publish(published, 2)
        second = json.loads(await stream.recv())
    assert [each.get("data", each)["lastUpdateId"] for each in (first, second)] == [1, 2]
