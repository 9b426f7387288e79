"""Books that their stream begins: begun, broken, renewed, doubted, compared with the venue's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from depthcast.book import Audit
from depthcast.errors import VenueUnavailable
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
    forever = ("begin_within_s", "quiet_after_s", "audit_every_s", "doubt_after_s")
    settings = dict.fromkeys(forever, 1e9) | settings
    sync_of = stream_syncs(BITS_OF_MS, compared=True, witness=settings.pop("witness", 0))
    world = World(sync_of=sync_of, book_of=lambda _: RowBook.of, **settings)
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
    """A book that has begun at this moment."""
    world.held = True
    begin(world, time, symbol)
    update(world, time + 1, 6, symbol)
    update(world, time + 2, 7, symbol)
    live = await world.live(symbol)
    world.held = False
    return live


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
    async with keeping(refill_below=100) as world:
        await begun(world)
        await pass_s(world, 10)
        assert world.rest.asked == []
        world.rest.books["X"] = snapshot(99)
        assert await world.keeper.confirm("X") == 99


# Compared with the venue's


def told(*rows: Row, time: int = 5000, symbol: str = "X") -> RowSnapshot:
    return RowSnapshot(symbol, time << BITS_OF_MS, rows, time)


CURRENT: Row = (1, True, 7, "2.5", "")
"""The bid after :func:`begun`."""


async def test_a_book_that_is_as_the_venue_says_is_left_alone() -> None:
    async with keeping(audit_every_s=100.0) as world:
        world.rest.books["X"] = told(CURRENT, ASK)
        live = await begun(world)
        began = world.now
        await pass_s(world, 190)
        assert [100 <= each - began < 115 for each in world.log.audited_at] == [True]
        assert world.log.audits == [Audit(2, 0, 0, 0)]
        assert live.last_audit == Audit(2, 0, 0, 0)
        assert world.rest.asked == [("X", True)]
        assert (world.log.broken, world.feed.renewed) == ([], [])


async def test_a_book_that_lacks_a_change_deep_down_is_built_anew_and_no_other_is() -> None:
    async with keeping("X", "Y", audit_every_s=100.0) as world:
        world.rest.books["X"] = told(CURRENT, ASK, (3, True, 4, "2.1", ""))
        world.rest.books["Y"] = told(CURRENT, ASK, symbol="Y")
        await begun(world)
        other = await begun(world, symbol="Y")
        await world.until(lambda: len(world.log.audits) >= 2)
        assert set(world.log.audits) == {Audit(2, 0, 0, 1), Audit(2, 0, 0, 0)}
        assert world.log.broken == [("X", "differs")]
        assert world.feed.renewed == ["X"]
        assert other.live
        begin(world, 6000, rows=(CURRENT, ASK, (3, True, 4, "2.1", "")))
        update(world, 6001, 8)
        update(world, 6002, 9)
        assert len((await world.live()).sync.book or ()) == 3


async def test_the_first_writer_alone_asks() -> None:
    async with keeping(audit_every_s=10.0, leads=lambda symbol: False) as world:
        await begun(world)
        await pass_s(world, 100)
        assert world.rest.asked == []


async def test_a_stream_that_lags_behind_the_answer_is_waited_for() -> None:
    async with keeping(audit_every_s=100.0) as world:
        live = await begun(world)

        def answer() -> RowSnapshot:
            # What the stream has yet to tell: the ask is gone, another one came.
            update(world, 4000, 8)
            world.held = True
            return told((1, True, 8, "2.5", ""), (7, False, 1, "2.7", ""))

        world.rest.books["X"] = answer
        await world.until(lambda: world.held)
        world.now += 15
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.log.audits == []
        take(world, RowsChanged("X", 4990, 4990, 4990, Action.DELETE, [(2, False, None, None, "")]))
        take(world, RowsChanged("X", 4995, 4995, 4995, Action.INSERT, [(7, False, 1, "2.7", "")]))
        update(world, 6001, 9)
        await world.until(lambda: world.log.audits)
        assert world.log.audits == [Audit(0, 0, 0, 0)]
        assert live.live


async def test_a_comparison_that_cannot_be_ended_is_given_up_and_made_again() -> None:
    async with keeping(audit_every_s=100.0, refill_every_s=30.0) as world:
        await begun(world)
        # Nobody heard its connection since, so nobody knows whether the stream told what the answer shows.
        world.feed.heard_age = 1e6
        world.rest.books["X"] = told(CURRENT)
        await world.until(lambda: len(world.rest.asked) >= 2)
        assert (world.log.audits, world.log.broken) == ([], [])
        world.feed.heard_age = 0.0
        await world.until(lambda: world.log.audits)
        assert world.log.audits == [Audit(1, 0, 1, 0)]


async def test_an_answer_of_before_a_failed_one_and_one_that_is_no_book_of_rows_prove_nothing() -> None:
    async with keeping(audit_every_s=100.0, refill_every_s=30.0) as world:
        await begun(world)
        answers = [told(time=999), VenueUnavailable("away", hint="wait"), snapshot(9)]
        world.rest.books["X"] = lambda: answers.pop(0) if answers else told(CURRENT, ASK)
        await world.until(lambda: world.log.audits)
        assert set(world.log.audits) == {Audit(2, 0, 0, 0)}
        assert [type(each) for each in world.log.failures] == [VenueUnavailable]
        assert world.log.broken == []


async def test_a_book_that_breaks_meanwhile_is_not_compared() -> None:
    async with keeping(audit_every_s=100.0) as world:
        live = await begun(world)

        def answer() -> RowSnapshot:
            world.keeper.lost(["X"])
            return told()

        world.rest.books["X"] = answer
        await world.until(lambda: world.rest.asked)
        await pass_s(world, 10)
        assert (world.log.audits, world.log.broken) == ([], [("X", "connection lost")])
        assert not live.live


async def test_a_book_of_which_nothing_comes_is_compared_ever_more_seldom() -> None:
    async with keeping(doubt_after_s=60.0, refill_every_s=1.0) as world:
        world.rest.books["X"] = told(CURRENT, ASK)
        await begun(world)
        times = [world.now]
        await pass_s(world, 1000)
        times += world.log.audited_at
        assert [(later - earlier) // 60 for earlier, later in pairwise(times)] == [1, 2, 4, 8]
        # What moves again is doubted as soon as at first when it stops.
        world.rest.books["X"] = told(CURRENT, ASK, time=5600)
        update(world, 5500, 7)
        moved = world.now
        await pass_s(world, 100)
        assert 60 <= world.log.audited_at[4] - moved < 75


async def test_both_topics_of_a_symbol_that_fall_silent_are_noticed_by_what_the_venue_says() -> None:
    async with keeping(doubt_after_s=60.0) as world:
        await begun(world)
        began = world.now
        world.rest.books["X"] = told((1, True, 99, "2.5", ""), (5, False, 1, "2.55", ""), time=90_000)
        await world.until(lambda: world.log.broken)
        assert world.log.broken == [("X", "differs")]
        assert world.log.broken_at[0] - began < 90


# A second stream that says nothing


async def test_a_book_that_goes_on_unseen_by_the_second_stream_is_built_anew() -> None:
    asks = {"leads": lambda symbol: False}
    async with keeping("X", "Y", witness=10, doubt_after_s=60.0, begin_within_s=1e6, **asks) as world:
        live = await begun(world)
        await begun(world, symbol="Y")
        for symbol in "XY":
            take(world, TopLevels(symbol, 1002, [(2.5, 7)], [(2.6, 3)], 10))
        await pass_s(world, 200)
        assert world.log.broken == [], "nothing changed"
        began = world.now
        for step in range(40):
            update(world, 2000 + step, 20 + step)
            update(world, 2000 + step, 20 + step, symbol="Y")
            take(world, TopLevels("Y", 2000 + step, [(2.5, 20 + step)], [(2.6, 3)], 10))
            await pass_s(world, 2)
        assert world.log.broken == [("X", "unseen")]
        assert 60 <= world.log.broken_at[0] - began < 70
        assert world.feed.renewed == ["X"]
        assert not live.live


async def test_a_second_stream_that_never_begins_is_missed_early_and_ever_more_seldom() -> None:
    async with keeping(witness=10, begin_within_s=10.0) as world:
        for count, patience_s in enumerate((10, 20, 40), 1):
            await begun(world, 1000 * count)
            began = world.now
            await world.until(lambda n=count: len(world.log.broken) == n)  # type: ignore[misc]
            assert patience_s <= world.log.broken_at[-1] - began < patience_s + 5
        await begun(world, 9000)
        # Where it comes again, it is missed early again.
        for step in range(5):
            update(world, 9100 + step, 20 + step)
            take(world, TopLevels("X", 9100 + step, [(2.5, 20 + step)], [(2.6, 3)], 10))
            await pass_s(world, 2)
        assert world.keeper.books["X"].live
        assert world.keeper.books["X"].unseen == 0
