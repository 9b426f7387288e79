"""Tiles of one zoom -> the tile above them."""

import random
from dataclasses import replace

import numpy as np
import pytest

from depthcast.heat.gathering import gather, zoom_above
from depthcast.heat.painting import paint
from depthcast.heat.tile import MAX_ROWS, UNKNOWN, Tile
from depthcast.heat.zooms import DAY, HOUR, MINUTE, ZOOMS
from tests.depthcast.heat.pictures import invent

START_MS = 1_723_158_000_000  # 2024-08-08 23:00
MINUTE_MS = 60_000


def minute(number: int, *, seed: int = 0, middle: int = 268_000) -> Tile:
    """The tile of a minute that chance thinks of."""
    start_ms = START_MS + number * MINUTE_MS
    story = invent(random.Random(seed * 60 + number), start_ms, start_ms + MINUTE_MS, middle=middle, diffs=40)
    return paint("binance", "ETHUSDT", start_ms, [story.span()])


def partly(tile: Tile, *holes: tuple[int, int]) -> Tile:
    return replace(
        tile, holes=tuple((tile.start_ms + from_ms, tile.start_ms + to_ms) for from_ms, to_ms in holes)
    )


def test_a_cell_is_the_mean_of_the_narrower_ones_that_are_known() -> None:
    child = minute(3)
    child.cells[10, 15:20] = UNKNOWN
    child.cells[11, 15:30] = UNKNOWN
    hour = gather(None, [child])
    hour.check()
    assert (hour.step, hour.first_row, hour.rows) == (child.step, child.first_row, child.rows)
    finer, wider = child.quantities(), hour.quantities()
    for row in range(child.rows):
        for part in range(4):
            known = [amount for amount in finer[row, part * 15 : part * 15 + 15] if not np.isnan(amount)]
            told = wider[row, 12 + part]
            if known:
                mean = sum(known) / len(known)
                # What is too little for the scale is shown as nothing.
                assert told == pytest.approx(mean, rel=0.03) or (told == 0 and mean < wider[row].max() / 1e6)
            else:
                assert np.isnan(told)
    assert np.isnan(wider[11, 13])
    assert np.all(np.delete(hour.cells, slice(12, 16), axis=1) == UNKNOWN)
    assert hour.children == "..." + "+" + "." * 56
    assert not hour.complete


def test_the_best_prices_are_the_last_ones_of_each_column() -> None:
    child = minute(0)
    child.bid[14] = np.nan
    child.ask[30:45] = np.nan
    hour = gather(None, [child])
    assert hour.bid[:4].tolist() == [child.bid[13], child.bid[29], child.bid[44], child.bid[59]]
    assert np.isnan(hour.ask[2])
    assert hour.ask[3] == child.ask[59]
    assert np.isnan(hour.bid[4:]).all()


def test_whatever_the_order_and_however_often_the_same_tile_results() -> None:
    children = [minute(number, middle=268_000 + 300 * number) for number in range(0, 12, 2)]
    at_once = gather(None, children)
    chance = random.Random(3)
    for _ in range(3):
        hour = None
        for child in chance.sample(children + children[:3], 9):
            hour = gather(hour, [child])
            hour.check()
        assert hour is not None
        assert hour.encode() == at_once.encode()


def test_a_child_that_comes_again_replaces_its_own_columns_alone() -> None:
    whole, other = minute(1), minute(2)
    before = partly(whole, (0, 7000), (30_000, 40_000))
    later = replace(whole, cells=whole.cells[::-1].copy(), bid=whole.bid - 1)
    hour = gather(None, [before, other])
    assert hour.children.startswith(".-+")
    assert hour.holes == (
        (before.start_ms, before.start_ms + 7000),
        (before.start_ms + 30_000, before.start_ms + 40_000),
    )
    better = gather(hour, [later])
    assert better.children.startswith(".++")
    assert better.holes == ()
    assert better.encode() == gather(None, [later, other]).encode()


