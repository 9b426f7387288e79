"""``EventStream``: one reader of server-sent events, whatever is told to it.

What is told is asked for when the socket takes something (:meth:`EventStream.news`) and never kept for a
reader whose socket takes nothing: when it does again, it is given what leads to the newest there is.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from server.answers import COMMON, NO_STORE, Connection, Header
from server.push.counts import Begin, End, Kind
from server.push.hub import Hub, Reader, Source

DEFAULT_HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = (1000, 3000)
"""A reader whose connection broke waits so long before it comes back: each another time within this range, so
that those of a server that stopped do not come to the next one together."""

HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream;charset=utf-8"),
    NO_STORE,
    # nginx and those that took it over from there send each event on at once.
    (b"x-accel-buffering", b"no"),
    *COMMON,
)

_HEARTBEAT: Final = b":\n\n"


def retry_ms(spread: Callable[[], float]) -> int:
    """A pause within :data:`RETRY_MS`; ``spread`` draws from 0 to 1."""
    low, high = RETRY_MS
    return low + round(spread() * (high - low))


class EventStream(Reader):
    """One stream of events about ``source``. ``begin``: how it is counted when it begins."""

    __slots__ = (
        "_begin",
        "_begun",
        "_heartbeat_s",
        "_hub",
        "_retry_ms",
        "_source",
        "_transport",
        "_why",
        "_written_at",
        "client",
        "ended",
        "paused_at",
    )

    kind = Kind.EVENTS

    def __init__(
        self,
        hub: Hub,
        source: Source,
        client: str = "",
        *,
        begin: Begin = Begin.SNAPSHOT,
        retry_ms: int = RETRY_MS[0],
        heartbeat_s: float = DEFAULT_HEARTBEAT_S,
    ) -> None:
        self._hub = hub
        self._source = source
        self.client = client
        self._begin = begin
        self._retry_ms = retry_ms
        self._heartbeat_s = heartbeat_s
        self._begun = False
        self._written_at = 0.0
        self._why = End.LEFT
        self.paused_at: float | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @abstractmethod
    def news(self) -> bytes:
        """What the reader is to be given now, as chunks: empty where it has everything."""

    async def follow(self, connection: Connection) -> None:
        """Write to this connection until the stream is over."""
        if self._hub.stopped:
            return
        self.begin(connection.follow(self))
        try:
            await self.ended
        finally:
            self.leave()

    def begin(self, transport: asyncio.WriteTransport) -> None:
        """Write to this transport from now on, beginning with what there is."""
        self._transport = transport
        self._hub.enter(self)
        self._source.readers[self] = None
        if transport.is_closing():
            self.lost()
        self._hub.counts.begun[self._begin] += 1
        self.offer(self._source)

    def leave(self) -> None:
        """The stream is over."""
        self._source.readers.pop(self, None)
        self._hub.leave(self, self._why)

    # What the connection tells

    def paused(self) -> None:
        self.paused_at = self._hub.clock()

    def resumed(self) -> None:
        self.paused_at = None
        self.offer(self._source)

    def lost(self) -> None:
        self._end(self._why)

    # What the hub asks

    def offer(self, source: Source) -> None:
        if self.paused_at is not None or self.ended.done() or self._transport.is_closing():
            return
        news = self.news()
        if not self._begun:
            self._begun = True
            news = chunk(b"retry: %d\n\n" % self._retry_ms) + news
        if news:
            self._write(news)

    def tick(self, now: float) -> None:
        if now - self._written_at >= self._heartbeat_s and self.paused_at is None:
            self._write(chunk(_HEARTBEAT))

    def cut(self, why: End) -> None:
        self._why = why
        self._transport.abort()

    def stop(self) -> None:
        self._end(End.SHUTDOWN)
        if self.paused_at is not None:
            # It would be waited for, to be told that there is no more.
            self._transport.abort()

    def _end(self, why: End) -> None:
        if not self.ended.done():
            self._why = why
            self.ended.set_result(None)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
            self._written_at = self._hub.clock()


def chunk(data: bytes) -> bytes:
    """A part of a body whose length is not known beforehand (RFC 9112, 7.1).

    >>> chunk(b"hello")
    b'5\\r\\nhello\\r\\n'
    """
    return b"%x\r\n%b\r\n" % (len(data), data)
