"""The tiles of a symbol in a store, as its tape grows."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.heat.album import CHANGING, IMMUTABLE, Album, Written
from depthcast.heat.keys import manifest_key, parse_key, tile_key
from depthcast.heat.manifest import Manifest
from depthcast.heat.tile import Tile
from depthcast.heat.zooms import DAY, HOUR, MINUTE, Zoom
from depthcast.store import Outcome, PutResult
from depthcast.store.memory import MemoryStore
from depthcast.tape.keys import segment_key
from depthcast.tape.parquet import encode
from depthcast.tape.segment import Segment
from tests.depthcast.heat.recordings import START_MS, Levels, piece_of, read, segment_of

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


async def at_once(work: Callable[..., Any], /, *given: Any) -> Any:
    return work(*given)


def album(store: MemoryStore, **more: Any) -> Album:
    return Album(store, "binance", "ETHUSDT", aside=at_once, **more)


async def record(store: MemoryStore, segment: Segment) -> None:
    """Put a segment on the tape, whatever was there."""
    key = segment_key(segment.venue, segment.symbol, segment.start_ms, segment.length_s)
    there = await store.get(key)
    result = await store.put_if(key, encode(segment), match=None if there is None else there.etag)
    assert result.outcome is Outcome.WON


async def tile_at(store: MemoryStore, start_ms: int, zoom: Zoom = MINUTE) -> Tile | None:
    key = tile_key("binance", "ETHUSDT", zoom.number, start_ms)
    stored = await store.get(key)
    if stored is None:
        return None
    tile = Tile.decode(key, stored.body)
    assert stored.cache_control == (IMMUTABLE if tile.complete else CHANGING)
    return tile


async def marks(store: MemoryStore, start_ms: int = START_MS, zoom: Zoom = HOUR) -> str:
    tile = await tile_at(store, start_ms, zoom)
    return "" if tile is None else tile.children


async def test_a_whole_minute_is_final_and_in_its_hour_and_the_list() -> None:
    store = MemoryStore()
    told: list[Written] = []
    await album(store, on_written=told.append).add(read(segment_of(START_MS)))
    minute = await tile_at(store, START_MS)
    assert minute is not None
    assert minute.complete
    assert (minute.bid[0], minute.ask[-1]) == (2680.0, 2680.01)
    assert await marks(store) == "+" + "." * 59
    manifest = await store.get(manifest_key("binance", "ETHUSDT"))
    assert manifest is not None
    assert json.loads(manifest.body)["hours"] == {"2024-08-08": "800000"}
    assert manifest.cache_control == CHANGING
    assert [written.tile.zoom for written in told] == [MINUTE, HOUR]
    assert all(written.bytes > 100 for written in told)


async def test_an_hour_that_is_over_is_in_its_day() -> None:
    store = MemoryStore()
    writer = album(store)
    for number in range(60):
        await writer.add(read(segment_of(START_MS + number * MINUTE_MS)))
        assert (await tile_at(store, DAY.start_of(START_MS), DAY) is not None) == (number == 59)
    writer.check()
    hour = await tile_at(store, START_MS, HOUR)
    assert hour is not None
    assert hour.complete
    assert await marks(store, DAY.start_of(START_MS), DAY) == "." * 23 + "+"


async def test_the_same_again_writes_nothing() -> None:
    store = MemoryStore()
    told: list[Written] = []
    for _ in range(2):
        await album(store, on_written=told.append).add(read(segment_of(START_MS)))
    await album(store, on_written=told.append).add(read(partly(START_MS)))
    assert len(told) == 2
    assert await marks(store) == "+" + "." * 59


def partly(start_ms: int, until_ms: int = 20_000) -> Segment:
    """A minute of which only the first ``until_ms`` are known."""
    told: list[tuple[int, Levels, Levels]] = [(start_ms + until_ms, [("2679.50", "1.0")], [])]
    return segment_of(start_ms, piece_of(7, told, at_ms=start_ms - 5), to_end=False)


async def test_a_minute_with_holes_is_replaced_by_what_knows_more_and_never_by_less() -> None:
    store = MemoryStore()
    one, other = album(store), album(store)
    await one.add(read(partly(START_MS, 20_000)))
    assert await marks(store) == "-" + "." * 59
    await other.add(read(partly(START_MS, 10_000)))
    minute = await tile_at(store, START_MS)
    assert minute is not None
    assert minute.known_ms == 20_000
    await other.add(read(partly(START_MS, 30_000)))
    minute = await tile_at(store, START_MS)
    assert minute is not None
    assert minute.known_ms == 30_000
    hour = await tile_at(store, START_MS, HOUR)
    assert hour is not None
    assert hour.holes == ((START_MS + 30_000, START_MS + MINUTE_MS),)
    await one.add(read(segment_of(START_MS)))
    assert await marks(store) == "+" + "." * 59


async def test_a_minute_whose_writer_died_is_made_up_for_with_the_next() -> None:
    store = MemoryStore()
    await record(store, segment_of(START_MS))
    await record(store, partly(START_MS + MINUTE_MS))
    # Of the third the minute's tile was written, and not the hour's.
    await album(store).add(read(segment_of(START_MS + 2 * MINUTE_MS)))
    alone = await store.get(tile_key("binance", "ETHUSDT", 0, START_MS + 2 * MINUTE_MS))
    store = await copied(store, lambda key: key.startswith("tape/"))
    assert alone is not None
    await store.put_if(tile_key("binance", "ETHUSDT", 0, START_MS + 2 * MINUTE_MS), alone.body, match=None)
    await album(store).add(read(segment_of(START_MS + 4 * MINUTE_MS)))
    assert await marks(store) == "+-+.+" + "." * 55


async def copied(store: MemoryStore, wanted: Callable[[str], bool]) -> MemoryStore:
    copy = MemoryStore()
    async for entry in store.list(""):
        stored = await store.get(entry.key)
        if stored is not None and wanted(entry.key):
            await copy.put_if(entry.key, stored.body, match=None)
    return copy


class Counting(MemoryStore):
    """Counts the reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def get(self, key: str) -> Any:
        self.reads += 1
        return await super().get(key)


