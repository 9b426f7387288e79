"""What a tile has to show, found the slow way: a book of the simulator's, one moment after the other."""

import math
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from depthcast.heat.spans import Span
from depthcast.heat.tile import Tile
from simulator.truth import ASK, BID, Change, TrueBook

Told = tuple[int, Sequence[Change]]
"""A diff: its time in ms, and what it changes."""

TICK = Fraction(1, 100)
"""A price's unit."""


RATIO = 2 ** (0.5 / 12) * (1 + 1e-9)
"""A cell is off by half a step of the scale at most."""


class Story(NamedTuple):
    """A book at ``from_ms`` and what became of it until ``to_ms``; certain between two prices (in units)."""

    from_ms: int
    to_ms: int
    low: int
    high: int
    bids: Sequence[tuple[int, int]]
    asks: Sequence[tuple[int, int]]
    told: Sequence[Told]
    per_unit: int = 1000
    """So many of a quantity's units are one."""

    def span(self) -> Span:
        """As the tape has it."""
        rows = [(self.from_ms, True, price, quantity) for price, quantity in self.bids]
        rows += [(self.from_ms, False, price, quantity) for price, quantity in self.asks]
        rows += [(at, each.side == BID, each.price, each.quantity) for at, diff in self.told for each in diff]
        times, is_bid, prices, quantities = (list(column) for column in zip(*rows, strict=True))
        return Span(
            self.from_ms,
            self.to_ms,
            self.low / 100,
            self.high / 100,
            np.array(times, np.int64),
            np.array(is_bid, np.bool_),
            np.array(prices) / 100,
            np.array(quantities) / self.per_unit,
        )


class Seen(NamedTuple):
    """One column: the mean quantity of each row (None: unknown), and the best prices at its end."""

    means: dict[int, float]
    best: tuple[float | None, float | None]


def watch(stories: Sequence[Story], from_ms: int, to_ms: int, step: Fraction, rows: range) -> Seen:
    """A column, moment by moment; a row that is nowhere certain is missing among the means."""
    total = dict.fromkeys(rows, 0.0)
    known = dict.fromkeys(rows, 0)
    best: tuple[float | None, float | None] = (None, None)
    for story in stories:
        book = TrueBook(story.bids, story.asks)
        waiting = list(story.told)
        certain = [
            row for row in rows if row * step >= story.low * TICK and (row + 1) * step <= story.high * TICK
        ]
        at = story.from_ms
        while at < story.to_ms:
            while waiting and waiting[0][0] <= at:
                for change in waiting.pop(0)[1]:
                    book.apply(change)
            until = min(waiting[0][0] if waiting else story.to_ms, story.to_ms)
            lasting = min(until, to_ms) - max(at, from_ms)
            if lasting > 0:
                standing = dict.fromkeys(rows, 0)
                for price, quantity in (*book.sides[BID].items(), *book.sides[ASK].items()):
                    row = math.floor(price * TICK / step)
                    if row in standing:
                        standing[row] += quantity
                for row in certain:
                    total[row] += standing[row] * lasting / story.per_unit
                    known[row] += lasting
                bid, ask = book.best(BID), book.best(ASK)
                best = (None if bid is None else bid[0] / 100, None if ask is None else ask[0] / 100)
            at = until
    return Seen({row: total[row] / known[row] for row in rows if known[row]}, best)


def assert_shows(tile: Tile, stories: Sequence[Story], columns: Sequence[int]) -> None:
    """That the tile's columns say what the stories tell."""
    amounts = tile.quantities()
    least = 2 ** ((tile.exponent + 0.5) / 12)
    rows = range(tile.first_row, tile.first_row + tile.rows)
    for column in columns:
        from_ms = tile.start_ms + column * tile.zoom.column_ms
        seen = watch(stories, from_ms, from_ms + tile.zoom.column_ms, Fraction(str(tile.step)), rows)
        for index, row in enumerate(rows):
            told = amounts[index, column]
            if row not in seen.means:
                assert np.isnan(told), (column, row)
            elif seen.means[row] < least:
                assert told == 0, (column, row)
            else:
                assert seen.means[row] / RATIO <= told <= seen.means[row] * RATIO, (column, row)
        for told, best in zip((tile.bid[column], tile.ask[column]), seen.best, strict=True):
            assert np.isnan(told) if best is None else told == best, column


def invent(
    chance: random.Random,
    from_ms: int,
    to_ms: int,
    *,
    middle: int = 268_000,
    diffs: int = 300,
    reach: int = 6000,
) -> Story:
    """A story that chance thinks of: levels come, change and go, some within the same millisecond."""
    book = TrueBook(
        {middle - chance.randrange(1, reach): chance.randrange(1, 10**6) for _ in range(150)}.items(),
        {middle + chance.randrange(1, reach): chance.randrange(1, 10**6) for _ in range(150)}.items(),
    )
    bids, asks = list(book.sides[BID].items()), list(book.sides[ASK].items())
    low, high = bids[0][0], asks[-1][0]
    told = []
    for at in sorted(chance.randrange(from_ms - 5, to_ms + 5) for _ in range(diffs)):
        changes = []
        for _ in range(chance.randrange(1, 8)):
            side = chance.choice((BID, ASK))
            bid, ask = book.best(BID), book.best(ASK)
            bounds = (0 if bid is None else bid[0], 10**9 if ask is None else ask[0])
            price = middle + chance.randrange(-reach, reach)
            if (price >= bounds[1] and side == BID) or (price <= bounds[0] and side == ASK):
                continue
            if chance.random() < 0.5 and book.sides[side]:
                price = chance.choice(list(book.sides[side]))
            change = Change(side, price, chance.choice((0, chance.randrange(1, 10**6))))
            book.apply(change)
            changes.append(change)
        told.append((at, changes))
    return Story(from_ms, to_ms, low, high, bids, asks, told)
