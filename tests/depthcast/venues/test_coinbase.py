"""Coinbase's frames, requests and answers, in the layouts of its documents; and its captured ``level2``."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from depthcast.book import Book
from depthcast.errors import (
    MalformedAnswer,
    MalformedFrame,
    RateLimited,
    Refused,
    SettingsError,
    VenueUnavailable,
)
from depthcast.events import Diff, LevelSnapshot
from depthcast.file_info import MAX_NUMBER
from depthcast.orders.messages import Changed, Done, Matched, Opened, OrderSnapshot, Passed
from depthcast.venues import OLDEST, Ack, Ignored, Reached, RequestFailed
from depthcast.venues.coinbase import Coinbase
from depthcast.venues.coinbase_signing import CoinbaseKey

CAPTURE = Path(__file__).resolve().parents[4] / "shared/data/coinbase_exchange"
VENUE = Coinbase()
TIME = "2014-11-07T08:19:27.028459Z"
HEAD: dict[str, Any] = {"time": TIME, "product_id": "BTC-USD", "sequence": 10}
ID = "d50ec984-77a8-460a-b958-66f114b0de9b"
OTHER = "ac928c66-ca53-498f-9c13-a110027a60e8"


def read(**members: Any) -> Any:
    return VENUE.parse_frame(json.dumps({**HEAD, **members}))


# The full channel


def test_messages_read_as_documented() -> None:
    start = ("BTC-USD", 10, TIME)
    limit = {"order_id": ID, "size": "1.34", "price": "502.1", "side": "buy", "order_type": "limit"}
    assert read(type="received", **limit) == Passed(*start)
    assert read(type="activate", order_id=ID, stop_price="80") == Passed(*start)
    opened = read(type="open", order_id=ID, price="200.2", remaining_size="1.00", side="sell")
    assert opened == Opened(*start, ID, False, "200.2", "1.00")
    match = {"trade_id": 10, "maker_order_id": OTHER, "taker_order_id": ID, "size": "5.23512"}
    assert read(type="match", **match, price="400.23", side="sell") == Matched(
        *start, OTHER, False, "400.23", "5.23512"
    )
    done = read(type="done", price="200.2", order_id=ID, reason="filled", side="sell", remaining_size="0")
    assert done == Done(*start, ID, True, "0")
    cancelled = read(type="done", order_id=ID, reason="canceled", side="buy", cancel_reason="101:TIF")
    assert cancelled == Done(*start, ID, False, None)


def test_changes_by_self_trade_prevention_and_by_modification() -> None:
    start = ("BTC-USD", 10, TIME)
    common = {"type": "change", "order_id": ID, "side": "sell"}
    taken = read(**common, reason="STP", new_size="5.23512", old_size="12.234412", price="400.23")
    assert taken == Changed(*start, ID, False, "400.23", "5.23512", "12.234412")
    funds = read(**common, reason="STP", new_funds="5.2", old_funds="12.2", price=None)
    assert funds == Changed(*start, ID, False, None, None, None)
    moved = read(**common, reason="modify_order", new_size="80", old_size="80", old_price="7", new_price="6")
    assert moved == Changed(*start, ID, False, "6", "80", "80")


def test_a_stop_that_is_armed_without_a_sequence_is_not_of_the_chain() -> None:
    frame = {"type": "activate", "product_id": "BTC-USD", "timestamp": "1483736448.299000", "order_id": ID}
    assert VENUE.parse_frame(json.dumps(frame)) == Ignored("activate")


def test_a_heartbeat_tells_how_far_a_product_has_come() -> None:
    beat = {"type": "heartbeat", "sequence": 90, "last_trade_id": 20, "product_id": "BTC-USD", "time": TIME}
    assert VENUE.parse_frame(json.dumps(beat)) == Reached("BTC-USD", 90)


def test_what_is_not_of_a_book_is_ignored() -> None:
    beat = {"type": "heartbeat", "sequence": 90, "last_trade_id": 20, "product_id": "BTC-USD", "time": TIME}
    for number in (None, "90", 0, MAX_NUMBER + 1, True):
        assert VENUE.parse_frame(json.dumps(beat | {"sequence": number})) == Ignored("heartbeat")
    assert VENUE.parse_frame(json.dumps(beat | {"product_id": None})) == Ignored("heartbeat")
    assert VENUE.parse_frame('{"type":"ticker"}') == Ignored("ticker")
    assert VENUE.parse_frame('{"type":"of the future"}') == Ignored("of the future")


def test_answers_are_of_the_oldest_request() -> None:
    assert VENUE.parse_frame('{"type":"subscriptions","channels":[]}') == Ack(OLDEST)
    error = '{"type":"error","message":"Failed to subscribe","reason":"full channels\\nrequire"}'
    refused = RequestFailed(OLDEST, None, "Failed to subscribe: full channels require")
    assert VENUE.parse_frame(error) == refused


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        "7",
        "null",
        "{}",
        b"\xff\xfe",
        '{"type":7}',
        '{"type":["open"]}',
        json.dumps({**HEAD, "type": "open"}),
        json.dumps({**HEAD, "type": "received", "sequence": "10"}),
        json.dumps({**HEAD, "type": "received", "sequence": 0}),
        json.dumps({**HEAD, "type": "received", "sequence": 2**63}),
        json.dumps({**HEAD, "type": "received", "product_id": None}),
        json.dumps({**HEAD, "type": "received", "time": 1}),
        json.dumps(
            {**HEAD, "type": "open", "order_id": ID, "price": "1", "remaining_size": "1", "side": "b"}
        ),
        json.dumps({**HEAD, "type": "match", "maker_order_id": ID, "price": "1", "side": "buy"}),
        json.dumps({"type": "received", "product_id": "X", "time": TIME}),
        json.dumps({"type": "l2update", "product_id": "X", "changes": [["buy", "1"]], "time": TIME}),
        json.dumps({"type": "l2update", "product_id": "X", "changes": [], "time": "now"}),
        json.dumps({"type": "l2update", "product_id": "X", "changes": [["b", "1", "1"]], "time": TIME}),
        json.dumps({"type": "l2update", "product_id": 7, "changes": [], "time": TIME}),
        json.dumps({"type": "snapshot", "product_id": "X", "bids": []}),
    ],
    ids=repr,
)
def test_what_the_documents_do_not_describe_is_malformed(frame: str | bytes) -> None:
    with pytest.raises(MalformedFrame):
        VENUE.parse_frame(frame)


def test_a_malformed_message_names_its_product() -> None:
    with pytest.raises(MalformedFrame) as malformed:
        read(type="open")
    assert malformed.value.symbol == "BTC-USD"


# Subscriptions


def test_a_key_subscribes_to_every_order() -> None:
    key = CoinbaseKey("0123456789abcdef", "pass", "c2VjcmV0")
    venue = Coinbase(key=key, wall_ms=lambda: 1_700_000_000_000)
    for kind, text in (
        ("subscribe", venue.subscribe_message(["BTC-USD", "ETH-USD"], 1)),
        ("unsubscribe", venue.unsubscribe_message(["BTC-USD", "ETH-USD"], 2)),
    ):
        assert json.loads(text) == {
            "type": kind,
            "product_ids": ["BTC-USD", "ETH-USD"],
            "channels": ["full", "heartbeat"],
            **key.members(1_700_000_000_000),
        }
    assert "c2VjcmV0" not in repr(venue)


def test_without_a_key_levels_are_subscribed_to() -> None:
    asked = json.loads(VENUE.subscribe_message([VENUE.stream_name("BTC-USD")], 1))
    assert asked == {
        "type": "subscribe",
        "product_ids": ["BTC-USD"],
        "channels": ["level2_batch", "heartbeat"],
    }


def test_a_venue_is_given_a_key_afterwards_and_is_numbered_with_it() -> None:
    key = CoinbaseKey("0123456789abcdef", "pass", "c2VjcmV0")
    plain = Coinbase("http://rest.test", "ws://stream.test")
    signing = plain.signing(key, lambda: 1_700_000_000_000)
    assert (signing.rest_url, signing.stream_url) == ("http://rest.test", "ws://stream.test")
    asked = json.loads(signing.subscribe_message(["BTC-USD"], 1))
    assert asked["channels"] == ["full", "heartbeat"]
    assert asked["timestamp"] == "1700000000"
    assert signing.numbered
    # The one it was made of has no key yet.
    assert not plain.numbered
    assert "signature" not in json.loads(plain.subscribe_message(["BTC-USD"], 1))


def test_connections_are_retired_only_where_sequences_tell_two_apart() -> None:
    signing = VENUE.signing(CoinbaseKey("0123456789abcdef", "pass", "c2VjcmV0"), lambda: 0)
    assert VENUE.connection_s == float("inf")
    assert 0 < signing.connection_s < 24 * 3600


def test_a_feed_stays_within_the_limits_of_the_exchange() -> None:
    # "8 connection requests per second per IP", "messages sent by the client every second, by IP: 100"
    assert 1 <= VENUE.connects_per_hour <= 8 * 3600
    assert 1 <= VENUE.messages_per_s <= 100
    # "10 requests per second" by IP
    assert VENUE.request_weight_per_minute == 10 * 60
    # It has no pings of its own.
    assert VENUE.heartbeat is None
    assert VENUE.heartbeat_s == 5.0


# REST


def test_requests_and_what_they_count() -> None:
    assert VENUE.depth_path("BTC-USD", 3) == "/products/BTC-USD/book?level=3"
    assert VENUE.exchange_info_paths == ("/products",)
    assert VENUE.ping_path == "/time"
    assert VENUE.ping_weight == VENUE.exchange_info_weight == VENUE.depth_weight(3) == 1
    assert VENUE.used_weight({"X": "1"}) is None
    assert VENUE.snapshot_limits == (3,)
    assert VENUE.stream_url == "wss://ws-feed.exchange.coinbase.com"
    assert VENUE.messages_per_s == 10


def test_a_book_by_order_reads_as_documented() -> None:
    body: dict[str, Any] = {
        "bids": [["295.96", "4.39088265", ID]],
        "asks": [["295.97", "25.23542881", OTHER]],
        "sequence": 3,
        "auction_mode": False,
        "auction": None,
        "time": TIME,
    }
    snapshot = VENUE.parse_snapshot(json.dumps(body).encode(), 3)
    assert snapshot == OrderSnapshot(3, body["bids"], body["asks"], TIME)
    assert snapshot.bids_complete
    assert snapshot.asks_complete
    older = VENUE.parse_snapshot(json.dumps({"bids": [], "asks": [], "sequence": "3"}).encode(), 3)
    assert older == OrderSnapshot(3, [], [], "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"bids":[],"asks":{},"sequence":1}',
        b'{"bids":[],"asks":[],"sequence":"x"}',
        b'{"bids":[],"asks":[],"sequence":-1}',
        b'{"bids":[],"asks":[],"sequence":1.5}',
    ],
)
def test_a_body_that_is_no_book_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        VENUE.parse_snapshot(body, 3)


def test_the_book_of_an_auction_is_not_begun_from() -> None:
    with pytest.raises(VenueUnavailable, match="auction"):
        VENUE.parse_snapshot(b'{"bids":[],"asks":[],"sequence":1,"auction_mode":true}', 3)


def test_products_are_listed_with_their_decimals() -> None:
    entry = {"id": "SKL-BTC", "base_currency": "SKL", "quote_currency": "BTC", "status": "online"}
    steps = {"base_increment": "0.1", "quote_increment": "0.00000001"}
    other = {**entry, "id": "A-B", "status": "delisted", "base_increment": "1", "quote_increment": "0.010"}
    broken = {**entry, "id": "C-D", "trading_disabled": True, **steps}
    info = VENUE.parse_exchange_info(json.dumps([{**entry, **steps}, other, broken]).encode())
    listed = info.symbols["SKL-BTC"]
    assert (listed.status, listed.base_precision, listed.quote_precision) == ("TRADING", 1, 8)
    assert (listed.base_asset, listed.quote_asset) == ("SKL", "BTC")
    assert (info.symbols["A-B"].status, info.symbols["A-B"].quote_precision) == ("DELISTED", 2)
    assert info.symbols["C-D"].status == "BREAK"
    assert info.request_weight_per_minute == 600


@pytest.mark.parametrize("body", [b"", b"{}}", b'[{"id":1}]', b'["x"]', b'[{"id":"X"}]'])
def test_a_list_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        VENUE.parse_exchange_info(body)


def test_error_answers() -> None:
    def refusal(status: int, body: bytes = b"", after: str | None = None) -> Any:
        headers = {} if after is None else {"Retry-After": after}
        return VENUE.refusal(status, headers, body, url="U", now_ms=0)

    assert refusal(200) is None
    missing = refusal(404, b'{"message":"NotFound"}')
    assert isinstance(missing, Refused)
    assert (missing.code, missing.text) == (404, "NotFound")
    assert missing.code in VENUE.unknown_symbol
    assert refusal(400, b'{"message":"unexpected level: 4"}').text == "unexpected level: 4"
    assert refusal(403, b"<html>").text == "<html>"
    assert isinstance(refusal(503), VenueUnavailable)
    assert isinstance(refusal(302), MalformedAnswer)
    for limited, pause_ms in (
        (refusal(429), 1000),
        (refusal(429, after="5"), 5000),
        (refusal(429, after="999999999"), 600_000),
        (refusal(429, after="soon"), 1000),
    ):
        assert isinstance(limited, RateLimited)
        assert limited.retry_after_ms == pause_ms


@pytest.mark.parametrize(
    "urls", [("ftp://x", "wss://x"), ("https://x", "https://x"), ("https://x?y", "ws://x")]
)
def test_urls_that_are_none_are_refused(urls: tuple[str, str]) -> None:
    with pytest.raises(SettingsError):
        Coinbase(*urls)


# Captured


@pytest.mark.skipif(not CAPTURE.is_dir(), reason="the captured data is not beside the checkout")
def test_ten_captured_products_are_never_crossed() -> None:
    books: dict[str, Book] = {}
    updates = 0
    with gzip.open(CAPTURE / "cf_20210417_ws_level2.txt.gz", "rb") as lines:
        for line in lines:
            stamp, _, frame = line.rstrip().partition(b": ")
            if not frame.startswith(b"{") or stamp == b"configuration":
                continue
            event = VENUE.parse_frame(frame)
            if isinstance(event, LevelSnapshot):
                books[event.symbol] = Book.of(event.snapshot)
            elif isinstance(event, Diff):
                books[event.symbol].apply(event)
                updates += 1
                assert not books[event.symbol].crossed
    assert len(books) == 10
    assert updates == 9719
    for book in books.values():
        book.check()


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({}, "TRADING"),
        ({"post_only": True, "limit_only": True}, "TRADING"),
        ({"trading_disabled": True, "cancel_only": True}, "BREAK"),
        ({"cancel_only": True}, "CANCEL_ONLY"),
        ({"auction_mode": True}, "AUCTION"),
        ({"status": "delisted", "cancel_only": True}, "DELISTED"),
    ],
)
def test_a_product_stands_still_where_a_flag_says_so(flags: dict[str, Any], status: str) -> None:
    entry = {"id": "A-B", "base_currency": "A", "quote_currency": "B", "status": "online"}
    steps = {"base_increment": "0.01", "quote_increment": "0.1"}
    info = VENUE.parse_exchange_info(json.dumps([{**entry, **steps, **flags}]).encode())
    assert info.symbols["A-B"].status == status
