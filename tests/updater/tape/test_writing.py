"""One segment into the store: created, merged with what is there, entered into the indexes."""

import asyncio
from random import Random
from typing import Any

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.store import Outcome, PutResult
from depthcast.store.memory import MemoryStore
from depthcast.tape.index import DayIndex, DaysIndex
from depthcast.tape.keys import date_of, day_index_key, index_key, segment_key
from depthcast.tape.parquet import decode, encode
from depthcast.tape.segment import Segment
from tests.depthcast.tape.tapes import START_MS, SYMBOL, chain, part
from tests.updater.tape.fleet import CountingStore, at_once
from updater.tape.writing import Kept, SegmentWriter

KEY = segment_key("binance", SYMBOL, START_MS)
WHOLE = chain(Random(3), 30)


def torn(start: int, stop: int, **ends: bool) -> Segment:
    ends = {"from_start": False, "to_end": False} | ends
    return Segment.of("binance", SYMBOL, START_MS, 60, [part(WHOLE, start, stop)], **ends)


def moved(segment: Segment, minutes: int) -> Segment:
    """The same in another minute."""
    start_ms = START_MS + minutes * 60_000
    return Segment.of("binance", SYMBOL, start_ms, 60, segment.pieces, from_start=True, to_end=True)


def writer(store: MemoryStore, damaged: list[str] | None = None, *, replica: str = "a") -> SegmentWriter:
    told = [] if damaged is None else damaged
    return SegmentWriter(
        store, "binance", replica=replica, aside=at_once, on_damaged=lambda key, error: told.append(key)
    )


async def keep(store: MemoryStore, segment: Segment, damaged: list[str] | None = None) -> Kept:
    writing = writer(store, damaged)
    keeping = await writing.keep(lambda: segment)
    if keeping.entry is not None:
        await writing.enter(SYMBOL, keeping.entry)
    return keeping.kept


async def read(store: MemoryStore) -> Segment:
    found = await store.get(KEY)
    assert found is not None
    return decode(found.body)


async def day_of(store: MemoryStore, start_ms: int = START_MS) -> DayIndex:
    key = day_index_key("binance", SYMBOL, date_of(start_ms))
    found = await store.get(key)
    assert found is not None
    return DayIndex.parse(key, found.body)


async def test_a_segment_is_created_and_a_whole_one_stays_for_ever() -> None:
    store = CountingStore()
    assert await keep(store, WHOLE) is Kept.WRITTEN
    found = await store.get(KEY)
    assert found is not None
    assert "immutable" in (found.cache_control or "")
    assert found.metadata["whole"] == "true"
    assert found.metadata["first-id"] == str(WHOLE.first_id)
    assert found.content_type == "application/vnd.apache.parquet"
    assert await keep(store, torn(3, 9)) is Kept.FOUND
    assert store.won[KEY] == 1
    assert await writer(store).is_whole(SYMBOL, START_MS, 60)


async def test_one_with_holes_is_replaced_by_the_union_and_by_no_less() -> None:
    store = CountingStore()
    assert await keep(store, torn(0, 12, from_start=True)) is Kept.WRITTEN
    found = await store.get(KEY)
    assert found is not None
    assert found.cache_control == "no-cache"
    assert not await writer(store).is_whole(SYMBOL, START_MS, 60)
    assert await keep(store, torn(4, 9)) is Kept.FOUND
    assert await keep(store, torn(10, 30, to_end=True)) is Kept.MERGED
    assert await read(store) == WHOLE
    assert [entry.whole for entry in (await day_of(store)).entries] == [True]


async def test_replicas_that_write_at_once_lose_nothing() -> None:
    store = CountingStore()
    parts = [torn(0, 12, from_start=True), torn(9, 21), torn(20, 30, to_end=True)]
    await asyncio.gather(*(keep(store, each) for each in parts))
    assert await read(store) == WHOLE
    assert [entry[:2] for entry in (await day_of(store)).entries] == [(START_MS, 60)]