async def test_what_nobody_has_is_looked_for_once() -> None:
    store = Counting()
    writer = album(store)
    await writer.add(read(segment_of(START_MS + 30 * MINUTE_MS)))
    assert store.reads > 60
    store.reads = 0
    await writer.add(read(segment_of(START_MS + 31 * MINUTE_MS)))
    assert store.reads <= 3
    assert await marks(store) == "." * 30 + "++" + "." * 28


async def test_a_damaged_segment_is_as_good_as_none() -> None:
    store = MemoryStore()
    await store.put_if(segment_key("binance", "ETHUSDT", START_MS, 60), b"damaged", match=None)
    await album(store).add(read(segment_of(START_MS + MINUTE_MS)))
    assert await marks(store) == ".+" + "." * 58


async def test_an_hour_whose_end_nobody_told_is_in_the_day_with_the_next_one() -> None:
    store = MemoryStore()
    writer = album(store)
    await writer.add(read(segment_of(START_MS - HOUR_MS)))
    for number in range(60):
        await writer.add(read(segment_of(START_MS + number * MINUTE_MS)))
    assert await marks(store, DAY.start_of(START_MS), DAY) == "." * 22 + "-+"
    # A minute of an hour that is over comes late: its day is told.
    await writer.add(read(segment_of(START_MS - 2 * HOUR_MS)))
    assert await marks(store, DAY.start_of(START_MS), DAY) == "." * 21 + "--+"


async def test_minutes_are_made_of_shorter_segments_once_all_are_there() -> None:
    store = MemoryStore()
    writer = album(store, length_s=20)
    for number in range(3):
        assert await tile_at(store, START_MS) is None
        segment = segment_of(START_MS + number * 20_000, length_s=20)
        await record(store, segment)
        await writer.add(read(segment))
    minute = await tile_at(store, START_MS)
    assert minute is not None
    assert minute.complete


async def test_a_missing_shorter_segment_is_a_hole() -> None:
    store = MemoryStore()
    writer = album(store, length_s=20)
    for number in (0, 2):
        segment = segment_of(START_MS + number * 20_000, length_s=20)
        await record(store, segment)
        await writer.add(read(segment))
    minute = await tile_at(store, START_MS)
    assert minute is not None
    assert minute.holes == ((START_MS + 20_000, START_MS + 40_000),)


async def test_longer_segments_are_several_minutes() -> None:
    store = MemoryStore()
    await album(store, length_s=7200).add(read(segment_of(START_MS - HOUR_MS, length_s=7200)))
    assert await marks(store, START_MS - HOUR_MS) == await marks(store) == "+" * 60
    assert await marks(store, DAY.start_of(START_MS), DAY) == "." * 22 + "++"


