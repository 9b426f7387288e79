"""A whole server in this process, over sockets, and clients that send bytes and count what comes.

When a client's connection is quiet is known from the server's own state, not from a clock: all its bytes were
read, no answer is under way, and nothing waits to be sent.
"""

import asyncio
import json
import logging
import re
from contextlib import suppress
from typing import Any, Final, NamedTuple

import uvicorn
from uvicorn.server import ServerState

from depthcast.files import CONTENT_TYPE, EXCHANGE_INFO_KEY, FileInfo, depth_key
from depthcast.store.memory import MemoryStore
from server.fast import DEFAULT_MAX_HEADS
from server.protocol import BoundedHttpProtocol, protocol_with
from server.push.websocket import Websocket, websocket_with
from server.service import Service
from server.settings import ServerSettings
from server.unfinished import Unfinished
from tests.fuzzing.examples import EXCHANGE_INFO
from tests.server.conftest import WatchedStore

BOUND: Final = 20_000
"""So many turns of the loop are enough for anything."""

SYMBOLS: Final = (("ETHUSDT", 1000), ("BTCUSDT", 7), ("币安人生USDT", 9))
FILES: Final = tuple((symbol, limit, update_id) for symbol, update_id in SYMBOLS for limit in (5, 100))
MONDAY: Final = b"Mon, 01 Jan 2024 00:00:00 GMT"

_HEAD: Final = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n\x00]*\r\n((?:[!-9;-~]+: ?[^\r\n\x00]*\r\n)*)\r\n")
_TIMES: Final = re.compile(rb'"serverTime":\d+|depthcast-(?:age|current-time): [^\r]*\r\n')


class Answered(NamedTuple):
    """One answer as it came over the wire."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    whole: bool


class Site:
    """The server. :attr:`clock` is what unfinished requests are cut off by."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.store = MemoryStore()
        self.state = ServerState()
        self.state.default_headers = [(b"date", MONDAY)]
        self.connections: dict[tuple[str, int], _Counted] = {}

    async def start(self) -> None:
        """Begin to listen; returns once the published symbols are known."""
        for symbol, limit, update_id in FILES:
            await publish(self.store, symbol, limit, update_id)
        await self.store.put_if(EXCHANGE_INFO_KEY, EXCHANGE_INFO, match=None, content_type=CONTENT_TYPE)
        settings = ServerSettings(
            refresh_ms=50,
            stale_after_ms=10**9,
            hot_for_s=3600,
            keep_for_s=3600,
            max_connections=2000,
            max_streams=1000,
        )
        self.service = Service(settings, self.store)
        config = uvicorn.Config(
            self.service.app,
            http=protocol_with(self.service.fast_answers),
            ws=websocket_with(self.service.hub, self.service.channels, self.service.clients),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=settings.max_connections + 1,
            timeout_keep_alive=3600,
        )
        config.load()
        # A warning for each request that is malformed.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        inner = config.http_protocol_class
        made = type("Counted", (_Counted, inner), {"site": self})

        def protocol() -> asyncio.Protocol:
            protocol: asyncio.Protocol = made(config=config, server_state=self.state, app_state={})
            return protocol

        self.unfinished = Unfinished(self.state.connections, within_s=30.0, clock=lambda: self.now)
        self._server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._working = asyncio.create_task(self.service.run())
        await turns(lambda: self.service.catalogue.known and len(self.service.catalogue) == 3)

    async def stop(self) -> None:
        """End everything, and see that everything has ended."""
        self._server.close()
        self.cut()
        await turns(lambda: not self.state.connections, self._staying)
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)
        await self.service.close()

    def cut(self) -> None:
        """End every connection, upgraded or not, without a word."""
        for each in list(self.state.connections):
            transport = each._transport if isinstance(each, Websocket) else each.transport
            transport.abort()

    async def quiet(self) -> None:
        """Nothing is under way but what clients left unfinished; those are cut off in their time."""
        assert not self._working.done(), f"the server has ended: {self._working}"
        for each in list(self.state.connections):
            # Behind a stream of events nothing is read: that its reader is gone shows at the next write.
            if isinstance(each, BoundedHttpProtocol) and each._follower is not None and each.flow.read_paused:
                each.transport.abort()
        self.unfinished.sweep()
        self.now += 31
        self.unfinished.sweep()
        await turns(lambda: not self.state.connections, self._staying)
        self.connections.clear()
        await turns(lambda: not self.state.tasks)
        self.check()

    def _staying(self) -> str:
        told = [
            f"answered: {each.cycle and each.cycle.response_complete}, follower: {each._follower}, "
            f"paused: {each.flow.read_paused}, closing: {each.transport.is_closing()}"
            if isinstance(each, BoundedHttpProtocol)
            else repr(each)
            for each in self.state.connections
        ]
        return f"connections stay: {told}"

    def check(self) -> None:
        """Whatever has bounds or invariants keeps them."""
        service = self.service
        service.fast_answers.check()
        service.hot.check()
        service.hub.check()
        for channels in service.channels.values():
            channels.check()
        assert len(service.fast_answers.by_head) <= DEFAULT_MAX_HEADS
        for each in list(self.state.connections):
            if isinstance(each, BoundedHttpProtocol | Websocket):
                each.check()

    async def talk(self, *pieces: bytes) -> bytes:
        """What is answered to these bytes on a connection of their own, until it is quiet or closed."""
        client = await Client.to(self)
        try:
            await client.say(*pieces)
            return client.take()
        finally:
            client.leave()


