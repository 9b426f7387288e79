"""Exchanges by name, and which of their answers deny a symbol."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from depthcast.books.exchanges import exchange
from depthcast.errors import Refused, SettingsError, VenueUnavailable
from depthcast.venues.coinbase_signing import VARIABLES, CoinbaseKey
from tests.depthcast.books.coinbase import KEY, KEY_TEXT


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


def test_a_key_comes_from_a_value_a_file_or_the_environment(tmp_path: Path) -> None:
    def found(key: Any = None, environment: Mapping[str, str] = MappingProxyType({})) -> Any:
        made = exchange("coinbaseexchange", key=key, wall_ms=lambda: 0, environment=environment)
        venue: Any = made.venue
        return venue.key.api_key

    (tmp_path / "key").write_text(KEY_TEXT)
    named = dict(zip(VARIABLES, KEY, strict=True))
    assert found(tmp_path / "key") == found(str(tmp_path / "key")) == found(None, named) == KEY[0]
    assert found(CoinbaseKey(*KEY)) == KEY[0]
    for key, complaint in (
        (tmp_path / "none", "cannot read the key file"),
        (tmp_path, "cannot read the key file"),
    ):
        with pytest.raises(SettingsError, match=complaint):
            found(key)
    (tmp_path / "key").write_bytes(b"\xff\xfe secret")
    with pytest.raises(SettingsError, match="is not text") as caught:
        found(tmp_path / "key")
    assert "secret" not in str(caught.value)
    with pytest.raises(SettingsError, match="wants no key"):
        exchange("binance", key=tmp_path / "key")