def test_segments_have_to_make_minutes() -> None:
    with pytest.raises(ValueError, match="90 s"):
        album(MemoryStore(), length_s=90)


async def test_damaged_tiles_and_lists_are_replaced() -> None:
    store = MemoryStore()
    keys = [tile_key("binance", "ETHUSDT", 0, START_MS), tile_key("binance", "ETHUSDT", 1, START_MS)]
    for key in (*keys, manifest_key("binance", "ETHUSDT")):
        await store.put_if(key, b"damaged", match=None)
    await album(store).add(read(segment_of(START_MS)))
    assert await tile_at(store, START_MS) is not None
    assert await marks(store) == "+" + "." * 59
    stored = await store.get(manifest_key("binance", "ETHUSDT"))
    assert stored is not None
    assert Manifest.decode(manifest_key("binance", "ETHUSDT"), stored.body).has(START_MS)


async def test_the_list_keeps_the_hours_of_others() -> None:
    store = MemoryStore()
    for number in (3, 1, 2):
        await album(store).add(read(segment_of(START_MS - number * HOUR_MS)))
    stored = await store.get(manifest_key("binance", "ETHUSDT"))
    assert stored is not None
    manifest = Manifest.decode(manifest_key("binance", "ETHUSDT"), stored.body)
    assert manifest.starts() == [START_MS - number * HOUR_MS for number in (3, 2, 1)]


class Unruly(MemoryStore):
    """A store whose writes come to nothing by chance, or are done and not told."""

    def __init__(self, chance: random.Random, outcomes: Mapping[Outcome, float]) -> None:
        super().__init__()
        self._chance = chance
        self._outcomes = outcomes

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        await asyncio.sleep(0)
        for outcome, share in self._outcomes.items():
            if self._chance.random() < share:
                if self._chance.random() < 0.5:
                    await super().put_if(key, body, **more)
                return PutResult(outcome, reason="by chance")
        return await super().put_if(key, body, **more)


@pytest.mark.parametrize("seed", range(3))
async def test_several_writers_of_one_symbol_make_the_tiles_that_one_makes(seed: int) -> None:
    chance = random.Random(seed)
    segments = [segment_of(START_MS + number * MINUTE_MS) for number in range(12)]
    expected, store = MemoryStore(), Unruly(chance, {Outcome.UNKNOWN: 0.1, Outcome.THROTTLED: 0.1})
    for segment in segments:
        await album(expected).add(read(segment))
        await MemoryStore.put_if(
            store, segment_key("binance", "ETHUSDT", segment.start_ms), encode(segment), match=None
        )

    async def write() -> None:
        writer = album(store, tries=20)
        mine = chance.sample(segments, len(segments))
        while mine:
            await asyncio.sleep(0)
            try:
                await writer.add(read(mine[0]))
            except StoreUnavailable:
                continue
            mine.pop(0)
            writer.check()

    await asyncio.gather(*(write() for _ in range(3)))
    async for entry in expected.list("heat/"):
        made, other = await store.get(entry.key), await expected.get(entry.key)
        assert made is not None
        assert other is not None
        assert made.body == other.body, entry.key
        parse_key(entry.key)


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.UNKNOWN, Outcome.THROTTLED])
async def test_a_store_that_takes_nothing_is_told_as_an_error(outcome: Outcome) -> None:
    store = Refusing(outcome)
    with pytest.raises(StoreUnavailable, match="is not written"):
        await album(store).add(read(segment_of(START_MS)))
    store.spared = ("zoom=0",)
    with pytest.raises(StoreUnavailable, match="zoom=1"):
        await album(store).add(read(segment_of(START_MS)))
    store.spared = ("zoom=0", "zoom=1")
    with pytest.raises(StoreUnavailable, match="index"):
        await album(store).add(read(segment_of(START_MS)))


class Refusing(MemoryStore):
    """A store that writes only some keys."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self._outcome = outcome
        self.spared: tuple[str, ...] = ()

    def spares(self, key: str) -> bool:
        return any(part in key for part in self.spared)

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        if self.spares(key):
            return await super().put_if(key, body, **more)
        return PutResult(self._outcome, reason="on purpose")
