"""COIN-M futures from a running exchange to the server: bodies that name the contract and its pair."""

import asyncio
import json
import re
import time
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from depthcast.files import SCHEMES, depth_key
from simulator.app import Simulator
from simulator.settings import Settings
from tests.conformance.world import ask, serving
from tests.system.test_mirror import Kept, proven, until
from updater.replica import Replica
from updater.settings import UpdaterSettings

SYMBOLS = ("BTCUSD_PERP", "ETHUSD_PERP")
LIMITS = (5, 100)
TIMES = re.compile(rb'"E":[0-9]+,"T":[0-9]+,')
COINM = SCHEMES["binancecoinm"]
NAMES = ("BTCUSD_PERP", "BTCUSD_261225", "ETHUSD_PERP")
MARKET = Settings(coin_margined=True, symbols=NAMES, depth=300, varied=False)


@asynccontextmanager
async def updating(
    exchange: Simulator, store: Kept, name: str, *, symbols: tuple[str, ...] = SYMBOLS, **more: Any
) -> Any:
    settings = UpdaterSettings(
        venue="binancecoinm",
        symbols=symbols,
        limits=LIMITS,
        replica=name,
        rest_url=exchange.rest_url,
        ws_url=exchange.ws_url,
        **more,
    )
    replica = Replica(settings, store, prove=proven)
    task = asyncio.create_task(replica.run())
    try:
        yield replica
        replica.stop()
        await asyncio.wait_for(task, 30)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_file_is_the_exchanges_body_and_a_start_from_a_file_goes_on_with_it() -> None:
    store, seen = Kept(), dict[str, set[int]]()

    async def true_files(exchange: Simulator, more: int) -> None:
        for symbol in SYMBOLS:
            for limit in LIMITS:
                key = depth_key(symbol, limit, COINM)
                known = seen.setdefault(key, set())
                enough = len(known) + more

                async def checked(
                    key: str = key, symbol: str = symbol, limit: int = limit, enough: int = enough
                ) -> bool:
                    held = await store.get(key)
                    if held is not None:
                        update_id = json.loads(held.body)["lastUpdateId"]
                        true = exchange.truth.body(symbol, update_id, limit)
                        # A file that is fresh from a snapshot tells when that was put out, and at the very
                        # beginning nothing has changed yet.
                        assert TIMES.sub(b"", held.body) == TIMES.sub(b"", true)
                        seen[key].add(update_id)
                    return len(seen[key]) >= enough

                await until(checked)

    async with Simulator(Settings(coin_margined=True, symbols=SYMBOLS, depth=300, varied=False)) as exchange:
        async with updating(exchange, store, "a"):
            await true_files(exchange, 3)
        async with updating(exchange, store, "b"):
            await true_files(exchange, 3)
            async with serving(store, venues=("binancecoinm",)) as port:
                for path in ("/dapi/v1/depth", "/binancecoinm/dapi/v1/depth"):
                    got = await asyncio.to_thread(ask, port, f"GET {path}?symbol=btcusd_perp&limit=100")
                    assert list(json.loads(got.body)) == [
                        *("lastUpdateId", "symbol", "pair", "E", "T", "bids", "asks")
                    ]
                refused = await asyncio.to_thread(ask, port, "GET /dapi/v1/depth?symbol=BTCUSD_PERP&limit=7")
                assert json.loads(refused.body)["code"] == -4021
                listed = await asyncio.to_thread(ask, port, "GET /dapi/v1/exchangeInfo")
                assert {each["symbol"] for each in json.loads(listed.body)["symbols"]} == set(SYMBOLS)


async def test_past_moments_are_the_exchanges_books_of_those_moments_names_and_all() -> None:
    store = Kept()
    async with (
        Simulator(MARKET) as exchange,
        updating(exchange, store, "a", tape=("all",), tape_segment_s=1, same_levels_ms=0),
        serving(store, venues=("binancecoinm",), symbols_refresh_s=0.2) as port,
    ):

        async def symbol_checked(symbol: str) -> None:
            compared = set[int]()

            async def checked() -> bool:
                """The book of four seconds ago, once that is on the tape."""
                for limit in LIMITS:
                    at = time.time_ns() // 1_000_000 - 4000
                    path = f"/dapi/v1/depth?symbol={symbol}&limit={limit}&at={at}"
                    got = await asyncio.to_thread(ask, port, f"GET {path}")
                    if got.status != 200:
                        return False
                    update_id = json.loads(got.body)["lastUpdateId"]
                    true = exchange.truth.body(symbol, update_id, limit)
                    # The first book, of which no diff is known yet, tells when its snapshot was put out.
                    compared.add(update_id)
                    if update_id > min(compared):
                        assert got.body == true
                    assert TIMES.sub(b"", got.body) == TIMES.sub(b"", true)
                return len(compared) >= 4

            await until(checked)

        await asyncio.gather(*map(symbol_checked, SYMBOLS))


async def test_best_prices_are_those_of_the_exchange_by_symbol_by_pair_or_all() -> None:
    store = Kept()
    async with Simulator(MARKET) as exchange:
        async with updating(exchange, store, "a", symbols=NAMES):
            for key in (depth_key(symbol, 5, COINM) for symbol in NAMES):
                await until(lambda key=key: store.get(key))  # type: ignore[misc]
        # Nobody writes any more, so the books stand still.
        async with serving(store, venues=("binancecoinm",)) as port:

            async def tickers(query: str) -> Any:
                return await asyncio.to_thread(ask, port, f"GET /dapi/v1/ticker/bookTicker{query}")

            true = []
            for symbol in sorted(NAMES):
                held = await store.get(depth_key(symbol, 5, COINM))
                assert held is not None
                told = json.loads(held.body)
                book = json.loads(exchange.truth.body(symbol, told["lastUpdateId"], 5))
                (bid, bid_quantity), (ask_, ask_quantity) = book["bids"][0], book["asks"][0]
                true.append(
                    {
                        "symbol": symbol,
                        "pair": symbol.partition("_")[0],
                        "bidPrice": bid,
                        "bidQty": bid_quantity,
                        "askPrice": ask_,
                        "askQty": ask_quantity,
                        "time": told["T"],
                        "lastUpdateId": told["lastUpdateId"],
                    }
                )
            asked = {
                "": true,
                "?pair=btcusd": [each for each in true if each["pair"] == "BTCUSD"],
                "?pair=NOUSD": [],
                "?symbol=ethusd_perp": [each for each in true if each["symbol"] == "ETHUSD_PERP"],
            }
            for query, expected in asked.items():
                got = json.loads((await tickers(query)).body)
                assert sorted(got, key=lambda each: str(each["symbol"])) == expected
                assert [list(each) for each in got] == [list(each) for each in expected]
            path = "/dapi/v1/ticker/bookTicker?symbol=ETHUSD_PERP"
            async with aiohttp.ClientSession() as session, session.get(exchange.rest_url + path) as answer:
                (theirs,) = await answer.json()
            assert list(theirs) == list(true[0])
            assert json.loads((await tickers("?symbol=NOUSD_PERP")).body)["code"] == -1121
            both = await tickers("?symbol=ETHUSD_PERP&pair=ETHUSD")
            assert (both.status, json.loads(both.body)["code"]) == (400, -4084)
