"""One websocket: its reader, its control messages at their pace, its signs of life.

The reader hands diffs on as they come, or, where many come at once, leaves them to their symbols' turns
(:mod:`depthcast.dispatch`). Everything else is decided in :meth:`Connection.tick`, which does not
wait: it looks at the time and at what the reader saw. A connection never repairs itself; it says what is
wrong (``fault``) and its line replaces it.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random
from typing import Any, Final

from depthcast.dispatch import Work
from depthcast.errors import MalformedFrame, SubscriptionRefused, VenueError, VenueUnavailable
from depthcast.events import Diff, LevelSnapshot
from depthcast.feed.limits import FeedLimits
from depthcast.feed.outlet import Outlet
from depthcast.feed.pace import Pace
from depthcast.feed.status import ConnectionStatus, Role
from depthcast.feed.subscriptions import Phase, Subscriptions
from depthcast.feed.websocket import Socket
from depthcast.venues import (
    TOLD,
    Ack,
    Event,
    NamesSymbols,
    Reached,
    RequestFailed,
    Shutdown,
    StreamAck,
    Venue,
    Welcome,
)

LARGE_BYTES: Final = 100_000
"""Of a frame with a whole book: from here on reading it and building its book are two pieces of work, of a
millisecond or more each. 9,346 rows of BitMEX's are 1.5 MB, and 14 ms each."""


