"""``Refills``: books are completed and audited in the background, from where it costs least."""

import asyncio

import pytest

from depthcast.book import Audit
from depthcast.errors import VenueError, VenueUnavailable
from depthcast.events import Snapshot
from tests.depthcast.keeper.world import Shelf, World, diff, snapshot


async def test_books_that_become_shallow_are_refilled_worst_first() -> None:
    world = World(refill_below=5, refills_at_once=1, refill_every_s=1000.0)
    world.rest.books["X"] = snapshot(7, depth=4, complete=False)
    world.rest.books["Y"] = snapshot(7, depth=3, complete=False)
    world.rest.books["Z"] = snapshot(7, depth=2, complete=True)
    world.keeper.subscribe("XYZ")
    for symbol in "XYZ":
        await world.live(symbol)
    world.rest.asked.clear()
    for symbol in "XY":
        world.rest.books[symbol] = snapshot(7, depth=9, complete=False)
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: len(world.log.audits) == 2)
    running.cancel()
    assert world.rest.asked == [("Y", True), ("X", True)]
    assert world.log.audits == [Audit(6, 0, 0, 0), Audit(8, 0, 0, 0)]
    live = world.keeper.books["Y"]
    assert live.book is not None
    assert live.book.certainty.bids == 9
    assert live.last_audit == Audit(6, 0, 0, 0)


async def test_a_book_led_elsewhere_is_completed_from_the_file() -> None:
    shelf = Shelf()
    world = World(shelf, leads=lambda symbol: False, refill_below=8, refill_every_s=1.0, suspect_after_s=1e9)
    world.rest.books["X"] = snapshot(7, depth=4, complete=False)
    world.keeper.subscribe(["X"])
    live = await world.live()
    shelf.put(0, snapshot(6, depth=9, complete=False))  # from before the comparison began
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: shelf.wanted[-1:] == [7] and len(shelf.wanted) > 5)
    assert world.log.audits == []
    world.rest.asked.clear()
    shelf.put(0, snapshot(8, depth=6, complete=False))
    await world.until(lambda: live.sync.awaited_id == 8)
    world.keeper.take(diff(8, 8, bid="10.000"))
    assert world.log.audits == [Audit(8, 0, 0, 0)]
    # It is as deep as the file now, and left alone, although a leader's book were to be deeper.
    looks, now = len(shelf.wanted), world.now
    await world.until(lambda: world.now > now + 100)
    running.cancel()
    assert len(shelf.wanted) <= looks + 1
    assert world.rest.asked == []
    assert live.book is not None
    assert live.book.certainty.bids == 6


async def test_a_book_led_elsewhere_that_differs_from_the_file_is_compared_with_the_venue() -> None:
    shelf = Shelf()
    world = World(shelf, leads=lambda symbol: False, audit_every_s=10.0, refill_every_s=1000.0)
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    live = await world.live()
    shelf.put(0, Snapshot(7, [["10.000", "5"]], [["11.000", "1"]], True, True))
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: len(world.log.audits) == 2)
    running.cancel()
    assert world.log.audits == [Audit(1, 1, 0, 0), Audit(1, 1, 0, 0)]
    assert world.rest.asked == [("X", False), ("X", True)]
    assert live.book is not None
    assert live.book.body(5) == b'{"lastUpdateId":7,"bids":[["10.000","1"]],"asks":[["11.000","1"]]}'


@pytest.mark.parametrize(("depth", "asked"), [(4, 0), (3, 1)])
async def test_a_book_led_elsewhere_asks_the_venue_where_no_file_will_do_and_it_gets_too_shallow(
    depth: int, asked: int
) -> None:
    shelf = Shelf()
    shelf.put(0, snapshot(5))
    world = World(shelf, leads=lambda symbol: False, refill_below=8, refill_every_s=1000.0)
    world.rest.books["X"] = snapshot(7, depth=depth, complete=False)
    world.keeper.subscribe(["X"])
    await world.live()
    world.rest.asked.clear()
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: world.now > 100)
    running.cancel()
    assert len(world.rest.asked) == asked
    assert world.log.failures == []


async def test_every_book_is_audited_from_time_to_time_and_mended() -> None:
    world = World(audit_every_s=10.0, refill_every_s=1000.0, suspect_after_s=1e9)
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    live = await world.live()
    world.rest.books["X"] = Snapshot(8, [["10", "1"], ["9", "4"]], [["11", "2"]], True, True)
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: len(world.rest.asked) == 2)
    assert world.log.audits == []
    await asyncio.sleep(0.01)
    world.keeper.take(diff(8, 8))
    running.cancel()
    assert world.log.audits == [Audit(matching=1, different=1, ghost=0, missing=1)]
    assert live.book is not None
    assert live.book.body(5) == b'{"lastUpdateId":8,"bids":[["10","1"],["9","4"]],"asks":[["11","2"]]}'


async def test_a_refill_that_fails_changes_nothing() -> None:
    world = World(audit_every_s=10.0, refill_every_s=1000.0)
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    live = await world.live()
    world.rest.books["X"] = VenueUnavailable("down")
    running = asyncio.ensure_future(world.keeper.run())
    await world.until(lambda: world.log.failures)
    running.cancel()
    live.sync.check()
    assert live.live


async def test_a_confirmation_gives_the_venues_present_id() -> None:
    world = World()
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    await world.live()
    assert await world.keeper.confirm("X") == 7
    assert len(world.log.audits) == 1
    with pytest.raises(KeyError):
        await world.keeper.confirm("UNKNOWN")


@pytest.mark.parametrize(
    "answer",
    [Snapshot(9, [["10", "many"]], [], True, True), VenueUnavailable("down")],
    ids=["no book", "down"],
)
async def test_a_confirmation_that_fails_is_the_venues_fault_and_leaves_nothing_behind(
    answer: object,
) -> None:
    world = World()
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    live = await world.live()
    world.rest.books["X"] = answer
    with pytest.raises(VenueError):
        await world.keeper.confirm("X")
    live.sync.check()
    assert live.live
    world.keeper.take(diff(8, 8))
    assert live.sync._recorded is None
    assert world.log.audits == []
