"""Follow a published book: read it now and then, and say when there is a newer one.

    python examples/read_newer.py s3://my-bucket ETHUSDT --every-s 0.2 --times 50

Books that change at once, without asking for them, are a server's streams (docs/push.md) or
``depthcast.Books``; this one needs nothing but the bucket.
"""

import argparse
import asyncio
import sys

import depthcast
from depthcast.errors import DepthcastError, StoreUnavailable


async def follow(url: str, symbol: str, times: int, every_s: float) -> None:
    """Read ``times`` times and print each version once."""
    seen: tuple[int, int] | None = None
    async with depthcast.Reader(url) as reader:
        for _ in range(times):
            try:
                file = await reader.read(symbol, 5)
            except StoreUnavailable as error:
                print(error, file=sys.stderr)  # the next one may work
            else:
                # Update ids of different epochs are not to be compared, versions are.
                if file.version is not None and (seen is None or file.version > seen):
                    seen = file.version
                    print(f"{symbol} {file.update_id} bid {file.exact_bids[:1]} ask {file.exact_asks[:1]}")
            await asyncio.sleep(every_s)


def main() -> None:
    """Read the command line and follow."""
    parser = argparse.ArgumentParser(description="follow a published book")
    parser.add_argument("url", help="s3://BUCKET[/PREFIX] or http(s)://…")
    parser.add_argument("symbol")
    parser.add_argument("--times", type=int, default=100, help="how often it is read (default: 100)")
    parser.add_argument("--every-s", type=float, default=0.25, help="seconds in between (default: 0.25)")
    arguments = parser.parse_args()
    try:
        asyncio.run(follow(arguments.url, arguments.symbol, arguments.times, arguments.every_s))
    except DepthcastError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
