"""What each of several venues of one process is set to, whatever the settings come from."""

from pathlib import Path

import pytest

from depthcast.errors import SettingsError
from updater.by_venue import OF_ONE, OF_PROCESS, by_venue
from updater.settings import UpdaterSettings


def each(*argv: str, env: dict[str, str] | None = None) -> dict[str, UpdaterSettings]:
    return {found.venue: found for found in UpdaterSettings.load_each(argv, env or {})}


def test_one_venue_is_set_as_ever() -> None:
    (found,) = UpdaterSettings.load_each(["--symbols", "A,B"], {})
    assert (found.venue, found.symbols) == ("binance", ("A", "B"))


def test_symbols_without_a_venue_are_for_those_that_have_none_of_their_own() -> None:
    both = each("--venue", "binance,binanceusdm", "--symbols", "BTCUSDT,ETHUSDT")
    assert {venue: found.symbols for venue, found in both.items()} == {
        "binance": ("BTCUSDT", "ETHUSDT"),
        "binanceusdm": ("BTCUSDT", "ETHUSDT"),
    }
    apart = each("--venue", "binance,binanceusdm", "--symbols", "BTCUSDT,binanceusdm:ETHUSDT")
    assert {venue: found.symbols for venue, found in apart.items()} == {
        "binance": ("BTCUSDT",),
        "binanceusdm": ("ETHUSDT",),
    }


def test_each_venue_has_its_own_limits_and_urls_and_all_have_one_name() -> None:
    both = each("--venue", "binance,binanceusdm", "--symbols", "X", "--tape", "binance:X")
    spot, futures = both["binance"], both["binanceusdm"]
    assert spot.rest_url != futures.rest_url
    assert spot.limits != futures.limits
    assert spot.replica == futures.replica
    assert (spot.tape, futures.tape) == (("X",), ())


def test_an_environment_and_a_file_say_it_in_the_same_words(tmp_path: Path) -> None:
    file = tmp_path / "depthcast.toml"
    file.write_text('[updater]\nvenue = ["binance", "binanceusdm"]\nsymbols = ["A", "binanceusdm:B"]\n')
    for found in (
        each("--config", str(file)),
        each(env={"DEPTHCAST_VENUE": "binance,binanceusdm", "DEPTHCAST_SYMBOLS": "A,binanceusdm:B"}),
    ):
        assert {venue: settings.symbols for venue, settings in found.items()} == {
            "binance": ("A",),
            "binanceusdm": ("B",),
        }


def test_urls_are_told_apart_by_their_venue() -> None:
    both = each(
        *("--venue", "binance,binanceusdm", "--symbols", "X", "--exchange", "simulator"),
        *("--simulator-url", "http://127.0.0.1:1,binanceusdm:http://127.0.0.1:2"),
    )
    assert both["binance"].rest_url == "http://127.0.0.1:1"
    assert both["binanceusdm"].ws_url == "ws://127.0.0.1:2"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"venue": "binance,binance"}, "venue names one twice"),
        ({"venue": ","}, "venue names none"),
        ({"venue": "binance", "symbols": "binanceusdm:X"}, "symbols has something for binanceusdm"),
        ({"venue": "binance,binanceusdm", "symbols": "binance:X"}, "symbols names none for binanceusdm"),
        ({"venue": "binance,binanceusdm", "rest_url": "https://a"}, "rest_url is one venue's"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(given: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as refused:
        by_venue(given)
    assert refused.value.hint


def test_a_venue_that_is_not_known_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="venue = 'nowhere'"):
        each("--venue", "binance,nowhere", "--symbols", "X")


def test_settings_of_the_process_exist_and_are_taken_whole() -> None:
    assert (OF_PROCESS | set(OF_ONE)) <= set(UpdaterSettings.model_fields)
    found = by_venue({"venue": "binance,binanceusdm", "store_url": "s3://a,binance:b", "writes_at_once": 7})
    assert {settings["store_url"] for settings in found.values()} == {"s3://a,binance:b"}
    assert {settings["writes_at_once"] for settings in found.values()} == {7}
