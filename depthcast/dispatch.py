"""``Dispatcher``: whose turn it is in an event loop that many books share.

Work is of three kinds, the more urgent first (:class:`Work`): diffs are applied before files are rendered,
and both go before what can wait. In one turn of the loop a kind has so many milliseconds (:class:`Slices`).
As long as they last, and nobody waits, work is done where it comes up, which costs next to nothing. What goes
beyond waits in a queue, and the loop turns in between: sockets are read, answers taken, timers kept.

Who waits is served by *deficit round robin*: in each round every symbol may do work of :data:`QUANTUM` bytes
more, and saves what it does not use for a piece of work that is larger. So a symbol waits for a bounded part
of each other one's work, however much of that came before its own; within a symbol the order stays as it was.
One that had :data:`HEAVY` quanta and waits still is *heavy* until nothing of it is left: it goes behind all
others, their files included, as does what can wait. All that goes behind others has one slice in a turn
together, and one piece at least: a loop that has too much to do writes files less often, and does not cease
to. Only of two turns that have been long already one goes without.

So a turn is a few milliseconds long, and who is not heavy waits for two of them at most, as long as the loop
keeps up with those who are not. The bound is in pieces of work: what takes longer than a few milliseconds is
to be cut by those who bring it.

Where others keep the loop for more than :data:`BORNE_S` in its turns, slices grow by as much: else what is
here would get the less of a loop, the more there is to do in it. What is done where it comes up is not
counted among the others', nor is a single pause; slices would else grow by their own work.

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

BORNE_S: Final = 0.005
"""What others may keep the loop for in a turn without slices growing: the requests that write files, say, of
which there are the more, the longer a slice is."""

LONGEST_S: Final = 0.015
"""What more of it counts no further; a slice is then twice as long as it is beyond :data:`BORNE_S`."""

SMOOTHED: Final = 8
"""Turns of which it is the average, about."""

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
    """How long each kind of work may go on in one turn of the loop, in seconds. One piece is always done.

    ``later_s`` is also what all has together that goes behind others.
    """

    apply_s: float = 0.001
    render_s: float = 0.001
    later_s: float = 0.0005


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

    def put(self, key: Hashable, piece: _Piece, *, first: bool) -> None:
        flow = self.flows.get(key)
        if flow is None:
            flow = self.flows[key] = _Flow(key)
            self.ring.append(flow)
        if first:
            flow.pieces.appendleft(piece)
        else:
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
        later = self._queues[Work.LATER]
        self._behind: deque[tuple[_Queue, Callable[[], _Piece | None]]] = deque(
            [*((queue, queue.next_heavy) for queue in self._queues), (later, partial(later.next, quantum))]
        )
        self._clock = clock
        self._call_soon = call_soon
        self._coming = False
        # When the last turn ended with work left, and how long the loop was with others until the next one.
        self._left_at = _NEVER
        self._others_s = 0.0
        self._spared = False
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
        if work is Work.LATER and any(each.flows for each in self._queues):
            return False
        if now is None:
            now = self._clock()
        if queue.until == _NEVER:
            # The first of this turn of the loop.
            queue.until = now + queue.slice_s
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
        first: bool = False,
    ) -> None:
        """``call(what)`` when it is its turn; it is not to raise anything.

        ``key`` says whose work it is: pieces of one key are done in the order in which they came, except that
        one which goes on with what has just been done goes ``first``. ``cost`` is what it counts for, the
        bytes of a frame.
        """
        # A piece that costs many rounds would have them counted out one by one.
        piece = _Piece(self._clock() if now is None else now, min(cost, MAX_COST * self._quantum), call, what)
        self._queues[work].put(key, piece, first=first)
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
        longer_s, began = self._stretch(), self._clock()
        for queue in self._queues:
            queue.until = _NEVER
        try:
            for queue in self._queues[: Work.LATER]:
                self._serve(queue, max(queue.slice_s, longer_s))
            # A turn that has been long goes without it, one of two.
            self._spared = not self._spared and self._clock() - began >= BORNE_S
            if not self._spared:
                self._serve_behind(max(self._queues[Work.LATER].slice_s, longer_s))
        finally:
            if any(queue.flows for queue in self._queues):
                self._left_at = self._clock()
                self._come()

    def _stretch(self) -> float:
        """How long slices are to be, at least, for what others do between turns."""
        others_s = 0.0
        if self._left_at != _NEVER:
            # What was done where it came up is not the others'.
            ours_s = sum(queue.slice_s for queue in self._queues if queue.until != _NEVER)
            others_s = min(max(0.0, self._clock() - self._left_at - ours_s), LONGEST_S)
            self._left_at = _NEVER
        # A single long pause is no reason to make another one.
        self._others_s += (others_s - self._others_s) / SMOOTHED
        return max(0.0, 2 * (self._others_s - BORNE_S))

    def _serve(self, queue: _Queue, slice_s: float) -> None:
        """Do what waits in rounds, for the length of a slice; one piece at least."""
        if not queue.ring:
            return
        began = now = self._clock()
        while (piece := queue.next(self._quantum)) is not None:
            now = self._do(queue, piece, now)
            # Who is let go works only after this, for nobody knows how long.
            if now - began >= slice_s or piece.call is _let_go:
                break

    def _serve_behind(self, slice_s: float) -> None:
        """Do what goes behind others, a piece of each in its turn, for the length of one slice in all."""
        began = now = self._clock()
        idle = 0
        while idle < len(self._behind):
            queue, take = self._behind[0]
            self._behind.rotate(-1)
            piece = take()
            if piece is None:
                idle += 1
                continue
            idle = 0
            now = self._do(queue, piece, now)
            if now - began >= slice_s or piece.call is _let_go:
                break

    def _do(self, queue: _Queue, piece: _Piece, now: float) -> float:
        """Do a piece; what time it is then."""
        queue.done += 1
        queue.waited(now - piece.since)
        piece.call(piece.what)
        return self._clock()

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
