"""What keepers of order books are known to fall into: one test each, over real sockets.

The simulated exchange is the oracle: whatever a view shows has to be its true book at that id, uncrossed.
"""

import asyncio
from contextlib import suppress

import pytest

from depthcast.errors import BookNotReady, NotDeepEnough
from simulator.faults import Kind
from simulator.scale import Scale
from tests.depthcast.books.exchange import SYMBOL, exchange, until


async def test_a_gap_costs_one_resync_and_shows_no_wrong_book() -> None:
    async with exchange() as place:
        view = (await place.ready())[SYMBOL]
        place.sim.faults.inject("gap", symbol=SYMBOL, count=2)
        for _ in range(12):
            await place.sim.tick()
            place.compare(view)
        await place.tick(1, view)
        assert place.sim.faults.counts[Kind.GAP] == 2
        assert view.resyncs >= 1


async def test_a_gap_leaves_other_books_alone() -> None:
    async with exchange(SYMBOL, "BTCUSDT") as place:
        books = await place.ready(SYMBOL, "BTCUSDT")
        place.sim.faults.inject("gap", symbol=SYMBOL)
        await place.tick(4, books[SYMBOL], books["BTCUSDT"])
        assert (books[SYMBOL].resyncs, books["BTCUSDT"].resyncs) == (1, 0)


async def test_a_snapshot_older_than_the_buffer_is_not_taken() -> None:
    async with exchange() as place:
        place.sim.faults.inject("stale_snapshot", symbol=SYMBOL, ids=150, count=3)
        books = await place.books()
        await until(lambda: books._feed.live(SYMBOL))
        while place.sim.faults.waiting:
            await place.sim.tick()
            await asyncio.sleep(0.005)
            ready = books[SYMBOL].ready
            assert not ready or not place.sim.faults.waiting, "only the fourth snapshot is new enough"
        await place.tick(1, books[SYMBOL])


async def test_a_gap_inside_the_buffered_replay_counts() -> None:
    """The only snapshot that could be had at first ends before the hole."""
    async with exchange() as place:
        place.sim.faults.inject("stale_snapshot", symbol=SYMBOL, ids=40)
        place.sim.faults.inject("slow_snapshot", symbol=SYMBOL, delay_s=0.15)
        books = await place.books()
        await until(lambda: books._feed.live(SYMBOL))
        place.sim.faults.inject("gap", symbol=SYMBOL)
        await place.sim.tick(5)
        assert place.sim.faults.counts[Kind.GAP] == 1
        await place.tick(1, books[SYMBOL])


async def test_a_first_diff_that_overlaps_the_snapshot_is_no_gap() -> None:
    """REST shows a part of the diff that is still to come: its first id is below the snapshot's."""
    async with exchange(partial_share=1.0, changes=40) as place:
        view = (await place.ready())[SYMBOL]
        instrument = place.sim.exchange.instruments[SYMBOL]
        assert instrument.sent_id < view.update_id, "the snapshot is inside of a diff"
        await place.tick(5, view)
        assert view.resyncs == 0


async def test_the_diff_that_showed_a_gap_is_applied_once() -> None:
    """It took a level away that a later diff put back: taken again afterwards it would be missing."""
    async with exchange() as place:
        place.list_quiet("X", [("9.00", "1.000"), ("8.00", "1.000")], [("10.00", "1.000")])
        view = (await place.ready("X"))["X"]
        await place.change("X", bids=[("9.00", "2.000")])
        await until(lambda: view.update_id == 1003)
        place.sim.faults.inject("gap", symbol="X")
        await place.change("X", bids=[("8.50", "1.000")])
        await place.change("X", bids=[("9.00", "0.000")], drain=False)
        await place.change("X", bids=[("9.00", "5.000")])
        await place.arrived(view)
        assert view.resyncs == 1
        assert view.best_bid_strings == ("9.00", "5.000")


async def test_a_lost_connection_is_told_and_survived() -> None:
    async with exchange() as place:
        view = (await place.ready())[SYMBOL]
        await place.tick(2, view)
        assert view.age_ms == 0
        place.sim.faults.inject("refuse", form="abort", count=1000)
        place.sim.faults.inject("disconnect", form="abort")
        await until(lambda: not view.ready)
        place.now += 4
        assert view.age_ms == pytest.approx(4000)
        await place.sim.tick(3)
        place.compare(view)
        place.now += 3
        assert view.age_ms == pytest.approx(7000)
        place.sim.faults.clear()
        await place.subscribed()
        assert not view.ready, "nothing shows yet that no diff is missing"
        await place.tick(1, view)
        assert view.age_ms == 0


