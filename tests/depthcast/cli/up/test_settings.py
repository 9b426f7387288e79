"""What ``depthcast up`` may be told, and the one line it answers to what makes no sense."""

from pathlib import Path

import pytest

from depthcast.cli.up.settings import UpSettings
from depthcast.errors import SettingsError
from depthcast.files import LIMITS
from depthcast.settings import Address
from updater.settings import UpdaterSettings


def load(*argv: str, **env: str) -> UpSettings:
    return UpSettings.load(argv, env, warn=lambda line: None)


def test_nothing_needs_to_be_said() -> None:
    settings = load()
    assert (settings.exchange, settings.store_url, settings.symbols) == ("binance", "", ())
    assert (settings.listen, settings.updaters) == (Address("127.0.0.1", 8080), 2)
    assert settings.data == Path("depthcast-data")
    assert settings.limits == LIMITS
    assert settings.tape == ()
    assert load("--tape", "ETHUSDT,BTC*").tape == ("ETHUSDT", "BTC*")


def test_without_urls_a_venue_is_at_its_own() -> None:
    settings = load()
    assert (settings.venue, settings.rest_url, settings.ws_url) == (("binance",), "", "")


def test_symbols_without_a_venue_are_for_those_that_have_none_of_their_own() -> None:
    settings = load("--venue", "binanceusdm,binance", "--symbols", "A,binance:B,C", "--tape", "binance:B")
    assert settings.symbols_of("binanceusdm") == ("A", "C")
    assert settings.symbols_of("binance") == ("B",)
    assert (settings.tape_of("binanceusdm"), settings.tape_of("binance")) == ((), ("B",))
    both = load("--venue", "binanceusdm,binance", "--symbols", "A")
    assert both.symbols_of("binance") == both.symbols_of("binanceusdm") == ("A",)
    assert load().symbols_of("binance") == ()
    lively = load("--venue", "binance,bitmex", "--symbols", "bitmex:XBTUSD")
    assert lively.symbols_of("binance") == ()


def test_the_rule_for_symbols_is_the_updaters() -> None:
    argv = ("--venue", "binance,bitmex", "--symbols", "ETHUSDT,bitmex:XBTUSD")
    up = load(*argv)
    of_updater = {each.venue: each.symbols for each in UpdaterSettings.load_each(argv, {})}
    assert of_updater == {venue: up.symbols_of(venue) for venue in up.venue}


def test_a_key_is_for_the_venue_that_wants_one_and_books_by_price_want_none(tmp_path: Path) -> None:
    both, file, made_up = ("--venue", "binance,coinbaseexchange"), str(tmp_path / "key"), tmp_path / "made-up"
    settings = load(*both, "--venue-key-file", file)
    assert settings.key_of("binance") == ()
    assert settings.key_of("coinbaseexchange") == ("--venue-key-file", file)
    assert settings.key_of("coinbaseexchange", made_up=made_up) == ("--venue-key-file", str(made_up))
    assert load(*both).key_of("coinbaseexchange") == ()
    by_price = load(*both, "--by-price", DEPTHCAST_VENUE_KEY_FILE=file)
    assert by_price.key_of("binance") == ()
    assert by_price.key_of("coinbaseexchange", made_up=made_up) == ("--by-price",)
    for venue in both[1].split(","):
        # Updaters understand it, whatever the environment has for another one.
        argv = ["--venue", venue, "--symbols", "X", *settings.key_of(venue)]
        (updater,) = UpdaterSettings.load_each(argv, {"DEPTHCAST_VENUE_KEY_FILE": file})
        assert (updater.venue_key_file is None) == (venue == "binance")


def test_every_way_to_say_it_counts(tmp_path: Path) -> None:
    config = tmp_path / "depthcast.toml"
    config.write_text('symbols = ["ADAUSDT"]\n[up]\nupdaters = 3\ndata = "here"\n[updater]\nreplica = "a"\n')
    settings = load("--config", str(config), "--updaters", "4", DEPTHCAST_LIMITS="5,20")
    assert (settings.symbols, settings.limits) == (("ADAUSDT",), (5, 20))
    assert (settings.updaters, settings.data) == (4, Path("here"))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--exchange", "kraken"], "--exchange = 'kraken'"),
        (["--updaters", "0"], "--updaters = '0'"),
        (["--limits", "5,5001"], "between 1 and 5000"),
        (["--limits", ""], "between 1 and 5000"),
        (["--rest-url", "ws://x"], "--rest-url = 'ws://x'"),
        (["--ws-url", "https://x"], "--ws-url = 'https://x'"),
        (["--simulator-symbols", "0"], "a number up to 3000, or names"),
        (["--simulator-symbols", "3001"], "a number up to 3000, or names"),
        (["--simulator-symbols", ","], "a number up to 3000, or names"),
        (["--simulator-rate", "0"], "--simulator-rate = '0'"),
        (["--symbol", "ETHUSDT"], "did you mean --symbols?"),
        (["--venue", "nyse"], "should be one of binance, "),
        (["--venue", ""], "should be some of binance, "),
        (["--venue", "binance,binanceusdm", "--rest-url", "http://x"], "are one venue's"),
        (["--symbols", "binanceusdm:ETHUSDT"], "symbols has something for binanceusdm, which is not among"),
        (["--symbols", "ETHUSDT,binance:BTCUSDT"], "symbols has 'ETHUSDT' without a venue"),
        (["--tape", "bitmex:XBTUSD"], "tape has something for bitmex"),
    ],
)
def test_what_makes_no_sense_is_one_line_that_names_it(argv: list[str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(*argv)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
