"""``binanceusdm`` and ``binanceus`` of both kinds beside ccxt's own on a simulated exchange."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

import depthcast.ccxt
import depthcast.ccxt.aio
from simulator.app import Simulator
from simulator.clock import ManualClock
from simulator.settings import Settings
from tests.depthcast.ccxt.conftest import Caller, config, point_at, refused, tick, true_levels

SYMBOL = "ETH/USDT:USDT"


def at_futures(exchange: Any, simulator: Simulator) -> Any:
    point_at(exchange, simulator.rest_url)
    exchange.urls["api"]["fapiPublic"] = f"{simulator.rest_url}/fapi/v1"
    return exchange


def original(simulator: Simulator) -> Any:
    return at_futures(ccxt.binanceusdm(), simulator)


@pytest.fixture
async def futures() -> AsyncIterator[Simulator]:
    settings = Settings(
        futures=True, symbols=("BTCUSDT", "ETHUSDT"), depth=150, changes=8, varied=False, weight_limit=10**6
    )
    clock = ManualClock(time.time_ns() // 1_000_000)
    async with Simulator(settings, manual=True, clock=clock) as exchange:
        yield exchange


@pytest.fixture(params=["sync", "async"])
async def warm(request: pytest.FixtureRequest, futures: Simulator) -> AsyncIterator[Caller]:
    module: Any = depthcast.ccxt if request.param == "sync" else depthcast.ccxt.aio
    made = module.binanceusdm({"options": {"depthcast": {"ws_url": futures.ws_url}}})
    caller = Caller(at_futures(made, futures))
    try:
        await caller("depthcast_wait", [SYMBOL, "BTC/USDT:USDT"])
        caller.sent.clear()
        yield caller
    finally:
        await caller.close()


@pytest.mark.parametrize("limit", [None, 5, 100, 1000])
async def test_a_book_of_futures_is_ccxt_s_own_whole(
    warm: Caller, futures: Simulator, limit: int | None
) -> None:
    await tick(futures, warm, SYMBOL)
    ours = await warm.local(SYMBOL, limit)
    theirs = await asyncio.to_thread(original(futures).fetch_order_book, SYMBOL, limit)
    # Futures tell when the last change was made, so no member differs.
    assert list(ours) == list(theirs)
    assert ours == theirs
    assert type(ours["timestamp"]) is int
    strings = await warm.local(SYMBOL, limit, strings=True)
    true = json.loads(futures.truth.body("ETHUSDT", ours["nonce"], limit or 500))
    assert (strings["bids"], strings["asks"]) == (true["bids"], true["asks"])
    by_rest = await warm.book(SYMBOL, limit, strings=True, source="rest")
    assert by_rest == strings


@pytest.mark.parametrize("limit", [0, 1, 7, 5000, "abc"])
async def test_a_limit_that_futures_do_not_have_gets_their_own_refusal(
    warm: Caller, futures: Simulator, limit: Any
) -> None:
    theirs = await refused(asyncio.to_thread(original(futures).fetch_order_book, SYMBOL, limit))
    ours = await refused(warm.book(SYMBOL, limit))
    assert isinstance(theirs, ccxt.BaseError)
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


async def test_an_unknown_contract_is_ccxt_s_bad_symbol(warm: Caller, futures: Simulator) -> None:
    theirs = await refused(asyncio.to_thread(original(futures).fetch_order_book, "NO/SUCH:USDT"))
    ours = await refused(warm.book("NO/SUCH:USDT"))
    assert isinstance(theirs, ccxt.BadSymbol)
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


async def test_best_prices_of_contracts_are_ccxt_s_own(warm: Caller, futures: Simulator) -> None:
    await tick(futures, warm, SYMBOL)
    await tick(futures, warm, "BTC/USDT:USDT")
    warm.sent.clear()
    for symbols in ([SYMBOL], [SYMBOL, "BTC/USDT:USDT"]):
        theirs = await asyncio.to_thread(original(futures).fetch_bids_asks, symbols)
        assert await warm("fetch_bids_asks", symbols) == theirs
        assert warm.sent == []
    every = await asyncio.to_thread(original(futures).fetch_bids_asks)
    assert await warm("fetch_bids_asks") == every


async def test_a_book_of_another_kind_is_the_original_s(warm: Caller) -> None:
    asked = []

    def depth(request: dict[str, Any]) -> Any:
        asked.append(request)
        answer: dict[str, Any] = {"lastUpdateId": 7, "T": 1000, "bids": [["1.5", "2"]], "asks": []}
        return answer if warm.synchronous else _soon(answer)

    warm.exchange.fapiPublicGetRpiDepth = depth
    assert (await warm.book(SYMBOL, 5, rpi=True))["nonce"] == 7
    assert asked == [{"symbol": "ETHUSDT", "limit": 1000}]


async def _soon(answer: Any) -> Any:
    return answer


async def test_binance_us_is_spot_at_its_own_addresses(simulator: Simulator) -> None:
    ours = depthcast.ccxt.binanceus(config(ws_url=simulator.ws_url))
    assert ours._books_arguments()["venue"] == "binanceus"
    caller = Caller(point_at(ours, simulator.rest_url))
    try:
        await caller("depthcast_wait", ["ETH/USDT"])
        book = await caller.local("ETH/USDT", 20)
        true = true_levels(simulator, "ETHUSDT", book["nonce"], 20)
        assert {"bids": book["bids"], "asks": book["asks"]} == true
        theirs = point_at(ccxt.binanceus(), simulator.rest_url)
        original = await asyncio.to_thread(theirs.fetch_order_book, "ETH/USDT", 20)
        assert book | {"timestamp": None, "datetime": None} == original
    finally:
        await caller.close()
