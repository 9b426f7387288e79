"""One group of symbols and the connection that carries them, over all the connections it takes.

=====================================  ==================================================================
what happens                           what the line does
=====================================  ==================================================================
no connection                          opens one, paced and with growing pauses between failures
the current one fails                  its successor, where there is one, takes over at once; else as above
a successor has taken over             tells of symbols of which neither may have brought a diff
its end is announced or near           opens a successor beside it, with the same symbols
the successor has delivered            retires the current one; the successor takes its place
the successor fails or owes diffs      discards it; another one is tried after a pause
an acknowledged stream never delivers  subscribes it anew, then asks for it to be moved to another line
=====================================  ==================================================================

During an overlap the diffs of both connections are handed on: :mod:`depthcast.sync` ignores what it has seen.
:meth:`Line.tick` decides and never waits.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from random import Random

from depthcast.backoff import Backoff
from depthcast.errors import RateLimited, VenueError
from depthcast.feed.connection import Connection
from depthcast.feed.handover import Verdict, judge
from depthcast.feed.limits import FeedLimits
from depthcast.feed.outlet import Outlet
from depthcast.feed.pace import ConnectPace
from depthcast.feed.status import ConnectionStatus
from depthcast.feed.websocket import Connect, Socket
from depthcast.venues import Venue


@dataclass(slots=True)
class Totals:
    """What the ended connections of a feed add up to."""

    frames: int = 0
    bytes: int = 0
    malformed: int = 0
    lost: int = 0
    rotations: int = 0


@dataclass(slots=True)
class Shared:
    """What all lines of a feed have in common. ``connects`` paces attempts over all of them."""

    venue: Venue
    limits: FeedLimits
    outlet: Outlet
    connect: Connect
    clock: Callable[[], float]
    rng: Random
    connects: ConnectPace
    totals: Totals = field(default_factory=Totals)
    moved: set[str] = field(default_factory=set)
    """The symbols that were moved because they stayed silent; none is moved twice."""


class Line:
    """The connection of a group of symbols, now and over time."""

    def __init__(self, number: int, shared: Shared) -> None:
        limits = shared.limits
        self.number = number
        self.symbols: dict[str, None] = {}
        self._shared = shared
        self._current: Connection | None = None
        self._successor: Connection | None = None
        self._opening: asyncio.Task[Socket] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._attempt_at = float("-inf")
        self._reconnect = Backoff(
            limits.reconnect_initial_s, maximum_s=limits.reconnect_maximum_s, rng=shared.rng
        )
        self._retry_handover = Backoff(
            limits.handover_initial_s, maximum_s=limits.handover_maximum_s, rng=shared.rng
        )

    # What others ask of it

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Carry ``symbols`` as well."""
        symbols = dict.fromkeys(symbols)
        self.symbols.update(symbols)
        for connection in self.connections():
            connection.subscriptions.want(symbols)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Carry ``symbols`` no longer."""
        symbols = [symbol for symbol in symbols if symbol in self.symbols]
        for symbol in symbols:
            del self.symbols[symbol]
        for connection in self.connections():
            connection.subscriptions.drop(symbols)

    def renew(self, symbol: str) -> None:
        """Subscribe to ``symbol`` anew. During an overlap the successor does it anyway."""
        if self._current is not None and self._successor is None:
            self._current.subscriptions.renew(symbol)

    def live(self, symbol: str) -> bool:
        """Whether a connection of this line delivers ``symbol``, as far as can be told."""
        return any(connection.live(symbol) for connection in self.connections())

    def heard_at(self, symbol: str) -> float | None:
        """When the connection that delivers ``symbol`` was heard last; ``None`` where none does.

        A successor counts only in the current one's place: until it has delivered, nobody knows whether it
        begins before the current one ended.
        """
        return next((each.heard_at for each in self.connections() if each.live(symbol)), None)

    def connections(self) -> list[Connection]:
        """The open ones: the current one and its successor, as far as they exist."""
        return [each for each in (self._current, self._successor) if each is not None]

    @property
    def opening(self) -> bool:
        """Whether a connection is being opened."""
        return self._opening is not None

    def status(self) -> list[ConnectionStatus]:
        """How its connections stand."""
        return [
            connection.status(self.number, "current" if connection is self._current else "successor")
            for connection in self.connections()
        ]

    @property
    def closing(self) -> bool:
        """Whether a connection is being closed."""
        return bool(self._closing)

    def end(self) -> None:
        """Close what is open, beside everything else."""
        if self._opening is not None:
            self._opening.cancel()
            self._beside(_abandon(self._opening))
        for connection in self.connections():
            self._end(connection)
        self._current = self._successor = self._opening = None

    async def close(self) -> None:
        """Close what is open, within the closing time-out."""
        self.end()
        await asyncio.gather(*self._closing)

    # What it decides

    def tick(self, now: float) -> list[str]:
        """Look at everything once; returns the symbols to be moved to another line."""
        if self._opening is not None and self._opening.done():
            self._land(self._opening, now)
        for connection in self.connections():
            connection.tick(now)
        if self._successor is not None and self._successor.fault is not None:
            self._discard(self._successor, self._successor.fault, now)
        if self._current is not None and self._current.fault is not None:
            self._replace_lost(self._current, self._current.fault, now)
        if self._current is not None and self._successor is not None:
            self._judge(self._current, self._successor, now)
        if self._current is not None and now - self._current.opened_at >= self._shared.limits.stable_after_s:
            self._reconnect.reset()
            if not self._current.rotation_due(now):
                self._retry_handover.reset()
        if self._wants_connection(now):
            self._shared.connects.take(now)
            self._opening = asyncio.ensure_future(self._shared.connect())
        return self._judge_silence(now)

    def _wants_connection(self, now: float) -> bool:
        if self._opening is not None or self._successor is not None or not self.symbols:
            return False
        if self._current is not None and not self._current.rotation_due(now):
            return False
        return now >= self._attempt_at and self._shared.connects.wait_s(now) == 0

    def _land(self, opening: asyncio.Future[Socket], now: float) -> None:
        """An attempt to connect has ended."""
        self._opening = None
        backoff = self._reconnect if self._current is None else self._retry_handover
        try:
            socket = opening.result()
        except VenueError as error:
            self._attempt_at = now + backoff.next_s()
            if isinstance(error, RateLimited):
                self._shared.connects.hold(now + error.retry_after_ms / 1000)
            self._shared.outlet.error(None, error)
            return
        connection = Connection(
            socket,
            self.symbols,
            venue=self._shared.venue,
            limits=self._shared.limits,
            outlet=self._shared.outlet,
            clock=self._shared.clock,
            rng=self._shared.rng,
        )
        if self._current is None:
            self._current = connection
        else:
            self._successor = connection

    def _replace_lost(self, lost: Connection, fault: VenueError, now: float) -> None:
        """The current connection failed: diffs may be missing wherever no successor delivers."""
        self._end(lost)
        self._shared.totals.lost += 1
        self._current, self._successor = self._successor, None
        if self._current is None:
            self._attempt_at = now + self._reconnect.next_s()
        self._shared.outlet.error(None, fault)
        self._tell_uncovered(lost)

    def _judge(self, current: Connection, successor: Connection, now: float) -> None:
        overlap_s = self._shared.limits.overlap_s
        verdict = judge(
            current.subscriptions,
            successor.subscriptions,
            now,
            opened_at=successor.opened_at,
            overlap_s=overlap_s,
        )
        if verdict is Verdict.RETIRE_OLD:
            self._end(current)
            self._shared.totals.rotations += 1
            self._current, self._successor = successor, None
            self._tell_uncovered(current)
            # A venue that announces the end of each new connection is not followed at any pace.
            self._attempt_at = now + self._retry_handover.next_s()
        elif verdict is Verdict.DISCARD_NEW:
            self._discard(
                successor,
                VenueError(
                    f"a new websocket did not deliver within {overlap_s:g} s what the old one did",
                    hint="the old one is kept and another new one is tried",
                ),
                now,
            )

    def _tell_uncovered(self, former: Connection) -> None:
        """Tell of the symbols of which a diff may have come after ``former`` was heard last and before its
        successor delivers: a connection is found to be half open only some time after it is."""
        uncovered = [
            symbol
            for symbol in self.symbols
            if self._current is None
            or not self._current.live(symbol)
            or not self._current.subscriptions.follows(symbol, former.heard_at)
        ]
        if uncovered:
            self._shared.outlet.connection_lost(uncovered)

    def _discard(self, successor: Connection, fault: VenueError, now: float) -> None:
        self._end(successor)
        self._successor = None
        self._attempt_at = now + self._retry_handover.next_s()
        self._shared.outlet.error(None, fault)

    def _judge_silence(self, now: float) -> list[str]:
        """Subscribe silent streams anew; returns those that should try another connection."""
        if self._current is None or self._successor is not None:
            return []  # an overlap judges for itself
        subscriptions = self._current.subscriptions
        silent = {symbol: subscriptions.streams[symbol].silences for symbol in subscriptions.silent(now)}
        to_move = []
        for symbol, silences in silent.items():
            if silences > self._shared.limits.renewals_before_move and symbol not in self._shared.moved:
                to_move.append(symbol)
            else:
                subscriptions.renew(symbol)
        # Last, since a callback may give symbols up.
        for symbol, silences in silent.items():
            self._shared.outlet.error(
                symbol,
                VenueError(
                    f"{symbol} is subscribed and acknowledged, but has delivered nothing"
                    f" (noticed {silences} times)",
                    hint="it is subscribed again; a market without any change looks the same",
                ),
            )
        return to_move

    def _end(self, connection: Connection) -> None:
        """Close ``connection`` beside everything else; what it counted is kept."""
        totals = self._shared.totals
        totals.frames += connection.frames
        totals.bytes += connection.bytes
        totals.malformed += connection.malformed
        self._beside(connection.close())

    def _beside(self, closing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _abandon(opening: asyncio.Task[Socket]) -> None:
    """Wait for a cancelled attempt to end; where it came to a socket all the same, cut it."""
    (socket,) = await asyncio.gather(opening, return_exceptions=True)
    if not isinstance(socket, BaseException):
        socket.abort()
