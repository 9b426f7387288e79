"""Spans of a book -> a tile, against a book of the simulator's that is looked at moment by moment."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from depthcast.heat.painting import REACH, paint
from depthcast.heat.spans import Span
from depthcast.heat.tile import MAX_ROWS, UNKNOWN
from depthcast.heat.zooms import HOUR, MINUTE
from simulator.truth import ASK, BID, Change
from tests.depthcast.heat.pictures import Story, assert_shows, invent

START_MS = 1_723_161_240_000


@pytest.mark.parametrize("seed", range(3))
def test_every_cell_is_the_mean_of_what_rested_there(seed: int) -> None:
    story = invent(random.Random(seed), START_MS, START_MS + 60_000)
    tile = paint("binance", "ETHUSDT", START_MS, [story.span()])
    tile.check()
    assert tile.complete
    assert tile.known_ms == 60_000
    assert tile.rows > 100
    assert_shows(tile, [story], range(seed, 60, 6))


def test_what_was_not_recorded_is_unknown_and_told_as_holes() -> None:
    chance = random.Random(7)
    before = invent(chance, START_MS + 2_500, START_MS + 20_250)
    behind = invent(chance, START_MS + 20_750, START_MS + 41_000, middle=269_000)
    tile = paint("binance", "ETHUSDT", START_MS, [before.span(), behind.span()])
    tile.check()
    assert not tile.complete
    assert [(from_ms - START_MS, to_ms - START_MS) for from_ms, to_ms in tile.holes] == [
        (0, 2_500),
        (20_250, 20_750),
        (41_000, 60_000),
    ]
    assert tile.known_ms == 60_000 - 2_500 - 500 - 19_000
    assert np.all(tile.cells[:, [0, 1, *range(41, 60)]] == UNKNOWN)
    assert np.all(tile.cells[:, 2:41] != UNKNOWN, axis=1).any()
    assert_shows(tile, [before, behind], (0, 1, 2, 3, 12, 19, 20, 21, 40, 41, 59))


def test_a_longer_span_is_cut_to_the_tile_and_the_tiles_side_by_side_agree_with_it() -> None:
    story = invent(random.Random(8), START_MS - 60_000, START_MS + 120_000, diffs=700)
    for start_ms in (START_MS - 60_000, START_MS, START_MS + 60_000):
        tile = paint("binance", "ETHUSDT", start_ms, [story.span()])
        assert tile.complete
        assert_shows(tile, [story], (0, 1, 30, 59))


def test_any_zoom_can_be_painted() -> None:
    start_ms = HOUR.start_of(START_MS)
    story = invent(random.Random(9), start_ms, start_ms + HOUR.tile_ms)
    tile = paint("binance", "ETHUSDT", start_ms, [story.span()], HOUR)
    tile.check()
    assert_shows(tile, [story], range(0, 240, 40))


def test_beyond_the_certain_prices_nothing_is_known() -> None:
    story = invent(random.Random(10), START_MS, START_MS + 60_000, reach=1000)
    tile = paint("binance", "ETHUSDT", START_MS, [story.span()])
    first, last = tile.first_row * tile.step, (tile.first_row + tile.rows) * tile.step
    assert story.low / 100 <= first < story.low / 100 + tile.step
    assert story.high / 100 - tile.step < last <= story.high / 100
    assert np.all(tile.cells != UNKNOWN)


def test_a_book_that_is_certain_to_the_end_is_shown_as_far_as_a_tile_reaches() -> None:
    span = story_of(bids=[(268_000, 5000), (100, 1)], asks=[(268_100, 7000), (10**7, 1)]).span()
    whole = Span(span.from_ms, span.to_ms, 0.0, np.inf, span.times_ms, span.is_bid, span.prices, span.amounts)
    tile = paint("binance", "ETHUSDT", START_MS, [whole])
    assert tile.first_row * tile.step == pytest.approx(2680 * (1 - REACH), abs=tile.step)
    assert (tile.first_row + tile.rows) * tile.step == pytest.approx(2681 * (1 + REACH), abs=tile.step)
    assert np.unique(tile.quantities()[:, 0]) == pytest.approx([0.0, 5.0, 7.0], rel=0.03)


def test_a_price_that_jumps_makes_coarser_rows_and_no_larger_tile() -> None:
    jump = [
        (START_MS + 30_000, [Change(BID, 268_000, 0), Change(ASK, 268_100, 0)]),
        (START_MS + 30_000, [Change(BID, 100_000, 5000), Change(ASK, 100_100, 7000)]),
    ]
    story = story_of(bids=[(268_000, 5000)], asks=[(268_100, 7000)], told=jump, low=1, high=10**7)
    tile = paint("binance", "ETHUSDT", START_MS, [story.span()])
    assert tile.rows <= MAX_ROWS
    assert tile.step > 0.2
    assert_shows(tile, [story], (0, 29, 30, 59))


@pytest.mark.parametrize("side", [BID, ASK])
def test_a_book_of_one_side_is_a_tile(side: int) -> None:
    levels = [(268_000, 5000)]
    story = story_of(bids=levels if side == BID else [], asks=levels if side == ASK else [])
    tile = paint("binance", "ETHUSDT", START_MS, [story.span()])
    assert np.isnan(tile.ask if side == BID else tile.bid).all()
    assert_shows(tile, [story], [0, 59])


def test_a_book_without_a_level_has_no_rows_and_neither_has_no_book() -> None:
    story = story_of(bids=[(268_000, 0)], asks=[], low=1, high=10**7)
    for spans in ([story.span()], []):
        tile = paint("binance", "ETHUSDT", START_MS, spans)
        tile.check()
        assert tile.rows == 0
        assert np.isnan([tile.bid, tile.ask]).all()
    assert tile.holes == ((START_MS, START_MS + MINUTE.tile_ms),)


def test_a_span_in_which_nothing_was_told_has_no_rows() -> None:
    empty = story_of(bids=[], asks=[], told=[(START_MS - 1, [Change(BID, 1, 1)])]).span()
    nothing = Span(START_MS, START_MS + 60_000, 0.0, np.inf, *(each[:0] for each in arrays(empty)))
    tile = paint("binance", "ETHUSDT", START_MS, [nothing])
    tile.check()
    assert tile.complete
    assert tile.rows == 0


def arrays(span: Span) -> tuple[Any, ...]:
    return span.times_ms, span.is_bid, span.prices, span.amounts


def test_where_nothing_is_certain_there_is_no_row() -> None:
    story = story_of(bids=[(268_000, 5000)], asks=[(268_001, 5000)], low=268_000, high=268_001)
    tile = paint("binance", "ETHUSDT", START_MS, [story.span()])
    tile.check()
    assert tile.rows == 0
    assert tile.bid[0] == 2680.0


def test_a_clock_that_steps_back_does_not_undo_a_later_change() -> None:
    told = [
        (START_MS + 20_000, [Change(BID, 267_900, 1000)]),
        (START_MS + 10_000, [Change(BID, 267_900, 9000)]),
    ]
    story = story_of(bids=[(268_000, 5000)], asks=[(268_100, 7000)], told=told, low=260_000, high=270_000)
    tile = paint("binance", "ETHUSDT", START_MS, [story.span()])
    row = int(2679 / tile.step) - tile.first_row
    assert tile.quantities()[row, 15] == 0
    assert tile.quantities()[row, 25] == pytest.approx(9, rel=0.03)


def story_of(
    *,
    bids: Sequence[tuple[int, int]],
    asks: Sequence[tuple[int, int]],
    told: Sequence[tuple[int, Sequence[Change]]] = (),
    low: int = 1,
    high: int = 10**7,
) -> Story:
    """A minute of a small book."""
    return Story(START_MS, START_MS + 60_000, low, high, bids, asks, told)
