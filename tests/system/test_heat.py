"""The heatmap as a whole: what the tiles of a recorded capture show is what the exchange's book was."""

import asyncio
from random import Random

import pytest

from depthcast.heat.keys import manifest_key, tile_key
from depthcast.heat.manifest import Manifest
from depthcast.heat.tile import Tile
from depthcast.heat.zooms import DAY, HOUR, MINUTE
from depthcast.tape.keys import segment_key
from depthcast.tape.parquet import decode
from depthcast.tape.segment import Segment
from simulator.truth import ASK, BID, Change, TrueBook
from tests import virtual
from tests.depthcast.heat.pictures import Story, assert_shows
from tests.depthcast.tape.tapes import DATA, SYMBOL, captured
from tests.updater.tape.fleet import CountingStore, Exchange, Replica, at_once, stored
from updater.heat import Heatmaps

pytestmark = [
    pytest.mark.captures,
    pytest.mark.skipif(not DATA.exists(), reason="the captured exchange data is not beside the checkout"),
]

MINUTES = 8
PER_UNIT = 10_000
"""The capture's quantities have four decimals that are not zero."""


class Deaf:
    """Hears nothing of what becomes of tiles."""

    def tile_written(self, zoom: int, size: int) -> None: ...
    def tiles_failed(self) -> None: ...
    def tiles_dropped(self) -> None: ...


class Painter:
    """A replica's heatmaps, for as long as it lives."""

    def __init__(self, replica: Replica, store: CountingStore) -> None:
        heatmaps = Heatmaps(store, observer=Deaf(), aside=at_once, rng=Random(3))
        replica.recorder.listeners.append(heatmaps.wrote)
        self._running = asyncio.ensure_future(heatmaps.run())

    async def kill(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


async def record() -> CountingStore:
    """Two replicas record over an hour's end; the first in rank dies, and later the store is away."""
    minutes = captured()[:MINUTES]
    exchange = Exchange(minutes[0], [diff for segment in minutes for diff in segment.diffs])
    store = CountingStore()
    painters = {}
    for name in "ab":
        replica = Replica(name, exchange, store, misses=set())
        await replica.start()
        painters[name] = Painter(replica, store)

    async def events() -> None:
        await asyncio.sleep(140)
        await exchange.fleet["a"].kill()
        await painters["a"].kill()
        await asyncio.sleep(80)
        store.away = True
        await asyncio.sleep(70)
        store.away = False

    happening = asyncio.ensure_future(events())
    await exchange.play()
    await happening
    await exchange.fleet["b"].stop()
    await asyncio.sleep(60)
    await painters["b"].kill()
    return store


def stories() -> dict[int, Story]:
    """What was true in each minute, by a book of the simulator's; what is certain is told later."""
    minutes = captured()[:MINUTES]
    frame = minutes[0].pieces[0].keyframe
    book = TrueBook(_units(frame.bids), _units(frame.asks))
    told = {}
    for segment in minutes:
        bids, asks = list(book.sides[BID].items()), list(book.sides[ASK].items())
        diffs = []
        for diff in segment.diffs:
            changes = [
                Change(side, *level)
                for side, levels in ((BID, diff.bids), (ASK, diff.asks))
                for level in _units(levels)
            ]
            diffs.append((diff.event_time_ms, changes))
            for change in changes:
                book.apply(change)
        end_ms = segment.start_ms + MINUTE.tile_ms
        told[segment.start_ms] = Story(segment.start_ms, end_ms, 0, 0, bids, asks, diffs, PER_UNIT)
    return told


def _units(levels: object) -> list[tuple[int, int]]:
    assert isinstance(levels, list | tuple)
    return [(round(float(price) * 100), round(float(amount) * PER_UNIT)) for price, amount in levels]


def test_tiles_of_a_recorded_capture_show_what_the_exchanges_book_was() -> None:
    objects = stored(virtual.run(record()))
    written = {}
    for start_ms, story in stories().items():
        segment = decode(objects[segment_key("binance", SYMBOL, start_ms)].body)
        key = tile_key("binance", SYMBOL, MINUTE.number, start_ms)
        tile = written[start_ms] = Tile.decode(key, objects[key].body)
        assert tile.complete == segment.whole, start_ms
        if tile.complete:
            assert tile.rows > 20
            low, high = certain(segment)
            assert_shows(tile, [story._replace(low=low, high=high)], (start_ms // MINUTE.tile_ms * 7 % 60,))
    assert sum(tile.complete for tile in written.values()) == MINUTES - 2
    # The hours have all of them, although one was written while the store was away.
    hours = {HOUR.start_of(start_ms) for start_ms in written}
    assert len(hours) == 2
    for hour_ms in hours:
        key = tile_key("binance", SYMBOL, HOUR.number, hour_ms)
        hour = Tile.decode(key, objects[key].body)
        marks = {
            (start_ms - hour_ms) // MINUTE.tile_ms: "+" if tile.complete else "-"
            for start_ms, tile in written.items()
            if HOUR.start_of(start_ms) == hour_ms
        }
        assert hour.children == "".join(marks.get(number, ".") for number in range(60))
    # The first hour is over: its day has it.
    day_key = tile_key("binance", SYMBOL, DAY.number, DAY.start_of(min(hours)))
    assert Tile.decode(day_key, objects[day_key].body).children == "." * 23 + "-"
    index = manifest_key("binance", SYMBOL)
    assert Manifest.decode(index, objects[index].body).starts() == sorted(hours)


def certain(segment: Segment) -> tuple[int, int]:
    """The prices between which the recorded book was certain."""
    [piece] = segment.pieces
    bids, asks = _units(piece.keyframe.bids), _units(piece.keyframe.asks)
    return bids[-1][0], asks[-1][0]
