"""Coinbase's signed subscriptions, against the standard library and the documented recipe."""

import base64
import hashlib
import hmac

import pytest

from depthcast.errors import SettingsError
from depthcast.venues.coinbase_signing import VARIABLES, CoinbaseKey

SECRET = base64.b64encode(b"a secret of some length").decode()
TEXT = f"0123456789abcdef\nmy pass phrase\n{SECRET}\n"


def test_a_subscription_is_signed_as_the_documents_say() -> None:
    members = CoinbaseKey.parse(TEXT).members(1_795_255_200_999)
    message = b"1795255200GET/users/self/verify"
    expected = hmac.new(b"a secret of some length", message, hashlib.sha256).digest()
    assert base64.b64decode(members.pop("signature")) == expected
    assert members == {"key": "0123456789abcdef", "passphrase": "my pass phrase", "timestamp": "1795255200"}


def test_a_key_may_come_from_the_environment() -> None:
    values = dict(zip(VARIABLES, TEXT.splitlines(), strict=True))
    key = CoinbaseKey.of_environment(values)
    assert key is not None
    assert key.members(0) == CoinbaseKey.parse(TEXT).members(0)
    assert CoinbaseKey.of_environment({}) is None


@pytest.mark.parametrize("missing", VARIABLES)
def test_half_a_key_in_the_environment_is_an_error(missing: str) -> None:
    values = dict(zip(VARIABLES, TEXT.splitlines(), strict=True))
    del values[missing]
    with pytest.raises(SettingsError, match=missing):
        CoinbaseKey.of_environment(values)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0123456789abcdef",
        f"shrt7\nzebra\n{SECRET}",
        "0123456789abcdef\nzebra\nno7base64!",
        f"0123456789abcdef\n\x07\n{SECRET}",
        f"0123456789abcdef\nzebra\n{SECRET}\nmore7",
        "0123456789abcdef\nzebra\n====",
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        CoinbaseKey.parse(text)
    assert not any(len(line) > 3 and line in str(refused.value) for line in text.splitlines())


def test_a_key_of_no_account_signs_as_any_does() -> None:
    text = CoinbaseKey.made_up()
    assert CoinbaseKey.made_up() == text
    members = CoinbaseKey.parse(text).members(1_795_255_200_999)
    expected = hmac.new(b"simulated", b"1795255200GET/users/self/verify", hashlib.sha256).digest()
    assert base64.b64decode(members["signature"]) == expected
    assert (members["key"], members["passphrase"]) == ("0" * 32, "simulated")


def test_a_key_shows_no_secret() -> None:
    key = CoinbaseKey.parse(TEXT)
    for shown in (repr(key), str(key)):
        assert "phrase" not in shown
        assert SECRET not in shown
