"""``Hub``: which files are watched, who reads of them, and who is told of a change.

A watched file is asked for like any reader asks, so it stays hot as long as somebody listens, and for
``linger_s`` longer: who comes back in that time goes on where it was.

A change is told to readers in slices of :data:`SLICE`, or of as many as :data:`SLICE_S` is enough for,
between which the event loop does other work. Each reader is given the newest version there is when its turn
comes, and one that takes nothing is passed over: it asks for itself when its socket takes something again.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

import orjson

from depthcast.errors import BadFile, StoreError
from depthcast.files import layout_of
from server.freshness import Currency
from server.hot import HotFile, HotFiles
from server.push.counts import Counts, End, Kind
from server.push.history import DEFAULT_MAX_VERSIONS, History

SLICE: Final = 256
SLICE_S: Final = 0.01
"""A slice ends after so long, too: changes in a book of 5,000 levels take milliseconds to find, and each
reader may have another version, or have asked for another limit."""

TICK_S: Final = 1.0
DEFAULT_MAX_STREAMS: Final = 12_000
DEFAULT_MAX_SUBSCRIPTIONS: Final = 200_000
DEFAULT_MAX_KEPT_BYTES: Final = 128 * 2**20
LEAST_KEPT_BYTES: Final = 2**16
"""So much of what was made of a file for one reader may be kept for others, however many files there are."""

DEFAULT_LINGER_S: Final = 30.0
DEFAULT_SLOW_AFTER_S: Final = 30.0


class Judge(Protocol):
    """Tells how fresh a file is."""

    def of(self, file: HotFile, now: float) -> Currency:
        """As :meth:`server.freshness.Freshness.of`."""
        ...


class Source:
    """Something that readers are given the newest of."""

    def __init__(self) -> None:
        self.readers: dict[Reader, None] = {}


class Reader(ABC):
    """One connection that books are pushed over."""

    __slots__ = ()

    kind: Kind
    client: str
    """Who reads, for the limit on each client."""
    paused_at: float | None
    """Since when its socket takes nothing; ``None`` where it does."""

    @abstractmethod
    def offer(self, source: Source) -> None:
        """Send what is new of ``source``, unless the socket takes nothing."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """A second went by: send what keeps the connection alive."""

    @abstractmethod
    def cut(self, why: End) -> None:
        """End the connection without a word."""

    @abstractmethod
    def stop(self) -> None:
        """The server stops: say so and end."""


class Spreader:
    """Offers each source to all its readers, :data:`SLICE` at a time. ``clock`` is in seconds."""

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call_soon = call_soon or _call_soon
        self._clock = clock
        self._due: dict[Source, None] = {}
        self._round: tuple[Source, Iterator[Reader]] | None = None
        self._working = False

    def spread(self, source: Source) -> None:
        """Offer ``source`` to its readers; the first of them at once, if nobody else's turn it is."""
        self._due[source] = None
        if not self._working:
            self._working = True
            self._work()

    @property
    def busy(self) -> bool:
        """Whether some readers are still to be offered something."""
        return self._working

    def _work(self) -> None:
        left = SLICE
        until = self._clock() + SLICE_S
        while True:
            if self._round is None:
                if not self._due:
                    self._working = False
                    return
                source = next(iter(self._due))
                del self._due[source]
                self._round = (source, iter(list(source.readers)))
            source, readers = self._round
            for reader in readers:
                if reader in source.readers:
                    reader.offer(source)
                left -= 1
                if not left or self._clock() >= until:
                    self._call_soon(self._work)
                    return
            self._round = None


