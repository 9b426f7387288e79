"""The book by order at every sequence of one product, within a bounded history: the oracle.

Kept plain on purpose: what became of the book (:data:`simulator.coinbase.engine.Effect`) by sequence, whole
books in between, and lists that are sorted when a body is asked for.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from simulator.coinbase.engine import BUY, SELL, Effect, Side
from simulator.coinbase.products import Product
from simulator.truth import TruthError

KEYFRAME: Final = 2000
"""So many messages lie between two whole books."""

Resting = dict[str, tuple[Side, int, int]]
"""Side, price and size by order id, in the order in which places were given."""


class _Segment:
    __slots__ = ("book", "effects", "start", "times_us")

    def __init__(self, book: Resting, start: int, time_us: int) -> None:
        self.book = book
        self.start = start
        self.effects: list[Sequence[Effect]] = []
        """Of each sequence after ``start``."""
        self.times_us = [time_us]


class OrderJournal:
    """One product's books from ``sequence`` on. At least ``history`` messages are remembered."""

    def __init__(self, product: Product, sequence: int, time_us: int, *, history: int = 500_000) -> None:
        self.product = product
        self.sequence = sequence
        self._history = history
        self._head: Resting = {}
        self._segments = [_Segment({}, sequence, time_us)]

    def append(self, effects: Sequence[Effect], time_us: int) -> None:
        """The next sequence: what its message made of the book, if anything."""
        segment = self._segments[-1]
        if len(segment.effects) >= KEYFRAME:
            segment = _Segment(dict(self._head), self.sequence, segment.times_us[-1])
            self._segments.append(segment)
            while len(self._segments) > 2 and self.sequence - self._segments[1].start > self._history:
                del self._segments[0]
        _carry_out(self._head, effects)
        segment.effects.append(effects)
        segment.times_us.append(time_us)
        self.sequence += 1

    def successor(self, sequence: int, time_us: int) -> "OrderJournal":
        """A journal that goes on with the same book from another sequence."""
        made = OrderJournal(self.product, sequence, time_us, history=self._history)
        made._head = dict(self._head)
        made._segments[0].book = dict(self._head)
        return made

    @property
    def oldest(self) -> int:
        """The smallest sequence whose book is still known."""
        return self._segments[0].start

    def holds(self, sequence: int) -> bool:
        """Whether the book at that sequence is known."""
        return self.oldest <= sequence <= self.sequence

    def body(self, sequence: int, level: int) -> bytes:
        """What REST would have answered at that sequence. O(orders). Raises TruthError."""
        if not self.holds(sequence):
            raise TruthError(f"{self.product.id}: {sequence} is not within {self.oldest} and {self.sequence}")
        segment = self._segments[bisect_right(self._segments, sequence, key=lambda each: each.start) - 1]
        book = dict(segment.book)
        for effects in segment.effects[: sequence - segment.start]:
            _carry_out(book, effects)
        bids = self._rows(book, BUY, level)
        asks = self._rows(book, SELL, level)
        answer = {
            "bids": bids,
            "asks": asks,
            "sequence": sequence,
            "auction_mode": False,
            "auction": None,
            "time": rfc3339(segment.times_us[sequence - segment.start]),
        }
        return json.dumps(answer, separators=(",", ":")).encode()

    def _rows(self, book: Resting, side: Side, level: int) -> list[list[str | int]]:
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


def _carry_out(book: Resting, effects: Iterable[Effect]) -> None:
    for what, order_id, side, price, size in effects:
        if what == "size":
            book[order_id] = (side, price, size)
        else:
            book.pop(order_id, None)
            if what == "put":
                book[order_id] = (side, price, size)
