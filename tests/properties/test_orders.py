"""``OrderBook`` against a dictionary that is sorted when it is read, through whatever a venue can say."""

import json
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from depthcast.orders import Changed, Done, Matched, Opened, OrderBook, OrderSnapshot, Passed
from depthcast.orders.anomalies import Anomaly
from tests.depthcast.orders.naive import NaiveOrders
from tests.properties.effort import LONG, examples

PRICES = ("9.98", "9.99", "9.990", "10", "10.00", "10.01", "10.02")
SIZES = ("0.00000001", "0.1", "1", "1.50", "2", "123456789.00000001")

sides = st.booleans()
prices = st.sampled_from(PRICES)
sizes = st.sampled_from(SIZES)


class Orders(RuleBasedStateMachine):
    """One book and its model. There are few prices and orders, so that they meet."""

    def __init__(self) -> None:
        super().__init__()
        self.model = NaiveOrders()
        self.book = OrderBook.of(OrderSnapshot(0, [], []))
        self.names = 0

    @initialize(rows=st.lists(st.tuples(sides, prices, sizes), max_size=8))
    def begin(self, rows: list[tuple[bool, str, str]]) -> None:
        shown: dict[bool, list[list[str]]] = {True: [], False: []}
        for number, (buy, price, size) in enumerate(rows):
            if (Decimal(price) < 10) is buy:
                shown[buy].append([price, size, f"s{number}"])
                self.model.open(f"s{number}", buy, price, size)
        self.book = OrderBook.of(OrderSnapshot(5, shown[True], shown[False]))

    @property
    def next(self) -> tuple[str, int, str]:
        return "X", self.book.update_id + 1, ""

    def some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.model.orders)))

    @rule(buy=sides, price=prices, size=sizes)
    def open(self, buy: bool, price: str, size: str) -> None:
        self.names += 1
        crossed = self.model.crossed()
        self.model.open(f"o{self.names}", buy, price, size)
        anomalies = self.book.take(Opened(*self.next, f"o{self.names}", buy, price, size))
        if not crossed:
            assert (Anomaly.CROSSED in anomalies) == self.model.crossed()

    @rule(name=st.sampled_from(("taker", "x")), size=sizes)
    def ignored(self, name: str, size: str) -> None:
        assert self.book.take(Passed(*self.next)) == ()
        assert self.book.take(Changed(*self.next, name, True, None, size, size)) == ()
        assert self.book.take(Done(*self.next, name, False, size)) == ()
        assert self.book.take(Matched(*self.next, name, True, "10", size)) == (Anomaly.UNKNOWN_MAKER,)

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data(), part=st.sampled_from((Decimal("0.25"), Decimal(1))))
    def match(self, data: st.DataObject, part: Decimal) -> None:
        name = self.some(data)
        buy, price, left, _ = self.model.orders[name]
        assert isinstance(left, Decimal)
        size = f"{left * part:f}"
        self.model.match(name, size)
        assert self.book.take(Matched(*self.next, name, buy is True, str(price), size)) == ()
        if part == 1:
            assert self.book.take(Done(*self.next, name, True, "0")) == ()

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data(), size=sizes, price=st.none() | prices)
    def change(self, data: st.DataObject, size: str, price: str | None) -> None:
        name = self.some(data)
        old = f"{self.model.orders[name][2]:f}"
        self.model.change(name, size, price)
        anomalies = self.book.take(Changed(*self.next, name, True, price, size, old))
        assert Anomaly.WRONG_SIZE not in anomalies

    @precondition(lambda self: self.model.orders)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        name = self.some(data)
        left = f"{self.model.orders[name][2]:f}"
        self.model.done(name)
        assert self.book.take(Done(*self.next, name, False, left)) == ()

    @invariant()
    def agrees(self) -> None:
        self.book.check()
        by_price, by_order = (json.loads(body) for body in self.book.bodies((2, 3)))
        for buy, name in ((True, "bids"), (False, "asks")):
            rows = [(Decimal(price), Decimal(size), count) for price, size, count in by_price[name]]
            assert rows == self.model.by_price(buy)
            orders = [(Decimal(price), Decimal(size), order) for price, size, order in by_order[name]]
            assert orders == self.model.by_order(buy)
        assert self.book.crossed == self.model.crossed()


TestOrders = Orders.TestCase
TestOrders.settings = settings(
    max_examples=examples(30), stateful_step_count=60 if LONG else 30, deadline=None
)
