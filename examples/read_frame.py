"""Many published books as one frame of polars: the spread and the imbalance of each.

python examples/read_frame.py s3://my-bucket ETHUSDT BTCUSDT --limit 100
"""

import argparse
import sys

import polars

import depthcast
from depthcast.errors import DepthcastError


def summary(levels: polars.DataFrame) -> polars.DataFrame:
    """One row a symbol: best prices, spread in basis points, and the bids' part of all amounts shown."""
    bid, ask = polars.col("side") == "bid", polars.col("side") == "ask"
    best = levels.group_by("symbol", maintain_order=True).agg(
        polars.col("price").filter(bid).max().alias("bid"),
        polars.col("price").filter(ask).min().alias("ask"),
        (polars.col("amount").filter(bid).sum() / polars.col("amount").sum()).alias("imbalance"),
        polars.col("update_id").first(),
    )
    spread = (polars.col("ask") - polars.col("bid")) / polars.col("bid") * 10_000
    return best.with_columns(spread.alias("spread_bp"))


def main() -> None:
    """Read them and print the summary."""
    parser = argparse.ArgumentParser(description="spread and imbalance of published books")
    parser.add_argument("url", help="s3://BUCKET[/PREFIX] or http(s)://…")
    parser.add_argument("symbols", nargs="+", metavar="symbol")
    parser.add_argument("--limit", type=int, default=100, help="levels a side (default: 100)")
    arguments = parser.parse_args()

    try:
        files = depthcast.read_many(arguments.url, arguments.symbols, arguments.limit, skip_missing=True)
    except DepthcastError as error:
        sys.exit(str(error))
    with polars.Config(tbl_hide_dataframe_shape=True, tbl_rows=-1):
        print(summary(files.to_polars()))


if __name__ == "__main__":
    main()
