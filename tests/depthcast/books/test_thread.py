"""``BooksThread``: books read from other threads while they change."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from depthcast.books import BooksThread, BookView
from depthcast.errors import BookNotReady, SettingsError, UnknownSymbol
from simulator.app import Simulator
from simulator.settings import Settings

MARKET = Settings(symbols=2, varied=False, depth=300, changes=60, rate=100)
SYMBOL = "ETHUSDT"

T = TypeVar("T")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(MARKET) as simulator:
        yield simulator


def books_of(sim: Simulator, *symbols: str) -> BooksThread:
    return BooksThread("binance", symbols, rest_url=sim.rest_url, ws_url=sim.ws_url)


async def elsewhere(work: Callable[[], T]) -> T:
    """Do ``work`` in another thread, for the exchange lives in this one's loop."""
    return await asyncio.wait_for(asyncio.to_thread(work), 60)


async def test_books_are_kept_in_the_background_until_they_are_closed(sim: Simulator) -> None:
    def use() -> tuple[int, bytes]:
        with books_of(sim, SYMBOL) as books:
            books.wait(timeout_s=20)
            view = books.view(SYMBOL)
            assert books[SYMBOL] is view
            assert SYMBOL in books
            assert view.ready
            assert view.age_ms < 20_000
            books.check()
            first = view.update_id
            while view.update_id == first:
                pass
            # One moment's body: its own id says which.
            shown = view.top(20), view.body(20)
        with pytest.raises(BookNotReady, match="closed"):
            view.top(1)
        books.close()
        with pytest.raises(RuntimeError, match="not running"):
            books.wait()
        return shown[0].update_id, shown[1]

    _, body = await elsewhere(use)
    update_id = int(body.split(b":")[1].split(b",")[0])
    assert body == sim.truth.body(SYMBOL, update_id, 20)
    assert not [thread for thread in threading.enumerate() if thread.name == "depthcast-books"]


async def test_what_several_threads_read_is_never_half_a_diff(sim: Simulator) -> None:
    """Each body names its id, and is compared with the exchange's book at that id."""

    def read(view: BookView) -> dict[int, bytes]:
        seen: dict[int, bytes] = {}
        while len(seen) < 25:
            body = view.body(50)
            seen[int(body.split(b":")[1].split(b",")[0])] = body
            top = view.top(50)
            assert top.bids[0][0] < top.asks[0][0]
            assert len(top.bids) == len(top.asks) == 50
        return seen

    def use() -> list[dict[int, bytes]]:
        with books_of(sim, SYMBOL) as books:
            books.wait(timeout_s=20)
            with ThreadPoolExecutor(3) as readers:
                return list(readers.map(read, [books.view(SYMBOL)] * 3))

    for seen in await elsewhere(use):
        for update_id, body in seen.items():
            assert body == sim.truth.body(SYMBOL, update_id, 50)


async def test_symbols_come_and_go_and_pauses_are_heard_of(sim: Simulator) -> None:
    def use() -> None:
        with books_of(sim) as books:
            books.subscribe([SYMBOL])
            books.wait([SYMBOL], timeout_s=20)
            books.subscribe("NOPE")
            with pytest.raises(UnknownSymbol):
                books.wait(timeout_s=20)
            books.unsubscribe(["NOPE", SYMBOL])
            assert SYMBOL not in books
            assert books.silent_for_s == 0
            books.silence(5000)
            assert 0 < books.silent_for_s <= 5
            with pytest.raises(KeyError):
                books.view(SYMBOL)

    await elsewhere(use)


async def test_waiting_ends_at_its_time(sim: Simulator) -> None:
    def use() -> None:
        with books_of(sim, SYMBOL) as books, pytest.raises(BookNotReady, match=SYMBOL):
            books.wait(timeout_s=0)

    await elsewhere(use)


def test_options_are_refused_where_they_are_given() -> None:
    with pytest.raises(SettingsError, match="known are binance"):
        BooksThread("kraken")


def test_books_that_were_not_started_say_so() -> None:
    books = BooksThread("binance", ["ETHUSDT"])
    with pytest.raises(RuntimeError, match="start"):
        books.subscribe(["BTCUSDT"])
    with pytest.raises(BookNotReady, match="not started"):
        books.view("ETHUSDT").top(5)
    books.close()


def test_what_ends_the_thread_at_once_is_raised_by_start() -> None:
    def broken() -> asyncio.AbstractEventLoop:
        raise OSError("too many open files")

    books = BooksThread("binance", ["ETHUSDT"], loop_factory=broken)
    with pytest.raises(OSError, match="too many open files"):
        books.start()


async def test_changes_are_read_without_an_event_loop_and_lead_from_one_book_to_the_next(
    sim: Simulator,
) -> None:
    def use() -> tuple[dict[str, dict[str, str]], int]:
        with books_of(sim, SYMBOL) as books:
            changes = books.changes(SYMBOL, strings=True, timeout_s=20)
            assert next(changes).rebuilt
            books.wait(timeout_s=20)
            top = books[SYMBOL].top(strings=True)
            known: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
            for side, levels in (("bids", top.bids), ("asks", top.asks)):
                known[side].update((price, size) for price, size in levels)
            at = top.update_id
            while True:
                change = next(changes)
                # A change may tell what the book had when it was read already; quantities are absolute.
                assert not change.rebuilt
                for side, levels in (("bids", change.bids), ("asks", change.asks)):
                    known[side].update((price, size) for price, size in levels)
                if change.update_id > at:
                    return known, change.update_id

    known, update_id = await elsewhere(use)
    for side, true in zip(("bids", "asks"), sim.truth.levels(SYMBOL, update_id), strict=True):
        shown = {price: quantity for price, quantity in known[side].items() if float(quantity)}
        assert {price: quantity for price, quantity in true if price in known[side]} == shown
        assert len(shown) > 100


async def test_changes_end_with_the_books_and_wait_no_longer_than_they_are_told(sim: Simulator) -> None:
    def use() -> None:
        books = books_of(sim, SYMBOL)
        with pytest.raises(RuntimeError, match="not running"):
            books.changes(SYMBOL)
        with books:
            books.subscribe(["NOSUCH"])
            waiting = books.changes("NOSUCH", timeout_s=0.001)
            with pytest.raises(TimeoutError):
                next(waiting)
            with pytest.raises(KeyError):
                books.changes("OTHER")
            changes = books.changes(SYMBOL)
            assert next(iter(changes)).rebuilt
            closing = threading.Timer(0.05, books.close)
            closing.start()
            assert all(change.symbol == SYMBOL for change in changes)
            closing.join()
        assert list(changes) == []

    await elsewhere(use)
