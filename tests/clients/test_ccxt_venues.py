"""ccxt's classes for other venues: unchanged on a server's address, and ours that ask a server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import ccxt
import pytest

import depthcast.ccxt
from depthcast.file_info import FileInfo
from depthcast.files import SCHEMES, depth_key
from depthcast.store.memory import MemoryStore
from simulator.app import Simulator
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.settings import Settings as BitmexSettings
from simulator.clock import ManualClock
from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.settings import Settings as CoinbaseSettings
from simulator.settings import Settings
from tests.conformance.world import serving


class Case(NamedTuple):
    """An exchange, one of its markets, how ccxt is led to an address, and what calls are compared."""

    venue: str
    market_id: str
    simulator: Callable[[ManualClock], Any]
    update_id: Callable[[Any], int]
    point: Callable[[Any, str], None]
    body: Callable[[Any, int], bytes]
    calls: tuple[tuple[int | None, Mapping[str, Any]], ...]


def _futures(exchange: Any, url: str) -> None:
    exchange.urls["api"]["fapiPublic"] = f"{url}/fapi/v1"


def _whole(exchange: Any, url: str) -> None:
    exchange.urls["api"] = {"public": url, "private": url}
    exchange.has["fetchCurrencies"] = False


CASES = (
    Case(
        "binanceusdm",
        "ETHUSDT",
        lambda clock: Simulator(
            Settings(futures=True, symbols=("ETHUSDT",), depth=200, varied=False), manual=True, clock=clock
        ),
        lambda sim: sim.exchange.instruments["ETHUSDT"].journal.update_id,
        _futures,
        lambda sim, limit: sim.truth.body(
            "ETHUSDT", sim.exchange.instruments["ETHUSDT"].journal.update_id, limit
        ),
        ((None, {}), (5, {}), (100, {})),
    ),
    Case(
        "coinbaseexchange",
        "BTC-USD",
        lambda clock: CoinbaseSimulator(
            CoinbaseSettings(products=("BTC-USD",), orders=60, requests_a_second=1000),
            manual=True,
            clock=clock,
        ),
        lambda sim: sim.exchange.markets["BTC-USD"].sequence,
        _whole,
        lambda sim, level: sim.exchange.markets["BTC-USD"].bodies(
            sim.exchange.markets["BTC-USD"].sequence, level
        )[0],
        ((None, {}), (None, {"level": 1}), (7, {"level": 3})),
    ),
    Case(
        "bitmex",
        "XBTUSD",
        lambda clock: BitmexSimulator(
            BitmexSettings(symbols=("XBTUSD",), depth=120, varied=False, requests_a_minute=10_000),
            manual=True,
            clock=clock,
        ),
        lambda sim: sim.exchange.markets["XBTUSD"].step,
        _whole,
        lambda sim, depth: sim.exchange.markets["XBTUSD"].body(sim.exchange.markets["XBTUSD"].step, depth),
        ((None, {}), (7, {}), (0, {}), (100, {})),
    ),
)


@asynccontextmanager
async def served(case: Case) -> AsyncIterator[tuple[Any, str]]:
    """The simulated exchange, and a server over what updaters would have published of it."""
    now_ms = time.time_ns() // 1_000_000
    async with case.simulator(ManualClock(now_ms)) as sim:
        await sim.tick(5)
        scheme, store = SCHEMES[case.venue], MemoryStore()
        for limit in scheme.limits:
            body = case.body(sim, limit)
            bids, asks = scheme.layout(limit).levels("k", body)
            info = FileInfo(
                0, len(bids), len(asks), True, True, now_ms, now_ms, "a", update_id=case.update_id(sim)
            )
            key = depth_key(case.market_id, limit, scheme)
            await store.put_if(key, body, match=None, metadata=info.to_metadata())
        async with serving(store, venues=(case.venue,)) as port:
            yield sim, f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("case", CASES, ids=[case.venue for case in CASES])
async def test_books_of_a_server_are_the_exchange_s_to_ccxt_and_to_ours(case: Case) -> None:
    def compare(exchange_url: str, server: str) -> None:
        made = getattr(ccxt, case.venue)
        theirs, unchanged = made({"enableRateLimit": False}), made({"enableRateLimit": False})
        options = {"depthcast": {"source": "server", "server": server, "fallback": False, "max_age_ms": None}}
        ours = getattr(depthcast.ccxt, case.venue)({"enableRateLimit": False, "options": options})
        for exchange in (theirs, unchanged, ours):
            case.point(exchange, exchange_url)
            exchange.load_markets()
        case.point(unchanged, server)
        symbol = theirs.market(case.market_id)["symbol"]
        for limit, params in case.calls:
            true = theirs.fetch_order_book(symbol, limit, params)
            assert unchanged.fetch_order_book(symbol, limit, params) == true
            book = ours.fetch_order_book(symbol, limit, params)
            assert list(book) == list(true)
            stamped = {name: true[name] or book[name] for name in ("timestamp", "datetime")}
            assert book == true | stamped
            assert ours.depthcast_status(symbol)["answer"]["source"] == "server"

    async with served(case) as (sim, server):
        await asyncio.to_thread(compare, sim.rest_url, server)
