"""One websocket connection to the exchange, sans-I/O: what is received goes in, frames come out.

Speaks Binance's stream protocol (web-socket-streams.md): ``/ws``, ``/ws/<name>`` and
``/stream?streams=<name>/<name>`` with control messages; at most 1,024 streams and 5 incoming frames a second;
a ping every 20 s and the end for who does not answer it within a minute; the end after 24 h. Of futures the
same below ``/public``, with limits of their own.

Leaves to others: sockets (:mod:`simulator.app`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from simulator.connection import POLICY_VIOLATION, Abort, Close, Connection, Ping
from simulator.control import Control, Failure, parse_control
from simulator.exchange import Exchange
from simulator.faults import Kind
from simulator.streams import DiffStream, Stream, stream_of

_TIME_UNITS: Final = {"MICROSECOND": True, "microsecond": True, "MILLISECOND": False, "millisecond": False}


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The exchange's limits for one connection, and the bound of what waits to be sent to it.

    Those of spot; :data:`FUTURES_LIMITS` are those of futures.
    """

    streams: int = 1024
    frames_a_second: int = 5
    ping_interval_s: float = 20
    pong_timeout_s: float = 60
    life_s: float = 24 * 3600
    outbox: int = 20_000


FUTURES_LIMITS: Final = SessionLimits(frames_a_second=10, ping_interval_s=180, pong_timeout_s=600)
"""*"10 incoming messages per second … a ping frame every 3 minutes … a pong frame back … within a 10 minute
period"*."""

PUBLIC_ROUTE: Final = "/public"
"""*"Public (high-frequency public market data)"*: where futures have books; it may be left out."""


class StreamRequest(NamedTuple):
    """What a connection's path asks for."""

    names: tuple[str, ...]
    combined: bool
    microseconds: bool


def parse_target(path: str, query: str) -> StreamRequest | None:
    """The request in a websocket's path (percent-decoded) and raw query; ``None``: no such path.

    >>> parse_target("/stream", "streams=btcusdt@depth/ethusdt@depth@100ms")
    StreamRequest(names=('btcusdt@depth', 'ethusdt@depth@100ms'), combined=True, microseconds=False)
    >>> parse_target("/public/ws/btcusdt@depth", "").names
    ('btcusdt@depth',)
    """
    path = path.removeprefix(PUBLIC_ROUTE)
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    microseconds = _TIME_UNITS.get(parameters.get("timeUnit", "MILLISECOND"), False)
    if path == "/stream":
        names = [name for name in parameters.get("streams", "").split("/") if name]
        return StreamRequest(tuple(names), True, microseconds)
    if path == "/ws" or path.startswith("/ws/"):
        names = [name for name in path.removeprefix("/ws").split("/") if name]
        return StreamRequest(tuple(names), False, microseconds)
    return None


