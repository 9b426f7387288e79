"""The obvious book by order: a dictionary of orders, sorted whenever somebody reads. It shares no code."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import count, groupby


class NaiveOrders:
    """Orders by their id: ``[buy, price, size, arrival]``; what a message means by its documentation."""

    def __init__(self) -> None:
        self.orders: dict[str, list[object]] = {}
        self._arrivals: Iterator[int] = count()

    def open(self, order_id: str, buy: bool, price: str, size: str) -> None:
        self.orders[order_id] = [buy, Decimal(price), Decimal(size), next(self._arrivals)]

    def match(self, order_id: str, size: str) -> None:
        order = self.orders[order_id]
        order[2] -= Decimal(size)  # type: ignore[operator]
        if not order[2]:
            del self.orders[order_id]

    def change(self, order_id: str, size: str, price: str | None) -> None:
        order = self.orders.get(order_id)
        if order is None:
            return
        moved = price is not None and Decimal(price) != order[1]
        if moved or Decimal(size) > order[2]:  # type: ignore[operator]
            order[3] = next(self._arrivals)
        if price is not None:
            order[1] = Decimal(price)
        order[2] = Decimal(size)
        if not order[2]:
            del self.orders[order_id]

    def done(self, order_id: str) -> None:
        self.orders.pop(order_id, None)

    def by_order(self, buy: bool) -> list[tuple[Decimal, Decimal, str]]:
        """A side's orders in price-time priority."""
        rows = [
            (each[1], each[3], each[2], order_id) for order_id, each in self.orders.items() if each[0] is buy
        ]
        rows.sort(key=lambda row: (-row[0] if buy else row[0], row[1]))  # type: ignore[operator]
        return [(row[0], row[2], row[3]) for row in rows]  # type: ignore[misc]

    def by_price(self, buy: bool) -> list[tuple[Decimal, Decimal, int]]:
        """A side's levels, best first: price, size, number of orders."""
        made = []
        for price, rows in groupby(self.by_order(buy), key=lambda row: row[0]):
            sizes = [size for _, size, _ in rows]
            made.append((price, sum(sizes, Decimal()), len(sizes)))
        return made

    def crossed(self) -> bool:
        bids, asks = self.by_order(True), self.by_order(False)
        return bool(bids and asks) and bids[0][0] >= asks[0][0]
