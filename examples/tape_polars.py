"""The tape with polars, straight from the store: the best bid by the end of each minute, lazily.

python examples/tape_polars.py s3://my-bucket ETHUSDT

The store is reached with the usual AWS variables: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on.
"""

import argparse
import os

import polars


def best_bids(segments: polars.LazyFrame) -> polars.LazyFrame:
    """One row a minute: of each price the last amount told, and of those that stand the highest bid.

    A segment begins with its keyframe, so a minute is reckoned without the one before it.
    """
    minute = polars.from_epoch("timestamp", time_unit="us").dt.truncate("1m")
    last = (
        segments.filter(polars.col("side") == "bid")
        .group_by("path", "price", maintain_order=True)
        .agg(
            polars.col("amount").last(),
            polars.col("last_update_id").max(),
            minute.max().alias("minute"),
        )
    )
    return (
        last.group_by("path")
        .agg(
            polars.col("minute").max(),
            polars.col("last_update_id").max(),
            polars.col("price").filter(polars.col("amount") > 0).max().alias("best_bid"),
        )
        .sort("path")
        .select("minute", "last_update_id", "best_bid")
    )


def main() -> None:
    """Print a row a minute."""
    parser = argparse.ArgumentParser(description="the best bid by the end of each minute, from the tape")
    parser.add_argument("store", help="s3://BUCKET[/PREFIX]")
    parser.add_argument("symbol", help="as the exchange spells it: ETHUSDT")
    parser.add_argument("--venue", default="binance", help="as the tape names it (default: binance)")
    arguments = parser.parse_args()
    folder = f"{arguments.store}/tape/venue={arguments.venue}/symbol={arguments.symbol}"
    options = {
        "aws_access_key_id": os.environ.get("AWS_ACCESS_KEY_ID", ""),
        "aws_secret_access_key": os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
        "aws_region": os.environ.get("AWS_REGION", "us-east-1"),
    }
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        options |= {"aws_endpoint_url": endpoint, "aws_allow_http": "true"}
    segments = polars.scan_parquet(
        f"{folder}/date=*/*.parquet", storage_options=options, include_file_paths="path"
    )
    with polars.Config(tbl_hide_dataframe_shape=True, tbl_rows=-1, tbl_hide_column_data_types=True):
        print(best_bids(segments).collect())


if __name__ == "__main__":
    main()
