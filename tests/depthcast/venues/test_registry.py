"""Venues by name."""

import pytest

from depthcast.errors import SettingsError
from depthcast.files import SCHEMES
from depthcast.venues.registry import BY_ORDER, VENUES, venue_named


@pytest.mark.parametrize("name", VENUES)
def test_each_known_venue_has_urls_that_are_urls_and_files_of_its_own(name: str) -> None:
    venue = venue_named(name)
    assert venue.rest_url.startswith("https://")
    assert venue.stream_url.startswith("wss://")
    assert venue.stream_url.endswith("/stream")
    assert venue.scheme.venue == name
    assert venue.scheme is SCHEMES[name]


@pytest.mark.parametrize("name", VENUES)
def test_what_a_venue_says_of_its_snapshots_agrees_with_its_scheme(name: str) -> None:
    venue = venue_named(name)
    limits = venue.snapshot_limits
    assert list(limits) == sorted(set(limits))
    assert limits[-1] == venue.scheme.max_limit
    weights = [venue.depth_weight(limit) for limit in limits]
    assert weights == sorted(set(weights)), "each step buys more levels for more weight"


def test_urls_may_lead_to_another_place_that_speaks_the_same() -> None:
    venue = venue_named("binanceusdm", rest_url="http://127.0.0.1:1/", ws_url="ws://127.0.0.1:2")
    assert (venue.rest_url, venue.stream_url) == ("http://127.0.0.1:1", "ws://127.0.0.1:2/stream")


def test_an_unknown_venue_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"'binanse'.*; known are binance, binanceus, binanceusdm"):
        venue_named("binanse")


def test_venues_by_order_are_apart_for_nobody_publishes_them() -> None:
    assert not BY_ORDER.keys() & VENUES.keys()
    for name, known in BY_ORDER.items():
        venue = known.make(known.rest_url, known.ws_url, known.scheme)
        assert venue.scheme.venue == name
        assert venue.rest_url.startswith("https://")
        assert venue.stream_url.startswith("wss://")
