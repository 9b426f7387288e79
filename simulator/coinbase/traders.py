"""Who places, modifies and cancels orders on one product: a seeded flow.

Most orders rest near the best prices, at a distance that is about log-uniform, and most of them are
cancelled before they trade; some cross, some are market orders by size or by funds, some are to be filled at
once or not at all, some wait as stops. There are few traders, so that they meet themselves.
"""

from dataclasses import dataclass
from random import Random
from typing import Final
from uuid import UUID

from simulator.coinbase.engine import BUY, SELL, Engine, Order, SelfTrade, Side

TRADERS: Final = 8
MODES: Final[tuple[SelfTrade, ...]] = ("dc", "dc", "co", "cn", "cb")


@dataclass(frozen=True, slots=True)
class Habits:
    """``orders``: how many rest on each side, about; ``lots``: a size is up to so many of its lots."""

    orders: int = 400
    lots: int = 5000


class Traders:
    """Those of one engine. ``rng`` is their own: no other product's flow depends on it."""

    def __init__(self, engine: Engine, habits: Habits, rng: Random) -> None:
        self._engine = engine
        self._habits = habits
        self._rng = rng
        self._lot: int = 10 ** max(0, engine.product.size_digits - 4)
        # Far enough from zero that no price reaches it.
        self._anchor = 1_000_000 + rng.randrange(100_000)
        # Ids of orders that rest or rested, to choose one of; those that do not are thrown out when met.
        self._known: list[str] = []

    def open_market(self) -> None:
        """Place the first orders, none of which trades."""
        for _ in range(self._habits.orders):
            for side in (BUY, SELL):
                self._place(side, self._passive(side))

    def act(self) -> None:
        """One of them does something."""
        rng, engine = self._rng, self._engine
        roll = rng.random()
        side: Side = BUY if rng.random() < 0.5 else SELL
        # The book keeps returning to its size.
        thin = len(engine.orders) < 2 * self._habits.orders
        if roll < (0.2 if thin else 0.55):
            self._cancel()
        elif roll < 0.84:
            self._place(side, self._passive(side))
        elif roll < 0.89:
            self._modify()
        elif roll < 0.94:
            self._place(side, self._crossing(side), ioc=rng.random() < 0.3)
        elif roll < 0.97:
            self._market(side)
        elif roll < 0.975:
            self._stop(side)
        else:
            # The price wanders: the next passive orders are placed beside it.
            self._place(side, self._crossing(side))

    def _order(self, side: Side, *, size: int = 0, price: int | None = None) -> Order:
        rng = self._rng
        return Order(
            str(UUID(int=rng.getrandbits(128), version=4)),
            rng.randrange(TRADERS),
            side,
            size,
            price,
            self_trade=rng.choice(MODES),
        )

    def _size(self) -> int:
        return self._lot * (1 + int(self._rng.expovariate(8 / self._habits.lots)))

    def _passive(self, side: Side) -> int:
        away: int = int(200.0 ** self._rng.random())
        other: int = self._engine.best(SELL if side == BUY else BUY) or self._anchor
        return max(1, other - away) if side == BUY else other + away

    def _crossing(self, side: Side) -> int:
        best = self._engine.best(SELL if side == BUY else BUY) or self._anchor
        reach = self._rng.randrange(3)
        return best + reach if side == BUY else max(1, best - reach)

    def _place(self, side: Side, price: int, *, ioc: bool = False) -> None:
        order = self._order(side, size=self._size(), price=price)
        if ioc:
            order.time_in_force = "IOC"
        self._engine.submit(order)
        if order.id in self._engine.orders:
            self._known.append(order.id)

    def _market(self, side: Side) -> None:
        order = self._order(side, size=self._size())
        if self._rng.random() < 0.5:
            order.funds, order.size = order.size * self._anchor, 0
        self._engine.submit(order)

    def _stop(self, side: Side) -> None:
        last = self._engine.last_price or self._anchor
        away = 1 + int(50 ** self._rng.random())
        order = self._order(side, size=self._size())
        order.stop_price = last + away if side == BUY else max(1, last - away)
        self._engine.submit(order)
        if order.id in self._engine.stops:
            self._known.append(order.id)

    def _choose(self) -> str | None:
        known, engine = self._known, self._engine
        while known:
            at = self._rng.randrange(len(known))
            if known[at] in engine.orders or known[at] in engine.stops:
                return known[at]
            known[at] = known[-1]
            known.pop()
        return None

    def _cancel(self) -> None:
        chosen = self._choose()
        if chosen is not None:
            self._engine.cancel(chosen)

    def _modify(self) -> None:
        chosen = self._choose()
        order = self._engine.orders.get(chosen or "")
        if order is None:
            return
        assert order.price is not None
        size = max(1, int(order.size * self._rng.choice((0.5, 0.5, 1, 2))))
        price = order.price + self._rng.choice((0, 0, -1, 1, 3))
        self._engine.modify(order.id, size=size, price=max(1, price))
