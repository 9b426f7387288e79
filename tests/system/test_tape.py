"""The tape as a whole: what a fleet records of a capture while its replicas fail is what the capture has."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from depthcast.store.memory import MemoryStore
from depthcast.tape.index import DayIndex, DaysIndex, Entry
from depthcast.tape.keys import day_index_key, index_key, parse_segment_key
from depthcast.tape.parquet import decode
from depthcast.tape.segment import Segment
from tests import virtual
from tests.depthcast.tape.tapes import DATA, START_MS, SYMBOL, NaiveBook, captured, exact
from tests.updater.tape.fleet import CountingStore, Exchange, Replica, known, stored

pytestmark = [
    pytest.mark.captures,
    pytest.mark.skipif(not DATA.exists(), reason="the captured exchange data is not beside the checkout"),
]

NAMES = ("a", "b", "c")


def gaps(rng: Random, count: int, of: int) -> dict[str, set[int]]:
    """Diffs that single replicas miss: in a row, and never the same ones as another."""
    missed: dict[str, set[int]] = {name: set() for name in NAMES}
    # A replica needs a while to get its book again, in which the others are to have theirs.
    for at in range(count):
        start = 400 + at * (of - 500) // count + rng.randrange(30)
        missed[rng.choice(NAMES)] |= set(range(start, start + rng.choice((1, 1, 3, 20))))
    return missed


async def record(
    events: Callable[[Exchange, CountingStore, dict[str, set[int]]], Awaitable[None]],
) -> CountingStore:
    """Play the capture to a fleet, to which ``events`` happen."""
    minutes = captured()
    diffs = [diff for segment in minutes for diff in segment.diffs]
    exchange, store = Exchange(minutes[0], diffs), CountingStore()
    misses = gaps(Random(7), 30, len(diffs))
    for name in NAMES:
        await Replica(name, exchange, store, misses=misses[name]).start()
    happening = asyncio.ensure_future(events(exchange, store, misses))
    await exchange.play()
    await happening
    # The last minute is cut off with the capture; whoever is left writes what it has.
    for replica in list(exchange.fleet.values()):
        await replica.stop()
    return store


def segments_in(store: MemoryStore) -> dict[int, Segment]:
    found = {}
    for key, held in stored(store).items():
        if key.endswith(".parquet"):
            segment = decode(held.body, key)
            assert parse_segment_key(key)[2:] == (segment.start_ms, segment.length_s)
            found[segment.start_ms] = segment
    return dict(sorted(found.items()))


def test_three_replicas_that_are_killed_and_miss_diffs_record_the_capture_exactly() -> None:
    async def events(exchange: Exchange, store: CountingStore, misses: dict[str, set[int]]) -> None:
        fleet = exchange.fleet

        async def anew(name: str) -> None:
            await Replica(name, exchange, store, misses=misses[name]).start()

        await asyncio.sleep(75)
        await fleet["a"].kill()  # the first in rank, in mid-minute
        await asyncio.sleep(40)
        await anew("a")
        await asyncio.sleep(60)
        await fleet["b"].stop()
        await asyncio.sleep(5)
        await anew("b")  # in the same minute
        await asyncio.sleep(40)
        store.away = True
        await asyncio.sleep(90)
        store.away = False
        await asyncio.sleep(30)
        await fleet["a"].stop()
        await fleet["c"].kill()
        await asyncio.sleep(20)
        await anew("c")
        await anew("a")
        await asyncio.sleep(100)
        await fleet["b"].kill()

    store = virtual.run(record(events))
    minutes = captured()
    written = segments_in(store)
    # Nobody knows how the first minute began, nor how the last one ends; all others are whole.
    assert list(written) == [segment.start_ms for segment in minutes]
    torn = [start_ms for start_ms, segment in written.items() if not segment.whole]
    assert torn == [minutes[0].start_ms, minutes[-1].start_ms]
    assert known(list(written.values())) == known(minutes)
    # A minute is written again only by a replica that knows more of it.
    wins = [store.won[key] for key in stored(store) if key.endswith(".parquet")]
    assert len(wins) == len(minutes)
    assert max(wins) <= len(NAMES), wins
    book = NaiveBook(minutes[0].first_id, *minutes[0].pieces[0].keyframe[3:5])
    for segment in written.values():
        [piece] = segment.pieces
        assert piece.first_id == book.update_id
        for side, (frame, true) in enumerate(zip(piece.keyframe[3:5], book.levels(), strict=True)):
            assert len(frame) > 100, side
            assert exact(frame) == true[: len(frame)]
        for diff in piece.diffs:
            book.apply(diff)
    indexes(store, written)


def indexes(store: MemoryStore, written: dict[int, Segment]) -> None:
    """The indexes say what the segments do."""
    objects = stored(store)
    days = DaysIndex.parse("days", objects[index_key("binance", SYMBOL)].body)
    assert [day.date for day in days.days] == ["2024-08-08", "2024-08-09"]
    entries: list[Entry] = []
    for day in days.days:
        key = day_index_key("binance", SYMBOL, day.date)
        entries += DayIndex.parse(key, objects[key].body).entries
    told = [(entry.start_ms, entry.first_id, entry.last_id, entry.whole, entry.holes) for entry in entries]
    assert told == [
        (segment.start_ms, segment.first_id, segment.last_id, segment.whole, segment.holes)
        for segment in written.values()
    ]
    assert days.days[0].last_id == written[START_MS + 5 * 60_000].last_id
    assert not days.days[0].whole