def test_all_children_make_it_complete() -> None:
    child = minute(0)
    hour = gather(None, [replace(child, start_ms=START_MS + number * MINUTE_MS) for number in range(60)])
    hour.check()
    assert hour.complete
    day = gather(None, [hour])
    day.check()
    assert day.zoom == DAY
    assert day.children == "." * 23 + "+"
    assert np.all(day.cells[:, -12:] != UNKNOWN)
    assert np.all(day.cells[:, :-12] == UNKNOWN)
    assert day.holes == ()


def test_holes_that_are_no_column_apart_are_told_as_one() -> None:
    child = partly(minute(0), (0, 100), (200, 300), (20_000, 20_100))
    hour = gather(None, [child])
    assert hour.holes == ((START_MS, START_MS + 300), (START_MS + 20_000, START_MS + 20_100))


def test_rows_of_different_heights_are_added_up_to_the_least_common_one() -> None:
    fine, coarse = minute(0), minute(1, middle=520_000)
    assert (fine.step, coarse.step) == (0.2, 0.5)
    hour = gather(None, [fine, coarse])
    hour.check()
    # They are far apart, so the rows become as high as it takes.
    assert hour.rows <= MAX_ROWS
    assert round(hour.step / 0.2, 9).is_integer()
    near = gather(None, [fine, replace(coarse, first_row=fine.first_row * 2 // 5)])
    assert near.step == 1.0
    inside = near.quantities()[:, 0]
    for row in range(near.rows):
        low = (near.first_row + row) * 5 - fine.first_row
        if low >= 0 and low + 5 <= fine.rows:
            parts = fine.quantities()[low : low + 5, :15]
            assert inside[row] == pytest.approx(parts.sum(axis=0).mean(), rel=0.03, abs=1e-3)


def test_a_tile_that_is_taken_to_higher_rows_keeps_what_it_had() -> None:
    fine, coarse = minute(0), replace(minute(1, middle=520_000), first_row=5300)
    one_by_one = gather(gather(None, [fine]), [coarse])
    at_once = gather(None, [fine, coarse])
    assert (one_by_one.step, one_by_one.first_row, one_by_one.rows) == (
        at_once.step,
        at_once.first_row,
        at_once.rows,
    )
    assert np.abs(one_by_one.cells.astype(int) - at_once.cells.astype(int)).max() <= 1


def test_tiles_without_rows_leave_their_columns_unknown() -> None:
    nothing = paint("binance", "ETHUSDT", START_MS, [])
    assert gather(None, [nothing]).rows == 0
    hour = gather(None, [nothing, minute(1)])
    hour.check()
    assert np.all(hour.cells[:, :4] == UNKNOWN)
    assert hour.children.startswith("-+")
    assert gather(gather(None, [minute(1)]), [nothing]).encode() == hour.encode()


def test_a_tile_too_small_for_a_higher_row_leaves_its_columns_unknown() -> None:
    small = minute(0)
    small = replace(small, first_row=13_401, cells=small.cells[:2])
    wide = replace(minute(1), step=1.0, first_row=2600)
    hour = gather(None, [small, wide])
    hour.check()
    assert hour.step == 1.0
    assert np.all(hour.cells[:, :4] == UNKNOWN)


def test_hours_keep_the_holes_of_minutes_that_do_not_come_again() -> None:
    first, third = partly(minute(0), (0, 30_000)), partly(minute(2), (0, 60_000))
    hour = gather(gather(None, [first, third]), [minute(1)])
    assert hour.holes == (*first.holes, *third.holes)
    assert gather(hour, [minute(2), minute(0)]).holes == ()


def test_a_tile_takes_in_none_but_its_own() -> None:
    hour = gather(None, [minute(0)])
    for foreign in (
        replace(minute(0), symbol="BTCUSDT"),
        replace(minute(0), venue="binanceus"),
        replace(minute(0), start_ms=START_MS + 3_600_000),
        hour,
    ):
        with pytest.raises(ValueError, match="is no part of"):
            gather(hour, [foreign])
    for none in ([], [gather(None, [hour])]):
        with pytest.raises(ValueError, match="nothing to gather"):
            gather(None, none)


def test_a_zoom_is_above_another() -> None:
    assert [zoom_above(zoom) for zoom in ZOOMS] == [HOUR, DAY, None]
    assert ZOOMS[0] is MINUTE
