"""``Dispatcher``: whose turn it is in an event loop that many books share.

Work is of three kinds, the more urgent first (:class:`Work`): diffs are applied before files are rendered,
and both go before what can wait. In one turn of the loop a kind has so many milliseconds (:class:`Slices`).
As long as they last, and nobody waits, work is done where it comes up, which costs next to nothing. What goes
beyond waits in a queue, and the loop turns in between: sockets are read, answers taken, timers kept.

Who waits is served by *deficit round robin*: in each round every symbol may do work of :data:`QUANTUM` bytes
more, and saves what it does not use for a piece of work that is larger. So a symbol waits for a bounded part
of each other one's work, however much of that came before its own; within a symbol the order stays as it was.
One that had :data:`HEAVY` quanta and waits still is *heavy* until nothing of it is left: it goes behind all
others, their files included. Of what goes behind others one piece is done in each turn nevertheless: a loop
that has too much to do writes files less often, and does not cease to. And where a turn of the loop takes
long for what others do in it, a slice may be as long as that (:data:`LONGEST_S` at most): else what is here
would get the less of a loop, the more there is to do in it.

Nothing is dropped. How much may wait is up to those who bring it (:class:`depthcast.feed.limits.FeedLimits`).
The only thing asked of an event loop is ``call_soon``.
"""

import asyncio
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Hashable
from enum import IntEnum
from functools import partial
from typing import Any, Final, NamedTuple

QUANTUM: Final = 4096
"""What a symbol may do in a round, in bytes of frames: twice a usual diff, a fifth of one of 1,000 levels."""

HEAVY: Final = 8
"""What a symbol may do before it goes behind the others, in quanta: a diff and a half of 1,000 levels."""

MAX_COST: Final = 16
"""What one piece of work counts for at most, in quanta."""

LONGEST_S: Final = 0.02
"""What a slice may grow to, where the loop's turns take long for other reasons."""

BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)
"""Bounds of the counts of :attr:`Waits.buckets`, which has one more, of all that took longer."""


class Work(IntEnum):
    """The kinds of work, the more urgent first."""

    APPLY = 0
    """What a frame says goes into its book."""
    RENDER = 1
    """A book goes into its files."""
    LATER = 2
    """Books built, completed and compared."""


class Slices(NamedTuple):
    """How long each kind of work may go on in one turn of the loop, in seconds. One piece is always done."""

    apply_s: float = 0.001
    render_s: float = 0.001
    later_s: float = 0.001


class Waits(NamedTuple):
    """How one kind of work had to wait. ``done``: all pieces; ``queued``: those that waited in the queue.

    ``buckets``: those by how long, see :data:`BUCKETS_S`; ``total_s``: the sum of their waits; ``longest_s``:
    the longest since it was asked for last. ``waiting`` wait now, the oldest since ``oldest_s`` seconds.
    """

    done: int
    queued: int
    buckets: tuple[int, ...]
    total_s: float
    longest_s: float
    waiting: int
    oldest_s: float


Call = Callable[[Any], object]

_NEVER: Final = float("-inf")


class _Piece(NamedTuple):
    """``call(what)``, of ``cost`` bytes, which came at ``since``."""

    since: float
    cost: int
    call: Call
    what: Any


class _Flow:
    """What waits of one symbol, in order. ``visited``: whether it got its bytes of this round; ``served``:
    what it did since something of it waits, in bytes."""

    __slots__ = ("credit", "key", "pieces", "served", "visited")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.pieces: deque[_Piece] = deque()
        self.credit = 0
        self.served = 0
        self.visited = False


