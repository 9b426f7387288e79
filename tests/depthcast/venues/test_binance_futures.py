"""USD-M futures: frames, snapshots, lists, paths and weights as documented and as captured."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthcast.book import Book
from depthcast.errors import MalformedAnswer, MalformedFrame
from depthcast.events import Diff, PlainLevels
from depthcast.sync import Sync, Verdict
from depthcast.venues import Ack, Ignored
from depthcast.venues.binance_futures import BinanceCoinFutures, BinanceFutures

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "data" / "binance_usdm"
VENUE = BinanceFutures()

# The documents' own example, times made plausible.
DIFF: dict[str, Any] = {
    "e": "depthUpdate",
    "E": 1672515782136,
    "T": 1672515782130,
    "s": "BTCUSDT",
    "U": 157,
    "u": 160,
    "pu": 149,
    "b": [["7403.89", "0.002"]],
    "a": [["7405.96", "3.340"]],
}


def frame_of(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def combined(data: object) -> bytes:
    return frame_of({"stream": "btcusdt@depth@100ms", "data": data})


# Frames


@pytest.mark.parametrize("frame", [frame_of(DIFF), combined(DIFF), combined(DIFF).decode()])
def test_a_diff_tells_the_id_before_it_and_its_times(frame: str | bytes) -> None:
    diff = VENUE.parse_frame(frame)
    assert diff == Diff("BTCUSDT", 157, 160, 1672515782136, DIFF["b"], DIFF["a"], 149, 1672515782130)
    assert isinstance(diff, Diff)
    assert diff.after == 149
    assert (type(diff.bids) is PlainLevels) is isinstance(frame, bytes)


@pytest.mark.parametrize("missing", ["s", "E", "T", "U", "u", "pu", "b", "a"])
def test_a_diff_without_a_member_is_malformed_and_names_its_symbol(missing: str) -> None:
    cut = {name: value for name, value in DIFF.items() if name != missing}
    with pytest.raises(MalformedFrame, match=f"without {missing}") as raised:
        VENUE.parse_frame(combined(cut))
    assert raised.value.symbol == "BTCUSDT"


@pytest.mark.parametrize(
    "wrong",
    [
        {"pu": "149"},
        {"pu": None},
        {"pu": -1},
        {"pu": 160},
        {"pu": True},
        {"T": 0},
        {"T": 1.5},
        {"T": 2**63},
        {"E": -1},
        {"U": 161},
        {"U": 0},
        {"u": 2**63},
        {"b": {}},
        {"a": None},
        {"s": 5},
    ],
    ids=str,
)
def test_a_diff_with_members_of_other_types_or_sizes_is_malformed(wrong: dict[str, object]) -> None:
    with pytest.raises(MalformedFrame) as raised:
        VENUE.parse_frame(combined(DIFF | wrong))
    assert raised.value.symbol == "BTCUSDT"


@pytest.mark.parametrize("frame", [b"{", b"[]", b"5", b"{}"])
def test_what_is_no_message_is_malformed(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        VENUE.parse_frame(frame)


def test_answers_and_other_streams_are_read_as_on_spot() -> None:
    assert VENUE.parse_frame('{"result":null,"id":7}') == Ack(7)
    ticker = {"e": "bookTicker", "u": 1, "s": "BTCUSDT", "T": 1, "E": 1}
    assert isinstance(VENUE.parse_frame(combined(ticker)), Ignored)


# Requests


def test_a_limit_that_the_exchange_does_not_know_is_asked_for_as_the_next_one() -> None:
    limits = {1: 5, 5: 5, 6: 10, 51: 100, 101: 500, 501: 1000, 5000: 1000}
    for limit, asked in limits.items():
        assert VENUE.depth_path("BTCUSDT", limit) == f"/fapi/v1/depth?symbol=BTCUSDT&limit={asked}"
    assert [VENUE.depth_weight(limit) for limit in (5, 50, 51, 100, 101, 500, 501, 5000)] == [
        *(2, 2, 5, 5, 10, 10, 20, 20)
    ]


def test_paths_weights_and_limits_are_the_documented_ones() -> None:
    assert VENUE.depth_path("币安人生USDT", 5) == (
        "/fapi/v1/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=5"
    )
    assert VENUE.ping_path == "/fapi/v1/ping"
    assert VENUE.exchange_info_paths == ("/fapi/v1/exchangeInfo",)
    assert (VENUE.ping_weight, VENUE.exchange_info_weight, VENUE.messages_per_s) == (1, 1, 10)
    assert VENUE.stream_url == "wss://fstream.binance.com/public/stream"
    assert VENUE.stream_name("BTCUSDT") == "btcusdt@depth@100ms"
    assert VENUE.snapshot_limits == (50, 100, 500, 1000)
    assert VENUE.request_weight_per_minute == 2400


# Snapshots


def test_a_snapshot_has_times_and_is_complete_where_it_shows_less_than_was_asked_for() -> None:
    answer = {"lastUpdateId": 7, "E": 9, "T": 8, "bids": [["2.0", "5"]] * 5, "asks": [["2.1", "1"]]}
    snapshot = VENUE.parse_snapshot(frame_of(answer), 3)
    assert (snapshot.update_id, snapshot.event_time_ms, snapshot.transaction_time_ms) == (7, 9, 8)
    assert (snapshot.bids_complete, snapshot.asks_complete) == (False, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lastUpdateId": None},
        {"lastUpdateId": -1},
        {"lastUpdateId": 2**63},
        {"bids": None},
        {"asks": {}},
        {"E": None},
        {"E": -1},
        {"E": 2**63},
        {"T": "8"},
        {"T": 0},
        {"T": 2**63},
    ],
    ids=str,
)
def test_a_body_that_is_no_snapshot_is_a_malformed_answer(wrong: dict[str, object]) -> None:
    answer = {"lastUpdateId": 7, "E": 9, "T": 8, "bids": [], "asks": []}
    with pytest.raises(MalformedAnswer, match="fapi/v1/depth"):
        VENUE.parse_snapshot(frame_of(answer | wrong), 5)


# The list of symbols


def listed(**changes: object) -> dict[str, object]:
    entry = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001"},
        ],
    }
    return {"rateLimits": [], "symbols": [entry | changes]}


def test_precisions_are_those_of_the_steps_as_they_are_written() -> None:
    info = VENUE.parse_exchange_info(frame_of(listed()))
    found = info.symbols["BTCUSDT"]
    assert (found.status, found.quote_precision, found.base_precision) == ("TRADING", 2, 3)
    assert info.request_weight_per_minute == 2400
    whole = VENUE.parse_exchange_info(frame_of(listed(filters=[{"filterType": "LOT_SIZE", "stepSize": "1"}])))
    assert (whole.symbols["BTCUSDT"].base_precision, whole.symbols["BTCUSDT"].quote_precision) == (0, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": None},
        {"symbol": 5},
        {"filters": [{}]},
        {"filters": [5]},
        {"filters": None},
        {"filters": [{"filterType": "LOT_SIZE", "stepSize": 1}]},
        {"filters": [], "pricePrecision": -1},
    ],
    ids=str,
)
def test_a_body_that_is_no_list_is_a_malformed_answer(wrong: dict[str, object]) -> None:
    with pytest.raises(MalformedAnswer, match="fapi/v1/exchangeInfo"):
        VENUE.parse_exchange_info(frame_of(listed(**wrong)))


def test_coin_margined_contracts_have_their_status_under_another_name() -> None:
    coin, body = BinanceCoinFutures(), listed(symbol="BTCUSD_PERP", contractStatus="TRADING", status=None)
    assert coin.parse_exchange_info(frame_of(body)).symbols["BTCUSD_PERP"].status == "TRADING"
    with pytest.raises(MalformedAnswer, match="dapi/v1/exchangeInfo"):
        coin.parse_exchange_info(frame_of(listed()))


# What was recorded


def recorded() -> Iterator[tuple[float, str, str]]:
    """(time, frame or "", body or "") of the capture, in the order of time."""
    found = []
    with gzip.open(CAPTURES / "cf_20210417_ws.txt.gz", "rt") as lines:
        for line in lines:
            at, _, frame = line.rstrip("\n").partition(": ")
            if at[:1].isdigit() and frame.startswith("{"):
                found.append((float(at), frame, ""))
    with gzip.open(CAPTURES / "cf_20210417_rest_depth.txt.gz", "rt") as lines:
        for line in lines:
            url, arrow, answer = line.rstrip("\n").partition(" -> ")
            if arrow and "/depth" in url:
                at, _, body = answer.partition(": ")
                found.append((float(at), url, body))
    return iter(sorted(found))


@pytest.mark.captures
@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no captured exchange data at {CAPTURES}")
def test_recorded_books_are_unbroken_never_crossed_and_agree_with_every_ticker() -> None:
    syncs: dict[str, Sync] = {}
    tickers: dict[tuple[str, int], tuple[str, str, str, str]] = {}
    events = list(recorded())
    for _, frame, body in events:
        data = {} if body else json.loads(frame).get("data", {})
        if data.get("e") == "bookTicker":
            tickers[data["s"], data["u"]] = (data["b"], data["B"], data["a"], data["A"])
    matched = applied = 0
    for _, frame, body in events:
        if body:
            symbol = frame.partition("symbol=")[2].partition("&")[0]
            sync = syncs.setdefault(symbol, Sync(symbol))
            assert sync.snapshot(VENUE.parse_snapshot(body.encode(), 1000)) is Verdict.SYNCED
            continue
        event = VENUE.parse_frame(frame.encode())
        if not isinstance(event, Diff):
            continue
        # Some quantities are whole numbers, which a book reads one by one.
        assert event.symbol == "DENTUSDT" or type(event.bids) is PlainLevels
        sync = syncs.setdefault(event.symbol, Sync(event.symbol))
        verdict = sync.diff(event)
        assert not verdict.broken
        book = sync.book
        if verdict is not Verdict.APPLIED or not isinstance(book, Book):
            continue
        applied += 1
        assert not book.crossed
        assert book.body(5).startswith(
            b'{"lastUpdateId":%d,"E":%d,"T":%d,"bids":[["'
            % (event.last, event.event_time_ms, event.transaction_time_ms)
        )
        expected = tickers.get((event.symbol, event.last))
        if expected is not None:
            assert (*(book.best_bid or ()), *(book.best_ask or ())) == expected
            matched += 1
    assert len(syncs) == 4
    assert applied > 900
    assert matched == 86