class Watched(Source):
    """A file that somebody listens to: its last versions, and how fresh it is.

    ``readers`` are given the file's own events; ``listeners`` are called when it changes.
    """

    def __init__(self, key: str, max_versions: int, idle_since: float) -> None:
        super().__init__()
        self.key = key
        self.layout = layout_of(key)
        self.history = History(max_versions)
        self.file: HotFile | None = None
        self.listeners: dict[Callable[[], None], None] = {}
        self.state: bytes | None = None
        """How fresh it is, as JSON; ``None`` until it was read."""
        self.state_number = 0
        """Counts the states."""
        self.idle_since: float | None = idle_since
        """Since when nobody listens."""
        self.wires: dict[tuple[int, int], bytes] = {}
        """What was made of the newest version for readers; see :meth:`keep`."""
        self.share_bytes = 0
        """Its share of what may be kept of all files."""
        self._wire_bytes = 0
        self._state_of: tuple[object, ...] = ()

    def keep(self, name: tuple[int, int], wire: bytes) -> bytes:
        """Keep what was made of the newest version, to give it to others, until there is a newer one.

        At most :attr:`share_bytes` are kept, or :data:`LEAST_KEPT_BYTES`, and no more than four times the
        body's length and 256 KiB: readers may ask for any of 5,000 limits.
        """
        newest = self.history.newest
        most = 2**18 + 4 * len(newest.body or b"" if newest else b"")
        most = min(most, max(self.share_bytes, LEAST_KEPT_BYTES))
        if len(wire) > most:
            return wire
        if self._wire_bytes + len(wire) > most:
            self.clear_wires()
        self.wires[name] = wire
        self._wire_bytes += len(wire)
        return wire

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        self.history.check()
        assert self._wire_bytes == sum(map(len, self.wires.values()))

    def clear_wires(self) -> None:
        """Let go of what was kept."""
        self.wires.clear()
        self._wire_bytes = 0

    def judge(self, currency: Currency) -> bool:
        """Learn how fresh the file is; whether that is news."""
        assert self.file is not None
        edition = self.file.edition
        assert edition is not None  # what HotFiles hands out has been read
        now_of = (currency.state, edition.info.status, edition.version.epoch)
        if now_of == self._state_of:
            return False
        self._state_of = now_of
        self.state_number += 1
        self.state = orjson.dumps(
            {
                "state": currency.state.value.decode(),
                "status": edition.info.status,
                "epoch": edition.version.epoch,
                "currentTime": currency.current_ms,
            }
        )
        return True