class _Queue:
    """What waits of one kind: ``ring`` in rounds, ``heavy`` behind it. ``until``: until when its work is done
    where it comes up."""

    __slots__ = (
        "buckets",
        "done",
        "flows",
        "heavy",
        "longest_s",
        "queued",
        "ring",
        "slice_s",
        "total_s",
        "until",
    )

    def __init__(self, slice_s: float) -> None:
        self.slice_s = slice_s
        self.until = _NEVER
        self.flows: dict[Hashable, _Flow] = {}
        self.ring: deque[_Flow] = deque()
        self.heavy: deque[_Flow] = deque()
        self.done = 0
        self.queued = 0
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0
        self.longest_s = 0.0

    def put(self, key: Hashable, piece: _Piece) -> None:
        flow = self.flows.get(key)
        if flow is None:
            flow = self.flows[key] = _Flow(key)
            self.ring.append(flow)
        flow.pieces.append(piece)

    def next(self, quantum: int) -> _Piece | None:
        """The piece whose turn it is in the rounds, taken out; ``None`` where nothing waits there."""
        ring = self.ring
        if not ring:
            return None
        while True:
            flow = ring[0]
            if not flow.visited:
                flow.visited = True
                flow.credit += quantum
            cost = flow.pieces[0].cost
            if cost <= flow.credit:
                break
            flow.visited = False
            ring.rotate(-1)
        flow.credit -= cost
        flow.served += cost
        if len(flow.pieces) > 1 and flow.served > HEAVY * quantum:
            self.heavy.append(ring.popleft())
        return self._take(flow, ring)

    def next_heavy(self) -> _Piece | None:
        """The piece whose turn it is among heavy symbols, one of each after the other."""
        if not self.heavy:
            return None
        flow = self.heavy[0]
        self.heavy.rotate(-1)
        return self._take(flow, self.heavy)

    def _take(self, flow: _Flow, ring: deque[_Flow]) -> _Piece:
        piece = flow.pieces.popleft()
        if not flow.pieces:
            # Who has nothing to do saves nothing.
            ring.remove(flow)
            del self.flows[flow.key]
        return piece

    def waited(self, seconds: float) -> None:
        self.queued += 1
        self.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds
        self.longest_s = max(self.longest_s, seconds)


