"""What each of the exchange's streams sends, and when: one channel a name, whoever listens to it.

A channel follows one watched file. It sends at most once in its interval, at once after a pause and the
newest there is; each message is framed once (RFC 6455, 5.2: a server's frames are not masked, so all readers
get the same bytes). What does not change its payload is not sent.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import orjson

from depthcast.errors import BadFile
from depthcast.files import depth_key
from depthcast.scheme import Level, Scheme
from depthcast.venues.binance_files import BINANCE
from depthcast.venues.binance_streams import SPOT_STREAMS, StreamName, Streams
from server.catalogue import Catalogue
from server.push.hub import Hub, Reader, Source, Watched
from server.tickers import best

_SHORT: Final = 126
_LONG: Final = 2**16
_TEXT: Final = 0x81  # the last (and only) frame of a message, of text


class Timer(Protocol):
    """What ``call_later`` gives."""

    def cancel(self) -> object: ...


CallLater = Callable[[float, Callable[[], None]], Timer]
Ticker = Callable[[str, int, Level, Level, bytes], bytes]
TICKER: Final[Ticker] = SPOT_STREAMS.ticker


class Channel(Source):
    """One stream. ``number`` counts its messages; 0 while there is none."""

    def __init__(
        self, name: str, stream: StreamName, hub: Hub, call_later: CallLater, ticker: Ticker = TICKER
    ) -> None:
        super().__init__()
        self.name = name
        self.stream = stream
        self._ticker = ticker
        self._best: tuple[Level, Level] | None = None
        self.number = 0
        self.watched: Watched | None = None
        self._hub = hub
        self._call_later = call_later
        self._payload = b""
        self._raw: bytes | None = None
        self._combined: bytes | None = None
        self._sent_at = float("-inf")
        self._timer: Timer | None = None

    def follow(self, watched: Watched) -> None:
        """Send what this file has, and what it will have."""
        self.watched = watched
        watched.listeners[self.changed] = None
        watched.idle_since = None
        if watched.history.newest is not None:
            self.changed()

    def close(self) -> None:
        """Send nothing more."""
        if self.watched is not None:
            self.watched.listeners.pop(self.changed, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def changed(self) -> None:
        """The file has another version: send it now, or as soon as the interval is over."""
        if self._timer is not None:
            return
        wait_s = self._sent_at + self.stream.interval_ms / 1000 - self._hub.clock()
        if wait_s <= 0:
            self._send()
        else:
            self._timer = self._call_later(wait_s, self._on_time)

    def frame(self, *, combined: bool) -> bytes:
        """The newest message as one frame; there is one."""
        if not combined:
            if self._raw is None:
                self._raw = text_frame(self._payload)
            return self._raw
        if self._combined is None:
            wrapped = b'{"stream":%b,"data":%b}' % (orjson.dumps(self.name), self._payload)
            self._combined = text_frame(wrapped)
        return self._combined

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert (self.number == 0) == (not self._payload)
        assert self.watched is None or self.changed in self.watched.listeners

    def _on_time(self) -> None:
        self._timer = None
        self._send()

    def _send(self) -> None:
        assert self.watched is not None
        try:
            payload = self._news(self.watched)
        except BadFile:
            return  # Its frame is a file's, its levels are none: there is nothing to say.
        if payload is None or payload == self._payload:
            return
        self._payload, self._raw, self._combined = payload, None, None
        self.number += 1
        self._sent_at = self._hub.clock()
        self._hub.spreader.spread(self)

    def _news(self, watched: Watched) -> bytes | None:
        """What is sent of the newest version: for levels the file's own bytes, cut; of the best prices
        nothing where they are as they were, for ids and times go on whatever changes deeper in the book."""
        newest = watched.history.newest
        assert newest is not None
        assert newest.body is not None  # the newest version is never forgotten
        symbol, levels, _ = self.stream
        if levels:
            return watched.layout.cut(newest.body, levels)
        bid_and_ask = best(symbol, newest.body, watched.layout)
        if bid_and_ask == self._best:
            return None
        told = self._ticker(symbol, newest.version.update_id, *bid_and_ask, newest.body)
        self._best = bid_and_ask
        return told


class Channels:
    """The channels of one venue that somebody listens to, by name.

    A name without a published symbol stays silent, and begins to speak when there is one.
    """

    def __init__(
        self,
        hub: Hub,
        catalogue: Catalogue,
        scheme: Scheme = BINANCE,
        streams: Streams = SPOT_STREAMS,
        *,
        call_later: CallLater | None = None,
    ) -> None:
        self.streams = streams
        self._hub = hub
        self._catalogue = catalogue
        self._scheme = scheme
        self._call_later = call_later or _call_later
        self._channels: dict[str, Channel] = {}
        self._silent: dict[str, dict[str, Channel]] = {}
        """Those without a file, by symbol and name: anybody may ask for any."""
        hub.ticked[self._find_files] = None

    def __len__(self) -> int:
        return len(self._channels)

    def join(self, name: str, reader: Reader) -> Channel | None:
        """The stream of this name, to which ``reader`` listens from now on; ``None`` where there is no such
        stream, whatever is published."""
        channel = self._channels.get(name)
        if channel is None:
            stream = self.streams.parse(name)
            if stream is None:
                return None
            ticker = self.streams.ticker
            channel = self._channels[name] = Channel(name, stream, self._hub, self._call_later, ticker)
            if not self._find_file(channel):
                self._silent.setdefault(stream.symbol, {})[name] = channel
        channel.readers[reader] = None
        return channel

    def leave(self, channel: Channel, reader: Reader) -> None:
        """The reader listens no more; the last one closes the channel."""
        channel.readers.pop(reader, None)
        if not channel.readers and self._channels.get(channel.name) is channel:
            del self._channels[channel.name]
            self._speaks(channel)
            channel.close()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(channels)."""
        for name, channel in self._channels.items():
            assert channel.name == name
            assert channel.readers
            silent = self._silent.get(channel.stream.symbol, {})
            assert (channel.watched is None) == (silent.get(name) is channel)
            channel.check()
        assert all(self._silent.values())
        assert sum(map(len, self._silent.values())) <= len(self._channels)

    def _find_files(self) -> None:
        # Of the two sides of this "and" the shorter one is gone through.
        for symbol in self._silent.keys() & self._catalogue.symbols:
            for channel in list(self._silent[symbol].values()):
                if self._find_file(channel):
                    self._speaks(channel)

    def _find_file(self, channel: Channel) -> bool:
        symbol, levels, _ = channel.stream
        limits = self._catalogue.limits(symbol)
        # Of a ladder of limits none needs be 1: the best prices are in each file.
        limit = (self._scheme.covering(levels, limits) if levels else limits[0]) if limits else None
        if limit is None:
            return False
        channel.follow(self._hub.watch(depth_key(symbol, limit, self._scheme)))
        return True

    def _speaks(self, channel: Channel) -> None:
        """The channel is silent no more."""
        silent = self._silent.get(channel.stream.symbol)
        if silent is not None:
            silent.pop(channel.name, None)
            if not silent:
                del self._silent[channel.stream.symbol]


def text_frame(payload: bytes) -> bytes:
    """A whole text message as one unmasked frame (RFC 6455, 5.2).

    >>> text_frame(b"hi").hex()
    '81026869'
    """
    length = len(payload)
    if length < _SHORT:
        return b"%c%c%b" % (_TEXT, length, payload)
    if length < _LONG:
        return b"%c\x7e%b%b" % (_TEXT, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (_TEXT, length.to_bytes(8, "big"), payload)


def _call_later(seconds: float, function: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, function)
