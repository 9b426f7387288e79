"""Segments as Parquet: every string comes back, other readers see the usual columns, damage is refused."""

import importlib.util
import io
import json
import re
import sys
import zlib
from base64 import b64encode
from dataclasses import replace
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from depthcast.errors import BadFile, BadLevel, ExtraMissing
from depthcast.tape import columns as columns_module
from depthcast.tape import parquet
from depthcast.tape.moment import Moments
from depthcast.tape.parquet import columns, decode, encode
from depthcast.tape.segment import Keyframe, Piece, RecordedDiff, Segment, merge
from tests.depthcast.tape.tapes import DATA, START_MS, captured, chain, exact, part, whole


def of_levels(*levels: tuple[str, str]) -> Segment:
    """A segment whose one diff has these bids."""
    frame = Keyframe(9, 0, 0, (), (), True, False)
    return whole(Piece(3, frame, (RecordedDiff(10, 12, START_MS, 5, levels, ()),)))


def table(body: bytes) -> Any:
    return pq.read_table(io.BytesIO(body))


@pytest.mark.captures
@pytest.mark.skipif(not DATA.exists(), reason="the captured exchange data is not beside the checkout")
def test_captured_minutes_come_back_exactly() -> None:
    segments = captured()
    assert sum(len(segment.pieces[0].diffs) for segment in segments) == 6468
    for segment in (segments[0], segments[8], segments[-1]):
        body = encode(segment)
        assert decode(body) == segment
        told = table(body)
        assert told["price_text"].null_count == told["amount_text"].null_count == len(told)


@pytest.mark.parametrize("symbol", ["ETHUSDT", "币安人生USDT"])
def test_a_segment_comes_back_exactly(symbol: str) -> None:
    segment = chain(Random(1), 40, symbol=symbol)
    assert decode(encode(segment)) == segment


def test_pieces_epochs_and_holes_come_back() -> None:
    segment = chain(Random(2), 40)
    later = replace(part(segment, 20, 30), epoch=1)
    torn = Segment.of(
        "binance", "ETHUSDT", START_MS, 60, [part(segment, 5, 12), later], from_start=False, to_end=False
    )
    assert len(torn.holes) == 3
    assert decode(encode(torn)) == torn
    assert decode(encode(merge(torn, segment))) == segment


ODD = (
    "0.1",
    "1.000",
    "10",
    "0",
    "0.00000000",
    "00.5",
    "007",
    "5.",
    ".5",
    "123456789012345678.12345678",
    "0.123456789012345678",
    "9007199254740993",
    "9007199254740993.00",
    "0.30000000000000004",
    "99999999999999.9",
    "1" + "0" * 60,
)


@pytest.mark.parametrize("usual", ["1.25", "3.00000000", "17", "0.5000000000000000"])
def test_strings_that_a_float_does_not_tell_come_back_too(usual: str) -> None:
    segment = of_levels(*((price, ODD[-1 - at]) for at, price in enumerate(ODD)), *[(usual, usual)] * 99)
    assert decode(encode(segment)) == segment


def test_a_number_of_fifteen_digits_needs_no_text_and_a_longer_one_only_where_it_must() -> None:
    segment = of_levels(("2683.80000000", "1234567.12345678"), ("2683.80000000", "1234567890.12345678"))
    held = columns(encode(segment))
    assert held.price_texts == {}
    # 18 digits, of which the float nearest to them tells 17.
    assert held.amount_texts == {1: "1234567890.12345678"} | (
        {} if format(1234567.12345678, ".8f") == "1234567.12345678" else {0: "1234567.12345678"}
    )
    assert decode(encode(segment)) == segment


def test_what_tells_the_strings_is_checked_and_not_assumed() -> None:
    rng = Random(4)
    digits = ["".join(rng.choices("0123456789", k=rng.randrange(1, 20))) for _ in range(4000)]
    strings = [f"{int(each)}.{rng.randrange(10**8):08d}" for each in digits]
    segment = of_levels(*((each, each) for each in strings))
    held = columns(encode(segment))
    assert 0 < len(held.price_texts) < len(strings)
    assert held.prices(range(len(strings))) == held.amounts(range(len(strings))) == strings


@pytest.mark.parametrize(
    "number", ["1e5", "", "-1", "+1", " 1", "nan", "inf", "1_0", "١", ".", "1.2.3", "9" * 400]
)
def test_what_is_no_plain_number_is_refused(number: str) -> None:
    with pytest.raises(BadLevel):
        encode(of_levels(("1.00", "1.00"), ("1.00", number)))
    with pytest.raises(BadLevel):
        encode(of_levels((number, "1.00"), ("1.00", "1.00")))


