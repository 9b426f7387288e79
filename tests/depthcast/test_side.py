"""``Side`` by itself; what it promises as part of a book is shown in ``test_book.py``."""

from collections.abc import Sequence

import pytest

from depthcast.errors import BadLevel
from depthcast.events import PlainLevels
from depthcast.side import CHUNK, Side


def side(levels: Sequence[list[str]], *, descending: bool = False, complete: bool = True) -> Side:
    made = Side(descending=descending)
    made.load(levels, complete=complete)
    made.check()
    return made


def test_levels_known_to_be_plain_are_read_as_others_are() -> None:
    levels = [["2.0", "1.0"], ["2.5", "0.0"]]
    for given in (levels, PlainLevels(levels)):
        taken = side([["2.5", "7"]])
        taken.apply(*taken.read(given))
        taken.check()
        assert taken.strings(None) == [["2.0", "1.0"]]
    assert side([["1", "1"]]).read(PlainLevels()) == ([], [], [])


@pytest.mark.parametrize(
    "level", [[".", "1.0"], ["1.0", "."], ["1.0", "1." + 64 * "0"], ["1" * 64 + ".", "1.0"]]
)
def test_plain_levels_that_are_no_numbers_or_too_long_are_refused_and_named(level: list[str]) -> None:
    with pytest.raises(BadLevel) as caught:
        side([["1", "1"]]).read(PlainLevels([["1.0", "1.0"], level]))
    assert caught.value.level == level


def test_what_stands_at_each_price_is_read_where_no_price_is_told_twice() -> None:
    bids = side([["2.5", "7"]], descending=True)
    assert bids.read_standing({"2.0": "1.0", "3.0": "0.0"}) == (
        [-2.0, -3.0],
        [1.0, 0.0],
        [b'"2.0","1.0"', b'"3.0","0.0"'],
    )
    assert bids.read_standing({}) == ([], [], [])
    with pytest.raises(BadLevel, match="two spellings"):
        bids.read_standing({"2.0": "1.0", "2.00": "0.0"})


def test_keys_turn_exact_with_the_first_price_that_needs_it_and_nothing_else_changes() -> None:
    cheap = [[f"{n}.5", f"{n}"] for n in range(1, 3 * CHUNK)]
    taken = side(cheap, complete=False)
    before = (taken.certain(), taken.strings(None), taken.numbers(7))
    # Beyond the certain price: it is kept, and is not shown.
    taken.apply(*taken.read([["1000.0000000000000001", "1"]]))
    taken.check()
    assert (taken.certain(), taken.strings(None), taken.numbers(7)) == before
    assert len(taken) == len(cheap) + 1


def test_an_empty_side_has_one_empty_chunk_and_gives_nothing() -> None:
    for complete in (True, False):
        empty = side([], complete=complete)
        assert (len(empty), empty.certain(), empty.complete, empty.best()) == (0, 0, complete, None)
        assert empty.strings(None) == []
        assert empty.numbers(None) == ([], [])
        assert empty.pieces((1, 5)) == ([], [0, 0])
