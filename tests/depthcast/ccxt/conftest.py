"""An exchange whose time stands still between ticks, and both of our exchange objects on it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import ccxt
import ccxt.async_support
import pytest

import depthcast.ccxt
import depthcast.ccxt.aio
from simulator.app import Simulator
from simulator.clock import ManualClock
from simulator.settings import Settings

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Caller:
    """An exchange object of either kind, called from a test's event loop.

    Counts what it sends by HTTP, which is what a local answer must do without.
    """

    def __init__(self, exchange: Any) -> None:
        self.exchange = exchange
        self.sent: list[str] = []
        self._fetch = exchange.fetch
        exchange.fetch = self._counted

    @property
    def synchronous(self) -> bool:
        return bool(self.exchange.synchronous)

    def _counted(self, url: str, *rest: Any) -> Any:
        self.sent.append(url)
        return self._fetch(url, *rest)

    async def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        function = getattr(self.exchange, method)
        if self.synchronous:
            return await asyncio.to_thread(function, *arguments, **named)
        return await function(*arguments, **named)

    async def book(self, symbol: str, limit: Any = None, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self("fetch_order_book", symbol, limit, params)
        return found

    async def local(self, symbol: str, limit: Any = None, **params: Any) -> dict[str, Any]:
        """A book that has to come from this process."""
        sent = len(self.sent)
        book = await self.book(symbol, limit, fallback=False, **params)
        assert self.answer(symbol)["source"] == "local"
        assert len(self.sent) == sent, self.sent[sent:]
        return book

    def answer(self, symbol: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.exchange.depthcast_status(symbol)["answer"]
        return answer

    def books_sent(self) -> list[str]:
        """The books that were asked for by HTTP."""
        return [url for url in self.sent if "/depth?" in url]

    async def close(self) -> None:
        await self("close")


def point_at(exchange: Any, rest_url: str) -> Any:
    """Make an exchange object talk to ``rest_url``; of any kind, ours or ccxt's own."""
    exchange.urls["api"]["public"] = f"{rest_url}/api/v3"
    exchange.urls["api"]["private"] = f"{rest_url}/api/v3"
    # How long ccxt would wait before each request is not the matter of these tests.
    exchange.enableRateLimit = False
    exchange.timeout = 20_000
    return exchange


def config(**options: Any) -> dict[str, Any]:
    return {"options": {"fetchMarkets": {"types": ["spot"]}, "depthcast": options}}


def make(module: Any, simulator: Simulator, **options: Any) -> Any:
    return point_at(module.binance(config(**({"ws_url": simulator.ws_url} | options))), simulator.rest_url)


def original(simulator: Simulator, module: Any = ccxt) -> Any:
    return point_at(module.binance({"options": {"fetchMarkets": {"types": ["spot"]}}}), simulator.rest_url)


def true_levels(simulator: Simulator, symbol: str, update_id: int, limit: int) -> dict[str, Any]:
    """What the exchange published at that id, as ccxt shows it."""
    body = json.loads(simulator.truth.body(symbol, update_id, limit))
    return {
        side: [[float(price), float(quantity)] for price, quantity in body[side]] for side in ("bids", "asks")
    }


async def refused(call: Awaitable[Any]) -> BaseException:
    """The error that a call ends with."""
    try:
        await call
    except Exception as error:
        return error
    raise AssertionError("it was not refused")


async def until(condition: Callable[[], Awaitable[Any]], bound_s: float = 30.0) -> None:
    end = time.monotonic() + bound_s
    while not await condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    settings = Settings(
        symbols=SYMBOLS, depth=150, changes=8, varied=False, partial_share=0, weight_limit=10**6
    )
    clock = ManualClock(time.time_ns() // 1_000_000)
    async with Simulator(settings, manual=True, clock=clock) as exchange:
        yield exchange


@pytest.fixture(params=["sync", "async"])
async def caller(request: pytest.FixtureRequest, simulator: Simulator) -> AsyncIterator[Caller]:
    """Ours on the simulator, of both kinds; markets are loaded, no book is kept yet."""
    module = depthcast.ccxt if request.param == "sync" else depthcast.ccxt.aio
    caller = Caller(make(module, simulator))
    try:
        await caller("load_markets")
        yield caller
    finally:
        await caller.close()


@pytest.fixture
async def warm(caller: Caller) -> Caller:
    """The same, with the books of all symbols there."""
    await caller("depthcast_wait", ["BTC/USDT", "ETH/USDT", "SOL/USDT"])
    caller.sent.clear()
    return caller


async def tick(simulator: Simulator, caller: Caller, symbol: str = "ETH/USDT", count: int = 1) -> None:
    """Let time pass at the exchange, and our book of ``symbol`` follow."""
    await simulator.tick(count)
    market_id = caller.exchange.market(symbol)["id"]

    async def arrived() -> bool:
        book = caller.exchange.depthcast_status(symbol)["book"]
        return bool(book["nonce"] == simulator.exchange.instruments[market_id].journal.update_id)

    await until(arrived)
