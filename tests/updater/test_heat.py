"""A replica's heatmaps, from the segments that it wrote."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.heat.keys import tile_key
from depthcast.heat.tile import Tile
from depthcast.heat.zooms import HOUR
from depthcast.store import Outcome, PutResult, StoredObject
from depthcast.store.memory import MemoryStore
from depthcast.tape.keys import segment_key
from depthcast.tape.parquet import encode
from tests.depthcast.heat.recordings import START_MS, segment_of
from updater.heat import Heatmaps

MINUTE_MS = 60_000


async def at_once(work: Callable[..., Any], /, *given: Any) -> Any:
    return work(*given)


class Troubled(MemoryStore):
    """A store that is away, slow or full of other things where that is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.reads: Counter[str] = Counter()

    async def get(self, key: str) -> StoredObject | None:
        self.reads[key] += 1
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable("away")
        return await super().get(key)

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        if self.away:
            return PutResult(Outcome.UNKNOWN, error=StoreUnavailable("away"))
        return await super().put_if(key, body, **more)


class World:
    """Heatmaps over a store, and what they tell."""

    def __init__(self, **more: Any) -> None:
        self.store = Troubled()
        self.written: list[tuple[int, int]] = []
        self.failed = self.dropped = 0
        self.heard = asyncio.Event()
        self.heatmaps = Heatmaps(self.store, observer=self, aside=at_once, retry_s=(0.001, 0.01), **more)

    def tile_written(self, zoom: int, size: int) -> None:
        self.written.append((zoom, size))
        self.heard.set()

    def tiles_failed(self) -> None:
        self.failed += 1
        self.heard.set()

    def tiles_dropped(self) -> None:
        self.dropped += 1
        self.heard.set()

    async def record(self, number: int, *, length_s: int = 60, body: bytes | None = None) -> str:
        """Put a segment on the tape and tell of it."""
        segment = segment_of(START_MS + number * length_s * 1000, length_s=length_s)
        key = segment_key("binance", "ETHUSDT", segment.start_ms, length_s)
        await MemoryStore.put_if(self.store, key, encode(segment) if body is None else body, match=None)
        await self.heatmaps.wrote(segment, key)
        return key

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.heard.clear()
                with suppress(TimeoutError):  # not all is told
                    await asyncio.wait_for(self.heard.wait(), 0.01)
                self.heatmaps.check()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.heatmaps.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def hour(self) -> str:
        key = tile_key("binance", "ETHUSDT", HOUR.number, START_MS)
        stored = await MemoryStore.get(self.store, key)
        return "" if stored is None else Tile.decode(key, stored.body).children


async def test_tiles_are_made_of_what_was_written() -> None:
    world = World()
    async with world.running():
        for number in range(3):
            await world.record(number)
        await world.until(lambda: len(world.written) == 6)
    assert await world.hour() == "+++" + "." * 57
    assert [zoom for zoom, _ in world.written] == [0, 1] * 3
    assert all(size > 100 for _, size in world.written)
    assert (world.failed, world.dropped, world.heatmaps.waiting) == (0, 0, 0)


async def test_while_the_store_is_away_segments_wait() -> None:
    world = World()
    world.store.away = True
    async with world.running():
        await world.record(0)
        await world.record(1)
        await world.until(lambda: world.failed >= 3)
        world.store.away = False
        await world.until(lambda: len(world.written) >= 3 and not world.heatmaps.waiting)
    assert await world.hour() == "++" + "." * 58


async def test_of_too_many_that_wait_the_earliest_goes_and_is_made_up_for() -> None:
    world = World(max_waiting=2)
    for number in range(4):
        await world.record(number)
    world.heatmaps.check()
    assert (world.dropped, world.heatmaps.waiting) == (2, 2)
    async with world.running():
        await world.until(lambda: len(world.written) == 6)
    assert await world.hour() == "++++" + "." * 56


async def test_what_waits_at_the_end_is_finished() -> None:
    world = World()
    await world.record(0)
    await world.heatmaps.finish(10)
    assert await world.hour() == "+" + "." * 59
    # One that was under way when it was told to end begins anew.
    world.store.gate.clear()
    key = ""
    async with world.running():
        key = await world.record(1)
        async with asyncio.timeout(30):
            while not world.store.reads[key]:  # noqa: ASYNC110
                await asyncio.sleep(0)
    assert world.heatmaps.waiting == 1
    world.store.gate.set()
    await world.heatmaps.finish(10)
    assert await world.hour() == "++" + "." * 58


async def test_the_end_does_not_wait_for_ever() -> None:
    world = World()
    world.store.gate.clear()
    await world.record(0)
    await world.heatmaps.finish(0.01)
    assert world.heatmaps.waiting == 1


async def test_a_damaged_segment_is_left_out_and_one_that_is_gone_too() -> None:
    world = World()
    async with world.running():
        await world.record(0, body=b"damaged")
        await world.heatmaps.wrote(None, segment_key("binance", "ETHUSDT", START_MS + 5 * MINUTE_MS, 60))
        await world.record(1)
        await world.until(lambda: len(world.written) == 2)
    assert world.dropped == 1
    assert await world.hour() == ".+" + "." * 58


async def test_what_nobody_thought_of_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def failing(*_: object) -> None:
        raise ZeroDivisionError

    async with world.running():
        with monkeypatch.context() as patched:
            patched.setattr("depthcast.heat.album.paint", failing)
            await world.record(0)
            await world.until(lambda: world.dropped == 1)
        await world.record(1)
        await world.until(lambda: len(world.written) >= 3)
    assert await world.hour() == "++" + "." * 58


async def test_segments_that_make_no_minutes_make_no_heatmap() -> None:
    world = World()
    await world.record(0, length_s=90)
    assert world.heatmaps.waiting == 0


async def test_of_many_symbols_the_least_recent_are_forgotten() -> None:
    world = World(max_albums=1)
    async with world.running():
        await world.record(0)
        await world.until(lambda: len(world.written) == 2)
        other = segment_key("binance", "BTCUSDT", START_MS, 60)
        await MemoryStore.put_if(world.store, other, encode(segment_of(START_MS)), match=None)
        await world.heatmaps.wrote(None, other)
        await world.until(lambda: len(world.written) == 4)
        await world.record(1)
        await world.until(lambda: len(world.written) == 6)
    world.heatmaps.check()
    assert await world.hour() == "++" + "." * 58
