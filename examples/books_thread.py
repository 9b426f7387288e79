"""Live books without an event loop: a plain program reads them, as arrays of numpy, from any thread.

    python examples/books_thread.py ETHUSDT BTCUSDT

Needs numpy (the extra ``frames`` brings it). Prints the imbalance of the best 20 levels of each book: how
much more stands on the side of the bids, from -1 to 1.
"""

import argparse
import sys
import time

import depthcast
from depthcast.errors import DepthcastError


def imbalance(view: depthcast.BookView, levels: int) -> float:
    """(bids - asks) / (bids + asks) of the quantities of the best levels."""
    bids, asks = (side[:, 1].sum() for side in view.as_numpy(levels))
    return float((bids - asks) / (bids + asks)) if bids + asks else 0.0


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description="imbalance of live books, read by a program without a loop")
    parser.add_argument("symbols", nargs="+", help="as the exchange spells them: ETHUSDT")
    parser.add_argument("--times", type=int, default=20, help="how often (default: 20)")
    parser.add_argument("--every-s", type=float, default=0.5, help="seconds in between (default: 0.5)")
    parser.add_argument("--exchange", default="binance", help="binance or binanceus")
    parser.add_argument("--rest-url", help="another place that speaks like it, with --ws-url")
    parser.add_argument("--ws-url", help="its websocket")
    arguments = parser.parse_args()
    urls = {"rest_url": arguments.rest_url, "ws_url": arguments.ws_url}
    try:
        with depthcast.BooksThread(arguments.exchange, arguments.symbols, **urls) as books:
            books.wait()
            for _ in range(arguments.times):
                shown = (f"{symbol} {imbalance(books[symbol], 20):+.3f}" for symbol in arguments.symbols)
                print(" ".join(shown), flush=True)
                time.sleep(arguments.every_s)
    except DepthcastError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
