"""The tiles of one zoom -> the tile above them, as they come. Pure.

A tile of an hour is made of minutes, and one of a day of hours. It is made anew with each that comes, or
comes again with fewer holes: the columns of that one are replaced, the others stay as they were, byte by byte
unless the scale moves. So whatever the order, and however often, nearly the same tile results, and who writes
it needs to know none but the tile as it is.
"""

from collections.abc import Sequence

import numpy as np

from depthcast.heat.steps import coarser, common_step
from depthcast.heat.tile import (
    ABSENT,
    COMPLETE,
    MAX_ROWS,
    PARTIAL,
    Hole,
    Numbers,
    Tile,
    cells_of,
    exponent_for,
    joined,
)
from depthcast.heat.zooms import ZOOMS, Zoom


def zoom_above(zoom: Zoom) -> Zoom | None:
    """The zoom whose tiles are made of those of ``zoom``; ``None`` for the last one."""
    return ZOOMS[zoom.number + 1] if zoom.number + 1 < len(ZOOMS) else None


def gather(parent: Tile | None, children: Sequence[Tile]) -> Tile:
    """``parent`` with the columns of ``children``, which are of its interval; a new one for ``None``.

    A quantity of a wider column is the mean of those of the narrower ones that are known. Raises
    ``ValueError`` for tiles that do not belong together.
    """
    zoom = zoom_above(children[0].zoom) if children else None
    if zoom is None:
        raise ValueError("nothing to gather")
    parent = parent or _empty(children[0], zoom)
    for child in children:
        if not _belongs(child, parent):
            raise ValueError(f"{child.key} is no part of {parent.key}")
    step, first_row, rows = _frame((parent, *children))
    amounts = _placed(parent, step, first_row, rows)
    bid, ask, marks = parent.bid.copy(), parent.ask.copy(), list(parent.children)
    for child in children:
        part = zoom.column_ms // child.zoom.column_ms
        start = (child.start_ms - parent.start_ms) // zoom.column_ms
        at = slice(start, start + child.zoom.columns // part)
        amounts[:, at] = _means(_placed(child, step, first_row, rows), part)
        bid[at], ask[at] = _last(child.bid, part), _last(child.ask, part)
        number = (child.start_ms - parent.start_ms) // child.zoom.tile_ms
        marks[number] = COMPLETE if child.complete else PARTIAL
    exponent = exponent_for(float(np.nanmax(amounts, initial=0.0)))
    return Tile(
        parent.venue,
        parent.symbol,
        zoom,
        parent.start_ms,
        step,
        first_row,
        exponent,
        cells_of(amounts, exponent),
        bid,
        ask,
        _holes(parent, children),
        "".join(marks),
    )


def _belongs(child: Tile, parent: Tile) -> bool:
    return (child.venue, child.symbol, zoom_above(child.zoom), parent.zoom.start_of(child.start_ms)) == (
        parent.venue,
        parent.symbol,
        parent.zoom,
        parent.start_ms,
    )


def _empty(child: Tile, zoom: Zoom) -> Tile:
    """The tile of which nothing is there yet."""
    nothing = np.full(zoom.columns, np.nan)
    cells = np.zeros((0, zoom.columns), np.uint8)
    start_ms = zoom.start_of(child.start_ms)
    marks = zoom.children * ABSENT
    return Tile(
        child.venue, child.symbol, zoom, start_ms, child.step, 0, 0, cells, nothing, nothing, (), marks
    )


def _frame(tiles: Sequence[Tile]) -> tuple[float, int, int]:
    """Height of a row, first row, and number of rows that have room for all of the tiles' rows."""
    filled = [tile for tile in tiles if tile.rows]
    if not filled:
        return tiles[-1].step, 0, 0
    step = common_step({tile.step for tile in filled})
    while True:
        spans = [_rows_at(tile, step) for tile in filled]
        first, end = min(span[0] for span in spans), max(span[1] for span in spans)
        if end - first <= MAX_ROWS:
            return step, first, max(0, end - first)
        step = coarser(step)


def _rows_at(tile: Tile, step: float) -> tuple[int, int]:
    """The first row, and the one after the last, that the tile fills as a whole where rows are so high."""
    times = round(step / tile.step)
    return -(-tile.first_row // times), (tile.first_row + tile.rows) // times


def _placed(tile: Tile, step: float, first_row: int, rows: int) -> Numbers:
    """Its quantities in a frame of rows that has room for them; nan elsewhere."""
    placed = np.full((rows, tile.zoom.columns), np.nan)
    first, end = _rows_at(tile, step) if tile.rows else (0, 0)
    if first < end:
        times = round(step / tile.step)
        own = tile.quantities()[first * times - tile.first_row : end * times - tile.first_row]
        placed[first - first_row : end - first_row] = own.reshape(end - first, times, -1).sum(axis=1)
    return placed


def _means(amounts: Numbers, part: int) -> Numbers:
    """The means of each ``part`` columns, of those that are known."""
    grouped = amounts.reshape(len(amounts), amounts.shape[1] // part, part)
    known = np.count_nonzero(~np.isnan(grouped), axis=2)
    return np.where(known > 0, np.nansum(grouped, axis=2) / np.maximum(known, 1), np.nan)


def _last(prices: Numbers, part: int) -> Numbers:
    """The last price that is known of each ``part`` columns."""
    grouped = prices.reshape(-1, part)
    last = part - 1 - np.argmax(~np.isnan(grouped[:, ::-1]), axis=1)
    return np.asarray(grouped[np.arange(len(grouped)), last], np.float64)


def _holes(parent: Tile, children: Sequence[Tile]) -> tuple[Hole, ...]:
    """The holes of all; those that are no column apart are told as one, so that they are not too many."""
    told = [hole for child in children for hole in child.holes]
    for hole in parent.holes:
        told += _outside(hole, children)
    return joined(told, parent.zoom.column_ms - 1)


def _outside(hole: Hole, children: Sequence[Tile]) -> list[Hole]:
    """What of a hole is in none of the tiles."""
    left, (at_ms, to_ms) = [], hole
    for child in sorted(children, key=lambda tile: tile.start_ms):
        if child.start_ms < to_ms and child.end_ms > at_ms:
            left.append((at_ms, child.start_ms))
            at_ms = child.end_ms
    left.append((at_ms, to_ms))
    return [(from_ms, until_ms) for from_ms, until_ms in left if from_ms < until_ms]
