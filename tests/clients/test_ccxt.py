"""ccxt, unchanged but for its base URL (and told that there is a spot market alone)."""

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support as ccxt_async
import pytest

from tests.conformance.world import CHINESE, SYMBOLS

if TYPE_CHECKING:
    from tests.clients.conftest import Mirror


def binance(module: Any, mirror: "Mirror") -> Any:
    exchange = module.binance({"options": {"fetchMarkets": {"types": ["spot"]}}})
    exchange.urls["api"]["public"] = f"{mirror.url}/api/v3"
    return exchange


def unified(symbol: str) -> str:
    return f"{symbol.removesuffix('USDT')}/USDT"


def numbers(levels: list[list[str]]) -> list[list[float]]:
    return [[float(price), float(quantity)] for price, quantity in levels]


async def test_markets_are_loaded_from_the_published_list(mirror: "Mirror") -> None:
    markets = await asyncio.to_thread(binance(ccxt, mirror).load_markets)
    assert set(markets) == set(map(unified, SYMBOLS))
    assert markets["ETH/USDT"]["active"] is True
    assert markets["HALT/USDT"]["active"] is False
    assert markets["ETH/USDT"]["precision"]["price"] == 0.01


@pytest.mark.parametrize("limit", [None, 5, 7, 5000])
@pytest.mark.parametrize("symbol", ["ETHUSDT", "THINUSDT", CHINESE])
async def test_a_book_is_the_exchange_s(mirror: "Mirror", symbol: str, limit: int | None) -> None:
    book = await asyncio.to_thread(binance(ccxt, mirror).fetch_order_book, unified(symbol), limit)
    true = json.loads(mirror.world.book(symbol, limit or 100))
    assert book["nonce"] == true["lastUpdateId"]
    assert (book["bids"], book["asks"]) == (numbers(true["bids"]), numbers(true["asks"]))


async def test_best_prices_of_all_and_of_some(mirror: "Mirror") -> None:
    exchange = binance(ccxt, mirror)
    for symbols in (None, ["ETH/USDT", "BTC/USDT"]):
        tickers = await asyncio.to_thread(exchange.fetch_bids_asks, symbols)
        assert set(tickers) == set(symbols or map(unified, SYMBOLS))
        true = json.loads(mirror.world.book("ETHUSDT", 1))
        found = tickers["ETH/USDT"]
        assert [[found["bid"], found["bidVolume"]]] == numbers(true["bids"])
        assert [[found["ask"], found["askVolume"]]] == numbers(true["asks"])


async def test_time_and_errors(mirror: "Mirror") -> None:
    exchange = binance(ccxt, mirror)
    assert abs(await asyncio.to_thread(exchange.fetch_time) - time.time() * 1000) < 60_000
    with pytest.raises(ccxt.BadSymbol, match="-1121"):
        await asyncio.to_thread(exchange.public_get_depth, {"symbol": "NOSUCH"})


async def test_the_asynchronous_one(mirror: "Mirror") -> None:
    exchange = binance(ccxt_async, mirror)
    try:
        book = await exchange.fetch_order_book("ETH/USDT", 20)
        tickers = await exchange.fetch_bids_asks(["ETH/USDT"])
    finally:
        await exchange.close()
    true = json.loads(mirror.world.book("ETHUSDT", 20))
    assert (book["nonce"], book["bids"]) == (true["lastUpdateId"], numbers(true["bids"]))
    assert tickers["ETH/USDT"]["ask"] == float(true["asks"][0][0])
