"""One published book, read from a bucket, a server or an edge.

    python examples/read_file.py s3://my-bucket ETHUSDT 10
    python examples/read_file.py http://127.0.0.1:8080 ETHUSDT 10

A bucket is reached with the usual AWS_… variables; one that anybody may read also by its https:// URL.
"""

import argparse
import sys
from datetime import UTC, datetime

import depthcast
from depthcast.errors import DepthcastError


def main() -> None:
    """Read it and print it."""
    parser = argparse.ArgumentParser(description="print one published book")
    parser.add_argument("url", help="s3://BUCKET[/PREFIX] or http(s)://…")
    parser.add_argument("symbol")
    parser.add_argument("limit", type=int, nargs="?", default=5, help="levels a side (default: 5)")
    arguments = parser.parse_args()

    try:
        file = depthcast.read(arguments.url, arguments.symbol, arguments.limit)
    except DepthcastError as error:
        sys.exit(str(error))

    print(f"{file.symbol} at {file.update_id}, status {file.status}, state {file.state or 'not known'}")
    if file.current_time_ms is not None:
        when = datetime.fromtimestamp(file.current_time_ms / 1000, UTC)
        print(f"the exchange's book at {when:%Y-%m-%d %H:%M:%S.%f} UTC")
    # Floats are at hand for reckoning (file.bids); these are the strings that the exchange sent.
    for price, amount in reversed(file.exact_asks):
        print(f"  ask {price:>18} {amount:>18}")
    for price, amount in file.exact_bids:
        print(f"  bid {price:>18} {amount:>18}")


if __name__ == "__main__":
    main()
