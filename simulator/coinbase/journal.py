"""The book by order at every sequence of one product, within a bounded history: the oracle.

Kept plain on purpose: what became of the book (:data:`simulator.coinbase.engine.Effect`) by sequence
(:class:`simulator.history.History`), and lists that are sorted when a body is asked for.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from simulator.coinbase.engine import BUY, SELL, Effect, Side
from simulator.coinbase.products import Product
from simulator.history import History
from simulator.truth import TruthError

Resting = tuple[Side, int, int]
"""Side, price and size of an order."""


class OrderJournal:
    """One product's books from ``sequence`` on: a step is a message. At least ``history`` are remembered."""

    def __init__(
        self,
        product: Product,
        sequence: int,
        time_us: int,
        *,
        history: int = 500_000,
        resting: Mapping[str, Resting] | None = None,
    ) -> None:
        self.product = product
        self._kept = history
        # By order id, in the order in which places were given.
        self._books: History[str, Resting] = History(sequence, time_us, kept=history, entries=resting)

    @property
    def sequence(self) -> int:
        """That of the newest message."""
        return self._books.step

    def append(self, effects: Sequence[Effect], time_us: int) -> None:
        """The next sequence: what its message made of the book, if anything."""
        self._books.append([entry for effect in effects for entry in _entries(effect)], time_us)

    def successor(self, sequence: int, time_us: int) -> "OrderJournal":
        """A journal that goes on with the same book from another sequence."""
        return OrderJournal(self.product, sequence, time_us, history=self._kept, resting=self._books.head)

    @property
    def oldest(self) -> int:
        """The smallest sequence whose book is still known."""
        return self._books.oldest

    def holds(self, sequence: int) -> bool:
        """Whether the book at that sequence is known."""
        return self._books.holds(sequence)

    def time_of(self, sequence: int) -> int:
        """When that message was, in microseconds since 1970."""
        return self._books.time_of(sequence)

    def body(self, sequence: int, level: int) -> bytes:
        """What REST would have answered at that sequence. O(orders). Raises TruthError."""
        if not self.holds(sequence):
            raise TruthError(f"{self.product.id}: {sequence} is not within {self.oldest} and {self.sequence}")
        book = self._books.at(sequence)
        bids = self._rows(book, BUY, level)
        asks = self._rows(book, SELL, level)
        answer = {
            "bids": bids,
            "asks": asks,
            "sequence": sequence,
            "auction_mode": False,
            "auction": None,
            "time": rfc3339(self.time_of(sequence)),
        }
        return json.dumps(answer, separators=(",", ":")).encode()

    def _rows(self, book: Mapping[str, Resting], side: Side, level: int) -> list[list[str | int]]:
        product = self.product
        # Sorting is stable, so orders of one price stay as they got their places.
        orders = sorted(
            ((price, size, order_id) for order_id, (of, price, size) in book.items() if of == side),
            key=lambda row: -row[0] if side == BUY else row[0],
        )
        if level == 3:
            return [[product.price(price), product.size(size), order_id] for price, size, order_id in orders]
        levels: dict[int, list[int]] = {}
        for price, size, _ in orders:
            levels.setdefault(price, []).append(size)
        rows: list[list[str | int]] = [
            [product.price(price), product.size(sum(sizes)), len(sizes)] for price, sizes in levels.items()
        ]
        return rows[:1] if level == 1 else rows


def rfc3339(time_us: int) -> str:
    """A time in microseconds since 1970 as Coinbase writes it.

    >>> rfc3339(1_415_348_367_028_459)
    '2014-11-07T08:19:27.028459Z'
    """
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_us % 1_000_000:06d}Z"


def _entries(effect: Effect) -> list[tuple[str, Resting | None]]:
    what, order_id, side, price, size = effect
    if what == "drop":
        return [(order_id, None)]
    resting = (order_id, (side, price, size))
    # Who is put gets the last place.
    return [resting] if what == "size" else [(order_id, None), resting]
