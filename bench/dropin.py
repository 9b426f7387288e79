"""``python -m bench.dropin``: ``fetch_order_book`` of ours beside ccxt's own, by REST and by ccxt.pro.

First the contents: 30 simulated symbols, every limit of a ladder, ours, ccxt's REST answer and ccxt.pro's
live book, compared number by number when all three are at the same ``nonce``. Then what a call costs, on one
symbol of about 4,900 levels a side that changes ten times a second: the exchange is another process, ours and
ccxt.pro's keep their books up to date meanwhile. Medians of wall-clock time; they take turns, and ratios are
taken within a round.

ccxt.pro's book is its own live object, so reading it includes the copy that makes the answer the caller's, as
ours is. ccxt's REST is told without its own pace (``enableRateLimit`` off), which it has by default and which
makes each call wait 50 ms at least; that is told, too. The last line is one line of JSON.

``--venue`` does the same for another exchange, shorter: its own ccxt class's REST call beside ours, at limit
100, first compared at one state of the book, then timed while it is traded.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import ccxt
import ccxt.async_support
import ccxt.pro
from rich.console import Console
from rich.table import Table

import depthcast.ccxt
import depthcast.ccxt.aio
from bench.parties import Exchange, simulator

LIMITS: Final = (1, 5, 10, 20, 50, 100, 500, 1000, 5000)

SYMBOL: Final = "ETH/USDT"

_TRIES: Final = 500
"""How often three books are read until all are at the same id."""


class Scale(NamedTuple):
    """How much is measured."""

    symbols: int
    rounds: int
    reads: int
    requests: int
    limits: tuple[int, ...]


FULL: Final = Scale(symbols=30, rounds=5, reads=400, requests=20, limits=LIMITS)
QUICK: Final = Scale(symbols=4, rounds=1, reads=20, requests=3, limits=(5, 100, 5000))


class Cost(NamedTuple):
    """Microseconds a call, at one limit, in one round."""

    ours: float
    ours_async: float
    rest: float
    pro: float


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dropin", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few calls: a check that it runs, not a figure")
    parser.add_argument("--venue", choices=sorted(OTHERS), help="another exchange than Binance")
    given = parser.parse_args(argv)
    scale = QUICK if given.quick else FULL
    console = Console()
    if given.venue is not None:
        found = asyncio.run(_measure_other(OTHERS[given.venue], scale))
        console.print(
            f"{given.venue}, limit 100, {found['levels']:.0f} levels shown: ours {found['us']:,.0f} µs, "
            f"ccxt's REST {found['rest_us']:,.0f} µs, {found['ratio']:,.0f} times as long"
        )
        print(json.dumps({"bench": "dropin"} | {name: round(figure, 2) for name, figure in found.items()}))
        return 0
    compared = asyncio.run(_compare(scale))
    console.print(
        f"{compared} books of {scale.symbols} symbols at {len(scale.limits)} limits: all three equal"
    )
    costs, paced_us = asyncio.run(_measure(scale))
    figures: dict[str, float] = {"books_equal": compared}
    table = Table("levels", "ours, µs", "async, µs", "REST, µs", "REST / ours", "ccxt.pro, µs", "pro / ours")
    for limit in scale.limits:
        ours, ours_async, rest, pro = (
            statistics.median(column) for column in zip(*costs[limit], strict=True)
        )
        vs_rest = statistics.median(cost.rest / cost.ours for cost in costs[limit])
        vs_pro = statistics.median(cost.pro / cost.ours for cost in costs[limit])
        figures |= {
            f"us_{limit}": ours,
            f"us_async_{limit}": ours_async,
            f"rest_{limit}": vs_rest,
            f"pro_{limit}": vs_pro,
        }
        table.add_row(
            str(limit), *(f"{figure:,.1f}" for figure in (ours, ours_async, rest, vs_rest, pro, vs_pro))
        )
    console.print(table)
    figures["rest_paced_100"] = paced_us / statistics.median(cost.ours for cost in costs[100])
    console.print(
        f"ccxt's REST at 100 levels with its own pace, as it comes: {paced_us / 1000:.1f} ms a call, "
        f"{figures['rest_paced_100']:,.0f} times ours"
    )
    print(json.dumps({"bench": "dropin"} | {name: round(figure, 2) for name, figure in figures.items()}))
    return 0


# Contents


async def _compare(scale: Scale) -> int:
    """Compare all books at all limits; returns how many were compared."""
    arguments = (f"--symbols={scale.symbols}", "--depth=900", "--changes=20", "--weight-limit=1000000000")
    async with simulator(*arguments) as exchange:
        ours = _at(depthcast.ccxt.aio, exchange, depth=1000, weight_share=1.0)
        rest, pro = _at(ccxt.async_support, exchange), _at(ccxt.pro, exchange)
        try:
            symbols = list(await rest.load_markets())
            # Ours keep to the exchange's weight limit, which ccxt.pro's snapshots use up for all.
            await ours.depthcast_wait(symbols, 60)
            await asyncio.gather(*(pro.watch_order_book(symbol, 5000) for symbol in symbols))
            for symbol in symbols:
                for limit in scale.limits:
                    await _compare_one(ours, rest, pro, symbol, limit)
        finally:
            for each in (ours, rest, pro):
                await each.close()
    return len(symbols) * len(scale.limits)


async def _compare_one(ours: Any, rest: Any, pro: Any, symbol: str, limit: int) -> None:
    for _ in range(_TRIES):
        asked = await rest.fetch_order_book(symbol, limit)
        read = await ours.fetch_order_book(symbol, limit, {"fallback": False})
        watched = _copy(pro.orderbooks[symbol], limit)
        if read["nonce"] == asked["nonce"] == watched["nonce"]:
            for other in (asked, watched):
                for side in ("bids", "asks"):
                    if read[side] != other[side]:
                        sys.exit(f"{symbol} at {limit} levels: {side} differ at {read['nonce']}")
            return
        await asyncio.sleep(0.005)
    sys.exit(f"{symbol}: three readers were never at the same id")


def _copy(book: Any, limit: int) -> dict[str, Any]:
    """ccxt.pro's live book as an answer that is the caller's own."""
    return {
        "symbol": book["symbol"],
        "bids": [level[:2] for level in book["bids"][:limit]],
        "asks": [level[:2] for level in book["asks"][:limit]],
        "timestamp": book["timestamp"],
        "datetime": book["datetime"],
        "nonce": book["nonce"],
    }


# Costs


async def _measure(scale: Scale) -> tuple[dict[int, list[Cost]], float]:
    """What calls cost, by limit and round; and, in µs, what ccxt's REST costs with its own pace."""
    arguments = (
        f"--symbols={SYMBOL.replace('/', '')}",
        "--uniform",
        "--depth=4900",
        "--weight-limit=1000000000",
    )
    async with simulator(*arguments) as exchange:
        # What is timed is the book in this process, or the measurement ends with an error.
        ours = _at(depthcast.ccxt, exchange, fallback=False)
        ours_async = _at(depthcast.ccxt.aio, exchange, fallback=False)
        rest, pro = _at(ccxt, exchange), _at(ccxt.pro, exchange)
        costs: dict[int, list[Cost]] = {limit: [] for limit in scale.limits}
        try:
            await asyncio.to_thread(ours.depthcast_wait, [SYMBOL])
            await asyncio.to_thread(rest.load_markets)
            await ours_async.depthcast_wait([SYMBOL])
            await pro.watch_order_book(SYMBOL, 5000)
            for _ in range(scale.rounds):
                for limit in scale.limits:
                    costs[limit].append(await _turn(scale, limit, ours, ours_async, rest, pro))
            rest.enableRateLimit = True
            paced = await asyncio.to_thread(
                _timed, lambda: rest.fetch_order_book(SYMBOL, 100), max(3, scale.requests)
            )
        finally:
            await asyncio.to_thread(ours.close)
            await ours_async.close()
            await pro.close()
    return costs, paced


