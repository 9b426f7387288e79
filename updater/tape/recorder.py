"""``Recorder``: the keeper's tap: which symbols are taped, who writes their segments, how much may wait.

Every replica that holds a symbol records it. The first in rank writes a segment as soon as it is finished;
the others look a while later, and write only what is missing or what they know more of. So a segment is
written once as a rule, and nothing that one replica has is lost with another.

**Bounds.** What is recorded waits in memory until it is in the store, ``memory_mb`` at most. Beyond that the
oldest segment that waits is given up, and where none waits, the largest open one: a hole, counted. A store
that is away is tried again with growing pauses. Parquet is made aside, one segment at a time.

**The end.** :meth:`finish` writes what is open, with a hole at its end; a replica that begins again in the
same interval completes it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from depthcast.aside import Aside
from depthcast.backoff import Backoff
from depthcast.errors import BadFile, BookError, DepthcastError
from depthcast.events import Diff, LevelSnapshot, Snapshot, TopLevels
from depthcast.keeper import LiveBook
from depthcast.logs import get_logger
from depthcast.orders.messages import AnyDiff, AnySnapshot
from depthcast.store import Store
from depthcast.sync import Verdict
from depthcast.tape.keys import LENGTH_S, segment_key
from depthcast.tape.segment import Segment
from depthcast.venues.taping import taping_of
from updater.tape.clock import ExchangeClock
from updater.tape.packed import PackedBook, PackedDiff, Take, pack_book, pack_diff
from updater.tape.reel import GRACE_S, Reel
from updater.tape.writing import Keeping, Kept, SegmentWriter

MEMORY_MB: Final = 256
LOOK_AFTER_S: Final = 5.0
WRITES_AT_ONCE: Final = 4
TICK_S: Final = 1.0
MAX_AHEAD_MS: Final = 3_600_000
"""A diff that claims to be of a time so much later than now is not recorded: it would end all intervals."""

NO_DIFFS: Final = (LevelSnapshot, TopLevels)
"""What a stream tells of a book that is no change of it."""

MOST_NOTED: Final = 2000
"""Diffs of which it is noted when they came while their book was built: more than a keeper buffers."""

Listener = Callable[[Segment, str], Awaitable[None]]
"""Told of each segment that this replica wrote, with its key."""

T = TypeVar("T")

_log = get_logger("updater")


class Observer(Protocol):
    """Hears what becomes of the tape. Implemented by :class:`updater.metrics.Metrics`."""

    def taped(self) -> None:
        """A diff was recorded."""

    def segment_kept(self, result: str, *, holes: int, size: int) -> None:
        """A segment is in the store: ``written``, ``merged`` or ``found`` there. ``holes`` and ``size``
        (bytes) are of what this replica wrote."""

    def segment_failed(self, symbol: str, error: Exception) -> None:
        """It could not be written for now."""

    def tape_dropped(self, symbol: str, diffs: int) -> None:
        """Recorded diffs were given up."""

    def tape_damaged(self, key: str, error: BadFile) -> None:
        """A stored object is none of the tape's."""


class Waiting(NamedTuple):
    """What waits to be written."""

    segments: int
    open: int
    size: int


