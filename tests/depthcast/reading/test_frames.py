"""Files as tables: the same levels as in the bodies, with their types, for one symbol and for many."""

import json
import sys
from typing import Any

import pandas
import polars
import pytest

from depthcast.errors import ExtraMissing
from depthcast.files import MAX_NUMBER, SCHEMES
from depthcast.reading.file import About, DepthFile
from depthcast.reading.files import DepthFiles
from depthcast.reading.frames import COLUMNS
from tests.depthcast.reading.conftest import METADATA, body_of

ABOUT = About.of_metadata("k", METADATA)
EMPTY = b'{"lastUpdateId":4,"bids":[],"asks":[]}'


def file_of(symbol: str, body: bytes, about: About = ABOUT) -> DepthFile:
    return DepthFile.of(symbol, 5000, body, about)


def rows_of(symbol: str, body: bytes, number: type[str] | type[float]) -> list[tuple[Any, ...]]:
    """What the table of a body has to hold, read by the standard library."""
    members = json.loads(body)
    return [
        (
            symbol,
            side,
            level,
            number(price),
            number(amount),
            members["lastUpdateId"],
            3,
            1723161253000,
            1723161253021,
        )
        for side, name in (("bid", "bids"), ("ask", "asks"))
        for level, (price, amount) in enumerate(members[name], 1)
    ]


BODIES = {"ETHUSDT": body_of(7, 12), "EMPTYUSDT": EMPTY, "BTCUSDT": body_of(8, 3)}
FILES = DepthFiles(file_of(symbol, body) for symbol, body in BODIES.items())


@pytest.mark.parametrize("number", [float, str])
def test_all_three_tables_hold_the_same_levels_as_the_bodies(number: type[str] | type[float]) -> None:
    true = [row for symbol, body in BODIES.items() for row in rows_of(symbol, body, number)]
    strings = number is str
    assert [tuple(record.values()) for record in FILES.to_records(strings=strings)] == true
    assert {tuple(record) for record in FILES.to_records()} == {COLUMNS}
    assert FILES.to_polars(strings=strings).rows() == true
    assert list(FILES.to_pandas(strings=strings).itertuples(index=False, name=None)) == true


def test_one_file_has_a_table_of_its_own() -> None:
    file, true = FILES["BTCUSDT"], rows_of("BTCUSDT", BODIES["BTCUSDT"], float)
    assert [tuple(record.values()) for record in file.to_records()] == true
    assert file.to_polars().rows() == true
    assert list(file.to_pandas().itertuples(index=False, name=None)) == true


@pytest.mark.parametrize("body", [BODIES["BTCUSDT"], EMPTY])
def test_types_do_not_depend_on_what_is_in_the_table(body: bytes) -> None:
    file = file_of("BTCUSDT", body)
    types = [polars.String, polars.String, polars.Int64, polars.Float64, polars.Float64, *[polars.Int64] * 4]
    assert file.to_polars().schema == dict(zip(COLUMNS, types, strict=True))
    assert file.to_polars(strings=True).schema["price"] == polars.String
    frame = file.to_pandas()
    assert list(frame.columns) == list(COLUMNS)
    assert [str(frame.dtypes[name]) for name in COLUMNS[2:]] == [
        "int64",
        "float64",
        "float64",
        "int64",
        *["Int64"] * 3,
    ]


def test_what_is_not_known_is_null() -> None:
    file = file_of("BTCUSDT", BODIES["BTCUSDT"], About())
    assert file.to_polars()["epoch"].null_count() == 6
    assert bool(file.to_pandas()["publish_time_ms"].isna().all())
    assert str(file.to_pandas()["publish_time_ms"].dtype) == "Int64"
    assert file.to_records()[0]["event_time_ms"] is None


def test_the_largest_numbers_that_a_file_may_tell_fit_into_all_tables() -> None:
    metadata = METADATA | dict.fromkeys(("epoch", "event-time", "publish-time"), str(MAX_NUMBER))
    file = DepthFile.of("ETHUSDT", 5, body_of(MAX_NUMBER, 1), About.of_metadata("k", metadata))
    for table in (file.to_pandas(), file.to_polars()):
        for name in ("update_id", "epoch", "event_time_ms", "publish_time_ms"):
            assert table[name][0] == MAX_NUMBER


def test_rows_bring_what_else_an_exchange_tells_and_null_where_another_does_not() -> None:
    end = b'"sequence":8,"auction_mode":false,"auction":null,"time":""}'
    counted = b'{"bids":[["1.50","2",3]],"asks":[["2.5","4",1]],' + end
    numbered = b'{"bids":[["1.50","2","a-1"]],"asks":[],' + end
    venue = SCHEMES["coinbaseexchange"]
    files = DepthFiles(
        {
            "A-USD": DepthFile.of("A-USD", 2, counted, About(epoch=3), venue),
            "B-USD": DepthFile.of("B-USD", 3, numbered, About(epoch=3), venue),
        }.values()
    )
    true = [
        ("A-USD", "bid", 1, 1.5, 2.0, 8, 3, None, None, 3, None),
        ("A-USD", "ask", 1, 2.5, 4.0, 8, 3, None, None, 1, None),
        ("B-USD", "bid", 1, 1.5, 2.0, 8, 3, None, None, None, "a-1"),
    ]
    records = files.to_records(rows=True)
    assert [tuple(each.values()) for each in records] == true
    assert tuple(records[0]) == (*COLUMNS, "orders", "order_id")
    strings = files.to_records(rows=True, strings=True)
    assert [(each["price"], each["amount"]) for each in strings][:2] == [("1.50", "2"), ("2.5", "4")]
    table = files.to_polars(rows=True)
    assert table.rows() == true
    assert table.schema["orders"] == polars.Int64
    assert table.schema["order_id"] == polars.String
    frame = files.to_pandas(rows=True)
    assert frame["order_id"].to_list()[2] == "a-1"
    assert [str(frame.dtypes[name]) for name in ("orders", "order_id")] == ["Int64", "object"]


def test_frames_are_independent_of_each_other() -> None:
    file = FILES["BTCUSDT"]
    frame = file.to_pandas()
    frame.loc[0, "price"] = -1.0
    assert file.to_pandas()["price"].iloc[0] == file.bids[0][0]
    assert isinstance(frame, pandas.DataFrame)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_missing_library_is_named_with_what_brings_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        ExtraMissing, match=rf"to_{library}\(\) needs {library}.*depthcast\[frames\]"
    ) as caught:
        getattr(FILES["BTCUSDT"], f"to_{library}")()
    assert isinstance(caught.value, ImportError)
    assert (caught.value.name, caught.value.extra) == (library, "frames")


def test_files_are_a_mapping_in_the_order_asked_for() -> None:
    assert list(FILES) == list(BODIES)
    assert len(FILES) == 3
    assert FILES["ETHUSDT"].update_id == 7
    assert "XRPUSDT" not in FILES
    assert repr(FILES) == "DepthFiles(ETHUSDT@7, EMPTYUSDT@4, BTCUSDT@8)"
    assert list(DepthFiles([])) == []
    assert DepthFiles([]).to_polars().height == 0