class Connection:
    """An open socket and what is known about it. Reads from the moment it is made."""

    def __init__(
        self,
        socket: Socket,
        symbols: Iterable[str],
        *,
        venue: Venue,
        limits: FeedLimits,
        outlet: Outlet,
        clock: Callable[[], float],
        rng: Random,
    ) -> None:
        now = clock()
        self.subscriptions: Subscriptions = Subscriptions(venue, limits, symbols)
        self.fault: VenueError | None = None
        self.opened_at = now
        self.frames: int = 0
        self.bytes: int = 0
        self.malformed: int = 0

        self._socket = socket
        self._venue = venue
        self._limits = limits
        self._outlet = outlet
        self._clock = clock
        self.heard_at: float = now
        """When the last frame came, or a pong that stands for one."""
        self._heartbeat = venue.heartbeat
        self._probe_after_s = limits.probe_after_s
        if venue.heartbeat is None:
            self._probe_after_s = min(limits.probe_after_s, limits.idle_timeout_s / 3)
        self._asked_at = now
        self._shutdown = False
        self._unread: VenueUnavailable | None = None
        self._retire_at = now + limits.max_age_s * rng.uniform(1 - limits.age_jitter, 1)
        self._pace = Pace(1, limits.control_interval_s)
        self._symbol_of = venue.symbol_of if isinstance(venue, NamesSymbols) else None
        self._malformed_in_a_row = 0
        # What was read and waits for its turn, in bytes of frames.
        self._waiting = 0
        self._room = asyncio.Event()
        self._reader = asyncio.create_task(self._read())
        self._sending: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None

    def tick(self, now: float) -> None:
        """Send what is due and look for faults."""
        self.fault = self._find_fault(now)
        if self.fault is None and self._pace.wait_s(now) == 0 and not _busy(self._sending):
            self._send_what_is_due(now)

    def rotation_due(self, now: float) -> bool:
        """Whether the venue announced this connection's end, or its age comes near to it."""
        return self._shutdown or now >= self._retire_at

    def live(self, symbol: str) -> bool:
        """Whether ``symbol`` is delivered here, as far as can be told."""
        return self.fault is None and self.subscriptions.live(symbol)

    def status(self, line: int, role: Role) -> ConnectionStatus:
        """How it stands."""
        now = self._clock()
        streams = self.subscriptions.streams.values()
        return ConnectionStatus(
            line=line,
            role=role,
            symbols=len(streams),
            acked=sum(stream.phase is Phase.ACKED for stream in streams),
            age_s=now - self.opened_at,
            last_frame_age_s=now - self.heard_at,
            frames=self.frames,
            bytes=self.bytes,
        )

    async def close(self) -> None:
        """Stop reading and close, with a handshake where the other end is there, within the time-out."""
        tasks = [task for task in (self._reader, self._sending, self._probing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            if self.fault is None:
                with suppress(TimeoutError, VenueError):
                    await asyncio.wait_for(self._socket.close(), self._limits.close_timeout_s)
        finally:
            self._socket.abort()

    # Reading

    async def _read(self) -> None:
        """Hand diffs on until the socket fails. The hot path: one pass a frame, no task, no copy."""
        recv, clock, parse = self._socket.recv, self._clock, self._parse
        streams, deliver = self.subscriptions.streams, self._outlet.diff
        may, key_of, apply = self._outlet.dispatcher.may, self._outlet.key, Work.APPLY
        symbol_of = self._symbol_of
        while True:
            frame = await recv()
            self.heard_at = now = clock()
            self.frames += 1
            self.bytes += len(frame)
            at_once = may(apply, now=now)
            if not at_once and symbol_of is not None:
                symbol = symbol_of(frame)
                stream = streams.get(symbol) if symbol is not None else None
                if symbol is not None and stream is not None:
                    at_once = may(apply, key=key_of(symbol), now=now)
                    if not at_once:
                        stream.heard_at = now
                        await self._leave(symbol, frame, frame, now)
                        continue
            event = parse(frame)
            if event is None:
                if self._unread is not None:
                    raise self._unread
                if self._malformed_in_a_row >= self._limits.malformed_in_a_row:
                    raise self._too_malformed()
                continue
            kind = type(event)
            if kind is not Diff and kind not in TOLD:
                self._control(event, now)
                continue
            stream = streams.get(event.symbol)
            if stream is None:
                continue  # a stray of a subscription that was given up
            stream.heard_at = now
            if not at_once or (kind is LevelSnapshot and len(frame) >= LARGE_BYTES):
                await self._leave(event.symbol, event, frame, now)
                continue
            try:
                deliver(event)
            except Exception as error:
                self._outlet.error(event.symbol, error)

    def _parse(self, frame: bytes) -> Any:
        """What a frame says; ``None`` for one that is malformed, which is reported."""
        try:
            event = self._venue.parse_frame(frame)
        except MalformedFrame as error:
            self.malformed += 1
            self._malformed_in_a_row += 1
            self._outlet.error(error.symbol, error)
            if not self._venue.numbered:
                self._lacks_a_frame(error.symbol)
            return None
        self._malformed_in_a_row = 0
        return event

    def _lacks_a_frame(self, symbol: str | None) -> None:
        """Nothing else would show that it is missing: its symbol's stream is begun anew, or all of them are
        where nobody knows whose it was."""
        if symbol is not None and symbol in self.subscriptions.streams:
            self.subscriptions.renew(symbol)
            self._outlet.connection_lost([symbol])
        else:
            self._unread = VenueUnavailable(
                "a frame was not read, and nothing numbers frames", hint="the websocket is opened again"
            )

    def _too_malformed(self) -> VenueUnavailable:
        return VenueUnavailable(
            f"{self._malformed_in_a_row} malformed frames in a row", hint="the websocket is opened again"
        )

    # What waits for its turn

    async def _leave(self, symbol: str, what: Any, frame: bytes, now: float) -> None:
        """Leave a frame, or what it says, to its symbol's turn; read no further where too much waits.

        Frames are left as they came where that is possible: parsed, a burst is a hundred thousand values, and
        the collector of garbage would look through all of them.
        """
        size = len(frame)
        self._waiting += size
        outlet = self._outlet
        outlet.dispatcher.put(
            Work.APPLY, outlet.key(symbol), self._deliver_late, (symbol, what, size), cost=size, now=now
        )
        if self._waiting >= self._limits.max_waiting_bytes:
            # Half of it is applied meanwhile, which takes a fraction of a second.
            self._room.clear()
            await self._room.wait()
            self.heard_at = self._clock()

    def _deliver_late(self, waited: tuple[str, Any, int]) -> None:
        """Hand on a diff whose turn it is: of a symbol that is subscribed still, on whatever connection."""
        symbol, event, size = waited
        self._waiting -= size
        if self._waiting < self._limits.max_waiting_bytes // 2:
            self._room.set()
        if not self._outlet.wanted(symbol):
            return
        if type(event) is bytes:
            event = self._parse(event)
        kind = type(event)
        if kind is not Diff and kind not in TOLD:
            return
        if kind is LevelSnapshot and event is not waited[1] and size >= LARGE_BYTES:
            outlet = self._outlet
            outlet.dispatcher.put(
                Work.APPLY, outlet.key(symbol), self._deliver_late, (symbol, event, 0), cost=0, first=True
            )
            return
        try:
            self._outlet.diff(event)
        except Exception as error:
            self._outlet.error(symbol, error)

    def _control(self, event: Event, now: float) -> None:
        match event:
            case Ack(request_id):
                self.subscriptions.acked(request_id, now)
            case StreamAck(symbol):
                self.subscriptions.acked_stream(symbol, now)
            case RequestFailed(request_id, code, text):
                alone = self.subscriptions.refused(request_id, now)
                refused = f"the exchange refused a subscription: {code} {text}"
                self._outlet.error(
                    alone,
                    VenueError(refused, hint="it is asked again")
                    if alone is None
                    else SubscriptionRefused(alone, code, text),
                )
            case Shutdown():
                self._shutdown = True
            case Welcome(left):
                self._outlet.connects_left(left)
            case Reached(symbol, update_id):
                self._outlet.told(symbol, update_id)
            case _:
                pass  # another stream's frame

    # Deciding

    def _find_fault(self, now: float) -> VenueError | None:
        if self._reader.done():
            error = self._reader.exception()
            if isinstance(error, VenueError):
                return error
            return VenueError(f"the reader failed: {error!r}", hint="this is a bug; please report it")
        if self._malformed_in_a_row >= self._limits.malformed_in_a_row:
            return self._too_malformed()
        if self._unread is not None:
            return self._unread
        if self.subscriptions.overdue(now):
            return VenueUnavailable(
                f"no answer to a subscription within {self._limits.ack_timeout_s:g} s",
                hint="the websocket is opened again",
            )
        if now - self.heard_at >= self._limits.idle_timeout_s:
            return VenueUnavailable(
                f"the websocket is half open: nothing heard for {self._limits.idle_timeout_s:g} s",
                hint="it is opened again",
            )
        return None

    def _send_what_is_due(self, now: float) -> None:
        message = self.subscriptions.next_message(now)
        if message is not None:
            self._pace.take(now)
            self._sending = asyncio.create_task(self._send(message))
        elif now - self.heard_at >= self._probe_after_s and not _busy(self._probing):
            if self._heartbeat is None:
                self._pace.take(now)
                self._probing = asyncio.create_task(self._probe())
            elif now - self._asked_at >= self._probe_after_s:
                # Whatever is heard answers it.
                self._asked_at = now
                self._pace.take(now)
                self._sending = asyncio.create_task(self._send(self._heartbeat))

    async def _send(self, message: str) -> None:
        with suppress(VenueUnavailable):  # the reader meets the same end and tells it
            await self._socket.send(message)

    async def _probe(self) -> None:
        """A quiet connection answers a ping, a half-open one does not."""
        with suppress(VenueUnavailable):
            await self._socket.ping()
            self.heard_at = self._clock()


def _busy(task: asyncio.Task[None] | None) -> bool:
    return task is not None and not task.done()
