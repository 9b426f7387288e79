"""``Keeper``: which books are kept, what diffs do to them, and what breaks them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from random import Random
from typing import Final, Protocol

from depthcast.agreement import Agreement
from depthcast.backoff import Backoff
from depthcast.book import Book
from depthcast.dispatch import Dispatcher
from depthcast.events import Diff
from depthcast.keeper.finding import Finder, Trust
from depthcast.keeper.live import LiveBook
from depthcast.keeper.observer import Observer
from depthcast.keeper.refilling import Refills
from depthcast.keeper.sources import SnapshotSource, Sources, Warm
from depthcast.keeper.tap import Tap
from depthcast.keeper.tasks import SymbolTasks
from depthcast.sync import BookOf, Guard, Sync, Verdict

VIEWS_AGAIN: Final = 3
"""After so many views a second stream counts as one that comes again; one begins any subscription."""

_log = logging.getLogger(__name__)


class DiffStream(Protocol):
    """What a keeper needs of a feed (:class:`depthcast.feed.Feed`)."""

    def subscribe(self, symbols: Iterable[str]) -> None: ...
    def unsubscribe(self, symbols: Iterable[str]) -> None: ...
    def renew(self, symbols: Iterable[str]) -> None:
        """Subscribe anew to streams that do not deliver what they should."""
        ...

    def live(self, symbol: str) -> bool:
        """Whether the subscription is acknowledged on a connection that is up."""
        ...

    def heard_age_s(self, symbol: str) -> float | None:
        """How long ago the connection that delivers it was heard; ``None`` where none does."""
        ...


class Keeper:
    """Keeps books. For use in one event loop: :meth:`subscribe`, then :meth:`run` until cancelled.

    ``make_feed`` is called once with the function that takes diffs and the one that is told of symbols whose
    connection was lost; ``on_change`` after each change of a live book. ``may_ask`` tells whether this
    replica may ask the venue for a symbol's book now, or leaves it to another one; ``leads`` whether the
    symbol's files are this replica's to write, and its book to keep deeper than they show.

    A book is doubted where its stream stays silent for ``suspect_after_s`` after its connection was lost, or
    while a snapshot that was taken to audit it is ahead of it.

    ``buffer``: diffs kept of a book that is being built, a minute of a stream at 100 ms. They have to reach
    back to when a snapshot was sent for, or a file written, and not over the wait for a turn: ten diffs of a
    busy symbol take 100 kB. ``refill_below``: a book certain of fewer levels is completed by and by; of fewer
    than ``refill_urgent_below`` (``None``: the same), at once. ``guard`` and ``deferring``: see
    :class:`~depthcast.sync.Sync`; what is deferred is written after ``settle_after_s`` at the latest, and
    only then, or when somebody reads the book, is it seen whether the book is crossed. ``tap`` is shown every
    diff. ``book_of`` makes a symbol's books of its venue's snapshots. ``dispatcher`` is whose turns books are
    built in, piece by piece.

    ``sync_of`` makes what keeps a symbol's book unbroken: a :class:`~depthcast.sync.Sync`, or, where the
    stream itself begins books, a :class:`~depthcast.unsequenced.StreamSync`. Such a book is begun
    ``begin_within_s`` after its subscription, or subscribed to anew; it is published when its ids are
    certain, or nothing came for ``quiet_after_s``; one that is at odds with a second stream for
    ``disagree_for_s`` is built anew. So is one that goes on for ``doubt_after_s`` while the second stream
    shows nothing of it; one of which nothing comes for so long is compared with a snapshot of the venue's.
    """

    def __init__(
        self,
        make_feed: Callable[[Callable[[Diff], None], Callable[[Iterable[str]], None]], DiffStream],
        rest: SnapshotSource,
        *,
        on_change: Callable[[LiveBook], None],
        warm: Warm | None = None,
        observer: Observer | None = None,
        may_ask: Callable[[str], bool] = lambda _: True,
        leads: Callable[[str], bool] = lambda _: True,
        tap: Tap | None = None,
        # Limits
        buffer: int = 600,
        snapshot_limit: int = 5000,
        refill_below: int = 4750,
        refill_urgent_below: int | None = None,
        refills_at_once: int = 2,
        file_reads_at_once: int = 16,
        # Times
        warm_wait_s: float = 3.0,
        warm_poll_s: float = 0.5,
        warm_poll_maximum_s: float = 1.0,
        look_again_s: float = 5.0,
        begin_within_s: float = 10.0,
        quiet_after_s: float = 2.0,
        disagree_for_s: float = 5.0,
        doubt_after_s: float = 60.0,
        check_every_s: float = 1.0,
        refill_every_s: float = 30.0,
        refill_spread_s: float = 10.0,
        audit_every_s: float = 3600.0,
        suspect_after_s: float = 10.0,
        retry_initial_s: float = 0.2,
        retry_maximum_s: float = 15.0,
        settled_after_s: float = 30.0,
        settle_after_s: float = 10.0,
        # Surroundings
        guard: Guard | None = None,
        deferring: bool = False,
        book_of: Callable[[str], BookOf] = lambda _: Book.of,
        sync_of: Callable[..., Sync] = Sync,
        dispatcher: Dispatcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        self._on_change = on_change
        self._observer = observer or Observer()
        self._tap = tap
        self._buffer = buffer
        self._guard = guard
        self._deferring = deferring
        self._book_of = book_of
        self._sync_of = sync_of
        self._disagree_for_s = disagree_for_s
        self._begin_within_s = begin_within_s
        self._doubt_after_s = doubt_after_s
        self._settle_after_s = settle_after_s
        self._dispatcher = dispatcher or Dispatcher(clock=clock)
        self._check_every_s = check_every_s
        self._suspect_after_s = suspect_after_s
        self._retry_s = (retry_initial_s, retry_maximum_s)
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or Random()
        self._sources = Sources(
            rest,
            warm,
            may_ask=may_ask,
            leads=leads,
            limit=snapshot_limit,
            file_reads_at_once=file_reads_at_once,
        )
        self._finder = Finder(
            self._sources,
            self._observer,
            lambda symbol: self.feed.live(symbol),
            lambda symbol: self.feed.renew([symbol]),
            begin_within_s=begin_within_s,
            quiet_after_s=quiet_after_s,
            warm_wait_s=warm_wait_s,
            warm_poll_s=warm_poll_s,
            warm_poll_maximum_s=warm_poll_maximum_s,
            look_again_s=look_again_s,
            settled_after_s=settled_after_s,
            dispatcher=self._dispatcher,
            clock=clock,
            sleep=sleep,
        )
        self._refills = Refills(
            self._sources,
            self._observer,
            self._changed,
            lambda live: self._break(live, "differs", Trust.NONE),
            lambda symbol: self.feed.heard_age_s(symbol),
            below=refill_below,
            urgent_below=refill_below if refill_urgent_below is None else refill_urgent_below,
            at_once=refills_at_once,
            every_s=refill_every_s,
            spread_s=refill_spread_s,
            audit_every_s=audit_every_s,
            doubt_after_s=doubt_after_s,
            file_wait_s=warm_wait_s,
            file_poll_s=warm_poll_s,
            dispatcher=self._dispatcher,
            clock=clock,
            sleep=sleep,
        )
        self._books: dict[str, LiveBook] = {}
        self._building = SymbolTasks()
        self.feed: DiffStream = make_feed(self.take, self.lost)

    @property
    def books(self) -> Mapping[str, LiveBook]:
        """The books kept, by symbol."""
        return self._books

    # Which symbols

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Begin to keep these symbols' books; those already kept are left alone."""
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._books]
        for symbol in new:
            backoff = Backoff(self._retry_s[0], maximum_s=self._retry_s[1], rng=self._rng)
            self._books[symbol] = LiveBook(
                symbol,
                self._sync_of(
                    symbol,
                    buffer=self._buffer,
                    guard=self._guard,
                    deferring=self._deferring,
                    on_began=None if self._tap is None else partial(self._tap.began, symbol),
                    book_of=self._book_of(symbol),
                ),
                backoff=backoff,
            )
        self.feed.subscribe(new)
        for symbol in new:
            self._build(self._books[symbol], Trust.ANY)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop keeping these symbols' books."""
        gone = [symbol for symbol in dict.fromkeys(symbols) if self._books.pop(symbol, None)]
        self.feed.unsubscribe(gone)
        for symbol in gone:
            self._building.cancel(symbol)
            self._refills.cancel(symbol)
            if self._tap is not None:
                self._tap.dropped(symbol)

    # What the feed says

    def take(self, diff: Diff) -> None:
        """Take a diff of the stream."""
        live = self._books.get(diff.symbol)
        if live is None:
            return
        tap = self._tap
        if tap is None:
            verdict = live.sync.diff(diff)
        else:
            tap.coming(live, diff)
            verdict = live.sync.diff(diff)
            tap.took(live, diff, verdict)
        self._observer.took(diff.symbol, verdict)
        if verdict is Verdict.APPLIED:
            self._applied(live)
        elif verdict is Verdict.BUFFERED:
            live.arrived.set()
        elif verdict.broken:
            # The published file may still count in the old ids, whoever wrote it.
            self._break(live, verdict.value, Trust.NONE if verdict is Verdict.REBASED else Trust.ANY)

    def lost(self, symbols: Iterable[str]) -> None:
        """Note that diffs of these symbols may be missing from now on, without another one to show it."""
        now = self._clock()
        for symbol in symbols:
            live = self._books.get(symbol)
            if live is None:
                continue
            if live.stream is not None:
                # Nothing would show what is missing, and the next connection begins with the whole book.
                if live.live:
                    self._break(live, "connection lost", Trust.ANY, renew=False)
                live.stream.lost()
            elif live.suspect_at is None:
                live.suspect_at = now

    def reached(self, symbol: str, update_id: int) -> None:
        """Note that the venue's stream has told of a symbol up to this id: where the book stays behind it and
        nothing comes, what came last was lost."""
        live = self._books.get(symbol)
        if live is None or not live.live:
            return
        at = live.sync.book.update_id  # type: ignore[union-attr] # it is live
        if update_id <= at:
            live.told_id = None
        elif live.told_id is None or live.told_id <= at:
            live.told_id = update_id

    # What the publisher finds out

    def resync(self, symbol: str, reason: str, *, rest_only: bool) -> None:
        """Build a book anew: from the venue alone, or from the published file where that will do.

        ``rest_only``: no file of the book's own epoch will do. Where this replica may not ask the venue, the
        book waits for a file of a later epoch, which another replica began from the venue.
        """
        live = self._books.get(symbol)
        if live is not None:
            self._break(live, reason, Trust.LATER_EPOCH if rest_only else Trust.ANY)

    async def confirm(self, symbol: str) -> int:
        """The update id of a fresh snapshot of the venue's, with which the book is audited in passing.

        Raises :class:`~depthcast.errors.VenueError`, or ``KeyError`` for a symbol that is not kept.
        """
        return await self._refills.confirm(self._books[symbol])

    # Running

    async def run(self) -> None:
        """Complete, audit and doubt books from time to time, until cancelled. The feed runs on its own."""
        try:
            while True:
                await self._sleep(self._check_every_s)
                self._look()
                self._doubt()
                self._refills.start(self._books.values())
        finally:
            await self.close()

    async def close(self) -> None:
        """End all tasks. Books stay readable."""
        await asyncio.gather(self._building.close(), self._refills.close())

    # Building a book

    def _break(self, live: LiveBook, reason: str, trust: Trust, *, renew: bool = True) -> None:
        self._observer.broke(live.symbol, reason)
        if self._tap is not None:
            self._tap.broke(live.symbol, reason)
        live.resyncs += 1
        live.sync.restart()
        live.disagreement = live.unseen_since = None
        if renew and live.stream is not None:
            # Only a new subscription begins with the whole book.
            self.feed.renew([live.symbol])
        self._build(live, trust)

    def _build(self, live: LiveBook, trust: Trust) -> None:
        if trust is Trust.ANY and self._building.runs(live.symbol):
            return
        live.suspect_at = live.told_id = None
        live.arrived.clear()
        if live.sync.buffered:
            live.arrived.set()
        self._building.start(live.symbol, self._make_live(live, trust))

    async def _make_live(self, live: LiveBook, trust: Trust) -> None:
        await self._finder.find(live, trust)
        live.depth = None
        self._changed(live)

    # After a change

    def _applied(self, live: LiveBook) -> None:
        live.changed_at = now = self._clock()
        live.suspect_at = None
        if live.sync.book.unsettled == 1:  # type: ignore[union-attr] # it is live
            live.unsettled_since = now
        else:
            self._settle(live, now)
        self._refills.report(live)
        self._changed(live)

    def _changed(self, live: LiveBook) -> None:
        """Pass a change on, unless it shows that the book cannot be right or cannot be read.

        Of a book with unsettled diffs that is not seen yet; whoever settles it looks.
        """
        if self._spoiled(live):
            return
        try:
            self._on_change(live)
        except Exception:
            _log.exception("%s: a listener failed", live.symbol)

    def _spoiled(self, live: LiveBook) -> bool:
        """Whether the book is wrong; it is then being built anew."""
        book = live.sync.book
        assert book is not None
        if live.fault is None and not book.unsettled:
            live.fault = book.fault
        if live.fault is None:
            return False
        # A file may have been written by a replica whose book went wrong in the same way.
        self._break(live, live.fault, Trust.NONE)
        return True

    def _settle(self, live: LiveBook, now: float) -> None:
        """Write what was deferred, where the first of it is old enough."""
        book = live.sync.book
        assert book is not None
        if book.unsettled and now - live.unsettled_since >= self._settle_after_s and not live.sync.settle():
            live.fault = "bad"

    def _look(self) -> None:
        """See to books that became quiet with deferred diffs, and to those that readers found to be wrong."""
        now = self._clock()
        for live in list(self._books.values()):
            if live.live:
                self._settle(live, now)
                self._spoiled(live)

    def _doubt(self) -> None:
        """Build anew what is likely to lack a diff that nothing else would show to be missing."""
        now = self._clock()
        for live in list(self._books.values()):
            if not self.feed.live(live.symbol):
                live.awaited_id = None
            elif live.live and live.suspect_at is not None and now - live.suspect_at >= self._suspect_after_s:
                self._break(live, "silent since its connection was lost", Trust.ANY)
            elif self._disagrees(live, now):
                self._break(live, "disagrees", Trust.NONE)
            elif live.stream is not None and self._unseen(live, live.stream.agreement, now):
                live.unseen += 1
                live.views_then = live.views
                self._break(live, "unseen", Trust.NONE)
            elif self._stays_behind(live, now):
                # One stream of a connection may end while its neighbours go on.
                self.feed.renew([live.symbol])
                self._break(live, "silent behind the exchange", Trust.ANY)

    def _disagrees(self, live: LiveBook, now: float) -> bool:
        """Whether the book has been at odds with a second stream's view of it for too long."""
        stream = live.stream
        disagreement = None if stream is None or not live.live else stream.agreement.disagreement
        if disagreement is None or disagreement != live.disagreement:
            live.disagreement, live.disagreed_since = disagreement, now
            return False
        return now - live.disagreed_since >= self._disagree_for_s

    def _unseen(self, live: LiveBook, agreement: Agreement, now: float) -> bool:
        """Whether the book goes on and a second stream that should show it tells nothing for too long.

        The patience doubles each time in vain: the venue may have given up that stream.
        """
        if agreement.heard - live.views_then >= VIEWS_AGAIN:
            live.unseen = 0
        if not live.live or not agreement.unseen:
            live.unseen_since = None
            return False
        if live.unseen_since is None or live.views != agreement.heard:
            live.views, live.unseen_since = agreement.heard, now
        # A second stream begins with a view, too.
        patience_s = self._doubt_after_s if agreement.attested else self._begin_within_s
        return now - live.unseen_since >= patience_s * 2.0 ** min(live.unseen, 64)

    def _stays_behind(self, live: LiveBook, now: float) -> bool:
        """Whether no diff came for a while although a second snapshot, or the stream by its own account, is
        ahead of the book."""
        awaited_id = live.sync.awaited_id
        if awaited_id is None and live.told_id is not None:
            at = live.sync.book.update_id  # type: ignore[union-attr] # it is live
            awaited_id = live.told_id if live.told_id > at else None
        if awaited_id is None or awaited_id != live.awaited_id:
            live.awaited_id, live.awaited_since = awaited_id, now
            return False
        return now - max(live.awaited_since, live.changed_at) >= self._suspect_after_s
