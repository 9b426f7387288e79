"""Bounds that cannot hold are refused."""

from typing import Any

import pytest

from depthcast.feed import FeedLimits
from depthcast.venues.binance import Binance
from depthcast.venues.binance_futures import BinanceFutures
from depthcast.venues.bitmex import BitMEX


@pytest.mark.parametrize(
    "bounds",
    [
        {"streams_per_connection": 0},
        {"streams_per_connection": 1025},
        {"names_per_message": 0},
        {"connects_per_5_min": 0},
        {"age_jitter": 1.0},
        {"age_jitter": -0.1},
    ],
)
def test_bounds_outside_the_possible_are_refused(bounds: dict[str, Any]) -> None:
    (name,) = bounds
    with pytest.raises(ValueError, match=name):
        FeedLimits(**bounds)


def test_the_defaults_stay_within_the_limits_of_the_exchange() -> None:
    limits = FeedLimits()
    assert limits.streams_per_connection <= 1024
    assert limits.connects_per_5_min <= 300
    assert limits.max_age_s < 24 * 3600
    # Three control messages in any second leave two of the five for a pong and what the network bunches up.
    assert 3 * limits.control_interval_s > 1


def test_a_venue_that_takes_twice_as_many_messages_is_told_things_twice_as_often() -> None:
    spot, futures = FeedLimits.of(Binance()), FeedLimits.of(BinanceFutures())
    assert spot == FeedLimits()
    assert futures.control_interval_s == spot.control_interval_s / 2


def test_a_venue_with_a_heartbeat_says_when_its_connections_are_probed() -> None:
    bitmex = BitMEX()
    limits = FeedLimits.of(bitmex)
    assert bitmex.heartbeat is not None
    # Its ping goes out after five seconds of silence, and is waited for as long again.
    assert (limits.probe_after_s, limits.idle_timeout_s) == (5.0, 10.0)
    # What else is the venue's stays so: 60 connections an hour, of which none is retired.
    assert limits.connects_per_5_min == 5
    assert limits.max_age_s == float("inf")
    assert limits.control_interval_s == 1.75
