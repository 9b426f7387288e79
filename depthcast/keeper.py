"""``Keeper``: many live books out of one feed, one REST interface and, where there is one, the store.

For each symbol it runs the machine in :mod:`depthcast.sync`: diffs go in as they arrive; whenever a book has
to be built, now or after a gap, a task of that symbol alone finds a snapshot for it. The published file is
asked first, because it costs no request weight; the venue's REST interface is the fallback. Books are
completed and audited by a background snapshot before they become too shallow (:meth:`Sync.refill`).

Promises: a gap, a bad level or a crossed book in one symbol touches no other; the last good book stays
readable meanwhile; what a callback raises does not stop the stream.

**Epochs.** A book may be published only under the epoch whose ids it counts in. So the stored epoch is read
*before* the snapshot is asked for, and no book is built while the store cannot be read (nothing could be
published then either).

**Sharing.** Replicas that keep the same books need not each ask the venue for them. Where ``may_ask`` says
no, a book waits for the file that another replica writes; where no file will do, it asks the venue behind
those that cannot wait. How long others are relied on is up to ``may_ask``, which is asked at every look.
A book that this replica does not lead (``leads``) is completed and audited from the published file, too;
where the two differ, or no file will do and the book gets too shallow, from the venue.

Leaves to others: sockets (:mod:`depthcast.feed`), pacing (:mod:`depthcast.rest`), reading and writing files
(whoever passes ``warm`` and ``on_change``).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from random import Random
from typing import Any, Final, Literal, Protocol

from depthcast.backoff import Backoff
from depthcast.book import Audit, Book
from depthcast.errors import BookError, DepthcastError
from depthcast.events import Diff, Snapshot
from depthcast.sync import State, Sync, Verdict

_log = logging.getLogger(__name__)

_NO_FILE: Final = 2**63
"""Wanted id of a file that cannot exist: asks for the stored version only."""

Source = Literal["file", "rest"]


class DiffStream(Protocol):
    """What a keeper needs of a feed (:class:`depthcast.feed.Feed`)."""

    def subscribe(self, symbols: Iterable[str]) -> None: ...
    def unsubscribe(self, symbols: Iterable[str]) -> None: ...
    def live(self, symbol: str) -> bool:
        """Whether the subscription is acknowledged on a connection that is up."""
        ...


class SnapshotSource(Protocol):
    """What a keeper needs of a REST interface (:class:`depthcast.rest.Rest`)."""

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot: ...


@dataclass(frozen=True, slots=True)
class WarmStart:
    """What the store holds of a symbol: the version of its largest file, and the file as a snapshot.

    ``snapshot`` is ``None`` where the file is older than what was asked for.
    """

    epoch: int
    update_id: int
    snapshot: Snapshot | None


Warm = Callable[[str, int], Awaitable[WarmStart | None]]
"""``(symbol, wanted_id)`` -> the stored file, with its content if its id is at least ``wanted_id``; ``None``
where there is no file. Raises :class:`~depthcast.errors.StoreError`."""


class _Trust(Enum):
    """Which published files a book may begin from."""

    ANY = "any"
    LATER_EPOCH = "later epoch"
    """Those of a later epoch than the book's, while another replica is to ask the venue."""
    NONE = "none"


class Observer:
    """Told of what happens to books; every method does nothing until it is overridden."""

    def took(self, symbol: str, verdict: Verdict) -> None:
        """A diff came in."""

    def broke(self, symbol: str, reason: str) -> None:
        """A book has to be built anew: ``gap``, ``bad``, ``rebased``, ``crossed``, ``exhausted``, …"""

    def synced(self, symbol: str, source: Source, after_ms: float) -> None:
        """A book is live, ``after_ms`` after it was found missing or broken."""

    def audited(self, symbol: str, audit: Audit) -> None:
        """A book was compared with a second snapshot, and completed from it."""

    def failed(self, symbol: str, error: Exception) -> None:
        """An attempt to find a snapshot failed; there will be another one."""


@dataclass(slots=True, eq=False)
class LiveBook:
    """One symbol's book as it is kept. Times are the keeper's clock, in seconds."""

    symbol: str
    sync: Sync
    epoch: int = 0
    """The epoch in which the book's ids count."""
    source: Source | None = None
    """Where the present book's snapshot came from."""
    synced_at: float = 0.0
    changed_at: float = 0.0
    """When the last diff was applied, or the book built."""
    resyncs: int = 0
    last_audit: Audit | None = None
    _backoff: Backoff = field(default_factory=Backoff)
    _spoiled: bool = False
    _audited_at: float = 0.0
    _file_levels: int | None = None
    """Levels a side of the published file, as far as known."""
    _refill_at: float = 0.0
    _suspect_at: float | None = None
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def book(self) -> Book | None:
        """The book, or the last good one while it is built anew; ``None`` where there is no good one."""
        return None if self._spoiled else self.sync.book

    @property
    def live(self) -> bool:
        """Whether the book is being kept up to date, rather than being built."""
        return self.sync.state is State.LIVE


