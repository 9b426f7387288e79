"""``Finder``: where a book's snapshot comes from, and who is asked for it."""

import asyncio

from depthcast.errors import StoreUnavailable, VenueUnavailable
from depthcast.events import Snapshot
from depthcast.keeper import WarmStart
from depthcast.rows import RowSnapshot
from depthcast.sync import REBASED_AFTER
from tests.depthcast.keeper.world import Rest, Shelf, World, diff, snapshot


async def test_a_book_begins_from_the_venue_where_nothing_is_stored() -> None:
    async def nothing(symbol: str, wanted_id: int) -> None:
        return None

    world = World(nothing)
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X", "X"])
    live = await world.live()
    assert (live.source, live.epoch) == ("rest", 0)
    world.keeper.take(diff(8, 9))
    world.keeper.take(diff(8, 9, symbol="UNKNOWN"))
    assert world.changes["X"] == [7, 9]
    assert world.log.synced_ == [("X", "rest")]


async def test_no_snapshot_is_asked_for_before_the_stream_is_open() -> None:
    world = World()
    world.rest.books["X"] = snapshot(7)
    world.feed.dead.add("X")
    world.keeper.subscribe(["X"])
    await asyncio.sleep(0.02)
    assert world.rest.asked == []
    world.feed.dead.clear()
    await world.live()


async def test_a_published_file_that_moves_costs_no_request() -> None:
    stored = 3

    async def warm(symbol: str, wanted_id: int) -> WarmStart:
        nonlocal stored
        stored += 1
        return WarmStart(2, stored, snapshot(stored) if stored >= wanted_id else None)

    world = World(warm)
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    live = await world.live()
    assert (live.source, live.epoch) == ("file", 2)
    assert world.rest.asked == []
    assert world.changes["X"] == [9]


async def test_a_published_file_that_stands_still_gives_only_its_epoch() -> None:
    async def warm(symbol: str, wanted_id: int) -> WarmStart:
        return WarmStart(5, 3, snapshot(3) if wanted_id <= 3 else None)

    def answer() -> Snapshot:
        assert world.now < 4
        return snapshot(8)

    world = World(warm, warm_poll_maximum_s=0.01)
    world.rest.books["X"] = answer
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    live = await world.live()
    assert (live.source, live.epoch) == ("rest", 5)
    assert world.log.failures == []


async def test_a_damaged_file_is_passed_over() -> None:
    async def warm(symbol: str, wanted_id: int) -> WarmStart:
        return WarmStart(0, 8, Snapshot(8, [["1", "x"]], [], True, True) if wanted_id <= 8 else None)

    world = World(warm)
    world.rest.books["X"] = snapshot(8)
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    assert (await world.live()).source == "rest"
    assert len(world.log.failures) == 1


async def test_no_book_is_built_while_the_stored_epoch_is_unknown() -> None:
    answers: list[WarmStart | Exception] = [StoreUnavailable("away"), StoreUnavailable("away")]

    async def warm(symbol: str, wanted_id: int) -> WarmStart:
        if answers:
            answer = answers.pop()
            assert isinstance(answer, Exception)
            assert world.rest.asked == []
            raise answer
        return WarmStart(4, 1, None)

    world = World(warm)
    world.rest.books["X"] = snapshot(8)
    world.keeper.subscribe(["X"])
    assert (await world.live()).epoch == 4
    assert len(world.log.failures) == 2


async def test_a_venue_that_fails_is_asked_again() -> None:
    world = World()
    answers = [snapshot(9), snapshot(2), VenueUnavailable("down"), RuntimeError("a defect")]
    world.rest.books["X"] = lambda: answers.pop()
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    await world.live()
    assert answers == []
    assert [type(error) for error in world.log.failures] == [RuntimeError, VenueUnavailable]


async def test_rebased_ids_are_not_looked_for_in_the_store() -> None:
    asked: list[int] = []

    async def warm(symbol: str, wanted_id: int) -> WarmStart:
        asked.append(wanted_id)
        return WarmStart(0, 5000, snapshot(5000) if wanted_id <= 5000 else None)

    world = World(warm)
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(5001, 5001))
    assert (await world.live()).source == "file"
    asked.clear()
    world.rest.books["X"] = snapshot(3)
    for n in range(1, REBASED_AFTER + 1):
        world.keeper.take(diff(n, n, time=6000 + n))
    live = await world.live()
    assert (live.source, live.epoch) == ("rest", 0)
    assert world.log.broken == [("X", "rebased")]
    assert all(wanted > 5000 for wanted in asked)
    assert world.changes["X"][-1] == REBASED_AFTER


# Where another replica asks the venue


async def test_a_book_that_may_not_ask_waits_for_the_file_of_who_may() -> None:
    shelf = Shelf()
    world = World(shelf, may_ask=lambda symbol: False, warm_poll_s=0.5)
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    await world.until(lambda: world.now > 100)  # nothing is stored
    shelf.put(3, snapshot(4))
    await world.until(lambda: world.now > 200)  # it stands still, behind the buffer
    assert len(shelf.wanted) < 10 + world.now, "waiting costs the store a look a second"
    shelf.put(3, snapshot(8))
    live = await world.live()
    assert (live.source, live.epoch) == ("file", 3)
    assert world.rest.asked == []
    assert world.log.failures == [], "waiting is no failure"
    assert world.changes["X"] == [9]


