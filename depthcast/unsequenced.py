"""``StreamSync``: an unbroken book from a stream that numbers nothing and begins with the whole book.

BitMEX's tables and Coinbase's ``level2_batch`` are such streams. There is nothing to join, and no gap to see:

=======  ===========  =====================================  =================================================
state    input        condition                              verdict, and what follows
=======  ===========  =====================================  =================================================
WAITING  whole book   it is one                              BUFFERED; a pending book begins with it
WAITING  change       there is no pending book               STRAGGLER: it belongs to what was before
WAITING  change       it fits the pending book               BUFFERED; it is applied to that one
LIVE     change       it fits                                APPLIED
LIVE     whole book   it is the book there is                STRAGGLER
LIVE     whole book   another one                            GAP; now WAITING, for one that was asked for
LIVE     change       is earlier by :data:`SET_BACK_MS`      REBASED; now WAITING
any      either       it contradicts the book, or is none    BAD; now WAITING
any      view         of a second stream                     AGREES or DISAGREES (:mod:`depthcast.agreement`)
=======  ===========  =====================================  =================================================

What breaks a book: a change of what is not there, sides that cross, a lost connection
(:meth:`StreamSync.lost`), a disagreement with a second stream that lasts, and a snapshot that shows other
rows where nothing changed (:meth:`StreamSync.compare`). Each of them needs a new subscription, whose whole
book is the next beginning; a REST snapshot could not be joined to the stream. A pending book goes LIVE by
:meth:`StreamSync.begin`, once :attr:`StreamSync.ready`.

**Versions from time.** Replicas publish the same bytes under the same update id, and ids only grow, though
each replica begins at another moment. So an id is made of what the venue itself says to all of them: the time
of the last change, followed by the number of changes that there have been at that very time::

    id = time << bits | changes at that time         id = max(id before, time << bits) + changes at that time

Single changes are counted, not messages, so that it does not matter how a connection cuts the stream into
messages; a time that is earlier than the one before counts as that one. ``bits`` are what is left of 62 by
the venue's unit of time (:data:`BITS_OF_MS`, :data:`BITS_OF_US`).

Who begins in the middle of a millisecond cannot know how many changes it has had already, and which time that
is the whole book does not tell for certain. So the ids of a pending book are provisional until a *second*
time is heard after the beginning: all its changes came after it, and were counted. Only then is a book
published. Where nothing comes at all, the id is the time of the whole book itself, with a count of zero,
which no change has; whoever waits says when it has been quiet for long enough (``quiet`` of
:meth:`StreamSync.begin`). A book that begins with what the last good one holds goes on under its id: a lost
connection of a quiet symbol leaves no trace.

A time that goes back by :data:`SET_BACK_MS` is a clock that was set back: ids go down with it, so the book
begins anew, and whoever publishes it claims an epoch.

Rejected: the count of messages, since a connection that is read slowly may get several at once; a time of
which the end is waited for, since a change would be published only when the next one comes; the receive time,
which no two replicas share.

Pure: no I/O, no clock; nothing is buffered.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from depthcast.agreement import Agreement
from depthcast.book import Book
from depthcast.building import as_building, whole
from depthcast.errors import BookError
from depthcast.events import LevelSnapshot, Snapshot, TopLevels
from depthcast.orders.messages import AnySnapshot
from depthcast.rows.comparison import Comparison
from depthcast.sync import BUFFER, Began, BookOf, Guard, State, Sync, Verdict

BITS_OF_MS: Final = 20
"""Milliseconds since 1970 take 41 bits until 2039: a million changes may share one."""

BITS_OF_US: Final = 10
"""Microseconds take 51: a thousand changes."""


_FROM_TIME: Final = 1 << 60
"""Both reach it before the end of 2005; no venue has counted as far."""

SET_BACK_MS: Final = 5000
"""A change that is older than the one before by more than this shows that the venue's clock was set back."""


def made_of_time(update_id: int) -> bool:
    """Whether an id was made of a time, so that a difference of two is no number of changes.

    >>> made_of_time(1_700_000_000_000 << BITS_OF_MS), made_of_time(35_346_513_505)
    (True, False)
    """
    return update_id >= _FROM_TIME


def stream_syncs(bits: int, *, witness: int = 0, compared: bool = False) -> Callable[..., "StreamSync"]:
    """Makes a symbol's :class:`StreamSync`, as a :class:`~depthcast.keeper.Keeper` wants it."""

    def make(symbol: str, **parts: Any) -> StreamSync:
        return StreamSync(symbol, bits=bits, witness=witness, compared=compared, **parts)

    return make


