"""Ways to keep a book and to render its files, all given the same diffs and asked for the same bytes."""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

import orjson
from sortedcontainers import SortedDict

from depthcast.book import Book
from depthcast.events import Diff, Level, Snapshot


class Contender(Protocol):
    """One symbol's book, kept somehow."""

    def apply(self, diff: Diff) -> None: ...
    def bodies(self, limits: Sequence[int]) -> list[bytes]: ...


class Depthcast:
    """This project's Book."""

    def __init__(self, snapshot: Snapshot) -> None:
        book = Book.of(snapshot)
        self.apply = book.apply
        self.bodies = book.bodies


class SortedDicts:
    """The usual recipe: a SortedDict a side, price as float -> [price, quantity]; orjson."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._update_id = snapshot.update_id
        self._bids = SortedDict((-float(level[0]), level) for level in snapshot.bids)
        self._asks = SortedDict((float(level[0]), level) for level in snapshot.asks)

    def apply(self, diff: Diff) -> None:
        bids, asks = self._bids, self._asks
        for level in diff.bids:
            if float(level[1]):
                bids[-float(level[0])] = level
            else:
                bids.pop(-float(level[0]), None)
        for level in diff.asks:
            if float(level[1]):
                asks[float(level[0])] = level
            else:
                asks.pop(float(level[0]), None)
        self._update_id = diff.last

    def bodies(self, limits: Sequence[int]) -> list[bytes]:
        bids, asks = self._bids.values(), self._asks.values()
        return [_body(self._update_id, list(bids[:limit]), list(asks[:limit])) for limit in limits]


class TwoLists:
    """The best usual recipe: two parallel lists a side, kept in order by bisect; orjson."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._update_id = snapshot.update_id
        self._bid_keys = [-float(level[0]) for level in snapshot.bids]
        self._bids = list(snapshot.bids)
        self._ask_keys = [float(level[0]) for level in snapshot.asks]
        self._asks = list(snapshot.asks)

    def apply(self, diff: Diff) -> None:
        for keys, levels, sign, changes in (
            (self._bid_keys, self._bids, -1, diff.bids),
            (self._ask_keys, self._asks, 1, diff.asks),
        ):
            for level in changes:
                key = sign * float(level[0])
                at = bisect_left(keys, key)
                known = at < len(keys) and keys[at] == key
                if not float(level[1]):
                    if known:
                        del keys[at], levels[at]
                elif known:
                    levels[at] = level
                else:
                    keys.insert(at, key)
                    levels.insert(at, level)
        self._update_id = diff.last

    def bodies(self, limits: Sequence[int]) -> list[bytes]:
        return [_body(self._update_id, self._bids[:limit], self._asks[:limit]) for limit in limits]


class OrderBookC:
    """``order-book`` from PyPI: sorted dictionaries written in C, exact decimals."""

    def __init__(self, snapshot: Snapshot) -> None:
        from order_book import OrderBook

        self._book = OrderBook()
        self._update_id = snapshot.update_id
        self._take(snapshot.bids, snapshot.asks)

    def _take(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        for side, levels in ((self._book.bids, bids), (self._book.asks, asks)):
            for price, quantity in levels:
                key, amount = Decimal(price), Decimal(quantity)
                if amount:
                    side[key] = amount
                elif key in side:
                    del side[key]

    def apply(self, diff: Diff) -> None:
        self._take(diff.bids, diff.asks)
        self._update_id = diff.last

    def bodies(self, limits: Sequence[int]) -> list[bytes]:
        bids, asks = (
            [[str(price), f"{quantity:f}"] for price, quantity in side.to_list()[: max(limits)]]
            for side in (self._book.bids, self._book.asks)
        )
        return [_body(self._update_id, bids[:limit], asks[:limit]) for limit in limits]


class Nautilus:
    """``nautilus_trader``: an order book written in Rust."""

    def __init__(self, snapshot: Snapshot) -> None:
        from nautilus_trader.model import data, enums, identifiers, objects
        from nautilus_trader.model.book import OrderBook

        self._types: Any = (data, objects)
        self._actions = enums.BookAction
        self._sides = (enums.OrderSide.BUY, enums.OrderSide.SELL)
        self._instrument = identifiers.InstrumentId.from_str("ETHUSDT.BINANCE")
        self._book = OrderBook(self._instrument, enums.BookType.L2_MBP)
        self._update_id = snapshot.update_id
        self._take(snapshot.update_id, snapshot.bids, snapshot.asks)

    def _take(self, update_id: int, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        data, objects = self._types
        deltas = []
        for side, levels in zip(self._sides, (bids, asks), strict=True):
            for price, quantity in levels:
                size = objects.Quantity.from_str(quantity)
                action = self._actions.UPDATE if float(quantity) else self._actions.DELETE
                order = data.BookOrder(side, objects.Price.from_str(price), size, 0)
                deltas.append(data.OrderBookDelta(self._instrument, action, order, 0, update_id, 0, 0))
        self._book.apply_deltas(data.OrderBookDeltas(self._instrument, deltas))

    def apply(self, diff: Diff) -> None:
        self._take(diff.last, diff.bids, diff.asks)
        self._update_id = diff.last

    def bodies(self, limits: Sequence[int]) -> list[bytes]:
        bids, asks = (
            [[str(level.price), f"{level.size():.8f}"] for level in side[: max(limits)]]
            for side in (self._book.bids(), self._book.asks())
        )
        return [_body(self._update_id, bids[:limit], asks[:limit]) for limit in limits]


def _body(update_id: int, bids: Sequence[Level], asks: Sequence[Level]) -> bytes:
    return orjson.dumps({"lastUpdateId": update_id, "bids": bids, "asks": asks})
