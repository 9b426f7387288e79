"""Live books in an event loop: best prices, spread and the cost of buying, read whenever they are wanted.

    python examples/books_top.py ETHUSDT BTCUSDT --spend 100000

Nothing is asked of the exchange but one snapshot a symbol; reading a book takes microseconds.
"""

import argparse
import asyncio
import sys

import depthcast
from depthcast.errors import DepthcastError


def average_price(asks: list[list[float]], spend: float) -> float | None:
    """What buying for ``spend`` would cost a unit on average; ``None`` where the asks do not hold so much."""
    left, bought = spend, 0.0
    for price, quantity in asks:
        taken = min(quantity, left / price)
        bought += taken
        left -= taken * price
        if left <= 0:
            return spend / bought
    return None


def line(view: depthcast.BookView, spend: float) -> str:
    """One symbol in one line, all of it from one version of its book."""
    top = view.top(100)
    if not top.bids or not top.asks:
        return f"{top.symbol} {top.update_id} has an empty side"
    average = average_price(top.asks, spend)
    cost = f"{average:.8g}" if average is not None else "more than 100 levels"
    bid, ask = top.bids[0][0], top.asks[0][0]
    return f"{top.symbol} {top.update_id} bid {bid} ask {ask} buy {cost} age {view.age_ms:.0f} ms"


async def show(arguments: argparse.Namespace) -> None:
    """Print every symbol ``times`` times."""
    urls = {"rest_url": arguments.rest_url, "ws_url": arguments.ws_url}
    async with depthcast.connect(arguments.exchange, arguments.symbols, **urls) as books:
        for _ in range(arguments.times):
            for symbol in books:
                print(line(books[symbol], arguments.spend), flush=True)
            await asyncio.sleep(arguments.every_s)


def main() -> None:
    """Read the command line and show books."""
    parser = argparse.ArgumentParser(description="best prices and the cost of buying, from live books")
    parser.add_argument("symbols", nargs="+", help="as the exchange spells them: ETHUSDT")
    parser.add_argument("--spend", type=float, default=10_000.0, help="in the quote asset (default: 10000)")
    parser.add_argument("--times", type=int, default=20, help="how often (default: 20)")
    parser.add_argument("--every-s", type=float, default=0.5, help="seconds in between (default: 0.5)")
    parser.add_argument("--exchange", default="binance", help="binance or binanceus")
    parser.add_argument("--rest-url", help="another place that speaks like it, with --ws-url")
    parser.add_argument("--ws-url", help="its websocket")
    try:
        asyncio.run(show(parser.parse_args()))
    except DepthcastError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
