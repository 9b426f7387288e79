"""The REST scheme as a table: what each query string is answered with."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.files import depth_key
from depthcast.venues.binance_rest import (
    SYMBOL_ILLEGAL,
    not_valid,
    parse_depth,
    parse_time_unit,
    refuse_parameters,
    time_body,
    too_much,
)
from depthcast.venues.requests import ApiError, DepthRequest
from tests.conformance.depth_requests import Row, rows

ROWS = rows()
ACCEPTED = [row for row in ROWS if row.error is None]
REFUSED = [row for row in ROWS if row.error is not None]


@pytest.mark.parametrize("row", ACCEPTED, ids=str)
def test_a_request_is_read_with_its_defaults(row: Row) -> None:
    request = parse_depth(row.query)
    assert request == (*row.asked, row.symbol_status)
    assert isinstance(request, DepthRequest)
    assert depth_key(request.symbol, request.limit) == row.key


@pytest.mark.parametrize("row", REFUSED, ids=str)
def test_a_bad_request_is_refused_in_binances_words(row: Row) -> None:
    assert parse_depth(row.query) == row.error


def test_the_table_has_both_kinds_and_each_query_once() -> None:
    assert len(ACCEPTED) >= 25
    assert len(REFUSED) >= 65
    assert len({row.query for row in ROWS}) == len(ROWS)


def test_the_error_body_is_compact_json_with_code_and_msg_in_this_order() -> None:
    assert SYMBOL_ILLEGAL.body() == (
        b'{"code":-1100,"msg":"Illegal characters found in parameter \'symbol\'; '
        b"legal range is '^[\\\\w\\\\-._&&[^a-z]]{1,50}$'.\"}"
    )


def test_a_value_that_a_parameter_may_not_have_is_named_by_the_parameter() -> None:
    refused = not_valid("limit")
    assert (refused.status, refused.code) == (400, -1130)
    assert refused.msg == "Data sent for parameter 'limit' is not valid."


def test_an_error_that_names_a_parameter_stays_json_whatever_its_name() -> None:
    error = parse_depth(b'"%0A\\=1&"%0A\\=1')
    assert isinstance(error, ApiError)
    assert json.loads(error.body())["msg"] == "Duplicate values for parameter '\"\n\\'."


@given(st.binary(max_size=60) | st.from_regex(rb"(symbol|limit|x)=[A-Z0-9%+&=]{0,20}", fullmatch=True))
def test_any_bytes_are_answered(query: bytes) -> None:
    result = parse_depth(query)
    if isinstance(result, DepthRequest):
        assert result.symbol
        assert 1 <= result.limit <= 5000
    else:
        assert result.status == 400
        assert json.loads(result.body()) == {"code": result.code, "msg": result.msg}


@pytest.mark.parametrize("query", [b"", b"&", b"=1"])
def test_endpoints_without_parameters_accept_an_empty_query(query: bytes) -> None:
    assert refuse_parameters(query) is None


@pytest.mark.parametrize(
    ("query", "msg"),
    [
        (b"a=1", "Too many parameters; expected '0' and received '1'."),
        (b"a=1&b=2", "Too many parameters; expected '0' and received '2'."),
        (b"a=1&a=2", "Duplicate values for parameter 'a'."),
    ],
)
def test_endpoints_without_parameters_refuse_any(query: bytes, msg: str) -> None:
    assert refuse_parameters(query) == ApiError(400, -1101, msg)


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        (None, "MILLISECOND"),
        (b"MILLISECOND", "MILLISECOND"),
        (b"millisecond", "MILLISECOND"),
        (b"MICROSECOND", "MICROSECOND"),
        (b"microsecond", "MICROSECOND"),
    ],
)
def test_the_time_unit_is_one_of_two_in_one_of_two_spellings(header: bytes | None, unit: str) -> None:
    assert parse_time_unit(header) == unit


@pytest.mark.parametrize("header", [b"", b"Microsecond", b"us", b"SECOND", b"\xff"])
def test_any_other_time_unit_is_refused(header: bytes) -> None:
    error = parse_time_unit(header)
    assert isinstance(error, ApiError)
    assert (error.status, error.code) == (400, -1194)


def test_the_time_is_cut_off_to_its_unit_and_not_rounded() -> None:
    now_us = 1_700_000_000_123_999
    assert json.loads(time_body(now_us, "MILLISECOND")) == {"serverTime": 1_700_000_000_123}
    assert json.loads(time_body(now_us, "MICROSECOND")) == {"serverTime": now_us}


def test_who_goes_over_a_limit_is_told_in_the_venue_s_words() -> None:
    refused = too_much(30, 12)
    assert refused.status == 429
    assert refused.msg.startswith(
        "Too much request weight used; current limit is 30 request weight per 1 MINUTE. "
    )
