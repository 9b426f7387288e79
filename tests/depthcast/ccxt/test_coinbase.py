"""``coinbaseexchange`` of both kinds beside ccxt's own on a simulated exchange, field by field."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ccxt
import pytest

import depthcast.ccxt
import depthcast.ccxt.aio
from simulator.coinbase.app import CoinbaseSimulator
from tests.depthcast.books.coinbase import KEY, coinbase
from tests.depthcast.ccxt.conftest import Caller, refused, until

SYMBOL = "BTC/USD"


def at(exchange: Any, sim: CoinbaseSimulator) -> Any:
    exchange.urls["api"] = {"public": sim.rest_url, "private": sim.rest_url}
    exchange.enableRateLimit = False
    return exchange


def original(sim: CoinbaseSimulator) -> Any:
    return at(ccxt.coinbaseexchange(), sim)


def credentials() -> dict[str, str]:
    return dict(zip(("apiKey", "password", "secret"), KEY, strict=True))


def timeless(book: dict[str, Any]) -> dict[str, Any]:
    return book | {"timestamp": None, "datetime": None}


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[CoinbaseSimulator]:
    async with coinbase(tmp_path) as simulated:
        yield simulated


@pytest.fixture(params=["sync", "async"])
async def caller(
    request: pytest.FixtureRequest, sim: CoinbaseSimulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Caller]:
    for name in ("API_KEY", "PASSPHRASE", "API_SECRET"):
        monkeypatch.delenv(f"COINBASE_{name}", raising=False)
    module: Any = depthcast.ccxt if request.param == "sync" else depthcast.ccxt.aio
    made = at(module.coinbaseexchange({"options": {"depthcast": {"ws_url": sim.ws_url}}}), sim)
    caller = Caller(made)
    try:
        await caller("load_markets")
        yield caller
    finally:
        await caller.close()


async def follow(sim: CoinbaseSimulator, caller: Caller) -> None:
    """Something is traded, and our book gets there."""
    await sim.tick(3)
    market = sim.exchange.markets["BTC-USD"]

    async def arrived() -> bool:
        book = caller.exchange.depthcast_status(SYMBOL)["book"]
        return bool(book["nonce"] == market.sequence)

    await until(arrived)


async def test_a_book_is_ccxt_s_own_at_every_level_of_detail(caller: Caller, sim: CoinbaseSimulator) -> None:
    for name, value in credentials().items():
        setattr(caller.exchange, name, value)
    await caller("depthcast_wait", [SYMBOL])
    await follow(sim, caller)
    asked: tuple[tuple[int | None, dict[str, Any]], ...] = (
        (None, {}),
        (5, {}),
        (None, {"level": 1}),
        (20, {"level": 2}),
        (None, {"level": 3}),
        (None, {"level": "3"}),
    )
    for limit, params in asked:
        ours = await caller.local(SYMBOL, limit, **params)
        theirs = await asyncio.to_thread(original(sim).fetch_order_book, SYMBOL, limit, params)
        assert list(ours) == list(theirs)
        assert timeless(ours) == theirs
        kinds = {tuple(map(type, level)) for side in ("bids", "asks") for level in ours[side]}
        assert kinds == {tuple(map(type, level)) for side in ("bids", "asks") for level in theirs[side]}
    told = json.loads(sim.exchange.markets["BTC-USD"].journal.body(ours["nonce"], 3))
    assert ours["datetime"][:19] == told["time"][:19]
    strings = await caller.local(SYMBOL, strings=True, level=3)
    assert (strings["bids"], strings["asks"]) == (told["bids"], told["asks"])
    by_rest = await caller.book(SYMBOL, strings=True, level=3, source="rest")
    assert timeless(by_rest) == timeless(strings)
    joined = await caller("fetch_l2_order_book", SYMBOL)
    assert timeless(joined) == await asyncio.to_thread(original(sim).fetch_l2_order_book, SYMBOL)


async def test_without_an_account_s_key_the_exchange_answers(caller: Caller, sim: CoinbaseSimulator) -> None:
    book = await caller.book(SYMBOL, 5)
    answer = caller.answer(SYMBOL)
    assert answer["source"] == "rest"
    assert "no account's key is set" in answer["passed_over"][0]
    assert timeless(book) == await asyncio.to_thread(original(sim).fetch_order_book, SYMBOL, 5)
    with pytest.raises(ccxt.ExchangeNotAvailable, match="no account's key is set"):
        await caller("depthcast_wait", [SYMBOL])
    caller.exchange.apiKey, caller.exchange.password, caller.exchange.secret = "x", "y", "???"
    with pytest.raises(ccxt.BadRequest, match="depthcast: the API key"):
        await caller("depthcast_wait", [SYMBOL])


async def test_errors_are_ccxt_s_own(caller: Caller, sim: CoinbaseSimulator) -> None:
    for symbol, params in (("NO/SUCH", {}), (SYMBOL, {"level": 4}), (SYMBOL, {"level": "x"})):
        theirs = await refused(asyncio.to_thread(original(sim).fetch_order_book, symbol, None, params))
        ours = await refused(caller.book(symbol, None, **params))
        assert isinstance(theirs, ccxt.BaseError)
        assert (type(ours), str(ours)) == (type(theirs), str(theirs))
    theirs = await refused(asyncio.to_thread(original(sim).fetch_bids_asks, [SYMBOL]))
    ours = await refused(caller("fetch_bids_asks", [SYMBOL]))
    assert (type(ours), str(ours)) == (ccxt.NotSupported, str(theirs))
