"""The examples that read the tape's segments straight from the store."""

from tests.depthcast.cli.taped import BUCKET, OTHER, TAPED, s3, write_to_s3
from tests.examples.conftest import RunExample


async def test_duckdb_counts_what_changed_each_minute(run_example: RunExample) -> None:
    with s3() as env:
        await write_to_s3(env)
        ended = await run_example("tape_duckdb.py", f"s3://{BUCKET}", OTHER, **env)
    assert ended.status == 0, ended.complaints
    head, *rows = (line.split("\t") for line in ended.output.splitlines())
    assert head == ["minute", "diffs", "levels", "removed", "highest_bid", "last_update_id"]
    segments = TAPED.segments[OTHER]
    assert [row[0] for row in rows] == ["2024-08-08 23:54", "2024-08-08 23:55", "2024-08-08 23:56"]
    for row, segment in zip(rows, segments, strict=True):
        levels = [level for diff in segment.diffs for level in (*diff.bids, *diff.asks)]
        told = [diff for diff in segment.diffs if diff.bids or diff.asks]
        bids = [float(price) for diff in told for price, amount in diff.bids if float(amount)]
        removed = sum(float(amount) == 0 for _, amount in levels)
        assert row[1:] == list(map(str, (len(told), len(levels), removed, max(bids), told[-1].last)))


async def test_polars_reckons_the_best_bid_of_each_minute(run_example: RunExample) -> None:
    with s3() as env:
        await write_to_s3(env)
        ended = await run_example("tape_polars.py", f"s3://{BUCKET}", OTHER, **env)
    assert ended.status == 0, ended.complaints
    last = TAPED.last_book(OTHER)
    assert last.best_bid is not None
    rows = [line for line in ended.output.splitlines() if "2024-08-08" in line]
    assert len(rows) == 3
    assert f" {float(last.best_bid[0])} " in rows[-1]
