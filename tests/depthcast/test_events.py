"""Levels that are known to be plain, which are levels like others to whoever does not care."""

from depthcast.events import Diff, PlainLevels


def test_plain_levels_are_a_list_of_levels() -> None:
    levels = PlainLevels([["2.0", "1.5"], ["1.0", "0.0"]])
    assert levels == [["2.0", "1.5"], ["1.0", "0.0"]]
    assert Diff("X", 1, 1, 0, levels, PlainLevels()) == Diff("X", 1, 1, 0, list(levels), [])


def test_a_diff_goes_on_from_the_id_it_tells_of_or_else_from_the_one_below_its_first() -> None:
    consecutive = Diff("X", 157, 160, 0, [], [])
    assert consecutive.after == 156
    assert consecutive._replace(previous=149).after == 149
    assert consecutive._replace(previous=0).after == 0


def test_a_diff_holds_as_many_pieces_as_levels() -> None:
    diff = Diff("X", 1, 2, 0, [["2", "1"]], [["3", "1"], ["4", "0"]])
    assert (diff.pieces, diff.at_last) == (3, 3)
