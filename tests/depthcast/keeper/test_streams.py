"""Books that their stream begins: begun, broken, renewed, doubted; nobody asks the venue for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from depthcast.events import LevelSnapshot, TopLevels
from depthcast.keeper import LiveBook
from depthcast.rows import Action, Row, RowBook, RowsChanged, RowSnapshot
from depthcast.sync import Verdict
from depthcast.unsequenced import BITS_OF_MS, StreamSync, stream_syncs
from tests.depthcast.keeper.world import Shelf, World, snapshot

BID: Row = (1, True, 5, "2.5", "")
ASK: Row = (2, False, 3, "2.6", "")


@asynccontextmanager
async def keeping(*symbols: str, **settings: Any) -> AsyncIterator[World]:
    # The world's clock runs ahead while a test waits.
    settings = {"begin_within_s": 1e9, "quiet_after_s": 1e9} | settings
    world = World(sync_of=stream_syncs(BITS_OF_MS), book_of=lambda _: RowBook.of, **settings)
    world.keeper.subscribe(symbols or ("X",))
    running = asyncio.create_task(world.keeper.run())
    try:
        yield world
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def begin(world: World, time: int, symbol: str = "X", rows: tuple[Row, ...] = (BID, ASK)) -> None:
    take(world, LevelSnapshot(symbol, RowSnapshot(symbol, time, rows, time)))


def update(world: World, time: int, size: int, symbol: str = "X") -> None:
    row: Row = (1, True, size, None, "")
    take(world, RowsChanged(symbol, time, time, time, Action.UPDATE, [row]))


def take(world: World, event: Any) -> None:
    world.keeper.take(event)


async def pass_s(world: World, seconds: float) -> None:
    until = world.now + seconds
    while world.now < until:  # noqa: ASYNC110 - the keeper under test moves this clock
        await asyncio.sleep(0)


async def begun(world: World, time: int = 1000, symbol: str = "X") -> LiveBook:
    begin(world, time, symbol)
    update(world, time + 1, 6, symbol)
    update(world, time + 2, 7, symbol)
    return await world.live(symbol)


async def test_the_stream_begins_the_book_and_nobody_is_asked_for_it() -> None:
    shelf = Shelf()
    shelf.put(3, snapshot(5))
    async with keeping(warm=shelf) as world:
        live = await begun(world)
        assert (live.source, live.epoch) == ("stream", 3)
        assert live.book is not None
        assert live.book.update_id == (1002 << BITS_OF_MS) + 1
        update(world, 1003, 8)
        assert world.changes["X"][-1] == (1003 << BITS_OF_MS) + 1
        assert world.rest.asked == []
        assert world.log.broken == []


async def test_a_quiet_book_is_shown_all_the_same() -> None:
    async with keeping(quiet_after_s=2.0) as world:
        begin(world, 1000)
        live = await world.live()
        assert live.book is not None
        assert live.book.update_id == 1000 << BITS_OF_MS
        assert world.now >= 2.0


async def test_a_subscription_that_brings_no_book_is_made_anew() -> None:
    async with keeping(begin_within_s=10.0) as world:
        update(world, 999, 5)
        await world.until(lambda: world.feed.renewed)
        live = await begun(world)
        assert live.live
        # It may have been asked for once more before the book came.
        assert set(world.feed.renewed) == {"X"}


async def test_a_contradiction_breaks_one_book_and_subscribes_to_it_anew() -> None:
    async with keeping("X", "Y") as world:
        live, other = await begun(world), await begun(world, symbol="Y")
        before = live.sync.book
        gone: Row = (77, True, None, None, "")
        take(world, RowsChanged("X", 1010, 1010, 1010, Action.DELETE, [gone]))
        assert world.log.broken == [("X", Verdict.BAD.value)]
        assert world.feed.renewed == ["X"]
        assert live.sync.book is before
        assert other.live
        # What still comes of the former subscription is not taken for the new one's.
        update(world, 1011, 9)
        assert not live.live
        await begun(world, 1020)
        update(world, 1030, 11)
        assert live.book is not None
        assert live.book.best_bid == ("2.5", "11")


async def test_a_lost_connection_breaks_its_books_and_is_not_subscribed_to_twice() -> None:
    async with keeping("X", "Y") as world:
        live, other = await begun(world), await begun(world, symbol="Y")
        kept = live.sync.book
        world.keeper.lost(["X", "unknown"])
        assert world.log.broken == [("X", "connection lost")]
        assert world.feed.renewed == []
        assert other.live
        assert live.sync.book is kept
        # A book that has not begun again yet is not broken a second time.
        begin(world, 1500)
        world.keeper.lost(["X"])
        assert world.log.broken == [("X", "connection lost")]
        await begun(world, 2000)
        assert live.book is not None
        assert live.book.update_id == (2002 << BITS_OF_MS) + 1


async def test_sides_that_cross_break_the_book() -> None:
    async with keeping() as world:
        await begun(world)
        crossing: Row = (9, True, 1, "2.6", "")
        take(world, RowsChanged("X", 1010, 1010, 1010, Action.INSERT, [crossing]))
        assert world.log.broken == [("X", "crossed")]
        assert world.feed.renewed == ["X"]


async def test_a_disagreement_that_lasts_breaks_the_book() -> None:
    async with keeping("X", "Y", disagree_for_s=5.0) as world:
        live = await begun(world)
        await begun(world, symbol="Y")
        take(world, TopLevels("X", 1002, [(2.5, 7)], [(2.6, 3)], 10))
        assert isinstance(live.sync, StreamSync)
        assert live.sync.agreement.agreed == 1
        began = world.now
        take(world, TopLevels("X", 1003, [(2.5, 8)], [(2.6, 3)], 10))
        await world.until(lambda: world.log.broken)
        assert world.log.broken == [("X", "disagrees")]
        assert world.log.broken_at[0] - began >= 5.0
        assert world.feed.renewed == ["X"]


async def test_a_disagreement_that_passes_breaks_nothing() -> None:
    async with keeping(disagree_for_s=5.0) as world:
        live = await begun(world)
        take(world, TopLevels("X", 1002, [(2.5, 7)], [(2.6, 3)], 10))
        for step in range(20):
            # The second stream is ahead each time, and the first one gets there.
            take(world, TopLevels("X", 1010 + step, [(2.5, 20 + step)], [(2.6, 3)], 10))
            await pass_s(world, 2)
            update(world, 1010 + step, 20 + step)
        assert world.log.broken == []
        assert live.live


async def test_such_a_book_is_never_refilled_and_is_confirmed_by_its_venue() -> None:
    async with keeping(audit_every_s=1.0, refill_below=100) as world:
        await begun(world)
        await pass_s(world, 10)
        assert world.rest.asked == []
        world.rest.books["X"] = snapshot(99)
        assert await world.keeper.confirm("X") == 99
