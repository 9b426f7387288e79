"""Cadence: limits to times, and what is not a cadence."""

import pytest

from updater.cadence import Cadence


@pytest.mark.parametrize(
    ("limit", "every_s"), [(1, 0.0), (100, 0.0), (101, 0.25), (1000, 0.25), (1001, 1.0), (5000, 1.0)]
)
def test_a_file_takes_the_first_step_that_holds_its_limit(limit: int, every_s: float) -> None:
    assert Cadence().every_s(limit) == every_s


def test_a_limit_beyond_the_last_step_takes_the_last() -> None:
    assert Cadence(((10, 0), (20, 300))).every_s(5000) == 0.3


def test_the_floor_holds_for_all() -> None:
    assert [Cadence(floor_ms=500).every_s(limit) for limit in (5, 500, 5000)] == [0.5, 0.5, 1.0]


def test_it_reads_back_as_it_is_shown() -> None:
    assert Cadence.parse(str(Cadence())) == Cadence()
    assert Cadence.parse(" 5:0 , 10:20 ", floor_ms=7) == Cadence(((5, 0), (10, 20)), 7)


@pytest.mark.parametrize("text", ["", "5", "5:", ":5", "5:-1", "0:5", "5:0,5:1", "100:0,10:1", "5:0;10:1"])
def test_what_is_not_a_cadence_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should be"):
        Cadence.parse(text)
