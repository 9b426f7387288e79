"""A websocket as far as a feed needs it, and the one made of the ``websockets`` package.

The seam between a feed and the network: tests and simulations pass another :data:`Connect`. Foreign
exceptions end here; a socket raises :class:`~depthcast.errors.VenueError` alone.

Where the extra ``fast`` is installed, sockets are :mod:`depthcast.feed.fast`'s instead, which take a fifth of
the time for a frame.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Protocol
from urllib.request import getproxies

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

import depthcast
from depthcast.errors import VenueError, VenueUnavailable
from depthcast.feed.limits import FeedLimits
from depthcast.venues import Venue


class Socket(Protocol):
    """An open websocket. All but :meth:`abort` raise VenueUnavailable once it is closed."""

    async def recv(self) -> bytes:
        """The payload of the next frame, text or binary."""
        ...

    async def send(self, text: str) -> None:
        """Send one text frame."""
        ...

    async def ping(self) -> None:
        """Send a ping and wait for its pong."""
        ...

    async def close(self) -> None:
        """Close with a handshake, bounded by the closing time-out."""
        ...

    def abort(self) -> None:
        """Cut the connection without a word."""
        ...


Connect = Callable[[], Awaitable[Socket]]
"""Opens a socket; raises a VenueError."""


def connector(
    venue: Venue, limits: FeedLimits, *, fast: bool | None = None, proxy: str | None = None
) -> Connect:
    """Opens websockets to ``venue`` within ``limits``.

    Server pings are answered by ``websockets`` itself; its own keep-alive is off, since a feed asks for a
    pong only where no frame shows that the other end is there.

    ``fast``: whether sockets are :mod:`depthcast.feed.fast`'s; ``None``: where they can be
    (:func:`may_be_fast`). ``proxy``: the url of one that they go through; ``None``: that of the environment,
    if any.
    """

    async def open_fast_socket() -> Socket:
        from depthcast.feed.fast import open_fast

        return await open_fast(venue.stream_url, limits, partial(_refusal, venue))

    async def open_socket() -> Socket:
        try:
            return _WebSocket(
                await connect(
                    venue.stream_url,
                    open_timeout=limits.open_timeout_s,
                    close_timeout=limits.close_timeout_s,
                    ping_interval=None,
                    max_size=limits.max_frame_bytes,
                    max_queue=limits.max_queue_frames,
                    compression=limits.compression,
                    user_agent_header=f"depthcast/{depthcast.__version__}",
                    proxy=True if proxy is None else proxy,
                )
            )
        except InvalidStatus as error:
            response = error.response
            headers = dict(response.headers.raw_items())
            raise _refusal(venue, response.status_code, headers, bytes(response.body or b"")) from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise VenueUnavailable(
                f"{venue.stream_url} cannot be reached: {error or type(error).__name__}",
                hint="it is tried again; check the network and the websocket url",
            ) from error

    if fast is None:
        fast = proxy is None and may_be_fast(limits)
    return open_fast_socket if fast else open_socket


def may_be_fast(limits: FeedLimits) -> bool:
    """Whether ``picows`` is installed, and nothing is asked for that needs the usual sockets.

    That is compression, and a proxy that the environment names.
    """
    return find_spec("picows") is not None and limits.compression is None and not getproxies()


def _refusal(venue: Venue, status: int, headers: Mapping[str, str], body: bytes) -> VenueError:
    """What an answer means that is no websocket."""
    return venue.refusal(
        status, headers, body, url=venue.stream_url, now_ms=time.time_ns() // 1_000_000
    ) or VenueUnavailable(
        f"{venue.stream_url} is no websocket: it answered with status {status}",
        hint="check the websocket url",
    )


class _WebSocket:
    """A :class:`Socket` over ``websockets``."""

    def __init__(self, inner: ClientConnection) -> None:
        self._inner = inner

    async def recv(self) -> bytes:
        try:
            return await self._inner.recv(decode=False)
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def send(self, text: str) -> None:
        try:
            await self._inner.send(text)
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def ping(self) -> None:
        try:
            await (await self._inner.ping())
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def close(self) -> None:
        await self._inner.close()

    def abort(self) -> None:
        self._inner.transport.abort()


def _closed(error: ConnectionClosed) -> VenueUnavailable:
    return VenueUnavailable(f"the websocket was closed: {error}", hint="it is opened again")
