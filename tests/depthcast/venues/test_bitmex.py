"""BitMEX's words: each frame, body and error as documented and as recorded, and damaged."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthcast.errors import (
    MalformedAnswer,
    MalformedFrame,
    RateLimited,
    Refused,
    SettingsError,
    VenueUnavailable,
)
from depthcast.events import LevelSnapshot, TopLevels
from depthcast.orders.messages import time_ms
from depthcast.rows import Action, RowBook, RowsChanged, RowSnapshot
from depthcast.unsequenced import BITS_OF_MS, StreamSync
from depthcast.venues import OLDEST, Ack, Ignored, RequestFailed, StreamAck, Welcome
from depthcast.venues.bitmex import L2_25, BitMEX

VENUE = BitMEX()
CAPTURE = Path(__file__).resolve().parents[4] / "shared/data/bitmex/cf_20210417_ws.txt.gz"

UPDATE = {
    "table": "orderBookL2",
    "action": "update",
    "data": [
        {
            "symbol": "XBTUSD",
            "id": 62400580205,
            "side": "Sell",
            "size": 33000,
            "price": 98459.9,
            "timestamp": "2024-11-22T07:00:00.181Z",
            "transactTime": "2024-11-22T07:00:00.100Z",
        }
    ],
}
TIME_MS = 1_732_258_800_181


def frame(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def changed(**row: Any) -> Any:
    return {**UPDATE, "data": [{**UPDATE["data"][0], **row}]}  # type: ignore[dict-item]


def test_a_message_is_rows_of_one_symbol_that_changed() -> None:
    assert VENUE.parse_frame(frame(UPDATE)) == RowsChanged(
        "XBTUSD",
        TIME_MS,
        TIME_MS,
        TIME_MS,
        Action.UPDATE,
        [(62400580205, False, 33000, "98459.9", "2024-11-22T07:00:00.100Z")],
    )


@pytest.mark.parametrize("price", ["98459.90", "8e-7", "1E-8", "100000", "0.0001267"])
def test_a_price_is_the_text_that_was_sent(price: str) -> None:
    text = frame(UPDATE).replace(b"98459.9", price.encode())
    event = VENUE.parse_frame(text.decode())
    assert isinstance(event, RowsChanged)
    assert event.rows[0][3] == price


def test_rows_of_several_times_tell_the_first_and_the_last_and_how_many_are_of_that() -> None:
    (row,) = UPDATE["data"]
    assert isinstance(row, dict)
    times = ["2024-11-22T07:00:00.181Z", "2024-11-22T07:00:00.182Z", "2024-11-22T07:00:00.182Z"]
    data = [{**row, "id": number, "timestamp": time} for number, time in enumerate(times)]
    event = VENUE.parse_frame(frame({**UPDATE, "data": data}))
    assert isinstance(event, RowsChanged)
    assert (event.first, event.last, event.at_last, event.pieces) == (TIME_MS, TIME_MS + 1, 2, 3)


def test_a_partial_is_a_whole_book_even_an_empty_one() -> None:
    partial = {
        "table": "orderBookL2",
        "action": "partial",
        "keys": ["symbol", "id", "side"],
        "types": {"id": "long", "price": "float"},
        "filter": {"symbol": "XBTUSD"},
        "data": UPDATE["data"],
    }
    event = VENUE.parse_frame(frame(partial))
    assert isinstance(event, LevelSnapshot)
    assert (event.symbol, event.snapshot.update_id, event.snapshot.complete) == ("XBTUSD", TIME_MS, True)
    assert [row[3] for row in event.snapshot.rows] == ["98459.9"]
    late = BitMEX(wall_ms=lambda: 77)
    empty = late.parse_frame(frame({**partial, "data": []}))
    assert empty == LevelSnapshot("XBTUSD", RowSnapshot("XBTUSD", 77, [], 77))


def test_rows_without_times_are_dated_when_they_come() -> None:
    venue = BitMEX(wall_ms=lambda: 77)
    row = {"symbol": "LTCUSD", "id": 40699968720, "side": "Buy"}
    event = venue.parse_frame(frame({"table": "orderBookL2", "action": "delete", "data": [row]}))
    assert event == RowsChanged(
        "LTCUSD", 77, 77, 77, Action.DELETE, [(40699968720, True, None, None, "")], at_last=1
    )


def test_the_ten_best_levels_are_a_second_view_of_the_book() -> None:
    row = {
        "symbol": "XBTUSD",
        "bids": [[98459.5, 100], [98459, 5]],
        "timestamp": "2024-11-22T07:00:00.181Z",
        "asks": [[98459.9, 33000]],
    }
    for action in ("partial", "update"):
        event = VENUE.parse_frame(frame({"table": "orderBook10", "action": action, "data": [row]}))
        assert event == TopLevels("XBTUSD", TIME_MS, [(98459.5, 100), (98459.0, 5)], [(98459.9, 33000)], 10)
    gone = VENUE.parse_frame(frame({"table": "orderBook10", "action": "delete", "data": [row]}))
    assert gone == Ignored("orderBook10")


def test_the_best_25_may_be_followed_instead() -> None:
    venue = BitMEX(table=L2_25)
    assert '"orderBookL2_25:XBTUSD"' in venue.subscribe_message(["XBTUSD"], 1)
    event = venue.parse_frame(frame({**UPDATE, "table": L2_25, "action": "partial"}))
    assert isinstance(event, LevelSnapshot)
    assert not event.snapshot.complete
    assert venue.parse_frame(frame(UPDATE)) == Ignored("orderBookL2")
    with pytest.raises(ValueError, match="trade"):
        BitMEX(table="trade")


def test_each_topic_is_answered_for_itself() -> None:
    request = {"op": "subscribe", "args": ["orderBookL2:XBTUSD", "orderBook10:XBTUSD"]}
    said = [
        VENUE.parse_frame(frame({"success": True, "subscribe": topic, "request": request}))
        for topic in request["args"]
    ]
    assert said == [StreamAck("XBTUSD"), Ignored("subscribe")]
    request["op"] = "unsubscribe"
    said = [
        VENUE.parse_frame(frame({"success": True, "unsubscribe": topic, "request": request}))
        for topic in request["args"]
    ]
    assert said == [Ignored("unsubscribe"), Ack(OLDEST)]


def test_what_else_is_said_is_known_by_its_members() -> None:
    refused = {"status": 400, "error": "Unknown or expired symbol.", "meta": {}, "request": {}}
    assert VENUE.parse_frame(frame(refused)) == RequestFailed(OLDEST, 400, "Unknown or expired symbol.")
    assert VENUE.parse_frame(b"pong") == Ignored("pong")
    welcome = '{"info":"Welcome to the BitMEX Realtime API."%s}'
    assert VENUE.parse_frame(welcome % ',"limit":{"remaining":39}') == Welcome(39)
    for silent in (
        "",
        ',"limit":{}',
        ',"limit":39',
        ',"limit":{"remaining":-1}',
        ',"limit":{"remaining":true}',
    ):
        assert VENUE.parse_frame(welcome % silent) == Ignored("info")
    assert VENUE.parse_frame('{"table":"trade","action":"insert","data":[]}') == Ignored("trade")


DAMAGED: list[Any] = [
    changed(id="1"),
    changed(id=None),
    changed(id=True),
    changed(id=1.5),
    changed(side="buy"),
    changed(side=[]),
    changed(size="5"),
    changed(size=1.5),
    changed(size=True),
    changed(price="98459.9"),
    changed(price=[1]),
    changed(price=True),
    changed(symbol=7),
    changed(timestamp="soon"),
    changed(timestamp=5),
    changed(transactTime=5),
    {**UPDATE, "action": "upsert"},
    {**UPDATE, "action": None},
    {**UPDATE, "data": {}},
    {**UPDATE, "data": [None]},
    {**UPDATE, "data": []},
    {**UPDATE, "data": UPDATE["data"] + [{**UPDATE["data"][0], "symbol": "ETHUSD"}]},  # type: ignore[operator, dict-item]
    {**UPDATE, "price": 5},
    {"table": 7},
    {"table": "orderBook10", "action": "update", "data": [{"symbol": "X", "bids": [], "asks": [[1]]}]},
    {"table": "orderBook10", "action": "update", "data": [{"symbol": "X", "bids": [["1", 2]], "asks": []}]},
    {"success": True},
    {"success": True, "unsubscribe": "orderBookL2:X"},
    {},
    [],
    None,
    0,
    "",
]


@pytest.mark.parametrize("message", DAMAGED)
def test_a_damaged_frame_is_told_to_be_one(message: Any) -> None:
    with pytest.raises(MalformedFrame):
        VENUE.parse_frame(frame(message))


def test_a_damaged_frame_tells_whose_it_is_where_it_does() -> None:
    with pytest.raises(MalformedFrame) as error:
        VENUE.parse_frame(frame(changed(id="1")))
    assert error.value.symbol == "XBTUSD"
    for text in (b"", b"\xff\xfe", frame(UPDATE)[:-3]):
        with pytest.raises(MalformedFrame):
            VENUE.parse_frame(text)


def test_requests_are_counted_and_snapshots_are_whole() -> None:
    assert (VENUE.ping_path, VENUE.exchange_info_paths) == ("/api/v1", ("/api/v1/instrument/active",))
    weights = VENUE.ping_weight, VENUE.exchange_info_weight, VENUE.depth_weight(0)
    assert (weights, VENUE.request_weight_per_minute) == ((1, 1, 1), 30)
    assert tuple(VENUE.snapshot_limits) == (0,)
    assert set(VENUE.unknown_symbol) == {400}
    assert (VENUE.messages_per_s, VENUE.numbered, VENUE.stream_name("XBTUSD")) == (1, False, "XBTUSD")
    asked = json.loads(VENUE.unsubscribe_message(["XBTUSD"], 1))
    assert asked == {"op": "unsubscribe", "args": ["orderBookL2:XBTUSD", "orderBook10:XBTUSD"]}
    dated = VENUE.dated(lambda: 5)
    assert (dated.wall_ms(), dated) == (5, VENUE)


def test_urls_paths_and_limits_are_as_documented() -> None:
    assert VENUE.stream_url == "wss://ws.bitmex.com/realtime"
    assert VENUE.depth_path("XBT_USDT", 25) == "/api/v1/orderBook/L2?symbol=XBT_USDT&depth=25"
    assert (VENUE.heartbeat, VENUE.heartbeat_s, VENUE.connects_per_hour) == ("ping", 5.0, 60)
    assert VENUE.connection_s == float("inf")
    with pytest.raises(SettingsError):
        BitMEX(rest_url="ftp://x")


def test_a_rest_book_is_rows_with_an_id_made_of_its_time() -> None:
    snapshot = VENUE.parse_snapshot(frame(UPDATE["data"]), 0)
    assert snapshot.update_id == TIME_MS << BITS_OF_MS
    assert (snapshot.symbol, snapshot.complete) == ("XBTUSD", True)
    assert not VENUE.parse_snapshot(frame(UPDATE["data"]), 25).complete
    for body in (b"", b"[]", b"{}", b"[1]", frame([{"symbol": "X"}])):
        with pytest.raises(MalformedAnswer):
            VENUE.parse_snapshot(body, 0)


def test_answers_that_refuse_say_what_they_mean() -> None:
    def refusal(status: int, body: bytes = b"", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return VENUE.refusal(status, named, body, url="u", now_ms=0)

    assert refusal(200) is None
    limited = refusal(429, Retry_After="7")
    assert isinstance(limited, RateLimited)
    assert (limited.retry_after_ms, limited.banned) == (7000, False)
    assert refusal(429).retry_after_ms == 5000
    assert refusal(403).banned
    text = b'{"error":{"message":"\'symbol\' is a required arg.","name":"HTTPError"}}'
    refused = refusal(400, text)
    assert isinstance(refused, Refused)
    assert "'symbol' is a required arg." in str(refused)
    assert isinstance(refusal(503, b"no JSON"), VenueUnavailable)
    assert isinstance(refusal(302), MalformedAnswer)


def test_used_requests_are_those_that_do_not_remain() -> None:
    assert VENUE.used_weight({"X-RateLimit-Limit": "30", "x-ratelimit-remaining": "28"}) == 2
    assert VENUE.used_weight({"X-RateLimit-Limit": "30"}) is None
    assert VENUE.used_weight({"X-RateLimit-Limit": "x", "X-RateLimit-Remaining": "1"}) is None


def test_instruments_are_symbols() -> None:
    listed = [
        {"symbol": "XBTUSD", "state": "Open", "underlying": "XBT", "quoteCurrency": "USD", "tickSize": 0.5},
        {"symbol": "ADAM21", "state": "Settled", "tickSize": 1e-8},
        {"symbol": "NEW", "state": "Open", "tickSize": 1},
    ]
    info = VENUE.parse_exchange_info(frame(listed))
    assert [(each.symbol, each.status, each.quote_precision) for each in info.symbols.values()] == [
        ("XBTUSD", "TRADING", 1),
        ("ADAM21", "SETTLED", 8),
        ("NEW", "TRADING", 0),
    ]
    assert info.request_weight_per_minute == 30
    for body in (b"", b"{}x", b"[1]", b'[{"symbol":"X"}]', b"5"):
        with pytest.raises(MalformedAnswer):
            VENUE.parse_exchange_info(body)


# Recorded messages


def recorded() -> Iterator[tuple[float, str]]:
    with gzip.open(CAPTURE, "rt") as lines:
        for line in lines:
            time, separator, text = line.rstrip("\n").partition(": ")
            if separator and text.startswith("{") and "<-" not in time:
                yield float(time), text


@pytest.mark.skipif(not CAPTURE.exists(), reason="the recorded messages are not beside the checkout")
def test_recorded_books_are_never_contradicted_never_cross_and_have_the_quotes_at_their_tops() -> None:
    now = [0.0]
    venue = BitMEX(wall_ms=lambda: int(1000 * now[0]))
    syncs: dict[str, StreamSync] = {}
    events: dict[str, int] = defaultdict(int)
    tops: dict[str, list[Any]] = defaultdict(list)
    quotes: list[tuple[str, list[Any]]] = []
    begun_ms: dict[str, float] = {}
    for at, text in recorded():
        now[0] = at
        message = json.loads(text)
        if message.get("table") == "quote":
            for row in message["data"]:
                # One from before the book began, told behind it, is of a book that nobody recorded.
                symbol = row["symbol"]
                if time_ms(row["timestamp"]) > begun_ms.get(symbol, float("inf")):
                    quotes += [(symbol, _quoted(row))]
            continue
        event = venue.parse_frame(text)
        if not isinstance(event, LevelSnapshot | RowsChanged):
            continue
        symbol = event.symbol
        begun_ms.setdefault(symbol, 1000 * at)
        sync = syncs.setdefault(symbol, StreamSync(symbol, bits=BITS_OF_MS, book_of=RowBook.of))
        verdict = sync.diff(event)
        events[verdict.value] += 1
        book: Any = sync.book if sync.pending is None else sync.pending
        assert isinstance(book, RowBook)
        assert book.fault is None
        assert verdict.value in ("buffered", "applied"), (symbol, text)
        if sync.ready:
            sync.begin()
        bids, asks = book.top(1)
        tops[symbol].append([*bids, *asks])
    assert len(syncs) == 10
    assert sum(events.values()) == 10 + 713 + 421 + 718
    for sync in syncs.values():
        sync.check()
    # The two tables are sent apart: a quote is the top of the book before it, at it, or behind it.
    assert len(quotes) > 400
    assert [quote for quote in quotes if quote[1] not in tops[quote[0]]] == []


def _quoted(row: dict[str, Any]) -> list[Any]:
    return [(float(row["bidPrice"]), row["bidSize"]), (float(row["askPrice"]), row["askSize"])]
