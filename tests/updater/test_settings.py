"""The updater's settings: what is derived from them, and what is refused."""

from typing import Any

import pytest

from depthcast.errors import SettingsError
from depthcast.files import LIMITS
from updater.cadence import Cadence
from updater.settings import UpdaterSettings


def load(*argv: str, **env: str) -> UpdaterSettings:
    return UpdaterSettings.load(argv, env)


def test_defaults_publish_all_limits_of_two_symbols() -> None:
    settings = load()
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.limits == LIMITS
    assert settings.paced == Cadence()


def test_limits_are_sorted_and_each_taken_once() -> None:
    assert load("--limits", "100,5,100").limits == (5, 100)


def test_the_cadence_stands_on_the_stores_floor() -> None:
    settings = load("--cadence", "10:0,5000:300", "--store-floor-ms", "200")
    assert [settings.paced.every_s(limit) for limit in (5, 500)] == [0.2, 0.3]


@pytest.mark.parametrize(
    ("limits", "asked", "refill"),
    [("5,10", 100, 32), ("100", 500, 200), ("500", 1000, 625), ("1000", 5000, 2000), ("5000", 5000, 4750)],
)
def test_snapshots_are_as_deep_as_the_files_need(limits: str, asked: int, refill: int) -> None:
    settings = load("--limits", limits)
    assert (settings.snapshot_limit, settings.refill_below) == (asked, refill)


def test_replicas_have_names_of_their_own() -> None:
    assert load().replica != load().replica
    assert load("--replica", "eu-1").replica == "eu-1"
    assert load(DEPTHCAST_REPLICA="eu-2").replica == "eu-2"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--limits", ""], "between 1 and 5000"),
        (["--limits", "5,5001"], "between 1 and 5000"),
        (["--symbols", ","], "at least one symbol"),
        (["--cadence", "fast"], "limit:ms"),
        (["--cadence", "100:0,10:1"], "ascending limits"),
        (["--replica", "a b"], "should match"),
        (["--replica", "é"], "should match"),
        (["--writes-at-once", "0"], "greater than or equal to 1"),
        (["--weight-share", "1.5"], "less than or equal to 1"),
    ],
)
def test_what_cannot_be_used_is_one_line(argv: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        load(*argv)
    assert "\n" not in str(caught.value)


def test_every_setting_is_described_in_one_line() -> None:
    field: Any
    for name, field in UpdaterSettings.model_fields.items():
        assert field.description, name
        assert "\n" not in field.description
        assert "|" not in field.description


def test_what_is_not_set_is_the_venues() -> None:
    settings = UpdaterSettings.load(["--venue", "binanceusdm"], {})
    assert settings.limits == (5, 10, 20, 50, 100, 500, 1000)
    assert settings.rest_url == "https://fapi.binance.com"
    assert settings.make_venue().stream_url == "wss://fstream.binance.com/public/stream"
    assert (settings.snapshot_limit, settings.api_url) == (1000, "")
    smaller = UpdaterSettings.load(["--venue", "binanceusdm", "--limits", "5,50"], {})
    assert (smaller.limits, smaller.snapshot_limit) == ((5, 50), 100)
    simulated = UpdaterSettings.load(
        ["--venue", "binanceusdm", "--exchange", "simulator", "--simulator-url", "http://sim:1"], {}
    )
    assert simulated.make_venue().rest_url == "http://sim:1"
    assert simulated.api_url == ""


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("--venue", "kraken"), "should be one of binance, binanceus, binanceusdm"),
        (("--venue", "binanceusdm", "--limits", "5,7"), "limits has one that binanceusdm does not know"),
        (("--venue", "binanceus", "--api-url", "http://x"), "are not of binanceus"),
    ],
)
def test_what_the_venue_does_not_know_is_refused(argv: tuple[str, ...], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        UpdaterSettings.load(argv, {})
