"""Spans of a book -> the tile of an interval. Pure, and without a loop over levels or moments.

The mean of a cell is the integral of its quantity over the known time of its column, divided by that time. A
change of a level by ``d`` at a time ``t`` adds ``d`` times what is left of the column after ``t`` to the
integral of the column it is in, and ``d`` times their whole time to all later ones: so two histograms of the
changes and one running sum make all cells at once, in O(levels log levels + cells).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from depthcast.heat.spans import Span
from depthcast.heat.steps import coarser, row_of, rows_of, step_for, tick_of
from depthcast.heat.tile import MAX_ROWS, Hole, Numbers, Tile, cells_of, exponent_for, joined
from depthcast.heat.zooms import MINUTE, Zoom

REACH: Final = 0.015
"""A tile shows prices up to this share below the lowest and above the highest best price in it."""


class _Course(NamedTuple):
    """The levels told in a span, sorted by side and price and then by time; worst first on both sides.

    ``signed`` is the price, of an ask its negative. A quantity holds in ``[began, ended)`` and is by
    ``change`` more than what was there before.
    """

    span: Span
    signed: Numbers
    amounts: Numbers
    changes: Numbers
    began: NDArray[np.int64]
    ended: NDArray[np.int64]

    @classmethod
    def of(cls, span: Span) -> "_Course":
        # A clock that steps back does not undo what was told before.
        times = np.maximum.accumulate(np.maximum(span.times_ms, span.from_ms))
        told = np.flatnonzero(times < span.to_ms)
        signed = np.where(span.is_bid[told], span.prices[told], -span.prices[told])
        order = np.argsort(signed, kind="stable")
        signed, amounts, began = signed[order], span.amounts[told][order], times[told][order]
        if not len(signed):
            return cls(span, signed, amounts, amounts, began, began)
        same = signed[1:] == signed[:-1]
        changes = amounts.copy()
        changes[1:] -= np.where(same, amounts[:-1], 0.0)
        ended = np.full(len(began), span.to_ms)
        ended[:-1][same] = began[1:][same]
        return cls(span, signed, amounts, changes, began, ended)


def paint(venue: str, symbol: str, start_ms: int, spans: Sequence[Span], zoom: Zoom = MINUTE) -> Tile:
    """The tile of ``[start_ms, start_ms + zoom.tile_ms)``.

    ``spans`` are in order and do not overlap; what of them lies outside is left out, and what of the tile
    lies in none is a hole.
    """
    end_ms = start_ms + zoom.tile_ms
    inside = [part for span in spans if (part := span.within(start_ms, end_ms)) is not None]
    courses = [_Course.of(span) for span in inside]
    edges = start_ms + zoom.column_ms * np.arange(zoom.columns + 1)
    bid, ask = _best(courses, edges)
    step, first_row, rows = _frame(courses, bid, ask)
    amounts = _means(courses, edges, step, first_row, rows)
    exponent = exponent_for(float(np.nanmax(amounts, initial=0.0)))
    return Tile(
        venue,
        symbol,
        zoom,
        start_ms,
        step,
        first_row,
        exponent,
        cells_of(amounts, exponent),
        bid,
        ask,
        _between([(span.from_ms, span.to_ms) for span in inside], start_ms, end_ms),
        zoom.children * ".",
    )


def _best(courses: Sequence[_Course], edges: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """The best bid and ask at the last known moment of each column."""
    best = np.full((2, len(edges) - 1), np.nan)
    for course in courses:
        span = course.span
        columns = np.flatnonzero((edges[:-1] < span.to_ms) & (edges[1:] > span.from_ms))
        ends = np.minimum(edges[columns + 1], span.to_ms)
        # What stands at the end of the columns from `since` to before `until`.
        since = np.searchsorted(ends, course.began, side="right")
        until = np.searchsorted(ends, course.ended, side="right")
        standing = (course.amounts > 0) & (since < until)
        for side, own in enumerate((course.signed > 0, course.signed < 0)):
            found = np.flatnonzero(own & standing)
            throughout = np.flatnonzero((since[found] == 0) & (until[found] == len(ends)))
            if len(throughout):
                # What is worse than a level that is there all the time is never the best.
                found = found[throughout[-1] :]
            widths = until[found] - since[found]
            at = np.repeat(since[found] - np.cumsum(widths) + widths, widths) + np.arange(widths.sum())
            # Of several values for one place the last one stays, and the best is last.
            best[side, columns[0] + at] = np.repeat(np.abs(course.signed[found]), widths)
    return best[0], best[1]


def _frame(courses: Sequence[_Course], bid: Numbers, ask: Numbers) -> tuple[float, int, int]:
    """The height of a row, the first row, and how many there are."""
    told = np.concatenate((bid, ask))
    told = told[np.isfinite(told)]
    if not len(told):
        return 1.0, 0, 0
    lowest, highest = told.min() * (1 - REACH), told.max() * (1 + REACH)
    shown = [np.abs(course.signed) for course in courses]
    ticks = [tick_of(prices[(prices >= lowest) & (prices <= highest)]) for prices in shown]
    both = (bid + ask) / 2
    middles = np.where(np.isnan(both), np.fmax(bid, ask), both)
    step = step_for(float(middles[np.isfinite(middles)][0]), min(tick for tick in ticks if tick))
    while True:
        first = min(max(_certain(course.span, step)[0], row_of(lowest, step)) for course in courses)
        last = max(min(_certain(course.span, step)[1], row_of(highest, step) + 1) for course in courses)
        if last - first <= MAX_ROWS:
            return step, first, max(0, last - first)
        step = coarser(step)


def _certain(span: Span, step: float) -> tuple[int, int]:
    """The first row that is certain as a whole, and the one after the last."""
    highest = np.iinfo(np.int64).max // 4
    first = -row_of(-span.low, step) if span.low * 1e-15 < step else highest
    last = row_of(span.high, step) if span.high * 1e-15 < step else highest
    return first, last


def _means(
    courses: Sequence[_Course], edges: NDArray[np.int64], step: float, first_row: int, rows: int
) -> Numbers:
    """The mean quantities, shape (rows, columns); nan where unknown."""
    columns = len(edges) - 1
    integral = np.zeros((rows, columns))
    known_ms = np.zeros((rows, columns))
    for course in courses:
        span = course.span
        low, high = (min(max(0, row - first_row), rows) for row in _certain(span, step))
        if low >= high:
            continue
        lasting_ms = np.minimum(edges[1:], span.to_ms) - np.maximum(edges[:-1], span.from_ms)
        lasting_ms = np.maximum(lasting_ms, 0)
        at_row = rows_of(np.abs(course.signed), step) - first_row
        shown = np.flatnonzero((at_row >= low) & (at_row < high))
        began, changes = course.began[shown], course.changes[shown]
        at_column = np.searchsorted(edges, began, side="right") - 1
        left_ms = np.minimum(edges[at_column + 1], span.to_ms) - began
        place = at_row[shown] * columns + at_column
        partly = np.bincount(place, changes * left_ms, rows * columns).reshape(rows, columns)
        wholly = np.cumsum(np.bincount(place, changes, rows * columns).reshape(rows, columns), axis=1)
        integral += partly
        integral[:, 1:] += wholly[:, :-1] * lasting_ms[1:]
        known_ms[low:high] += lasting_ms
    with np.errstate(invalid="ignore"):
        return np.where(known_ms > 0, np.maximum(integral, 0.0) / known_ms, np.nan)


def _between(known: Sequence[tuple[int, int]], start_ms: int, end_ms: int) -> tuple[Hole, ...]:
    """The times between ``start_ms`` and ``end_ms`` that none of the ``known`` ones covers."""
    bounds = [start_ms, *(moment for part in known for moment in part), end_ms]
    pairs = zip(bounds[::2], bounds[1::2], strict=True)
    return joined([(from_ms, to_ms) for from_ms, to_ms in pairs if from_ms < to_ms])
