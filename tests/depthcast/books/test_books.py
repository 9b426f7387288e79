"""``Books`` over real sockets: their life, which books they keep, waiting and changes."""

import asyncio
import inspect
import time

import pytest

import depthcast
from depthcast.books import Books
from depthcast.books.options import Options
from depthcast.errors import BookNotReady, SettingsError, UnknownSymbol
from simulator.app import Simulator
from simulator.settings import Settings
from tests.depthcast.books.exchange import SYMBOL, exchange, until


async def test_books_are_the_exchanges_own_at_every_limit_while_the_market_moves() -> None:
    async with exchange(SYMBOL, "BTCUSDT", depth=300) as place:
        books = await place.ready(SYMBOL, "BTCUSDT")
        for _ in range(15):
            await place.tick(1, books[SYMBOL], books["BTCUSDT"])
            place.compare(books[SYMBOL], (1, 2, 63, 64, 65, 100, 299, 5000))
            body = books[SYMBOL].body(100)
            assert body == place.sim.truth.body(SYMBOL, books[SYMBOL].update_id, 100)
        assert [books[symbol].source for symbol in books] == ["rest", "rest"]


async def test_they_cost_the_exchange_one_snapshot_each_and_nothing_else() -> None:
    async with exchange(SYMBOL, "BTCUSDT") as place:
        books = await place.ready(SYMBOL, "BTCUSDT")
        await place.tick(5, books[SYMBOL])
        assert books._rest.answered == 2
        assert books._rest.weight_used == 500
        assert len(place.sim.exchange.connections) == 1


async def test_entering_does_not_wait_and_leaving_closes_everything() -> None:
    async with exchange() as place:
        async with Books("binance", [SYMBOL], **place.options()) as books:
            with pytest.raises(BookNotReady, match=r"ETHUSDT \(its stream does not come\)"):
                books[SYMBOL].top(5)
            await books.wait()
            view = books[SYMBOL]
            assert view.top(5).bids
        await until(lambda: not place.sim.exchange.connections)
        with pytest.raises(BookNotReady, match="the books were closed"):
            view.top(5)
        with pytest.raises(BookNotReady, match="the books were closed"):
            await books.wait()
        with pytest.raises(RuntimeError, match="make new ones"):
            await books.start()
        await books.close()
        assert not [task for task in asyncio.all_tasks() if "depthcast" in repr(task.get_coro())]


async def test_books_may_be_made_outside_of_a_loop_and_say_that_they_were_not_started() -> None:
    async with exchange() as place:
        books = await asyncio.to_thread(Books, "binance", [SYMBOL], **place.options())
        with pytest.raises(BookNotReady, match="were not started"):
            await books.wait(timeout_s=0)
        books.check()
        await books.start()
        await books.start()
        await books.wait()
        await books.close()


async def test_the_symbols_are_a_mapping() -> None:
    async with exchange(SYMBOL, "BTCUSDT") as place:
        books = await place.books(SYMBOL, "BTCUSDT", SYMBOL)
        assert list(books) == [SYMBOL, "BTCUSDT"]
        assert len(books) == 2
        assert SYMBOL in books
        assert "BNBBTC" not in books
        assert books.views == {symbol: books[symbol] for symbol in books}
        with pytest.raises(KeyError, match="'BNBBTC' is not subscribed; subscribed are ETHUSDT, BTCUSDT"):
            books["BNBBTC"]
        with pytest.raises(KeyError):
            books.changes("BNBBTC")
        with pytest.raises(KeyError):
            await books.wait(["BNBBTC"])


async def test_symbols_come_and_go() -> None:
    async with exchange(SYMBOL, "BTCUSDT") as place:
        books = await place.ready()
        view = books[SYMBOL]
        books.subscribe("BTCUSDT")
        books.subscribe([SYMBOL])
        assert books[SYMBOL] is view, "what is kept is left alone"
        await books.wait(["BTCUSDT"])
        changes = books.changes(SYMBOL)
        books.unsubscribe([SYMBOL, "never subscribed"])
        assert [change.rebuilt async for change in changes] == []
        assert list(books) == ["BTCUSDT"]
        with pytest.raises(BookNotReady, match="not subscribed any more"):
            view.top(5)
        await place.tick(2, books["BTCUSDT"])
        books.subscribe([SYMBOL])
        await books.wait()
        await place.tick(1, books[SYMBOL])


