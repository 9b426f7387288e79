"""The truth and the faults, as other processes ask for them."""

import json
from typing import Any

import pytest

from simulator.oracle import Oracle


def ask(bench: Any, path: str, query: str = "", *, method: str = "GET", body: bytes = b"") -> tuple[int, Any]:
    answer = Oracle(bench.exchange).answer(method, path, query, body)
    return answer.status, json.loads(answer.body)


def order(bench: Any, content: Any) -> tuple[int, Any]:
    return ask(bench, "/sim/faults", method="POST", body=json.dumps(content).encode())


def test_the_truth_at_an_id_is_the_exact_body(bench: Any) -> None:
    bench.tick(10)
    update_id = bench.exchange.instruments["ETHUSDT"].journal.update_id - 7
    answer = Oracle(bench.exchange).answer("GET", "/sim/truth", f"symbol=ETHUSDT&id={update_id}&limit=9", b"")
    assert answer.status == 200
    assert answer.body == bench.exchange.truth.body("ETHUSDT", update_id, 9)
    assert answer.headers["X-Sim-Generations"] == "0"


def test_an_id_of_several_generations_can_be_asked_for_by_generation(bench: Any) -> None:
    bench.tick(10)
    update_id = bench.exchange.instruments["ETHUSDT"].journal.update_id - 5
    bench.exchange.rebase("ETHUSDT", 40)
    bench.tick(10)
    query = f"symbol=ETHUSDT&id={update_id}"
    newest = Oracle(bench.exchange).answer("GET", "/sim/truth", query, b"")
    oldest = Oracle(bench.exchange).answer("GET", "/sim/truth", f"{query}&generation=0", b"")
    assert newest.headers["X-Sim-Generations"] == "1,0"
    assert [newest.body, oldest.body] == bench.exchange.truth.bodies("ETHUSDT", update_id, 5000)


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("symbol=NOSUCH&id=5", 404, "no symbol 'NOSUCH'"),
        ("symbol=ETHUSDT&id=5", 404, "before its first id"),
        ("symbol=ETHUSDT&id=99999999999999", 404, "ahead of the present id"),
        ("symbol=ETHUSDT", 400, "invalid literal"),
        ("symbol=ETHUSDT&id=5&limit=0", 400, "at least 1"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(
    bench: Any, query: str, status: int, why: str
) -> None:
    got, body = ask(bench, "/sim/truth", query)
    assert got == status
    assert why in body["error"]


def test_the_state_tells_each_symbols_id_time_size_and_best_prices(bench: Any) -> None:
    bench.tick(5)
    bench.exchange.rebase("BTCUSDT", 10)
    bench.session()
    status, state = ask(bench, "/sim/state")
    assert status == 200
    assert (state["time_ms"], state["connections"]) == (bench.clock.wall_ms(), 1)
    assert set(state["symbols"]) == {"ETHUSDT", "BTCUSDT", "XLMUSD"}
    assert state["symbols"]["BTCUSDT"]["generation"] == 1
    eth = state["symbols"]["ETHUSDT"]
    top = json.loads(bench.exchange.truth.body("ETHUSDT", eth["update_id"], 1))
    assert ([eth["best_bid"]], [eth["best_ask"]]) == (
        [top["bids"][0][0]],
        [top["asks"][0][0]],
    )
    assert eth["event_time_ms"] == bench.clock.wall_ms()
    assert eth["bids"] == len(bench.exchange.truth.levels("ETHUSDT", eth["update_id"])[0])


def test_faults_are_ordered_counted_and_listed(bench: Any) -> None:
    bench.session("/ws/ethusdt@depth@100ms")
    assert order(bench, {"kind": "gap", "symbol": "ETHUSDT", "count": 2}) == (200, {"happened": 0})
    _, before = ask(bench, "/sim/faults")
    assert before["waiting"][0]["kind"] == "gap"
    bench.tick(3)
    assert order(bench, {"kind": "disconnect", "form": "abort"}) == (200, {"happened": 1})
    status, after = ask(bench, "/sim/faults")
    assert status == 200
    assert (after["total"], after["counts"], after["waiting"]) == (3, {"gap": 2, "disconnect": 1}, [])
    assert [happened["kind"] for happened in after["happened"]] == ["gap", "gap", "disconnect"]
    _, since = ask(bench, "/sim/faults", "since=2")
    assert [happened["kind"] for happened in since["happened"]] == ["disconnect"]


def test_rates_are_replaced_and_cleared(bench: Any) -> None:
    assert order(bench, {"rates": {"gap": 0.5}}) == (200, {"rates": {"gap": 0.5}})
    assert ask(bench, "/sim/faults")[1]["rates"] == {"gap": 0.5}
    assert order(bench, {"clear": True}) == (200, {"cleared": True})
    assert ask(bench, "/sim/faults")[1]["rates"] == {}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"kind": "earthquake"},
        {"kind": "gap", "power": 9},
        {"kind": "gap", "count": "many"},
        {"rates": {"gap": 2}},
        {"rates": {"earthquake": 0.1}},
        {"clear": 1},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(bench: Any, content: Any) -> None:
    status, body = order(bench, content)
    assert status == 400
    assert body["error"]


def test_other_paths_are_not_found(bench: Any) -> None:
    assert ask(bench, "/sim/else")[0] == 404
    assert ask(bench, "/sim/truth", method="POST")[0] == 404
    assert ask(bench, "/sim/faults", method="POST", body=b"{")[0] == 400
