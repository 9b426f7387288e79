"""Real input: recorded messages of BitMEX through sockets, updater and store, up to the server's answers.

Each message is let through only when the files show the one before it. They are of 2021: rows tell their
price when they come and no time at all, so ids are made of when they are received.
"""

import asyncio
import contextlib
import gzip
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from aiohttp import WSMsgType, web

from depthcast.files import check_file, parse_key
from depthcast.orders.messages import time_ms
from depthcast.store import Store
from depthcast.store.memory import MemoryStore
from depthcast.venues.bitmex_files import BITMEX
from server.service import Service
from server.settings import ServerSettings
from updater.replica import Replica
from updater.settings import UpdaterSettings

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "bitmex"
WAIT_S: Final = 30.0

pytestmark = [
    pytest.mark.captures,
    pytest.mark.timeout(280),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded messages beside the checkout ({DATA})"),
]


def recorded(name: str) -> Iterator[tuple[float, str]]:
    """When each frame or answer was received, and its text."""
    with gzip.open(DATA / name, "rt") as lines:
        for line in lines:
            place, separator, text = line.rstrip("\n").partition(": ")
            if separator and text.startswith(("{", "[")) and "<-" not in place:
                yield float(place.rpartition(" ")[2]), text


class Exchange:
    """Says what was recorded, a message at a time."""

    def __init__(self) -> None:
        self.url = ""
        self.clock_s = 0.0
        self.socket: web.WebSocketResponse | None = None
        self.subscribed = asyncio.Event()

    async def listen(self, request: web.Request) -> web.WebSocketResponse:
        self.socket = socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data == "ping":
                await socket.send_str("pong")
            elif message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                for topic in asked["args"]:
                    await socket.send_json({"success": True, "subscribe": topic, "request": asked})
                self.subscribed.set()
        return socket

    async def list(self, request: web.Request) -> web.Response:
        # The recording has the instruments that were followed; each is listed as it was.
        return web.Response(body=next(text for _, text in recorded("cf_20210417_instruments.txt.gz")))

    async def about(self, request: web.Request) -> web.Response:
        return web.json_response({"name": "BitMEX API", "timestamp": int(1000 * self.clock_s)})

    async def say(self, text: str) -> None:
        assert self.socket is not None
        await self.socket.send_str(text)


@contextlib.asynccontextmanager
async def exchange() -> AsyncIterator[Exchange]:
    made = Exchange()
    app = web.Application()
    app.router.add_get("/realtime", made.listen)
    app.router.add_get("/api/v1/instrument/active", made.list)
    app.router.add_get("/api/v1", made.about)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        made.url = f"127.0.0.1:{port}"
        yield made
    finally:
        await runner.cleanup()


async def until(true: Any, what: Any = "") -> None:
    end = asyncio.get_running_loop().time() + WAIT_S
    while not true():
        assert asyncio.get_running_loop().time() < end, what
        await asyncio.sleep(0)


def replica_of(exchange: Exchange, store: Store, symbols: list[str]) -> Replica:
    argv = ["--venue", "bitmex", "--symbols", ",".join(symbols), "--replica", "a", "--limits", "10,0"]
    argv += ["--rest-url", f"http://{exchange.url}", "--ws-url", f"ws://{exchange.url}"]
    argv += ["--cadence", "1000:0", "--same-levels-ms", "0", "--symbols-every-s", "0"]

    async def proven(store: Store) -> None:
        """The conformance suite proves stores."""

    return Replica(
        UpdaterSettings.load(argv, {}),
        store,
        prove=proven,
        wall_ms=lambda: int(1000 * exchange.clock_s),
    )


async def test_every_recorded_quote_is_the_top_of_a_file_and_nothing_is_built_anew() -> None:
    frames = [(at, text) for at, text in recorded("cf_20210417_ws.txt.gz") if '"table"' in text]
    symbols = sorted({json.loads(text)["filter"]["symbol"] for _, text in frames if '"partial"' in text})
    store = MemoryStore()
    tops: dict[str, list[Any]] = defaultdict(list)
    begun_ms: dict[str, float] = {}
    quotes: list[tuple[str, list[Any]]] = []
    async with exchange() as venue:
        venue.clock_s = frames[0][0]
        replica = replica_of(venue, store, symbols)
        task = asyncio.ensure_future(replica.run())
        try:
            await asyncio.wait_for(venue.subscribed.wait(), WAIT_S)
            await until(lambda: replica.report.status()["feed"]["live"] == len(symbols))
            for at, text in frames:
                venue.clock_s = at
                message = json.loads(text)
                if message["table"] == "quote":
                    for row in message["data"]:
                        if time_ms(row["timestamp"]) > begun_ms.get(row["symbol"], float("inf")):
                            quotes += [(row["symbol"], quoted(row))]
                if message["table"] != "orderBookL2" or not message["data"]:
                    continue
                symbol = message["data"][0]["symbol"]
                sync: Any = replica._keeper.books[symbol].sync
                heard = sync.heard
                await venue.say(text)
                await until(lambda: sync.heard > heard and shown(replica, symbol), (symbol, text))  # noqa: B023
                file = await store.get(BITMEX.key(symbol, 10))
                if file is not None:
                    check_file(BITMEX.key(symbol, 10), file.body, file.metadata)
                    begun_ms.setdefault(symbol, 1000 * at)
                    tops[symbol].append(top_of(BITMEX.key(symbol, 10), file.body))
            assert all(each["resyncs"] == 0 for each in replica.report.status()["symbols"])
            await served(store, symbols)
        finally:
            replica.stop()
            replica.give_up()
            await asyncio.gather(task, return_exceptions=True)
    assert len(symbols) == 10
    assert sum(map(len, tops.values())) > 1500
    assert len(quotes) > 300
    assert [quote for quote in quotes if quote[1] not in tops[quote[0]]] == []


def shown(replica: Replica, symbol: str) -> bool:
    """Whether the files are at the book, or the book is not certain of its ids yet."""
    live, publisher = replica._keeper.books[symbol], replica._holdings.publishers.get(symbol)
    if not live.live:
        return live.stream is not None and not live.stream.ready
    book = live.book
    assert book is not None
    files = [] if publisher is None else publisher.files()
    return bool(files) and all(
        file.version is not None and file.version.update_id == book.update_id for file in files
    )


async def served(store: Store, symbols: list[str]) -> None:
    """The server's answers are the files."""
    service = Service(ServerSettings.load(["--venues", "bitmex"], {}), store)
    work = asyncio.ensure_future(service.run())
    try:
        await until(lambda: service.catalogue.known)
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            for symbol in symbols:
                for depth in (10, 0):
                    file = await store.get(BITMEX.key(symbol, depth))
                    assert file is not None
                    answer = await client.get(f"/api/v1/orderBook/L2?symbol={symbol}&depth={depth}")
                    assert (answer.status_code, answer.content) == (200, file.body)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await service.close()


def top_of(key: str, body: bytes) -> list[Any]:
    assert parse_key(key).limit == 10
    bids, asks = BITMEX.layout(10).levels(key, body, 1)
    return [(float(price), int(size)) for price, size in (*bids, *asks)]


def quoted(row: dict[str, Any]) -> list[Any]:
    return [(float(row["bidPrice"]), row["bidSize"]), (float(row["askPrice"]), row["askSize"])]
