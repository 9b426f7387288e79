"""How high rows are."""

import numpy as np
import pytest

from depthcast.heat.steps import SHARE, coarser, common_step, row_of, rows_of, step_for, tick_of

STEPS = [float(f"{leading}e{exponent}") for exponent in range(-8, 4) for leading in (1, 2, 5)]


def test_a_row_is_about_a_ten_thousandth_of_the_price() -> None:
    for price in np.geomspace(0.0002, 2e6, 500):
        step = step_for(float(price))
        assert SHARE * price / 2.5 * 0.999 <= step <= SHARE * price
        assert step in STEPS


def test_no_row_is_lower_than_the_tick() -> None:
    assert step_for(0.00000820, 0.00000001) == 0.00000001
    assert step_for(2683.4, 0.01) == 0.2


def test_the_tick_is_what_all_prices_are_multiples_of() -> None:
    assert tick_of(np.array([0.00000820, 0.00000011])) == 1e-8
    assert tick_of(np.array([60_000.0, 61_500.0])) == 100.0
    assert tick_of(np.array([61_500.5])) == 0.1
    assert tick_of(np.array([1e-13])) == tick_of(np.array([])) == 0.0


@pytest.mark.parametrize("step", STEPS)
def test_coarser_steps_are_multiples_of_the_same_kind(step: float) -> None:
    wider = coarser(step)
    assert round(wider / step, 9) in (2, 5)
    assert wider in STEPS or wider == 10 * STEPS[-3]


def test_a_common_step_is_a_multiple_of_each() -> None:
    assert common_step([0.2]) == 0.2
    assert common_step([0.1, 0.2, 0.5]) == 1.0
    assert common_step([50.0, 0.001]) == 50.0
    assert common_step([2e-8, 5e-8]) == 1e-7


def test_a_multiple_of_the_step_is_in_the_row_that_begins_with_it() -> None:
    for step in (0.1, 0.2, 0.5, 1e-8, 0.0002, 5.0):
        numbers = np.arange(1.0, 5000.0)
        assert rows_of(numbers * step, step).tolist() == numbers.tolist()
        assert rows_of((numbers + 0.999) * step, step).tolist() == numbers.tolist()
    assert row_of(2683.41, 0.2) == 13_417
    assert row_of(-0.05, 0.1) == -1
