"""The feed: which symbols are on which line, and the one loop in which all lines decide."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count
from random import Random

from depthcast.dispatch import Dispatcher
from depthcast.events import Diff
from depthcast.feed.limits import FeedLimits
from depthcast.feed.line import Line, Shared
from depthcast.feed.outlet import Outlet
from depthcast.feed.pace import ConnectPace
from depthcast.feed.status import FeedStatus
from depthcast.feed.websocket import Connect, connector
from depthcast.venues import Venue


class Feed:
    """The diff streams of many symbols of one venue. For use in one event loop, not from other threads.

    ``on_diff(diff)`` is called for every diff of a subscribed symbol, and does not wait: by the reader of its
    connection, or, where more come at once than may be applied in a turn of the loop, by ``dispatcher``,
    which feeds may share: fairly among symbols, in order within each. While a connection hands over to its
    successor the same diff may come twice.
    ``on_error(symbol, error)`` tells what went wrong (``symbol``: ``None`` where no single one is meant); the
    feed goes on by itself. ``on_connection_lost(symbols)``: diffs of these may be missing from here on.
    ``on_reached(symbol, update_id)``: the venue's stream has told of a symbol up to there, as its diffs show
    in a moment where none is missing.
    ``proxy``: the url of one that sockets go through; ``None``: that of the environment, if any.
    A callback that raises is reported to ``on_error`` and harms nobody else.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        on_diff: Callable[[Diff], None],
        on_error: Callable[[str | None, Exception], None] | None = None,
        on_connection_lost: Callable[[Sequence[str]], None] | None = None,
        on_reached: Callable[[str, int], None] = lambda *_: None,
        limits: FeedLimits | None = None,
        connect: Connect | None = None,
        proxy: str | None = None,
        dispatcher: Dispatcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        limits = limits or FeedLimits.of(venue)
        connects = ConnectPace(limits.connects_per_5_min, 300.0)
        self._line_of: dict[str, Line] = {}
        self._shared = Shared(
            venue=venue,
            limits=limits,
            outlet=Outlet(
                on_diff,
                on_error,
                on_connection_lost,
                dispatcher or Dispatcher(clock=clock),
                self._wants,
                connects.told,
                on_reached,
            ),
            connect=connect or connector(venue, limits, proxy=proxy),
            clock=clock,
            rng=rng or Random(),
            connects=connects,
        )
        self._sleep = sleep
        self._numbers = count(1)
        self._lines: list[Line] = []
        self._ended: list[Line] = []
        self._running = False

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Deliver the diffs of ``symbols`` too, soon after :meth:`run` has begun. Repeats are harmless."""
        for symbol in symbols:
            if symbol not in self._line_of:
                self._assign(symbol, avoid=None)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Deliver no further diff of ``symbols``."""
        for symbol in symbols:
            line = self._line_of.pop(symbol, None)
            if line is not None:
                line.unsubscribe([symbol])
            self._shared.moved.discard(symbol)

    def renew(self, symbols: Iterable[str]) -> None:
        """Subscribe anew to those of ``symbols`` that are subscribed and do not deliver what they should."""
        for symbol in symbols:
            line = self._line_of.get(symbol)
            if line is not None:
                line.renew(symbol)

    async def run(self) -> None:
        """Keep the connections until cancelled; then close them, within two seconds by default."""
        if self._running:
            raise RuntimeError("this feed runs already")
        self._running = True
        try:
            while True:
                self._tick(self._shared.clock())
                await self._sleep(self._shared.limits.tick_s)
        finally:
            await asyncio.gather(*(line.close() for line in self._lines + self._ended))
            self._running = False

    def live(self, symbol: str) -> bool:
        """Whether diffs of ``symbol`` arrive as they happen, as far as can be told.

        Liveness is judged per connection, since a quiet symbol is not a dead feed; a stream that was
        acknowledged and has not delivered anything for too long is not live.
        """
        line = self._line_of.get(symbol)
        return line is not None and line.live(symbol)

    def heard_age_s(self, symbol: str) -> float | None:
        """How long ago the connection that delivers ``symbol`` was heard; ``None`` where it is not delivered.

        Frames come in order: whatever the venue sent of the symbol before then has arrived, and was handed
        on. Where a diff waits for its turn, that is what came before it.
        """
        line = self._line_of.get(symbol)
        heard_at = line.heard_at(symbol) if line is not None else None
        if heard_at is None:
            return None
        waits = self._shared.outlet.waits(symbol)
        return max(0.0, self._shared.clock() - (heard_at if waits is None else min(heard_at, waits)))

    def status(self) -> FeedStatus:
        """How it stands; O(symbols)."""
        open_now = [connection for line in self._lines for connection in line.connections()]
        totals = self._shared.totals
        return FeedStatus(
            url=self._shared.venue.stream_url,
            symbols=len(self._line_of),
            live=sum(map(self.live, self._line_of)),
            connections=tuple(status for line in self._lines for status in line.status()),
            opening=sum(line.opening for line in self._lines),
            frames=totals.frames + sum(connection.frames for connection in open_now),
            bytes=totals.bytes + sum(connection.bytes for connection in open_now),
            malformed=totals.malformed + sum(connection.malformed for connection in open_now),
            lost=totals.lost,
            rotations=totals.rotations,
        )

    def _wants(self, symbol: str) -> bool:
        return self._running and symbol in self._line_of

    def _tick(self, now: float) -> None:
        self._ended = [line for line in self._ended if line.closing]
        for line in list(self._lines):
            if not line.symbols:
                line.end()
                self._lines.remove(line)
                self._ended.append(line)
                continue
            for symbol in line.tick(now):
                if self._line_of.get(symbol) is not line:
                    continue  # given up by a callback of this very tick
                self._shared.moved.add(symbol)
                line.unsubscribe([symbol])
                self._assign(symbol, avoid=line)

    def _assign(self, symbol: str, *, avoid: Line | None) -> None:
        """Give ``symbol`` to the first line with room, or to a new one."""
        room = self._shared.limits.streams_per_connection
        for line in self._lines:
            if line is not avoid and len(line.symbols) < room:
                break
        else:
            line = Line(next(self._numbers), self._shared)
            self._lines.append(line)
        line.subscribe([symbol])
        self._line_of[symbol] = line
