"""Merged changes lead to the same book as the diffs they are made of."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthcast.book import Book
from depthcast.books import Change, Changes
from depthcast.events import Diff, Snapshot

Levels = list[list[str]]


def book_of(*bids: tuple[str, str]) -> Book:
    return Book.of(Snapshot(7, [list(level) for level in bids], [], True, True))


def diff(last: int, bids: Levels, asks: Levels | None = None) -> Diff:
    return Diff("X", last, last, last * 100, bids, asks or [])


def told(changes: Changes[Any], diff: Diff) -> None:
    changes.changed(diff.last, diff.event_time_ms, diff.bids, diff.asks)


async def taken(changes: Changes[str]) -> Change[str]:
    return await asyncio.wait_for(anext(changes), 5)


async def test_the_first_change_says_that_there_is_a_book() -> None:
    assert await taken(Changes("X", str, book=book_of(("2", "1")))) == ("X", 7, 0, [], [], 0, True, False)


async def test_a_reader_that_keeps_up_gets_each_diff() -> None:
    changes = Changes("X", str)
    for last in (8, 9):
        told(changes, diff(last, [["2.0", str(last)]], [["3.0", "0"]]))
        assert await taken(changes) == (
            "X",
            last,
            last * 100,
            [["2.0", str(last)]],
            [["3.0", "0"]],
            1,
            False,
            False,
        )


async def test_numbers_are_floats_where_they_are_asked_for() -> None:
    changes = Changes("X", float)
    told(changes, diff(8, [["2", "3"]]))
    (level,) = (await asyncio.wait_for(anext(changes), 5)).bids
    assert [type(number) for number in level] == [float, float]
    assert level == [2.0, 3.0]


async def test_a_slow_reader_gets_what_stands_now() -> None:
    changes = Changes("X", str)
    told(changes, diff(8, [["2.0", "1"], ["1.0", "1"]]))
    told(changes, diff(9, [["2.0", "0"]]))
    change = await taken(changes)
    assert (change.update_id, change.event_time_ms, change.diffs) == (9, 900, 2)
    assert change.bids == [["1.0", "1"], ["2.0", "0"]]


async def test_too_many_levels_are_not_kept_and_said_to_be_skipped() -> None:
    changes = Changes("X", str, max_levels=3)
    for last in range(8, 30):
        told(changes, diff(last, [[f"{last}", "1"], [f"{last}.5", "1"]]))
        changes.check()
    change = await taken(changes)
    assert (change.update_id, change.bids, change.asks, change.diffs) == (29, [], [], 22)
    assert change.skipped
    assert not change.rebuilt
    told(changes, diff(30, [["2", "1"]]))
    assert not (await taken(changes)).skipped


async def test_a_book_built_anew_makes_what_came_before_void() -> None:
    changes = Changes("X", str, max_levels=1)
    told(changes, diff(9, [["2", "1"], ["3", "1"]]))
    changes.rebuilt(book_of(("2", "1")))
    changes.check()
    told(changes, diff(8, [["2", "5"]]))
    change = await taken(changes)
    assert change[1:] == (8, 800, [], [], 2, True, False)


async def test_a_reader_waits_until_something_changes() -> None:
    changes = Changes("X", str)
    waiting = asyncio.ensure_future(anext(changes))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    told(changes, diff(8, []))
    assert (await asyncio.wait_for(waiting, 5)).update_id == 8


async def test_the_end_of_the_book_ends_the_changes_for_good() -> None:
    changes = Changes("X", str, book=book_of())
    changes.end()
    assert [change async for change in changes] == []
    with pytest.raises(StopAsyncIteration):
        await anext(changes)


async def test_a_reader_may_close_it() -> None:
    changes = Changes("X", str)
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    await changes.aclose()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(waiting, 5)


prices = st.sampled_from(["1", "1.0", "1.00", "2.0", "2.5", "3"])
diffs = st.lists(st.lists(st.tuples(prices, st.sampled_from(["0", "0.0", "1", "2"])).map(list), max_size=5))


@given(diffs, st.data())
@settings(max_examples=100, deadline=None)
def test_merged_changes_lead_to_the_same_levels_as_single_diffs(
    all_levels: list[Levels], data: st.DataObject
) -> None:
    """Also where one price comes in several spellings."""

    async def follow() -> None:
        changes, mine, theirs = Changes("X", str), dict[Decimal, str](), dict[Decimal, str]()
        for number, levels in enumerate(all_levels, 8):
            told(changes, diff(number, levels))
            changes.check()
            apply(theirs, levels)
            if data.draw(st.booleans()) or number == len(all_levels) + 7:
                apply(mine, (await taken(changes)).bids)
                assert mine == theirs

    asyncio.run(follow())


def apply(book: dict[Decimal, str], levels: Levels) -> None:
    for price, quantity in levels:
        book.pop(Decimal(price), None)
        if Decimal(quantity):
            book[Decimal(price)] = quantity