class Session(Connection):
    """One connection. ``wake`` is called whenever something was put into the outbox."""

    def __init__(
        self,
        exchange: Exchange,
        connection_id: int,
        request: StreamRequest,
        *,
        limits: SessionLimits | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.limits = limits or (FUTURES_LIMITS if exchange.futures else SessionLimits())
        super().__init__(
            exchange,
            connection_id,
            bound=self.limits.outbox,
            frames_a_second=self.limits.frames_a_second,
            wake=wake,
        )
        self.exchange = exchange
        self.combined = request.combined
        self.microseconds = request.microseconds
        self._streams: dict[str, Stream | None] = {}
        self._pinged_ms = self.opened_ms
        self._unanswered: tuple[bytes, int] | None = None
        self.ends_at_ms = self.opened_ms + int(self.limits.life_s * 1000)
        grouping = exchange.faults.take((Kind.GROUPING,), None, self.id)
        if grouping is not None:
            exchange.faults.record(grouping, None, self.id)
        self._own_cuts = grouping is not None
        self._subscribe(request.names)

    # What a protocol says (simulator.connection.Connection)

    def read(self, text: str) -> None:
        """A control message."""
        self.send(self._answer(parse_control(text)))

    def receive_pong(self, payload: bytes, now_s: float) -> None:
        """A pong came. One with another payload than the ping's is allowed, but answers nothing."""
        if not self.frozen and self.allow(now_s) and self._unanswered and self._unanswered[0] == payload:
            self._unanswered = None

    def leave(self) -> None:
        """End every stream."""
        for stream in self._streams.values():
            if stream is not None:
                stream.instrument.listeners.pop(stream, None)
        self._streams.clear()

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The names of all streams that were acknowledged, real ones or not."""
        return tuple(self._streams)

    def listens_to(self, symbol: str) -> bool:
        """Whether some stream of this connection delivers ``symbol``."""
        return any(s is not None and s.instrument.symbol == symbol for s in self._streams.values())

    def on_tick(self, now_ms: int) -> None:
        """As every connection, but a ping that nobody answered comes first."""
        unanswered = self._unanswered
        if not self.frozen and unanswered and now_ms - unanswered[1] >= self.limits.pong_timeout_s * 1000:
            self.end(Abort())
        else:
            super().on_tick(now_ms)

    def beat(self, now_ms: int) -> None:
        """Send the ping that is due."""
        if now_ms - self._pinged_ms >= self.limits.ping_interval_s * 1000:
            self._pinged_ms = now_ms
            payload = str(now_ms).encode()
            self._unanswered = self._unanswered or (payload, now_ms)
            self.send(Ping(self._unanswered[0]))

    def shut_down(self, delay_s: float) -> None:
        """*serverShutdown*, then the end after ``delay_s``."""
        now_ms = self.exchange.wall_ms()
        data = f'{{"e":"serverShutdown","E":{now_ms * 1000 if self.microseconds else now_ms}}}'
        self.send(f'{{"stream":"!serverShutdown","data":{data}}}' if self.combined else data)
        super().shut_down(delay_s)

    def silence(self, symbol: str | None) -> None:
        """Let the subscriptions to ``symbol`` (``None``: all) deliver nothing any more."""
        for stream in self._streams.values():
            if stream is not None and symbol in (None, stream.instrument.symbol):
                stream.silent = True

    # What the streams call

    def send_data(self, stream: Stream, data: str) -> None:
        """Send a stream's payload."""
        if not stream.silent:
            self.send(self.wrapped(stream, data))

    def wrapped(self, stream: Stream, data: str) -> str:
        """*"Combined stream events are wrapped as follows: {"stream":"<streamName>","data":<rawPayload>}"*"""
        return f'{{"stream":"{stream.name}","data":{data}}}' if self.combined else data

    def _subscribe(self, names: Iterable[str]) -> None:
        """Add the streams; more than there may be end the connection."""
        wanted = dict.fromkeys(name for name in names if name not in self._streams)
        if len(self._streams) + len(wanted) > self.limits.streams:
            self.send('{"error":{"code":4,"msg":"Too many subscriptions"}}')
            self.end(Close(POLICY_VIOLATION, "Too many subscriptions"))
            return
        for name in wanted:
            # A wrong name is acknowledged like a right one and stays silent.
            stream = self._streams[name] = self._stream(name)
            if stream is not None:
                stream.instrument.listeners[stream] = None

    def _stream(self, name: str) -> Stream | None:
        cuts = Random(f"{self.exchange.seed}/{self.id}/{name}") if self._own_cuts else None
        stream = stream_of(self, self.exchange, name, cuts)
        if isinstance(stream, DiffStream):
            symbol = stream.instrument.symbol
            silence = self.exchange.faults.take((Kind.SILENT,), symbol, self.id)
            if silence is not None:
                stream.silent = True
                self.exchange.faults.record(silence, symbol, self.id)
        return stream

    def _unsubscribe(self, names: Iterable[str]) -> None:
        for name in names:
            stream = self._streams.pop(name, None)
            if stream is not None:
                stream.instrument.listeners.pop(stream, None)

    def _answer(self, request: Control | Failure) -> str:
        """Do what a control message asks for. An answer to a connection that this ended is not sent."""
        if isinstance(request, Failure):
            return request.text()
        match request.method:
            case "SUBSCRIBE":
                self._subscribe(request.params)
            case "UNSUBSCRIBE":
                self._unsubscribe(request.params)
            case "LIST_SUBSCRIPTIONS":
                return request.result(list(self._streams))
            case "GET_PROPERTY":
                return request.result(self.combined)
            case _:
                self.combined = request.params[1]
        return request.result(None)
