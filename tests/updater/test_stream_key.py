"""The key of an account that an exchange's stream wants."""

from pathlib import Path

import pytest

from depthcast.errors import SettingsError
from depthcast.venues.coinbase_signing import VARIABLES, CoinbaseKey
from updater.settings import UpdaterSettings
from updater.stream_key import read_stream_key

SECRET = "c2VjcmV0LW9mLWEtdGVzdA=="
ENV = dict(zip(VARIABLES, ("0123456789abcdef", "passphrase", SECRET), strict=True))


def settings(*argv: str) -> UpdaterSettings:
    return UpdaterSettings.load(["--venue", "coinbaseexchange", *argv], {})


def test_a_key_comes_from_the_environment_or_from_a_file_which_goes_first(tmp_path: Path) -> None:
    key = read_stream_key(settings(), ENV)
    assert isinstance(key, CoinbaseKey)
    assert key.api_key == "0123456789abcdef"
    path = tmp_path / "key"
    path.write_text(f"fedcba9876543210\npassphrase\n{SECRET}\n")
    key = read_stream_key(settings("--venue-key-file", str(path)), ENV)
    assert isinstance(key, CoinbaseKey)
    assert key.api_key == "fedcba9876543210"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot read"),
        (b"\xff\xfe", "is not text"),
        (b"one line", "1 lines"),
        (b"a\nb\nc\n", "spelled"),
    ],
)
def test_a_file_that_is_none_shows_nothing_of_what_it_holds(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=why) as refused:
        read_stream_key(settings("--venue-key-file", str(path)), {})
    assert "one line" not in str(refused.value)


def test_without_one_the_hint_says_how_to_give_one() -> None:
    with pytest.raises(
        SettingsError, match="coinbaseexchange wants an account's key; name a file"
    ) as refused:
        read_stream_key(settings(), {})
    assert "--venue-key-file" in refused.value.hint
    assert "--by-price" in refused.value.hint


def test_books_by_price_need_none() -> None:
    assert read_stream_key(settings("--by-price"), {}) is None
    assert read_stream_key(settings("--by-price", "--venue-key-file", "not-read"), ENV) is None
    assert settings("--by-price").limits == (1, 2)
    with pytest.raises(SettingsError, match="books by order"):
        settings("--by-price", "--limits", "1,3")
    with pytest.raises(SettingsError, match="by_price is not for binance"):
        UpdaterSettings.load(["--by-price"], {})


def test_a_venue_whose_stream_wants_none_has_none(tmp_path: Path) -> None:
    assert read_stream_key(UpdaterSettings.load([], {}), ENV) is None
    with pytest.raises(SettingsError, match="binance wants no key"):
        read_stream_key(UpdaterSettings.load(["--venue-key-file", str(tmp_path / "key")], {}), {})
