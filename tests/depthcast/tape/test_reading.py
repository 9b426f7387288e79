"""A tape is found by time and by update id with few reads, held within bounds, and read in order."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar

import pytest

from depthcast.errors import BadFile, NotOnTape
from depthcast.files import Version
from depthcast.store import StoredObject
from depthcast.store.memory import MemoryStore
from depthcast.tape.asked import Asked, parse_asked
from depthcast.tape.keys import day_index_key, index_key, segment_key
from depthcast.tape.reading import MAX_INDEXES, Tape
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment
from tests.depthcast.tape.stored import put, store_segments
from tests.depthcast.tape.tapes import SYMBOL

T = TypeVar("T")

# Two minutes before midnight, so that the tape has two days.
START_MS = 1_723_161_480_000
MINUTE_MS = 60_000


def minute(number: int, *, epoch: int = 0, first_id: int | None = None, holes: str = "") -> Segment:
    """A minute of the tape: ids 100 to 109 in the first one, and so on; a diff every six seconds, of one id.

    ``holes``: ``start`` and ``end`` where it is not known from its beginning or to its end.
    """
    start_ms = START_MS + number * MINUTE_MS
    base = 100 + 10 * number if first_id is None else first_id
    frame = Keyframe(base, start_ms - 6000, 0, [("1.0", str(base))], [("2.0", "1")], True, True)
    diffs = tuple(
        RecordedDiff(base + at, base + at, start_ms + 6000 * (at - 1), 0, [("1.0", str(base + at))], [])
        for at in range(1, 11)
    )
    return Segment.of(
        "binance",
        SYMBOL,
        start_ms,
        60,
        [Piece(epoch, frame, diffs)],
        from_start="start" not in holes,
        to_end="end" not in holes,
    )


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def reading(doing: Callable[[Tape, MemoryStore], Awaitable[T]], *segments: Segment, **options: Any) -> T:
    """What ``doing`` makes of a tape of these segments."""

    async def run() -> T:
        store = MemoryStore()
        if segments:
            await store_segments(store, segments)
        tape = Tape(store, **options)
        try:
            return await doing(tape, store)
        finally:
            tape.check()
            await tape.close()

    return asyncio.run(run())


MINUTES = tuple(minute(number) for number in range(5))


def test_a_time_costs_two_reads_and_an_update_id_three() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> None:
        for number in range(5):
            at_s = 6 * number + 3
            cold = Tape(store)
            moment = await cold.at(SYMBOL, Asked(time_ms=START_MS + number * MINUTE_MS + at_s * 1000))
            assert moment.version == Version(0, 100 + 10 * number + number + 1)
            assert (cold.reads, moment.final) == (2, True)
            cold = Tape(store)
            moment = await cold.at(SYMBOL, Asked(update_id=105 + 10 * number))
            assert moment.body(5).startswith(
                b'{"lastUpdateId":%d,"bids":[["1.0","%d"]]' % ((105 + 10 * number,) * 2)
            )
            assert cold.reads == 3

    reading(ask, *MINUTES)


def test_what_is_held_is_not_read_again_until_it_may_have_changed() -> None:
    clock = Clock()

    async def ask(tape: Tape, store: MemoryStore) -> None:
        torn, whole = Asked(time_ms=START_MS + 240_000), Asked(update_id=105)
        for asked, reads in ((torn, 2), (torn, 2), (whole, 4), (whole, 4)):
            await tape.at(SYMBOL, asked)
            assert tape.reads == reads
        clock.now_s = 1.0
        # The indexes again and the one that was not whole; the whole one is for good.
        await tape.at(SYMBOL, torn)
        assert tape.reads == 6
        await tape.at(SYMBOL, whole)
        assert tape.reads == 7

    reading(ask, *MINUTES[:4], minute(4, holes="end"), clock=clock)


def test_a_segment_that_was_completed_is_seen() -> None:
    clock = Clock()

    async def ask(tape: Tape, store: MemoryStore) -> None:
        asked = Asked(time_ms=START_MS + 58_000)
        with pytest.raises(NotOnTape, match="hole"):
            await tape.at(SYMBOL, asked)
        await store_segments(store, MINUTES[:2])
        clock.now_s = 1.0
        assert (await tape.at(SYMBOL, asked)).version == Version(0, 110)

    reading(ask, minute(0, holes="end"), MINUTES[1], clock=clock)


def test_memory_is_bounded_and_what_was_asked_for_last_stays() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> None:
        for number in (0, 1, 2, 0):
            await tape.at(SYMBOL, Asked(time_ms=START_MS + number * MINUTE_MS))
            tape.check()
        reads = tape.reads
        await tape.at(SYMBOL, Asked(time_ms=START_MS + 2 * MINUTE_MS))
        assert tape.reads == reads
        await tape.at(SYMBOL, Asked(time_ms=START_MS + MINUTE_MS))
        assert tape.reads == reads + 1
        for number in range(MAX_INDEXES + 5):
            await tape.days(f"S{number}")
        tape.check()

    reading(ask, *MINUTES[:3], max_bytes=12_000, refresh_s=60)


def test_those_who_want_the_same_at_once_share_one_read() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> int:
        asked = Asked(time_ms=START_MS)
        await asyncio.gather(*(tape.at(SYMBOL, asked) for _ in range(20)))
        return tape.reads

    assert reading(ask, *MINUTES) == 2


@pytest.mark.parametrize(
    ("asked", "in_hole", "why"),
    [
        (f"{START_MS - 1}", False, "outside of what was recorded; there is times from"),
        (f"{START_MS + 5 * MINUTE_MS}", False, "outside"),
        (f"{START_MS + 2 * MINUTE_MS}", True, "in a hole"),
        ("99", False, "update id 99 is outside of what was recorded; there is times from"),
        ("151", False, "update ids 0:100 to 0:150"),
        ("123", True, "in a hole"),
        ("0:123", True, "in a hole"),
        ("1:123", False, "update id 1:123 is outside"),
    ],
)
def test_what_was_not_recorded_is_told_with_what_was(asked: str, in_hole: bool, why: str) -> None:
    async def ask(tape: Tape, store: MemoryStore) -> NotOnTape:
        with pytest.raises(NotOnTape) as caught:
            await tape.at(SYMBOL, parse_asked(asked))
        return caught.value

    refused = reading(ask, *MINUTES[:2], *MINUTES[3:])
    assert why in str(refused)
    assert refused.in_hole is in_hole


def test_without_a_tape_there_is_no_moment() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> None:
        for asked in (Asked(time_ms=START_MS), Asked(update_id=7)):
            with pytest.raises(NotOnTape, match="there is no tape of that symbol"):
                await tape.at(SYMBOL, asked)
        assert await tape.extent(SYMBOL) is None
        # An index of days without the days' own, or one of a day that has nothing.
        await put(store, index_key("binance", SYMBOL), await days_of(store))
        assert await Tape(store).extent(SYMBOL) is None

    async def days_of(store: MemoryStore) -> bytes:
        other = MemoryStore()
        await store_segments(other, MINUTES[:1])
        found = await other.get(index_key("binance", SYMBOL))
        assert found is not None
        return found.body

    reading(ask)


def test_a_time_is_found_without_any_index() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> None:
        await store_segments(store, MINUTES[:1])
        other = MemoryStore()
        found = await store.get(segment_key("binance", SYMBOL, START_MS))
        assert found is not None
        await put(other, segment_key("binance", SYMBOL, START_MS), found.body)
        assert (await Tape(other).at(SYMBOL, Asked(time_ms=START_MS))).version == Version(0, 101)

    reading(ask)


def test_the_tape_begins_and_ends_where_its_holes_do() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> None:
        extent = await tape.extent(SYMBOL)
        assert extent == (START_MS - 0, START_MS + MINUTE_MS + 54_000, (0, 100), (0, 120), True)

    reading(ask, minute(0, holes="start"), minute(1, holes="end"))


def test_an_id_that_came_again_is_the_later_one_unless_its_epoch_is_named() -> None:
    later = minute(1, epoch=1, first_id=95)

    async def ask(tape: Tape, store: MemoryStore) -> None:
        assert (await tape.at(SYMBOL, parse_asked("103"))).version == Version(1, 103)
        assert (await tape.at(SYMBOL, parse_asked("0:103"))).version == Version(0, 103)
        assert (await tape.at(SYMBOL, parse_asked("108"))).version == Version(0, 108)

    reading(ask, MINUTES[0], later)


def test_segments_come_in_order_and_none_is_held() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> None:
        from_ms, to_ms = START_MS + MINUTE_MS + 1, START_MS + 4 * MINUTE_MS
        entries = await tape.entries(SYMBOL, from_ms, to_ms)
        assert [entry.first_id for entry in entries] == [110, 120, 130]
        got = [segment async for segment in tape.segments(SYMBOL, from_ms, to_ms)]
        assert [segment.first_id for segment in got] == [110, 120, 130]
        assert tape.bytes_held == 0
        assert [segment async for segment in tape.segments(SYMBOL, 0, START_MS)] == []
        async for segment in tape.segments(SYMBOL, 0, to_ms):
            # Who goes away in the middle leaves nothing behind.
            assert segment.first_id == 100
            break

    reading(ask, *MINUTES)


def test_a_damaged_object_is_told() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> None:
        await put(store, segment_key("binance", SYMBOL, START_MS), b"PAR1")
        with pytest.raises(BadFile):
            await tape.at(SYMBOL, Asked(time_ms=START_MS))
        await put(store, day_index_key("binance", SYMBOL, "2024-08-08"), b"[]")
        with pytest.raises(BadFile):
            await tape.at(SYMBOL, Asked(update_id=105))

    reading(ask, *MINUTES[:1])


def test_who_gives_up_does_not_end_the_read_of_others() -> None:
    class Slow(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.gate = asyncio.Event()

        async def get(self, key: str) -> StoredObject | None:
            if key.endswith(".parquet"):
                await self.gate.wait()
            return await super().get(key)

    async def ask() -> None:
        store = Slow()
        store.gate.set()
        await store_segments(store, MINUTES[:1])
        store.gate.clear()
        tape = Tape(store)
        first, second = (asyncio.create_task(tape.at(SYMBOL, Asked(time_ms=START_MS))) for _ in range(2))
        while tape.reads < 2:  # noqa: ASYNC110 - a read tells nobody that it began
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        store.gate.set()
        assert (await second).version == Version(0, 101)
        hanging = asyncio.create_task(Tape(store).at(SYMBOL, Asked(time_ms=START_MS)))
        store.gate.clear()
        await asyncio.sleep(0)
        hanging.cancel()
        await tape.close()

    asyncio.run(ask())


def test_chance_finds_each_book_by_its_id_and_its_time() -> None:
    async def ask(tape: Tape, store: MemoryStore) -> None:
        rng = Random(4)
        for _ in range(200):
            at = rng.randrange(50)
            by_time = Asked(time_ms=START_MS + 6000 * at + rng.randrange(6000))
            for asked in (by_time, Asked(update_id=101 + at)):
                assert (await tape.at(SYMBOL, asked)).version == Version(0, 101 + at)

    reading(ask, *MINUTES)
