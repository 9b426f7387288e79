"""How high a row of prices is: 1, 2 or 5 times a power of ten, so that rows of neighbours meet. Pure."""

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHARE: Final = 0.0001
"""A row is at most this share of the price: some 300 to 750 rows for 1.5 % up and down."""

_DIGITS: Final = 15
"""What a float certainly holds of a decimal number."""

_LEAST_PLACES: Final = 12
"""Prices are not looked at beyond so many decimal places."""


def step_for(price: float, tick: float = 0.0) -> float:
    """The height of rows where ``price`` is paid: never under ``tick``, or every second row would be empty.

    >>> step_for(2683.4), step_for(60123.45), step_for(0.0000082, 0.00000001), step_for(2400.0)
    (0.2, 5.0, 1e-08, 0.2)
    """
    exponent = math.floor(math.log10(price * SHARE))
    # The logarithm may be a hair off, so one power of ten less is tried, too.
    tried = [float(f"{leading}e{power}") for power in (exponent - 1, exponent) for leading in (1, 2, 5)]
    return max(*(step for step in tried if step <= price * SHARE), tick)


def tick_of(prices: NDArray[np.float64]) -> float:
    """The largest power of ten that all ``prices`` are multiples of; 0.0 where that is not known.

    >>> tick_of(np.array([2683.41, 2683.5])), tick_of(np.array([0.25, 17.5])), tick_of(np.array([]))
    (0.01, 0.01, 0.0)
    """
    if not len(prices):
        return 0.0
    places = max(0, min(_LEAST_PLACES, _DIGITS - math.ceil(math.log10(prices.max() + 1.0))))
    common = int(np.gcd.reduce(np.rint(prices * 10.0**places).astype(np.int64)))
    if not common:
        return 0.0
    zeros = len(str(common)) - len(str(common).rstrip("0"))
    return float(f"1e{zeros - places}")


def coarser(step: float) -> float:
    """The next height that is a multiple of ``step``.

    >>> coarser(0.1), coarser(0.2), coarser(0.5)
    (0.2, 1.0, 1.0)
    """
    exact = Decimal(repr(step))
    return float(exact * (5 if _leading(exact) == 2 else 2))


def common_step(steps: Iterable[float]) -> float:
    """The least height that is a multiple of all ``steps``.

    >>> common_step([0.2, 0.5]), common_step([5.0, 10.0])
    (1.0, 10.0)
    """
    exact = [Decimal(repr(step)) for step in steps]
    least = min(each.adjusted() for each in exact)
    whole = math.lcm(*(int(each.scaleb(-least)) for each in exact))
    return float(Decimal(whole).scaleb(least))


def rows_of(prices: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    """The rows in which ``prices`` lie.

    >>> rows_of(np.array([0.3, 0.29, 0.31]), 0.1)
    array([3, 2, 3])
    """
    shares = prices / step
    nearest = np.rint(shares)
    # A multiple of the step may come out a hair below: 0.3 / 0.1 is 2.9999999999999996.
    exact = np.abs(shares - nearest) < 1e-9
    return np.where(exact, nearest, np.floor(shares)).astype(np.int64)


def row_of(price: float, step: float) -> int:
    """The row in which ``price`` lies."""
    return int(rows_of(np.array([price]), step)[0])


def _leading(number: Decimal) -> int:
    return number.as_tuple().digits[0]
