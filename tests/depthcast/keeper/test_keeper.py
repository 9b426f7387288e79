"""``Keeper``: what breaks a book, and that it breaks alone."""

import asyncio

import pytest

from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.keeper import LiveBook, WarmStart
from tests.depthcast.keeper.world import Shelf, World, diff, snapshot


@pytest.mark.parametrize(
    ("breaking", "reason"),
    [
        (diff(12, 12), "gap"),
        (diff(10, 10, quantity="x"), "bad"),
        (diff(10, 10, bid="11.5"), "crossed"),
    ],
)
async def test_what_breaks_one_book_leaves_the_others_alone(breaking: Diff, reason: str) -> None:
    world = World()
    world.rest.books["X"] = world.rest.books["Y"] = snapshot(7)
    world.keeper.subscribe(["X", "Y"])
    await world.live("X")
    await world.live("Y")
    world.keeper.take(diff(8, 9))
    world.rest.books["X"] = snapshot(12)
    world.keeper.take(breaking)
    assert not world.keeper.books["X"].live
    assert world.keeper.books["Y"].live
    # The last good book stays readable; a crossed one is no good book.
    last_good = world.keeper.books["X"].book
    assert (last_good is None) == (reason == "crossed")
    assert last_good is None or last_good.update_id == 9
    world.keeper.take(diff(8, 9, symbol="Y"))
    live = await world.live("X")
    assert live.resyncs == 1
    assert world.keeper.books["Y"].resyncs == 0
    assert world.log.broken == [("X", reason)]
    assert world.changes["X"] == [7, 9, 12]
    assert world.changes["Y"] == [7, 9]


async def test_a_book_of_which_nothing_certain_is_left_is_built_anew() -> None:
    world = World()
    world.rest.books["X"] = snapshot(7, complete=False)
    world.keeper.subscribe(["X"])
    await world.live()
    world.rest.books["X"] = snapshot(9)
    world.keeper.take(diff(8, 8, bid="10", quantity="0"))
    assert world.log.broken == [("X", "exhausted")]
    assert world.keeper.books["X"].book is None
    await world.live()
    assert world.changes["X"] == [7, 9]


async def test_a_book_that_keeps_breaking_does_not_hammer_the_venue() -> None:
    world = World()
    world.rest.books["X"] = Snapshot(7, [["12", "1"]], [["11", "1"]], True, True)
    world.keeper.subscribe(["X"])
    await world.until(lambda: world.now > 60)
    await world.keeper.close()
    assert len(world.rest.asked) < 40


async def test_a_listener_that_fails_does_not_stop_the_stream() -> None:
    world = World()
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    live = await world.live()
    world.keeper._on_change = lambda live: 1 / 0  # type: ignore[assignment]
    world.keeper.take(diff(8, 9))
    assert live.live
    assert live.book is not None
    assert live.book.update_id == 9


async def test_unsubscribed_symbols_are_forgotten() -> None:
    world = World()
    world.feed.dead.add("X")
    world.keeper.subscribe(["X"])
    world.keeper.unsubscribe(["X", "NEVER"])
    assert world.feed.symbols == set()
    assert dict(world.keeper.books) == {}
    await asyncio.sleep(0.01)
    assert len(world.keeper._building) == 0


async def test_a_symbol_silent_since_its_connection_was_lost_is_built_anew() -> None:
    world = World(suspect_after_s=5.0)
    for symbol in "XYZ":
        world.rest.books[symbol] = snapshot(7)
    world.keeper.subscribe("XYZ")
    for symbol in "XYZ":
        await world.live(symbol)
    world.keeper.lost(["X", "Y", "UNKNOWN"])
    world.keeper.lost(["X"])
    world.keeper.take(diff(8, 8, symbol="Y"))
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: world.log.broken)
    running.cancel()
    assert world.log.broken == [("X", "silent since its connection was lost")]
    assert world.now >= 5