class Dispatcher:
    """For use in one event loop, by everybody whose work goes on in it.

    ``slices`` with infinite times make it do everything where it comes up. ``call_soon`` is the running
    loop's by default.
    """

    def __init__(
        self,
        *,
        slices: Slices = Slices(),  # noqa: B008 # a tuple
        quantum: int = QUANTUM,
        clock: Callable[[], float] = time.monotonic,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        if quantum < 1:
            raise ValueError("quantum is at least 1")
        self._queues = tuple(_Queue(slice_s) for slice_s in slices)
        self._quantum = quantum
        self._clock = clock
        self._call_soon = call_soon
        self._coming = False
        # When the last turn ended with work left, and how long the loop was with others until the next one.
        self._left_at = _NEVER
        self._others_s = 0.0
        self.turns: int = 0
        """Turns of the loop in which there was work."""

    # Work comes up

    def may(self, work: Work, *, key: Hashable = None, now: float | None = None) -> bool:
        """Whether a piece of work may be done right now; it is taken to be done then. Else :meth:`put` it.

        ``key`` says whose it is: where it is told, only heavy symbols may wait meanwhile, and not this one.
        ``now``: the clock's time, where it is known.
        """
        queue = self._queues[work]
        if queue.flows and (key is None or queue.ring or key in queue.flows):
            return False
        if now is None:
            now = self._clock()
        if queue.until == _NEVER:
            # The first of this turn of the loop.
            queue.until = now + max(queue.slice_s, self._others_s)
            self._come()
        elif now >= queue.until:
            return False
        queue.done += 1
        return True

    def put(
        self,
        work: Work,
        key: Hashable,
        call: Call,
        what: Any,
        *,
        cost: int = QUANTUM,
        now: float | None = None,
    ) -> None:
        """``call(what)`` when it is its turn; it is not to raise anything.

        ``key`` says whose work it is: pieces of one key are done in the order in which they came. ``cost`` is
        what it counts for, the bytes of a frame.
        """
        # A piece that costs many rounds would have them counted out one by one.
        piece = _Piece(self._clock() if now is None else now, min(cost, MAX_COST * self._quantum), call, what)
        self._queues[work].put(key, piece)
        self._come()

    async def turn(self, work: Work, key: Hashable) -> None:
        """Wait until a piece of work may be done, which then is done where this is awaited.

        It returns at once where it may right now. Of those that wait one is let go in a turn of the loop.
        """
        if not self.may(work, key=key):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.put(work, key, _let_go, future)
            await future

    async def run(self, work: Work, key: Hashable, call: Call, what: Any, *, cost: int = QUANTUM) -> None:
        """``call(what)``, at once where it may be done, else when it is its turn; raises what it raises.

        Cancelled, it is not done any more.
        """
        if self.may(work, key=key):
            call(what)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.put(work, key, _settle, (future, call, what), cost=cost)
        await future

    # What waits

    def waits(self, work: Work, key: Hashable) -> float | None:
        """Since when the oldest piece of this key waits, by the clock; ``None`` where none does."""
        flow = self._queues[work].flows.get(key)
        return None if flow is None else flow.pieces[0].since

    def told(self, work: Work) -> Waits:
        """How this kind of work had to wait. O(keys that wait)."""
        queue = self._queues[work]
        flows = queue.flows.values()
        oldest = min((flow.pieces[0].since for flow in flows), default=None)
        longest_s, queue.longest_s = queue.longest_s, 0.0
        return Waits(
            done=queue.done,
            queued=queue.queued,
            buckets=tuple(queue.buckets),
            total_s=queue.total_s,
            longest_s=longest_s,
            waiting=sum(len(flow.pieces) for flow in flows),
            oldest_s=0.0 if oldest is None else max(0.0, self._clock() - oldest),
        )

    # Turns

    def _come(self) -> None:
        """Have a turn once the loop has turned."""
        if not self._coming:
            self._coming = True
            (self._call_soon or asyncio.get_running_loop().call_soon)(self._turn)

    def _turn(self) -> None:
        self._coming = False
        self.turns += 1
        waited_s = 0.0 if self._left_at == _NEVER else self._clock() - self._left_at
        self._others_s = others_s = min(max(0.0, waited_s), LONGEST_S)
        self._left_at = _NEVER
        try:
            for queue in self._queues:
                queue.until = _NEVER
                self._serve(queue, partial(queue.next, self._quantum), max(queue.slice_s, others_s))
            others_wait = any(queue.ring for queue in self._queues)
            for queue in self._queues:
                self._serve(queue, queue.next_heavy, others_s / 2 if others_wait else queue.slice_s)
        finally:
            if any(queue.flows for queue in self._queues):
                self._left_at = self._clock()
                self._come()

    def _serve(self, queue: _Queue, take: Callable[[], _Piece | None], slice_s: float) -> None:
        """Do what waits, for the length of a slice; one piece at least."""
        if not queue.flows:
            return
        began = now = self._clock()
        while (piece := take()) is not None:
            queue.done += 1
            queue.waited(now - piece.since)
            piece.call(piece.what)
            now = self._clock()
            # Who is let go works only after this, for nobody knows how long.
            if now - began >= slice_s or piece.call is _let_go:
                break

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        for queue in self._queues:
            rings = [*queue.ring, *queue.heavy]
            assert len(rings) == len(queue.flows), "a flow is in no ring, or in two"
            assert set(queue.flows.values()) == set(rings), "a flow in a ring is not known by its key"
            assert all(flow.pieces for flow in rings), "a flow in a ring has nothing to do"
            assert all(flow.credit >= 0 for flow in rings), "a flow did more than it might"
            assert sum(queue.buckets) == queue.queued <= queue.done, "a wait is not counted, or twice"
            assert not rings or self._coming, "work waits for a turn that does not come"


def _let_go(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _settle(awaited: tuple[asyncio.Future[None], Call, Any]) -> None:
    future, call, what = awaited
    if future.done():
        return  # who waited was cancelled
    try:
        call(what)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(None)
