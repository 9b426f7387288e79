"""``Refills``: background snapshots that complete and audit live books (:meth:`depthcast.sync.Sync.refill`).

A book is completed before it becomes too shallow, and compared with a second snapshot from time to time. What
is shallow and not urgent, as are books that began from files of no more levels than are published, is done
one by one over time: a replica that joins is to spend no weight at once. A book
that this replica does not lead is completed and audited from the published file, too; where the two differ,
or no file will do and the book gets too shallow, from the venue.

A book that its stream begins is whole, and no snapshot can be joined to it. Where it can be compared with one
(:mod:`depthcast.rows.comparison`), whoever leads it does so from time to time, and where nothing came for a
while: a quiet market and a stream that fell silent look alike. Where it differs it is built anew.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from depthcast.book import Audit
from depthcast.building import step
from depthcast.dispatch import Dispatcher, Work
from depthcast.errors import BookError, VenueError
from depthcast.keeper.live import LiveBook
from depthcast.keeper.observer import Observer, tell_failure
from depthcast.keeper.sources import Sources
from depthcast.keeper.tasks import SymbolTasks
from depthcast.orders.messages import AnySnapshot
from depthcast.rows.comparison import Comparison
from depthcast.rows.messages import RowSnapshot
from depthcast.sync import Verdict
from depthcast.unsequenced import StreamSync

LEAD_S: Final = 2.0
"""So long before a snapshot is asked for changes are noted: the venue may tell them later by REST."""

SETTLED_S: Final = 5.0
"""So long after a snapshot a stream that told nothing meanwhile must have been heard to have had the time."""

COMPARED_WITHIN_S: Final = 20.0
"""A comparison that cannot be ended within so long after its snapshot is given up."""

LOOK_EVERY_S: Final = 0.2


class Refills:
    """Completes books that are certain of fewer than ``below`` levels, and audits every book.

    Those of fewer than ``urgent_below`` at once; the others not before they are ``every_s`` old, and one in
    ``spread_s``.

    ``changed`` is told of books that took over something, ``differs`` of those that have to be built anew.
    ``doubt_after_s``: a book of a stream without numbers is audited after so long without a change, and then
    after twice as long each time. ``heard_age_s`` tells how long ago its connection was heard.
    """

    def __init__(
        self,
        sources: Sources,
        observer: Observer,
        changed: Callable[[LiveBook], None],
        differs: Callable[[LiveBook], None],
        heard_age_s: Callable[[str], float | None],
        *,
        # Limits
        below: int,
        urgent_below: int,
        at_once: int,
        # Times
        every_s: float,
        spread_s: float,
        audit_every_s: float,
        doubt_after_s: float,
        file_wait_s: float,
        file_poll_s: float,
        # Surroundings
        dispatcher: Dispatcher,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._sources = sources
        self._observer = observer
        self._changed = changed
        self._differs = differs
        self._heard_age_s = heard_age_s
        self._below = below
        self._urgent_below = urgent_below
        self._at_once = at_once
        self._every_s = every_s
        self._spread_s = spread_s
        self._spread_from = float("-inf")
        self._audit_every_s = audit_every_s
        self._doubt_after_s = doubt_after_s
        self._file_wait_s = file_wait_s
        self._file_poll_s = file_poll_s
        self._dispatcher = dispatcher
        self._clock = clock
        self._sleep = sleep
        self._tasks = SymbolTasks()

    def start(self, books: Iterable[LiveBook]) -> None:
        """Begin background snapshots for those of ``books`` that need one most."""
        free = self._at_once - len(self._tasks)
        if free <= 0:
            return
        now = self._clock()
        due: list[tuple[int, LiveBook]] = []
        can_wait: list[tuple[int, LiveBook]] = []
        to_compare: list[tuple[float, LiveBook]] = []
        for live in books:
            if (
                not live.live
                or live.fault is not None
                or self._tasks.runs(live.symbol)
                or now < live.refill_from
            ):
                continue
            if live.stream is not None:
                if self._doubtful(live, now) and self._sources.leads(live.symbol):
                    to_compare.append((live.audited_at, live))
                continue
            depth = self._depth(live)
            shallow = self._shallow(live, depth)
            if (shallow and depth < self._urgent_below) or now - live.audited_at >= self._audit_every_s:
                due.append((depth, live))
            elif shallow and now - live.synced_at >= self._every_s:
                can_wait.append((depth, live))
        chosen = sorted(due, key=_depth_of)[:free]
        if can_wait and len(chosen) < free and now >= self._spread_from:
            self._spread_from = now + self._spread_s
            chosen.append(min(can_wait, key=_depth_of))
        for _, live in chosen:
            live.refill_from = now + self._every_s
            self._tasks.start(live.symbol, self._refill(live))
        for _, live in sorted(to_compare, key=_audited_at)[:free]:
            live.refill_from = now + self._every_s
            if live.stream is not None:
                self._tasks.start(live.symbol, self._compare(live, live.stream))

    def cancel(self, symbol: str) -> None:
        """End the refill of a book that is kept no longer."""
        self._tasks.cancel(symbol)

    async def close(self) -> None:
        """End all of them."""
        await self._tasks.close()

    async def confirm(self, live: LiveBook) -> int:
        """The update id of a fresh snapshot of the venue's, with which the book is audited in passing where
        the two can be compared at one id.

        Raises :class:`~depthcast.errors.VenueError`, also for a snapshot that is not a book.
        """
        if live.sync.from_stream:
            return (await self._sources.venue(live.symbol)).update_id
        live.sync.begin_refill()
        try:
            snapshot = await self._sources.venue(live.symbol)
            await self._refill_from(live, snapshot)
        except BaseException as error:
            live.sync.cancel_refill()
            if isinstance(error, BookError):
                raise VenueError(f"the exchange's snapshot of {live.symbol} is no book: {error}") from error
            raise
        return snapshot.update_id

    def report(self, live: LiveBook) -> None:
        """Tell of an audit that was finished since the last call."""
        audit = live.sync.take_audit()
        if audit is not None:
            live.last_audit = audit
            live.depth = None
            live.audited_at = self._clock()
            self._observer.audited(live.symbol, audit)

    def _depth(self, live: LiveBook) -> int:
        """How many levels are certain; as counted last where diffs wait to be written."""
        book = live.sync.book
        assert book is not None
        if live.depth is None:
            live.sync.settle()
        if not book.unsettled:
            live.depth = self._sources.depth(book)
        return live.depth or 0

    def _shallow(self, live: LiveBook, depth: int) -> bool:
        """Whether a book that is certain of so many levels is to be completed."""
        if depth >= self._below:
            return False
        if live.file_levels is None or self._sources.leads(live.symbol):
            return True
        # What a file does not show, it cannot give.
        return depth < live.file_levels * 9 // 10

    async def _refill(self, live: LiveBook) -> None:
        try:
            if self._sources.has_files and not self._sources.leads(live.symbol):
                live.sync.begin_refill()
                if await self._refill_from_file(live):
                    return
            live.sync.begin_refill()
            snapshot = await self._sources.venue(live.symbol, background=True)
            await self._refill_from(live, snapshot)
        except Exception as error:
            live.sync.cancel_refill()
            tell_failure(self._observer, live.symbol, error)

    # Books that their streams begin

    def _doubtful(self, live: LiveBook, now: float) -> bool:
        """Whether a book is to be compared: by its age, or since nothing came of it."""
        if now - live.audited_at >= self._audit_every_s:
            return True
        if live.changed_at > live.audited_at:
            return now - live.changed_at >= self._doubt_after_s
        # 64 doublings are beyond any interval; a larger exponent would overflow in the end.
        return now - live.audited_at >= self._doubt_after_s * 2.0 ** min(live.quiet_audits, 64)

    async def _compare(self, live: LiveBook, stream: StreamSync) -> None:
        comparison = stream.compare()
        if comparison is None:
            # It cannot be compared; the next look is as far away as if it had been.
            live.audited_at = self._clock()
            return
        try:
            await self._sleep(LEAD_S)
            snapshot = await self._sources.venue(live.symbol, background=True)
            if not isinstance(snapshot, RowSnapshot) or not comparison.hear(snapshot):
                return
            answered_at = self._clock()
            while not self._told(live.symbol, stream, comparison, answered_at):
                if self._clock() - answered_at >= COMPARED_WITHIN_S:
                    return
                await self._sleep(LOOK_EVERY_S)
            book: Any = stream.book
            audit = comparison.result(book) if stream.comparison is comparison else None
            if audit is not None:
                self._compared(live, audit)
        except Exception as error:
            tell_failure(self._observer, live.symbol, error)
        finally:
            if stream.comparison is comparison:
                stream.comparison = None

    def _told(self, symbol: str, stream: StreamSync, comparison: Comparison, answered_at: float) -> bool:
        """Whether all that a snapshot shows was told by the stream, or the book broke, which ends it, too."""
        if stream.comparison is not comparison or comparison.passed(stream.time_ms):
            return True
        if comparison.moved:
            return False
        # Frames come in order: what was sent of the symbol before its connection was heard has arrived.
        age_s = self._heard_age_s(symbol)
        return age_s is not None and self._clock() - age_s >= answered_at + SETTLED_S

    def _compared(self, live: LiveBook, audit: Audit) -> None:
        live.quiet_audits = 1 if live.changed_at > live.audited_at else live.quiet_audits + 1
        live.last_audit = audit
        live.audited_at = self._clock()
        self._observer.audited(live.symbol, audit)
        if not audit.clean:
            self._differs(live)

    async def _refill_from_file(self, live: LiveBook) -> bool:
        """Complete and audit a book from the file; whether the venue need not be asked then."""
        assert live.book is not None
        wanted_id, before = live.book.update_id, live.last_audit
        end = self._clock() + self._file_wait_s
        taken = False
        while live.live and self._clock() < end:
            if not taken:
                async with self._sources.turns:
                    stored = await self._sources.file(live.symbol, wanted_id)
                if stored is not None and stored.snapshot is not None and stored.epoch == live.epoch:
                    live.file_levels = self._sources.levels(stored.snapshot)
                    taken = True
                    await self._refill_from(live, stored.snapshot)
            # A file may be ahead of the book; the comparison is made when the book gets there.
            if live.last_audit is not before:
                break
            await self._sleep(self._file_poll_s)
        audit = live.last_audit
        if audit is not None and audit is not before:
            return audit.clean
        if live.sync.awaited_id is not None:
            # Ahead of a book that does not get there: whoever doubts such books is to see it.
            return True
        live.sync.cancel_refill()
        return not live.live or self._depth(live) >= self._below // 2

    async def _refill_from(self, live: LiveBook, snapshot: AnySnapshot) -> None:
        """Compare and complete a book, in pieces between which others have their turns."""
        building, fresh = live.sync.building(snapshot), None
        while fresh is None:
            await self._dispatcher.turn(Work.LATER, live)
            fresh = step(building)
        await self._dispatcher.turn(Work.LATER, live)
        if live.sync.refill_with(fresh) is Verdict.APPLIED:
            live.depth = None
            self.report(live)
            self._changed(live)


def _depth_of(candidate: tuple[int, LiveBook]) -> int:
    return candidate[0]


def _audited_at(candidate: tuple[float, LiveBook]) -> float:
    return candidate[0]
