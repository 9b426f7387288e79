"""Best bids and asks: ccxt's own tickers, from the books in this process or from the exchange."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

import depthcast.ccxt
import depthcast.ccxt.aio
from tests.conformance.world import World
from tests.depthcast.ccxt.conftest import Caller, make, original, refused


@pytest.fixture(params=["sync", "async"])
async def caller(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Caller]:
    module = depthcast.ccxt if request.param == "sync" else depthcast.ccxt.aio
    caller = Caller(make(module, world.simulator))
    try:
        await caller("load_markets")
        yield caller
    finally:
        await caller.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as world:
        yield world


def timeless(tickers: dict[str, Any]) -> dict[str, Any]:
    return {symbol: ticker | {"timestamp": None, "datetime": None} for symbol, ticker in tickers.items()}


SYMBOLS = ["ETH/USDT", "THIN/USDT", "ONESIDE/USDT", "EMPTY/USDT", "币安人生/USDT"]


async def test_they_are_ccxt_s_own_whoever_answers(caller: Caller, world: World) -> None:
    theirs = await asyncio.to_thread(original(world.simulator).fetch_bids_asks, SYMBOLS)
    first = await caller("fetch_bids_asks", SYMBOLS)
    assert [url for url in caller.sent if "bookTicker" in url]
    await caller("depthcast_wait", SYMBOLS)
    caller.sent.clear()
    second = await caller("fetch_bids_asks", SYMBOLS)
    assert caller.sent == []
    assert timeless(first) == timeless(second) == timeless(theirs)
    assert list(second["ETH/USDT"]) == list(theirs["ETH/USDT"])
    for tickers in (first, second):
        ticker = tickers["ETH/USDT"]
        assert ticker["datetime"] == ccxt.Exchange.iso8601(ticker["timestamp"])
        assert abs(ticker["timestamp"] - world.simulator.exchange.wall_ms()) < 600_000


async def test_those_of_all_markets_are_the_exchange_s_and_begin_no_books(
    caller: Caller, world: World
) -> None:
    theirs = await asyncio.to_thread(original(world.simulator).fetch_bids_asks)
    assert timeless(await caller("fetch_bids_asks")) == timeless(theirs)
    assert timeless(await caller("fetch_bids_asks", None, {"type": "spot"})) == timeless(theirs)
    assert world.simulator.exchange.connections == {}
    refusal = await refused(caller("fetch_bids_asks", None, {"fallback": False}))
    assert isinstance(refusal, ccxt.BadRequest)


async def test_what_the_exchange_refuses_is_refused_in_its_words(caller: Caller, world: World) -> None:
    calls: list[tuple[list[str], dict[str, Any]]] = [
        (["NO/SUCH"], {}),
        (["ETH/USDT"], {"symbolStatus": "FOO"}),
        ([], {}),
    ]
    for symbols, params in calls:
        fetch = original(world.simulator).fetch_bids_asks
        theirs = await refused(asyncio.to_thread(fetch, symbols, params))
        ours = await refused(caller("fetch_bids_asks", symbols, params))
        assert (type(ours), str(ours)) == (type(theirs), str(theirs))


async def test_a_book_that_is_not_ready_is_named_where_nobody_else_may_be_asked(caller: Caller) -> None:
    refusal = await refused(caller("fetch_bids_asks", ["ETH/USDT"], {"fallback": False}))
    assert isinstance(refusal, ccxt.ExchangeNotAvailable)
    assert "local: ETH/USDT:" in str(refusal)
