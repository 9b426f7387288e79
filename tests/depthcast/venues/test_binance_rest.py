"""The REST scheme as a table: what each query string is answered with."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.venues.binance_rest import (
    LIMIT_ILLEGAL,
    SYMBOL_ILLEGAL,
    SYMBOL_MISSING,
    UNKNOWN_STATUS,
    ApiError,
    DepthRequest,
    parse_depth,
    parse_time_unit,
    refuse_parameters,
)

CHINESE = "币安人生USDT"
ESCAPED = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"

ACCEPTED: list[tuple[bytes, tuple[str, int, str | None]]] = [
    # the default, and every kind of limit
    (b"symbol=ETHUSDT", ("ETHUSDT", 100, None)),
    (b"symbol=ETHUSDT&limit=1", ("ETHUSDT", 1, None)),
    (b"symbol=ETHUSDT&limit=3", ("ETHUSDT", 3, None)),
    (b"symbol=ETHUSDT&limit=5", ("ETHUSDT", 5, None)),
    (b"symbol=ETHUSDT&limit=7", ("ETHUSDT", 7, None)),
    (b"symbol=ETHUSDT&limit=100", ("ETHUSDT", 100, None)),
    (b"symbol=ETHUSDT&limit=4999", ("ETHUSDT", 4999, None)),
    (b"symbol=ETHUSDT&limit=5000", ("ETHUSDT", 5000, None)),
    # more than the maximum is the maximum
    (b"symbol=ETHUSDT&limit=5001", ("ETHUSDT", 5000, None)),
    (b"symbol=ETHUSDT&limit=10000", ("ETHUSDT", 5000, None)),
    (b"symbol=ETHUSDT&limit=2147483647", ("ETHUSDT", 5000, None)),
    # up to twenty digits, leading zeros among them
    (b"symbol=ETHUSDT&limit=007", ("ETHUSDT", 7, None)),
    (b"symbol=ETHUSDT&limit=00000000000000000005", ("ETHUSDT", 5, None)),
    # any order, and a symbolStatus
    (b"limit=5&symbol=ETHUSDT", ("ETHUSDT", 5, None)),
    (b"symbol=ETHUSDT&symbolStatus=TRADING", ("ETHUSDT", 100, "TRADING")),
    (b"symbolStatus=HALT&limit=20&symbol=ETHUSDT", ("ETHUSDT", 20, "HALT")),
    (b"symbol=ETHUSDT&limit=5&symbolStatus=BREAK", ("ETHUSDT", 5, "BREAK")),
    # spelling of symbols
    (b"symbol=1INCHUSDT", ("1INCHUSDT", 100, None)),
    (b"symbol=A", ("A", 100, None)),
    (b"symbol=" + b"A" * 50, ("A" * 50, 100, None)),
    (b"symbol=BTC-USD_X.1", ("BTC-USD_X.1", 100, None)),
    (f"symbol={ESCAPED}&limit=5".encode(), (CHINESE, 5, None)),
    (f"symbol={CHINESE}&limit=5".encode(), (CHINESE, 5, None)),
    (b"symbol=" + "币".encode() * 50, ("币" * 50, 100, None)),
    # percent-encoding, in names too, in either case
    (b"symbol=%45%54%48USDT", ("ETHUSDT", 100, None)),
    (b"%73ymbol=ETHUSDT&limit=%35", ("ETHUSDT", 5, None)),
    (b"symbol=ETH%2dBTC", ("ETH-BTC", 100, None)),
    # what holds no parameter is not one
    (b"symbol=ETHUSDT&", ("ETHUSDT", 100, None)),
    (b"&&symbol=ETHUSDT&&limit=5&&", ("ETHUSDT", 5, None)),
    (b"symbol=ETHUSDT&=5", ("ETHUSDT", 100, None)),
]

REFUSED: list[tuple[bytes, int, str]] = [
    # symbol missing: also when others are unknown, or wrong themselves
    (b"", -1102, SYMBOL_MISSING.msg),
    (b"&", -1102, SYMBOL_MISSING.msg),
    (b"limit=5", -1102, SYMBOL_MISSING.msg),
    (b"limit=abc", -1102, SYMBOL_MISSING.msg),
    (b"limit=", -1102, SYMBOL_MISSING.msg),
    (b"depth=5", -1102, SYMBOL_MISSING.msg),
    (b"foo=1&bar=2", -1102, SYMBOL_MISSING.msg),
    (b"symbolStatus=FOO", -1102, SYMBOL_MISSING.msg),
    (b"SYMBOL=ETHUSDT", -1102, SYMBOL_MISSING.msg),
    (b"%20symbol=ETHUSDT", -1102, SYMBOL_MISSING.msg),
    # symbol empty
    (b"symbol=", -1105, "Parameter 'symbol' was empty."),
    (b"symbol", -1105, "Parameter 'symbol' was empty."),
    (b"symbol=&limit=abc", -1105, "Parameter 'symbol' was empty."),
    # symbol misspelled
    (b"symbol=ethusdt", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETHUSDt", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH/USDT", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH%2FUSDT", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH+USDT", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH%20USDT", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=+", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETHUSDT%0A", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETHUSDT%00", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH%26limit%3D5", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=" + b"A" * 51, -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=[%22ETHUSDT%22]", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETHUSDT=5", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=../../etc", -1100, SYMBOL_ILLEGAL.msg),
    # broken escapes and bytes that are not UTF-8 are illegal characters
    (b"symbol=ETH%zz", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH%", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH%4", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH%FF", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETH\xff", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=%E5%B8", -1100, SYMBOL_ILLEGAL.msg),
    # limit
    (b"symbol=ETHUSDT&limit=", -1105, "Parameter 'limit' was empty."),
    (b"symbol=ETHUSDT&limit", -1105, "Parameter 'limit' was empty."),
    (b"symbol=ETHUSDT&limit=-5", -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=%2B5", -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=+5", -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=abc", -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=1.5", -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=1e3", -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=0x10", -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=5%0A", -1100, LIMIT_ILLEGAL.msg),
    ("symbol=ETHUSDT&limit=٥".encode(), -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=" + b"1" * 21, -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=" + b"0" * 21, -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=2147483648", -1108, "Parameter 'limit' overflowed."),
    (b"symbol=ETHUSDT&limit=" + b"9" * 20, -1108, "Parameter 'limit' overflowed."),
    (b"symbol=ETHUSDT&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
    (b"symbol=ETHUSDT&limit=000", -1130, "Data sent for parameter 'limit' is not valid."),
    # symbolStatus
    (b"symbol=ETHUSDT&symbolStatus=", -1105, "Parameter 'symbolStatus' was empty."),
    (b"symbol=ETHUSDT&symbolStatus=FOO", -1122, UNKNOWN_STATUS.msg),
    (b"symbol=ETHUSDT&symbolStatus=trading", -1122, UNKNOWN_STATUS.msg),
    (b"symbol=ETHUSDT&symbolStatus=CANCEL_ONLY", -1122, UNKNOWN_STATUS.msg),
    # duplicates beat everything else
    (b"symbol=ETHUSDT&symbol=ETHUSDT", -1101, "Duplicate values for parameter 'symbol'."),
    (b"limit=1&limit=2", -1101, "Duplicate values for parameter 'limit'."),
    (b"symbol=eth&limit=x&limit=", -1101, "Duplicate values for parameter 'limit'."),
    (b"symbol=ETHUSDT&%6Cimit=5&limit=5", -1101, "Duplicate values for parameter 'limit'."),
    (b"foo=1&foo=2", -1101, "Duplicate values for parameter 'foo'."),
    (b"a=1&b=2&c=3&d=4&a=5", -1101, "Duplicate values for parameter 'a'."),
    (b'"=1&"=2', -1101, "Duplicate values for parameter '\"'."),
    # too many beat missing, misspelled and unread ones
    (
        b"symbol=ETHUSDT&limit=5&symbolStatus=TRADING&x=1",
        -1101,
        "Too many parameters; expected '3' and received '4'.",
    ),
    (b"a=1&b=2&c=3&d=4", -1101, "Too many parameters; expected '3' and received '4'."),
    (b"symbol=eth&limit=x&a=1&b=2&c=3", -1101, "Too many parameters; expected '3' and received '5'."),
    # unread ones come last of what the query string alone can tell
    (
        b"symbol=ETHUSDT&depth=5",
        -1104,
        "Not all sent parameters were read; read '1' parameter(s) but was sent '2'.",
    ),
    (
        b"symbol=ETHUSDT&limit=5&x=1",
        -1104,
        "Not all sent parameters were read; read '2' parameter(s) but was sent '3'.",
    ),
    (
        b"symbol=ETHUSDT&Limit=5&Symbol=1",
        -1104,
        "Not all sent parameters were read; read '1' parameter(s) but was sent '3'.",
    ),
    (
        b"symbol=ETHUSDT&x",
        -1104,
        "Not all sent parameters were read; read '1' parameter(s) but was sent '2'.",
    ),
    (b"symbol=eth&x=1", -1100, SYMBOL_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=abc&x=1", -1100, LIMIT_ILLEGAL.msg),
    (b"symbol=ETHUSDT&limit=0&x=1", -1130, "Data sent for parameter 'limit' is not valid."),
    (b"symbol=ETHUSDT&symbolStatus=FOO&x=1", -1122, UNKNOWN_STATUS.msg),
    # limit is looked at before symbolStatus
    (b"symbolStatus=FOO&limit=abc&symbol=ETHUSDT", -1100, LIMIT_ILLEGAL.msg),
]


@pytest.mark.parametrize(("query", "expected"), ACCEPTED)
def test_a_request_is_read_with_its_defaults(query: bytes, expected: tuple[str, int, str | None]) -> None:
    assert parse_depth(query) == expected


@pytest.mark.parametrize(("query", "code", "msg"), REFUSED)
def test_a_bad_request_is_refused_in_binances_words(query: bytes, code: int, msg: str) -> None:
    assert parse_depth(query) == ApiError(400, code, msg)


def test_the_error_body_is_compact_json_with_code_and_msg_in_this_order() -> None:
    assert SYMBOL_ILLEGAL.body() == (
        b'{"code":-1100,"msg":"Illegal characters found in parameter \'symbol\'; '
        b"legal range is '^[\\\\w\\\\-._&&[^a-z]]{1,50}$'.\"}"
    )


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
