"""The matching engine of one product: price-time priority, and a numbered message for every step.

The life of an order (docs.cdp.coinbase.com, *exchange websocket channels*):

* *"The received message … indicates that the order has been accepted by the matching engine for processing"*;
* what crosses trades with the best resting orders, the oldest first: *match*, and *done* for who is filled;
* *"The order is now open on the order book"*: *open*, for a limit order of which something is left;
* *done*: *"The order is no longer on the order book"*, also for those that never were;
* *change*: self-trade prevention or a modification took or gave size, or moved it;
* *activate*: a stop is armed; it is *received* when a trade reaches its price.

Self-trade prevention, where both orders are of one trader: ``dc`` (the default) *"decrease and cancel"*: the
smaller one is cancelled and the other one decreased by it, both where they are equal; ``co``, ``cn`` and
``cb`` cancel the oldest, the newest or both. No trade happens.

Numbers are integers: prices in ticks, sizes in units, funds in ticks times units. What happened goes to
``tell`` as the documented members without the sequence, which whoever listens gives it; what the book became
is kept in :attr:`Engine.sides` and told to ``note`` before the message that says so. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from sortedcontainers import SortedDict

from simulator.coinbase.products import Product

BUY: Final = "buy"
SELL: Final = "sell"

Side = Literal["buy", "sell"]
SelfTrade = Literal["dc", "co", "cn", "cb"]
TimeInForce = Literal["GTC", "IOC"]

TIME_IN_FORCE: Final = "101:Time In Force"
SELF_TRADE: Final = "102:Self Trade Prevention"
BY_USER: Final = "103:User Cancel"


@dataclass(slots=True)
class Order:
    """One order. ``price`` is ``None`` for a market order; that has a ``size``, or ``funds`` instead."""

    id: str
    trader: int
    side: Side
    size: int
    price: int | None = None
    funds: int | None = None
    self_trade: SelfTrade = "dc"
    time_in_force: TimeInForce = "GTC"
    stop_price: int | None = None


Effect = tuple[Literal["put", "size", "drop"], str, Side, int, int]
"""What became of the book: an order got the last place at a price, has another size, or is gone.

