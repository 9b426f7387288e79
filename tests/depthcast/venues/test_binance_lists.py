"""The requests about several symbols as tables: what each query string is answered with."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.symbol_list import Entry, Parts
from depthcast.venues.binance_lists import (
    BAD_COMBINATION,
    SYMBOL_AND_SYMBOLS,
    SYMBOL_REPEATED,
    SYMBOLS_ILLEGAL,
    ExchangeInfoRequest,
    TickerRequest,
    book_ticker_weight,
    depth_weight,
    parse_book_ticker,
    parse_exchange_info,
    select,
)
from depthcast.venues.binance_rest import SYMBOL_ILLEGAL, UNKNOWN_STATUS, empty, not_valid
from depthcast.venues.requests import ApiError

DEFAULT = frozenset(("SPOT", "MARGIN", "LEVERAGED"))

TICKERS: list[tuple[bytes, tuple[str | None, tuple[str, ...] | None, str | None]]] = [
    (b"", (None, None, None)),
    (b"&", (None, None, None)),
    (b"symbol=ETHUSDT", ("ETHUSDT", None, None)),
    (b"symbol=ETHUSDT&symbolStatus=BREAK", ("ETHUSDT", None, "BREAK")),
    (b"symbolStatus=TRADING", (None, None, "TRADING")),
    (b'symbols=["ETHUSDT"]', (None, ("ETHUSDT",), None)),
    (b'symbols=["BTCUSDT","BNBUSDT"]', (None, ("BTCUSDT", "BNBUSDT"), None)),
    (b"symbols=%5B%22BTCUSDT%22,%22BNBUSDT%22%5D", (None, ("BTCUSDT", "BNBUSDT"), None)),
    (b"symbols=%5b%22BTCUSDT%22%2c%22BNBUSDT%22%5d", (None, ("BTCUSDT", "BNBUSDT"), None)),
    (b"symbols=[]", (None, (), None)),
    (b'symbols=["ETHUSDT"]&symbolStatus=HALT', (None, ("ETHUSDT",), "HALT")),
    (f"symbols=[{quote(chr(34) + '币安人生USDT' + chr(34))}]".encode(), (None, ("币安人生USDT",), None)),
]

ILLEGAL_LISTS = [
    b"ETHUSDT",
    b'"ETHUSDT"',
    b'["ETHUSDT", "BTCUSDT"]',
    b'["ETHUSDT",+"BTCUSDT"]',
    b'[ "ETHUSDT"]',
    b'["ETHUSDT",]',
    b'["ETHUSDT" "BTCUSDT"]',
    b'["ethusdt"]',
    b'["ETH/USDT"]',
    b'[""]',
    b'["]',
    b"[ETHUSDT]",
    b"['ETHUSDT']",
    b'["ETHUSDT"',
    b'"ETHUSDT"]',
    b'[["ETHUSDT"]]',
    b"[null]",
    b"[1]",
    b"{}",
    b"[",
    b"%ff",
    b'["' + b"A" * 51 + b'"]',
    b'["ETHUSDT"]x',
    b'["ETHUSDT"]\n',
]

REFUSED_BY_BOTH: list[tuple[bytes, ApiError]] = [
    (b"symbol=", empty("symbol")),
    (b"symbol=ethusdt", SYMBOL_ILLEGAL),
    (b"symbols=", empty("symbols")),
    (b"symbolStatus=", empty("symbolStatus")),
    (b"symbolStatus=CANCEL_ONLY", UNKNOWN_STATUS),
    (b'symbol=ETHUSDT&symbols=["BTCUSDT"]', SYMBOL_AND_SYMBOLS),
    (b"symbol=ETHUSDT&symbols=[]", SYMBOL_AND_SYMBOLS),
    (b'symbols=["ETHUSDT","BTCUSDT","ETHUSDT"]', SYMBOL_REPEATED),
    # each value by itself goes before how they go together
    (b"symbol=eth&symbols=[]", SYMBOL_ILLEGAL),
    (b"symbol=ETHUSDT&symbols=x", SYMBOLS_ILLEGAL),
    (b'symbol=ETHUSDT&symbols=["A","A"]', SYMBOL_AND_SYMBOLS),
    (b"symbol=A&symbol=B", ApiError(400, -1101, "Duplicate values for parameter 'symbol'.")),
    (b"symbols=A&symbols=B", ApiError(400, -1101, "Duplicate values for parameter 'symbols'.")),
    (
        b"limit=5",
        ApiError(400, -1104, "Not all sent parameters were read; read '0' parameter(s) but was sent '1'."),
    ),
    (
        b"symbol=ETHUSDT&limit=5",
        ApiError(400, -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ),
    (
        b'symbols=["A","A"]&limit=5',
        ApiError(400, -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ),
]

INFOS: list[tuple[bytes, ExchangeInfoRequest]] = [
    (b"", ExchangeInfoRequest(None, DEFAULT, True, None)),
    (b"symbol=ETHUSDT", ExchangeInfoRequest(("ETHUSDT",), DEFAULT, True, None)),
    (b'symbols=["A","B"]', ExchangeInfoRequest(("A", "B"), DEFAULT, True, None)),
    (b"symbols=[]", ExchangeInfoRequest((), DEFAULT, True, None)),
    (b"permissions=SPOT", ExchangeInfoRequest(None, frozenset(("SPOT",)), True, None)),
    (
        b'permissions=["MARGIN","LEVERAGED"]',
        ExchangeInfoRequest(None, frozenset(("MARGIN", "LEVERAGED")), True, None),
    ),
    (b"permissions=TRD_GRP_004", ExchangeInfoRequest(None, frozenset(("TRD_GRP_004",)), True, None)),
    (b"showPermissionSets=false", ExchangeInfoRequest(None, DEFAULT, False, None)),
    (b"showPermissionSets=TRUE", ExchangeInfoRequest(None, DEFAULT, True, None)),
    (b"symbolStatus=HALT", ExchangeInfoRequest(None, DEFAULT, True, "HALT")),
    (
        b"symbol=ETHUSDT&showPermissionSets=False",
        ExchangeInfoRequest(("ETHUSDT",), DEFAULT, False, None),
    ),
]


@pytest.mark.parametrize(("query", "expected"), TICKERS)
def test_a_ticker_request_is_read(query: bytes, expected: object) -> None:
    assert parse_book_ticker(query) == TickerRequest(*expected)  # type: ignore[misc]


@pytest.mark.parametrize(("query", "expected"), INFOS)
def test_an_exchange_info_request_is_read(query: bytes, expected: ExchangeInfoRequest) -> None:
    assert parse_exchange_info(query) == expected
    assert expected.everything is (query == b"" or query == b"showPermissionSets=TRUE")


@pytest.mark.parametrize("text", ILLEGAL_LISTS)
def test_a_list_that_is_not_compact_json_of_symbols_is_refused(text: bytes) -> None:
    for parse in (parse_book_ticker, parse_exchange_info):
        assert parse(b"symbols=" + text) == SYMBOLS_ILLEGAL


@pytest.mark.parametrize(("query", "expected"), REFUSED_BY_BOTH)
def test_both_refuse_alike_and_the_first_check_that_fails_answers(query: bytes, expected: ApiError) -> None:
    assert parse_book_ticker(query) == expected
    assert parse_exchange_info(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"permissions=", empty("permissions")),
        (b"permissions=spot", not_valid("permissions")),
        (b"permissions=[]", not_valid("permissions")),
        (b'permissions=["SPOT", "MARGIN"]', not_valid("permissions")),
        (b"showPermissionSets=", empty("showPermissionSets")),
        (b"showPermissionSets=yes", not_valid("showPermissionSets")),
        (b"symbol=ETHUSDT&permissions=SPOT", BAD_COMBINATION),
        (b"symbol=ETHUSDT&symbolStatus=TRADING", BAD_COMBINATION),
        (b"symbols=[]&permissions=SPOT", BAD_COMBINATION),
        (b"symbols=[]&symbolStatus=TRADING", BAD_COMBINATION),
        (
            b"a=1&b=2&c=3&d=4&e=5&f=6",
            ApiError(400, -1101, "Too many parameters; expected '5' and received '6'."),
        ),
    ],
)
def test_an_exchange_info_request_is_refused(query: bytes, expected: ApiError) -> None:
    assert parse_exchange_info(query) == expected


def test_a_fourth_parameter_is_too_many_for_a_ticker() -> None:
    assert parse_book_ticker(b"symbol=&a=1&b=2&c=3") == ApiError(
        400, -1101, "Too many parameters; expected '3' and received '4'."
    )


@given(st.lists(st.from_regex(r"[A-Z0-9._-]{1,50}", fullmatch=True), max_size=20, unique=True))
def test_every_compact_list_is_read_as_json_reads_it(symbols: list[str]) -> None:
    text = json.dumps(symbols, separators=(",", ":"))
    request = parse_book_ticker(f"symbols={quote(text)}".encode())
    assert isinstance(request, TickerRequest)
    assert list(request.symbols or ()) == symbols


@given(st.text(alphabet='[]",A1a. ', max_size=16))
def test_a_list_is_taken_exactly_where_binance_s_own_pattern_takes_it(text: str) -> None:
    one = r'"[A-Z0-9_.\-]{1,50}"'
    legal = re.fullmatch(rf"\[({one}(,{one}){{0,}}){{0,1}}\]", text) is not None
    answer = parse_book_ticker(f"symbols={quote(text)}".encode())
    assert (answer not in (SYMBOLS_ILLEGAL, empty("symbols"))) == legal


@pytest.mark.parametrize(
    ("query", "weight"),
    [
        (b"symbol=A", 5),
        (b"symbol=A&limit=100", 5),
        (b"symbol=A&limit=101", 25),
        (b"symbol=A&limit=500", 25),
        (b"symbol=A&limit=1000", 50),
        (b"symbol=A&limit=1001", 250),
        (b"symbol=A&limit=9999", 250),
        (b"symbol=A&limit=-1", 5),
        (b"", 5),
    ],
)
def test_a_depth_request_weighs_what_binance_charges(query: bytes, weight: int) -> None:
    assert depth_weight(query) == weight


def test_a_ticker_request_weighs_what_binance_charges() -> None:
    assert book_ticker_weight(b"symbol=A") == 2
    assert book_ticker_weight(b"symbols=[]") == 4
    assert book_ticker_weight(b"") == 4


def entry_of(name: str, status: str, *permissions: str) -> Entry:
    return Entry(
        name, status, frozenset(permissions), b'{"symbol":"%b","permissionSets":[["SPOT"]]}' % name.encode()
    )


PARTS = Parts(
    b"whole",
    b"[",
    {each.symbol: each for each in (entry_of("A", "HALT", "SPOT"), entry_of("B", "TRADING", "MARGIN"))},
    b"]",
)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (b"symbolStatus=HALT", "A"),
        (b"permissions=MARGIN", "B"),
        (b"symbols=[%22B%22,%22A%22]", "BA"),
        (b"symbol=A", "A"),
    ],
)
def test_entries_are_selected_by_what_was_asked(query: bytes, names: str) -> None:
    request = parse_exchange_info(query)
    assert not isinstance(request, ApiError)
    given = select(PARTS, request)
    assert given == b"[" + b",".join(PARTS.entries[name].body for name in names) + b"]"


def test_all_of_a_list_its_entries_without_sets_and_one_that_is_not_there() -> None:
    everything, bare, none = map(parse_exchange_info, (b"", b"showPermissionSets=false", b"symbol=NO"))
    assert not any(isinstance(request, ApiError) for request in (everything, bare, none))
    assert select(PARTS, everything) == b"whole"  # type: ignore[arg-type]
    given = select(PARTS, bare)  # type: ignore[arg-type]
    assert isinstance(given, bytes)
    assert given.count(b'"permissionSets":[]') == 2
    refused = select(PARTS, none)  # type: ignore[arg-type]
    assert isinstance(refused, ApiError)
    assert refused.code == -1121
