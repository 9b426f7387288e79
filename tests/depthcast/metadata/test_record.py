"""The record of a change: its bytes, its names."""

import gzip
import zlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.errors import BadFile
from depthcast.metadata.changes import Change, What
from depthcast.metadata.record import (
    MAX_SEQUENCE,
    MAX_TIME_MS,
    RECORD_PEEK,
    HeadInfo,
    Record,
    Recorded,
    digest_of,
    name_of,
    parse_name,
    record_within,
    turned,
)

DOCUMENT = '{"symbols":["币"],"x":1.50}\n\n'.encode()
RECORD = Record(
    "exchangeInfo",
    7,
    1_723_161_253_000,
    None,
    "host-1",
    digest_of(DOCUMENT),
    len(DOCUMENT),
    "ab" * 32,
    (
        Change("symbols/币USDT/status", What.CHANGED, "TRADING", "HALT"),
        Change("rateLimits/X/limit", What.ADDED, None, Decimal("1.50")),
    ),
)


def test_a_change_goes_there_and_back() -> None:
    packed = Recorded(RECORD, DOCUMENT).to_bytes()
    assert Recorded.parse("k", packed) == Recorded(RECORD, DOCUMENT)
    assert record_within("k", packed[:RECORD_PEEK]) == RECORD
    assert RECORD.symbols == {"币USDT"}
    assert RECORD.only("币USDT").changes == RECORD.changes[:1]


def test_zcat_shows_a_line_of_json_and_the_document_below_it() -> None:
    plain = gzip.decompress(Recorded(RECORD, DOCUMENT).to_bytes())
    assert plain == RECORD.to_bytes() + b"\n" + DOCUMENT
    assert b"\n" not in RECORD.to_bytes()


def test_the_same_change_is_the_same_bytes() -> None:
    assert Recorded(RECORD, DOCUMENT).to_bytes() == Recorded(RECORD, DOCUMENT).to_bytes()


@given(st.integers(0, MAX_TIME_MS), st.integers(1, MAX_SEQUENCE), st.integers(0, MAX_TIME_MS))
def test_names_are_in_the_order_of_time_turned_round(one: int, sequence: int, other: int) -> None:
    name = name_of(one, sequence)
    assert parse_name(f"history/x/{name}") == (one, sequence)
    assert (name > turned(other)) == (one <= other)


@pytest.mark.parametrize("at", [(-1, 1), (MAX_TIME_MS + 1, 1), (5, 0), (5, MAX_SEQUENCE + 1)])
def test_what_no_name_can_tell_is_refused(at: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is no"):
        name_of(*at)


def test_what_is_no_object_of_a_change_is_refused() -> None:
    packed = Recorded(RECORD, DOCUMENT).to_bytes()
    other = gzip.compress(RECORD.to_bytes(), mtime=0) + gzip.compress(b"{}", mtime=0)
    for body in (
        b"",
        b"x",
        packed[:-1],
        packed + b"x",
        packed + packed,
        other,
        gzip.compress(b"{}"),
        packed[:9],
    ):
        with pytest.raises(BadFile):
            Recorded.parse("k", body)
    assert record_within("k", packed[:20]) is None
    for line in (b"[]", b"{}", b"null", RECORD.to_bytes().replace(b'"sequence":7', b'"sequence":0'), b"\xff"):
        with pytest.raises(BadFile):
            Record.parse("k", line)


def test_an_object_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthcast.metadata.record.MAX_DOCUMENT_BYTES", 10_000)
    bomb = Recorded(RECORD, DOCUMENT).to_bytes()
    bomb = gzip.compress(RECORD.to_bytes()) + gzip.compress(bytes(20_000_000))
    with pytest.raises(BadFile, match="more than 10000"):
        Recorded.parse("k", bomb)
    assert len(zlib.compress(bytes(20_000_000))) < 30_000


def test_what_is_said_beside_a_head_goes_there_and_back() -> None:
    info = HeadInfo(7, 1_723_161_253_000, "ab" * 32, "cd" * 32, "host-1")
    assert HeadInfo.from_metadata("k", {n.upper(): value for n, value in info.to_metadata().items()}) == info
    timed = info._replace(server_time_ms=5)
    assert HeadInfo.from_metadata("k", timed.to_metadata()) == timed
    for name, value in (
        ("server-time", "x"),
        ("sequence", "0"),
        ("sequence", "x"),
        ("observed-time", "-1"),
        ("sha256", "AB" * 32),
    ):
        with pytest.raises(BadFile):
            HeadInfo.from_metadata("k", {**info.to_metadata(), name: value})
    with pytest.raises(BadFile):
        HeadInfo.from_metadata("k", {})