class StreamSync(Sync):
    """Keeps one symbol's book unbroken, where the stream begins with it.

    It answers to the names of a :class:`~depthcast.sync.Sync`; :meth:`diff` takes whatever the venue tells of
    the symbol. ``bits`` count the changes of one time; ``witness`` levels are shown by a second stream, where
    the venue has one; ``compared`` says that books are of rows, and can be compared with snapshots.

    >>> from depthcast.events import Diff, Snapshot
    >>> sync = StreamSync("X", bits=4)
    >>> sync.diff(LevelSnapshot("X", Snapshot(7, [["2.0", "5"]], [], True, True)))
    <Verdict.BUFFERED: 'buffered'>
    >>> sync.diff(Diff("X", 8, 8, 0, [["2.1", "3"]], [])), sync.ready
    (<Verdict.BUFFERED: 'buffered'>, False)
    >>> sync.diff(Diff("X", 9, 9, 0, [["2.2", "1"], ["2.0", "0"]], [])), sync.ready
    (<Verdict.BUFFERED: 'buffered'>, True)
    >>> sync.begin(), sync.book.update_id == 9 << 4 | 2
    (<Verdict.SYNCED: 'synced'>, True)
    """

    __slots__ = (
        "_bits",
        "_compared",
        "_exact",
        "_first_time",
        "_time_ms",
        "agreement",
        "comparison",
        "heard",
        "number",
        "pending",
    )

    from_stream: ClassVar[bool] = True

    def __init__(
        self,
        symbol: str,
        *,
        bits: int,
        witness: int = 0,
        compared: bool = False,
        buffer: int = BUFFER,
        guard: Guard | None = None,
        deferring: bool = False,
        on_began: Began | None = None,
        book_of: BookOf = Book.of,
    ) -> None:
        super().__init__(
            symbol, buffer=buffer, guard=guard, deferring=deferring, on_began=on_began, book_of=book_of
        )
        self.pending: Book | None = None
        """The book that has begun and is not published yet."""
        self.number: int = 0
        """The update id reached."""
        self.heard: int = 0
        """How many changes and whole books have come."""
        self.agreement = Agreement(witness)
        self.comparison: Comparison | None = None
        """The comparison with a snapshot that is being made; ``None``: none is, or the book has broken."""
        self._bits = bits
        self._compared = compared
        self._time_ms = 0
        # The first time heard after the beginning, and whether there has been a second one.
        self._first_time: int | None = None
        self._exact = False

    # Taking what the venue says

    def diff(self, event: Any) -> Verdict:
        """Take what the stream tells, in the order received."""
        kind = type(event)
        if kind is TopLevels:
            return self._compare(event)
        self.heard += 1
        if kind is LevelSnapshot:
            return self._whole(event.snapshot)
        if self.state is State.LIVE:
            if event.event_time_ms < self._time_ms - SET_BACK_MS:
                self._wait([])
                return Verdict.REBASED
            verdict = self._apply(self._numbered(event))
            if verdict is Verdict.APPLIED:
                if self.comparison is not None:
                    self.comparison.changed(event.rows)
                self._show()
            return verdict
        pending = self.pending
        if pending is None:
            return Verdict.STRAGGLER
        try:
            pending.apply(self._numbered(event))
        except BookError:
            self._wait([])
            return Verdict.BAD
        self._show()
        return Verdict.BUFFERED

    def _whole(self, snapshot: AnySnapshot) -> Verdict:
        time = snapshot.update_id
        try:
            # What is told by it and what by the changes is not known to be the same moment.
            fresh: Any = whole(as_building(self._book_of(snapshot._replace(update_id=time << self._bits))))
        except BookError:
            self._wait([])
            return Verdict.BAD
        known = self._same_as(fresh)
        if known and self.book is not None and fresh.event_time_ms < self.book.event_time_ms:
            known = False
        if self.state is State.LIVE:
            if known:
                return Verdict.STRAGGLER
            self._wait([])
            return Verdict.GAP
        self.pending = fresh
        self._first_time, self._exact = None, known
        if known:
            assert self.book is not None
            fresh.update_id, fresh.event_time_ms = self.book.update_id, self.book.event_time_ms
        self._time_ms = fresh.event_time_ms if known else 0
        self.number = fresh.update_id if known else 0
        self.agreement.restart()
        self._show()
        return Verdict.BUFFERED

    def _same_as(self, fresh: Book) -> bool:
        """Whether the last good book holds what ``fresh`` does."""
        book = self.book
        if book is None:
            return False
        kept, fresh.update_id = fresh.update_id, book.update_id
        try:
            return len(book) == len(fresh) and book.audit(fresh).clean
        except BookError:
            return False  # what was deferred in it turns out to be unreadable
        finally:
            fresh.update_id = kept

    def _numbered(self, event: Any) -> Any:
        """The change with update ids in place of times; see the module."""
        first_time, last_time = event.first, event.last
        before, floor = self.number, last_time << self._bits
        self.number = floor + event.at_last if floor > before else before + event.pieces
        if not self._exact:
            first = self._first_time
            if first is None:
                first = self._first_time = first_time
            self._exact = last_time > first
        self._time_ms = max(self._time_ms, event.event_time_ms)
        return event._replace(
            first=before + 1, last=self.number, event_time_ms=self._time_ms, previous=before
        )

    # The second stream

    def _compare(self, view: TopLevels) -> Verdict:
        agreement = self.agreement
        began = agreement.depth != view.depth
        agreement.depth = view.depth
        if began:
            self._show(always=True)
        if self.pending is None and self.state is State.WAITING:
            return Verdict.STRAGGLER
        return Verdict.AGREES if agreement.hear(view) else Verdict.DISAGREES

    def _show(self, *, always: bool = False) -> None:
        """Tell the comparison what the book looks like now, where there is a second stream."""
        book: Any = self.pending if self.state is State.WAITING else self.book
        depth = self.agreement.depth
        if depth and book is not None and (always or book.touched):
            book.touched = False
            self.agreement.book_shows(book.event_time_ms, *book.top(depth))

    # Comparing with a snapshot

    def compare(self) -> Comparison | None:
        """Begin a comparison with a snapshot that is asked for some seconds later; ``None`` where the book
        cannot be compared. Another one that is being made is given up."""
        book = self.book
        self.comparison = None
        if self._compared and book is not None and self.state is State.LIVE and book.certainty.bids_complete:
            self.comparison = Comparison(self._time_ms)
        return self.comparison

    @property
    def time_ms(self) -> int:
        """The venue's time that the stream has reached."""
        return self._time_ms

    # Beginning and ending

    @property
    def begun(self) -> bool:
        """Whether a whole book has come."""
        return self.pending is not None

    @property
    def ready(self) -> bool:
        """Whether the pending book's update id is what any other replica would give it."""
        return self.pending is not None and self._exact

    def begin(self, *, quiet: bool = False) -> Verdict:
        """Show the pending book. ``quiet``: nothing has come for so long that the whole book's own time will
        do for its id."""
        book = self.pending
        if book is None or not (self._exact or quiet):
            return Verdict.UNPROVEN
        if not self._exact and self._first_time is None:
            self.number = book.update_id
            self._time_ms = book.event_time_ms
        self._exact = True
        self.book = book
        self.state = State.LIVE
        self.pending = None
        if self._on_began is not None:
            self._on_began(_levels(book), ())
        return Verdict.SYNCED

    def lost(self) -> None:
        """The connection was lost: changes may be missing, and only a whole book is a new beginning."""
        self._wait([])

    def restart(self) -> None:
        """Give up the present book's continuity."""
        self._wait([])

    def snapshot(self, snapshot: AnySnapshot, *, proven: bool = True) -> Verdict:
        """No snapshot from elsewhere can be joined to the stream."""
        return Verdict.TOO_OLD if proven else Verdict.UNPROVEN

    def begin_refill(self) -> None:
        """A whole book needs no completion, and nothing could be compared at one id."""

    def _wait(self, buffer: list[Any]) -> None:
        super()._wait([])
        self.pending = None
        self.comparison = None
        self.agreement.restart()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        super().check()
        self.agreement.check()
        if self.comparison is not None:
            assert self.state is State.LIVE, "a comparison of a book that is being built"
            self.comparison.check()
        assert self.state is State.WAITING or self.pending is None, "LIVE with a pending book"
        if self.pending is not None:
            self.pending.check()
        if self.state is State.LIVE:
            assert self.book is not None
            assert self.book.update_id == self.number, "the book is not at the number reached"


def _levels(book: Any) -> Snapshot:
    """A book by price, for whoever keeps books so."""
    bids, asks = book.strings()
    return Snapshot(book.update_id, bids, asks, True, True, book.event_time_ms)
