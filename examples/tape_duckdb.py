"""The tape with DuckDB, straight from the store: what changed each minute, asked in SQL.

python examples/tape_duckdb.py s3://my-bucket ETHUSDT

The store is reached with the usual AWS variables: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on.
DuckDB reads s3:// with its extension httpfs, which it installs by itself, or from the package
duckdb-extension-httpfs where that is installed.
"""

import argparse
import os
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

QUERY = """
    SELECT
        strftime(make_timestamp(timestamp), '%Y-%m-%d %H:%M') AS minute,
        count(DISTINCT last_update_id) AS diffs,
        count(*) AS levels,
        count(*) FILTER (amount = 0) AS removed,
        max(price) FILTER (side = 'bid' AND amount > 0) AS highest_bid,
        max(last_update_id) AS last_update_id
    FROM read_parquet($segments, hive_partitioning = true)
    WHERE NOT is_snapshot
    GROUP BY minute
    ORDER BY minute
"""


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory that reaches the store of the environment."""
    database = duckdb.connect()
    packaged = find_spec("duckdb_extension_httpfs")
    if packaged is not None and packaged.origin is not None:
        folder = Path(packaged.origin).parent / "extensions" / f"v{duckdb.__version__}"
        database.load_extension(str(folder / "httpfs.duckdb_extension"))
    else:
        database.install_extension("httpfs")
        database.load_extension("httpfs")
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "https://s3.amazonaws.com"))
    settings = {
        "s3_endpoint": endpoint.netloc,
        "s3_use_ssl": endpoint.scheme == "https",
        "s3_url_style": "path",
        "s3_region": os.environ.get("AWS_REGION", "us-east-1"),
        "s3_access_key_id": os.environ.get("AWS_ACCESS_KEY_ID", ""),
        "s3_secret_access_key": os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
    }
    for name, value in settings.items():
        database.execute(f"SET {name} = ?", [value])
    return database


def main() -> None:
    """Print a row a minute."""
    parser = argparse.ArgumentParser(description="what changed each minute, from the tape, with DuckDB")
    parser.add_argument("store", help="s3://BUCKET[/PREFIX]")
    parser.add_argument("symbol", help="as the exchange spells it: ETHUSDT")
    parser.add_argument("--venue", default="binance", help="as the tape names it (default: binance)")
    arguments = parser.parse_args()
    folder = f"{arguments.store}/tape/venue={arguments.venue}/symbol={arguments.symbol}"
    asked = connect().execute(QUERY, {"segments": f"{folder}/date=*/*.parquet"})
    print(*(column[0] for column in asked.description or ()), sep="\t")
    for row in asked.fetchall():
        print(*row, sep="\t")


if __name__ == "__main__":
    main()