async def _turn(scale: Scale, limit: int, ours: Any, ours_async: Any, rest: Any, pro: Any) -> Cost:
    return Cost(
        ours=await asyncio.to_thread(_timed, lambda: ours.fetch_order_book(SYMBOL, limit), scale.reads),
        ours_async=await _timed_async(lambda: ours_async.fetch_order_book(SYMBOL, limit), scale.reads),
        rest=await asyncio.to_thread(_timed, lambda: rest.fetch_order_book(SYMBOL, limit), scale.requests),
        pro=await _timed_async(lambda: _read(pro.orderbooks[SYMBOL], limit), scale.reads),
    )


async def _read(book: Any, limit: int) -> dict[str, Any]:
    return _copy(book, limit)


def _timed(call: Callable[[], Any], times: int) -> float:
    """The median of what a call takes, in µs. A pause in between lets books be kept up to date."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
        if number % 20 == 19:
            time.sleep(0.005)
    return statistics.median(taken) * 1e6


async def _timed_async(call: Callable[[], Awaitable[Any]], times: int) -> float:
    taken = []
    for number in range(times):
        began = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - began)
        if number % 20 == 19:
            await asyncio.sleep(0.005)
    return statistics.median(taken) * 1e6


class Other(NamedTuple):
    """Another exchange: ccxt's class, the simulator's arguments, a market and how ccxt is led there."""

    name: str
    arguments: tuple[str, ...]
    market_id: str
    point: Callable[[Any, str], None]
    config: Mapping[str, Any] = MappingProxyType({})


def _point_at_futures(exchange: Any, rest_url: str) -> None:
    exchange.urls["api"]["fapiPublic"] = f"{rest_url}/fapi/v1"


def _point_whole(exchange: Any, rest_url: str) -> None:
    exchange.urls["api"] = {"public": rest_url, "private": rest_url}
    exchange.has["fetchCurrencies"] = False


KEY: Final = ("0123456789abcdef", "passphrase", "YSBzZWNyZXQgb2Ygc29tZSBsZW5ndGg=")
"""What the simulated Coinbase is told, too: API key, passphrase, secret."""

OTHERS: Final = {
    each.name: each
    for each in (
        Other(
            "binanceusdm",
            ("--venue=binanceusdm", "--symbols=ETHUSDT", "--uniform", "--weight-limit=1000000000"),
            "ETHUSDT",
            _point_at_futures,
        ),
        Other(
            "coinbaseexchange",
            ("--venue=coinbaseexchange", "--symbols=BTC-USD", "--weight-limit=1000000"),
            "BTC-USD",
            _point_whole,
            dict(zip(("apiKey", "password", "secret"), KEY, strict=True)),
        ),
        Other(
            "bitmex",
            ("--venue=bitmex", "--symbols=XBTUSD", "--uniform", "--weight-limit=1000000"),
            "XBTUSD",
            _point_whole,
        ),
    )
}


async def _measure_other(other: Other, scale: Scale) -> dict[str, float]:
    """Microseconds a call of ours and of ccxt's own, and how many levels both show."""
    arguments = list(other.arguments)
    with tempfile.TemporaryDirectory() as folder:
        if other.config:
            path = Path(folder) / "key"
            path.write_text("\n".join(KEY))
            arguments.append(f"--account={path}")
        async with simulator(*arguments) as exchange:
            told = {"ws_url": exchange.ws_url, "fallback": False}
            config = {**other.config, "options": {"depthcast": told}, "enableRateLimit": False}
            ours = getattr(depthcast.ccxt, other.name)(config)
            rest = getattr(ccxt, other.name)({"enableRateLimit": False})
            for each in (ours, rest):
                other.point(each, exchange.rest_url)
            try:
                return await asyncio.to_thread(_time_other, other, scale, ours, rest)
            finally:
                await asyncio.to_thread(ours.close)


