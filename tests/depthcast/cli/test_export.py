"""What is exported is the tape: each diff once, in the columns of the field, exact strings in CSV."""

import asyncio
import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from depthcast.book import Book
from depthcast.cli.export import main
from depthcast.errors import SettingsError
from depthcast.events import Snapshot
from tests.depthcast.cli.taped import BUCKET, OTHER, TAPED, s3, write_to_s3
from tests.depthcast.tape.tapes import START_MS, SYMBOL

Row = tuple[int, int, bool, str, str, str]
NAME = f"binance_incremental_book_L2_20240808T235400Z_20240808T235700Z_{SYMBOL}"


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    with s3() as env:
        asyncio.run(write_to_s3(env))
        yield env


@pytest.fixture
def export(bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder to write to; the environment leads to the store."""
    for name, value in bucket.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DEPTHCAST_STORE_URL", f"s3://{BUCKET}")
    return tmp_path / "out"


def expected(symbol: str) -> list[Row]:
    """The rows of a symbol's tape: books are told at the beginning and behind holes."""
    rows: list[Row] = []
    at = None
    for segment in TAPED.segments[symbol]:
        for piece in segment.pieces:
            frame = piece.keyframe
            if at != frame.update_id:
                told_us = (frame.event_time_ms or piece.diffs[0].event_time_ms) * 1000
                for side, levels in (("bid", frame.bids), ("ask", frame.asks)):
                    shown = told_us, frame.local_time_us, True, side
                    rows += [(*shown, price, amount) for price, amount in levels]
            for diff in piece.diffs:
                for side, levels in (("bid", diff.bids), ("ask", diff.asks)):
                    told = diff.event_time_ms * 1000, diff.local_time_us, False, side
                    rows += [(*told, price, amount) for price, amount in levels]
            at = piece.last_id
    return rows


@pytest.mark.parametrize("symbol", [SYMBOL, OTHER])
def test_csv_is_tardis_columns_with_the_exact_strings(
    export: Path, symbol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--symbols", symbol, "--output", str(export)]) == 0
    [path] = export.iterdir()
    assert path.name == NAME.replace(SYMBOL, symbol) + ".csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        assert file.readline() == (
            "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
        )
        rows = list(csv.reader(file))
    assert {tuple(row[:2]) for row in rows} == {("binance", symbol)}
    got = [(int(row[2]), int(row[3]), row[4] == "true", row[5], row[6], row[7]) for row in rows]
    assert got == expected(symbol)
    assert {row[4] for row in rows} == {"true", "false"}
    diffs = sum(len(list(segment.diffs)) for segment in TAPED.segments[symbol])
    books = "3 books, 2 of them behind holes" if symbol == SYMBOL else "1 book,"
    assert f"{path.name}: {diffs} diffs, {books}" in capsys.readouterr().out


def test_who_reads_the_csv_in_the_simplest_way_has_the_book_of_the_end(export: Path) -> None:
    assert main(["--symbols", SYMBOL, "--output", str(export)]) == 0
    sides: dict[str, dict[float, str]] = {"bid": {}, "ask": {}}
    was_snapshot = False
    with gzip.open(export / f"{NAME}.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            snapshot = row["is_snapshot"] == "true"
            if snapshot and not was_snapshot:
                # "If is_snapshot is true, the existing order book is to be discarded": Tardis' own words.
                sides = {"bid": {}, "ask": {}}
            was_snapshot = snapshot
            side = sides[row["side"]]
            side[float(row["price"])] = row["amount"]
            if float(row["amount"]) == 0:
                del side[float(row["price"])]
    last = TAPED.last_book(SYMBOL)
    bids, asks = ([[float(p), a] for p, a in levels] for levels in last.strings())
    assert sorted(sides["bid"].items(), reverse=True) == list(map(tuple, bids))
    assert sorted(sides["ask"].items()) == list(map(tuple, asks))


def test_parquet_has_the_same_rows_and_the_update_ids(export: Path) -> None:
    assert main(["--symbols", f"{SYMBOL},{OTHER}", "--format", "parquet", "--output", str(export)]) == 0
    for symbol in (SYMBOL, OTHER):
        table = pq.read_table(export / f"{NAME.replace(SYMBOL, symbol)}.parquet")
        assert table.column_names[:8] == [
            *("exchange", "symbol", "timestamp", "local_timestamp", "is_snapshot", "side", "price", "amount")
        ]
        rows = table.to_pylist()
        assert [
            (r["timestamp"], r["local_timestamp"], r["is_snapshot"], r["side"], r["price"], r["amount"])
            for r in rows
        ] == [(*each[:4], float(each[4]), float(each[5])) for each in expected(symbol)]
        book: Book | None = None
        for row in rows:
            assert row["first_update_id"] <= row["last_update_id"]
        assert rows[-1]["last_update_id"] == TAPED.last_book(symbol).update_id
        assert book is None
        assert {row["exchange"] for row in rows} == {"binance"}


def test_a_part_begins_with_the_book_of_its_beginning(export: Path) -> None:
    options = ["--from", str(START_MS + 30_500), "--to", str(START_MS + 32_500)]
    assert main(["--symbols", SYMBOL, *options, "--output", str(export)]) == 0
    [path] = export.iterdir()
    assert path.name.startswith("binance_incremental_book_L2_20240808T235430.500Z_20240808T235432.500Z_")
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    [piece] = TAPED.segments[SYMBOL][0].pieces
    book = Book.of(piece.keyframe.snapshot())
    for diff in piece.diffs[:31]:
        book.apply(diff.diff(SYMBOL))
    shown = [[row["price"], row["amount"]] for row in rows if row["is_snapshot"] == "true"]
    bids, asks = book.strings()
    assert shown == [*bids, *asks]
    assert Book.of(Snapshot(1, bids, asks, True, True)).strings() == book.strings()
    assert {int(row["timestamp"]) for row in rows if row["is_snapshot"] == "false"} <= {
        (START_MS + 31_000) * 1000,
        (START_MS + 32_000) * 1000,
    }


def test_a_file_that_is_there_is_not_written_over_unless_that_is_said(export: Path) -> None:
    argv = ["--symbols", SYMBOL, "--output", str(export)]
    assert main(argv) == 0
    [path] = export.iterdir()
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="is there already; --overwrite replaces it"):
        main(argv)
    path.write_bytes(b"damaged")
    assert main([*argv, "--overwrite"]) == 0
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_in_a_line(export: Path) -> None:
    export.write_text("a file")
    with pytest.raises(SettingsError, match="cannot write to"):
        main(["--symbols", SYMBOL, "--output", str(export)])
