"""The market beside a naive reader of its own frames: at every step, in every table."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from simulator.bitmex.instruments import Instrument, instrument_of, instruments, number
from simulator.bitmex.market import Market
from simulator.bitmex.rows import RowBook, Writer, changes
from simulator.bitmex.session import Session
from simulator.truth import TruthError
from tests.simulator.bitmex.conftest import SMALL, XBT, Bench, Table, taken

Levels = list[list[tuple[Decimal, Decimal]]]


def levels_of(rows: Any) -> Levels:
    """Bids and asks of a REST body, best first."""
    table = Table()
    table.hear(json.dumps({"table": "orderBookL2", "action": "partial", "data": []}))
    for row in rows:
        table.rows[row["symbol"], row["id"], row["side"]] = row
    return table.sides()


def parsed(body: bytes) -> Any:
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


class Watched:
    """A table beside the steps of its market: after each message, the step that it led to."""

    def __init__(self, session: Session, market: Market) -> None:
        self.market = market
        self.table = Table()
        self.step = market.step
        for text in taken(session):
            self.table.hear(text)

    def hear(self, text: str) -> bool:
        if not self.table.hear(text):
            return False
        self.step += len(json.loads(text)["data"])
        return True


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("symbol", [XBT, SMALL])
def test_rows_replayed_from_frames_are_the_truth_after_every_message(
    make_bench: Callable[..., Bench], old: bool, symbol: str
) -> None:
    bench = make_bench(old=old)
    market = bench.market(symbol)
    session = bench.session(f"subscribe=orderBookL2:{symbol}")
    watched = Watched(session, market)
    actions: set[str] = set()
    for _ in range(60):
        bench.tick()
        market.check()
        for text in taken(session):
            assert watched.hear(text)
            actions.add(json.loads(text)["action"])
            truth = parsed(market.body(watched.step, 0))
            bids, asks = watched.table.sides()
            assert [bids, asks] == levels_of(truth)
            assert bids[0][0] < asks[0][0]
            if not old:
                # Each row is the last that was told of it; a whole book is dated when it was made.
                assert {row["id"]: row for row in truth} == {
                    row["id"]: {**row, "timestamp": truth[0]["timestamp"]}
                    for row in watched.table.rows.values()
                }
                assert truth[0]["timestamp"] == json.loads(text)["data"][-1]["timestamp"]
        assert watched.step == market.step
    assert actions == {"insert", "update", "delete"}
    assert market.step > 300


def test_rows_have_the_members_of_their_layout(make_bench: Callable[..., Bench]) -> None:
    for old in (False, True):
        bench = make_bench(old=old)
        session = bench.session(f"subscribe=orderBookL2:{XBT}")
        bench.tick(20)
        seen = {
            (message["action"], tuple(row))
            for message in map(json.loads, taken(session))
            for row in message.get("data", [])
        }
        price, times = ("price",), () if old else ("timestamp", "transactTime")
        short = () if old else price
        assert seen == {
            ("partial", ("symbol", "id", "side", "size", *price, *times)),
            ("insert", ("symbol", "id", "side", "size", *price, *times)),
            ("update", ("symbol", "id", "side", "size", *short, *times)),
            ("delete", ("symbol", "id", "side", *short, *times)),
        }


def test_old_ids_tell_prices_and_new_ones_tell_nothing(make_bench: Callable[..., Bench]) -> None:
    old, new = make_bench(old=True).market(), make_bench().market()
    for row in old.book.rows():
        assert row.id == 8_800_000_000 - row.price // 5
    ids = [row.id for row in new.book.rows()]
    assert ids != sorted(ids)
    assert ids != sorted(ids, reverse=True)


def test_ids_come_again_at_other_prices(bench: Bench) -> None:
    session = bench.session(f"subscribe=orderBookL2:{XBT}")
    bench.tick(60)
    prices: dict[int, set[str]] = {}
    for text in taken(session):
        for row in json.loads(text).get("data", []):
            prices.setdefault(row["id"], set()).add(str(row["price"]))
    assert any(len(each) > 1 for each in prices.values())


def test_the_top_ten_is_that_of_the_rows_told_by_then(bench: Bench) -> None:
    session = bench.session(f"subscribe=orderBookL2:{XBT},orderBook10:{XBT}")
    table = Table()
    pushed = 0
    bench.tick(80)
    for text in taken(session):
        if table.hear(text):
            continue
        message = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        if message.get("table") != "orderBook10":
            continue
        pushed += message["action"] == "update"
        [row] = message["data"]
        bids, asks = table.sides()
        assert [list(map(tuple, row["bids"])), list(map(tuple, row["asks"]))] == [bids[:10], asks[:10]]
    assert pushed > 50


def test_the_top_25_leads_from_its_partial_to_the_rows_at_each_push(bench: Bench) -> None:
    session = bench.session(f"subscribe=orderBookL2_25:{XBT}")
    table = Table("orderBookL2_25")
    for _ in range(40):
        bench.tick()
        for text in taken(session):
            table.hear(text)
        bids, asks = levels_of(parsed(bench.market().body(bench.market().step, 25)))
        assert table.sides() == [bids, asks]


def test_a_quote_is_the_top_and_a_trade_ate_it(bench: Bench) -> None:
    session = bench.session(f"subscribe=orderBookL2:{XBT},quote:{XBT},trade:{XBT},instrument:{XBT}")
    table, told = Table(), {"quote": 0, "trade": 0, "instrument": 0}
    bench.tick(100)
    last: dict[str, Any] = {}
    for text in taken(session):
        if table.hear(text):
            continue
        message = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        if message.get("action") in (None, "partial"):
            continue
        told[message["table"]] += 1
        row = message["data"][0]
        if message["table"] == "quote":
            bids, asks = table.sides()
            assert (row["bidPrice"], row["bidSize"], row["askPrice"], row["askSize"]) == (*bids[0], *asks[0])
        elif message["table"] == "trade":
            assert row["homeNotional"] == row["size"] > 0
            last = row
        else:
            assert row["lastPrice"] == last["price"]
    assert min(told.values()) > 3


def test_messages_share_milliseconds_and_times_never_go_back(bench: Bench) -> None:
    session = bench.session(f"subscribe=orderBookL2:{XBT}")
    taken(session)
    bench.tick(60)
    rows = [json.loads(text)["data"][0] for text in taken(session)]
    published = [row["timestamp"] for row in rows]
    assert published == sorted(published)
    assert len(set(published)) < len(published) / 1.5
    assert all(row["transactTime"] <= row["timestamp"] for row in rows)
    assert any(row["transactTime"] < row["timestamp"] for row in rows)


def test_books_are_known_by_their_time(bench: Bench) -> None:
    market = bench.market()
    bench.tick(10)
    time_ms, step = market.time_ms, market.step
    assert market.body_by(time_ms, 0) == market.body(step, 0) == market.bodies_at(time_ms, 0)[0]
    bench.tick(10)
    assert market.body_by(time_ms, 0) == market.body(step, 0)
    before = market.body_by(time_ms - 1, 0)
    assert before == market.body(market.history.steps_of(time_ms)[0] - 1, 0)
    with pytest.raises(TruthError):
        market.body_by(1, 0)
    with pytest.raises(TruthError):
        market.body(market.step + 1, 0)


def test_times_may_be_set_back_with_the_same_book(bench: Bench) -> None:
    market = bench.market()
    bench.tick(10)
    time_ms, body = market.time_ms, market.body(market.step, 0)
    assert bench.exchange.rebase(XBT, 5000) == market.time_ms == time_ms - 5000
    before, after = parsed(body), parsed(market.body(market.step, 0))
    assert [{**row, "timestamp": ""} for row in after] == [{**row, "timestamp": ""} for row in before]
    assert after[0]["timestamp"] < before[0]["timestamp"]
    bench.tick(20)
    assert market.time_ms <= time_ms - 3000
    assert market.bodies_at(time_ms, 0)[0] == body
    market.check()


def test_a_market_that_is_not_open_stands_still(bench: Bench) -> None:
    session = bench.session("subscribe=instrument")
    bench.exchange.set_status(XBT, "Closed")
    step = bench.market().step
    bench.tick(20)
    assert bench.market().step == step
    assert bench.market(SMALL).step > 0
    assert any('"state":"Closed"' in text for text in taken(session)[3:])
    with pytest.raises(ValueError, match="is no state"):
        bench.exchange.set_status(XBT, "TRADING")
    with pytest.raises(ValueError, match="is listed"):
        bench.exchange.set_status("X", "Open")


def test_the_same_seed_gives_the_same_market(make_bench: Callable[..., Bench]) -> None:
    bodies = []
    for seed in (5, 5, 6):
        bench = make_bench(seed=seed)
        bench.tick(10)
        bodies.append(bench.market().body(bench.market().step, 0))
    assert bodies[0] == bodies[1] != bodies[2]


def test_numbers_are_written_as_javascript_does() -> None:
    # Number(x).toString() of a browser.
    told = {(1, 0): "1", (10, 1): "1", (15, 1): "1.5", (1, 6): "0.000001", (12, 7): "0.0000012"}
    told |= {(1, 7): "1e-7", (81, 8): "8.1e-7", (99_999, 11): "9.9999e-7", (800, 9): "8e-7"}
    assert {key: number(*key) for key in told} == told
    for units, digits in told:
        assert Decimal(number(units, digits)) == Decimal(units).scaleb(-digits)


def test_instruments_of_any_name_are_listed() -> None:
    names = [each.symbol for each in instruments(12)]
    assert len(set(names)) == 12
    assert instrument_of("XBTUSD").lot == 100
    assert len({instrument_of(name).index for name in names}) == 12
    with pytest.raises(ValueError, match="not spelled"):
        Instrument("XBT/USD")


def test_changes_tell_a_reused_id_as_two_rows(bench: Bench) -> None:
    rows = bench.market().book.rows()
    moved = [row._replace(price=row.price + 1_000_000) if row is rows[0] else row for row in rows]
    assert [action for action, _ in changes(rows, moved)] == ["delete", "insert"]
    bigger = [row._replace(size=row.size + 100) for row in rows]
    [(action, told)] = changes(rows, bigger)
    assert action == "update"
    assert all(one.id < two.id for one, two in pairwise(told))


def test_books_are_written_from_the_highest_price_down(bench: Bench) -> None:
    rows = json.loads(bench.market().body(0, 3))
    assert [row["side"] for row in rows] == ["Sell"] * 3 + ["Buy"] * 3
    assert [row["price"] for row in rows] == sorted((row["price"] for row in rows), reverse=True)
    empty = Writer(bench.market().instrument)
    assert empty.rows([]) == "[]"
    assert '"bidSize":null,"bidPrice":null' in empty.quote(RowBook(), 0)
    assert '"bids":[],"asks":[]' in empty.top(RowBook(), 0, partial=True)
