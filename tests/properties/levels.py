"""Prices and quantities as an exchange, or one that means no good, may spell them; and the obvious book.

The model knows nothing of the code it is compared with: dictionaries by exact decimal, sorted when read.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self

from hypothesis import strategies as st

from depthcast.events import Diff, Snapshot

Levels = list[list[str]]

ZEROS = ("0", "0.0", "0.00000000", "00", "00.000", ".0", "0.", "000000000000000000000.")


def plain(number: Decimal) -> str:
    """A decimal without an exponent."""
    return f"{number:f}"


def _digits(number: int, point: int) -> Decimal:
    # Arithmetic would round to 28 digits; this is exact.
    sign = "-" if number < 0 else ""
    return Decimal(f"{sign}{abs(number)}E-{point}")


near_powers_of_ten = st.builds(
    lambda power, decimals, delta: max(Decimal(10) ** power + _digits(delta, decimals), Decimal(0)),
    st.integers(-8, 9),
    st.integers(0, 12),
    st.integers(-3, 3),
)
digits_1_to_20 = st.integers(1, 20).flatmap(
    lambda count: st.builds(_digits, st.integers(10 ** (count - 1), 10**count - 1), st.integers(0, 24))
)
# Prices of so many digits that one float is the nearest to several; from 16 digits on there are such.
too_near_for_floats = st.builds(
    lambda middle, last, point: _digits(middle + last, point),
    st.sampled_from((2**53, 10**16, 1234567800000000 * 10**8, 10**40)),
    st.integers(-2, 2),
    st.sampled_from((0, 8, 16)),
)
prices = near_powers_of_ten | digits_1_to_20 | too_near_for_floats


def _beside(price: Decimal) -> list[Decimal]:
    """A price and those around it that differ in its last digit, however many there are before it."""
    number, point = int("".join(map(str, price.as_tuple().digits))), -int(price.as_tuple().exponent)
    return [_digits(number + step, point) for step in range(5)]


pools = st.lists(prices, min_size=2, max_size=14, unique=True) | prices.map(_beside)
"""Few prices, so that levels come back: of all kinds, or all of one."""


@st.composite
def spelled(draw: st.DrawFn, number: Decimal) -> str:
    """One of the ways to write a number down, all of them plain: zeros before it, zeros behind it."""
    text = plain(number)
    if "." not in text:
        text += draw(st.sampled_from(("", "", ".", ".0", ".00000000")))
    else:
        text += "0" * draw(st.integers(0, 3))
    if text.startswith("0.") and len(text) > 2 and draw(st.booleans()):
        text = text[1:]
    return "0" * draw(st.sampled_from((0, 0, 0, 1, 2))) + text


quantities = st.one_of(
    st.integers(1, 10**13).map(lambda number: plain(_digits(number, 8))),
    st.sampled_from(("1", "00.5", ".25", "7.", "92233720368.54775807")),
)
quantities_or_none = quantities | st.sampled_from(ZEROS)


@dataclass
class NaiveSide:
    """One side. ``certain_to``: the price that the snapshot ended at, ``None`` where it was all there is."""

    descending: bool
    levels: dict[Decimal, list[str]] = field(default_factory=dict)
    certain_to: Decimal | None = None

    def beyond(self, price: Decimal, other: Decimal) -> bool:
        """Whether ``price`` is worse than ``other``."""
        return price < other if self.descending else price > other

    def load(self, levels: Iterable[Sequence[str]], complete: bool) -> Self:
        self.levels = {Decimal(price): [price, quantity] for price, quantity in levels}
        nowhere = Decimal("Infinity") if self.descending else Decimal(-1)
        self.certain_to = None if complete else next(reversed(self.levels), nowhere)
        return self

    def apply(self, levels: Iterable[Sequence[str]]) -> None:
        for price, quantity in levels:
            if Decimal(quantity) == 0:
                self.levels.pop(Decimal(price), None)
            else:
                self.levels[Decimal(price)] = [price, quantity]

    def all(self) -> list[Decimal]:
        return sorted(self.levels, reverse=self.descending)

    def certain(self) -> Levels:
        bound = self.certain_to
        return [self.levels[p] for p in self.all() if bound is None or not self.beyond(p, bound)]

    def refill(self, fresh: "NaiveSide") -> None:
        """``fresh`` is right as far as it is certain; beyond that nothing is known that was not before."""
        bound = fresh.certain_to
        kept = {} if bound is None else {p: v for p, v in self.levels.items() if self.beyond(p, bound)}
        known = fresh.levels.items()
        self.levels = kept | {p: v for p, v in known if bound is None or not self.beyond(p, bound)}
        if bound is None or (self.certain_to is not None and self.beyond(bound, self.certain_to)):
            self.certain_to = bound

    def audit(self, other: "NaiveSide") -> tuple[int, int, int, int]:
        """Matching, different, ghost and missing levels, as far as both are certain."""

        def within(prices: Iterable[Decimal]) -> set[Decimal]:
            bounds = [bound for bound in (self.certain_to, other.certain_to) if bound is not None]
            return {p for p in prices if not any(self.beyond(p, bound) for bound in bounds)}

        mine, theirs = within(self.levels), within(other.levels)
        same = {price for price in mine & theirs if self.levels[price] == other.levels[price]}
        return len(same), len(mine & theirs) - len(same), len(mine - theirs), len(theirs - mine)


class NaiveBook:
    """Both sides, at one update id."""

    def __init__(self, first: Snapshot) -> None:
        self.update_id = first.update_id
        self.bids = NaiveSide(descending=True).load(first.bids, first.bids_complete)
        self.asks = NaiveSide(descending=False).load(first.asks, first.asks_complete)

    def apply(self, diff: Diff) -> None:
        self.bids.apply(diff.bids)
        self.asks.apply(diff.asks)
        self.update_id = diff.last

    def refill(self, fresh: "NaiveBook") -> None:
        self.bids.refill(fresh.bids)
        self.asks.refill(fresh.asks)

    def body(self, limit: int) -> bytes:
        """The file for one limit, by the standard library's writer of JSON."""
        sides = {"bids": self.bids.certain()[:limit], "asks": self.asks.certain()[:limit]}
        return json.dumps({"lastUpdateId": self.update_id, **sides}, separators=(",", ":")).encode()
