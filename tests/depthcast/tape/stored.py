"""Segments in a store, with their indexes, as the updaters leave them there."""

from collections.abc import Iterable
from itertools import groupby

from depthcast.store import Outcome, Store
from depthcast.tape.index import DayIndex, DaysIndex, entry_of
from depthcast.tape.keys import date_of, day_index_key, index_key, segment_key
from depthcast.tape.parquet import encode
from depthcast.tape.segment import Segment


async def store_segments(store: Store, segments: Iterable[Segment]) -> None:
    """Write the segments of one symbol, oldest first, and their indexes."""
    days: DaysIndex | None = None
    for date, of_day in groupby(segments, key=lambda segment: date_of(segment.start_ms)):
        index: DayIndex | None = None
        for segment in of_day:
            venue, symbol = segment.venue, segment.symbol
            body = encode(segment)
            await put(store, segment_key(venue, symbol, segment.start_ms, segment.length_s), body)
            index = (index or DayIndex(venue, symbol, date)).with_entry(
                entry_of(segment, rows=1, size=len(body))
            )
        assert index is not None
        await put(store, day_index_key(index.venue, index.symbol, date), index.to_bytes())
        days = (days or DaysIndex(index.venue, index.symbol)).with_day(index)
    assert days is not None
    # The day before the last is finished, once there is another one.
    for date in days.unfinished:
        found = await store.get(day_index_key(days.venue, days.symbol, date))
        assert found is not None
        days = days.with_day(DayIndex.parse(date, found.body))
    await put(store, index_key(days.venue, days.symbol), days.to_bytes())


async def put(store: Store, key: str, body: bytes) -> None:
    """Write an object that may be there."""
    there = await store.get(key)
    result = await store.put_if(key, body, match=None if there is None else there.etag)
    assert result.outcome is Outcome.WON, result
