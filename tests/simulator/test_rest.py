"""The REST scheme, row by row of what Binance documents and what was seen of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from simulator.answer import Answer
from simulator.faults import Kind
from simulator.market import Profile, listing_of
from simulator.rest import Rest
from simulator.truth import BID

SYMBOL_RANGE = r"^[\w\-._&&[^a-z]]{1,50}$"


class Client:
    """Asks an exchange's REST side."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.rest = Rest(bench.exchange)

    def get(self, target: str, *, method: str = "GET", address: str = "::1", **headers: str) -> Answer:
        path, _, query = target.partition("?")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.rest.answer(method, path, query, headers=named, address=address)

    def depth(self, query: str, **headers: str) -> Answer:
        return self.get(f"/api/v3/depth?{query}", **headers)


@pytest.fixture
def client(bench: Any) -> Client:
    return Client(bench)


def error(answer: Answer) -> tuple[int, int, str]:
    body = json.loads(answer.body)
    assert list(body) == ["code", "msg"]
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    return answer.status, body["code"], body["msg"]


def test_depth_answers_the_true_book_in_binances_bytes(client: Client) -> None:
    client.bench.tick(5)
    journal = client.bench.exchange.instruments["ETHUSDT"].journal
    answer = client.depth("symbol=ETHUSDT&limit=7")
    assert answer.status == 200
    assert answer.body == client.bench.exchange.truth.body("ETHUSDT", journal.update_id, 7)
    body = json.loads(answer.body)
    assert list(body) == ["lastUpdateId", "bids", "asks"]
    assert len(body["bids"]) == len(body["asks"]) == 7
    assert answer.body == json.dumps(body, separators=(",", ":")).encode()
    assert b"." in answer.body
    assert all(len(price.partition(".")[2]) == 8 for price, _ in body["bids"])
    assert all(
        len(p.partition(".")[2]) == 4 for p, _ in json.loads(client.depth("symbol=XLMUSD").body)["asks"]
    )


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ("", 100),
        ("&limit=1", 1),
        ("&limit=7", 7),
        ("&limit=007", 7),
        ("&limit=5000", 5000),
        ("&limit=5001", 5000),
    ],
)
def test_depth_shows_100_levels_unless_asked_for_others_and_never_more_than_5000(
    make_bench: Callable[..., Any], query: str, levels: int
) -> None:
    client = Client(make_bench(symbols=()))
    client.bench.exchange.add_market(listing_of("ETHUSDT"), Profile(bids=5200, asks=5200))
    body = json.loads(client.depth(f"symbol=ETHUSDT{query}").body)
    assert (len(body["bids"]), len(body["asks"])) == (levels, levels)


def test_an_empty_side_is_an_empty_array(make_bench: Callable[..., Any]) -> None:
    client = Client(make_bench(symbols=()))
    client.bench.exchange.add_market(listing_of("ETHUSDT"), Profile(bids=0, asks=0))
    assert client.depth("symbol=ETHUSDT").body.endswith(b',"bids":[],"asks":[]}')