async def test_a_quiet_book_is_not_believed_after_its_connection_was_lost() -> None:
    """No diff comes that would show the hole: it is built anew."""
    async with exchange() as place:
        place.list_quiet("X", [("9.00", "1.000")], [("10.00", "1.000")])
        view = (await place.ready("X"))["X"]
        place.sim.faults.inject("refuse", form="abort", count=1)
        place.sim.faults.inject("disconnect", form="abort")
        await until(lambda: not place.sim.exchange.connections)
        await place.change("X", bids=[("9.50", "1.000")])
        await place.subscribed("X")
        place.now += 5
        assert not view.ready
        assert view.age_ms >= 5000
        assert view.best_bid == (9.0, 1.0), "as it was, and said to be old"
        place.now += 5.1
        await until(lambda: view.ready)
        assert view.best_bid == (9.5, 1.0)
        place.compare(view)


async def test_a_half_open_connection_is_told_by_its_age_and_replaced() -> None:
    async with exchange() as place:
        view = (await place.ready())[SYMBOL]
        place.sim.faults.inject("half_open")
        (frozen,) = place.sim.exchange.connections
        await place.sim.tick(3)
        place.now += 12
        assert view.age_ms == pytest.approx(12_000)
        place.compare(view)
        place.now += 19
        await until(lambda: frozen not in place.sim.exchange.connections)
        await place.subscribed()
        await place.tick(1, view)
        assert view.age_ms == 0


async def test_a_ban_costs_no_book_anything_until_one_breaks() -> None:
    async with exchange(SYMBOL, "BTCUSDT") as place:
        books = await place.ready(SYMBOL, "BTCUSDT")
        hurt, well = books[SYMBOL], books["BTCUSDT"]
        place.sim.faults.inject("ban", delay_s=3.0)
        await place.tick(2, hurt, well)
        place.sim.faults.inject("gap", symbol=SYMBOL)
        await place.tick(2, well)
        await until(lambda: books.silent_for_s > 0)
        place.now += 1
        assert not hurt.ready
        assert hurt.age_ms >= 1000
        place.compare(hurt)
        with pytest.raises(BookNotReady, match=r"ETHUSDT \(the exchange asked for silence, "):
            await books.wait(timeout_s=0)
        for _ in range(60):
            await place.tick(1, well)
        assert not hurt.ready, "our own clock stands still, so nothing is asked"
        place.now += 20
        await until(lambda: hurt.ready)
        place.compare(hurt)
        assert well.resyncs == 0


async def test_a_429_at_the_start_is_waited_out() -> None:
    async with exchange() as place:
        place.sim.faults.inject("throttle", delay_s=2.0)
        books = await place.books()
        await until(lambda: books.silent_for_s > 0)
        with pytest.raises(BookNotReady, match="silence"):
            books[SYMBOL].top(5)
        await place.sim.tick(25)
        place.now += 10
        await place.arrived(books[SYMBOL])


async def test_a_rotation_costs_no_book_anything() -> None:
    async with exchange(SYMBOL, "BTCUSDT") as place:
        books = await place.ready(SYMBOL, "BTCUSDT")
        (former,) = place.sim.exchange.connections
        place.sim.faults.inject("shutdown", delay_s=60.0)
        await until(lambda: len(place.sim.exchange.connections) == 2)
        for _ in range(200):
            await place.tick(1, books[SYMBOL], books["BTCUSDT"])
            if former not in place.sim.exchange.connections:
                break
        assert former not in place.sim.exchange.connections
        await place.tick(3, books[SYMBOL], books["BTCUSDT"])
        assert [books[symbol].resyncs for symbol in books] == [0, 0]
        assert books[SYMBOL].age_ms == 0


async def test_ids_that_go_down_are_followed() -> None:
    async with exchange() as place:
        view = (await place.ready())[SYMBOL]
        old_id = view.update_id
        place.sim.faults.inject("rebase", symbol=SYMBOL, ids=100_000)
        await place.sim.tick(11)
        await until(lambda: view.update_id < old_id)
        await place.tick(2, view)
        assert view.update_id < old_id
        assert view.resyncs == 1


