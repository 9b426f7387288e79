"""``Board``: some symbols with their best prices and how fresh they are, and what changed since when. Pure.

A board counts its changes and remembers for each member of each row the count at which it became what it is.
So a reader who has any earlier state is told what is different now, however long it was away, and nothing is
kept for it: :meth:`Board.since`.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import orjson

from depthcast.scheme import Level
from server.push.hub import Source

MEMBERS: Final = ("bid", "bidQty", "ask", "askQty", "spread", "age", "state", "status")
"""The members of a row in events; :class:`Row` has them in this order."""

NOTHING: Final = ""
"""A member that is not known."""


class Row(NamedTuple):
    """What is shown of one symbol, all of it text as it is shown.

    ``spread`` is in basis points of the middle, ``age`` how many seconds ago the book was known to be
    current.
    """

    bid: str = NOTHING
    bid_quantity: str = NOTHING
    ask: str = NOTHING
    ask_quantity: str = NOTHING
    spread: str = NOTHING
    age: str = NOTHING
    state: str = NOTHING
    status: str = NOTHING


UNKNOWN: Final = Row()


class Board(Source):
    """The rows of ``symbols``, each unknown until it is put. ``name`` tells this board from another one whose
    count may be the same."""

    def __init__(self, name: str, symbols: Sequence[str]) -> None:
        super().__init__()
        self.name = name
        self.number = 1
        """Counts the changes."""
        self._rows = dict.fromkeys(symbols, UNKNOWN)
        self._changed: dict[str, list[int]] = {symbol: [1] * len(MEMBERS) for symbol in symbols}
        self._since: dict[int, bytes] = {}
        self._digits: dict[str, tuple[int, int]] = {}

    def shorten(self, symbol: str, bid: Level, ask: Level) -> tuple[Level, Level]:
        """These best levels without zeros that none of the symbol's has needed since the board began: so the
        digits of a price stay where they are."""
        prices, quantities = self._digits.get(symbol, (0, 0))
        prices = max(prices, digits(bid[0], ask[0]))
        quantities = max(quantities, digits(bid[1], ask[1]))
        if symbol in self._rows:
            self._digits[symbol] = (prices, quantities)
        return (
            (shorten(bid[0], prices), shorten(bid[1], quantities)),
            (shorten(ask[0], prices), shorten(ask[1], quantities)),
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Its symbols, in the order of the rows."""
        return tuple(self._rows)

    @property
    def rows(self) -> Mapping[str, Row]:
        """The rows by their symbols."""
        return self._rows

    def put(self, rows: Mapping[str, Row]) -> bool:
        """These rows are as they are given, from now on; whether anything is new. Rows of symbols that are
        not the board's are passed over. O(rows)."""
        changed = False
        for symbol, row in rows.items():
            before = self._rows.get(symbol)
            if before is None or before == row:
                continue
            numbers = self._changed[symbol]
            for place, (old, new) in enumerate(zip(before, row, strict=True)):
                if old != new:
                    numbers[place] = self.number + 1
            self._rows[symbol] = row
            changed = True
        if changed:
            self.number += 1
            self._since.clear()
        return changed

    def since(self, number: int) -> bytes:
        """What a reader has to be told who has the board as it was at ``number`` (0: nothing), as JSON:
        ``{"ETHUSDT":{"bid":"2683.80"}}``. The same object for all who ask the same. O(rows) the first time.
        """
        told = self._since.get(number)
        if told is None:
            news: dict[str, dict[str, str]] = {}
            for symbol, numbers in self._changed.items():
                row = self._rows[symbol]
                members = {MEMBERS[place]: row[place] for place, at in enumerate(numbers) if at > number}
                if members:
                    news[symbol] = members
            told = self._since[number] = orjson.dumps(news)
        return told

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(rows)."""
        assert self._rows.keys() == self._changed.keys()
        assert self._digits.keys() <= self._rows.keys()
        assert all(0 < number <= self.number for numbers in self._changed.values() for number in numbers)


def digits(*numbers: str) -> int:
    """How many digits behind the point these numbers need at most: zeros at their ends are not needed.

    >>> digits("2683.80000000", "2683.75000000"), digits("10.00", "7")
    (2, 0)
    """
    return max((len(plain(number).partition(".")[2].rstrip("0")) for number in numbers), default=0)


def shorten(number: str, places: int) -> str:
    """A number with so many digits behind the point, where it needs no more; otherwise with those it needs.

    >>> shorten("2683.80000000", 2), shorten("3.1250", 2), shorten("7", 1), shorten("5.00", 0)
    ('2683.80', '3.125', '7.0', '5')
    """
    whole, _, part = plain(number).partition(".")
    part = part.rstrip("0").ljust(places, "0")
    return f"{whole}.{part}" if part else whole


def plain(number: str) -> str:
    """A number without an exponent, which some venues write.

    >>> plain("8e-7"), plain("98459.90")
    ('0.0000008', '98459.90')
    """
    return f"{Decimal(number):f}" if "e" in number or "E" in number else number


def spread(bid: str, ask: str) -> str:
    """The distance of two prices in basis points of their middle, with two digits; nothing where there is
    none.

    >>> spread("2683.80", "2683.81"), spread("0.00", "3.1"), spread("1.0", "1.5")
    ('0.04', '', '4000.00')
    """
    try:
        low, high = Decimal(bid), Decimal(ask)
    except InvalidOperation:
        return NOTHING
    if not (low.is_finite() and high.is_finite() and low > 0 and high > 0):
        return NOTHING
    return f"{(high - low) / (high + low) * 20_000:.2f}"