async def test_waiting_ends_at_its_time_with_which_and_why() -> None:
    async with exchange(SYMBOL, "BTCUSDT") as place:
        place.sim.faults.inject("failed_snapshot", symbol=SYMBOL, form="503", count=1000)
        books = await place.books(SYMBOL, "BTCUSDT", retry_maximum_s=0.2)
        await books.wait(["BTCUSDT"])
        waiting = asyncio.ensure_future(books.wait(timeout_s=5))
        await until(lambda: "503" in books._why(SYMBOL))
        assert not waiting.done()
        place.now += 5.1
        with pytest.raises(BookNotReady) as error:
            await waiting
        assert error.value.symbols == [SYMBOL]
        assert "503" in error.value.why[SYMBOL]
        place.sim.faults.clear()
        await until(lambda: books[SYMBOL].ready)


async def test_an_exchange_that_is_not_there_is_named_in_the_reason() -> None:
    async with exchange() as place:
        books = await place.books(ws_url="ws://127.0.0.1:9")
        await until(lambda: "ws://127.0.0.1:9/stream cannot be reached" in books._why(SYMBOL))
        with pytest.raises(BookNotReady, match="cannot be reached"):
            books[SYMBOL].top(1)


@pytest.mark.parametrize("symbol", ["NOPEUSDT", "ethusdt"])
async def test_a_symbol_that_is_not_listed_is_told_at_once_and_asked_for_no_more(symbol: str) -> None:
    async with exchange() as place:
        books = await place.books(SYMBOL, symbol)
        with pytest.raises(UnknownSymbol) as error:
            await books.wait(timeout_s=1e9)
        assert error.value.symbol == symbol
        with pytest.raises(UnknownSymbol):
            books[symbol].top(5)
        await books.wait([SYMBOL])
        answered = books._rest.answered
        await place.tick(3, books[SYMBOL])
        assert books._rest.answered == answered
        books.check()


async def test_a_symbol_that_is_listed_later_may_be_asked_for_again() -> None:
    async with exchange() as place:
        books = await place.books(SYMBOL, "LATE")
        with pytest.raises(UnknownSymbol):
            await books.wait()
        place.list_quiet("LATE", [("9.00", "1.000")], [])
        books.subscribe(["LATE"])
        await books.wait()
        assert books["LATE"].best_bid == (9.0, 1.0)


async def test_many_books_begin_less_deep_and_are_completed() -> None:
    symbols = [f"S{number}" for number in range(13)]
    async with exchange() as place:
        levels = [(f"{cents / 100:.2f}", "1.000") for cents in range(2000, 800, -1)]
        for symbol in symbols:
            place.list_quiet(symbol, levels, [("30.00", "1.000")])
        books = await place.ready(*symbols)
        depths = [books[symbol].certainty.bids for symbol in symbols]
        assert sorted(depths) == [1000, 1000] + [1200] * 11, "two had to be cut for all to fit"
        assert books._rest.weight_used <= 3000
        place.now += 60
        await until(lambda: any(books[symbol].certainty.bids == 1200 for symbol in symbols))
        for symbol in symbols:
            place.compare(books[symbol])