(what, order id, side, price, size)
"""


class Engine:
    """One product's book. ``tell`` hears each message, ``note`` each effect."""

    def __init__(
        self,
        product: Product,
        tell: Callable[[dict[str, Any]], None],
        note: Callable[[Effect], None],
    ) -> None:
        self.product = product
        self.orders: dict[str, Order] = {}
        """Those that rest."""
        self.sides: dict[Side, SortedDict] = {BUY: SortedDict(), SELL: SortedDict()}
        """Price -> the orders there, the oldest first."""
        self.stops: dict[str, Order] = {}
        self.trades = 0
        self.last_price: int | None = None
        self._tell = tell
        self._note = note

    # What traders do

    def submit(self, order: Order) -> None:
        """An order arrives. Stops that its trades reach follow it."""
        if order.stop_price is not None:
            self.stops[order.id] = order
            self._say(
                "activate",
                order_id=order.id,
                stop_type="entry" if order.side == BUY else "loss",
                side=order.side,
                stop_price=self.product.price(order.stop_price),
                size=self.product.size(order.size),
            )
            return
        self._process(order)
        while reached := self._reached():
            del self.stops[reached.id]
            self._process(reached)

    def cancel(self, order_id: str) -> bool:
        """A trader cancels an order; whether it was there."""
        if order_id in self.stops:
            order = self.stops.pop(order_id)
            self._done(order, "canceled", BY_USER)
            return True
        resting = self.orders.get(order_id)
        if resting is None:
            return False
        self._drop(resting)
        self._done(resting, "canceled", BY_USER)
        return True

    def modify(self, order_id: str, *, size: int, price: int) -> bool:
        """A trader modifies an order, unless it would then trade; whether it did.

        *"Modify Order Requests that amend size down will retain queue priority"*; all others lose it.
        """
        order = self.orders.get(order_id)
        if order is None or size <= 0 or self._crosses(order.side, price):
            return False
        assert order.price is not None
        product, old_size, old_price = self.product, order.size, order.price
        if price == old_price and size <= old_size:
            self._resize(order, size)
        else:
            self._drop(order)
            order.size, order.price = size, price
            self._rest(order)
        self._say(
            "change",
            reason="modify_order",
            order_id=order.id,
            side=order.side,
            old_size=product.size(old_size),
            new_size=product.size(size),
            old_price=product.price(old_price),
            new_price=product.price(price),
        )
        return True

    def best(self, side: Side) -> int | None:
        """The best price of a side."""
        levels = self.sides[side]
        if not levels:
            return None
        price: int = levels.peekitem(-1 if side == BUY else 0)[0]
        return price

    # One order

    def _process(self, order: Order) -> None:
        product = self.product
        amount = (
            {"size": product.size(order.size)}
            if order.funds is None
            else {"funds": product.funds(order.funds)}
        )
        if order.price is None:
            self._say("received", order_id=order.id, **amount, side=order.side, order_type="market")
        else:
            self._say(
                "received",
                order_id=order.id,
                **amount,
                price=product.price(order.price),
                side=order.side,
                order_type="limit",
            )
        stopped = self._trade(order)
        if stopped:
            return
        if order.price is None:
            self._done(order, "filled" if order.funds is not None or not order.size else "canceled")
        elif not order.size:
            self._done(order, "filled")
        elif order.time_in_force == "IOC":
            self._done(order, "canceled", TIME_IN_FORCE)
        else:
            self._rest(order)
            self._say(
                "open",
                order_id=order.id,
                price=product.price(order.price),
                remaining_size=product.size(order.size),
                side=order.side,
            )

    def _trade(self, taker: Order) -> bool:
        """Trade with what rests on the other side; whether self-trade prevention ended the order."""
        other: Side = SELL if taker.side == BUY else BUY
        while (price := self.best(other)) is not None and self._reaches(taker, price):
            maker: Order = self.sides[other][price][0]
            wanted = taker.size if taker.funds is None else taker.funds // price
            if not wanted:
                return False
            if maker.trader == taker.trader:
                if self._prevent(taker, maker, wanted, price):
                    return True
                continue
            self._match(taker, maker, min(wanted, maker.size), price)
        return False

    def _reaches(self, taker: Order, price: int) -> bool:
        if taker.price is None:
            return True
        return price <= taker.price if taker.side == BUY else price >= taker.price

    def _crosses(self, side: Side, price: int) -> bool:
        best = self.best(SELL if side == BUY else BUY)
        return best is not None and (price >= best if side == BUY else price <= best)

    def _match(self, taker: Order, maker: Order, size: int, price: int) -> None:
        self.trades += 1
        self.last_price = price
        self._take(taker, size, price)
        if size == maker.size:
            self._drop(maker)
        else:
            self._resize(maker, maker.size - size)
        self._say(
            "match",
            trade_id=self.trades,
            maker_order_id=maker.id,
            taker_order_id=taker.id,
            side=maker.side,
            size=self.product.size(size),
            price=self.product.price(price),
        )
        if maker.id not in self.orders:
            maker.size = 0
            self._done(maker, "filled")

    @staticmethod
    def _take(taker: Order, size: int, price: int) -> None:
        if taker.funds is None:
            taker.size -= size
        else:
            taker.funds -= size * price

    def _prevent(self, taker: Order, maker: Order, wanted: int, price: int) -> bool:
        """Two orders of one trader meet; whether that is the end of the taker."""
        mode = taker.self_trade
        if mode == "cn":
            self._done(taker, "canceled", SELF_TRADE)
            return True
        if mode == "dc" and maker.size > wanted:
            self._decrease(maker, maker.size - wanted, price)
            self._done(taker, "canceled", SELF_TRADE)
            return True
        ends = mode == "cb" or (mode == "dc" and maker.size == wanted)
        if mode == "dc" and not ends:
            self._decrease_taker(taker, maker.size, price)
        self._drop(maker)
        self._done(maker, "canceled", SELF_TRADE)
        if ends:
            self._done(taker, "canceled", SELF_TRADE)
        return ends

    def _decrease(self, maker: Order, size: int, price: int) -> None:
        old = maker.size
        self._resize(maker, size)
        self._say_change(maker, old, size, price)

    def _decrease_taker(self, taker: Order, by: int, price: int) -> None:
        if taker.funds is not None:
            old = taker.funds
            taker.funds -= by * price
            self._say(
                "change",
                reason="STP",
                order_id=taker.id,
                side=taker.side,
                old_funds=self.product.funds(old),
                new_funds=self.product.funds(taker.funds),
                price=None,
            )
            return
        taker.size -= by
        self._say_change(taker, taker.size + by, taker.size, taker.price)

    def _say_change(self, order: Order, old: int, new: int, price: int | None) -> None:
        self._say(
            "change",
            reason="STP",
            order_id=order.id,
            side=order.side,
            old_size=self.product.size(old),
            new_size=self.product.size(new),
            price=None if price is None else self.product.price(price),
        )

    def _done(self, order: Order, reason: str, cancel_reason: str | None = None) -> None:
        members: dict[str, Any] = {"order_id": order.id, "reason": reason, "side": order.side}
        if order.price is not None:
            members["price"] = self.product.price(order.price)
            members["remaining_size"] = self.product.size(order.size)
        if cancel_reason is not None:
            members["cancel_reason"] = cancel_reason
        self._say("done", **members)

    def _reached(self) -> Order | None:
        """A stop whose price a trade has reached."""
        last = self.last_price
        if last is None:
            return None
        for order in self.stops.values():
            assert order.stop_price is not None
            if last >= order.stop_price if order.side == BUY else last <= order.stop_price:
                return order
        return None

    # The book

    def _rest(self, order: Order) -> None:
        assert order.price is not None
        self.orders[order.id] = order
        self.sides[order.side].setdefault(order.price, []).append(order)
        self._note(("put", order.id, order.side, order.price, order.size))

    def _resize(self, order: Order, size: int) -> None:
        assert order.price is not None
        order.size = size
        self._note(("size", order.id, order.side, order.price, size))

    def _drop(self, order: Order) -> None:
        assert order.price is not None
        del self.orders[order.id]
        levels = self.sides[order.side]
        queue: list[Order] = levels[order.price]
        queue.remove(order)
        if not queue:
            del levels[order.price]
        self._note(("drop", order.id, order.side, order.price, 0))

    def _say(self, kind: str, **members: Any) -> None:
        self._tell({"type": kind, **members})

    def check(self) -> None:
        """Raise AssertionError where the book is crossed or an order is not where it belongs. O(orders)."""
        bid, ask = self.best(BUY), self.best(SELL)
        assert bid is None or ask is None or bid < ask, f"crossed: {bid} and {ask}"
        resting = [order for levels in self.sides.values() for queue in levels.values() for order in queue]
        assert len(resting) == len(self.orders), "an order rests twice or nowhere"
        assert all(order.size > 0 for order in resting), "an order of nothing rests"
