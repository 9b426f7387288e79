"""An exchange of a few lines on loopback, moved by the tests themselves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer


class Exchange:
    """Complete books of one bid and one ask that change with each :meth:`tick`; speaks Binance's protocol."""

    def __init__(self, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")) -> None:
        self.ids = dict.fromkeys(symbols, 100)
        self.asked: Counter[str] = Counter()
        self.refuse = False
        self._sockets: dict[web.WebSocketResponse, set[str]] = {}
        app = web.Application()
        app.add_routes(
            [
                web.get("/api/v3/exchangeInfo", self._exchange_info),
                web.get("/api/v3/depth", self._depth),
                web.get("/stream", self._stream),
            ]
        )
        self.server = TestServer(app)

    @property
    def rest_url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    @property
    def ws_url(self) -> str:
        return self.rest_url.replace("http", "ws", 1)

    def subscribed(self, symbol: str) -> bool:
        return any(symbol in symbols for symbols in self._sockets.values())

    def book(self, symbol: str) -> dict[str, Any]:
        last = self.ids[symbol]
        return {"lastUpdateId": last, "bids": [["1.00", f"{last}.0"]], "asks": [["2.00", "1.0"]]}

    async def tick(self, symbol: str) -> None:
        """The next update of a book: its bid's quantity becomes the update id."""
        self.ids[symbol] = last = self.ids[symbol] + 1
        data = {
            "e": "depthUpdate",
            "E": last,
            "s": symbol,
            "U": last,
            "u": last,
            "b": [["1.00", f"{last}.0"]],
        }
        frame = orjson.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": {**data, "a": []}})
        for socket, symbols in list(self._sockets.items()):
            if symbol in symbols:
                await socket.send_str(frame.decode())

    async def _exchange_info(self, _request: web.Request) -> web.Response:
        self.asked["exchangeInfo"] += 1
        if self.refuse:
            return web.Response(status=503)
        precise = {"baseAsset": "B", "quoteAsset": "Q", "baseAssetPrecision": 8, "quoteAssetPrecision": 8}
        symbols = [{"symbol": symbol, "status": "TRADING"} | precise for symbol in self.ids]
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
        time_ms = 1_700_000_000_000 + self.asked["exchangeInfo"] - 1
        body = {"serverTime": time_ms, "rateLimits": [limit], "symbols": symbols}
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    async def _depth(self, request: web.Request) -> web.Response:
        self.asked["depth"] += 1
        return web.json_response(self.book(request.query["symbol"]), headers={"X-MBX-USED-WEIGHT-1M": "40"})

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets[socket] = set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = orjson.loads(message.data)
                self._sockets[socket].update(name.partition("@")[0].upper() for name in asked["params"])
                await socket.send_str(orjson.dumps({"result": None, "id": asked["id"]}).decode())
        del self._sockets[socket]
        return socket

    async def close(self) -> None:
        await asyncio.gather(*(socket.close() for socket in list(self._sockets)))
        await self.server.close()


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    made = Exchange()
    await made.server.start_server()
    yield made
    await made.close()
