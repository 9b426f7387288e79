"""Thirty markets, read by everybody: ours of both kinds, ccxt's REST call and ccxt.pro's live book."""

import asyncio
import time
from typing import Any

import ccxt.async_support
import ccxt.pro

import depthcast.ccxt
import depthcast.ccxt.aio
from simulator.app import Simulator
from simulator.clock import ManualClock
from simulator.settings import Settings
from tests.depthcast.ccxt.conftest import make, original, true_levels, until

LIMITS = (1, 5, 20, 100, 1000, 5000)


async def test_thirty_markets_are_the_same_for_all_at_the_same_id() -> None:
    settings = Settings(symbols=30, depth=150, changes=6, partial_share=0, weight_limit=10**6)
    clock = ManualClock(time.time_ns() // 1_000_000)
    async with Simulator(settings, manual=True, clock=clock) as simulator:
        # Both count on one address, whose minute does not end as long as the exchange's clock stands still.
        modules = depthcast.ccxt, depthcast.ccxt.aio
        kinds = [make(module, simulator, depth=1000, weight_share=1.0) for module in modules]
        theirs, pro = original(simulator, ccxt.async_support), original(simulator, ccxt.pro)
        pro.urls["api"]["ws"]["spot"] = f"{simulator.ws_url}/ws"
        try:
            symbols = list(await theirs.load_markets())
            assert len(symbols) == 30
            await asyncio.to_thread(kinds[0].depthcast_wait, symbols, 60)
            await kinds[1].depthcast_wait(symbols, 60)
            # Each of pro's books is one of those that its first call waits for.
            await asyncio.gather(*(pro.watch_order_book(symbol, 5000) for symbol in symbols))
            await simulator.tick(5)
            for symbol in symbols:
                await _compare(simulator, symbol, kinds, theirs, pro)
        finally:
            await asyncio.to_thread(kinds[0].close)
            for each in (kinds[1], theirs, pro):
                await each.close()


async def _compare(simulator: Simulator, symbol: str, kinds: list[Any], theirs: Any, pro: Any) -> None:
    market_id = theirs.market(symbol)["id"]
    newest = simulator.exchange.instruments[market_id].journal.update_id

    async def all_there() -> bool:
        ids = [kind.depthcast_status(symbol)["book"]["nonce"] for kind in kinds]
        return [*ids, pro.orderbooks[symbol]["nonce"]] == [newest] * 3

    await until(all_there)
    for limit in LIMITS:
        asked = await theirs.fetch_order_book(symbol, limit)
        true = true_levels(simulator, market_id, newest, limit)
        assert asked["nonce"] == newest
        assert {side: asked[side] for side in true} == true
        for read in (
            await asyncio.to_thread(kinds[0].fetch_order_book, symbol, limit),
            await kinds[1].fetch_order_book(symbol, limit),
        ):
            assert read | {"timestamp": None, "datetime": None} == asked
        for side, levels in true.items():
            assert [level[:2] for level in pro.orderbooks[symbol][side][:limit]] == levels
    for kind in kinds:
        answer = kind.depthcast_status(symbol)["answer"]
        assert (answer["source"], answer["passed_over"]) == ("local", ())
