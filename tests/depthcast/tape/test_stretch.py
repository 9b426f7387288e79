"""A stretch is each diff once, a book to begin with and one behind each hole."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from depthcast.book import Book
from depthcast.store.memory import MemoryStore
from depthcast.tape.reading import Tape
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment
from depthcast.tape.stretch import Run, stretch
from tests.depthcast.tape.stored import store_segments
from tests.depthcast.tape.tapes import START_MS, SYMBOL, chain, part

MINUTE_MS = 60_000


def runs(segments: Sequence[Segment], from_ms: int = 0, to_ms: int = START_MS + 10**7) -> list[Run]:
    async def read() -> list[Run]:
        store = MemoryStore()
        await store_segments(store, segments)
        return [run async for run in stretch(Tape(store), SYMBOL, from_ms, to_ms)]

    return asyncio.run(read())


def minutes(seed: int = 6) -> list[Segment]:
    """Three whole minutes that go on from each other, of a diff a second."""
    long = chain(Random(seed), 180, every_ms=1000)
    return [
        Segment.of(
            "binance",
            SYMBOL,
            START_MS + MINUTE_MS * at,
            60,
            [part(long, 60 * at, 60 * at + 60)],
            from_start=True,
            to_end=True,
        )
        for at in range(3)
    ]


def diffs_of(segments: Sequence[Segment]) -> list[RecordedDiff]:
    return [diff for segment in segments for diff in segment.diffs]


def book_of(run: Run) -> Book:
    assert run.keyframe is not None
    return Book.of(run.keyframe.snapshot())


def test_keyframes_between_segments_that_go_on_are_left_out() -> None:
    segments = minutes()
    got = runs(segments)
    assert [run.keyframe is not None for run in got] == [True, False, False]
    assert [diff for run in got for diff in run.diffs] == diffs_of(segments)
    assert got[0].keyframe == segments[0].pieces[0].keyframe


@pytest.mark.parametrize("skipped", [1, 59, 60, 61, 95, 179])
def test_it_begins_with_the_book_of_its_beginning_and_ends_before_its_end(skipped: int) -> None:
    segments = minutes()
    every = diffs_of(segments)
    got = runs(segments, START_MS + 1000 * skipped, START_MS + 179_000)
    book = Book.of(segments[0].pieces[0].keyframe.snapshot())
    for diff in every[:skipped]:
        book.apply(diff.diff(SYMBOL))
    opening = book_of(got[0])
    assert opening.body(5000) == book.body(5000)
    assert opening.event_time_ms == book.event_time_ms
    assert [diff for run in got for diff in run.diffs] == every[skipped:179]
    assert [run.keyframe is None for run in got[1:]] == [True] * (len(got) - 1)


def test_behind_each_hole_there_is_a_book_again() -> None:
    first, second, third = minutes()
    torn = Segment.of(
        "binance",
        SYMBOL,
        second.start_ms,
        60,
        [part(second, 0, 10), part(second, 30, 40)],
        from_start=True,
        to_end=False,
    )
    got = runs([first, torn, third])
    assert [run.keyframe is not None for run in got] == [True, False, True, True]
    assert [len(run.diffs) for run in got] == [60, 10, 10, 60]
    everything = runs([first, second, third])
    book = book_of(everything[0])
    for diff in diffs_of([first, second])[:90]:
        book.apply(diff.diff(SYMBOL))
    assert book_of(got[2]).body(5000) == book.body(5000)
    # What was known before a hole is no book of a time within it.
    within = runs([first, torn, third], second.start_ms + 15_000)
    assert [len(run.diffs) for run in within] == [10, 60]
    assert book_of(within[0]).update_id == torn.pieces[1].first_id


def test_a_later_epoch_begins_with_its_own_book() -> None:
    first, second, _ = minutes()
    [piece] = second.pieces
    frame = piece.keyframe._replace(update_id=5)
    diffs = tuple(diff._replace(first=6 + at, last=6 + at) for at, diff in enumerate(piece.diffs))
    later = replace(second, pieces=(Piece(1, frame, diffs),))
    got = runs([first, later])
    assert [(run.epoch, run.keyframe is not None) for run in got] == [(0, True), (1, True)]


def test_segments_of_two_lengths_that_overlap_tell_each_diff_once() -> None:
    segments = minutes()
    [piece] = segments[0].pieces
    short = Segment.of(
        "binance", SYMBOL, START_MS, 10, [part(segments[0], 0, 10)], from_start=True, to_end=True
    )
    got = runs([short, *segments])
    assert [diff for run in got for diff in run.diffs] == diffs_of(segments)
    assert got[0].keyframe == piece.keyframe


def test_nothing_is_told_of_a_time_without_a_tape() -> None:
    assert runs(minutes(), 0, START_MS) == []
    assert runs(minutes(), START_MS + 3 * MINUTE_MS) == []


async def test_levels_keep_their_members_where_a_stretch_begins_within_a_segment() -> None:
    frame = Keyframe(9, START_MS, 0, [("1.4", "5", "2"), ("1.3", "1", "1")], [("1.5", "2", "1")], True, True)
    diffs = [
        RecordedDiff(10, 10, START_MS + 1000, 0, [("1.4", "3", "1")], [], -1, 0, "a time"),
        RecordedDiff(11, 11, START_MS + 2000, 0, [], [("1.6", "2", "7")], -1, 0, "another"),
        RecordedDiff(12, 12, START_MS + 3000, 0, [("1.3", "0", "0")], [], -1, 0, "a third"),
    ]
    piece = Piece(0, frame, diffs)
    segment = Segment.of("coinbaseexchange", "BTC-USD", START_MS, 60, [piece], from_start=True, to_end=True)
    store = MemoryStore()
    await store_segments(store, [segment])
    tape = Tape(store, "coinbaseexchange")
    [run] = [each async for each in stretch(tape, "BTC-USD", START_MS + 2500, START_MS + 5000)]
    assert run.keyframe is not None
    assert [tuple(level) for level in run.keyframe.bids] == [("1.4", "3", "1"), ("1.3", "1", "1")]
    assert [tuple(level) for level in run.keyframe.asks] == [("1.5", "2", "1"), ("1.6", "2", "7")]
    assert run.keyframe.time == "another"
    assert [diff.last for diff in run.diffs] == [12]
    await tape.close()
