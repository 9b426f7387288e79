"""Books made in pieces, whatever makes them."""

import pytest

from depthcast.building import Building, as_building, step, whole
from depthcast.errors import BadLevel


def pieces(count: int, *, bad_at: int | None = None) -> Building[str]:
    for number in range(count):
        if number == bad_at:
            raise BadLevel(number)
        yield
    return "a book"


def test_a_book_is_made_a_piece_at_a_time() -> None:
    building = pieces(3)
    assert [step(building) for _ in range(4)] == [None, None, None, "a book"]


def test_or_in_one_go() -> None:
    assert whole(pieces(3)) == "a book"


def test_what_makes_a_book_at_once_makes_it_in_one_piece() -> None:
    assert step(as_building("another book")) == "another book"
    building = as_building(pieces(1))
    assert [step(building), step(building)] == [None, "a book"]


def test_what_is_bad_is_told_by_the_piece_that_it_is_in() -> None:
    building = pieces(3, bad_at=1)
    assert step(building) is None
    with pytest.raises(BadLevel):
        step(building)
    with pytest.raises(BadLevel):
        whole(pieces(3, bad_at=2))