class Recorder:
    """One replica's tape; a :class:`~depthcast.keeper.tap.Tap`. :meth:`run` it, then :meth:`finish`.

    ``patterns`` are symbols, globs, or ``all``; ``rank`` tells this replica's for a symbol, ``streams``
    whether its stream is live, ``begin`` is awaited before anything is written. ``listeners`` are awaited one
    after the other.
    """

    def __init__(
        self,
        store: Store,
        patterns: Iterable[str],
        *,
        venue: str,
        replica: str,
        observer: Observer,
        rank: Callable[[str], int],
        streams: Callable[[str], bool],
        books: Callable[[], Mapping[str, LiveBook]],
        begin: Callable[[], Awaitable[object]],
        listeners: Sequence[Listener] = (),
        # Bounds and times
        length_s: int = LENGTH_S,
        memory_mb: float = MEMORY_MB,
        writes_at_once: int = WRITES_AT_ONCE,
        look_after_s: float = LOOK_AFTER_S,
        grace_s: float = GRACE_S,
        tick_s: float = TICK_S,
        retry_initial_s: float = 0.5,
        retry_maximum_s: float = 15.0,
        # Surroundings
        aside: Aside = asyncio.to_thread,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rng: Random | None = None,
    ) -> None:
        self._store = store
        self._patterns = tuple(patterns)
        self._venue = venue
        self._taping = taping_of(venue)
        self._observer = observer
        self._rank = rank
        self._streams = streams
        self._books = books
        self._begin = begin
        self.listeners: list[Listener] = list(listeners)
        self._length_s = length_s
        self._memory = round(memory_mb * 1_000_000)
        self._look_after_s = look_after_s
        self._grace_s = grace_s
        self._tick_s = tick_s
        self._retry_s = (retry_initial_s, retry_maximum_s)
        self._clock = clock
        self._wall_ms = wall_ms
        self._rng = rng or Random()
        self._writer = SegmentWriter(
            store, venue, replica=replica, aside=self._aside_alone, on_damaged=observer.tape_damaged
        )
        self._aside = aside
        self._one_aside = asyncio.Lock()
        self._slots = asyncio.Semaphore(writes_at_once)
        self._exchange = ExchangeClock()
        self._taped: dict[str, Reel | None] = {}
        """The reel of each symbol seen, ``None`` of those that are not taped."""
        self._noted: dict[str, dict[int, int]] = {}
        """When the diffs came, in µs, that a book is being built of, by symbol and last id."""
        self._begun: dict[str, tuple[Snapshot, Sequence[Diff]]] = {}
        """Books that began, of which the epoch is not known yet."""
        self._frame: PackedBook | None = None
        """The book before the diff that is being taken, where its reel needs it."""
        self._upon_id = 0
        self._waiting: dict[asyncio.Task[None], Take] = {}
        self._hurry = asyncio.Event()
        """Set at the end: no time for pauses, and nothing is recorded any more."""
        self._ticked_at: float | None = None
        self._sure_from = float("-inf")

    def tapes(self, symbol: str) -> bool:
        """Whether a symbol is recorded."""
        return any(each == "all" or fnmatchcase(symbol, each) for each in self._patterns)

    @property
    def reels(self) -> Mapping[str, Reel]:
        """What is recorded, by symbol."""
        return {symbol: reel for symbol, reel in self._taped.items() if reel is not None}

    @property
    def waiting(self) -> Waiting:
        """What is not in the store yet."""
        reels = self.reels.values()
        return Waiting(
            len(self._waiting),
            sum(reel.open for reel in reels),
            sum(reel.size for reel in reels) + sum(take.size for take in self._waiting.values()),
        )

    # From the keeper

    def coming(self, live: LiveBook, diff: Diff) -> None:
        """A diff is about to be taken."""
        reel = self._reel(live.symbol)
        if reel is None or not live.live or isinstance(diff, NO_DIFFS):
            return
        if live.symbol in self._begun:
            self._settle(live, reel)
        book = live.sync.book
        assert book is not None
        self._frame = None
        self._upon_id = book.update_id
        comes = self._taping.numbered_by_book or diff.last > book.update_id
        if comes and not reel.expects(book.update_id, live.epoch, diff.event_time_ms):
            self._frame = pack_book(book, self._now_us(), self._taping)

    def took(self, live: LiveBook, diff: Diff, verdict: Verdict) -> None:
        """It was taken."""
        reel = self._reel(live.symbol)
        if reel is None or isinstance(diff, NO_DIFFS):
            return
        now_us = self._now_us()
        if diff.event_time_ms * 1000 > now_us + MAX_AHEAD_MS * 1000:
            self._observer.tape_dropped(live.symbol, 1)
            self._keep(reel.end())
            return
        self._exchange.saw(diff.event_time_ms, self._clock())
        if verdict is not Verdict.APPLIED:
            noted = self._noted.setdefault(live.symbol, {})
            noted[diff.last] = now_us
            if len(noted) > MOST_NOTED:
                del noted[next(iter(noted))]
            return
        self._observer.taped()
        packed = pack_diff(diff, now_us, self._taping, live.sync.book, self._upon_id)
        self._keep(reel.add(packed, self._upon_id, live.epoch, self._framed))

    def began(self, symbol: str, snapshot: Snapshot, buffered: Sequence[Diff]) -> None:
        """A book began from a snapshot."""
        if self._reel(symbol) is not None:
            self._begun[symbol] = (snapshot, buffered)

    def broke(self, symbol: str, reason: str) -> None:
        """A book has to be built anew."""
        reel = self._reel(symbol)
        if reel is not None:
            reel.broke(reason)

    def dropped(self, symbol: str) -> None:
        """A symbol is kept no more."""
        reel = self._taped.pop(symbol, None)
        self._noted.pop(symbol, None)
        self._begun.pop(symbol, None)
        if reel is not None:
            self._keep(reel.end())

    # Running

    async def run(self) -> None:
        """Look after quiet symbols, and after the memory, until cancelled."""
        while True:
            await asyncio.sleep(self._tick_s)
            self.tick()

    def tick(self) -> None:
        """Finish what is over without a diff that shows it; give up what there is no room for."""
        now_s = self._clock()
        if self._ticked_at is not None and now_s - self._ticked_at > 3 * self._tick_s + 1:
            # The process stood still: what came meanwhile has yet to be read.
            self._sure_from = now_s + self._grace_s
        self._ticked_at = now_s
        now_ms = self._exchange.now_ms(now_s)
        if now_ms is None:
            now_ms = self._wall_ms()
        for symbol, live in list(self._books().items()):
            reel = self._reel(symbol)
            if reel is None:
                continue
            if live.live and symbol in self._begun:
                self._settle(live, reel)
            book = live.book if live.live else None
            sure = now_s >= self._sure_from and live.suspect_at is None and self._streams(symbol)
            self._keep(
                reel.tick(
                    now_ms,
                    book_id=None if book is None else book.update_id,
                    epoch=live.epoch,
                    sure=sure,
                    frame=lambda live=live: self._frame_of(live),  # type: ignore[misc]
                )
            )
        self._bound_memory()

    async def finish(self, within_s: float) -> None:
        """Write what is open and what waits, for so long at most; record nothing any more."""
        for reel in self.reels.values():
            self._keep(reel.end())
        self._taped.clear()
        self._hurry.set()
        if self._waiting:
            _log.info("writing the tape", segments=len(self._waiting), within_s=within_s)
            await asyncio.wait(list(self._waiting), timeout=within_s)
        left = list(self._waiting.items())
        for task, take in left:
            self._observer.tape_dropped(take.symbol, take.diffs)
            task.cancel()
        if left:
            _log.warning("segments of the tape were given up at the end", segments=len(left))
            await asyncio.gather(*(task for task, _ in left), return_exceptions=True)

    def give_up(self) -> None:
        """Do not wait for what is not written yet; it is lost."""
        for task in self._waiting:
            task.cancel()

    # Steps

    def _reel(self, symbol: str) -> Reel | None:
        if symbol not in self._taped:
            if self._hurry.is_set():
                return None
            taped = self.tapes(symbol)
            self._taped[symbol] = (
                Reel(symbol, length_s=self._length_s, grace_s=self._grace_s, taping=self._taping)
                if taped
                else None
            )
        return self._taped[symbol]

    def _now_us(self) -> int:
        return self._wall_ms() * 1000

    def _framed(self) -> PackedBook:
        assert self._frame is not None, "it was not expected, so there is a frame"
        return self._frame

    def _frame_of(self, live: LiveBook) -> PackedBook:
        assert live.book is not None
        return pack_book(live.book, self._now_us(), self._taping)

    def _settle(self, live: LiveBook, reel: Reel) -> None:
        """A book began, and its epoch is known by now."""
        snapshot, buffered = self._begun.pop(live.symbol)
        noted = self._noted.pop(live.symbol, {})
        now_us = self._now_us()
        packed = self._packed(snapshot, buffered, noted, now_us)
        for _ in packed:
            self._observer.taped()
        self._keep(reel.began(snapshot, packed, live.epoch, now_us))

    def _packed(
        self, snapshot: AnySnapshot, buffered: Sequence[AnyDiff], noted: Mapping[int, int], now_us: int
    ) -> list[tuple[AnyDiff, PackedDiff]]:
        """What was buffered, as it is recorded. Messages without levels are left out where the snapshot has
        them: of the levels that they changed nothing is known."""
        taping = self._taping
        if taping.by_price:
            return [(diff, pack_diff(diff, noted.get(diff.last, now_us), taping)) for diff in buffered]
        packed: list[tuple[AnyDiff, PackedDiff]] = []
        if not buffered:
            return packed
        with suppress(BookError):
            book = taping.book_of(snapshot)
            for diff in buffered:
                if diff.last > book.update_id:
                    book.apply(diff)
                    packed.append((diff, pack_diff(diff, noted.get(diff.last, now_us), taping, book)))
        return packed

    def _bound_memory(self) -> None:
        excess = self.waiting.size - self._memory
        for task, take in list(self._waiting.items()):
            if excess <= 0:
                return
            excess -= take.size
            del self._waiting[task]
            task.cancel()
            self._observer.tape_dropped(take.symbol, take.diffs)
        for reel in sorted(self.reels.values(), key=lambda reel: -reel.size):
            if excess <= 0:
                return
            excess -= reel.size
            self._observer.tape_dropped(reel.symbol, reel.drop())

    # Writing

    def _keep(self, takes: Iterable[Take]) -> None:
        for take in takes:
            task = asyncio.get_running_loop().create_task(self._write(take))
            self._waiting[task] = take
            task.add_done_callback(self._kept)

    def _kept(self, task: asyncio.Task[None]) -> None:
        take = self._waiting.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a segment of the tape was lost", exc_info=error)
            if take is not None:
                self._observer.tape_dropped(take.symbol, take.diffs)

    async def _write(self, take: Take) -> None:
        """Until it is in the store, or given up for want of memory."""
        rank = self._rank(take.symbol)
        pause_s = rank * self._look_after_s
        if pause_s:
            await self._pause(pause_s * self._rng.uniform(1.0, 1.2))
        initial_s, maximum_s = self._retry_s
        backoff = Backoff(initial_s, minimum_s=initial_s / 2, maximum_s=maximum_s, rng=self._rng)
        await self._begin()
        keeping: Keeping | None = None
        while True:
            try:
                async with self._slots:
                    if keeping is None:
                        keeping = await self._write_once(take, look=bool(rank))
                    if keeping.entry is not None:
                        await self._writer.enter(take.symbol, keeping.entry)
                break
            except BookError as error:
                # No waiting mends it.
                self._observer.segment_failed(take.symbol, error)
                self._observer.tape_dropped(take.symbol, take.diffs)
                return
            except DepthcastError as error:
                self._observer.segment_failed(take.symbol, error)
            await asyncio.sleep(backoff.next_s())
        await self._tell(keeping)

    async def _write_once(self, take: Take, *, look: bool) -> Keeping:
        if look and await self._writer.is_whole(take.symbol, take.start_ms, take.length_s):
            return Keeping(Kept.FOUND)
        return await self._writer.keep(lambda: take.segment(self._venue))

    async def _tell(self, keeping: Keeping) -> None:
        segment, entry = keeping.segment, keeping.entry
        if segment is None or entry is None:
            self._observer.segment_kept(keeping.kept.value, holes=0, size=0)
            return
        self._observer.segment_kept(keeping.kept.value, holes=len(segment.holes), size=entry.size)
        key = segment_key(self._venue, segment.symbol, segment.start_ms, segment.length_s)
        for listener in self.listeners:
            try:
                await listener(segment, key)
            except Exception:
                _log.exception("a listener of the tape failed", key=key)

    async def _aside_alone(self, work: Callable[..., T], /, *given: Any) -> T:
        # Two at once would take the processor from the event loop, and be done no sooner.
        async with self._one_aside:
            return await self._aside(work, *given)

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until there is no more time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(diffs)."""
        for reel in self.reels.values():
            reel.check()
        assert all(not task.done() for task in self._waiting), "a segment waits that is written"
