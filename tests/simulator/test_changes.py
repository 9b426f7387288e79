"""Changes of what the exchange says about itself."""

import json
from typing import Any

import pytest

from simulator.accounts import Account
from simulator.changes import Changes
from simulator.oracle import Oracle
from simulator.rest import Rest


def get(bench: Any, path: str) -> Any:
    answer = Rest(bench.exchange).answer("GET", path, "", headers={}, address="::1")
    assert answer.status == 200
    return json.loads(answer.body)


def symbols(bench: Any) -> dict[str, Any]:
    return {each["symbol"]: each for each in get(bench, "/api/v3/exchangeInfo")["symbols"]}


def order(bench: Any, *orders: Any) -> tuple[int, Any]:
    body = json.dumps(orders[0] if len(orders) == 1 else list(orders)).encode()
    answer = Oracle(bench.exchange, bench.changes).answer("POST", "/sim/metadata", "", body)
    return answer.status, json.loads(answer.body)


@pytest.fixture
def changing(bench: Any) -> Any:
    bench.exchange.accounts.add(Account.of("K" * 64 + "\nsecret"))
    bench.changes = Changes(bench.exchange)
    return bench


def test_symbols_come_go_and_change_their_names(changing: Any) -> None:
    assert order(changing, {"change": "list", "symbol": "NEWUSDT"}) == (200, {"total": 1})
    order(
        changing,
        {"change": "rename", "symbol": "ETHUSDT", "to": "ETH2USDT"},
        {"change": "delist", "symbol": "XLMUSD"},
    )
    assert set(symbols(changing)) == {"BTCUSDT", "NEWUSDT", "ETH2USDT"}
    changing.tick(5)
    order(changing, {"change": "list", "symbol": "XLMUSD"})
    changing.tick(5)
    assert changing.exchange.instruments["XLMUSD"].journal.generation == 1


def test_a_halt_and_maintenance_stop_the_market(changing: Any) -> None:
    def ids() -> dict[str, int]:
        return {name: each.journal.update_id for name, each in changing.exchange.instruments.items()}

    order(changing, {"change": "status", "symbol": "ETHUSDT", "status": "HALT"})
    before = ids()
    changing.tick(20)
    assert symbols(changing)["ETHUSDT"]["status"] == "HALT"
    assert {name for name, now in ids().items() if now == before[name]} == {"ETHUSDT"}
    assert get(changing, "/sapi/v1/system/status") == {"status": 0, "msg": "normal"}
    order(changing, {"change": "maintenance", "on": True})
    before = ids()
    changing.tick(20)
    assert ids() == before
    assert get(changing, "/sapi/v1/system/status") == {"status": 1, "msg": "system_maintenance"}


def test_filters_fees_and_balances_change_member_by_member(changing: Any) -> None:
    order(
        changing,
        {"change": "filter", "symbol": "ETHUSDT", "filter": "PRICE_FILTER", "set": {"tickSize": "0.05"}},
    )
    filters = {each["filterType"]: each for each in symbols(changing)["ETHUSDT"]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.05"
    assert filters["PRICE_FILTER"]["minPrice"] != "0.05"
    order(changing, {"change": "fee", "fee": "maker", "rate": 0.002})
    order(changing, {"change": "balance", "asset": "ETH", "free": "1.5", "locked": "0"})
    account = changing.exchange.accounts.of_key(None).info(omit_zero_balances=False)
    assert (account["makerCommission"], account["commissionRates"]["maker"]) == (20, "0.00200000")
    assert {"asset": "ETH", "free": "1.50000000", "locked": "0.00000000"} in account["balances"]
    assert account["updateTime"] == changing.clock.wall_ms()


@pytest.mark.parametrize(
    ("form", "status", "begins"),
    [
        ("page", 200, b"<html>"),
        ("html", 502, b"<html>"),
        ("500", 500, b'{"code":-1000'),
        ("truncated", 200, b'{"timezone"'),
        ("shrunk", 200, b'{"timezone"'),
    ],
)
def test_the_next_answers_at_a_path_may_be_damaged(
    changing: Any, form: str, status: int, begins: bytes
) -> None:
    path = "/api/v3/exchangeInfo"
    order(changing, {"change": "spoil", "path": path, "form": form, "count": 2})
    rest = Rest(changing.exchange)
    answers = [rest.answer("GET", path, "", headers={}, address="::1") for _ in range(3)]
    assert [answer.status for answer in answers] == [status, status, 200]
    assert answers[0].body.startswith(begins)
    assert len(symbols(changing)) == 3
    if form == "shrunk":
        assert json.loads(answers[0].body)["symbols"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"change": "explode"},
        {"symbol": "ETHUSDT"},
        {"change": "list"},
        {"change": "list", "symbol": "ETHUSDT"},
        {"change": "list", "symbol": "eth"},
        {"change": "delist", "symbol": "NOSUCH"},
        {"change": "rename", "symbol": "NOSUCH", "to": "OTHER"},
        {"change": "rename", "symbol": "ETHUSDT", "to": "BTCUSDT"},
        {"change": "status", "symbol": "ETHUSDT", "status": "ASLEEP"},
        {"change": "status", "symbol": "ETHUSDT", "status": "HALT", "why": "?"},
        {"change": "filter", "symbol": "NOSUCH", "filter": "LOT_SIZE", "set": {}},
        {"change": "filter", "symbol": "ETHUSDT", "filter": "LOT_SIZE", "set": {"tickSize": "1"}},
        {"change": "fee", "fee": "tip", "rate": "1"},
        {"change": "fee", "fee": "maker", "rate": "1", "key": "nobody's"},
        {"change": "spoil", "path": "/api/v3/account", "form": "ugly"},
        {"change": "spoil", "path": "/api/v3/account", "form": "page", "count": 0},
        7,
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(changing: Any, wrong: Any) -> None:
    before = get(changing, "/api/v3/exchangeInfo")
    status, answer = order(changing, wrong)
    assert status == 400
    assert answer["error"]
    assert get(changing, "/api/v3/exchangeInfo") == before
    assert changing.changes.count == 0


def test_what_was_changed_is_remembered_with_its_time(changing: Any) -> None:
    orders = [{"change": "list", "symbol": "AUSDT"}, {"change": "delist", "symbol": "AUSDT"}]
    order(changing, orders[0])
    changing.tick(3)
    order(changing, orders[1])
    answer = Oracle(changing.exchange, changing.changes).answer("GET", "/sim/metadata", "since=1", b"")
    body = json.loads(answer.body)
    assert body["total"] == 2
    assert body["happened"] == [{"at_ms": changing.clock.wall_ms(), "order": orders[1]}]
