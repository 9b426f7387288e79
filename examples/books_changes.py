"""Every change of one book: how much stands on either side since, in the exchange's own strings.

    python examples/books_changes.py ETHUSDT --changes 50

Shows what a program has to do that keeps a state of its own from changes: begin from the book where a change
says that it is to be read, and apply the others. A slow program gets fewer and larger changes.
"""

import argparse
import asyncio
import sys
from decimal import Decimal

import depthcast
from depthcast.errors import DepthcastError


async def follow(arguments: argparse.Namespace) -> None:
    """Print what each change did, and how much stands on either side since."""
    urls = {"rest_url": arguments.rest_url, "ws_url": arguments.ws_url}
    async with depthcast.connect(arguments.exchange, [arguments.symbol], **urls) as books:
        view = books[arguments.symbol]
        bids: dict[str, Decimal] = {}
        asks: dict[str, Decimal] = {}
        left: int = arguments.changes
        async for change in books.changes(arguments.symbol, strings=True):
            if change.rebuilt or change.skipped:
                top = view.top(strings=True)
                bids = {price: Decimal(quantity) for price, quantity in top.bids}
                asks = {price: Decimal(quantity) for price, quantity in top.asks}
                what = "read anew"
            else:
                for side, levels in ((bids, change.bids), (asks, change.asks)):
                    for price, quantity in levels:
                        side[price] = Decimal(quantity)
                        if not side[price]:
                            del side[price]
                what = f"{len(change.bids)} bids and {len(change.asks)} asks in {change.diffs} diffs"
            print(f"{change.update_id} {what}: {sum(bids.values())} / {sum(asks.values())}", flush=True)
            left -= 1
            if not left:
                return


def main() -> None:
    """Read the command line and follow a book."""
    parser = argparse.ArgumentParser(description="every change of one live book")
    parser.add_argument("symbol", help="as the exchange spells it: ETHUSDT")
    parser.add_argument("--changes", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--exchange", default="binance", help="binance or binanceus")
    parser.add_argument("--rest-url", help="another place that speaks like it, with --ws-url")
    parser.add_argument("--ws-url", help="its websocket")
    try:
        asyncio.run(follow(parser.parse_args()))
    except DepthcastError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