class Hub:
    """All readers of one process. ``clock`` is monotonic, in seconds, and the one of ``hot``.

    ``max_streams`` bounds the connections, ``max_streams_per_client`` those of one client (0: any number),
    ``max_subscriptions`` the streams of all websockets together, ``max_kept_bytes`` the versions kept of all
    files together. A reader whose socket takes nothing for ``slow_after_s`` is cut off.
    """

    def __init__(
        self,
        hot: HotFiles,
        freshness: Judge,
        counts: Counts | None = None,
        *,
        # Limits
        max_streams: int = DEFAULT_MAX_STREAMS,
        max_streams_per_client: int = 0,
        max_subscriptions: int = DEFAULT_MAX_SUBSCRIPTIONS,
        max_versions: int = DEFAULT_MAX_VERSIONS,
        max_kept_bytes: int = DEFAULT_MAX_KEPT_BYTES,
        # Times
        linger_s: float = DEFAULT_LINGER_S,
        slow_after_s: float = DEFAULT_SLOW_AFTER_S,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._hot = hot
        self._freshness = freshness
        self.counts = counts or Counts()
        self._max_streams = max_streams
        self._max_streams_per_client = max_streams_per_client
        self._max_subscriptions = max_subscriptions
        self._max_versions = max_versions
        self._max_kept_bytes = max_kept_bytes
        self._linger_s = linger_s
        self._slow_after_s = slow_after_s
        self.clock = clock
        self._sleep = sleep
        self.spreader = Spreader(call_soon, clock=clock)
        self._watched: dict[str, Watched] = {}
        self._readers: dict[Reader, None] = {}
        self._clients: Counter[str] = Counter()
        self._reading: dict[str, asyncio.Task[None]] = {}
        self.subscriptions = 0
        """Streams that websockets listen to."""
        self.stopped = False
        self.ticked: dict[Callable[[], None], None] = {}
        """Called at every tick."""
        hot.on_change = self.changed

    # Readers

    def room_for(self, kind: Kind, client: str) -> bool:
        """Whether one more reader may come, counting it if not."""
        most = self._max_streams_per_client
        if (
            not self.stopped
            and len(self._readers) < self._max_streams
            and (not most or self._clients[client] < most)
        ):
            return True
        self.counts.turned_away[kind] += 1
        return False

    def enter(self, reader: Reader) -> None:
        """The reader is there, until :meth:`leave`."""
        self._readers[reader] = None
        self._clients[reader.client] += 1

    def leave(self, reader: Reader, why: End) -> None:
        """The reader is gone. Does nothing where it was already."""
        if reader not in self._readers:
            return
        del self._readers[reader]
        self._clients[reader.client] -= 1
        if not self._clients[reader.client]:
            del self._clients[reader.client]
        self.counts.ended[reader.kind, why] += 1

    def count(self, kind: Kind) -> int:
        """How many readers of this kind there are. O(readers)."""
        return sum(reader.kind is kind for reader in self._readers)

    def subscribe(self, more: int) -> bool:
        """Count ``more`` streams of a websocket, if there may be so many."""
        if self.subscriptions + more > self._max_subscriptions:
            return False
        self.subscriptions += more
        return True

    # Files

    def watch(self, key: str) -> Watched:
        """The file, which is read if it is not in memory, and kept fresh from now on."""
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = Watched(key, self._max_versions, self.clock())
            watched.share_bytes = self._share()
            self._look(watched)
        return watched

    def changed(self, file: HotFile) -> None:
        """A file in memory has another edition than before."""
        watched = self._watched.get(file.key)
        if watched is not None:
            self._take(watched, file)

    def __len__(self) -> int:
        """How many files are watched."""
        return len(self._watched)

    @property
    def kept_bytes(self) -> int:
        """The lengths of all versions that are kept. O(files)."""
        return sum(watched.history.held_bytes for watched in self._watched.values())

    # Time

    async def run(self) -> None:
        """:meth:`tick` every second until cancelled."""
        while True:
            await self._sleep(TICK_S)
            await self.tick()

    async def tick(self) -> None:
        """See to files that nobody wants or that left memory, to states, and to readers."""
        now = self.clock()
        for call in list(self.ticked):
            call()
        share = self._share()
        for watched in list(self._watched.values()):
            if watched.readers or watched.listeners:
                watched.idle_since = None
            elif watched.idle_since is None:
                watched.idle_since = now
            elif now - watched.idle_since >= self._linger_s:
                del self._watched[watched.key]
                continue
            watched.history.trim(share)
            watched.share_bytes = share
            self._look(watched)
        for n, reader in enumerate(list(self._readers), 1):
            if reader.paused_at is not None and now - reader.paused_at >= self._slow_after_s:
                reader.cut(End.SLOW)
            else:
                reader.tick(now)
            if n % SLICE == 0:
                await asyncio.sleep(0)

    def stop(self) -> None:
        """End all readers; none may come any more."""
        self.stopped = True
        for reader in list(self._readers):
            reader.stop()

    async def close(self) -> None:
        """End the reads that are under way."""
        reading = list(self._reading.values())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(readers + files)."""
        assert self._clients.total() == len(self._readers)
        assert all(count > 0 for count in self._clients.values())
        assert 0 <= self.subscriptions <= self._max_subscriptions
        for key, watched in self._watched.items():
            assert watched.key == key
            watched.check()

    def _share(self) -> int:
        return self._max_kept_bytes // max(1, len(self._watched))

    def _look(self, watched: Watched) -> None:
        """Ask for the file, so that it stays hot; read it where it is not."""
        file = self._hot.get(watched.key)
        if file is not None:
            self._take(watched, file)
            return
        if watched.file is not None:
            self._judge(watched)
        if watched.key not in self._reading:
            task = asyncio.create_task(self._read(watched))
            self._reading[watched.key] = task
            task.add_done_callback(lambda _: self._reading.pop(watched.key, None))

    async def _read(self, watched: Watched) -> None:
        try:
            file = await self._hot.read(watched.key)
        except (StoreError, BadFile):
            return  # The next tick tries again; the reading is logged where it failed.
        if file is not None:
            self._take(watched, file)

    def _take(self, watched: Watched, file: HotFile) -> None:
        edition = file.edition
        assert edition is not None  # what HotFiles hands out has been read
        watched.file = file
        shown = watched.history.take(edition.version, edition.body)
        if shown is not None:
            watched.clear_wires()
            watched.history.trim(self._share())
        if not self._judge(watched) and shown is not None:
            self.spreader.spread(watched)
        if shown is not None:
            for listener in list(watched.listeners):
                listener()

    def _judge(self, watched: Watched) -> bool:
        assert watched.file is not None
        news = watched.judge(self._freshness.of(watched.file, self.clock()))
        if news:
            self.spreader.spread(watched)
        return news


def _call_soon(function: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_soon(function)
