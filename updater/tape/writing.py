"""``SegmentWriter``: one segment into the store, and its indexes.

A segment is created where there is none. Where there is one, a whole one stays as it is; another one is
replaced, under the condition that it is still the same, by the union of both, if that knows more. So
whichever replicas write it, in any order, each diff that one of them has is in it, once.

The indexes say what segments there are. They are written by compare-and-swap after the segment; what a writer
that died did not enter, whoever writes the next segment does.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, TypeVar

from depthcast.aside import Aside
from depthcast.errors import BadFile, StoreUnavailable
from depthcast.store import Outcome, PutResult, Store
from depthcast.tape import index as indexes
from depthcast.tape.index import DayIndex, DaysIndex, Entry, entry_of, from_metadata, to_metadata
from depthcast.tape.keys import (
    SEGMENT_CONTENT_TYPE,
    date_of,
    day_folder,
    day_index_key,
    index_key,
    parse_segment_key,
    segment_key,
)
from depthcast.tape.segment import Segment, merge

TRIES: Final = 8
"""How often an object is tried at most that others write, too."""

MENDED: Final = 5
"""So many intervals before a segment are looked for where the index lacks them."""

REPLICA_NAME: Final = "replica"
"""Beside a segment: who wrote it last."""

CACHE_WHOLE: Final = "public, max-age=31536000, immutable"
CACHE_TORN: Final = "no-cache"

T = TypeVar("T")


class Kept(Enum):
    """What became of a segment."""

    WRITTEN = "written"
    """It was not there, and is now."""
    MERGED = "merged"
    """It was there with holes, and has fewer now."""
    FOUND = "found"
    """What is there knows all that this one does."""


class Keeping(NamedTuple):
    """What became of a segment; ``segment`` is what was written, ``None`` where nothing was."""

    kept: Kept
    segment: Segment | None = None
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class _File:
    """A segment's file, made."""

    body: bytes
    entry: Entry


