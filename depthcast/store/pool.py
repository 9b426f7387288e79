"""Connections to one store, kept open: so many at most, each for one request at a time.

A request takes the connection used last, or opens one. A store may close a connection just when a request is
sent over it; where nothing of an answer had come, the request is sent once more, over a new connection. So
only reads may go through here. Nothing else is repeated.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from depthcast.store.connection import DEFAULT_MAX_BODY_BYTES, Answer, Connection, NoAnswer
from depthcast.store.failure import Cause

DEFAULT_CONNECT_TIMEOUT_S: Final = 2.0
DEFAULT_REQUEST_TIMEOUT_S: Final = 5.0
DEFAULT_IDLE_S: Final = 30.0
DEFAULT_MAX_CONNECTIONS: Final = 64

_REFUSED: Final = f"[Errno {errno.ECONNREFUSED}]"


class Origin(NamedTuple):
    """Where to connect to; ``tls`` is ``None`` for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, tls: Callable[[], ssl.SSLContext]) -> "Origin":
        """The origin of an ``http`` or ``https`` URL."""
        parts = urlsplit(url)
        context = tls() if parts.scheme == "https" else None
        return cls(parts.hostname or "", parts.port or (443 if context else 80), context)

    @property
    def authority(self) -> str:
        """As the ``Host`` header names it: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Pool:
    """Connections to ``origin``. ``clock`` is monotonic, in seconds."""

    def __init__(
        self,
        origin: Origin,
        *,
        # Time-outs
        connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S,
        request_timeout_s: float = DEFAULT_REQUEST_TIMEOUT_S,
        idle_s: float = DEFAULT_IDLE_S,
        # Limits
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._origin = origin
        self._connect_timeout_s = connect_timeout_s
        self._request_timeout_s = request_timeout_s
        self._idle_s = idle_s
        self._max_connections = max_connections
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._closed = False

    async def fetch(self, request: bytes) -> Answer:
        """The answer to ``request``, a whole GET.

        Raises :class:`~depthcast.store.connection.NoAnswer`; waiting for a free connection, too, ends after
        ``request_timeout_s``.
        """
        await self._take_slot()
        try:
            connection = self._take_idle()
            if connection is not None:
                try:
                    return await self._ask(connection, request)
                except NoAnswer as failure:
                    if failure.begun or failure.cause is not Cause.CUT:
                        raise
            return await self._ask(await self._connect(), request)
        finally:
            self._slots.release()

    async def close(self, timeout_s: float) -> None:
        """Wait so long for requests under way, then close all connections. May be called again."""
        self._closed = True
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(self._max_connections):
                    await self._slots.acquire()
        except TimeoutError:
            pass  # those under way are cut
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()

    def check(self) -> None:
        """Raise ``AssertionError`` where a connection is in two places, or there are too many."""
        assert len(self._idle) + len(self._busy) <= self._max_connections
        assert len(set(self._idle)) == len(self._idle)
        assert self._busy.isdisjoint(self._idle)
        since = [connection.idle_since_s for connection in self._idle]
        assert since == sorted(since)

    async def _take_slot(self) -> None:
        if self._closed:
            raise RuntimeError("the pool was closed")
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(self._request_timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise NoAnswer(Cause.TIMEOUT) from None

    def _take_idle(self) -> Connection | None:
        oldest_s = self._clock() - self._idle_s
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since_s >= oldest_s:
                return connection
            connection.abort()
        return None

    async def _ask(self, connection: Connection, request: bytes) -> Answer:
        self._busy.add(connection)
        try:
            answer = await connection.ask(request, self._request_timeout_s)
        finally:
            self._busy.discard(connection)
        if connection.usable and not self._closed:
            now = connection.idle_since_s = self._clock()
            self._idle.append(connection)
            if self._idle[0].idle_since_s < now - self._idle_s:
                self._idle.popleft().abort()
        else:
            connection.abort()
        return answer

    async def _connect(self) -> Connection:
        origin = self._origin
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._max_body_bytes), origin.host, origin.port, ssl=origin.tls
                )
        except TimeoutError:
            raise NoAnswer(Cause.TIMEOUT) from None
        except OSError as error:
            raise NoAnswer(_cause(error), str(error)) from None
        return connection


def _cause(error: OSError) -> Cause:
    # Where a name has several addresses, one error tells of all in its text.
    if isinstance(error, ConnectionRefusedError) or _REFUSED in str(error):
        return Cause.REFUSED
    if isinstance(error, socket.gaierror):
        return Cause.NAME
    if isinstance(error, ssl.SSLError):
        return Cause.TLS
    return Cause.CUT if isinstance(error, ConnectionError) else Cause.OTHER
