"""A bot of the usual kind: it asks for order books in a loop, and is no longer limited in how often.

    python examples/ccxt_poll.py ETH/USDT BTC/USDT --times 20

But for the import and the ``depthcast`` part of the options it is any ccxt program. The first answers about a
symbol come from the exchange (``rest``), all others from this process (``local``); with ``--wait`` all of
them.
"""

import argparse
import sys
import time

import ccxt

import depthcast.ccxt


def poll(exchange: depthcast.ccxt.binance, symbols: list[str], times: int, every_s: float) -> None:
    """Print best prices, and who answered, ``times`` times."""
    for _ in range(times):
        for symbol in symbols:
            began = time.perf_counter()
            book = exchange.fetch_order_book(symbol, 5)
            took_us = (time.perf_counter() - began) * 1e6
            source = exchange.depthcast_status(symbol)["answer"]["source"]
            bid, ask = book["bids"][:1], book["asks"][:1]
            print(
                f"{symbol} {book['nonce']} bid {bid} ask {ask} by {source} in {took_us:,.0f} µs", flush=True
            )
        time.sleep(every_s)


def main() -> None:
    """Read the command line and poll."""
    parser = argparse.ArgumentParser(description="poll order books with ccxt, from books in this process")
    parser.add_argument("symbols", nargs="+", help="as ccxt spells them: ETH/USDT")
    parser.add_argument("--times", type=int, default=100, help="how often (default: 100)")
    parser.add_argument("--every-s", type=float, default=0.1, help="seconds in between (default: 0.1)")
    parser.add_argument("--wait", action="store_true", help="begin when the books are there")
    parser.add_argument("--rest-url", help="another place that speaks like Binance, with --ws-url")
    parser.add_argument("--ws-url", help="its websocket")
    arguments = parser.parse_args()
    options = {"rest_url": arguments.rest_url, "ws_url": arguments.ws_url}
    exchange = depthcast.ccxt.binance(
        {"options": {"fetchMarkets": {"types": ["spot"]}, "depthcast": options}}
    )
    if arguments.rest_url:
        exchange.urls["api"]["public"] = f"{arguments.rest_url}/api/v3"
    try:
        if arguments.wait:
            exchange.depthcast_wait(arguments.symbols)
        poll(exchange, arguments.symbols, arguments.times, arguments.every_s)
    except ccxt.BaseError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        pass
    finally:
        exchange.close()


if __name__ == "__main__":
    main()
