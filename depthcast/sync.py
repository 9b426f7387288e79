"""``Sync``: a snapshot and a stream of diffs become an unbroken book. A sans-I/O state machine.

It follows Binance's procedures ("How to manage a local order book correctly") by the letter where the letter
is right, one symbol at a time. What differs between venues comes with each diff: the id ``before`` it, behind
which it holds every change up to ``u`` (:attr:`depthcast.events.Diff.after`). Where ids are consecutive that
is ``U - 1``; futures tell it as ``pu``:

=======  =============  ====================================  =============================================
state    input          condition                             verdict, and what follows
=======  =============  ====================================  =============================================
WAITING  diff           follows the buffer (or is its first)  BUFFERED
WAITING  diff           leaves a hole after the buffer        BUFFERED; what was buffered before is dropped
WAITING  diff           u <= last buffered u                  STRAGGLER, or REBASED (below)
WAITING  diff           fits, but is of later ids (below)     REBASED
WAITING  snapshot       id < ``before`` the first buffered    TOO_OLD; the buffer stays, take another one
WAITING  file           nothing buffered yet                  UNPROVEN; wait for a diff or ask the venue
WAITING  file           of an earlier count of ids (below)    UNPROVEN
WAITING  snapshot, file otherwise                             SYNCED; the buffer is applied; now LIVE
LIVE     diff           u <= id                               STRAGGLER, or REBASED (below)
LIVE     diff           before > id                           GAP; buffered, not applied; now WAITING
LIVE     diff           a level is not a level, or more       BAD; dropped; now WAITING
                        contradicts the book than is borne
LIVE     diff           before <= id < u                      APPLIED, or REBASED (below)
=======  =============  ====================================  =============================================

The documents want ``lastUpdateId`` inside ``[U, u]`` of the first diff applied. That fails in the usual case
that it equals some diff's ``u``; the condition here is ``before <= lastUpdateId < u``, for spot
``U <= lastUpdateId + 1 <= u``. They repeat the snapshot while ``lastUpdateId < U``; one that is exactly where
the first diff begins is whole and accepted.

Of futures they want each ``pu`` to equal the ``u`` before. On one connection nothing else comes. One that
takes another one's place may tell the same changes in other pieces: its diff then begins before the book's id
and ends behind it, and leads to the same book, for it holds all that changed in between. A ``pu`` that is
greater than the book's id shows a loss by either reading.

A hole *inside* the buffer counts like any other: only a snapshot from behind it will do. A diff that tells
ids far ahead of the venue's own would be waited for without end. Where the stream and
:data:`UNREACHED_AFTER` snapshots stay behind what is buffered, that is dropped.

**Re-based ids.** A venue may begin to count anew from lower ids. Every diff then looks like a straggler, for
ever. So a run of :data:`REBASED_AFTER` stragglers that follow on each other, all younger by the venue's clock
than the book, and none of them interrupted by a diff that could be applied, is taken for the new stream: it
becomes the buffer, and only a snapshot from the venue itself will do. So is a run of :data:`PASSING_AFTER`
that goes on beyond the book's id: ids that went down by little come to where they were before the run is
long, and the diff there would fit the book by its ids alone.

Who hears nothing while ids go down and come back hears no straggler. But every connection tells a change
within :data:`FILE_LAG_MS` of when the others do, by the venue's clock. So a diff that begins at or before the
book's id and is younger than the book by more than that tells another change of the same number: it begins
the buffer anew. A single straggler so young is as good as :data:`PASSING_AFTER`, and a run that has become
so young, of :data:`LATE_AFTER`, as good as one of :data:`REBASED_AFTER`: ten diffs of a quiet book take a
minute. The same holds for a published file of the earlier count whose id the buffer of the new one has
passed.

Ids that went down by less than two diffs within a second, or are back at the very id of a book that heard
nothing meanwhile, so that the next diff follows on it, are beyond what a stream can tell; the audit of a
refill finds out.

**Refills.** A LIVE book can be compared with, and completed from, a second snapshot without a break:
:meth:`Sync.begin_refill`, then :meth:`Sync.refill`. Diffs are recorded between the two, applied to the
snapshot until it is at the book's own id, and the books compared there.

The last good book stays readable in ``book`` while WAITING. Pure: no I/O, no clock; every buffer is bounded.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from itertools import pairwise
from typing import Any, ClassVar, Final

from depthcast.book import Audit, Book
from depthcast.building import Building, as_building, step, whole
from depthcast.errors import BookError
from depthcast.events import Diff, Snapshot
from depthcast.orders.messages import AnyDiff, AnySnapshot

BUFFER: Final = 10_000
"""Diffs buffered at most while WAITING, or recorded for a refill: 1,000 s of a stream at 100 ms."""

REBASED_AFTER: Final = 10
"""So many stragglers in one unbroken run are a new count of ids."""

LATE_AFTER: Final = 3
"""So many are one where the last is younger than the book by more than :data:`FILE_LAG_MS`."""

PASSING_AFTER: Final = 2
"""So many are one too, where the run goes on beyond the book. A single straggler younger than the book may
come from another connection, which tells the same changes in other pieces."""

UNREACHED_AFTER: Final = 3
"""So many snapshots of the venue's in a row that lie behind the buffer, as the stream does, show that there
are no such ids."""

FILE_LAG_MS: Final = 1000
"""Connections that tell changes in other pieces tell one at most so much later than another does."""


Guard = AbstractContextManager[object, None]
"""What is entered around a change of a book that others may be reading."""

Began = Callable[[Snapshot, Sequence[Diff]], None]
"""Told from which snapshot a book began, and of all diffs that were buffered then: an unbroken chain, of
which those that are in the snapshot already were not applied."""


BookOf = Callable[[Any], Any]
"""Makes a book of a snapshot: a :class:`~depthcast.book.Book`, or one by order or of rows, which answers to
the same names and takes its venue's messages for diffs. It may return a
:class:`~depthcast.building.Building` instead."""


class State(Enum):
    """Where a book stands."""

    WAITING = "waiting"
    LIVE = "live"


class Verdict(Enum):
    """What became of an input; see the table of the module."""

    BUFFERED = "buffered"
    APPLIED = "applied"
    STRAGGLER = "straggler"
    GAP = "gap"
    BAD = "bad"
    REBASED = "rebased"
    SYNCED = "synced"
    TOO_OLD = "too old"
    UNPROVEN = "unproven"
    AGREES = "agrees"
    """A second stream shows what the book shows (:mod:`depthcast.unsequenced` alone)."""
    DISAGREES = "disagrees"
    """It does not, or not yet."""

    @property
    def broken(self) -> bool:
        """Whether the book must now be built anew."""
        return self in _BROKEN


_BROKEN: Final = frozenset({Verdict.GAP, Verdict.BAD, Verdict.REBASED})


class _Relation(Enum):
    OLD = "old"
    NEXT = "next"
    HOLE = "hole"


def _relation(diff: AnyDiff, update_id: int) -> _Relation:
    """How a diff stands to a book, or a buffer, that reaches to ``update_id``."""
    if diff.last <= update_id:
        return _Relation.OLD
    if diff.after > update_id:
        return _Relation.HOLE
    return _Relation.NEXT


def _much_younger(diff: AnyDiff, event_time_ms: int) -> bool:
    """Whether a diff is younger than one told then by more than connections differ; never where that is 0."""
    return 0 < event_time_ms < diff.event_time_ms - FILE_LAG_MS


def _outlives(diff: AnyDiff, file: AnySnapshot) -> bool:
    """Whether a diff up to the file's id was told long after the last one that is in the file."""
    return diff.after < file.update_id and _much_younger(diff, file.event_time_ms)


