"""A recorded stream of one symbol as frames, and an exchange that sends it as fast as it is taken."""

import asyncio
from dataclasses import dataclass
from typing import Final, Self

import orjson
from aiohttp import WSMsgType, web
from websockets.frames import OP_TEXT, Frame

from bench.flow import Flow, recorded, synthetic
from depthcast.events import Diff, Snapshot

SYMBOL: Final = "ETHUSDT"
UNIFIED: Final = "ETH/USDT"
DIFFS: Final = 3_000
QUICK_DIFFS: Final = 600
BURST: Final = 50
HELD: Final = 5
"""Frames sent before the snapshot is asked for, as a stream that is open already would."""


def load(*, quick: bool, levels: int) -> Flow:
    """The recorded diffs that follow the recorded snapshot, or made-up ones where there is no capture."""
    count = QUICK_DIFFS if quick else DIFFS
    return recorded(diffs=count, levels=levels) or synthetic(seed=1, diffs=min(count, 2000), levels=levels)


@dataclass(frozen=True, slots=True)
class Frames:
    """Every frame in both layouts of the exchange: of a combined stream, and of a raw one."""

    combined: list[bytes]
    raw: list[bytes]


def frames_of(flow: Flow) -> Frames:
    raw = [_frame(diff) for diff in flow.diffs]
    stream = f"{SYMBOL.lower()}@depth@100ms"
    return Frames([b'{"stream":"%b","data":%b}' % (stream.encode(), frame) for frame in raw], raw)


def _frame(diff: Diff) -> bytes:
    return orjson.dumps(
        {
            "e": "depthUpdate",
            "E": diff.event_time_ms,
            "s": SYMBOL,
            "U": diff.first,
            "u": diff.last,
            "b": diff.bids,
            "a": diff.asks,
        }
    )


class Exchange:
    """Binance's paths for one symbol. Some frames come with the subscription, the rest after the snapshot.

    Frames are made before; sending them costs nothing but the copy. They come :data:`BURST` at a time, the
    next ones when a ping behind the last ones was answered: where more arrives than aiohttp's buffer takes
    while ccxt.pro's client empties it, it never reads from the socket again.
    """

    def __init__(self, snapshot: Snapshot, frames: Frames, *, delay_s: float = 0.5) -> None:
        body = {"lastUpdateId": snapshot.update_id, "bids": snapshot.bids, "asks": snapshot.asks}
        self._body = orjson.dumps(body)
        self._frames = frames
        self._delay_s = delay_s
        self._asked = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.address = ""
        """``host:port``"""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/v3/depth", self._depth)
        app.router.add_get("/{path:.*}", self._stream)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _depth(self, _: web.Request) -> web.Response:
        asyncio.get_running_loop().call_later(self._delay_s, self._asked.set)
        return web.Response(body=self._body, content_type="application/json")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False, autoping=False)
        answered = asyncio.Event()
        await socket.prepare(request)
        frames = self._frames.combined if request.path == "/stream" else self._frames.raw
        sending: asyncio.Task[None] | None = None
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(orjson.dumps({"result": None, "id": message.json()["id"]}).decode())
                sending = sending or asyncio.create_task(self._send(request, socket, answered, frames))
            elif message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                answered.set()
        if sending is not None:
            sending.cancel()
        return socket

    async def _send(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        answered: asyncio.Event,
        frames: list[bytes],
    ) -> None:
        encoded = [Frame(OP_TEXT, frame).serialize(mask=False) for frame in frames]
        transport = request.transport
        assert transport is not None
        transport.write(b"".join(encoded[:HELD]))
        await self._asked.wait()
        for at in range(HELD, len(encoded), BURST):
            transport.write(b"".join(encoded[at : at + BURST]))
            answered.clear()
            await socket.ping()
            await answered.wait()
