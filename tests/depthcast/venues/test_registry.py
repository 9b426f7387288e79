"""Venues by name."""

import json

import pytest

from depthcast.errors import SettingsError
from depthcast.files import SCHEMES
from depthcast.venues.bitmex import BitMEX
from depthcast.venues.coinbase_signing import CoinbaseKey
from depthcast.venues.keeping import StreamKey
from depthcast.venues.registry import VENUES, venue_named


@pytest.mark.parametrize("name", VENUES)
def test_each_known_venue_has_urls_that_are_urls_and_files_of_its_own(name: str) -> None:
    venue = venue_named(name)
    assert venue.rest_url.startswith("https://")
    assert venue.stream_url.startswith("wss://")
    assert venue.stream_url.endswith(("/stream", "/realtime")) or VENUES[name].keys is not None
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


def test_a_venue_that_says_things_without_a_time_is_given_a_clock() -> None:
    venue = venue_named("bitmex", wall_ms=lambda: 77)
    assert isinstance(venue, BitMEX)
    assert venue.wall_ms() == 77
    assert venue_named("binance", wall_ms=lambda: 77) == venue_named("binance")


def test_an_unknown_venue_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"'binanse'.*; known are binance, binanceus, binanceusdm"):
        venue_named("binanse")


def test_who_has_keys_signs_with_one_at_the_time_that_is_told() -> None:
    key = CoinbaseKey("0123456789abcdef", "pass", "c2VjcmV0")
    venue = venue_named("coinbaseexchange", key=key, wall_ms=lambda: 1_700_000_000_000)
    message = json.loads(venue.subscribe_message(["BTC-USD"], 1))
    assert message.items() >= key.members(1_700_000_000_000).items()
    assert "signature" not in venue_named("coinbaseexchange").subscribe_message(["BTC-USD"], 1)
    assert venue_named("binance", key=key, wall_ms=lambda: 0) == venue_named("binance")


@pytest.mark.parametrize("keys", [known.keys for known in VENUES.values() if known.keys is not None])
def test_a_made_up_key_is_spelled_like_one(keys: type[StreamKey]) -> None:
    assert keys.parse(keys.made_up()) is not None


@pytest.mark.parametrize("name", VENUES)
def test_each_file_of_a_venue_has_its_cadence(name: str) -> None:
    known = VENUES[name]
    steps = [size for size, _ in known.keeping.steps_ms]
    assert steps == sorted(set(steps))
    assert known.scheme.size(known.scheme.limits[0]) <= steps[0] <= steps[-1]
