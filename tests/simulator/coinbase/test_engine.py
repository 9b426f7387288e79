"""The matching engine, by the messages that the documents describe."""

from random import Random
from typing import Any

import pytest

from simulator.coinbase.engine import BUY, SELL, Effect, Engine, Order, Side
from simulator.coinbase.products import Product
from simulator.coinbase.traders import Habits, Traders


class Floor:
    """An engine, what it said, and what became of its book."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.effects: list[Effect] = []
        self.engine = Engine(Product("X-Y", 2, 0), self.said.append, self.effects.append)

    def place(self, name: str, side: Side, size: int, price: int | None, **more: Any) -> list[str]:
        """The kinds of what was said."""
        self.said.clear()
        trader = more.pop("trader", sum(name.encode()))
        self.engine.submit(Order(name, trader, side, size, price, **more))
        self.engine.check()
        return [each["type"] for each in self.said]

    def book(self, side: Side) -> list[tuple[int, str, int]]:
        levels = self.engine.sides[side]
        return [(price, order.id, order.size) for price, queue in levels.items() for order in queue]


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_an_order_that_crosses_nothing_opens(floor: Floor) -> None:
    assert floor.place("a", BUY, 5, 1000) == ["received", "open"]
    opened = {"order_id": "a", "price": "10.00", "remaining_size": "5", "side": "buy"}
    assert floor.said[1] == {"type": "open", **opened}
    assert floor.effects == [("put", "a", "buy", 1000, 5)]


def test_the_oldest_order_of_the_best_price_trades_first(floor: Floor) -> None:
    for name, price in (("late", 1001), ("first", 1000), ("second", 1000)):
        floor.place(name, SELL, 5, price)
    assert floor.place("taker", BUY, 7, 1000) == ["received", "match", "done", "match", "done"]
    matches = [each for each in floor.said if each["type"] == "match"]
    assert [(each["maker_order_id"], each["size"], each["side"]) for each in matches] == [
        ("first", "5", "sell"),
        ("second", "2", "sell"),
    ]
    assert floor.said[-1]["remaining_size"] == "0"
    assert floor.book(SELL) == [(1000, "second", 3), (1001, "late", 5)]


def test_what_is_left_of_a_limit_order_opens_or_is_cancelled_at_once(floor: Floor) -> None:
    floor.place("a", SELL, 5, 1000)
    kinds = floor.place("ioc", BUY, 8, 1000, time_in_force="IOC")
    assert kinds == ["received", "match", "done", "done"]
    assert floor.said[-1]["cancel_reason"] == "101:Time In Force"
    assert floor.said[-1]["remaining_size"] == "3"
    floor.place("b", SELL, 5, 1000)
    assert floor.place("gtc", BUY, 8, 1000)[-1] == "open"
    assert floor.book(BUY) == [(1000, "gtc", 3)]


def test_market_orders_by_size_and_by_funds_never_rest(floor: Floor) -> None:
    floor.place("a", SELL, 5, 1000)
    floor.place("size", BUY, 2, None)
    assert "price" not in floor.said[-1]
    floor.place("funds", BUY, 0, None, funds=2500)
    assert floor.said[0]["funds"] == "25"
    assert floor.book(SELL) == [(1000, "a", 1)]
    assert floor.place("more", BUY, 9, None)[-1] == "done"
    assert floor.said[-1]["reason"] == "canceled"
    assert floor.book(BUY) == []


@pytest.mark.parametrize(
    ("mode", "resting", "taking", "kinds", "left"),
    [
        ("dc", 5, 3, ["received", "change", "done"], [(1000, "m", 2)]),
        ("dc", 3, 5, ["received", "change", "done", "open"], []),
        ("dc", 3, 3, ["received", "done", "done"], []),
        ("co", 5, 3, ["received", "done", "open"], []),
        ("cn", 5, 3, ["received", "done"], [(1000, "m", 5)]),
        ("cb", 5, 3, ["received", "done", "done"], []),
    ],
)
def test_nobody_trades_with_himself(
    floor: Floor, mode: Any, resting: int, taking: int, kinds: list[str], left: list[Any]
) -> None:
    floor.place("m", SELL, resting, 1000, trader=1)
    assert floor.place("t", BUY, taking, 1000, trader=1, self_trade=mode) == kinds
    assert floor.book(SELL) == left
    assert floor.engine.trades == 0


def test_a_market_order_by_funds_loses_funds_to_self_trade_prevention(floor: Floor) -> None:
    floor.place("m", SELL, 2, 1000, trader=1)
    floor.place("other", SELL, 2, 1000, trader=2)
    floor.place("t", BUY, 0, None, funds=3000, trader=1)
    change = next(each for each in floor.said if each["type"] == "change")
    assert (change["old_funds"], change["new_funds"], change["price"]) == ("30", "10", None)
    assert floor.book(SELL) == [(1000, "other", 1)]


def test_modifying_keeps_the_place_only_where_size_goes_down(floor: Floor) -> None:
    for name in ("a", "b", "c"):
        floor.place(name, BUY, 5, 1000)
    assert floor.engine.modify("a", size=2, price=1000)
    assert floor.said[-1]["reason"] == "modify_order"
    assert [name for _, name, _ in floor.book(BUY)] == ["a", "b", "c"]
    assert floor.engine.modify("a", size=9, price=1000)
    assert [name for _, name, _ in floor.book(BUY)] == ["b", "c", "a"]
    assert floor.engine.modify("b", size=5, price=999)
    assert floor.book(BUY)[0] == (999, "b", 5)
    floor.place("s", SELL, 5, 1001)
    assert not floor.engine.modify("a", size=9, price=1001)
    assert not floor.engine.modify("nobody", size=1, price=1)


def test_cancelling(floor: Floor) -> None:
    floor.place("a", BUY, 5, 1000)
    assert floor.engine.cancel("a")
    assert floor.said[-1]["cancel_reason"] == "103:User Cancel"
    assert floor.effects[-1] == ("drop", "a", "buy", 1000, 0)
    assert not floor.engine.cancel("a")


def test_a_stop_waits_for_its_price(floor: Floor) -> None:
    assert floor.place("stop", BUY, 1, None, stop_price=1001) == ["activate"]
    assert floor.place("gone", SELL, 1, None, stop_price=1) == ["activate"]
    assert floor.engine.cancel("gone")
    floor.place("a", SELL, 1, 1000)
    floor.place("b", SELL, 5, 1001)
    floor.place("taker", BUY, 1, 1000)
    assert floor.engine.stops
    kinds = floor.place("taker", BUY, 1, 1001)
    assert kinds == ["received", "match", "done", "received", "match", "done"]
    assert not floor.engine.stops
    assert floor.book(SELL) == [(1001, "b", 3)]


def test_traders_keep_a_market_going_that_has_everything_in_it(floor: Floor) -> None:
    traders = Traders(floor.engine, Habits(orders=50), Random(3))
    traders.open_market()
    assert len(floor.engine.orders) == 100
    for _ in range(5000):
        traders.act()
    floor.engine.check()
    kinds = {(each["type"], each.get("reason")) for each in floor.said}
    assert kinds == {
        ("received", None),
        ("open", None),
        ("match", None),
        ("done", "filled"),
        ("done", "canceled"),
        ("change", "STP"),
        ("change", "modify_order"),
        ("activate", None),
    }
    assert 40 < len(floor.engine.orders) < 400