async def test_changes_lead_from_one_book_to_the_next() -> None:
    async with exchange() as place:
        books = await place.ready()
        view = books[SYMBOL]
        seen: list[int] = []
        mine: tuple[dict[str, str], dict[str, str]] = ({}, {})

        async def follow() -> None:
            async for change in books.changes(SYMBOL, strings=True):
                whole = view.top(strings=True)
                assert change.update_id == whole.update_id, "the book is where the change says it is"
                for side, levels, changed in zip(mine, whole[3:], (change.bids, change.asks), strict=True):
                    if change.rebuilt:
                        side.clear()
                        side.update(dict(levels))
                    for price, quantity in changed:
                        side[price] = quantity
                        if not float(quantity):
                            del side[price]
                    assert side == dict(levels)
                seen.append(change.update_id)

        reader = asyncio.ensure_future(follow())
        for _ in range(10):
            await place.tick(1, view)
        place.sim.faults.inject("gap", symbol=SYMBOL)
        await place.tick(3, view)
        books.unsubscribe([SYMBOL])
        await asyncio.wait_for(reader, 5)
        assert len(seen) >= 10
        assert seen == sorted(set(seen))


async def test_a_reader_that_sleeps_gets_one_merged_change() -> None:
    async with exchange() as place:
        books = await place.ready()
        changes = books.changes(SYMBOL)
        assert (await anext(changes)).rebuilt
        before = {tuple(level) for level in books[SYMBOL].top().bids}
        await place.tick(8, books[SYMBOL])
        change = await anext(changes)
        assert 1 < change.diffs <= 8
        assert change.update_id == books[SYMBOL].update_id
        after = {tuple(level) for level in books[SYMBOL].top().bids}
        assert {tuple(level) for level in change.bids if level[1]} >= after - before


async def test_a_change_says_when_the_book_was_built_anew() -> None:
    async with exchange() as place:
        books = await place.ready()
        changes = books.changes(SYMBOL)
        await anext(changes)
        place.sim.faults.inject("gap", symbol=SYMBOL)
        await place.tick(3, books[SYMBOL])
        change = await anext(changes)
        assert change.rebuilt
        assert change.bids == change.asks == []


@pytest.mark.parametrize(
    ("options", "why"), [({"depth": 0}, "depth is at least 1"), ({"weight_share": 1.5}, "is a share")]
)
def test_options_that_make_no_sense_are_refused(options: Options, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Books(**options)


def test_an_unknown_exchange_is_refused() -> None:
    with pytest.raises(SettingsError, match="known are binance"):
        Books("kraken")


def test_a_single_name_is_one_symbol_and_not_its_letters() -> None:
    assert list(Books("binance", "ETHUSDT")) == ["ETHUSDT"]


def test_the_typed_options_are_the_arguments() -> None:
    arguments = inspect.signature(Books).parameters.keys() - {"venue", "symbols", "guard"}
    assert arguments == Options.__annotations__.keys()


def test_the_public_names_are_the_packages() -> None:
    assert depthcast.Books is Books
    assert {"Books", "BookView", "BooksThread", "connect"} <= set(dir(depthcast))


async def test_reading_takes_microseconds() -> None:
    """A bound a hundred times above what it takes: it is no round trip to anywhere."""
    async with exchange(depth=200) as place:
        view = (await place.ready())[SYMBOL]
        began = time.process_time()
        for _ in range(100):
            view.top(100)
        assert time.process_time() - began < 0.5


async def test_books_of_futures_are_the_exchanges_own_while_the_market_moves() -> None:
    settings = Settings(symbols=("BTCUSDT",), depth=300, varied=False, futures=True, partial_share=0)
    async with (
        Simulator(settings, manual=True) as sim,
        Books("binanceusdm", ["BTCUSDT"], depth=200, rest_url=sim.rest_url, ws_url=sim.ws_url) as books,
    ):
        await until(lambda: sim.exchange.instruments["BTCUSDT"].listeners)
        await sim.tick()
        await books.wait(timeout_s=60)
        view = books["BTCUSDT"]
        assert books._rest.weight_used == 10, "two hundred levels are asked for as five hundred"
        for _ in range(10):
            await sim.tick()
            sent = sim.exchange.instruments["BTCUSDT"].sent_id
            await until(lambda sent=sent: view.update_id == sent)  # type: ignore[misc]
            assert view.body(100) == sim.truth.body("BTCUSDT", sent, 100)
