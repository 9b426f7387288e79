"""``bitmex`` and ``binancecoinm`` of both kinds beside ccxt's own on a simulated exchange."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import pytest

import depthcast.ccxt
import depthcast.ccxt.aio
from depthcast.ccxt.dialects import BITMEX, Shown
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.settings import Settings
from simulator.clock import ManualClock
from tests.depthcast.ccxt.conftest import Caller, refused, until

ID = "XBTUSD"


def at(exchange: Any, sim: BitmexSimulator) -> Any:
    exchange.urls["api"] = {"public": sim.rest_url, "private": sim.rest_url}
    exchange.enableRateLimit = False
    exchange.has["fetchCurrencies"] = False
    return exchange


def original(sim: BitmexSimulator) -> Any:
    return at(ccxt.bitmex(), sim)


def timeless(book: dict[str, Any]) -> dict[str, Any]:
    return book | {"timestamp": None, "datetime": None}


@pytest.fixture
async def sim() -> AsyncIterator[BitmexSimulator]:
    settings = Settings(symbols=(ID, "ETHUSD"), depth=60, varied=False, requests_a_minute=100_000)
    clock = ManualClock(time.time_ns() // 1_000_000)
    async with BitmexSimulator(settings, manual=True, clock=clock) as simulated:
        await simulated.tick(3)
        yield simulated


@pytest.fixture(params=["sync", "async"])
async def caller(request: pytest.FixtureRequest, sim: BitmexSimulator) -> AsyncIterator[Caller]:
    module: Any = depthcast.ccxt if request.param == "sync" else depthcast.ccxt.aio
    caller = Caller(at(module.bitmex({"options": {"depthcast": {"ws_url": sim.ws_url}}}), sim))
    try:
        await caller("load_markets")
        yield caller
    finally:
        await caller.close()


async def test_a_book_is_ccxt_s_own_at_every_depth(caller: Caller, sim: BitmexSimulator) -> None:
    symbol = caller.exchange.market(ID)["symbol"]
    waiting = asyncio.create_task(caller("depthcast_wait", [symbol]))
    while not waiting.done():
        # A book begins when the exchange has told of two times.
        await sim.tick()
        await asyncio.sleep(0.01)
    await waiting

    async def same() -> bool:
        ours = await caller.local(symbol, 0)
        theirs = await asyncio.to_thread(original(sim).fetch_order_book, symbol, 0)
        return bool(timeless(ours) == theirs)

    await until(same)
    asked: tuple[tuple[int | None, dict[str, Any]], ...] = (
        (None, {}),
        (1, {}),
        (7, {}),
        (0, {}),
        (10_000, {}),
        (None, {"depth": 3}),
        (5, {"depth": 3}),
    )
    for limit, params in asked:
        ours = await caller.local(symbol, limit, **params)
        theirs = await asyncio.to_thread(original(sim).fetch_order_book, symbol, limit, params)
        assert list(ours) == list(theirs)
        assert timeless(ours) == theirs
        assert ours["nonce"] is None
        assert {type(number) for side in ("bids", "asks") for level in ours[side] for number in level} == {
            float
        }
    assert ours["timestamp"] <= sim.exchange.wall_ms()
    true = json.loads(sim.exchange.markets[ID].body(sim.exchange.markets[ID].step, 3))
    strings = await caller.local(symbol, 3, strings=True)
    assert [level[1] for level in strings["bids"]] == [
        str(row["size"]) for row in true if row["side"] == "Buy"
    ]


async def test_errors_are_ccxt_s_own(caller: Caller, sim: BitmexSimulator) -> None:
    symbol = caller.exchange.market(ID)["symbol"]
    for asked, limit in (("NO/SUCH", None), (symbol, -1), (symbol, "x")):
        theirs = await refused(asyncio.to_thread(original(sim).fetch_order_book, asked, limit))
        ours = await refused(caller.book(asked, limit))
        assert isinstance(theirs, ccxt.BaseError)
        assert (type(ours), str(ours)) == (type(theirs), str(theirs))


def test_amounts_of_spot_markets_are_counted_as_ccxt_does() -> None:
    exchange = ccxt.bitmex()
    exchange.currencies = {"XBT": {"id": "XBt", "code": "XBT", "precision": 1e-8}}
    shown = Shown([[50000.0, 150_000_000.0]], [], 0, 0)
    spot = {"spot": True, "base": "XBT"}
    assert BITMEX.amounts(exchange, spot, shown).bids == [[50000.0, 1.5]]
    assert BITMEX.amounts(exchange, spot | {"spot": False}, shown) is shown
