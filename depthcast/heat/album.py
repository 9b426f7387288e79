"""``Album``: the tiles of one symbol in a store, written as the tape grows.

Who has put a segment on the tape adds it here. Its minutes are painted and written under ``If-None-Match:
*``; one that is there already stays, unless it is not complete and more is known now. Then the hour's tile
takes the minutes in, and once the hour is over the day's takes the hour in. Both are replaced by
compare-and-swap, so any number of albums in any number of processes may work on one symbol; a tile that is
complete is final and says so to caches.

**What was missed is made up for.** The hour's tile knows which minutes it lacks; for those before the newest
the tile is looked for, and then the segment on the tape, of which it is painted. So a writer that was killed
between two writes leaves nothing undone for longer than until the next minute, and whoever adds all segments
of a tape, in whatever order and however often, makes all its tiles.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from depthcast.aside import Aside
from depthcast.errors import BadFile, StoreUnavailable
from depthcast.heat import manifest as manifests
from depthcast.heat import tile as tiles
from depthcast.heat.gathering import gather
from depthcast.heat.keys import manifest_key, tile_key
from depthcast.heat.manifest import Manifest
from depthcast.heat.painting import paint
from depthcast.heat.spans import spans_of
from depthcast.heat.tile import ABSENT, COMPLETE, Tile
from depthcast.heat.zooms import DAY, HOUR, MINUTE, ZOOMS, Zoom, suits
from depthcast.store import Outcome, Store
from depthcast.tape.columns import Columns
from depthcast.tape.keys import segment_key
from depthcast.tape.parquet import columns

TRIES: Final = 4
"""How often a tile is tried at most: the others were lost to somebody else."""

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""The Cache-Control of a tile that is complete."""

CHANGING: Final = "public, max-age=10"
"""That of one that may still change, and of the manifest."""

MAX_MISSED: Final = 60
"""So many tiles that a tile lacks are looked for at a time."""

MAX_REMEMBERED: Final = 256
"""So many tiles that nobody has are remembered, so as not to be looked for each minute."""

MAX_SEGMENTS: Final = 60
"""Of so many segments a minute consists at most."""


class Written(NamedTuple):
    """A tile that was written."""

    tile: Tile
    bytes: int


class _Stored(NamedTuple):
    """A tile as it is in the store; ``tile`` is ``None`` where nothing good is there."""

    tile: Tile | None = None
    etag: str | None = None
    body: bytes = b""


