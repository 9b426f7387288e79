"""A feed's websocket made of the ``picows`` package: compiled code, a fifth of the time for a frame.

For :mod:`depthcast.feed.websocket`, which uses it where the extra ``fast`` is installed. The same bounds and
the same errors as of the usual one, held by the same tests. It speaks without compression and through no
proxy.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Final

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSInvalidStatusError,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    WSUpgradeResponse,
    ws_connect,
)

import depthcast
from depthcast.errors import VenueError, VenueUnavailable
from depthcast.feed.limits import FeedLimits

# What picows would log is told by errors, which its lines would only repeat.
_SILENT: Final = logging.Logger("picows", logging.CRITICAL + 1)

Refusal = Callable[[int, dict[str, str], bytes], VenueError]
"""What an answer means that is no websocket: status, headers, body."""


async def open_fast(url: str, limits: FeedLimits, refusal: Refusal) -> "FastSocket":
    """Open a websocket to ``url``. Raises a VenueError."""
    try:
        # The library bounds the handshake alone, and not the way to it.
        async with asyncio.timeout(limits.open_timeout_s):
            _, socket = await ws_connect(
                lambda: FastSocket(limits),
                url,
                websocket_handshake_timeout=limits.open_timeout_s,
                max_frame_size=limits.max_frame_bytes,
                extra_headers={"User-Agent": f"depthcast/{depthcast.__version__}"},
                logger_name=_SILENT,
            )
    except WSInvalidStatusError as error:
        raise _refused(refusal, error) from error
    except (OSError, TimeoutError, WSError) as error:
        raise VenueUnavailable(
            f"{url} cannot be reached: {error or type(error).__name__}",
            hint="it is tried again; check the network and the websocket url",
        ) from error
    if socket is None:
        # The library calls it connected where the other end hangs up instead of answering.
        raise VenueUnavailable(
            f"{url} cannot be reached: the connection was closed before the handshake was over",
            hint="it is tried again; check the network and the websocket url",
        )
    assert isinstance(socket, FastSocket)
    return socket


def _refused(refusal: Refusal, error: WSHandshakeError) -> VenueError:
    response = error.response
    assert isinstance(response, WSUpgradeResponse)
    return refusal(int(response.status), dict(response.headers.items()), bytes(response.body or b""))


class FastSocket(WSListener):
    """A :class:`~depthcast.feed.websocket.Socket`. The library calls the ``on_…`` methods."""

    def __init__(self, limits: FeedLimits) -> None:
        self._limits = limits
        self._transport: WSTransport | None = None
        self._messages: deque[bytes] = deque()
        self._paused = False
        self._arrival: asyncio.Future[None] | None = None
        # The fragments of a message whose end has not come.
        self._fragments: list[bytes] = []
        self._fragment_bytes = 0
        self._ping_numbers = count(1)
        self._pings: dict[bytes, asyncio.Future[None]] = {}
        self._end: str | None = None
        self._ended: asyncio.Task[None] | None = None

    # What the library says

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        self._ended = asyncio.create_task(_end_of(transport))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came. Pings are answered by the library."""
        kind = frame.msg_type
        if kind == WSMsgType.TEXT or kind == WSMsgType.BINARY or kind == WSMsgType.CONTINUATION:
            self._take(transport, frame)
        elif kind == WSMsgType.PONG:
            waiting = self._pings.pop(frame.get_payload_as_bytes(), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection has ended, for whatever reason."""
        closing = transport.close_handshake
        frames: list[tuple[str, Any]] = []
        if closing is not None:
            frames = [("received", closing.recv), ("sent", closing.sent)]
        said = [f"{what} {each.code:d} ({each.reason or ''})" for what, each in frames if each is not None]
        self._end = "; ".join(said) or "no close frame received or sent"
        self._wake()
        for waiting in self._pings.values():
            if not waiting.done():
                waiting.set_exception(self._closed())
        self._pings.clear()

    def _take(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.rsv1:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "compression was not agreed on")
        payload = frame.get_payload_as_bytes()
        continues = frame.msg_type == WSMsgType.CONTINUATION
        if continues or not frame.fin:
            if continues != bool(self._fragments):
                raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "a fragment out of order")
            self._fragments.append(payload)
            self._fragment_bytes += len(payload)
            if self._fragment_bytes > self._limits.max_frame_bytes:
                raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
            if not frame.fin:
                return
            payload = b"".join(self._fragments)
            self._fragments.clear()
            self._fragment_bytes = 0
        elif self._fragments:
            raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "a message within another one")
        self._messages.append(payload)
        if self._arrival is not None:
            self._wake()
        if not self._paused and len(self._messages) >= self._limits.max_queue_frames:
            self._paused = True
            transport.underlying_transport.pause_reading()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # What the feed asks

    async def recv(self) -> bytes:
        """The payload of the next message."""
        while not self._messages:
            if self._end is not None:
                raise self._closed()
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        message = self._messages.popleft()
        if self._paused and len(self._messages) <= self._limits.max_queue_frames // 4:
            self._paused = False
            if self._end is None:
                self._open().underlying_transport.resume_reading()
        return message

    async def send(self, text: str) -> None:
        """Send one text frame."""
        self._open().send(WSMsgType.TEXT, text.encode())

    async def ping(self) -> None:
        """Send a ping and wait for its pong."""
        transport = self._open()
        payload = b"%d" % next(self._ping_numbers)
        self._pings[payload] = waiting = asyncio.get_running_loop().create_future()
        try:
            transport.send_ping(payload)
            await waiting
        finally:
            self._pings.pop(payload, None)

    async def close(self) -> None:
        """Close with a handshake, bounded by the closing time-out."""
        transport = self._transport
        if transport is None or self._ended is None or self._end is not None:
            return
        transport.send_close(WSCloseCode.OK)
        if self._paused:
            # The answer is behind what nobody will read any more.
            self._messages.clear()
            self._paused = False
            transport.underlying_transport.resume_reading()
        try:
            await asyncio.wait({self._ended}, timeout=self._limits.close_timeout_s)
        finally:
            self.abort()

    def abort(self) -> None:
        """Cut the connection without a word."""
        if self._transport is not None and self._end is None:
            self._transport.disconnect(False)

    def _open(self) -> WSTransport:
        if self._transport is None or self._end is not None or self._transport.is_close_frame_sent:
            raise self._closed()
        return self._transport

    def _closed(self) -> VenueUnavailable:
        return VenueUnavailable(
            f"the websocket was closed: {self._end or 'it is closing'}", hint="it is opened again"
        )


async def _end_of(transport: WSTransport) -> None:
    """Wait for a connection's end. Why it ended is told by its closing frames."""
    with suppress(Exception):
        await transport.wait_disconnected()
