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
        ({"venue": "binance,bitmex", "symbols": "X,binance:A,bitmex:B"}, "symbols has 'X' without a venue"),
        ({"venue": "binance,bitmex", "venue_key_file": "key"}, "venue_key_file is of no use to binance and"),
        ({"venue": "binance,bitmex", "by_price": True}, "by_price is of no use to binance and bitmex"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(given: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as refused:
        by_venue(given)
    assert refused.value.hint


def test_a_key_and_what_else_is_for_some_venues_goes_to_those() -> None:
    three = each(
        *("--venue", "binance,coinbaseexchange,bitmex", "--symbols", "X", "--venue-key-file", "coinbase.key"),
        *("--api-url", "https://api", "--account", "main", "--account-key-file", "binance.key"),
    )
    assert {venue: str(found.venue_key_file) for venue, found in three.items()} == {
        "binance": "None",
        "coinbaseexchange": "coinbase.key",
        "bitmex": "None",
    }
    assert {venue: found.account for venue, found in three.items()} == {
        "binance": "main",
        "coinbaseexchange": "",
        "bitmex": "",
    }
    by_price = each("--venue", "binance,coinbaseexchange", "--symbols", "X", "--by-price")
    assert [found.by_price for found in by_price.values()] == [False, True]
    assert by_price["coinbaseexchange"].limits == (1, 2)


@pytest.mark.parametrize("name", ["coinbase.key", "coinbaseexchange:coinbase.key"])
def test_what_an_environment_or_a_file_holds_for_another_venue_is_passed_over(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "depthcast.toml"
    file.write_text(f'[updater]\nvenue_key_file = "{name}"\nby_price = true\n')
    env = {"DEPTHCAST_VENUE_KEY_FILE": name, "DEPTHCAST_BY_PRICE": "true", "DEPTHCAST_ACCOUNT": "main"}
    for argv, variables in ((("--config", str(file)), {}), ((), env)):
        (spot,) = UpdaterSettings.load_each([*argv, "--venue", "bitmex"], variables)
        assert (spot.venue_key_file, spot.by_price, spot.account) == (None, False, "")
        (coinbase,) = UpdaterSettings.load_each([*argv, "--venue", "coinbaseexchange"], variables)
        assert (str(coinbase.venue_key_file), coinbase.by_price) == ("coinbase.key", True)


def test_what_a_command_line_says_to_the_wrong_venue_is_refused() -> None:
    with pytest.raises(SettingsError, match="by_price is not for bitmex"):
        each("--venue", "bitmex", "--by-price")
    with pytest.raises(SettingsError, match="account are not of bitmex"):
        each("--venue", "bitmex", "--account", "main")


def test_a_venue_that_is_not_known_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="venue = 'nowhere'"):
        each("--venue", "binance,nowhere", "--symbols", "X")


def test_settings_of_the_process_exist_and_are_taken_whole() -> None:
    assert (OF_PROCESS | set(OF_ONE)) <= set(UpdaterSettings.model_fields)
    found = by_venue({"venue": "binance,binanceusdm", "store_url": "s3://a,binance:b", "writes_at_once": 7})
    assert {settings["store_url"] for settings in found.values()} == {"s3://a,binance:b"}
    assert {settings["writes_at_once"] for settings in found.values()} == {7}