class Album:
    """The tiles of ``symbol``. Additions are taken one after the other.

    ``length_s`` is that of the tape's segments; it divides a minute, or is a multiple of one. ``on_written``
    is told of each tile that was written. ``aside`` does the computing.
    """

    def __init__(
        self,
        store: Store,
        venue: str,
        symbol: str,
        *,
        length_s: int = 60,
        on_written: Callable[[Written], None] = lambda _: None,
        # Limits
        tries: int = TRIES,
        # Surroundings
        aside: Aside = asyncio.to_thread,
    ) -> None:
        if not suits(length_s):
            raise ValueError(f"segments of {length_s} s make no minutes")
        self._store = store
        self._venue = venue
        self._symbol = symbol
        self._length_s = length_s
        self._on_written = on_written
        self._tries = tries
        self._aside = aside
        self._one_at_a_time = asyncio.Lock()
        self._nowhere: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._newest_ms = 0

    async def add(self, segment: Columns) -> None:
        """Write the tiles that ``segment``, which is on the tape, has a part in.

        Raises :class:`~depthcast.errors.StoreError` where the store cannot be read or written; what was not
        done then is made up for when a later segment is added, or the same again.
        """
        async with self._one_at_a_time:
            await self._add(segment)

    async def _add(self, segment: Columns) -> None:
        self._newest_ms = max(self._newest_ms, segment.end_ms)
        first_ms = MINUTE.start_of(segment.start_ms)
        minutes = [
            await self._minute(start_ms, segment)
            for start_ms in range(first_ms, segment.end_ms, MINUTE.tile_ms)
        ]
        by_hour: dict[int, list[Tile]] = {}
        for minute in minutes:
            if minute is not None:
                by_hour.setdefault(HOUR.start_of(minute.start_ms), []).append(minute)
        for hour_ms, children in by_hour.items():
            hour = await self._gathered(HOUR, hour_ms, children)
            await self._list(hour_ms)
            if hour.end_ms <= self._newest_ms:
                await self._gathered(DAY, DAY.start_of(hour_ms), [hour])

    # Minutes

    async def _minute(self, start_ms: int, segment: Columns | None) -> Tile | None:
        """The tile of a minute that ``segment`` (``None``: whatever is on the tape) has a part in.

        ``None`` where a later segment will bring the rest of it.
        """
        end_ms = start_ms + MINUTE.tile_ms
        if segment is not None and segment.start_ms <= start_ms and end_ms <= segment.end_ms:
            held = [segment]
        else:
            held = await self._segments(start_ms, segment)
            if not held or (segment is not None and end_ms > self._newest_ms):
                return None
        made = await self._aside(_painted, self._venue, self._symbol, start_ms, held)
        key = tile_key(self._venue, self._symbol, MINUTE.number, start_ms)
        there = _Stored()
        for _ in range(self._tries):
            if await self._put(made, there):
                return made
            there = await self._read(key)
            if there.tile is not None and there.tile.known_ms >= made.known_ms:
                return there.tile
        raise StoreUnavailable(f"{key} is not written: others write it")

    async def _segments(self, start_ms: int, own: Columns | None) -> list[Columns]:
        """What is on the tape of a minute."""
        length_ms = self._length_s * 1000
        first_ms = start_ms - start_ms % length_ms
        found = []
        for at_ms in range(first_ms, start_ms + MINUTE.tile_ms, length_ms):
            if own is not None and own.start_ms == at_ms:
                found.append(own)
                continue
            key = segment_key(self._venue, self._symbol, at_ms, self._length_s)
            stored = await self._store.get(key)
            if stored is not None:
                with suppress(BadFile):  # a damaged one tells nothing
                    found.append(await self._aside(columns, stored.body, key))
        return found

    # Hours and days

    async def _gathered(self, zoom: Zoom, start_ms: int, children: Sequence[Tile]) -> Tile:
        """The tile of an hour or a day, with these children and those that it lacks and that can be had."""
        key = tile_key(self._venue, self._symbol, zoom.number, start_ms)
        for _ in range(self._tries):
            there = await self._read(key)
            if there.tile is not None and there.tile.complete:
                return there.tile
            missed = await self._missed(zoom, start_ms, there.tile, children)
            made = await self._aside(gather, there.tile, [*missed, *children])
            if await self._put(made, there):
                return made
        raise StoreUnavailable(f"{key} is not written: others write it")

    async def _missed(
        self, zoom: Zoom, start_ms: int, there: Tile | None, children: Sequence[Tile]
    ) -> list[Tile]:
        """The earlier children that a tile lacks, as far as they can be had."""
        marks = ABSENT * zoom.children if there is None else there.children
        below = ZOOMS[zoom.number - 1]
        newest_ms = max(child.start_ms for child in children)
        brought = {child.start_ms for child in children}
        found: list[Tile] = []
        for number, mark in enumerate(marks):
            child_ms = start_ms + number * below.tile_ms
            # An hour that was not over when it was taken in has more by now.
            lacks = mark == ABSENT or (mark != COMPLETE and below is not MINUTE)
            if child_ms >= newest_ms or child_ms in brought or not lacks or len(found) >= MAX_MISSED:
                continue
            if (below.number, child_ms) in self._nowhere:
                continue
            child = (await self._read(tile_key(self._venue, self._symbol, below.number, child_ms))).tile
            if child is None and below is MINUTE:
                child = await self._minute(child_ms, None)
            if child is not None:
                found.append(child)
            if child is None or not child.complete:
                self._remember(below.number, child_ms)
        return found

    def _remember(self, zoom: int, start_ms: int) -> None:
        """That this tile is not to be had, or will hardly be any better."""
        self._nowhere[zoom, start_ms] = None
        while len(self._nowhere) > MAX_REMEMBERED:
            self._nowhere.popitem(last=False)

    # The manifest

    async def _list(self, hour_ms: int) -> None:
        """See to it that the manifest names the hour."""
        if self._listed(hour_ms):
            return
        key = manifest_key(self._venue, self._symbol)
        for _ in range(self._tries):
            stored = await self._store.get(key)
            known = Manifest(self._venue, self._symbol, {})
            if stored is not None:
                with suppress(BadFile):  # one that is none is replaced
                    known = Manifest.decode(key, stored.body)
            if known.has(hour_ms):
                break
            result = await self._store.put_if(
                key,
                known.with_hour(hour_ms).encode(),
                match=None if stored is None else stored.etag,
                content_type=manifests.CONTENT_TYPE,
                cache_control=CHANGING,
            )
            if result.outcome is Outcome.WON:
                break
            if result.outcome is not Outcome.LOST:
                raise result.error or StoreUnavailable(f"{key} is not written: {result.outcome.value}")
        else:
            raise StoreUnavailable(f"{key} is not written: others write it")
        self._remember(HOUR.number + len(ZOOMS), hour_ms)

    def _listed(self, hour_ms: int) -> bool:
        return (HOUR.number + len(ZOOMS), hour_ms) in self._nowhere

    # The store

    async def _read(self, key: str) -> _Stored:
        stored = await self._store.get(key)
        if stored is None:
            return _Stored()
        try:
            tile = await self._aside(Tile.decode, key, stored.body)
            return _Stored(tile, stored.etag, stored.body)
        except BadFile:
            return _Stored(None, stored.etag)

    async def _put(self, tile: Tile, there: _Stored) -> bool:
        """Whether the tile is there now; ``False`` where it is to be looked what is."""
        body = await self._aside(tile.encode)
        if body == there.body:
            return True
        result = await self._store.put_if(
            tile.key,
            body,
            match=there.etag,
            content_type=tiles.CONTENT_TYPE,
            cache_control=IMMUTABLE if tile.complete else CHANGING,
        )
        if result.outcome is Outcome.WON:
            self._on_written(Written(tile, len(body)))
            return True
        if result.outcome is Outcome.LOST:
            return False
        raise result.error or StoreUnavailable(f"{tile.key} is not written: {result.outcome.value}")

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert len(self._nowhere) <= MAX_REMEMBERED


def _painted(venue: str, symbol: str, start_ms: int, held: Sequence[Columns]) -> Tile:
    spans = [span for each in sorted(held, key=lambda each: each.start_ms) for span in spans_of(each)]
    return paint(venue, symbol, start_ms, spans)
