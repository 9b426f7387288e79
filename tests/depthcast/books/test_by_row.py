"""Books of exchanges whose streams begin with the whole book and number nothing, over real sockets."""

import asyncio
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from depthcast.books import Books
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.settings import Settings
from simulator.clock import ManualClock
from tests.depthcast.books.coinbase import PRODUCTS, coinbase

SYMBOLS = ("XBTUSD", "ETHUSD")


async def ready(sim: Any, books: Books) -> None:
    """Time passes at the exchange until all books are there: each begins when it was told of two times."""
    for _ in range(2000):
        if all(books[name].ready for name in books):
            return
        await sim.tick()
        await asyncio.sleep(0.002)
    raise AssertionError({name: str(books[name].not_ready()) for name in books})


async def settled(shown: Any, true: Any) -> None:
    """What is shown comes to be what is true."""
    for _ in range(2000):
        if shown() == true():
            return
        await asyncio.sleep(0.002)
    assert shown() == true()


async def test_rows_are_the_exchange_s_and_changes_lead_from_one_book_to_the_next() -> None:
    settings = Settings(symbols=SYMBOLS, depth=60, varied=False, requests_a_minute=100_000)
    clock = ManualClock(time.time_ns() // 1_000_000)
    async with (
        BitmexSimulator(settings, manual=True, clock=clock) as sim,
        Books("bitmex", SYMBOLS, rest_url=sim.rest_url, ws_url=sim.ws_url) as books,
    ):
        await ready(sim, books)
        view, market = books["XBTUSD"], sim.exchange.markets["XBTUSD"]
        changes = books.changes("XBTUSD", strings=True)
        assert (await anext(changes)).rebuilt
        top = view.top(strings=True)
        known = [{price: size for price, size in side} for side in (top.bids, top.asks)]  # noqa: C416
        await sim.tick(10)
        body = partial(_levels, market)
        await settled(lambda: view.top(strings=True)[3:], body)
        change = await anext(changes)
        assert (change.update_id, change.rebuilt) == (view.update_id, False)
        for side, levels in zip(known, (change.bids, change.asks), strict=True):
            side.update((price, size) for price, size in levels)
        for side, levels in zip(known, body(), strict=True):
            assert {price: size for price, size in side.items() if size != "0"} == dict(levels)
        shown = json.loads(view.body(25))
        assert [row["id"] for row in shown] == [row["id"] for row in json.loads(market.body(market.step, 25))]
        assert len(json.loads(view.body(0))) == sum(map(len, body()))
        assert not view.by_order
        assert view.as_numpy(1)[0][0][0] == float(body()[0][0][0])
        books.check()


def _levels(market: Any) -> tuple[list[list[str]], list[list[str]]]:
    rows = json.loads(market.body(market.step, 0), parse_float=str, parse_int=str)
    bids, asks = (
        [[row["price"], row["size"]] for row in rows if row["side"] == side] for side in ("Buy", "Sell")
    )
    return bids, asks[::-1]


async def test_without_a_key_coinbase_s_books_are_by_price(tmp_path: Path) -> None:
    async with coinbase(tmp_path) as sim:
        urls = {"rest_url": sim.rest_url, "ws_url": sim.ws_url}
        async with Books("coinbaseexchange", PRODUCTS, by_price=True, **urls) as books:  # type: ignore[arg-type]
            await ready(sim, books)
            view, market = books["BTC-USD"], sim.exchange.markets["BTC-USD"]
            await sim.tick(5)
            true = lambda: (market.levels("buy"), market.levels("sell"))  # noqa: E731
            await settled(lambda: tuple(view.top(strings=True)[3:]), true)
            assert not view.by_order
            books.check()
