"""One connection of the exchange's websocket (RFC 6455): ``/ws``, ``/ws/<stream>``, ``/stream?streams=…``.
Those of another venue than the first are the same below its name.

What is read is websockets' own parser's to take apart; what is sent is a channel's frame, the same bytes for
all, written straight to the transport. Nothing is compressed. While the socket takes nothing more, channels
that have news are remembered, not their messages, and the client is not listened to either.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import unquote

import uvicorn
from starlette import requests, responses
from starlette.routing import Route
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

from depthcast.venues.binance_streams import Limits
from server.clients import Clients
from server.protocol import keep_nothing
from server.push.channels import Channel, Channels, text_frame
from server.push.counts import End, Kind
from server.push.hub import Hub, Reader, Source
from server.push.names import COMBINED_PATH, WEBSOCKET_PATH, Target, parse_target
from server.push.session import GOING_AWAY, Abort, Close, Ping, Session, Word

MAX_MESSAGE_BYTES: Final = 128 * 1024
"""1,024 names fit."""

CLOSE_WAIT_S: Final = 2.0
"""So long a client has to answer our closing."""

FIRST: Final = ""
"""In place of the name of the venue whose paths need none."""

NOTICE_S: Final = 1.0
"""So long after *serverShutdown* the connection is closed."""

_INVALID_TEXT: Final = 1007
_DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Websocket(asyncio.Protocol, Reader):
    """One connection, from the head of its request on, as uvicorn makes them."""

    kind = Kind.WEBSOCKET

    def __init__(
        self,
        hub: Hub,
        channels: Mapping[str, Channels],
        clients: Clients,
        limits: Limits | None,
        connections: set[Any],
        limit_concurrency: int | None = None,
    ) -> None:
        self._hub = hub
        self._channels = channels
        self._clients = clients
        self._limits = limits
        self._connections = connections
        self._limit_concurrency = limit_concurrency
        self._session: Session | None = None
        self._protocol: Protocol | None = None
        self._parts: list[bytes] = []
        self._behind: dict[Channel, None] = {}
        self._why = End.LEFT
        self._timer: asyncio.TimerHandle | None = None
        self.client = ""
        self.paused_at: float | None = None

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._protocol is None or self._session is None:
            self._open(data)
            return
        self._protocol.receive_data(data)
        self._flush()
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and self._protocol.state is State.OPEN:
                self._take(event)

    def eof_received(self) -> None:
        if self._protocol is not None:
            self._protocol.receive_eof()
            self._flush()

    def pause_writing(self) -> None:
        self.paused_at = self._hub.clock()
        # Who does not read is not answered either: answers would wait here.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.paused_at = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
        while self._behind and self.paused_at is None:
            channel = next(iter(self._behind))
            del self._behind[channel]
            self.offer(channel)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._session is not None:
            self._session.end()
        self._behind.clear()
        self._hub.leave(self, self._why)

    # What the hub asks

    def offer(self, source: Source) -> None:
        assert isinstance(source, Channel)
        if self._session is None or self._protocol is None or self._protocol.state is not State.OPEN:
            return
        if self.paused_at is not None:
            self._behind[source] = None
            return
        frame = self._session.news(source)
        if frame is not None and not self._transport.is_closing():
            self._transport.write(frame)

    def tick(self, now: float) -> None:
        if self._session is not None and self.paused_at is None:
            word = self._session.tick(now)
            if word is not None:
                self._say(word)

    def cut(self, why: End) -> None:
        self._why = why
        self._transport.abort()

    def stop(self) -> None:
        if self._session is None or self._why is End.SHUTDOWN:
            return
        self._why = End.SHUTDOWN
        if self.paused_at is not None:
            self._transport.abort()
            return
        self._say(self._session.farewell())
        closing = Close(GOING_AWAY, "Going away", End.SHUTDOWN)
        self._timer = asyncio.get_running_loop().call_later(NOTICE_S, self._say, closing)

    # What uvicorn asks

    def shutdown(self) -> None:
        """The server stops."""
        if self._session is None:
            self._transport.close()
        else:
            self.stop()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        if self._session is not None:
            self._session.check()
        assert not self._behind or self.paused_at is not None

    def _open(self, head: bytes) -> None:
        """Shake hands. ``head`` is the whole request as uvicorn has read and written it anew."""
        line, *lines = head.decode("latin-1").split("\r\n\r\n", 1)[0].split("\r\n")
        method, url, _ = line.split(" ", 2)
        headers = Headers()
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name] = value
        path, _, query = url.partition("?")
        channels, path = self._place(unquote(path))
        target = parse_target(path, query)
        handshake = ServerProtocol()
        peer = self._transport.get_extra_info("peername")
        forwarded = ", ".join(headers.get_all("x-forwarded-for")).encode("latin-1") or None
        self.client = self._clients.name(str(peer[0]) if peer else "", forwarded)
        if target is None or method != "GET":
            response = handshake.reject(404, "")
        else:
            response = handshake.accept(Request(url, headers))
            if response.status_code == 101 and not self._has_room():
                response = handshake.reject(503, "")
                response.headers["Retry-After"] = "1"
        self._transport.write(response.serialize())
        if target is None or response.status_code != 101:
            self._transport.close()
            return
        self._begin(target, channels)

    def _place(self, path: str) -> tuple[Channels, str]:
        """Whose websocket a path (percent-decoded) leads to, and what it is called there."""
        venue, slash, rest = path.removeprefix("/").partition("/")
        other = self._channels.get(venue) if venue and slash else None
        channels, path = (self._channels[FIRST], path) if other is None else (other, f"/{rest}")
        route = channels.streams.route
        return channels, path.removeprefix(route) if path.startswith(f"{route}/") else path

    def _has_room(self) -> bool:
        # uvicorn looks at its limit for requests only. This connection is counted already.
        if self._limit_concurrency is not None and len(self._connections) >= self._limit_concurrency:
            return False
        return self._hub.room_for(self.kind, self.client)

    def _begin(self, target: Target, channels: Channels) -> None:
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=MAX_MESSAGE_BYTES)
        limits = self._limits or channels.streams.limits
        self._session = Session(self._hub, channels, self, target, limits=limits)
        keep_nothing(self._transport)
        self._hub.enter(self)
        self._say(*self._session.subscribe(target.names))

    def _take(self, frame: Frame) -> None:
        """One frame came."""
        assert self._session is not None
        if frame.opcode is Opcode.CLOSE:
            return
        refused = self._session.frame_came(self._hub.clock())
        if refused is not None:
            self._say(refused)
        elif frame.opcode is Opcode.PONG:
            self._session.pong(bytes(frame.data))
        elif frame.opcode in _DATA:
            self._parts.append(bytes(frame.data))
            if frame.fin:
                message = b"".join(self._parts)
                self._parts.clear()
                self._hear(message)

    def _hear(self, message: bytes) -> None:
        """A message came, of text or not: the exchange's are JSON."""
        assert self._session is not None
        try:
            text = message.decode()
        except UnicodeDecodeError:
            self._say(Close(_INVALID_TEXT, "", End.REFUSED))
        else:
            self._say(*self._session.say(text))

    def _say(self, *words: Word) -> None:
        """Say these, then offer what was subscribed to."""
        assert self._session is not None
        assert self._protocol is not None
        for word in words:
            if self._protocol.state is not State.OPEN or self._transport.is_closing():
                return
            match word:
                case str():
                    self._transport.write(text_frame(word.encode()))
                case Ping():
                    self._protocol.send_ping(word.payload)
                    self._flush()
                case Close():
                    self._why = word.why
                    self._protocol.send_close(word.code, word.reason)
                    self._flush()
                    loop = asyncio.get_running_loop()
                    self._timer = loop.call_later(CLOSE_WAIT_S, self._transport.abort)
                case Abort():
                    self.cut(word.why)
        joined = self._session.joined
        while joined:
            self.offer(joined.pop(0))

    def _flush(self) -> None:
        """Send what the parser has to say: pongs, closing."""
        assert self._protocol is not None
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                if self._why is End.LEFT and self._protocol.parser_exc is not None:
                    self._why = End.REFUSED
                self._transport.close()


async def upgrade_required(_request: requests.Request) -> responses.Response:
    """To who asks for a websocket's path without being one (RFC 9110, 15.5.22)."""
    return responses.Response(
        status_code=426,
        headers={"Upgrade": "websocket", "Connection": "upgrade", "Cache-Control": "no-store"},
    )


def routes(prefix: str = "") -> tuple[Route, ...]:
    """What is answered to who asks for a websocket's paths below ``prefix`` without being one."""
    paths = (WEBSOCKET_PATH, WEBSOCKET_PATH + "/{names:path}", COMBINED_PATH)
    return tuple(Route(prefix + path, upgrade_required) for path in paths)


def websocket_with(
    hub: Hub, channels: Mapping[str, Channels], clients: Clients, limits: Limits | None = None
) -> type[asyncio.Protocol]:
    """The class of a server's websockets, for uvicorn's ``ws``. ``channels`` are by the venue's name, those
    of the first venue by :data:`FIRST`; ``limits`` go before those of the venues."""

    class _Websocket(Websocket):
        def __init__(
            self,
            config: uvicorn.Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            most = config.limit_concurrency
            super().__init__(hub, channels, clients, limits, server_state.connections, most)

    return _Websocket
