"""How deep first snapshots are, by what the weight of the minute allows."""

import asyncio

import pytest

from depthcast.books.snapshots import Snapshots
from depthcast.errors import VenueUnavailable
from depthcast.events import Snapshot
from depthcast.venues.binance import Binance
from depthcast.weight import WeightBudget

HALF = 3000


class Paced:
    """A REST interface that may use half of the weight, and spends it as it is asked."""

    def __init__(self) -> None:
        self.budget = WeightBudget(6000, share=0.5, background_share=0.25)
        self.now_ms = 10_000
        self.silent_for_s = 0.0
        self.asked: list[int] = []
        self.fails = False

    def expected_wait_ms(self, weight: int) -> int:
        return self.budget.time_for_ms(
            weight, background=False, now_ms=self.now_ms, after_ms=round(self.silent_for_s * 1000)
        )

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot:
        self.asked.append(limit)
        reservation = self.budget.reserve(Binance().depth_weight(limit), self.now_ms)
        await asyncio.sleep(0)
        self.budget.settle(reservation, None, self.now_ms)
        if self.fails:
            raise VenueUnavailable("no answer")
        return Snapshot(1, [], [], True, True)


async def ask(rest: Paced, books: int, limit: int) -> None:
    """All at once, as books do that begin together."""
    left = books
    snapshots = Snapshots(rest, Binance(), unbuilt=lambda: left)

    async def one(number: int) -> None:
        nonlocal left
        await snapshots.snapshot(str(number), limit)
        left -= 1
        snapshots.check()

    await asyncio.gather(*map(one, range(books)))


@pytest.mark.parametrize(
    ("books", "limit", "first"),
    [
        (1, 5000, 5000),
        (12, 5000, 5000),
        (13, 5000, 1000),
        (60, 5000, 1000),
        (61, 5000, 500),
        (120, 5000, 500),
        (121, 5000, 100),
        (600, 5000, 100),
        (100, 100, 100),
        (200, 20, 20),
    ],
)
async def test_all_books_get_what_the_weight_is_enough_for_within_the_minute(
    books: int, limit: int, first: int
) -> None:
    rest = Paced()
    await ask(rest, books, limit)
    assert rest.asked[0] == min(rest.asked) == first
    assert rest.budget.used(rest.now_ms) <= HALF


async def test_where_nothing_is_enough_all_get_the_least() -> None:
    rest = Paced()
    await ask(rest, 2000, 5000)
    assert set(rest.asked) == {100}


async def test_what_was_used_before_counts_until_the_minute_turns() -> None:
    rest = Paced()
    snapshots = Snapshots(rest, Binance(), unbuilt=lambda: 1)
    await ask(rest, 12, 5000)
    assert snapshots.affordable(5000) == 100
    rest.now_ms += 60_000
    assert snapshots.affordable(5000) == 5000


async def test_a_pause_that_the_exchange_asked_for_makes_no_book_shallow() -> None:
    rest = Paced()
    rest.silent_for_s = 30.0
    assert Snapshots(rest, Binance(), unbuilt=lambda: 3).affordable(5000) == 5000


async def test_background_snapshots_are_as_deep_as_asked() -> None:
    rest = Paced()
    await Snapshots(rest, Binance(), unbuilt=lambda: 1000).snapshot("X", 5000, True)
    assert rest.asked == [5000]


async def test_a_failed_snapshot_is_no_longer_counted() -> None:
    rest = Paced()
    rest.fails = True
    snapshots = Snapshots(rest, Binance(), unbuilt=lambda: 12)
    with pytest.raises(VenueUnavailable):
        await snapshots.snapshot("X", 5000)
    rest.now_ms += 60_000
    assert snapshots.affordable(5000) == 5000
