"""Who is told of a change, in which order and how many at once; what is watched, and for how long."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from depthcast.files import depth_key
from server.push.counts import End, Kind
from server.push.history import Shown
from server.push.hub import LEAST_KEPT_BYTES, SLICE, SLICE_S, Reader, Source, Spreader

if TYPE_CHECKING:
    from tests.server.push.conftest import Site

KEY = depth_key("ETHUSDT", 20)


class Noted(Reader):
    """A reader that notes which sources it was offered."""

    kind = Kind.EVENTS
    client = ""
    paused_at = None

    def __init__(self) -> None:
        self.offered: list[Source] = []

    def offer(self, source: Source) -> None:
        self.offered.append(source)

    def tick(self, now: float) -> None:
        pass

    def cut(self, why: End) -> None:
        pass

    def stop(self) -> None:
        pass


def source_of(readers: int) -> tuple[Source, list[Noted]]:
    source, noted = Source(), [Noted() for _ in range(readers)]
    source.readers.update(dict.fromkeys(noted))
    return source, noted


def test_few_readers_are_told_at_once() -> None:
    calls: deque[Callable[[], None]] = deque()
    spreader = Spreader(calls.append, clock=lambda: 0.0)
    source, readers = source_of(SLICE - 1)
    spreader.spread(source)
    assert all(reader.offered == [source] for reader in readers)
    assert not calls
    assert not spreader.busy


def test_many_readers_are_told_in_slices_between_which_others_work() -> None:
    calls: deque[Callable[[], None]] = deque()
    spreader = Spreader(calls.append, clock=lambda: 0.0)
    source, readers = source_of(3 * SLICE + 5)
    spreader.spread(source)
    told = [sum(len(reader.offered) for reader in readers)]
    while calls:
        assert spreader.busy
        assert len(calls) == 1
        calls.popleft()()
        told.append(sum(len(reader.offered) for reader in readers))
    assert told == [SLICE, 2 * SLICE, 3 * SLICE, 3 * SLICE + 5]
    assert not spreader.busy


def test_a_slice_of_readers_that_take_long_is_a_short_one() -> None:
    calls: deque[Callable[[], None]] = deque()
    now = [1000.0]

    class Slow(Noted):
        def offer(self, source: Source) -> None:
            now[0] += 0.3 * SLICE_S
            super().offer(source)

    spreader = Spreader(calls.append, clock=lambda: now[0])
    source, readers = Source(), [Slow() for _ in range(10)]
    source.readers.update(dict.fromkeys(readers))
    spreader.spread(source)
    told = [sum(len(reader.offered) for reader in readers)]
    while calls:
        calls.popleft()()
        told.append(sum(len(reader.offered) for reader in readers))
    assert told == [4, 8, 10]
    assert not spreader.busy


def test_what_changes_meanwhile_waits_for_its_turn_once() -> None:
    calls: deque[Callable[[], None]] = deque()
    spreader = Spreader(calls.append)
    (large, many), (small, few) = source_of(2 * SLICE), source_of(2)
    spreader.spread(large)
    for _ in range(5):
        spreader.spread(small)
        spreader.spread(large)
    while calls:
        calls.popleft()()
    assert all(reader.offered == [large, large] for reader in many)
    assert all(reader.offered == [small] for reader in few)


def test_a_reader_that_left_meanwhile_is_not_told() -> None:
    calls: deque[Callable[[], None]] = deque()
    spreader = Spreader(calls.append)
    source, readers = source_of(2 * SLICE)
    spreader.spread(source)
    del source.readers[readers[-1]]
    while calls:
        calls.popleft()()
    assert readers[-1].offered == []
    assert readers[-2].offered == [source]


async def test_a_file_stays_hot_while_somebody_listens_and_a_while_longer(site: "Site") -> None:
    stream = await site.open("symbol=ETHUSDT&limit=5")
    await site.clock.advance(100)
    assert site.hot.hot_count() == 1
    assert len(site.hub) == 1
    stream.outlet.abort()
    await site.clock.advance(25)
    assert len(site.hub) == 1
    await site.clock.advance(10)
    assert len(site.hub) == 0
    await site.clock.advance(40)
    assert site.hot.hot_count() == 0


async def test_any_number_of_readers_reads_the_store_as_one(site: "Site") -> None:
    await site.open("symbol=ETHUSDT&limit=5")
    await site.clock.advance(1)
    before = site.store.reads.total()
    await site.clock.advance(10)
    of_one = site.store.reads.total() - before
    for _ in range(50):
        await site.open("symbol=ETHUSDT&limit=7")
    before = site.store.reads.total()
    await site.clock.advance(10)
    assert abs(site.store.reads.total() - before - of_one) <= 2


async def test_former_versions_take_no_more_memory_than_they_may(
    make_site: "Callable[..., Awaitable[Site]]",
) -> None:
    size = len((await make_site()).store.body(100, 20))
    site = await make_site(max_kept_bytes=5 * size)
    stream = await site.open("symbol=ETHUSDT&limit=20")
    for update_id in range(101, 121):
        await site.publish(update_id, epoch=0)
        assert site.hub.kept_bytes <= 5 * size + 20
        site.hub.check()
    stream.take()
    assert stream.book.body() == site.store.body(120, 20)


async def test_what_was_made_for_readers_is_kept_within_bounds(site: "Site") -> None:
    await site.open("symbol=ETHUSDT&limit=20")
    watched = site.hub.watch(KEY)
    newest = watched.history.newest
    assert isinstance(newest, Shown)
    for n in range(1000):
        watched.keep((n, 0), b"x" * 2000)
        assert sum(map(len, watched.wires.values())) <= 2**18 + 4 * len(newest.body or b"")
    assert (999, 0) in watched.wires
    # Of many files each has its share, or as little as helps.
    watched.share_bytes = 100_000
    for n in range(100):
        watched.keep((n, 1), b"x" * 2000)
        assert sum(map(len, watched.wires.values())) <= 100_000
    watched.share_bytes = 10
    watched.clear_wires()
    assert watched.keep((1, 2), b"x" * (LEAST_KEPT_BYTES + 1)) == b"x" * (LEAST_KEPT_BYTES + 1)
    assert watched.wires == {}
    watched.keep((999, 0), b"x" * LEAST_KEPT_BYTES)
    assert (999, 0) in watched.wires
    watched.check()
    await site.publish(101, epoch=0)
    assert (999, 0) not in watched.wires