class Keeper:
    """Keeps books. For use in one event loop: :meth:`subscribe`, then :meth:`run` until cancelled.

    ``make_feed`` is called once with the function that takes diffs and the one that is told of symbols whose
    connection was lost; ``on_change`` after each change of a live book. ``may_ask`` tells whether this
    replica may ask the venue for a symbol's book now, or leaves it to another one; ``leads`` whether the
    symbol's files are this replica's to write, and its book to keep deeper than they show.

    ``buffer``: diffs kept of a book that is being built, a minute of a stream at 100 ms. They have to reach
    back to when a snapshot was sent for, or a file written, and not over the wait for a turn: ten diffs of a
    busy symbol take 100 kB.
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
        # Limits
        buffer: int = 600,
        snapshot_limit: int = 5000,
        refill_below: int = 4750,
        refills_at_once: int = 2,
        file_reads_at_once: int = 16,
        # Times
        warm_wait_s: float = 3.0,
        warm_poll_s: float = 0.5,
        warm_poll_maximum_s: float = 1.0,
        look_again_s: float = 5.0,
        check_every_s: float = 1.0,
        refill_every_s: float = 30.0,
        audit_every_s: float = 3600.0,
        suspect_after_s: float = 10.0,
        retry_initial_s: float = 0.2,
        retry_maximum_s: float = 15.0,
        settled_after_s: float = 30.0,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        self._rest = rest
        self._on_change = on_change
        self._warm = warm
        self._observer = observer or Observer()
        self._may_ask = may_ask
        self._leads = leads
        self._buffer = buffer
        self._snapshot_limit = snapshot_limit
        self._refill_below = refill_below
        self._refills_at_once = refills_at_once
        self._file_reads = asyncio.Semaphore(file_reads_at_once)
        self._warm_wait_s = warm_wait_s
        self._warm_poll_s = warm_poll_s
        self._warm_poll_maximum_s = warm_poll_maximum_s
        self._look_again_s = look_again_s
        self._check_every_s = check_every_s
        self._refill_every_s = refill_every_s
        self._audit_every_s = audit_every_s
        self._suspect_after_s = suspect_after_s
        self._retry_s = (retry_initial_s, retry_maximum_s)
        self._settled_after_s = settled_after_s
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or Random()
        self._books: dict[str, LiveBook] = {}
        self._building: dict[str, asyncio.Task[None]] = {}
        self._refilling: dict[str, asyncio.Task[None]] = {}
        self.feed = make_feed(self.take, self.lost)

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
            self._books[symbol] = LiveBook(symbol, Sync(symbol, buffer=self._buffer), _backoff=backoff)
        self.feed.subscribe(new)
        for symbol in new:
            self._build(self._books[symbol], _Trust.ANY)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop keeping these symbols' books."""
        gone = [symbol for symbol in dict.fromkeys(symbols) if self._books.pop(symbol, None)]
        self.feed.unsubscribe(gone)
        for symbol in gone:
            for tasks in (self._building, self._refilling):
                task = tasks.pop(symbol, None)
                if task is not None:
                    task.cancel()

    # What the feed says

    def take(self, diff: Diff) -> None:
        """Take a diff of the stream."""
        live = self._books.get(diff.symbol)
        if live is None:
            return
        verdict = live.sync.diff(diff)
        self._observer.took(diff.symbol, verdict)
        if verdict is Verdict.APPLIED:
            live.changed_at = self._clock()
            live._suspect_at = None
            self._report_audit(live)
            self._changed(live)
        elif verdict is Verdict.BUFFERED:
            live._arrived.set()
        elif verdict.broken:
            # The published file may still count in the old ids, whoever wrote it.
            self._break(live, verdict.value, _Trust.NONE if verdict is Verdict.REBASED else _Trust.ANY)

    def lost(self, symbols: Iterable[str]) -> None:
        """Note that diffs of these symbols may be missing from now on, without another one to show it."""
        now = self._clock()
        for symbol in symbols:
            live = self._books.get(symbol)
            if live is not None and live._suspect_at is None:
                live._suspect_at = now

    # What the publisher finds out

    def resync(self, symbol: str, reason: str, *, rest_only: bool) -> None:
        """Build a book anew: from the venue alone, or from the published file where that will do.

        ``rest_only``: no file of the book's own epoch will do. Where this replica may not ask the venue, the
        book waits for a file of a later epoch, which another replica began from the venue.
        """
        live = self._books.get(symbol)
        if live is not None:
            self._break(live, reason, _Trust.LATER_EPOCH if rest_only else _Trust.ANY)

    async def confirm(self, symbol: str) -> int:
        """The update id of a fresh snapshot of the venue's, with which the book is audited in passing.

        Raises :class:`~depthcast.errors.VenueError`, or ``KeyError`` for a symbol that is not kept.
        """
        live = self._books[symbol]
        live.sync.begin_refill()
        snapshot = await self._rest.snapshot(symbol, self._snapshot_limit)
        self._refill_from(live, snapshot)
        return snapshot.update_id

    # Running

    async def run(self) -> None:
        """Complete, audit and doubt books from time to time, until cancelled. The feed runs on its own."""
        try:
            while True:
                await self._sleep(self._check_every_s)
                self._doubt()
                self._start_refills()
        finally:
            await self.close()

    async def close(self) -> None:
        """End all tasks. Books stay readable."""
        tasks = [*self._building.values(), *self._refilling.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Building a book

    def _break(self, live: LiveBook, reason: str, trust: _Trust) -> None:
        self._observer.broke(live.symbol, reason)
        live.resyncs += 1
        live.sync.restart()
        self._build(live, trust)

    def _build(self, live: LiveBook, trust: _Trust) -> None:
        running = self._building.get(live.symbol)
        if running is not None and not running.done():
            if trust is _Trust.ANY:
                return
            running.cancel()
        live._suspect_at = None
        live._arrived.clear()
        if live.sync.buffered:
            live._arrived.set()
        task = asyncio.ensure_future(self._find_snapshot(live, trust))
        self._building[live.symbol] = task
        task.add_done_callback(partial(_forget, self._building, live.symbol))

    async def _find_snapshot(self, live: LiveBook, trust: _Trust) -> None:
        began = self._clock()
        if live.source is not None and began - live.synced_at < self._settled_after_s:
            # Broken again so soon: a venue, or a book, that keeps breaking is not hammered.
            await self._sleep(live._backoff.next_s())
        else:
            live._backoff.reset()
        while True:
            try:
                await self._streaming(live)
                source = await self._try_sources(live, trust)
            except Exception as error:
                self._failed(live.symbol, error)
                source = None
            if source is not None:
                break
            await self._sleep(live._backoff.next_s())
        now = self._clock()
        live._spoiled = False
        live.source = source
        live.synced_at = live.changed_at = live._audited_at = now
        self._observer.synced(live.symbol, source, (now - began) * 1000)
        self._changed(live)

    def _failed(self, symbol: str, error: Exception) -> None:
        if not isinstance(error, DepthcastError):
            _log.error("%s: a snapshot could not be used", symbol, exc_info=error)
        self._observer.failed(symbol, error)

    async def _streaming(self, live: LiveBook) -> None:
        """Wait until diffs come, or would come: the socket is open before the snapshot is asked for."""
        while not (live._arrived.is_set() or self.feed.live(live.symbol)):
            await self._arrival(live, self._warm_poll_s / 5)

    async def _arrival(self, live: LiveBook, bound_s: float) -> None:
        """Wait for a first diff, ``bound_s`` at most."""
        if live._arrived.is_set():
            await self._sleep(bound_s)
            return
        waits = {asyncio.ensure_future(live._arrived.wait()), asyncio.ensure_future(self._sleep(bound_s))}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _try_sources(self, live: LiveBook, trust: _Trust) -> Source | None:
        while True:
            epoch = 0
            if self._warm is not None:
                stored = await self._from_file(live, self._warm, trust)
                epoch = stored.epoch if stored else 0
                if live.live:
                    live.epoch = epoch
                    return "file"
            snapshot = await self._from_venue(live, trust)
            if live.live:
                return "file"
            if snapshot is not None:
                break
        if live.sync.snapshot(snapshot) is not Verdict.SYNCED:
            return None
        live.epoch = epoch
        return "rest"

    async def _from_file(self, live: LiveBook, warm: Warm, trust: _Trust) -> WarmStart | None:
        """What is stored; and the book live where the file will do.

        A file is some ticks behind the stream. If another replica keeps writing it, it soon reaches back to
        the buffer; if it stands still it never will. Returns without a live book once the venue is to be
        asked: no file may be used, or this one will not do and the replica may ask.
        """
        poll_s = self._warm_poll_s
        end = self._clock() + self._warm_wait_s
        seen: int | None = None
        damaged: tuple[int, int] | None = None
        waited = False
        while True:
            # Asked anew at each look: who asked the venue may have stopped, or just have got the book.
            may_ask = self._may_ask(live.symbol)
            use = _uses_files(trust, may_ask)
            wanted_id = live.sync.wanted_id if use and live.sync.buffered else _NO_FILE
            began = self._clock()
            async with self._file_reads:
                # Where many books begin at once, the wait for a turn to read is not the file's.
                end += self._clock() - began
                stored = await warm(live.symbol, wanted_id)
            if not use:
                return stored
            version = (stored.epoch, stored.update_id) if stored is not None else None
            if stored is not None and version != damaged:
                try:
                    if self._begin_from(live, stored, trust):
                        return stored
                except BookError as error:
                    self._observer.failed(live.symbol, error)
                    damaged = version
            now = self._clock()
            if not may_ask:
                # Whoever is waited for has the usual time to write its file, once it got the book.
                waited, end = True, now + self._warm_wait_s
            elif now >= end or (not waited and (stored is None or damaged is not None)):
                return stored
            else:
                stands_still = stored is not None and stored.update_id == seen
                if stands_still and wanted_id != _NO_FILE and now > end - self._warm_wait_s / 2:
                    return stored
            seen = stored.update_id if stored is not None and wanted_id != _NO_FILE else None
            await self._arrival(live, poll_s)
            if waited:
                poll_s = min(poll_s * 1.5, self._warm_poll_maximum_s)

    async def _from_venue(self, live: LiveBook, trust: _Trust) -> Snapshot | None:
        """A snapshot of the venue's; ``None`` where the file does by now, with the book live, or where
        another replica is to ask now.

        The queue for the venue may be minutes long, so what was true at its end is looked at again in it.
        """
        # Who need not ask but must, because no file will do, lets those go first who cannot wait.
        background = not self._may_ask(live.symbol)
        asked = asyncio.ensure_future(self._rest.snapshot(live.symbol, self._snapshot_limit, background))
        look_at = self._clock() + self._look_again_s
        try:
            while not await self._ended(asked, self._warm_poll_maximum_s):
                if self._warm is None:
                    continue
                may_ask = self._may_ask(live.symbol)
                if trust is _Trust.ANY and not may_ask:
                    return None
                if self._clock() < look_at:
                    continue
                look_at = self._clock() + self._look_again_s
                if _uses_files(trust, may_ask) and await self._file_came(live, self._warm, trust):
                    return None
            return asked.result()
        finally:
            asked.cancel()

    async def _file_came(self, live: LiveBook, warm: Warm, trust: _Trust) -> bool:
        if not live.sync.buffered:
            return False
        try:
            async with self._file_reads:
                stored = await warm(live.symbol, live.sync.wanted_id)
            if stored is None or not self._begin_from(live, stored, trust):
                return False
        except DepthcastError as error:
            self._observer.failed(live.symbol, error)
            return False
        live.epoch = stored.epoch
        return True

    def _begin_from(self, live: LiveBook, stored: WarmStart, trust: _Trust) -> bool:
        """Make the book live from a file, where that will do. Raises BookError for what is not a book."""
        if stored.snapshot is None or (trust is not _Trust.ANY and stored.epoch <= live.epoch):
            return False
        if live.sync.snapshot(stored.snapshot, proven=False) is not Verdict.SYNCED:
            return False
        live._file_levels = self._levels(stored.snapshot)
        return True

    async def _ended(self, task: asyncio.Future[Snapshot], bound_s: float) -> bool:
        """Wait for ``task``, ``bound_s`` at most; whether it is done."""
        timer = asyncio.ensure_future(self._sleep(bound_s))
        try:
            either: set[asyncio.Future[Any]] = {task, timer}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        return task.done()

    # After a change

    def _changed(self, live: LiveBook) -> None:
        """Pass a change on, unless it shows that the book cannot be right or cannot be read."""
        book = live.book
        assert book is not None
        fault = "crossed" if book.crossed else "exhausted" if book.exhausted else None
        if fault is not None:
            live._spoiled = True
            # A file may have been written by a replica whose book went wrong in the same way.
            self._break(live, fault, _Trust.NONE)
            return
        try:
            self._on_change(live)
        except Exception:
            _log.exception("%s: a listener failed", live.symbol)

    def _doubt(self) -> None:
        """Build anew what stayed silent after its connection was lost: a diff may be missing unnoticed."""
        now = self._clock()
        for live in list(self._books.values()):
            suspect_at = live._suspect_at
            if (
                suspect_at is not None
                and live.live
                and now - suspect_at >= self._suspect_after_s
                and self.feed.live(live.symbol)
            ):
                self._break(live, "silent since its connection was lost", _Trust.ANY)

    # Refills and audits

    def _start_refills(self) -> None:
        """Start background snapshots for the books that need one most."""
        free = self._refills_at_once - len(self._refilling)
        if free <= 0:
            return
        now = self._clock()
        due: list[tuple[int, LiveBook]] = []
        for live in self._books.values():
            if not live.live or live.symbol in self._refilling or now < live._refill_at:
                continue
            depth = self._certain_depth(live)
            if self._shallow(live, depth) or now - live._audited_at >= self._audit_every_s:
                due.append((depth, live))
        for _, live in sorted(due, key=lambda item: item[0])[:free]:
            live._refill_at = now + self._refill_every_s
            task = asyncio.ensure_future(self._refill(live))
            self._refilling[live.symbol] = task
            task.add_done_callback(partial(_forget, self._refilling, live.symbol))

    def _certain_depth(self, live: LiveBook) -> int:
        assert live.book is not None
        bids, asks, bids_complete, asks_complete = live.book.certainty
        return min(
            self._snapshot_limit if bids_complete else bids,
            self._snapshot_limit if asks_complete else asks,
        )

    def _shallow(self, live: LiveBook, depth: int) -> bool:
        """Whether a book that is certain of so many levels is to be completed."""
        if depth >= self._refill_below:
            return False
        if live._file_levels is None or self._leads(live.symbol):
            return True
        # What a file does not show, it cannot give.
        return depth < live._file_levels * 9 // 10

    def _levels(self, file: Snapshot) -> int:
        return min(
            self._snapshot_limit if file.bids_complete else len(file.bids),
            self._snapshot_limit if file.asks_complete else len(file.asks),
        )

    async def _refill(self, live: LiveBook) -> None:
        try:
            if self._warm is not None and not self._leads(live.symbol):
                live.sync.begin_refill()
                if await self._refill_from_file(live, self._warm):
                    return
            live.sync.begin_refill()
            snapshot = await self._rest.snapshot(live.symbol, self._snapshot_limit, background=True)
            self._refill_from(live, snapshot)
        except Exception as error:
            live.sync.cancel_refill()
            self._failed(live.symbol, error)

    async def _refill_from_file(self, live: LiveBook, warm: Warm) -> bool:
        """Complete and audit a book from the file; whether the venue need not be asked then."""
        assert live.book is not None
        wanted_id, before = live.book.update_id, live.last_audit
        end = self._clock() + self._warm_wait_s
        taken = False
        while live.live and self._clock() < end:
            if not taken:
                async with self._file_reads:
                    stored = await warm(live.symbol, wanted_id)
                if stored is not None and stored.snapshot is not None and stored.epoch == live.epoch:
                    live._file_levels = self._levels(stored.snapshot)
                    taken = True
                    self._refill_from(live, stored.snapshot)
            # A file may be ahead of the book; the comparison is made when the book gets there.
            if live.last_audit is not before:
                break
            await self._sleep(self._warm_poll_s)
        audit = live.last_audit
        if audit is not None and audit is not before:
            return audit.clean
        live.sync.cancel_refill()
        return not live.live or self._certain_depth(live) >= self._refill_below // 2

    def _refill_from(self, live: LiveBook, snapshot: Snapshot) -> None:
        if live.sync.refill(snapshot) is Verdict.APPLIED:
            self._report_audit(live)
            self._changed(live)

    def _report_audit(self, live: LiveBook) -> None:
        audit = live.sync.take_audit()
        if audit is not None:
            live.last_audit = audit
            live._audited_at = self._clock()
            self._observer.audited(live.symbol, audit)


def _forget(tasks: dict[str, asyncio.Task[None]], symbol: str, task: asyncio.Task[None]) -> None:
    """Drop a task that is done, unless another one has taken its place."""
    if tasks.get(symbol) is task:
        del tasks[symbol]


def _uses_files(trust: _Trust, may_ask: bool) -> bool:
    """Whether a look at the file may do; who may ask the venue asks it where the ids have changed."""
    return trust is _Trust.ANY or (trust is _Trust.LATER_EPOCH and not may_ask)
