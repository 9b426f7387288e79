"""``Tape``: the segments in a store, found by time or by update id, and the book of any moment.

===========================  =================================================================
:meth:`Tape.at`, by time     two reads: the index of days, and the segment, whose name follows
:meth:`Tape.at`, by id       three: the index of days, that of the day, and the segment
:meth:`Tape.entries`         the index of days, and that of each day
:meth:`Tape.segments`        the same, and then one read a segment, each when it is its turn
===========================  =================================================================

Indexes are held for ``refresh_s``; of the segments asked for moments as many as fit ``max_bytes``, whole ones
for good and others for ``refresh_s``, for another replica may yet complete them. Readers who want the same
object at once share one read. Segments are read and prepared in threads by ``aside``, ``at_once`` of them at
a time.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import zip_longest
from typing import Any, Final, NamedTuple, TypeVar

from depthcast.aside import Aside
from depthcast.errors import NotOnTape
from depthcast.store import Store, StoredObject
from depthcast.tape.asked import Asked
from depthcast.tape.index import DayIndex, DaysIndex, Entry
from depthcast.tape.keys import LENGTH_S, date_of, day_index_key, index_key, segment_key, start_of
from depthcast.tape.moment import Moment, Moments
from depthcast.tape.parquet import columns, decode
from depthcast.tape.segment import Segment

VENUE: Final = "binance"

DEFAULT_MAX_BYTES: Final = 64 * 2**20
DEFAULT_REFRESH_S: Final = 1.0
DEFAULT_AT_ONCE: Final = 2
MAX_INDEXES: Final = 64
"""So many indexes are held, the latest asked for."""

T = TypeVar("T")


class Extent(NamedTuple):
    """What a tape holds: times in ms since 1970, the last one exclusive, and update ids with their epochs.

    ``torn``: it ends in a hole, which begins with the millisecond of the last diff: of that one more may be
    missing.
    """

    from_ms: int
    to_ms: int
    first: tuple[int, int]
    last: tuple[int, int]
    torn: bool = False

    @property
    def end_ms(self) -> int:
        """Before this all of its diffs are."""
        return self.to_ms + self.torn

    def __str__(self) -> str:
        ids = " to ".join(f"{epoch}:{update_id}" for epoch, update_id in (self.first, self.last))
        return f"times from {self.from_ms} to {self.to_ms - 1}, update ids {ids}"


class _Held(NamedTuple):
    """What was read of a key, and when. ``cost_bytes`` and ``final`` only tell of segments."""

    found: Any
    read_at: float
    final: bool = False
    cost_bytes: int = 0


class Tape:
    """One venue's tape in ``store``, which stays the caller's. ``reads`` counts the calls of the store.

    Methods raise :class:`~depthcast.errors.StoreError`, and :class:`~depthcast.errors.BadFile` for what is
    damaged. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        store: Store,
        venue: str = VENUE,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        refresh_s: float = DEFAULT_REFRESH_S,
        at_once: int = DEFAULT_AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        self.venue = venue
        self.reads = 0
        self.bytes_held = 0
        self._store = store
        self._max_bytes = max_bytes
        self._refresh_s = refresh_s
        self._clock = clock
        self._aside = aside
        self._at_once = asyncio.Semaphore(at_once)
        self._indexes: OrderedDict[str, _Held] = OrderedDict()
        self._segments: OrderedDict[str, _Held] = OrderedDict()
        self._coming: dict[str, asyncio.Task[Any]] = {}

    async def at(self, symbol: str, asked: Asked) -> Moment:
        """The book at a moment.

        An update id without an epoch is that of the latest day that has it. Raises
        :class:`~depthcast.errors.NotOnTape` for a moment that was not recorded.
        """
        if asked.time_ms is not None:
            return await self._at_time(symbol, asked.time_ms)
        assert asked.update_id is not None
        return await self._at_id(symbol, asked.update_id, asked.epoch)

    async def days(self, symbol: str) -> DaysIndex:
        """The days of a symbol's tape; none where there is no index of them."""
        key = index_key(self.venue, symbol)
        found = await self._index(key, DaysIndex.parse)
        return DaysIndex(self.venue, symbol) if found is None else found

    async def day(self, symbol: str, date: str) -> DayIndex:
        """The segments of one day; none where there is no index of them."""
        key = day_index_key(self.venue, symbol, date)
        found = await self._index(key, DayIndex.parse)
        return DayIndex(self.venue, symbol, date) if found is None else found

    async def extent(self, symbol: str) -> Extent | None:
        """From where to where the tape goes, holes aside; ``None`` where there is none."""
        days = (await self.days(symbol)).days
        if not days:
            return None
        opening = (await self.day(symbol, days[0].date)).entries
        closing = (await self.day(symbol, days[-1].date)).entries
        if not opening or not closing:
            return None
        first, last = opening[0], closing[-1]
        from_ms = max((h.to_ms for h in first.holes if h.after_id is None), default=first.start_ms)
        to_ms = min((h.from_ms for h in last.holes if h.before_id is None), default=last.end_ms)
        torn = any(hole.before_id is None for hole in last.holes)
        return Extent(from_ms, to_ms, (first.epoch, first.first_id), (last.epoch, last.last_id), torn)

    async def entries(self, symbol: str, from_ms: int, to_ms: int) -> list[Entry]:
        """The segments that overlap the time from ``from_ms`` to before ``to_ms``, oldest first."""
        found: list[Entry] = []
        for day in (await self.days(symbol)).days:
            if date_of(max(from_ms, 0)) <= day.date <= date_of(max(to_ms, 0)):
                found += (await self.day(symbol, day.date)).entries
        return [entry for entry in found if entry.start_ms < to_ms and entry.end_ms > from_ms]

    async def segments(self, symbol: str, from_ms: int, to_ms: int) -> AsyncIterator[Segment]:
        """Those segments, one after the other: the next is read while its reader has the one before.

        Nothing of them is held. One that is gone by its turn (expired, say) is left out.
        """
        entries = await self.entries(symbol, from_ms, to_ms)
        keys = [segment_key(self.venue, symbol, entry.start_ms, entry.length_s) for entry in entries]
        ahead: asyncio.Task[Segment | None] | None = None
        try:
            for key, following in zip_longest(keys, keys[1:]):
                segment = await (ahead or self._decoded(key))
                ahead = asyncio.create_task(self._decoded(following)) if following else None
                if segment is not None:
                    yield segment
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def close(self) -> None:
        """End the reads that are under way."""
        tasks = list(self._coming.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise ``AssertionError`` where more is held than may be. O(segments held)."""
        assert self.bytes_held == sum(held.cost_bytes for held in self._segments.values())
        assert self.bytes_held <= self._max_bytes or len(self._segments) == 1
        assert len(self._indexes) <= MAX_INDEXES

    # Moments

    async def _at_time(self, symbol: str, time_ms: int) -> Moment:
        days = await self.days(symbol)
        day = days.day(date_of(time_ms))
        # The index may lack the newest day, whose segments are as long as those before.
        length_s = day.length_s if day else days.days[-1].length_s if days.days else LENGTH_S
        moments = await self._moments(segment_key(self.venue, symbol, start_of(time_ms, length_s), length_s))
        if moments is None:
            raise await self._absent(symbol, Asked(time_ms=time_ms))
        return moments.at_time(time_ms)

    async def _at_id(self, symbol: str, update_id: int, epoch: int | None) -> Moment:
        days = (await self.days(symbol)).holding(update_id)
        # Ids go down seldom: a day that began above this one is looked at last.
        days.sort(key=lambda day: day.first_id > update_id)
        for day in days:
            index = await self.day(symbol, day.date)
            for entry in index.holding(update_id, epoch):
                key = segment_key(self.venue, symbol, entry.start_ms, entry.length_s)
                moments = await self._moments(key)
                if moments is not None:
                    return moments.at_id(update_id, epoch)
        raise await self._absent(symbol, Asked(update_id=update_id, epoch=epoch))

    async def _absent(self, symbol: str, asked: Asked) -> NotOnTape:
        """Why there is no such moment."""
        extent = await self.extent(symbol)
        if extent is None:
            return NotOnTape(symbol, "there is no tape of that symbol")
        if asked.time_ms is not None:
            inside = extent.from_ms <= asked.time_ms < extent.to_ms
        else:
            assert asked.update_id is not None
            epochs = (extent.first[0], extent.last[0]) if asked.epoch is None else (asked.epoch,) * 2
            inside = (
                extent.first < (epochs[0], asked.update_id) and (epochs[1], asked.update_id) < extent.last
            )
        why = f"{asked} is {'in a hole' if inside else 'outside of what was recorded'}"
        return NotOnTape(symbol, why, in_hole=inside, hint=f"there is {extent}")

    async def _moments(self, key: str) -> Moments | None:
        held = self._segments.get(key)
        if held is not None and (held.final or self._clock() - held.read_at < self._refresh_s):
            self._segments.move_to_end(key)
            moments: Moments = held.found
            return moments
        return await self._shared(key, self._prepared)

    async def _prepared(self, key: str) -> Moments | None:
        read_at = self._clock()
        async with self._at_once:
            found = await self._get(key)
            moments = None if found is None else await self._aside(_prepare, key, found.body)
        before = self._segments.pop(key, None)
        if before is not None:
            self.bytes_held -= before.cost_bytes
        if moments is None:
            return None
        self._segments[key] = _Held(moments, read_at, moments.columns.whole, moments.cost_bytes)
        self.bytes_held += moments.cost_bytes
        while self.bytes_held > self._max_bytes and len(self._segments) > 1:
            _, oldest = self._segments.popitem(last=False)
            self.bytes_held -= oldest.cost_bytes
        return moments

    async def _decoded(self, key: str) -> Segment | None:
        async with self._at_once:
            found = await self._get(key)
            return None if found is None else await self._aside(decode, found.body, key)

    # Indexes

    async def _index(self, key: str, parse: Callable[[str, bytes], T]) -> T | None:
        held = self._indexes.get(key)
        if held is None or self._clock() - held.read_at >= self._refresh_s:

            async def read(key: str) -> _Held:
                read_at = self._clock()
                found = await self._get(key)
                return _Held(None if found is None else await self._aside(parse, key, found.body), read_at)

            held = await self._shared(key, read)
            self._indexes[key] = held
        self._indexes.move_to_end(key)
        while len(self._indexes) > MAX_INDEXES:
            self._indexes.popitem(last=False)
        parsed: T | None = held.found
        return parsed

    # Reads

    async def _shared(self, key: str, reading: Callable[[str], Awaitable[T]]) -> T:
        """One read for all who want it now. It goes on where one of them gives up."""
        task = self._coming.get(key)
        if task is None:

            async def read() -> T:
                try:
                    return await reading(key)
                finally:
                    del self._coming[key]

            task = self._coming[key] = asyncio.create_task(read())
            # Where all who waited gave up, nobody else takes note of how it ended.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        result: T = await asyncio.shield(task)
        return result

    async def _get(self, key: str) -> StoredObject | None:
        self.reads += 1
        return await self._store.get(key)


def _prepare(key: str, body: bytes) -> Moments:
    moments = Moments(columns(body, key))
    moments.prepare()
    return moments