async def test_a_book_that_waited_asks_as_soon_as_it_may() -> None:
    shelf = Shelf()
    shelf.put(6, snapshot(3))
    allowed = {"Y"}
    world = World(shelf, may_ask=lambda symbol: symbol in allowed)
    world.rest.books["X"] = world.rest.books["Y"] = snapshot(8)
    world.keeper.subscribe(["X", "Y"])
    for symbol in "XY":
        world.keeper.take(diff(8, 9, symbol=symbol))
    assert (await world.live("Y")).source == "rest"
    await world.until(lambda: world.now > 100)
    assert world.rest.asked == [("Y", False)]
    shelf.epoch = 7
    allowed.add("X")
    live = await world.live("X")
    assert (live.source, live.epoch) == ("rest", 7)
    assert world.rest.asked == [("Y", False), ("X", False)]


async def test_a_quiet_book_that_may_not_ask_waits_for_its_first_diff() -> None:
    shelf = Shelf()
    shelf.put(0, snapshot(7))
    world = World(shelf, may_ask=lambda symbol: False)
    world.keeper.subscribe(["X"])
    await world.until(lambda: world.now > 100)
    assert not world.keeper.books["X"].live
    world.keeper.take(diff(8, 8))
    assert (await world.live()).source == "file"
    assert world.rest.asked == []


async def test_a_long_wait_keeps_only_the_last_diffs_and_the_book_is_whole_all_the_same() -> None:
    shelf = Shelf()
    world = World(shelf, may_ask=lambda symbol: False, buffer=5)
    world.keeper.subscribe(["X"])
    for n in range(8, 40):
        world.keeper.take(diff(n, n))
    assert world.keeper.books["X"].sync.buffered == 5
    shelf.put(0, snapshot(33))
    await world.until(lambda: world.now > 50)
    assert not world.keeper.books["X"].live
    shelf.put(0, snapshot(36))
    await world.live()
    assert world.changes["X"] == [39]


async def test_a_damaged_file_is_told_of_once_while_another_one_is_waited_for() -> None:
    shelf = Shelf()
    shelf.put(0, Snapshot(8, [["1", "x"]], [], True, True))
    world = World(shelf, may_ask=lambda symbol: False)
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    await world.until(lambda: world.now > 100)
    assert len(world.log.failures) == 1
    shelf.put(0, snapshot(9))
    assert (await world.live()).source == "file"


async def test_who_may_ask_because_another_got_the_book_gives_its_file_time_to_come() -> None:
    shelf = Shelf()
    allowed_at: list[float] = []

    async def warm(symbol: str, wanted_id: int) -> WarmStart | None:
        if allowed_at and world.now >= allowed_at[0] + 2:
            shelf.put(0, snapshot(9))
        elif not allowed_at and world.now > 100:
            allowed_at.append(world.now)
        return await shelf(symbol, wanted_id)

    world = World(warm, may_ask=lambda symbol: bool(allowed_at))
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    assert (await world.live()).source == "file"
    assert world.rest.asked == []


