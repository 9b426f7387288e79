"""What Binance says, read by the letter of its documents."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthcast.errors import (
    MalformedAnswer,
    MalformedFrame,
    RateLimited,
    Refused,
    SettingsError,
    VenueError,
    VenueUnavailable,
)
from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.metadata.document import LONG_CHARACTERS
from depthcast.venues import Ack, Ignored, RequestFailed, Shutdown, SymbolInfo
from depthcast.venues.binance import DEFAULT_PAUSE_MS, MAX_SILENCE_MS, Binance

VENUE = Binance()
CAPTURES = Path(__file__).parents[4] / "shared" / "data"

DIFF = {
    "e": "depthUpdate",
    "E": 1672515782136,
    "s": "BNBBTC",
    "U": 157,
    "u": 160,
    "b": [["0.0024", "10"]],
    "a": [["0.0026", "100"]],
}


def combined(data: object, stream: str = "bnbbtc@depth@100ms") -> str:
    return json.dumps({"stream": stream, "data": data})


def refused(status: int, body: bytes = b"", **headers: str) -> VenueError | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return VENUE.refusal(status, named, body, url="https://venue/api", now_ms=1_000_000)


# Frames


@pytest.mark.parametrize("envelope", [json.dumps, combined], ids=["raw", "combined"])
@pytest.mark.parametrize("encode", [str, str.encode], ids=["text", "bytes"])
def test_a_diff_keeps_its_exact_strings_in_either_envelope(
    envelope: Callable[[object], str], encode: Callable[[str], str | bytes]
) -> None:
    assert VENUE.parse_frame(encode(envelope(DIFF))) == Diff(
        "BNBBTC", 157, 160, 1672515782136, [["0.0024", "10"]], [["0.0026", "100"]]
    )


@pytest.mark.parametrize("missing", ["s", "E", "U", "u", "b", "a"])
def test_a_diff_without_a_member_is_malformed_and_names_its_symbol(missing: str) -> None:
    cut = {name: value for name, value in DIFF.items() if name != missing}
    with pytest.raises(MalformedFrame, match=f"without {missing}") as raised:
        VENUE.parse_frame(combined(cut))
    assert raised.value.symbol == "BNBBTC"


@pytest.mark.parametrize(
    "wrong",
    [
        {"U": "157"},
        {"u": 160.0},
        {"u": True},
        {"E": None},
        {"b": {}},
        {"a": None},
        {"U": 161},
        {"U": 0},
        {"u": 2**64},
        {"u": 2**63},
        {"E": -1},
        {"E": 2**63},
    ],
    ids=str,
)
def test_a_diff_with_members_of_other_types_or_sizes_is_malformed(wrong: dict[str, object]) -> None:
    frame = combined(DIFF | wrong)
    as_sent = json.dumps(json.loads(frame), separators=(",", ":")).encode()
    for spelled in (frame, as_sent):
        with pytest.raises(MalformedFrame) as raised:
            VENUE.parse_frame(spelled)
        assert raised.value.symbol == "BNBBTC"


def test_a_diff_whose_symbol_is_no_text_is_named_by_its_stream() -> None:
    with pytest.raises(MalformedFrame) as raised:
        VENUE.parse_frame(combined(DIFF | {"s": 5}))
    assert raised.value.symbol == "BNBBTC"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"5",
        b'"data"',
        b"null",
        b"{}",
        b'{"stream":"x@depth","data":[1]}',
        b'{"stream":"x@depth","data":null}',
        b'{"stream":"x@depth","data":{}}',
        b'{"error":"no"}',
    ],
)
def test_what_the_documents_do_not_describe_is_malformed(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        VENUE.parse_frame(frame)


def test_a_control_answer_is_an_ack() -> None:
    assert VENUE.parse_frame('{"result":null,"id":7}') == Ack(7)
    assert VENUE.parse_frame('{"result":["btcusdt@depth"],"id":3}') == Ack(3)
    assert isinstance(VENUE.parse_frame('{"result":null,"id":"someone-else"}'), Ignored)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"code":2,"msg":"Invalid request: x","id":4}', RequestFailed(4, 2, "Invalid request: x")),
        ('{"code":3,"msg":"Invalid JSON: \\n at"}', RequestFailed(None, 3, "Invalid JSON: at")),
        (
            '{"error":{"code":4,"msg":"Too many subscriptions"}}',
            RequestFailed(None, 4, "Too many subscriptions"),
        ),
        ('{"error":{"code":4,"msg":"Too many"},"id":9}', RequestFailed(9, 4, "Too many")),
    ],
)
def test_both_layouts_of_a_refused_control_message_are_read(frame: str, expected: RequestFailed) -> None:
    assert VENUE.parse_frame(frame) == expected


@pytest.mark.parametrize(
    ("frame", "at_ms"),
    [
        ('{"e":"serverShutdown","E":1770123456789}', 1770123456789),
        ('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}', 1770123456789),
        ('{"stream":"!serverShutdown","data":{}}', None),
    ],
)
def test_a_shutdown_notice_is_read_in_both_forms(frame: str, at_ms: int | None) -> None:
    assert VENUE.parse_frame(frame) == Shutdown(at_ms)


def test_other_streams_are_ignored_by_name() -> None:
    ticker = {"u": 400900217, "s": "BNBUSDT", "b": "25.3", "B": "31.2", "a": "25.4", "A": "40.6"}
    assert VENUE.parse_frame(combined(ticker, "bnbusdt@bookTicker")) == Ignored("bnbusdt@bookTicker")
    assert VENUE.parse_frame('{"e":"trade","s":"BNBUSDT"}') == Ignored("trade")


def test_control_messages_are_spelled_as_documented() -> None:
    names = [VENUE.stream_name(symbol) for symbol in ("BTCUSDT", "币安人生USDT")]
    assert names == ["btcusdt@depth@100ms", "币安人生usdt@depth@100ms"]
    assert VENUE.subscribe_message(names[:1], 1) == (
        '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}'
    )
    assert json.loads(VENUE.unsubscribe_message(names, 2)) == {
        "method": "UNSUBSCRIBE",
        "params": names,
        "id": 2,
    }


# Urls


def test_urls_are_bases_without_a_slash_at_the_end() -> None:
    venue = Binance("https://api.binance.us/", "wss://stream.binance.us:9443/")
    assert venue.rest_url == "https://api.binance.us"
    assert venue.stream_url == "wss://stream.binance.us:9443/stream"


@pytest.mark.parametrize(
    "url",
    ["", "api.binance.com", "ftp://host", "https://", "https://h?x=1", "https://me:pw@h", "https://h:x"],
)
def test_a_url_that_is_no_base_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Binance(rest_url=url)
    assert "pw" not in str(raised.value)


def test_a_symbol_is_quoted_in_a_path() -> None:
    assert VENUE.depth_path("币USDT", 5) == "/api/v3/depth?symbol=%E5%B8%81USDT&limit=5"
    assert VENUE.ping_path == "/api/v3/ping"
    assert list(VENUE.exchange_info_paths) == [
        "/api/v3/exchangeInfo?showPermissionSets=false",
        "/api/v3/exchangeInfo",
    ]


def test_requests_weigh_what_the_documents_say() -> None:
    # rest-api.md: ping "Weight: 1", exchangeInfo "Weight: 20", and the table of the order book.
    assert (VENUE.ping_weight, VENUE.exchange_info_weight) == (1, 20)
    weights = {limit: VENUE.depth_weight(limit) for limit in (1, 5, 100, 101, 500, 501, 1000, 1001, 5000)}
    assert list(weights.values()) == [5, 5, 5, 25, 25, 50, 50, 250, 250]


# Snapshots


def test_what_is_published_and_what_a_connection_may_send_are_the_documented_limits() -> None:
    assert VENUE.snapshot_limits == (100, 500, 1000, 5000)
    assert VENUE.messages_per_s == 5
    assert VENUE.scheme.depth_prefixes == ("api/v3/depth?symbol=",)
    assert VENUE.unknown_symbol == {-1121, -1100}
    assert VENUE.request_weight_per_minute == 6000
    # Of 300 connections in five minutes a fifth, and an hour before each would be ended.
    assert (VENUE.connects_per_hour / 12, VENUE.connection_s) == (60, 23 * 3600)
    # Update ids number the diffs, and the websocket's own pings are all that tells of life.
    assert VENUE.numbered
    assert (VENUE.heartbeat, VENUE.heartbeat_s) == (None, 5.0)


def test_the_symbol_of_a_diff_is_read_off_the_name_of_its_stream() -> None:
    name = VENUE.stream_name("ETHUSDT")
    frame = f'{{"stream":"{name}","data":{{"e":"depthUpdate"}}}}'
    assert VENUE.symbol_of(frame.encode()) == "ETHUSDT"
    assert VENUE.symbol_of('{"stream":"币安人生usdt@depth@100ms","data":{}}'.encode()) == "币安人生USDT"
    for other in (b'{"result":null,"id":1}', b'{"stream":"ethusdt@trade","data":{}}', b""):
        assert VENUE.symbol_of(other) is None


def test_a_side_with_fewer_levels_than_asked_for_is_complete() -> None:
    body = b'{"lastUpdateId":160,"bids":[["2","1"],["1","1"]],"asks":[["3","1"]]}'
    assert VENUE.parse_snapshot(body, 2) == Snapshot(160, [["2", "1"], ["1", "1"]], [["3", "1"]], False, True)
    assert VENUE.parse_snapshot(b'{"lastUpdateId":1,"bids":[],"asks":[]}', 5) == Snapshot(
        1, [], [], True, True
    )


def test_a_limit_beyond_the_largest_one_counts_as_the_largest() -> None:
    levels = [[str(price), "1"] for price in range(5000, 0, -1)]
    body = json.dumps({"lastUpdateId": 1, "bids": levels, "asks": levels[:4999]}).encode()
    snapshot = VENUE.parse_snapshot(body, 10_000)
    assert (snapshot.bids_complete, snapshot.asks_complete) == (False, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"lastUpdateId":"1","bids":[],"asks":[]}',
        b'{"lastUpdateId":-1,"bids":[],"asks":[]}',
        b'{"lastUpdateId":10000000000000000000,"bids":[],"asks":[]}',
        b'{"lastUpdateId":1,"bids":{},"asks":[]}',
        b'{"lastUpdateId":1,"bids":[]}',
    ],
)
def test_a_body_that_is_no_snapshot_is_a_malformed_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="/api/v3/depth"):
        VENUE.parse_snapshot(body, 5)


# Error answers


def test_a_good_answer_is_no_error() -> None:
    assert refused(200, b"{}") is None


def test_an_error_body_gives_its_code_and_text() -> None:
    error = refused(400, b'{"code":-1121,"msg":"Invalid symbol."}')
    assert isinstance(error, Refused)
    assert (error.status, error.code, error.text) == (400, -1121, "Invalid symbol.")


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (404, b"", "an empty body"),
        (404, b"\n<html><body><h2>404 Not found</h2></body></html>", "an HTML page"),
        (403, b"<html>", "firewall"),
        (451, b"not\nhere", "not here"),
    ],
)
def test_a_refusal_without_an_error_body_is_described_in_one_line(
    status: int, body: bytes, text: str
) -> None:
    error = refused(status, body)
    assert isinstance(error, Refused)
    assert error.code is None
    assert text in error.text
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("headers", "body", "pause_ms"),
    [
        ({"retry_after": "30"}, b"", 30_000),
        ({"Retry_After": " 7 "}, b"", 7_000),
        ({"Retry_After": "0"}, b"", 1_000),
        ({"Retry_After": "9" * 40}, b"", MAX_SILENCE_MS),
        # 1,000 s after 1970 is "now"; the date is a minute later.
        ({"Retry_After": "Thu, 01 Jan 1970 00:17:40 GMT"}, b"", 60_000),
        ({"Retry_After": "Thu, 01 Jan 1970 00:00:00 GMT"}, b"", 1_000),
        ({}, b'{"code":-1003,"msg":"IP banned until 1659146400000."}', MAX_SILENCE_MS),
        ({"Retry_After": "soon"}, b"", DEFAULT_PAUSE_MS[418]),
        ({"Retry_After": "-5"}, b"", DEFAULT_PAUSE_MS[418]),
        ({}, b"", DEFAULT_PAUSE_MS[418]),
    ],
)
def test_a_pause_is_taken_from_whatever_names_it_and_bounded(
    headers: dict[str, str], body: bytes, pause_ms: int
) -> None:
    error = refused(418, body, **headers)
    assert isinstance(error, RateLimited)
    assert error.banned
    assert error.retry_after_ms == pause_ms


def test_429_is_a_limit_not_a_ban() -> None:
    error = refused(429, b"")
    assert isinstance(error, RateLimited)
    assert not error.banned
    assert error.retry_after_ms == DEFAULT_PAUSE_MS[429]


def test_a_fault_of_the_exchange_is_told_from_somebody_else_answering() -> None:
    assert isinstance(refused(502, b"<html>bad gateway"), VenueUnavailable)
    assert "-1008" in str(refused(503, b'{"code":-1008,"msg":"Server is currently overloaded"}'))
    assert isinstance(refused(302, b""), MalformedAnswer)


@pytest.mark.parametrize(
    ("headers", "used"),
    [
        ({"X-MBX-USED-WEIGHT-1M": "250"}, 250),
        ({"x-mbx-used-weight": "5"}, 5),
        ({"x-mbx-used-weight": "5", "x-mbx-used-weight-1m": "6"}, 6),
        ({"x-mbx-used-weight-1m": "many"}, None),
        ({"x-mbx-used-weight-1m": "9" * 5000}, 999_999_999_999),
        ({}, None),
    ],
)
def test_the_used_weight_is_read_from_either_header(headers: dict[str, str], used: int | None) -> None:
    assert VENUE.used_weight(headers) == used


# exchangeInfo


def test_symbols_come_with_status_precisions_and_the_weight_limit() -> None:
    entry = {
        "symbol": "BTCIDRT",
        "status": "BREAK",
        "baseAsset": "BTC",
        "baseAssetPrecision": 8,
        "quoteAsset": "IDRT",
        "quoteAssetPrecision": 2,
    }
    limits = [
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300000},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 2, "limit": 2400},
    ]
    info = VENUE.parse_exchange_info(json.dumps({"rateLimits": limits, "symbols": [entry]}).encode())
    assert info.symbols == {"BTCIDRT": SymbolInfo("BTCIDRT", "BREAK", "BTC", "IDRT", 8, 2)}
    assert info.request_weight_per_minute == 1200


def test_without_a_weight_limit_the_documented_one_holds() -> None:
    assert VENUE.parse_exchange_info(b'{"rateLimits":[],"symbols":[]}').request_weight_per_minute == 6000


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"symbols":[]}',
        b'{"rateLimits":[],"symbols":[{"symbol":"X"}]}',
        b'{"rateLimits":[],"symbols":[5]}',
        b'{"rateLimits":[],"symbols":[{"symbol":5,"status":"TRADING","baseAsset":"A","quoteAsset":"B",'
        b'"baseAssetPrecision":8,"quoteAssetPrecision":8}]}',
        b'{"rateLimits":[],"symbols":[{"symbol":"AB","status":null,"baseAsset":"A","quoteAsset":"B",'
        b'"baseAssetPrecision":8,"quoteAssetPrecision":8}]}',
        b'{"symbols":[],"rateLimits":'
        b'[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":0,"limit":1}]}',
        b'{"symbols":[],"rateLimits":'
        b'[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":1e308}]}',
        b'{"symbols":[],"rateLimits":'
        b'[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":-6000}]}',
        b'{"symbols":[],"rateLimits":'
        b'[{"rateLimitType":"REQUEST_WEIGHT","interval":"DAY","intervalNum":"1","limit":1}]}',
        b'{"rateLimits":[],"symbols":[{"symbol":"AB","status":"TRADING","baseAsset":[],"quoteAsset":"B",'
        b'"baseAssetPrecision":8,"quoteAssetPrecision":8}]}',
        b'{"rateLimits":[],"symbols":[{"symbol":"AB","status":"TRADING","baseAsset":"A","quoteAsset":"B",'
        b'"baseAssetPrecision":true,"quoteAssetPrecision":8}]}',
    ],
)
def test_a_body_that_is_no_list_of_symbols_is_a_malformed_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="/api/v3/exchangeInfo"):
        VENUE.parse_exchange_info(body)
    # A long one is read in another way, and refused in the same.
    with pytest.raises(MalformedAnswer, match="/api/v3/exchangeInfo"):
        VENUE.parse_exchange_info(body + b" " * LONG_CHARACTERS)


def test_a_long_answer_that_is_not_json_is_a_malformed_answer() -> None:
    with pytest.raises(MalformedAnswer, match="not JSON"):
        VENUE.parse_exchange_info(b"<html>" + b" " * LONG_CHARACTERS)


def test_a_weight_limit_of_less_than_one_a_minute_is_one() -> None:
    limit = b'{"rateLimitType":"REQUEST_WEIGHT","interval":"DAY","intervalNum":1,"limit":10}'
    info = VENUE.parse_exchange_info(b'{"symbols":[],"rateLimits":[%b]}' % limit)
    assert info.request_weight_per_minute == 1


@pytest.mark.captures
@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captured exchange data at {CAPTURES}")
def test_every_captured_diff_snapshot_and_symbol_list_is_read() -> None:
    diffs = snapshots = 0
    last_ids: dict[str, int] = {}
    folder = CAPTURES / "binance_spot"
    with gzip.open(folder / "cf_20210814_ws.txt.gz", "rt") as lines:
        for line in lines:
            _, _, frame = line.rstrip("\n").partition(": ")
            if not frame.startswith("{") or not line[0].isdigit():
                continue
            event = VENUE.parse_frame(frame)
            if isinstance(event, Diff):
                diffs += 1
                assert event.first == last_ids.get(event.symbol, event.first - 1) + 1
                last_ids[event.symbol] = event.last
    with gzip.open(folder / "cf_20210814_rest_depth.txt.gz", "rt") as lines:
        for line in lines:
            _, arrow, answer = line.rstrip("\n").partition(" -> ")
            if arrow:
                snapshot = VENUE.parse_snapshot(answer.partition(": ")[2].encode(), 5000)
                assert len(snapshot.bids) == 5000 or snapshot.bids_complete
                snapshots += 1
    with gzip.open(folder / "cf_20210417_exchangeInfo.txt.gz", "rt") as lines:
        info = VENUE.parse_exchange_info(
            next(text for line in lines if (text := line.partition(" -> ")[2].partition(": ")[2])).encode()
        )
    assert (diffs, snapshots) == (546, 4)
    assert info.request_weight_per_minute == 1200
    assert info.symbols["BTCIDRT"].quote_precision == 2


# Levels known to be plain


def usual_frame(bids: list[list[str]], asks: list[list[str]], *, combined: bool = True) -> bytes:
    data = {"e": "depthUpdate", "E": 1700000000000, "s": "ETHUSDT", "U": 7, "u": 9, "b": bids, "a": asks}
    message = {"stream": "ethusdt@depth@100ms", "data": data} if combined else data
    return json.dumps(message, separators=(",", ":")).encode()


SIDES = st.lists(
    st.lists(st.from_regex(r"[0-9]{1,5}\.[0-9]{1,8}", fullmatch=True), min_size=2, max_size=2), max_size=4
)


@given(SIDES, SIDES, st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_diff_is_the_same_whether_it_is_read_by_its_bytes_or_as_text(
    bids: list[list[str]], asks: list[list[str]], combined: bool
) -> None:
    frame = usual_frame(bids, asks, combined=combined)
    diff = Binance().parse_frame(frame)
    assert diff == Binance().parse_frame(frame.decode()) == Diff("ETHUSDT", 7, 9, 1700000000000, bids, asks)
    assert isinstance(diff, Diff)
    assert (type(diff.bids), type(diff.asks)) == (PlainLevels, PlainLevels)


@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
@settings(max_examples=400, deadline=None)
def test_a_damaged_diff_is_never_read_as_another_one(at: int, byte: int, cut: bool) -> None:
    frame = bytearray(usual_frame([["2.5", "1.0"], ["2.4", "0.0"]], [["2.6", "3.0"]]))
    frame[at % len(frame)] = byte
    if cut:
        del frame[at % len(frame) :]

    assert_plain_where_said(bytes(frame))
    try:
        text = bytes(frame).decode()
    except UnicodeDecodeError:
        with pytest.raises(MalformedFrame):
            Binance().parse_frame(bytes(frame))
        return
    read = []
    for form in (bytes(frame), text):
        try:
            read.append(Binance().parse_frame(form))
        except MalformedFrame:
            read.append(Ignored("malformed"))
    assert read[0] == read[1]


def assert_plain_where_said(frame: bytes) -> bool:
    """Whether the levels of a frame are said to be plain; they must be then."""
    try:
        diff = Binance().parse_frame(frame)
    except MalformedFrame:
        return False
    said = False
    for side in (diff.bids, diff.asks) if isinstance(diff, Diff) else ():
        if type(side) is PlainLevels:
            said = True
            for level in side:
                assert type(level) is list
                assert len(level) == 2
                assert all(type(number) is str for number in level)
                assert all(re.fullmatch(r"[0-9]*\.[0-9]*", number) for number in level)
    return said


ODD = st.recursive(
    st.sampled_from(["1.5", "1", "", ".", "1.2.3", "1e5", "-1.0", "\u0661.0", '"', "{", 1, 1.5, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)


@given(st.lists(ODD, max_size=3), st.lists(ODD, max_size=3), st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_no_plain_level_is_never_said_to_be_one(bids: Any, asks: Any, combined: bool) -> None:
    assert_plain_where_said(usual_frame(bids, asks, combined=combined))


GOOD, BAD = '"b":[["1.0","2.0"]],"a":[["1.5","2.5"]]', '"b":[[1,2]],"a":["xy"]'
HEAD = '"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,'


@pytest.mark.parametrize(
    ("frame", "plain"),
    [
        (f"{{{HEAD}{GOOD}}}", True),
        (f'{{"stream":"x","data":{{{HEAD}{GOOD}}}}}', True),
        (f'{{"data":{{{HEAD}{BAD},{GOOD}}}}}', True),
        (f"{{{HEAD}{BAD},{GOOD}}}", True),
        (f'{{{HEAD}{BAD},"x":{{{GOOD}}}}}', False),
        (f'{{"data":{{{HEAD}{BAD}}},"x":{{{GOOD}}}}}', False),
        (f'{{"data":{{{HEAD}{BAD},"x":{{{GOOD}}}}}}}', False),
        (f'{{"data":{{{HEAD}{BAD},"x":"{{",{GOOD}}}}}', False),
        (f'{{"data":{{{HEAD}"a":[["1.5","2.5"]],"b":[["1.0","2.0"]]}}}}', False),
        (f'{{"data":{{{HEAD}{GOOD}}} }}', False),
        (f'{{"data":{{{HEAD}{GOOD.replace("2.0", "20")}}}}}', False),
    ],
)
def test_only_the_members_that_were_read_vouch_for_levels(frame: str, plain: bool) -> None:
    assert assert_plain_where_said(frame.encode()) is plain