@pytest.mark.parametrize(
    ("query", "code", "msg"),
    [
        ("", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("limit=5", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("foo=1", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("symbol=", -1105, "Parameter 'symbol' was empty."),
        ("symbol=NOSUCH", -1121, "Invalid symbol."),
        *(
            (
                f"symbol={s}",
                -1100,
                f"Illegal characters found in parameter 'symbol'; legal range is '{SYMBOL_RANGE}'.",
            )
            for s in ("ethusdt", "ETH%20USDT", "ETH+USDT", "ETH/USDT", "A" * 51, "ETHUSDT%FF")
        ),
        *(
            (
                f"symbol=ETHUSDT&limit={limit}",
                -1100,
                "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
            )
            for limit in ("-5", "abc", "1.5", "1" * 21, "+5", "%EF%BC%95")
        ),
        ("symbol=ETHUSDT&limit=", -1105, "Parameter 'limit' was empty."),
        ("symbol=ETHUSDT&limit=2147483648", -1108, "Parameter 'limit' overflowed."),
        ("symbol=ETHUSDT&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
        ("symbol=ETHUSDT&symbol=ETHUSDT", -1101, "Duplicate values for parameter 'symbol'."),
        ("limit=1&limit=2", -1101, "Duplicate values for parameter 'limit'."),
        ("symbol=X&limit=1&a=1&b=2", -1101, "Too many parameters; expected '3' and received '4'."),
        (
            "symbol=ETHUSDT&depth=5",
            -1104,
            "Not all sent parameters were read; read '1' parameter(s) but was sent '2'.",
        ),
        (
            "symbol=NOSUCH&depth=5",
            -1104,
            "Not all sent parameters were read; read '1' parameter(s) but was sent '2'.",
        ),
        ("symbol=ETHUSDT&symbolStatus=FOO", -1122, "Invalid symbolStatus."),
        ("symbol=ETHUSDT&symbolStatus=CANCEL_ONLY", -1122, "Invalid symbolStatus."),
        ("symbol=ETHUSDT&symbolStatus=", -1105, "Parameter 'symbolStatus' was empty."),
        (
            "symbol=ETHUSDT&symbolStatus=HALT",
            -1220,
            "The symbol's status does not match the requested symbolStatus.",
        ),
    ],
)
def test_a_wrong_depth_request_is_refused_in_binances_words(
    client: Client, query: str, code: int, msg: str
) -> None:
    assert error(client.depth(query)) == (400, code, msg)


def test_a_halted_symbol_answers_its_standing_book_and_its_status_can_be_asked_for(client: Client) -> None:
    exchange = client.bench.exchange
    client.bench.tick(3)
    exchange.set_status("ETHUSDT", "HALT")
    before = client.depth("symbol=ETHUSDT").body
    client.bench.tick(3)
    assert client.depth("symbol=ETHUSDT&symbolStatus=HALT").body == before
    assert error(client.depth("symbol=ETHUSDT&symbolStatus=TRADING"))[1] == -1220
    with pytest.raises(ValueError, match="is not a status"):
        exchange.set_status("ETHUSDT", "ASLEEP")


def test_a_symbol_that_is_not_ascii_is_found_by_its_utf8(make_bench: Callable[..., Any]) -> None:
    client = Client(make_bench(symbols=("币安人生USDT",)))
    assert client.depth("symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=5").status == 200
    info = client.get("/api/v3/exchangeInfo").body.decode()
    assert '"symbol":"币安人生USDT"' in info


def test_ping_and_time_answer_and_take_no_parameters(client: Client) -> None:
    assert client.get("/api/v3/ping").body == b"{}"
    now = client.bench.clock.wall_ms()
    assert client.get("/api/v3/time").body == b'{"serverTime":%d}' % now
    assert client.get("/api/v3/time", x_mbx_time_unit="MICROSECOND").body == b'{"serverTime":%d000}' % now
    for path in ("ping", "time"):
        assert error(client.get(f"/api/v3/{path}?a=1")) == (
            400,
            -1101,
            "Too many parameters; expected '0' and received '1'.",
        )


@pytest.mark.parametrize("path", ["/api/v3/time", "/api/v3/depth?symbol=ETHUSDT", "/api/v3/exchangeInfo"])
def test_a_time_unit_that_is_none_is_refused(client: Client, path: str) -> None:
    refused = error(client.get(path, x_mbx_time_unit="HOUR"))
    assert refused == (400, -1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")


def test_an_unknown_path_is_404_with_a_page_for_browsers_only(client: Client) -> None:
    for path in ("/api/v1/depth", "/", "/api/v3/depth/"):
        answer = client.get(path, accept="application/json")
        assert (answer.status, answer.body) == (404, b"")
        page = client.get(path, accept="text/html,*/*")
        assert (page.status, page.body) == (404, b"<html><body><h2>404 Not found</h2></body></html>")


def test_other_methods_than_get_head_and_options_are_refused(client: Client) -> None:
    assert client.get("/api/v3/depth?symbol=ETHUSDT", method="POST").status == 405
    assert client.get("/api/v3/depth", method="OPTIONS").status == 200
    assert client.get("/api/v3/depth?symbol=ETHUSDT", method="HEAD").status == 200


# Weight


def test_every_answer_reports_the_used_weight_and_refusals_cost_too(client: Client) -> None:
    costs = [
        ("/api/v3/ping", 1),
        ("/api/v3/time", 1),
        ("/api/v3/exchangeInfo", 20),
        ("/api/v3/depth?symbol=ETHUSDT", 5),
        ("/api/v3/depth?symbol=ETHUSDT&limit=100", 5),
        ("/api/v3/depth?symbol=ETHUSDT&limit=101", 25),
        ("/api/v3/depth?symbol=ETHUSDT&limit=500", 25),
        ("/api/v3/depth?symbol=ETHUSDT&limit=501", 50),
        ("/api/v3/depth?symbol=ETHUSDT&limit=1001", 250),
        ("/api/v3/depth?symbol=ETHUSDT&limit=9999", 250),
        ("/api/v3/depth?symbol=NOSUCH&limit=1000", 50),
    ]
    total = 0
    for target, cost in costs:
        total += cost
        headers = client.get(target).headers
        assert headers["x-mbx-used-weight-1m"] == headers["x-mbx-used-weight"] == str(total), target
    assert client.get("/api/v3/ping", address="::2").headers["x-mbx-used-weight-1m"] == "1"


def test_over_the_limit_a_request_gets_429_with_retry_after_and_then_418(client: Client) -> None:
    client.bench.exchange.weights.limit = 500
    client.bench.exchange.weights.ban_after = 2
    statuses = [client.depth("symbol=ETHUSDT&limit=5000") for _ in range(5)]
    assert [answer.status for answer in statuses] == [200, 200, 429, 418, 418]
    assert 0 < int(statuses[2].headers["Retry-After"]) <= 60
    assert statuses[3].headers["Retry-After"] == "120"
    assert [json.loads(answer.body)["code"] for answer in statuses[2:]] == [-1003] * 3


# exchangeInfo


def info(client: Client, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/api/v3/exchangeInfo?{query}")
    assert answer.status == 200
    body: dict[str, Any] = json.loads(answer.body)
    return body


def names(body: dict[str, Any]) -> list[str]:
    return [entry["symbol"] for entry in body["symbols"]]


def test_exchange_info_tells_limits_and_symbols_with_their_precisions(client: Client) -> None:
    body = info(client)
    assert list(body) == ["timezone", "serverTime", "rateLimits", "exchangeFilters", "symbols"]
    assert {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000} in (
        body["rateLimits"]
    )
    assert names(body) == ["ETHUSDT", "BTCUSDT", "XLMUSD"]
    entries = {entry["symbol"]: entry for entry in body["symbols"]}
    assert entries["ETHUSDT"]["quoteAssetPrecision"] == entries["ETHUSDT"]["baseAssetPrecision"] == 8
    assert entries["XLMUSD"]["quotePrecision"] == entries["XLMUSD"]["quoteAssetPrecision"] == 4
    assert entries["ETHUSDT"]["permissionSets"] == [["SPOT"]]
    price_filter = entries["ETHUSDT"]["filters"][0]
    assert (price_filter["filterType"], price_filter["tickSize"]) == ("PRICE_FILTER", "0.01000000")


def test_exchange_info_can_be_narrowed(client: Client) -> None:
    exchange = client.bench.exchange
    exchange.set_status("BTCUSDT", "BREAK")
    exchange.instruments["XLMUSD"].listing.permissions = ("TRD_GRP_004",)
    assert names(info(client)) == ["ETHUSDT", "BTCUSDT"]
    assert names(info(client, "symbol=XLMUSD")) == ["XLMUSD"]
    assert names(info(client, "symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D")) == ["BTCUSDT", "ETHUSDT"]
    assert names(info(client, "permissions=TRD_GRP_004")) == ["XLMUSD"]
    assert names(info(client, "permissions=%5B%22TRD_GRP_004%22%2C%22SPOT%22%5D")) == [
        "ETHUSDT",
        "BTCUSDT",
        "XLMUSD",
    ]
    assert names(info(client, "symbolStatus=BREAK")) == ["BTCUSDT"]
    assert info(client, "showPermissionSets=false")["symbols"][0]["permissionSets"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=NOSUCH", -1121),
        ("symbol=ethusdt", -1100),
        ("symbols=[%22ETHUSDT%22,%22NOSUCH%22]", -1121),
        ("symbols=[%22ETHUSDT%22,%22ETHUSDT%22]", -1151),
        ("symbols=ETHUSDT", -1100),
        ("symbols=[%22eth%22]", -1100),
        ("symbols=", -1105),
        ("symbol=ETHUSDT&permissions=SPOT", -1128),
        ("symbols=[%22ETHUSDT%22]&symbolStatus=TRADING", -1128),
        ("symbol=ETHUSDT&symbols=[%22ETHUSDT%22]", -1128),
        ("permissions=", -1105),
        ("permissions=[1]", -1130),
        ("permissions=[", -1130),
        ("showPermissionSets=maybe", -1130),
        ("symbolStatus=FOO", -1122),
        ("nothing=1", -1104),
    ],
)
def test_a_wrong_exchange_info_request_is_refused(client: Client, query: str, code: int) -> None:
    assert error(client.get(f"/api/v3/exchangeInfo?{query}"))[:2] == (400, code)


# Faults


def test_a_stale_snapshot_is_the_true_book_of_some_ids_ago(client: Client) -> None:
    exchange = client.bench.exchange
    client.bench.tick(20)
    present = exchange.instruments["ETHUSDT"].journal.update_id
    exchange.faults.inject("stale_snapshot", symbol="ETHUSDT", ids=25)
    assert json.loads(client.depth("symbol=BTCUSDT").body)["lastUpdateId"] != present
    stale = client.depth("symbol=ETHUSDT&limit=50").body
    assert json.loads(stale)["lastUpdateId"] == present - 25
    assert stale == exchange.truth.body("ETHUSDT", present - 25, 50)
    assert json.loads(client.depth("symbol=ETHUSDT").body)["lastUpdateId"] == present
    assert exchange.faults.counts == {Kind.STALE_SNAPSHOT: 1}


def test_a_slow_snapshot_is_told_to_wait(client: Client) -> None:
    client.bench.exchange.faults.inject("slow_snapshot", delay_s=0.5)
    assert [client.depth("symbol=ETHUSDT").delay_s for _ in range(2)] == [0.5, 0.0]


@pytest.mark.parametrize(
    ("form", "status"),
    [("500", 500), ("503", 503), ("html", 502), ("truncated", 200), ("cut", 200), ("hang", 200)],
)
def test_a_failed_snapshot_fails_in_the_form_asked_for(client: Client, form: str, status: int) -> None:
    whole = client.depth("symbol=ETHUSDT").body
    client.bench.exchange.faults.inject("failed_snapshot", form=form)
    answer = client.depth("symbol=ETHUSDT")
    assert answer.status == status
    assert (answer.fate, answer.body == whole) == {
        "cut": ("cut", True),
        "hang": ("never", True),
    }.get(form, ("whole", False))
    if form in ("html", "truncated"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer.body)
    assert client.depth("symbol=ETHUSDT").body == whole


def test_a_snapshot_after_a_rebase_has_a_lower_id_and_the_same_book(client: Client) -> None:
    client.bench.tick(5)
    before = json.loads(client.depth("symbol=ETHUSDT").body)
    assert client.bench.exchange.faults.inject("rebase", symbol="ETHUSDT", ids=30) == 1
    after = json.loads(client.depth("symbol=ETHUSDT").body)
    assert after["lastUpdateId"] == before["lastUpdateId"] - 30
    assert (after["bids"], after["asks"]) == (before["bids"], before["asks"])
    best = client.bench.exchange.instruments["ETHUSDT"].journal.head.best(BID)
    assert best is not None


# bookTicker


def ticker_of(client: Client, symbol: str) -> dict[str, str]:
    (bid,), (ask,) = (
        json.loads(client.depth(f"symbol={symbol}&limit=1").body)[side] for side in ("bids", "asks")
    )
    return {"symbol": symbol, "bidPrice": bid[0], "bidQty": bid[1], "askPrice": ask[0], "askQty": ask[1]}


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("symbol=ETHUSDT", "ETHUSDT"),
        ("symbol=ETHUSDT&symbolStatus=TRADING", "ETHUSDT"),
        ('symbols=["XLMUSD","ETHUSDT"]', ["XLMUSD", "ETHUSDT"]),
        ("symbols=%5B%22ETHUSDT%22%5D", ["ETHUSDT"]),
        ("symbols=[]", []),
        ("", ["ETHUSDT", "BTCUSDT", "XLMUSD"]),
        ("symbolStatus=TRADING", ["ETHUSDT", "XLMUSD"]),
        ('symbols=["ETHUSDT","BTCUSDT"]&symbolStatus=HALT', ["BTCUSDT"]),
    ],
)
def test_book_ticker_is_the_top_of_the_book(client: Client, query: str, symbols: Any) -> None:
    client.bench.exchange.set_status("BTCUSDT", "HALT")
    client.bench.tick(3)
    answer = client.get(f"/api/v3/ticker/bookTicker?{query}")
    one = isinstance(symbols, str)
    expected = ticker_of(client, symbols) if one else [ticker_of(client, symbol) for symbol in symbols]
    assert (answer.status, json.loads(answer.body)) == (200, expected)
    assert answer.body == json.dumps(expected, separators=(",", ":")).encode()
    assert int(answer.headers["x-mbx-used-weight-1m"]) == (2 if one else 4)


def test_a_side_without_orders_is_zeros_in_book_ticker(make_bench: Callable[..., Any]) -> None:
    client = Client(make_bench(symbols=()))
    client.bench.exchange.add_market(listing_of("XLMUSD"), Profile(bids=0, asks=3))
    found = json.loads(client.get("/api/v3/ticker/bookTicker?symbol=XLMUSD").body)
    assert (found["bidPrice"], found["bidQty"]) == ("0.0000", "0.00000000")
    assert float(found["askPrice"]) > 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=NOSUCH", -1121),
        ('symbols=["ETHUSDT","NOSUCH"]', -1121),
        ("symbol=eth", -1100),
        ('symbols=["ETHUSDT", "BTCUSDT"]', -1100),
        ("symbols=", -1105),
        ('symbol=ETHUSDT&symbols=["BTCUSDT"]', -1128),
        ('symbols=["ETHUSDT","ETHUSDT"]', -1151),
        ("symbol=ETHUSDT&symbolStatus=BREAK", -1220),
        ("symbolStatus=FOO", -1122),
        ("limit=5", -1104),
        ("a=1&b=2&c=3&d=4", -1101),
        ("symbol=A&symbol=B", -1101),
    ],
)
def test_book_ticker_refuses(client: Client, query: str, code: int) -> None:
    assert error(client.get(f"/api/v3/ticker/bookTicker?{query}"))[:2] == (400, code)