class SegmentWriter:
    """Writes segments of one venue. Raises :class:`~depthcast.errors.StoreError` where the store is away, and
    :class:`~depthcast.errors.ExtraMissing` when it is made without pyarrow.

    ``replica`` names who writes; ``aside`` makes and reads Parquet; ``on_damaged`` is told of stored objects
    that are none of the tape's.
    """

    def __init__(
        self,
        store: Store,
        venue: str,
        *,
        replica: str,
        aside: Aside,
        on_damaged: Callable[[str, BadFile], None] = lambda key, error: None,
        tries: int = TRIES,
    ) -> None:
        # An updater that tapes nothing runs without the extra.
        from depthcast.tape import parquet

        self._encode: Callable[[Segment], bytes] = parquet.encode
        self._decode: Callable[[bytes, str], Segment] = parquet.decode
        self._store = store
        self._venue = venue
        self._replica = replica
        self._aside = aside
        self._on_damaged = on_damaged
        self._tries = tries

    async def is_whole(self, symbol: str, start_ms: int, length_s: int) -> bool:
        """Whether the segment is there and final. One small read."""
        key = segment_key(self._venue, symbol, start_ms, length_s)
        found = await self._store.peek(key, 1)
        try:
            return found is not None and from_metadata(key, found.metadata).whole
        except BadFile:
            return False

    async def keep(self, make: Callable[[], Segment]) -> Keeping:
        """Write what ``make`` gives, or what it adds to what is there. The indexes are :meth:`enter`'s."""
        segment = await self._aside(make)
        key = segment_key(self._venue, segment.symbol, segment.start_ms, segment.length_s)
        file = await self._aside(self._file_of, segment)
        kept, match = Kept.WRITTEN, None
        for _ in range(self._tries):
            result = await self._put(key, file, match)
            if result.outcome is Outcome.WON:
                return Keeping(kept, segment, file.entry)
            if result.error is not None:
                raise result.error
            found = await self._store.get(key)
            if found is None:
                kept, match = Kept.WRITTEN, None
                continue
            match = found.etag
            try:
                stored = await self._aside(self._decode, found.body, key)
            except BadFile as error:
                self._on_damaged(key, error)
                continue
            if stored.covers(segment):
                # It may be an own write of which no answer came.
                ours = found.body == file.body and found.metadata.get(REPLICA_NAME) == self._replica
                return Keeping(kept, segment, file.entry) if ours else Keeping(Kept.FOUND)
            segment, kept = merge(stored, segment), Kept.MERGED
            file = await self._aside(self._file_of, segment)
        raise StoreUnavailable(f"{key} could not be written in {self._tries} attempts")

    async def _put(self, key: str, file: _File, match: str | None) -> PutResult:
        return await self._store.put_if(
            key,
            file.body,
            match=match,
            metadata={**to_metadata(file.entry), REPLICA_NAME: self._replica},
            content_type=SEGMENT_CONTENT_TYPE,
            cache_control=CACHE_WHOLE if file.entry.whole else CACHE_TORN,
        )

    # Indexes

    async def enter(self, symbol: str, entry: Entry) -> None:
        """Enter a segment that was written into its indexes, and what they lack of those before it."""
        date = date_of(entry.start_ms)
        key = day_index_key(self._venue, symbol, date)

        async def entered(index: DayIndex) -> DayIndex:
            for start_ms in index.missing(entry.length_s, entry.start_ms, MENDED):
                lacking = await self._entry(symbol, start_ms, entry.length_s)
                if lacking is not None:
                    index = index.with_entry(lacking)
            return index.with_entry(entry)

        day = await self._swap(
            key,
            lambda body: DayIndex.parse(key, body),
            lambda: self._listed(symbol, date),
            entered,
        )
        await self._enter_day(symbol, day)

    async def _enter_day(self, symbol: str, day: DayIndex) -> None:
        key = index_key(self._venue, symbol)

        async def entered(index: DaysIndex) -> DaysIndex:
            index = index.with_day(day)
            for date in index.unfinished:
                index = index.with_day(await self._listed(symbol, date))
            return index

        found = await self._store.get(key)
        if found is not None:
            # One that cannot be read is told of, and mended, below.
            with suppress(BadFile):
                known = DaysIndex.parse(key, found.body)
                if known.with_day(day) is known and not known.unfinished:
                    return

        async def nothing() -> DaysIndex:
            return DaysIndex(self._venue, symbol)

        await self._swap(key, lambda body: DaysIndex.parse(key, body), nothing, entered)

    async def _swap(
        self,
        key: str,
        parse: Callable[[bytes], T],
        anew: Callable[[], Awaitable[T]],
        change: Callable[[T], Awaitable[T]],
    ) -> T:
        """Change an index by compare-and-swap; ``anew`` makes one where there is none that can be read."""
        for _ in range(self._tries):
            found = await self._store.get(key)
            index: T | None = None
            if found is not None:
                try:
                    index = parse(found.body)
                except BadFile as error:
                    self._on_damaged(key, error)
            changed = await change(await anew() if index is None else index)
            if index is not None and changed == index:
                return changed
            result = await self._store.put_if(
                key,
                changed.to_bytes(),  # type: ignore[attr-defined] # both indexes have it
                match=None if found is None else found.etag,
                content_type=indexes.CONTENT_TYPE,
                cache_control=indexes.CACHE_CONTROL,
            )
            if result.outcome is Outcome.WON:
                return changed
            if result.error is not None:
                raise result.error
        raise StoreUnavailable(f"{key} could not be written in {self._tries} attempts")

    async def _listed(self, symbol: str, date: str) -> DayIndex:
        """A day's index, from its segments as they are listed and from the index that there is."""
        key = day_index_key(self._venue, symbol, date)
        index = DayIndex(self._venue, symbol, date)
        found = await self._store.get(key)
        if found is not None:
            with suppress(BadFile):
                index = DayIndex.parse(key, found.body)
        there = {entry[:2] for entry in index.entries}
        async for listed in self._store.list(day_folder(self._venue, symbol, date)):
            if not listed.key.endswith(".parquet"):
                continue
            name = parse_segment_key(listed.key)
            if (name.start_ms, name.length_s) not in there:
                entry = await self._entry(symbol, name.start_ms, name.length_s)
                index = index if entry is None else index.with_entry(entry)
        return index

    async def _entry(self, symbol: str, start_ms: int, length_s: int) -> Entry | None:
        """The entry of a stored segment; ``None`` where there is none."""
        key = segment_key(self._venue, symbol, start_ms, length_s)
        found = await self._store.peek(key, 1)
        if found is None:
            return None
        try:
            entry = from_metadata(key, found.metadata)
            if entry.whole:
                return entry
            # Its holes stand in the file alone.
            whole_file = await self._store.get(key)
            if whole_file is None:
                return None
            held = await self._aside(self._decode, whole_file.body, key)
        except BadFile as error:
            self._on_damaged(key, error)
            return None
        return entry._replace(holes=held.holes)

    def _file_of(self, segment: Segment) -> _File:
        body = self._encode(segment)
        rows = sum(
            len(piece.keyframe.bids)
            + len(piece.keyframe.asks)
            + sum(len(diff.bids) + len(diff.asks) for diff in piece.diffs)
            for piece in segment.pieces
        )
        return _File(body, entry_of(segment, rows=rows, size=len(body)))