async def test_ids_that_went_down_and_came_back_unheard_are_not_taken_for_the_next_ones() -> None:
    shelf = Shelf()
    world = World(shelf)
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    await world.live()
    world.keeper.take(diff(8, 9, time=5000))
    shelf.put(0, snapshot(9))
    # Its connection is lost; the ids go down by little and have passed the book when it hears them again.
    world.keeper.lost(["X"])
    world.rest.books["X"] = snapshot(12)
    world.keeper.take(diff(9, 11, time=21_000, bid="9.5"))
    assert world.log.broken == [("X", "rebased")]
    live = await world.live()
    assert world.changes["X"] == [7, 9, 12], "neither the diff was applied to the old book nor to its file"
    assert live.source == "rest"
    await world.keeper.close()


@pytest.mark.parametrize("leads", [True, False], ids=["venue", "file"])
async def test_a_stream_that_is_silent_while_a_second_snapshot_is_ahead_is_renewed(leads: bool) -> None:
    shelf = Shelf()

    async def warm(symbol: str, wanted_id: int) -> WarmStart | None:
        return await shelf(symbol, wanted_id) if symbol == "X" else None

    world = World(warm, leads=lambda _: leads, audit_every_s=60.0, suspect_after_s=10.0)
    for symbol in "XY":
        world.rest.books[symbol] = snapshot(7)
    world.keeper.subscribe("XY")
    for symbol in "XY":
        await world.live(symbol)
    # The exchange goes on with X; Y stands still, as quiet symbols do.
    world.rest.books["X"] = snapshot(90)
    if not leads:
        shelf.put(0, snapshot(90))
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: world.log.broken)
    assert world.now >= 70
    live = await world.live()
    await world.until(lambda: world.now > 150)
    running.cancel()
    assert world.log.broken == [("X", "silent behind the exchange")]
    assert world.feed.renewed == ["X"]
    assert live.book is not None
    assert live.book.update_id == 90


async def test_a_book_that_stays_behind_what_its_stream_says_it_told_is_built_anew() -> None:
    world = World(suspect_after_s=10.0)
    for symbol in "XY":
        world.rest.books[symbol] = snapshot(7)
    world.keeper.subscribe("XY")
    live = [await world.live(symbol) for symbol in "XY"]
    world.rest.books["X"] = snapshot(90)
    world.keeper.reached("Z", 9)
    world.keeper.reached("X", 7)
    # What Y lacked then comes in time; that nothing follows says nothing.
    world.keeper.reached("Y", 8)
    world.keeper.take(diff(8, 8, symbol="Y"))
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: world.now > 30)
    assert not world.log.broken
    began = world.now
    # The stream goes on with what is never heard; how long it has been so counts from the first of it.
    for at in range(80, 90):
        world.keeper.reached("X", at)
        await world.until(lambda until=began + at - 79: world.now >= until)  # type: ignore[misc]
    await world.until(lambda: world.log.broken)
    assert world.now >= began + 10
    await world.until(lambda: live[0].live and live[0].book is not None and live[0].book.update_id == 90)
    world.keeper.reached("X", 90)
    await world.until(lambda: world.now > began + 60)
    running.cancel()
    assert world.log.broken == [("X", "silent behind the exchange")]
    assert world.feed.renewed == ["X"]


async def test_a_book_that_gets_on_is_not_doubted_for_being_behind() -> None:
    world = World(audit_every_s=60.0, suspect_after_s=10.0)
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    live = await world.live()
    world.rest.books["X"] = snapshot(1000)
    running = asyncio.ensure_future(world.keeper.run())
    for update_id in range(8, 158):
        # A diff a second.
        world.keeper.take(diff(update_id, update_id))
        await asyncio.sleep(0)
    assert world.now > 100
    assert live.sync.awaited_id == 1000
    assert world.log.broken == []
    world.feed.dead.add("X")
    gone = world.now
    await world.until(lambda: world.now > gone + 50)
    assert world.log.broken == [], "a connection that is being opened delivers nothing"
    world.feed.dead.clear()
    back = world.now
    await world.until(lambda: world.log.broken)
    running.cancel()
    assert world.now >= back + 10