class Sync:
    """Keeps one symbol's book unbroken. Not thread-safe; cheap enough for thousands of symbols.

    >>> sync = Sync("X")
    >>> sync.diff(Diff("X", 8, 9, 0, [["2.0", "5"]], []))
    <Verdict.BUFFERED: 'buffered'>
    >>> sync.snapshot(Snapshot(7, [], [["2.1", "3"]], True, True))
    <Verdict.SYNCED: 'synced'>
    >>> sync.book.body(5)
    b'{"lastUpdateId":9,"bids":[["2.0","5"]],"asks":[["2.1","3"]]}'
    >>> sync.diff(Diff("X", 11, 12, 0, [], [])), sync.wanted_id
    (<Verdict.GAP: 'gap'>, 10)

    ``guard`` is entered while a book that was already shown changes: a lock, where other threads read it.

    ``deferring``: levels of a LIVE book's diffs are written when somebody reads it
    (:meth:`depthcast.book.Book.defer`). It may be changed at any time. Where diffs turn out then to be
    unreadable, of which :meth:`settle` and the book's own methods tell, it is given up for good.

    ``on_began`` is called when a book has begun.
    """

    from_stream: ClassVar[bool] = False
    """Whether the stream itself begins the book, so that no snapshot from elsewhere does
    (:mod:`depthcast.unsequenced`)."""

    __slots__ = (
        "_behind",
        "_book_of",
        "_buffer",
        "_deferrable",
        "_guard",
        "_last_audit",
        "_on_began",
        "_recorded",
        "_replayed",
        "_rising",
        "_run",
        "_too_old",
        "_waiting_refill",
        "book",
        "deferring",
        "state",
        "symbol",
    )

    def __init__(
        self,
        symbol: str,
        *,
        buffer: int = BUFFER,
        guard: Guard | None = None,
        deferring: bool = False,
        on_began: Began | None = None,
        book_of: BookOf = Book.of,
    ) -> None:
        self.symbol: str = symbol
        self._book_of = book_of
        self.deferring: bool = deferring
        self._deferrable = True
        self._on_began = on_began
        self._guard: Guard = nullcontext() if guard is None else guard
        self.state: State = State.WAITING
        self.book: Book | None = None
        """The book while LIVE; while WAITING the last good one, or ``None`` before the first."""
        self._buffer: deque[AnyDiff] = deque(maxlen=buffer)
        # The present run of stragglers, as long as they follow on each other.
        self._run: list[AnyDiff] = []
        # Since the buffer grew last: diffs that lie behind it, and snapshots of the venue's that do.
        self._behind = 0
        self._too_old = 0
        # The book that replay() is to make of a snapshot, or its building, that snapshot, whether it is the
        # venue's, and what was taken from the buffer.
        self._rising: tuple[Book | Building[Book], AnySnapshot, bool] | None = None
        self._replayed: list[AnyDiff] = []
        # Diffs applied since begin_refill(), or None; and a snapshot that is ahead of the book.
        self._recorded: deque[AnyDiff] | None = None
        self._waiting_refill: Book | None = None
        self._last_audit: Audit | None = None

    @property
    def buffered(self) -> int:
        """How many diffs wait for a snapshot."""
        return len(self._buffer)

    @property
    def wanted_id(self) -> int:
        """The smallest update id of a snapshot that would do now; 0 where any would."""
        return self._buffer[0].after if self._buffer else 0

    def diff(self, diff: AnyDiff) -> Verdict:
        """Take a diff of the stream, in the order received."""
        if self.state is State.WAITING:
            return self._buffer_diff(diff)
        assert self.book is not None
        relation = _relation(diff, self.book.update_id)
        if relation is _Relation.NEXT:
            # A book fresh from a snapshot knows no time: to it, old diffs look young.
            known = self.book.event_time_ms
            if known and self._of_new_ids(diff, self.book.update_id, known):
                return self._rebased(diff)
            return self._apply(diff)
        if relation is _Relation.OLD:
            return self._straggler(diff, self.book.event_time_ms)
        self._wait([diff])
        return Verdict.GAP

    def settle(self) -> bool:
        """Write the levels that were deferred; whether the book can be read.

        Where it cannot, it has to be built anew, and its levels are not deferred any more.
        """
        book = self.book
        if book is not None and book.unsettled:
            try:
                with self._guard:
                    book.settle()
            except BookError:
                self._deferrable = False
                return False
        return True

    def snapshot(self, snapshot: AnySnapshot, *, proven: bool = True) -> Verdict:
        """Begin from a snapshot of the venue, or (``proven=False``) from a published file.

        A file may be of any age, so it is believed only where buffered diffs reach back to it. Raises
        :class:`~depthcast.errors.BadLevel` for a snapshot that is not a book; nothing has changed then.
        Only while WAITING: a LIVE book takes a second snapshot by :meth:`refill`.
        """
        verdict = self.begin_from(snapshot, proven=proven)
        return self.replay() if verdict is Verdict.BUFFERED else verdict

    def begin_from(self, snapshot: AnySnapshot, *, proven: bool = True) -> Verdict:
        """As :meth:`snapshot`, except that what is buffered is left to :meth:`replay`: then BUFFERED.

        So are the pieces of a book that is made in pieces, and what is bad of its snapshot. Diffs may be
        taken in between; another snapshot takes the place of the first.
        """
        if self.state is State.LIVE:
            raise ValueError(f"{self.symbol} is live; it needs no first snapshot")
        if not proven and (not self._buffer or self._outlived(snapshot)):
            return Verdict.UNPROVEN
        if snapshot.update_id < self.wanted_id:
            self._too_old += proven
            if self._too_old >= UNREACHED_AFTER and self._behind >= REBASED_AFTER:
                self._wait([])
            return Verdict.TOO_OLD
        self._rising = self._book_of(snapshot), snapshot, proven
        self._replayed = []
        return Verdict.BUFFERED

    def replay(self, changes: int | None = None) -> Verdict:
        """Apply what is buffered to the book begun, in pieces of about so many changes (``None``: all).

        A book that is made in pieces is made first, one at a time.

        BUFFERED: some of it is left. SYNCED: the book is LIVE. TOO_OLD: what came meanwhile does not follow
        on it, or (UNPROVEN) shows the file to be of an earlier count of ids: take another snapshot. Raises
        :class:`~depthcast.errors.BookError` where no book can be made.
        """
        if self._rising is None:
            return Verdict.TOO_OLD
        rising, snapshot, proven = self._rising
        if isinstance(rising, Generator):
            made = self._build(rising, piece=changes is not None)
            if made is None:
                return Verdict.BUFFERED
            self._rising = made, snapshot, proven
            rising = made
        book: Book = rising
        buffer, left = self._buffer, changes
        while buffer:
            diff = buffer[0]
            relation = _relation(diff, book.update_id)
            if relation is _Relation.HOLE:
                self._rising, self._replayed = None, []
                return Verdict.TOO_OLD
            if not proven and _outlives(diff, snapshot):
                self._rising, self._replayed = None, []
                return Verdict.UNPROVEN
            buffer.popleft()
            self._replayed.append(diff)
            if relation is _Relation.OLD:
                continue
            try:
                book.apply(diff)  # type: ignore[arg-type]
            except BookError:
                # What was buffered after it, in whatever pieces, still follows one on the other.
                self._wait(list(buffer))
                raise
            if left is not None:
                left -= len(diff.bids) + len(diff.asks) if isinstance(diff, Diff) else 1
                if left <= 0 and buffer:
                    return Verdict.BUFFERED
        self.book = book
        self.state = State.LIVE
        replayed, self._replayed, self._rising = tuple(self._replayed), [], None
        if self._on_began is not None:
            # Who listens so keeps books by price.
            self._on_began(snapshot, replayed)  # type: ignore[arg-type]
        self._run.clear()
        self.cancel_refill()
        return Verdict.SYNCED

    def _build(self, building: Building[Book], *, piece: bool) -> Book | None:
        """The book, once it is made, of which this makes a piece, or all."""
        try:
            return step(building) if piece else whole(building)
        except BookError:
            self._rising = None
            raise

    def restart(self) -> None:
        """Give up the present book's continuity: build it anew from the next snapshot."""
        if self.state is State.LIVE:
            self.settle()
            self._wait([])

    # Refills and the self-audit

    def begin_refill(self) -> None:
        """Begin to record diffs. To be called before the second snapshot is asked for."""
        if self.state is State.LIVE:
            self._recorded = deque(maxlen=self._buffer.maxlen)
            self._waiting_refill = None

    def cancel_refill(self) -> None:
        """Stop recording."""
        self._recorded = None
        self._waiting_refill = None

    def refill(self, snapshot: AnySnapshot) -> Verdict:
        """Compare the book with a second snapshot, and complete it from there.

        APPLIED: done, see :meth:`take_audit`. BUFFERED: the snapshot is ahead of the book; it is done when
        the book gets there. TOO_OLD: the recorded diffs do not reach back to it, or there is nothing to
        refill any more. Raises :class:`~depthcast.errors.BadLevel` for a snapshot that is not a book.
        """
        book, recorded = self.book, self._recorded
        if book is None or recorded is None or not self.settle():
            return Verdict.TOO_OLD
        return self._complete(book, whole(as_building(self._book_of(snapshot))), recorded)

    def building(self, snapshot: AnySnapshot) -> Building[Book]:
        """The book of a second snapshot, for :meth:`refill_with`, which does the rest of :meth:`refill`."""
        return as_building(self._book_of(snapshot))

    def refill_with(self, fresh: Book) -> Verdict:
        """As :meth:`refill`, with the snapshot's book."""
        book, recorded = self.book, self._recorded
        if book is None or recorded is None or not self.settle():
            return Verdict.TOO_OLD
        return self._complete(book, fresh, recorded)

    @property
    def awaited_id(self) -> int | None:
        """The id of the second snapshot that the book has yet to reach; ``None`` where there is none."""
        return None if self._waiting_refill is None else self._waiting_refill.update_id

    def take_audit(self) -> Audit | None:
        """The result of the last finished refill, once."""
        audit, self._last_audit = self._last_audit, None
        return audit

    def _complete(self, book: Book, fresh: Book, recorded: deque[AnyDiff]) -> Verdict:
        if fresh.update_id > book.update_id:
            self._waiting_refill = fresh
            return Verdict.BUFFERED
        self.cancel_refill()
        for diff in recorded:
            relation = _relation(diff, fresh.update_id)
            if relation is _Relation.HOLE:
                return Verdict.TOO_OLD
            if relation is _Relation.NEXT:
                fresh.apply(diff)  # type: ignore[arg-type]
        if fresh.update_id != book.update_id:
            return Verdict.TOO_OLD
        self._last_audit = book.audit(fresh)
        with self._guard:
            book.refill(fresh)
        return Verdict.APPLIED

    # Steps

    def _apply(self, diff: AnyDiff) -> Verdict:
        book = self.book
        assert book is not None
        # Merged, a bad level might be hidden, and meet alone the snapshot that the recorded diffs lead to.
        defers = self.deferring and self._deferrable and self._recorded is None
        try:
            with self._guard:
                if defers:
                    book.defer(diff)  # type: ignore[arg-type]
                else:
                    book.apply(diff)  # type: ignore[arg-type]
        except BookError:
            if book.unsettled:
                self._deferrable = False
            self._wait([])
            return Verdict.BAD
        self._run.clear()
        if self._recorded is not None:
            self._recorded.append(diff)
            fresh = self._waiting_refill
            if fresh is not None and fresh.update_id <= book.update_id:
                self._complete(book, fresh, self._recorded)
        return Verdict.APPLIED

    def _buffer_diff(self, diff: AnyDiff) -> Verdict:
        if self._buffer:
            newest = self._buffer[-1]
            relation = _relation(diff, newest.last)
            if relation is _Relation.OLD:
                self._behind += 1
                return self._straggler(diff, newest.event_time_ms)
            if relation is _Relation.NEXT and self._of_new_ids(diff, newest.last, newest.event_time_ms):
                return self._rebased(diff)
            if relation is _Relation.HOLE:
                self._buffer.clear()
        self._buffer.append(diff)
        self._run.clear()
        self._behind = self._too_old = 0
        return Verdict.BUFFERED

    def _straggler(self, diff: AnyDiff, event_time_ms: int) -> Verdict:
        run = self._run
        if diff.event_time_ms <= event_time_ms:
            return Verdict.STRAGGLER
        if run:
            relation = _relation(diff, run[-1].last)
            again = diff.after < run[-1].last and _much_younger(diff, run[-1].event_time_ms)
            if relation is _Relation.OLD and not again:
                return Verdict.STRAGGLER  # two connections tell the run
            if relation is _Relation.HOLE or again:
                run.clear()
        enough = LATE_AFTER if _much_younger(diff, event_time_ms) else REBASED_AFTER
        if len(run) >= enough - 1:
            return self._rebased(diff)
        run.append(diff)
        return Verdict.STRAGGLER

    def _of_new_ids(self, diff: AnyDiff, update_id: int, event_time_ms: int) -> bool:
        """Whether ``diff``, which fits a book or buffer at this id and time, is of a later count of ids."""
        if diff.after < update_id and _much_younger(diff, event_time_ms):
            return True
        run = self._run
        if not run or _relation(diff, run[-1].last) is not _Relation.NEXT:
            return False
        return len(run) >= PASSING_AFTER or _much_younger(run[0], event_time_ms)

    def _rebased(self, diff: AnyDiff) -> Verdict:
        run = self._run
        goes_on = run and _relation(diff, run[-1].last) is _Relation.NEXT
        self._wait([*run, diff] if goes_on else [diff])
        return Verdict.REBASED

    def _outlived(self, file: AnySnapshot) -> bool:
        """Whether any buffered diff shows that a file is of an earlier count of ids."""
        return any(_outlives(diff, file) for diff in self._buffer)

    def _wait(self, buffer: list[AnyDiff]) -> None:
        self.state = State.WAITING
        self._buffer = deque(buffer, maxlen=self._buffer.maxlen)
        self._rising, self._replayed = None, []
        self._run = []
        self._behind = self._too_old = 0
        self.cancel_refill()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(levels + buffered diffs)."""
        assert self.state is State.WAITING or self.book is not None, "LIVE without a book"
        assert self.state is State.WAITING or not self._buffer, "LIVE with a buffer"
        assert self.state is State.LIVE or self._recorded is None, "recording while WAITING"
        assert self.state is State.WAITING or self._rising is None, "LIVE, and another book is being made"
        assert self._rising is not None or not self._replayed, "diffs were taken for a book that is not made"
        assert self._waiting_refill is None or self._recorded is not None, "a refill that nothing leads to"
        assert len(self._run) < REBASED_AFTER, "a run of stragglers that was not acted on"
        for chain in (list(self._buffer), self._run, list(self._recorded or ())):
            for left, right in pairwise(chain):
                assert _relation(right, left.last) is _Relation.NEXT, "a chain of diffs is broken"
        if self.book is not None:
            self.book.check()
