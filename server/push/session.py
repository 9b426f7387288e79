"""One client of the exchange's websocket, without I/O: what it says goes in, what is said to it comes out.

The exchange's limits (web-socket-streams.md, "WebSocket Limits"): at most 5 incoming messages a second, pings
and pongs among them; at most 1,024 streams; a ping every 20 s, and the end for who has not answered one
within a minute; the end after 24 hours.

Leaves to others: sockets and frames (:mod:`server.push.websocket`), what streams send
(:mod:`server.push.channels`).
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from depthcast.venues.binance_streams import MAX_NAME_LENGTH, Limits
from server.push.channels import Channel, Channels
from server.push.control import Method, Request, compact, parse_request
from server.push.counts import End, Kind
from server.push.hub import Hub, Reader
from server.push.names import Target

GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008

_TOO_MANY_STREAMS: Final = '{"error":{"code":4,"msg":"Too many subscriptions"}}'


class Ping(NamedTuple):
    """A ping is to be sent."""

    payload: bytes


class Close(NamedTuple):
    """The connection is to be closed, with this code; ``why`` is for the metrics."""

    code: int
    reason: str
    why: End


class Abort(NamedTuple):
    """The connection is to be cut without a word."""

    why: End


Word = str | Ping | Close | Abort
"""What is said to the client, in this order; ``str`` is a text message."""


DEFAULT_LIMITS: Final = Limits()


class Session:
    """What one connection listens to, and how far it was told. ``wall_ms`` is our clock, ms since 1970."""

    __slots__ = (
        "_arrivals",
        "_channels",
        "_hub",
        "_limits",
        "_opened_at",
        "_pinged_at",
        "_reader",
        "_subscriptions",
        "_told",
        "_unanswered",
        "_wall_ms",
        "combined",
        "joined",
        "microseconds",
    )

    def __init__(
        self,
        hub: Hub,
        channels: Channels,
        reader: Reader,
        target: Target,
        *,
        limits: Limits = DEFAULT_LIMITS,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._hub = hub
        self._channels = channels
        self._reader = reader
        self._limits = limits
        self._wall_ms = wall_ms
        self.combined = target.combined
        self.microseconds = target.microseconds
        self.joined: list[Channel] = []
        """Channels that were joined and not yet offered; the owner takes them out."""
        self._subscriptions: dict[str, Channel | None] = {}
        self._told: dict[Channel, int] = {}
        self._arrivals: deque[float] = deque(maxlen=limits.messages_a_second + 1)
        self._opened_at = self._pinged_at = hub.clock()
        self._unanswered: tuple[bytes, float] | None = None

    # What the client does

    def subscribe(self, names: Iterable[str]) -> list[Word]:
        """Listen to these streams, too. More than there may be end the connection."""
        # A wrong name is acknowledged like a right one, and counts like one.
        wanted = dict.fromkeys(
            name for name in names if name not in self._subscriptions and len(name) <= MAX_NAME_LENGTH
        )
        if len(self._subscriptions) + len(wanted) > self._limits.streams or not self._hub.subscribe(
            len(wanted)
        ):
            return [_TOO_MANY_STREAMS, Close(POLICY_VIOLATION, "Too many subscriptions", End.REFUSED)]
        for name in wanted:
            channel = self._subscriptions[name] = self._channels.join(name, self._reader)
            if channel is not None:
                self.joined.append(channel)
        return []

    def frame_came(self, now: float) -> Close | None:
        """A frame of any kind came: *"a limit of 5 incoming messages per second"*."""
        arrivals = self._arrivals
        arrivals.append(now)
        if len(arrivals) > self._limits.messages_a_second and now - arrivals[0] < 1:
            return Close(POLICY_VIOLATION, "Too many requests", End.REFUSED)
        return None

    def say(self, text: str) -> list[Word]:
        """A text message came; what is said to it."""
        request = parse_request(text)
        if not isinstance(request, Request):
            return [request.answer]
        result: object = None
        match request.method:
            case Method.SUBSCRIBE:
                refused = self.subscribe(request.params)
                if refused:
                    return refused
            case Method.UNSUBSCRIBE:
                for name in request.params:
                    self._unsubscribe(name)
            case Method.LIST_SUBSCRIPTIONS:
                result = list(self._subscriptions)
            case Method.GET_PROPERTY:
                result = self.combined
            case Method.SET_PROPERTY:
                self.combined = request.params[1]
        return [request.result(result)]

    def pong(self, payload: bytes) -> None:
        """A pong came. One that nobody asked for is allowed, but answers nothing."""
        if self._unanswered is not None and self._unanswered[0] == payload:
            self._unanswered = None

    def end(self) -> None:
        """The connection is gone."""
        for name in list(self._subscriptions):
            self._unsubscribe(name)
        self.joined.clear()

    # What is said to it

    def tick(self, now: float) -> Word | None:
        """What is due."""
        limits = self._limits
        if self._unanswered is not None and now - self._unanswered[1] >= limits.pong_within_s:
            return Abort(End.SILENT)
        if now - self._opened_at >= limits.life_s:
            return Close(GOING_AWAY, "Going away", End.EXPIRED)
        if now - self._pinged_at < limits.ping_every_s:
            return None
        self._pinged_at = now
        if self._unanswered is None:
            self._unanswered = (b"%d" % self._wall_ms(), now)
        return Ping(self._unanswered[0])

    def news(self, channel: Channel) -> bytes | None:
        """The channel's newest message as a frame; ``None`` where the client has it, or has left."""
        told = self._told.get(channel, 0)
        if channel.number == told or self._subscriptions.get(channel.name) is not channel:
            return None
        self._told[channel] = channel.number
        counts = self._hub.counts
        if told:
            counts.skipped[Kind.WEBSOCKET] += channel.number - told - 1
        counts.sent[Kind.WEBSOCKET, "depth" if channel.stream.levels else "bookTicker"] += 1
        return channel.frame(combined=self.combined)

    def farewell(self) -> str:
        """*serverShutdown*: the client is to open a new connection at once."""
        now_ms = self._wall_ms()
        data = {"e": "serverShutdown", "E": now_ms * 1000 if self.microseconds else now_ms}
        return compact({"stream": "!serverShutdown", "data": data} if self.combined else data)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The names of all streams that were acknowledged, real ones or not."""
        return tuple(self._subscriptions)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(streams)."""
        assert len(self._subscriptions) <= self._limits.streams
        channels = {channel for channel in self._subscriptions.values() if channel is not None}
        assert self._told.keys() <= channels
        assert all(self._reader in channel.readers for channel in channels)
        assert all(self._told.get(channel, 0) <= channel.number for channel in channels)

    def _unsubscribe(self, name: str) -> None:
        if name not in self._subscriptions:
            return
        channel = self._subscriptions.pop(name)
        self._hub.subscriptions -= 1
        if channel is not None:
            self._told.pop(channel, None)
            self._channels.leave(channel, self._reader)
