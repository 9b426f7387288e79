"""The whole way: a running exchange, an updater, a server, and a client that knows nothing of all this."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import ccxt

from depthcast.files import EXCHANGE_INFO_KEY, depth_key
from depthcast.store import Store
from depthcast.store.memory import MemoryStore
from simulator.app import Simulator
from simulator.settings import Settings
from tests.conformance.world import ask, serving
from updater.replica import Replica
from updater.settings import UpdaterSettings

SYMBOLS = ("ADATRY", "BTCUSDT", "ETHUSDT")


class Kept(MemoryStore):
    """Stays open when the one who serves it closes it: the updater still writes to it."""

    async def close(self) -> None:
        pass


async def proven(_store: Store) -> None:
    """It honours conditions."""


@asynccontextmanager
async def updating(exchange: Simulator, store: Store) -> Any:
    settings = UpdaterSettings(
        symbols=SYMBOLS,
        limits=(5, 100),
        replica="a",
        rest_url=exchange.rest_url,
        ws_url=exchange.ws_url,
        symbols_every_s=0.2,
    )
    replica = Replica(settings, store, prove=proven)
    task = asyncio.create_task(replica.run())
    try:
        yield
        replica.stop()
        await asyncio.wait_for(task, 30)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[Any]], bound_s: float = 60.0) -> None:
    end = time.monotonic() + bound_s
    while not await condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.05)


async def test_a_client_of_the_exchange_finds_markets_books_and_prices() -> None:
    store = Kept()
    async with (
        Simulator(Settings(symbols=SYMBOLS, depth=300, varied=False)) as exchange,
        updating(exchange, store),
    ):
        for key in (EXCHANGE_INFO_KEY, *(depth_key(symbol, 5) for symbol in SYMBOLS)):
            await until(lambda key=key: store.get(key))  # type: ignore[misc]
        async with serving(store, exchange_info_refresh_s=0.1) as port:
            client = ccxt.binance({"options": {"fetchMarkets": {"types": ["spot"]}}})
            client.urls["api"]["public"] = f"http://127.0.0.1:{port}/api/v3"
            markets = await asyncio.to_thread(client.load_markets)
            assert set(markets) == {"ADA/TRY", "BTC/USDT", "ETH/USDT"}
            book = await asyncio.to_thread(client.fetch_order_book, "ETH/USDT", 5)
            true = json.loads(exchange.truth.body("ETHUSDT", book["nonce"], 5))
            assert book["bids"] == [[float(price), float(many)] for price, many in true["bids"]]
            tickers = await asyncio.to_thread(client.fetch_bids_asks)
            assert set(tickers) == set(markets)
            assert all(0 < each["bid"] < each["ask"] for each in tickers.values())

            # A halt is news: the list is written again, and filters know it.
            exchange.exchange.set_status("BTCUSDT", "HALT")

            async def halted() -> bool:
                got = await asyncio.to_thread(ask, port, "GET /api/v3/exchangeInfo?symbolStatus=HALT")
                return [each["symbol"] for each in json.loads(got.body)["symbols"]] == ["BTCUSDT"]

            await until(halted)
