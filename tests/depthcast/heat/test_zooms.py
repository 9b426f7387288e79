"""The zooms fit into each other."""

from itertools import pairwise

from depthcast.heat.zooms import DAY, DAY_MS, HOUR, MINUTE, ZOOMS, suits


def test_zooms_fit_into_each_other_and_a_day() -> None:
    assert [zoom.number for zoom in ZOOMS] == [0, 1, 2]
    for finer, wider in pairwise(ZOOMS):
        assert wider.tile_ms % finer.tile_ms == 0
        assert wider.column_ms % finer.column_ms == 0
        assert finer.tile_ms % wider.column_ms == 0
        assert wider.children == wider.tile_ms // finer.tile_ms
    assert all(DAY_MS % zoom.tile_ms == 0 and zoom.tile_ms % zoom.column_ms == 0 for zoom in ZOOMS)
    assert (MINUTE.columns, HOUR.columns, DAY.columns) == (60, 240, 288)
    assert MINUTE.children == 0


def test_a_tile_begins_at_a_multiple_of_its_length() -> None:
    assert MINUTE.start_of(1_723_161_253_123) == 1_723_161_240_000
    assert DAY.start_of(1_723_161_600_000) == 1_723_161_600_000


def test_segments_suit_that_divide_a_minute_or_are_some() -> None:
    assert [length_s for length_s in (10, 20, 45, 60, 90, 300, 86_400) if not suits(length_s)] == [45, 90]
