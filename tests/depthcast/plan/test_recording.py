"""The tape and the heatmap as planned, beside what the updater's own writers ask of a store in an hour."""

from collections import Counter
from functools import partial
from typing import Any

import pytest

from depthcast.heat.album import Album
from depthcast.plan.recording import Recording
from depthcast.store import PutResult, StoredObject
from depthcast.store.memory import MemoryStore
from depthcast.tape.keys import segment_key
from depthcast.tape.parquet import columns
from depthcast.tape.segment import Segment
from tests.depthcast.heat.recordings import START_MS, piece_of, segment_of
from updater.tape.writing import Kept, SegmentWriter

HOUR_S = 3600
MIDNIGHT_MS = START_MS + HOUR_S * 1000
"""Of a day that lacks no hours before it."""


class Counting(MemoryStore):
    """Counts what is asked of it, by the kind of request and the folder of the key."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[tuple[str, str]] = Counter()

    def _count(self, kind: str, key: str, size: int) -> None:
        what = kind, "heat" if key.startswith("heat/") else "index" if key.endswith("json") else "tape"
        self.asked[what] += 1
        self.bytes[what] += size

    async def get(self, key: str) -> StoredObject | None:
        found = await super().get(key)
        self._count("GET", key, 0 if found is None else len(found.body))
        return found

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self._count("GET", key, length)
        return await super().peek(key, length)

    async def put_if(self, key: str, body: bytes, **given: Any) -> PutResult:
        self._count("PUT", key, len(body))
        return await super().put_if(key, body, **given)


def _same(made: Segment) -> Segment:
    return made


async def at_once(work: Any, /, *given: Any) -> Any:
    return work(*given)


@pytest.mark.parametrize("segment_s", [60, 30])
async def test_an_hour_of_real_writers_asks_what_is_planned(segment_s: int) -> None:
    store = Counting()
    writer = SegmentWriter(store, "binance", replica="a", aside=at_once)
    album = Album(store, "binance", "ETHUSDT", length_s=segment_s, aside=at_once)
    for number in range(HOUR_S // segment_s):
        start_ms = MIDNIGHT_MS + number * segment_s * 1000
        made = segment_of(start_ms, piece_of(7, [], at_ms=start_ms - 1000), length_s=segment_s)
        keeping = await writer.keep(partial(_same, made))
        assert keeping.kept is Kept.WRITTEN
        assert keeping.entry is not None
        await writer.enter("ETHUSDT", keeping.entry)
        # As the heatmaps do: what was written is read from the store.
        stored = await store.get(segment_key("binance", "ETHUSDT", start_ms, segment_s))
        assert stored is not None
        await album.add(columns(stored.body))
    planned = Recording(10.0, segment_s)
    asked = {what: count / HOUR_S for what, count in store.asked.items()}
    assert asked["PUT", "tape"] + asked["PUT", "index"] == pytest.approx(planned.puts_per_s, rel=0.05)
    assert asked["GET", "index"] == pytest.approx(planned.gets_per_s, rel=0.05)
    assert asked["PUT", "heat"] == pytest.approx(planned.heat_puts_per_s, rel=0.05)
    assert asked["GET", "heat"] + asked["GET", "tape"] == pytest.approx(planned.heat_gets_per_s, rel=0.05)


def test_a_day_is_kept_as_it_is_written() -> None:
    one = Recording(10.0)
    assert one.day_bytes == pytest.approx(86_400 * one.written_per_s, rel=0.4)
    # What bench.tape measured of ten updates a second: 8.3 MB an hour.
    assert one.segment_bytes * 60 == pytest.approx(8.3e6, rel=0.05)
    # And bench.heat of an hour of tiles with its own: 330 kB.
    assert one.heat_day_bytes / 24 == pytest.approx(330e3, rel=0.05)
    assert Recording(10.0, 10.0).puts_per_s > 5 * one.puts_per_s
    heat = one.heat_puts_per_s * 86_400
    assert heat == pytest.approx(1440 * 2 + 24 * 2)
    assert one.read_per_s < one.written_per_s
    # An hour's tile is written again with each of its minutes, and read for it.
    assert one.heat_written_per_s > one.heat_day_bytes / 86_400
    assert one.heat_read_per_s > one.segment_bytes / 60
