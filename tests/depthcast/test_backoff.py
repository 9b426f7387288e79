"""Delays grow to their bound and are spread evenly."""

from random import Random
from typing import Any

import pytest

from depthcast.backoff import Backoff


def test_ceilings_grow_by_the_factor_to_the_maximum_and_begin_anew_after_a_reset() -> None:
    backoff = Backoff(0.5, factor=3.0, maximum_s=10.0, rng=Random(1))
    ceilings = []
    for _ in range(5):
        ceilings.append(backoff.ceiling_s)
        assert 0 <= backoff.next_s() <= ceilings[-1]
    assert ceilings == [0.5, 1.5, 4.5, 10.0, 10.0]
    backoff.reset()
    assert backoff.ceiling_s == 0.5


def test_delays_fill_the_whole_range_down_to_the_floor() -> None:
    backoff = Backoff(1.0, factor=1.0, minimum_s=0.5, rng=Random(7))
    delays = [backoff.next_s() for _ in range(500)]
    assert min(delays) >= 0.5
    assert min(delays) < 0.52
    assert max(delays) > 0.98


def test_the_same_seed_gives_the_same_delays() -> None:
    one, other = (Backoff(rng=Random(3)) for _ in range(2))
    assert [one.next_s() for _ in range(9)] == [other.next_s() for _ in range(9)]


@pytest.mark.parametrize(
    "numbers",
    [
        {"initial_s": 2.0, "maximum_s": 1.0},
        {"minimum_s": 1.0, "initial_s": 0.5},
        {"minimum_s": -1.0},
        {"factor": 0.5},
    ],
)
def test_numbers_that_do_not_grow_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a growing series"):
        Backoff(**numbers)
