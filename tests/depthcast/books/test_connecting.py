"""``connect``: books that are ready, or an error and nothing left open."""

import asyncio

import pytest

import depthcast
from depthcast.errors import BookNotReady, UnknownSymbol
from simulator.faults import Kind
from tests.depthcast.books.exchange import SYMBOL, exchange, until


async def test_awaited_it_gives_books_that_are_ready() -> None:
    async with exchange() as place:
        books = await depthcast.connect("binance", [SYMBOL], **place.options())
        assert books[SYMBOL].ready
        assert len(books[SYMBOL].top(5).bids) == 5
        await books.close()
        await until(lambda: not place.sim.exchange.connections)


async def test_entered_it_closes_them_at_the_end() -> None:
    async with exchange() as place:
        async with depthcast.connect("binance", [SYMBOL], **place.options()) as books:
            await place.tick(2, books[SYMBOL])
        await until(lambda: not place.sim.exchange.connections)


async def test_an_unknown_symbol_is_raised_and_everything_closed() -> None:
    async with exchange() as place:
        with pytest.raises(UnknownSymbol):
            await depthcast.connect("binance", [SYMBOL, "NOPE"], **place.options())
        await until(lambda: not place.sim.exchange.connections)


async def test_books_that_do_not_come_in_time_are_raised_and_everything_closed() -> None:
    async with exchange() as place:
        place.sim.faults.inject("failed_snapshot", form="503", count=1000)
        connecting = asyncio.ensure_future(
            _entered(depthcast.connect("binance", [SYMBOL], timeout_s=7, **place.options()))
        )
        await until(lambda: place.sim.faults.counts[Kind.FAILED_SNAPSHOT] > 0)
        place.now += 7.1
        with pytest.raises(BookNotReady, match=SYMBOL):
            await connecting
        await until(lambda: not place.sim.exchange.connections)


async def _entered(connecting: "depthcast.books.connecting.Connecting") -> None:
    async with connecting:
        pass
