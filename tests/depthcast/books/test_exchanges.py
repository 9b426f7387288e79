"""Exchanges by name, and which of their answers deny a symbol."""

import pytest

from depthcast.books.exchanges import exchange
from depthcast.errors import Refused, SettingsError, VenueUnavailable


def test_urls_may_lead_to_another_place_that_speaks_the_same() -> None:
    made = exchange("binance", rest_url="http://127.0.0.1:1/", ws_url="ws://127.0.0.1:2")
    assert made.venue.rest_url == "http://127.0.0.1:1"
    assert made.venue.stream_url == "ws://127.0.0.1:2/stream"


def test_an_unknown_exchange_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"'binanse'.*; known are binance, binanceus, binanceusdm"):
        exchange("binanse")


@pytest.mark.parametrize(
    ("rest_url", "ws_url"), [("ftp://x", None), (None, "https://x"), ("http://u:p@x", None)]
)
def test_what_is_no_url_is_refused(rest_url: str | None, ws_url: str | None) -> None:
    with pytest.raises(SettingsError, match="is not a base url"):
        exchange("binance", rest_url=rest_url, ws_url=ws_url)


@pytest.mark.parametrize(
    ("error", "denied"),
    [
        (Refused(400, -1121, "Invalid symbol."), True),
        (Refused(400, -1100, "Illegal characters found in parameter 'symbol'"), True),
        (Refused(403, None, "an HTML page"), False),
        (VenueUnavailable("no answer"), False),
    ],
)
def test_only_the_exchanges_own_word_denies_a_symbol(error: Exception, denied: bool) -> None:
    assert exchange("binance").lacks_symbol(error) is denied