async def test_one_sided_and_empty_books_are_books() -> None:
    async with exchange() as place:
        place.list_quiet("BIDS", [("9.00", "1.000"), ("8.00", "2.000")], [])
        place.list_quiet("NONE", [], [])
        books = await place.ready("BIDS", "NONE")
        bids, none = books["BIDS"], books["NONE"]
        assert none.top(5)[1:] == (1000, 0, [], [])
        assert (none.best_bid, none.best_ask, none.spread, none.mid) == (None, None, None, None)
        assert none.body(5) == b'{"lastUpdateId":1000,"bids":[],"asks":[]}'
        assert bids.top(5).bids == [[9.0, 1.0], [8.0, 2.0]]
        assert bids.top(5).asks == []
        assert (bids.spread, bids.mid) == (None, None)
        await place.change("BIDS", [("9.00", "0.000"), ("8.00", "0.000")])
        await place.change("NONE", asks=[("7.00", "3.000")])
        for view in (bids, none):
            await place.arrived(view)
        assert (bids.top(5).bids, none.top(5).asks) == ([], [[7.0, 3.0]])


async def test_a_symbol_need_not_be_ascii() -> None:
    async with exchange("币安人生USDT") as place:
        view = (await place.ready("币安人生USDT"))["币安人生USDT"]
        await place.tick(3, view)
        assert view.top(5).symbol == "币安人生USDT"


@pytest.mark.parametrize("digits", [0, 1, 3, 8], ids=["0", "0.0", "0.000", "0.00000000"])
async def test_zero_takes_a_level_away_however_it_is_spelled(digits: int) -> None:
    scale = Scale(2, digits)
    one, zero = scale.quantity(10**digits), scale.quantity(0)
    async with exchange() as place:
        place.list_quiet("X", [("9.00", one), ("8.00", one)], [("10.00", one)], scale=scale)
        view = (await place.ready("X"))["X"]
        await place.change("X", [("9.00", zero)], [("10.00", zero), ("11.00", one)])
        await place.arrived(view)
        assert view.top(5)[3:] == ([[8.0, 1.0]], [[11.0, 1.0]])
        assert all(type(number) is float for side in view.top(5)[3:] for level in side for number in level)


async def test_order_is_numeric_where_prices_gain_a_digit_beyond_the_limit() -> None:
    asks = [(f"{cents / 100:.2f}", "1.000") for cents in range(990, 1011)]
    bids = [(f"{cents / 100:.2f}", "1.000") for cents in range(989, 975, -1)]
    async with exchange() as place:
        place.list_quiet("X", bids, asks)
        view = (await place.ready("X"))["X"]
        assert [price for price, _ in view.top(12, strings=True).asks][-3:] == ["9.99", "10.00", "10.01"]
        # The market moves across ten: what was ask is bid.
        await place.change(
            "X",
            [(price, "2.000") for price, _ in asks[:15]],
            [(price, "0.000") for price, _ in asks[:15]],
        )
        await place.arrived(view)
        assert [price for price, _ in view.top(6, strings=True).bids] == [
            *("10.04", "10.03", "10.02", "10.01", "10.00"),
            "9.99",
        ]


async def test_a_price_that_leaves_the_known_range_and_comes_back_is_true_all_the_way() -> None:
    """Books of ten levels a side in a market of sixty: what lies beyond was never seen."""
    bids = [(f"{cents / 100:.2f}", "1.000") for cents in range(1000, 940, -1)]
    asks = [(f"{cents / 100:.2f}", "1.000") for cents in range(1001, 1061)]
    async with exchange() as place:
        place.list_quiet("X", bids, asks)
        view = (await place.ready("X", depth=10))["X"]
        assert view.certainty[:2] == (10, 10)
        with pytest.raises(NotDeepEnough) as refused:
            view.top(11)
        assert (refused.value.limit, refused.value.bids, refused.value.asks) == (11, 10, 10)
        # Down by eight levels, within what is known, then far beyond it, and back up.
        for down in (8, 25):
            fallen = bids[:down]
            await place.change(
                "X",
                [(price, "0.000") for price, _ in fallen],
                [(price, "3.000") for price, _ in fallen],
            )
            await place.arrived(view)
            place.now += 25
        assert view.best_bid == (9.75, 1.0)
        await place.change(
            "X",
            [(price, "4.000") for price, _ in bids[:25]],
            [(price, "0.000") for price, _ in bids[:25]],
        )
        await place.arrived(view)
        assert view.best_bid == (10.0, 4.0)
        # Where the clock's leaps made it lose its connection down there, it knows no asks from before.
        with suppress(NotDeepEnough):
            assert view.best_ask == (10.01, 1.0)