class Queue(Rest):
    """A venue with a long queue in front of it: nobody has a turn before ``turn`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = asyncio.Event()
        self.left = 0

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot | RowSnapshot:
        self.asked.append((symbol, background))
        try:
            await self.turn.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        self.asked.pop()
        return await super().snapshot(symbol, limit, background)


async def test_a_file_that_comes_while_the_book_waits_in_the_venues_queue_is_taken() -> None:
    shelf = Shelf()
    queue = Queue()
    world = World(shelf, rest=queue)
    world.keeper.subscribe(["X"])
    await world.until(lambda: queue.asked)
    shelf.put(2, snapshot(8))
    world.keeper.take(diff(8, 9))
    live = await world.live()
    assert (live.source, live.epoch) == ("file", 2)
    assert queue.left == 1, "the turn is left to others"


async def test_a_file_of_the_old_ids_is_not_taken_in_the_queue_either() -> None:
    shelf = Shelf()
    world = World(shelf)
    world.rest.books["X"] = snapshot(5000)
    world.keeper.subscribe(["X"])
    await world.live()
    queue = Queue()
    world.keeper._sources.rest = queue
    shelf.put(0, snapshot(5000))
    for n in range(1, REBASED_AFTER + 1):
        world.keeper.take(diff(n, n, time=6000 + n))
    await world.until(lambda: queue.asked and world.now > 100)
    assert not world.keeper.books["X"].live
    queue.books["X"] = snapshot(3)
    queue.turn.set()
    assert (await world.live()).source == "rest"


async def test_a_book_leaves_the_queue_when_another_replica_is_to_ask() -> None:
    shelf = Shelf()
    allowed = {"X"}
    queue = Queue()
    world = World(shelf, rest=queue, may_ask=lambda symbol: symbol in allowed)
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    await world.until(lambda: queue.asked)
    allowed.clear()
    await world.until(lambda: queue.left == 1)
    await world.until(lambda: world.now > 1000)
    assert len(queue.asked) == 1
    allowed.add("X")
    queue.books["X"] = snapshot(9)
    queue.turn.set()
    assert (await world.live()).source == "rest"
    assert world.log.failures == []


async def test_a_store_that_fails_does_not_cost_the_place_in_the_queue() -> None:
    queue = Queue()

    async def warm(symbol: str, wanted_id: int) -> WarmStart | None:
        if queue.asked:
            raise StoreUnavailable("away")
        return None

    world = World(warm, rest=queue)
    world.keeper.subscribe(["X"])
    world.keeper.take(diff(8, 9))
    await world.until(lambda: len(world.log.failures) > 2)
    assert (len(queue.asked), queue.left) == (1, 0)
    queue.books["X"] = snapshot(9)
    queue.turn.set()
    assert (await world.live()).source == "rest"


async def test_a_newer_epoch_is_taken_from_its_own_file_by_those_who_may_not_ask() -> None:
    shelf = Shelf()
    allowed = {"X"}
    world = World(shelf, may_ask=lambda symbol: symbol in allowed)
    world.rest.books["X"] = snapshot(5000)
    world.keeper.subscribe(["X"])
    await world.live()
    allowed.clear()
    shelf.put(0, snapshot(5000))
    world.keeper.resync("X", "newer epoch", rest_only=True)
    world.keeper.take(diff(8, 9))
    await world.until(lambda: world.now > 100)
    assert not world.keeper.books["X"].live, "the file of the old ids looks newer than all diffs"
    shelf.put(1, snapshot(7))
    live = await world.live()
    assert (live.source, live.epoch) == ("file", 1)
    assert len(world.rest.asked) == 1
    assert world.changes["X"] == [5000, 9]


async def test_a_newer_epoch_is_taken_from_the_venue_by_who_may_ask() -> None:
    shelf = Shelf()
    world = World(shelf)
    world.rest.books["X"] = snapshot(5000)
    world.keeper.subscribe(["X"])
    await world.live()
    shelf.put(1, snapshot(8))
    world.rest.books["X"] = snapshot(9)
    world.keeper.resync("X", "newer epoch", rest_only=True)
    world.keeper.take(diff(8, 9))
    live = await world.live()
    assert (live.source, live.epoch) == ("rest", 1)


async def test_a_book_that_no_file_can_mend_goes_behind_those_who_cannot_wait() -> None:
    shelf = Shelf()
    shelf.put(0, snapshot(9))
    allowed = {"X"}
    world = World(shelf, may_ask=lambda symbol: symbol in allowed)
    world.rest.books["X"] = snapshot(7)
    world.keeper.subscribe(["X"])
    await world.live()
    allowed.clear()
    world.rest.books["X"] = snapshot(9)
    world.keeper.take(diff(8, 8, bid="11.5"))
    assert world.log.broken == [("X", "crossed")]
    assert (await world.live()).source == "rest"
    assert world.rest.asked == [("X", False), ("X", True)]


async def test_the_wait_for_a_turn_to_read_is_not_taken_for_a_file_that_stands_still() -> None:
    """Many books begin at once, and each file moves: all of them begin from files in the end."""
    now = 0
    world: World

    async def warm(symbol: str, wanted_id: int) -> WarmStart:
        nonlocal now
        world.now += 0.5  # a slow store
        now += 1
        await asyncio.sleep(0)
        return WarmStart(0, now, snapshot(now) if now >= wanted_id else None)

    world = World(warm, file_reads_at_once=1)
    symbols = [f"S{n}" for n in range(40)]
    world.keeper.subscribe(symbols)
    for symbol in symbols:
        world.keeper.take(diff(60, 1000, symbol=symbol))
    for symbol in symbols:
        assert (await world.live(symbol)).source == "file"
    assert world.rest.asked == []


async def test_a_gap_while_a_file_is_read_goes_to_the_venue_if_it_must() -> None:
    world = World()
    slow = asyncio.Event()

    async def answer() -> Snapshot:
        await slow.wait()
        return snapshot(9)

    async def ask(symbol: str, limit: int, background: bool = False) -> Snapshot:
        world.rest.asked.append((symbol, background))
        return await answer()

    world.rest.snapshot = ask  # type: ignore[method-assign]
    world.keeper.subscribe(["X"])
    await world.until(lambda: world.rest.asked)
    world.keeper.resync("X", "a newer epoch", rest_only=False)
    world.keeper.resync("X", "a newer epoch", rest_only=True)
    world.keeper.resync("UNKNOWN", "never kept", rest_only=True)
    slow.set()
    await world.live()
    # The first task was replaced by one that asks the venue alone; the second resync needed no other.
    assert len(world.rest.asked) == 2