def test_diffs_and_books_without_a_level_come_back() -> None:
    frame = Keyframe(9, START_MS - 1, 8, (), (), True, False)
    diffs = (
        RecordedDiff(10, 10, START_MS, 1, (), ()),
        RecordedDiff(11, 12, START_MS + 1, 2, (("1.5", "2"),), ()),
        RecordedDiff(13, 13, START_MS + 2, 3, (), ()),
    )
    for piece in (Piece(0, frame, diffs), Piece(0, frame, diffs[:1]), Piece(0, frame, ())):
        assert decode(encode(whole(piece))) == whole(piece)


def test_columns_are_those_of_the_usual_format() -> None:
    segment = chain(Random(5), 30)
    [piece] = segment.pieces
    told = table(encode(segment))
    assert told.column_names[:8] == [
        "exchange",
        "symbol",
        "timestamp",
        "local_timestamp",
        "is_snapshot",
        "side",
        "price",
        "amount",
    ]
    rows = told.to_pylist()
    assert {(row["exchange"], row["symbol"], row["epoch"], row["piece"]) for row in rows} == {
        ("binance", "ETHUSDT", 0, 0)
    }
    assert [row["is_snapshot"] for row in rows] == [True, True] + [False] * (len(rows) - 2)
    wanted = [
        (diff.event_time_ms * 1000, diff.local_time_us, side, float(price), float(amount))
        for diff in piece.diffs
        for side, levels in (("bid", diff.bids), ("ask", diff.asks))
        for price, amount in levels
    ]
    names = ("timestamp", "local_timestamp", "side", "price", "amount")
    assert [tuple(row[name] for name in names) for row in rows[2:]] == wanted
    ids = dict.fromkeys((row["first_update_id"], row["last_update_id"]) for row in rows[2:])
    assert list(ids) == [(diff.first, diff.last) for diff in piece.diffs if diff.bids or diff.asks]


def test_arrays_show_the_rows() -> None:
    segment = chain(Random(6), 30)
    held = columns(encode(segment))
    [piece], [rows] = segment.pieces, held.pieces
    assert (held.venue, held.symbol, held.start_ms, held.end_ms) == (
        "binance",
        "ETHUSDT",
        segment.start_ms,
        segment.end_ms,
    )
    assert held.whole
    assert (rows.start, rows.diffs, rows.stop) == (0, 2, len(held.price))
    assert rows.update_id == piece.first_id
    flat = [level for diff in piece.diffs for level in (*diff.bids, *diff.asks)]
    every = range(rows.diffs, rows.stop)
    assert list(zip(held.prices(every), held.amounts(every), strict=True)) == list(exact(flat))
    assert np.all(np.diff(held.last) >= 0)


def test_the_metadata_says_what_a_segment_is() -> None:
    segment = chain(Random(7), 5)
    told = pq.ParquetFile(io.BytesIO(encode(segment))).metadata.metadata
    assert told[b"depthcast.whole"] == b"true"
    assert json.loads(told[b"depthcast.holes"]) == []
    assert told[b"depthcast.last_id"] == str(segment.last_id).encode()
    assert told[b"depthcast.amount_decimals"] == b"2"


def rewritten(body: bytes, *, drop: str = "", **told: str) -> bytes:
    """The same file with other metadata, or without a column."""
    held = table(body)
    metadata = held.schema.metadata | {f"depthcast.{name}".encode(): text for name, text in told.items()}
    sink = pa.BufferOutputStream()
    shown = held.drop_columns([drop]) if drop else held
    pq.write_table(shown.replace_schema_metadata(metadata), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"format": "3"}, "of version 3"),
        ({"format": "x"}, "no segment"),
        ({"pieces": "[]"}, "of no piece"),
        ({"pieces": "[{}]"}, "no segment"),
        ({"pieces": "[" * 100_000}, "no segment"),
        ({"holes": '[{"after_id":1}]'}, "no segment"),
        ({"holes": '[{"after_id":1,"before_id":2,"from_ms":3,"to_ms":4}]'}, "holes are not"),
        ({"price_decimals": "400"}, "400 decimals"),
        ({"drop": "price"}, "no segment"),
    ],
)
def test_another_s_file_is_refused(told: dict[str, str], why: str) -> None:
    body = encode(chain(Random(8), 5))
    assert decode(rewritten(body)) == decode(body)
    with pytest.raises(BadFile, match=re.escape(why)):
        decode(rewritten(body, **told), "tape/x")


def test_pieces_that_do_not_divide_the_rows_are_refused() -> None:
    body = encode(chain(Random(8), 5))
    pieces = json.loads(table(body).schema.metadata[b"depthcast.pieces"])
    pieces[0]["diffs"] = 10**6
    with pytest.raises(BadFile, match="do not divide"):
        columns(rewritten(body, pieces=json.dumps(pieces)))


