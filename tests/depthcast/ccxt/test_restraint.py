"""When the exchange is not asked: by its own wish, or because its weight is nearly used up."""

import ccxt
import pytest

from depthcast.ccxt.restraint import Restraint
from depthcast.venues.binance import Binance

MINUTE = 60_000


class Clocks:
    def __init__(self) -> None:
        self.wall_ms = 1000 * MINUTE + 5000

    def wall(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.wall_ms / 1000


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def restraint(clocks: Clocks) -> Restraint:
    return Restraint(Binance(), clock=clocks.monotonic, wall_ms=clocks.wall)


def used(weight: int) -> dict[str, str]:
    return {"X-MBX-USED-WEIGHT-1M": str(weight)}


def test_nothing_is_held_back_while_there_is_weight(restraint: Restraint) -> None:
    assert restraint.refusal(250) is None
    assert restraint.hear(200, used(5150), "{}") == 0
    assert restraint.refusal(250) is None
    assert restraint.weight_used == 5150


def test_the_last_tenth_of_the_weight_is_not_spent_in_another_one_s_place(
    restraint: Restraint, clocks: Clocks
) -> None:
    restraint.hear(200, used(5396), "{}")
    refusal = restraint.refusal(5)
    assert isinstance(refusal, ccxt.RateLimitExceeded)
    assert "5396 of 6000 weight" in str(refusal)
    assert "56 s" in str(refusal)
    assert restraint.refusal(4) is None
    assert restraint.refusal(None) is None
    clocks.wall_ms += MINUTE
    assert restraint.refusal(250) is None
    assert restraint.weight_used == 0


@pytest.mark.parametrize("status", [418, 429])
def test_a_pause_lasts_as_long_as_the_exchange_says(
    restraint: Restraint, clocks: Clocks, status: int
) -> None:
    assert restraint.hear(status, {"Retry-After": "17", **used(6001)}, '{"code":-1003}') == 17_000
    for weight in (1, None):
        refusal = restraint.refusal(weight)
        assert isinstance(refusal, ccxt.DDoSProtection)
        assert "17 s are left" in str(refusal)
    clocks.wall_ms += 16_000
    assert restraint.silent_for_s == pytest.approx(1)
    # An earlier end said later does not count.
    restraint.hear(status, {"Retry-After": "1"}, "")
    clocks.wall_ms += 1100
    assert restraint.silent_for_s == 0
    assert restraint.refusal(None) is None


def test_a_ban_without_a_header_is_read_from_its_text(restraint: Restraint, clocks: Clocks) -> None:
    body = f'{{"code":-1003,"msg":"Way too much request weight used; IP banned until {1_700_000_000_000}."}}'
    clocks.wall_ms = 1_700_000_000_000 - 90_000
    assert restraint.hear(418, {}, body) == 90_000


def test_a_pause_that_others_know_of_counts(restraint: Restraint) -> None:
    assert isinstance(restraint.refusal(None, silent_for_s=3.2), ccxt.DDoSProtection)