class _Counted:
    """Counts what the server's side of a connection has read."""

    site: Site
    read_bytes = 0

    def connection_made(self, transport: Any) -> None:
        self.peer = transport.get_extra_info("peername")
        self.site.connections[self.peer] = self
        super().connection_made(transport)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        self.read_bytes += len(data)
        super().data_received(data)  # type: ignore[misc]

    def connection_lost(self, error: Exception | None) -> None:
        self.site.connections.pop(self.peer, None)
        super().connection_lost(error)  # type: ignore[misc]


class Client(asyncio.Protocol):
    """A client's side of one connection."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._data = bytearray()
        self._sent = 0
        self.closed = False

    @classmethod
    async def to(cls, site: Site) -> "Client":
        """Connected."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: cls(site), "127.0.0.1", site.port)
        await turns(lambda: client._name in site.connections or client.closed)
        client._peer = site.connections.get(client._name)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._name = transport.get_extra_info("sockname")
        self._peer: Any = None

    def data_received(self, data: bytes) -> None:
        self._data += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True

    async def say(self, *pieces: bytes) -> None:
        """Send pieces, each by itself, and wait until the connection is quiet."""
        for piece in pieces:
            if self.closed:
                return
            self._transport.write(piece)
            self._sent += len(piece)
            await turns(lambda: self._has_read() or not self._transport.get_write_buffer_size())
            await asyncio.sleep(0)
        await turns(self._is_quiet, lambda: f"it does not become quiet: {bytes(self._data[-300:])!r}")
        for _ in range(4):
            await asyncio.sleep(0)

    def take(self) -> bytes:
        """What came since the last time."""
        data = bytes(self._data)
        self._data.clear()
        return data

    def leave(self) -> None:
        """Go without a word."""
        self._transport.abort()

    def _has_read(self) -> bool:
        return self.closed or self._peer is None or self._peer.read_bytes >= self._sent

    def _is_quiet(self) -> bool:
        peer = self._peer
        if self.closed or peer is None:
            return True
        transport = peer.transport
        if transport is None or transport.is_closing():
            return self.closed
        if not isinstance(transport.get_protocol(), BoundedHttpProtocol):
            return True  # upgraded; what a websocket answers it answers at once
        if transport.get_write_buffer_size():
            return False
        if peer._follower is not None and (peer.flow.read_paused or self._has_read()):
            return bool(self._data)  # a stream of events goes on, and what is behind it may stay unread
        if not self._has_read():
            return False
        return not peer.pipeline and (peer.cycle is None or peer.cycle.response_complete)


async def turns(condition: Any, what: Any = lambda: "") -> None:
    """Wait for what needs turns of the loop, with a bound."""
    for turn in range(BOUND):
        if condition():
            return
        await asyncio.sleep(0 if turn < 200 else 0.001)
    raise AssertionError(f"it did not happen: {what()}")


async def publish(store: MemoryStore, symbol: str, limit: int, update_id: int) -> bytes:
    """A good file, in place of whatever is there."""
    body = WatchedStore.body(update_id, limit)
    key = depth_key(symbol, limit)
    info = FileInfo(0, limit, limit, False, True, 1_723_161_253_000, 1_723_161_253_021, "a")
    held = await store.get(key)
    match = None if held is None else held.etag
    await store.put_if(key, body, match=match, metadata=info.to_metadata(), content_type=CONTENT_TYPE)
    return body


def answers(data: bytes) -> tuple[list[Answered], bytes]:
    """The answers in what a server sent, none of them to HEAD, and what is no whole answer behind them.

    Raises AssertionError for bytes that are no HTTP/1.1.
    """
    found: list[Answered] = []
    while data:
        match = _HEAD.match(data)
        if match is None:
            assert b"\r\n\r\n" not in data, f"no answer of HTTP/1.1: {data[:300]!r}"
            return found, data
        status = int(match[1])
        lines = [line.split(b":", 1) for line in match[2].split(b"\r\n") if line]
        headers: dict[bytes, bytes] = {}
        for raw_name, value in lines:
            name = raw_name.lower()
            # The one that is a list may come in several lines; "close" is what counts of it here.
            assert name not in headers or name == b"connection", f"a header twice: {match[2]!r}"
            if headers.get(name) != b"close":
                headers[name] = value.strip()
        data = data[match.end() :]
        if status == 101:
            found.append(Answered(status, headers, data, True))
            return found, b""
        if status < 200 or status in (204, 304):
            found.append(Answered(status, headers, b"", True))
        elif b"content-length" in headers:
            length = int(headers[b"content-length"])
            found.append(Answered(status, headers, data[:length], len(data) >= length))
            data = data[length:]
        elif headers.get(b"transfer-encoding") == b"chunked":
            body, data, whole = _unchunked(data)
            found.append(Answered(status, headers, body, whole))
        else:
            assert headers.get(b"connection") == b"close", f"an answer without an end: {match[0]!r}"
            found.append(Answered(status, headers, data, True))
            data = b""
    return found, b""


def _unchunked(data: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        size, mark, rest = data.partition(b"\r\n")
        if not mark:
            return body, data, False
        length = int(size, 16)
        if not length:
            return body, rest.removeprefix(b"\r\n"), True
        if len(rest) < length + 2:
            return body + rest[:length], b"", False
        body, data = body + rest[:length], rest[length + 2 :]


def timeless(data: bytes) -> bytes:
    """What was answered without what tells the moment."""
    return _TIMES.sub(b"", data)


def is_book(body: bytes) -> bool:
    """Whether a body is one of the published books, cut or whole."""
    with suppress(ValueError, KeyError, TypeError):
        book = json.loads(body)
        for _, limit, update_id in FILES:
            whole = json.loads(WatchedStore.body(update_id, limit))
            count = len(book["bids"])
            whole["bids"], whole["asks"] = whole["bids"][:count], whole["asks"][:count]
            if book == whole and body == json.dumps(whole, separators=(",", ":")).encode():
                return True
    return False