def test_the_names_of_contract_and_pair_come_back_and_are_text() -> None:
    segment = chain(Random(8), 5)
    assert b"names" not in table(encode(segment)).schema.metadata[b"depthcast.pieces"]
    first = segment.pieces[0]
    frame = first.keyframe._replace(names='"symbol":"BTCUSD_PERP","pair":"BTCUSD",')
    body = encode(replace(segment, pieces=(replace(first, keyframe=frame), *segment.pieces[1:])))
    assert decode(body).pieces[0].keyframe == frame
    pieces = json.loads(table(body).schema.metadata[b"depthcast.pieces"])
    pieces[0]["names"] = 7
    with pytest.raises(BadFile, match="no text"):
        columns(rewritten(body, pieces=json.dumps(pieces)))


def test_nulls_are_refused() -> None:
    body = encode(chain(Random(8), 5))
    held = table(body)
    at = held.column_names.index("last_update_id")
    nulls = held.set_column(at, "last_update_id", pa.nulls(len(held), pa.int64()))
    sink = pa.BufferOutputStream()
    pq.write_table(nulls, sink)
    with pytest.raises(BadFile):
        columns(bytes(sink.getvalue()))


def test_a_file_of_too_many_levels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode(chain(Random(8), 5))
    monkeypatch.setattr(parquet, "MAX_ROWS", 3)
    with pytest.raises(BadFile, match="levels is refused"):
        columns(body)


