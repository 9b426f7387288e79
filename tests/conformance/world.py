"""One exchange whose books stand still, what of it is published, and servers and clients around it.

The exchange is the simulator in manual time, so what is published is true at every moment, and an answer of
ours can be compared with the exchange's own, byte for byte.
"""

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, NamedTuple

from depthcast.files import CONTENT_TYPE, DELISTED, LIMITS, FileInfo, depth_key
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS, TRADING_STATUS
from depthcast.metadata.recorder import Offering, Recorder
from depthcast.settings import Address
from depthcast.store import Outcome, Store
from server.__main__ import listen, serve
from server.settings import ServerSettings
from simulator.app import Simulator
from simulator.clock import ManualClock
from simulator.market import Profile, listing_of
from simulator.settings import Settings

CHINESE: Final = "币安人生USDT"

SYMBOLS: Final = {
    "1INCHUSDT": (Profile(bids=30, asks=30), "TRADING"),
    "BTCUSDT": (Profile(bids=150, asks=140), "TRADING"),
    "EMPTYUSDT": (Profile(bids=0, asks=0), "BREAK"),
    "ETHUSDT": (Profile(bids=5200, asks=5200), "TRADING"),
    "HALTUSDT": (Profile(bids=10, asks=10), "HALT"),
    "NEWUSDT": (Profile(bids=50, asks=50), "TRADING"),
    "ODDUSDT": (Profile(bids=10, asks=10), "CANCEL_ONLY"),
    "ONESIDEUSDT": (Profile(bids=0, asks=12), "TRADING"),
    "THINUSDT": (Profile(bids=2, asks=3), "TRADING"),
    CHINESE: (Profile(bids=20, asks=20), "TRADING"),
}
"""What the exchange lists, in the order of the keys of its files."""

MARGIN: Final = ("BTCUSDT", "ETHUSDT")

PUBLISHED: Final = {"NEWUSDT": (5, 20)}
"""The limits that are published of a symbol, where they are not all of them."""

GONE: Final = "GONEUSDT"
"""Published once and delisted since."""

DAMAGED: Final = "SPOILTUSDT"
"""Its files are no files."""


class World:
    """The exchange. Use as an asynchronous context manager; ``simulator.rest_url`` is its address."""

    def __init__(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        self.simulator = Simulator(
            Settings(symbols=(), weight_limit=10**9), manual=True, clock=ManualClock(now_ms)
        )
        exchange = self.simulator.exchange
        for symbol, (profile, status) in SYMBOLS.items():
            listing = listing_of(symbol)
            if symbol in MARGIN:
                listing.permissions = ("SPOT", "MARGIN")
            exchange.add_market(listing, profile)
            exchange.set_status(symbol, status)

    async def __aenter__(self) -> "World":
        await self.simulator.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.simulator.stop()

    @property
    def port(self) -> int:
        """Of the exchange's REST interface."""
        return int(self.simulator.rest_url.rpartition(":")[2])

    def book(self, symbol: str, limit: int) -> bytes:
        """The true book: the body of its file, and of every right answer."""
        journal = self.simulator.exchange.instruments[symbol].journal
        return self.simulator.truth.body(symbol, journal.update_id, limit, journal.generation)

    async def publish(self, store: Store) -> None:
        """Write what updaters would have written."""
        for symbol, (profile, status) in SYMBOLS.items():
            for limit in PUBLISHED.get(symbol, LIMITS):
                await self._put(store, depth_key(symbol, limit), self.book(symbol, limit), status, profile)
        for limit in LIMITS:
            await self._put(store, depth_key(GONE, limit), self.book("THINUSDT", limit), DELISTED)
            await self._put(store, depth_key(DAMAGED, limit), b"{}", "TRADING")
        body = (await asyncio.to_thread(ask, self.port, "GET /api/v3/exchangeInfo")).body
        statuses = [{"symbol": symbol, "status": status} for symbol, (_, status) in SYMBOLS.items()]
        documents = {
            EXCHANGE_INFO: body,
            SYSTEM_STATUS: b'{"status":0,"msg":"normal"}',
            TRADING_STATUS: json.dumps({"symbols": statuses}).encode(),
        }
        now_ms = self.simulator.exchange.wall_ms()
        for kind, document in documents.items():
            recorder = Recorder(store, kind, replica="world", wall_ms=lambda: now_ms)
            offered = await recorder.offer(document, now_ms)
            assert offered.offering is Offering.RECORDED

    async def _put(
        self, store: Store, key: str, body: bytes, status: str, profile: Profile | None = None
    ) -> None:
        now_ms = self.simulator.exchange.wall_ms()
        info = FileInfo(
            epoch=0,
            bids=profile.bids if profile else 2,
            asks=profile.asks if profile else 3,
            bids_complete=True,
            asks_complete=True,
            event_time_ms=now_ms,
            publish_time_ms=now_ms,
            replica="world",
            status=status,
        )
        await self._write(store, key, body, info.to_metadata())

    @staticmethod
    async def _write(store: Store, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        result = await store.put_if(key, body, match=None, metadata=metadata, content_type=CONTENT_TYPE)
        assert result.outcome is Outcome.WON, (key, result)


class Got(NamedTuple):
    """An answer as it came."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(port: int, request: str, headers: Mapping[str, str] | None = None) -> Got:
    """The answer to ``METHOD target``, sent as it is, on a connection of its own."""
    method, _, target = request.partition(" ")
    lines = [f"{method} {target} HTTP/1.1", "Host: mirror", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape"))
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return Got(answer.status, answer.headers, answer.read())


@contextlib.asynccontextmanager
async def serving(
    store: Store, *, wall_s: Callable[[], float] = time.time, **settings: object
) -> AsyncIterator[int]:
    """A server over ``store``, on sockets; its port. The store is closed at the end."""
    bound = listen(Address("127.0.0.1", 0))
    port: int = bound.getsockname()[1]
    stop = asyncio.Event()
    chosen = ServerSettings.model_validate({"read_timeout_ms": 30_000, **settings})
    task = asyncio.create_task(serve(chosen, store, bound, stop, wall_s=wall_s))
    try:
        async with asyncio.timeout(30):
            while not task.done():
                with contextlib.suppress(OSError):
                    if (await asyncio.to_thread(ask, port, "GET /readyz")).status == 200:
                        break
                await asyncio.sleep(0.01)
        yield port
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await task