async def test_an_own_write_without_an_answer_is_known_again() -> None:
    class Silent(CountingStore):
        async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
            result = await super().put_if(key, body, **more)
            first = self.won[key] == 1 and result.outcome is Outcome.WON
            return PutResult(Outcome.UNKNOWN) if first else result

    store = Silent()
    assert await keep(store, WHOLE) is Kept.WRITTEN
    assert store.won[KEY] == 1
    # The same bytes of another replica are another's.
    assert (await writer(store, replica="b").keep(lambda: WHOLE)).kept is Kept.FOUND


async def test_what_is_no_segment_is_told_of_and_replaced() -> None:
    store, damaged = CountingStore(), list[str]()
    await store.put_if(KEY, b"PAR1", match=None)
    assert await keep(store, WHOLE, damaged) is Kept.WRITTEN
    assert damaged == [KEY]
    assert await read(store) == WHOLE


async def test_a_store_that_is_away_is_the_caller_s_to_wait_for() -> None:
    store = CountingStore()
    store.away = True
    with pytest.raises(StoreUnavailable):
        await keep(store, WHOLE)

    class Refusing(MemoryStore):
        async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
            return PutResult(Outcome.THROTTLED)

    with pytest.raises(StoreUnavailable, match="8 attempts"):
        await keep(Refusing(), WHOLE)


# Indexes


async def test_what_a_writer_that_died_did_not_enter_the_next_one_does() -> None:
    store = CountingStore()
    await keep(store, WHOLE)
    lost = moved(torn(3, 9), 1)
    lost = Segment.of("binance", SYMBOL, lost.start_ms, 60, lost.pieces, from_start=False, to_end=True)
    assert (await writer(store).keep(lambda: lost)).kept is Kept.WRITTEN
    assert len((await day_of(store)).entries) == 1
    await keep(store, moved(WHOLE, 2))
    entries = (await day_of(store)).entries
    assert [(entry.start_ms - START_MS, entry.whole) for entry in entries] == [
        (0, True),
        (60_000, False),
        (120_000, True),
    ]
    assert entries[1].holes == lost.holes


async def test_a_lost_or_damaged_index_is_made_anew_of_the_segments() -> None:
    store, damaged = CountingStore(), list[str]()
    for minute in (0, 1, 2):
        await keep(store, moved(WHOLE, minute))
    key = day_index_key("binance", SYMBOL, date_of(START_MS))
    found = await store.get(key)
    assert found is not None
    await store.put_if(key, b"?", match=found.etag)
    await keep(store, moved(WHOLE, 3), damaged)
    assert damaged == [key]
    assert len((await day_of(store)).entries) == 4


async def test_the_index_of_days_is_written_when_a_day_begins_and_says_how_the_one_before_ended() -> None:
    store = CountingStore()
    key = index_key("binance", SYMBOL)
    for minute in (0, 5, 6, 7):
        await keep(store, moved(WHOLE, minute))
    # The seventh minute is the next day's first.
    assert store.won[key] == 2
    found = await store.get(key)
    assert found is not None
    days = DaysIndex.parse(key, found.body).days
    assert [day.date for day in days] == ["2024-08-08", "2024-08-09"]
    assert days[0].last_id == WHOLE.last_id
    assert days[1].last_id is None


async def test_a_damaged_index_of_days_is_made_anew() -> None:
    store, damaged = CountingStore(), list[str]()
    key = index_key("binance", SYMBOL)
    await store.put_if(key, b"?", match=None)
    await keep(store, WHOLE, damaged)
    assert damaged == [key]
    found = await store.get(key)
    assert found is not None
    assert len(DaysIndex.parse(key, found.body).days) == 1


def test_equal_segments_make_equal_files() -> None:
    assert encode(WHOLE) == encode(decode(encode(WHOLE)))