def _time_other(other: Other, scale: Scale, ours: Any, rest: Any) -> dict[str, float]:
    rest.load_markets()
    symbol = rest.market(other.market_id)["symbol"]
    ours.depthcast_wait([symbol])
    for _ in range(_TRIES):
        read, asked = ours.fetch_order_book(symbol, 100), rest.fetch_order_book(symbol, 100)
        if all(read[name] == asked[name] for name in ("bids", "asks", "nonce")):
            break
        time.sleep(0.005)
    else:
        sys.exit(f"{symbol}: both were never at the same book")
    rounds = [
        (
            _timed(lambda: ours.fetch_order_book(symbol, 100), scale.reads),
            _timed(lambda: rest.fetch_order_book(symbol, 100), scale.requests),
        )
        for _ in range(scale.rounds)
    ]
    return {
        "levels": len(read["bids"]) + len(read["asks"]),
        "us": statistics.median(mine for mine, _ in rounds),
        "rest_us": statistics.median(theirs for _, theirs in rounds),
        "ratio": statistics.median(theirs / mine for mine, theirs in rounds),
    }


def _at(module: Any, exchange: Exchange, **options: Any) -> Any:
    """An exchange object of ``module`` that talks to the simulator; ours is told where the streams are."""
    chosen: dict[str, Any] = {"fetchMarkets": {"types": ["spot"]}}
    if module in (depthcast.ccxt, depthcast.ccxt.aio):
        chosen["depthcast"] = {"ws_url": exchange.ws_url, **options}
    made = module.binance({"options": chosen, "enableRateLimit": False})
    made.urls["api"]["public"] = f"{exchange.rest_url}/api/v3"
    if module is ccxt.pro:
        made.urls["api"]["ws"]["spot"] = f"{exchange.ws_url}/ws"
    return made


if __name__ == "__main__":
    raise SystemExit(main())