def test_damage_by_chance_is_refused_or_harmless() -> None:
    rng = Random(9)
    body = encode(chain(rng, 30))
    for _ in range(150):
        damaged = bytearray(body)
        for _ in range(rng.choice((1, 1, 5))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            decode(bytes(damaged[: rng.choice((len(body), rng.randrange(len(body))))]))
        except BadFile:
            continue


@pytest.mark.parametrize(("module", "absent"), [(columns_module, "numpy"), (parquet, "pyarrow")])
def test_without_its_extra_it_says_which(
    module: ModuleType, absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    spec = importlib.util.spec_from_file_location("another", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ExtraMissing, match=rf"the tape needs {absent}.*depthcast\[tape\]"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_ids_with_holes_between_diffs_come_back() -> None:
    frame = Keyframe(9, 0, 0, (), (("1.5", "2"),), True, True)
    diffs = (
        RecordedDiff(12, 15, START_MS, 1, (("1.4", "3"),), (), 9),
        RecordedDiff(20, 20, START_MS + 1, 2, (), (), 15),
        RecordedDiff(30, 31, START_MS + 2, 3, (), (("1.6", "4"),), 20),
    )
    segment = whole(Piece(0, frame, diffs))
    segment.check()
    assert decode(encode(segment)) == segment


def test_futures_tell_when_changes_were_made_and_others_are_as_they_were() -> None:
    frame = Keyframe(9, 700, 0, (("1.4", "2"),), (("1.5", "2"),), True, True, 650)
    diffs = (
        RecordedDiff(12, 15, START_MS, 1, (("1.4", "3"),), (), 9, START_MS - 7),
        RecordedDiff(20, 20, START_MS + 1, 2, (), (), 15, START_MS - 6),
        RecordedDiff(30, 31, START_MS + 2, 3, (), (("1.6", "4"),), 20, START_MS - 5),
    )
    segment = replace(whole(Piece(0, frame, diffs)), venue="binanceusdm")
    body = encode(segment)
    assert decode(body) == segment
    held = table(body)
    assert held.schema.metadata[b"depthcast.format"] == b"2"
    assert held["transaction_timestamp"].to_pylist() == [
        650_000,
        650_000,
        (START_MS - 7) * 1000,
        (START_MS - 5) * 1000,
    ]
    plain = table(encode(chain(Random(8), 5)))
    assert plain.schema.metadata[b"depthcast.format"] == b"1"
    assert "transaction_timestamp" not in plain.column_names
    with pytest.raises(BadFile, match="when changes were made"):
        columns(rewritten(body, drop="transaction_timestamp"))


def test_names_of_a_contract_and_its_pair_come_back_and_are_text() -> None:
    names = '"symbol":"BTCUSD_PERP","pair":"BTCUSD",'
    frame = Keyframe(9, 700, 0, (("1.4", "2"),), (), True, True, 650, names=names)
    diff = RecordedDiff(12, 15, START_MS, 1, (("1.4", "3"),), (), 9, START_MS - 7)
    segment = replace(whole(Piece(0, frame, (diff,))), venue="binancecoinm")
    body = encode(segment)
    assert decode(body) == segment
    [piece] = json.loads(table(body).schema.metadata[b"depthcast.pieces"])
    assert piece["names"] == names
    with pytest.raises(BadFile):
        columns(rewritten(body, pieces=json.dumps([piece | {"names": 7}])))


def test_a_book_by_order_keeps_numbers_of_orders_and_each_message_s_time() -> None:
    def spelled(us: int, digits: int = 6) -> str:
        return f"2024-08-08T23:54:{us / 1_000_000:0{digits + 3}.{digits}f}Z"

    frame = Keyframe(9, START_MS - 3, 1, (("1.4", "0.5", "2"),), (("1.5", "2", "1"),), True, True, 0, "")
    diffs = [
        RecordedDiff(10, 10, START_MS, 2, (("1.4", "0.00000001", "1"),), (), -1, 0, spelled(123)),
        RecordedDiff(11, 11, START_MS, 3, (), (), -1, 0, spelled(456)),
        RecordedDiff(12, 12, START_MS + 1, 4, (), (), -1, 0, spelled(1_004, 9)),
        RecordedDiff(
            13, 13, START_MS + 1, 5, (("1.4", "0", "0"),), (("1.6", "3.0", "4"),), -1, 0, spelled(1_005, 9)
        ),
        RecordedDiff(
            14, 14, START_MS + 1, 6, (), (("1.6", "12345678901234567.5", "4"),), -1, 0, spelled(1_006)
        ),
    ]
    segment = replace(whole(Piece(0, frame, tuple(diffs))), venue="coinbaseexchange")
    body = encode(segment)
    got = decode(body)
    [piece] = got.pieces
    assert piece.diffs == segment.pieces[0].diffs
    assert piece.keyframe._replace(time="") == frame
    held = table(body)
    assert held["orders"].to_pylist() == [2, 1, 1, 0, 4, 4]
    assert held["timestamp"].to_pylist()[2:] == [START_MS * 1000 + us for us in (123, 1005, 1005, 1006)]
    assert held["amount_text"].to_pylist() == [None, None, None, None, "3.0", "12345678901234567.5"]
    assert held["time_text"].to_pylist()[2:] == [None, spelled(1_005, 9), spelled(1_005, 9), None]
    moments = Moments(columns(body))
    moments.check()
    for diff in diffs:
        assert moments.at_id(diff.last).time == diff.time
    end = f'"sequence":12,"auction_mode":false,"auction":null,"time":"{diffs[2].time}"}}'
    asks = '"asks":[["1.5","2",1]]'
    assert moments.at_id(12).body(2).decode() == f'{{"bids":[["1.4","0.00000001",1]],{asks},{end}'
    with pytest.raises(ValueError, match="not on the tape"):
        moments.at_id(12).body(3)
    pieces = json.loads(held.schema.metadata[b"depthcast.pieces"])
    for empty in ("[-1,[],{}]", '[2,"AAAA",{}]', "[]"):
        with pytest.raises(BadFile):
            columns(rewritten(body, pieces=json.dumps([{**pieces[0], "empty": empty}])))


@pytest.mark.parametrize("number", ["", "-1", "nan", "1e400", "1e", "1_0", "1.2.3", " 1"])
def test_what_is_no_number_is_refused_where_numbers_are_short(number: str) -> None:
    def of_amount(amount: str) -> Segment:
        frame = Keyframe(9, START_MS - 3, 1, (("1.5", amount, "17", "0"),), (), True, True)
        return replace(whole(Piece(0, frame, ())), venue="bitmex")

    assert decode(encode(of_amount("1e-7"))) == of_amount("1e-7")
    with pytest.raises(BadLevel):
        encode(of_amount(number))


@pytest.mark.parametrize("time_us", [-1, 10**18])
def test_a_diff_at_no_date_is_refused(time_us: int) -> None:
    frame = Keyframe(9, START_MS - 3, 1, (("1.4", "0.5", "2"),), (), True, True, 0, "")
    diff = RecordedDiff(10, 10, START_MS, 3, (), (), -1, 0, "2024-08-08T23:54:00.000456Z")
    body = encode(replace(whole(Piece(0, frame, (diff,))), venue="coinbaseexchange"))
    pieces = json.loads(table(body).schema.metadata[b"depthcast.pieces"])

    def at(us: int) -> bytes:
        numbers = np.array([10, 10, START_MS, 3, -1, us], "<i8").tobytes()
        pieces[0]["empty"] = json.dumps([1, b64encode(zlib.compress(numbers)).decode(), {}])
        return rewritten(body, pieces=json.dumps(pieces))

    [piece] = decode(at(START_MS * 1000 + 456)).pieces
    assert piece.diffs == (diff,)
    with pytest.raises(BadFile, match=f"the time {time_us}"):
        decode(at(time_us))
