"""The asynchronous one: wait until the books are there, then find the tightest spread of many markets.

    python examples/ccxt_spread.py ETH/USDT BTC/USDT SOL/USDT --times 10

No request is sent after the start, however often the books are read; ``max_age_ms`` says how old one may be
at most, should the connection be lost.
"""

import argparse
import asyncio
import sys

import ccxt

import depthcast.ccxt.aio


async def watch(exchange: depthcast.ccxt.aio.binance, symbols: list[str], times: int, every_s: float) -> None:
    """Print the market with the tightest spread, in basis points, ``times`` times."""
    await exchange.depthcast_wait(symbols)
    for _ in range(times):
        books = await exchange.fetch_order_books(symbols, 5, {"max_age_ms": 2000})
        spreads = {
            symbol: (book["asks"][0][0] / book["bids"][0][0] - 1) * 10_000
            for symbol, book in books.items()
            if book["bids"] and book["asks"]
        }
        if spreads:
            symbol = min(spreads, key=spreads.__getitem__)
            print(f"{symbol} {spreads[symbol]:.3f} bp at {books[symbol]['datetime']}", flush=True)
        await asyncio.sleep(every_s)


async def run(arguments: argparse.Namespace) -> None:
    """Open the exchange object, watch, and close it."""
    options = {"rest_url": arguments.rest_url, "ws_url": arguments.ws_url, "server": arguments.server}
    exchange = depthcast.ccxt.aio.binance(
        {"options": {"fetchMarkets": {"types": ["spot"]}, "depthcast": options}}
    )
    if arguments.rest_url:
        exchange.urls["api"]["public"] = f"{arguments.rest_url}/api/v3"
    try:
        await watch(exchange, arguments.symbols, arguments.times, arguments.every_s)
    finally:
        await exchange.close()


def main() -> None:
    """Read the command line and watch."""
    parser = argparse.ArgumentParser(description="find the tightest spread, from books in this process")
    parser.add_argument("symbols", nargs="+", help="as ccxt spells them: ETH/USDT")
    parser.add_argument("--times", type=int, default=100, help="how often (default: 100)")
    parser.add_argument("--every-s", type=float, default=0.5, help="seconds in between (default: 0.5)")
    parser.add_argument("--server", help="a Depthcast server, asked before the exchange is")
    parser.add_argument("--rest-url", help="another place that speaks like Binance, with --ws-url")
    parser.add_argument("--ws-url", help="its websocket")
    try:
        asyncio.run(run(parser.parse_args()))
    except ccxt.BaseError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