# Books whose diffs are deferred


def told(update_id: int, bid: str = "10.0", quantity: str = "1.0") -> Diff:
    return Diff("X", update_id, update_id, update_id, PlainLevels([[bid, quantity]]), PlainLevels())


async def deferring() -> tuple[World, LiveBook]:
    world = World(deferring=True, settle_after_s=10.0)
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    return world, await world.live()


async def test_what_was_deferred_is_written_after_a_while_and_the_book_looked_at() -> None:
    world, live = await deferring()
    world.keeper.take(told(8, "10.5"))
    book = live.book
    assert book is not None
    world.now += 9.0
    world.keeper.take(told(9, "10.6"))
    assert book.unsettled == 2
    world.now += 1.0
    world.keeper.take(told(10, "10.7"))
    assert book.unsettled == 0
    assert book.best_bid == ("10.7", "1.0")
    world.keeper.take(told(11, "12.0"))
    assert world.log.broken == [], "nobody has seen that it is crossed"
    world.now += 10.0
    world.rest.books["X"] = snapshot(12)
    world.keeper.take(told(12))
    assert world.log.broken == [("X", "crossed")]
    assert live.book is None
    await world.until(lambda: live.book is not None)
    assert world.changes["X"] == [7, 8, 9, 10, 11, 12]
    await world.keeper.close()


async def test_a_quiet_book_is_looked_at_too() -> None:
    world, live = await deferring()
    running = asyncio.ensure_future(world.keeper.run())
    # When it is counted for the first time how deep a book is, what waits is written.
    await world.until(lambda: live.depth is not None)
    taken_at = world.now
    world.keeper.take(told(8, "12.0"))
    world.rest.books["X"] = snapshot(9)
    await world.until(lambda: live.resyncs)
    assert world.log.broken == [("X", "crossed")]
    assert 10 <= world.log.broken_at[0] - taken_at <= 11
    await world.until(lambda: world.changes["X"][-1] == 9)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("diff", "fault"), [(told(8, "12.0"), "crossed"), (told(8, "10.0", "."), "bad")], ids=["crossed", "bad"]
)
@pytest.mark.parametrize("by", ["the next diff", "the next look"])
async def test_what_a_reader_finds_is_not_shown_and_the_book_built_anew(
    diff: Diff, fault: str, by: str
) -> None:
    world, live = await deferring()
    world.keeper.take(diff)
    assert world.log.broken == []
    assert live.readable() is None
    assert live.book is None
    assert live.fault == fault
    world.rest.books["X"] = snapshot(9)
    running = asyncio.ensure_future(world.keeper.run())
    if by == "the next diff":
        world.keeper.take(told(9))
        assert world.log.broken == [("X", fault)]
    await world.until(lambda: live.fault is None)
    book = live.readable()
    assert book is not None
    assert book.update_id == 9
    assert world.log.broken == [("X", fault)]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_how_deep_a_book_is_is_counted_without_writing_its_diffs_at_each_look() -> None:
    world = World(deferring=True, settle_after_s=1e9, refill_below=3, audit_every_s=1e9, refill_every_s=1.0)
    world.rest.books["X"] = snapshot(7, depth=4, complete=False)
    world.keeper.subscribe(["X"])
    live = await world.live()
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: live.depth == 4)
    for update_id, gone in ((8, "10.000"), (9, "9.999")):
        world.keeper.take(told(update_id, gone, "0.0"))
    before = world.now
    await world.until(lambda: world.now > before + 5)
    assert live.book is not None
    assert live.book.unsettled == 2
    assert len(world.rest.asked) == 1
    world.rest.books["X"] = snapshot(9, depth=5, complete=False)
    assert live.readable() is not None
    # It is seen to be shallow now.
    await world.until(lambda: len(world.log.audits) == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
