"""Paths and queries below ``/private/``, read."""

import pytest

from depthcast.metadata.kinds import account, commission
from depthcast.venues.requests import ApiError
from server.past import LogRequest
from server.private_requests import PrivateRequest, parse_private

NOW = 1_000_000


def test_each_document_and_its_changes_have_a_path() -> None:
    asked = {
        ("a/api/v3/account", b""): PrivateRequest(account("a")),
        ("a/api/v3/account", b"at=1000000"): PrivateRequest(account("a"), NOW),
        ("a/api/v3/account/commission", b"at=0&symbol=%E5%B8%81USDT"): PrivateRequest(
            commission("a", "币USDT"), 0
        ),
        ("a/history/account", b"limit=5&from=1&to=2"): PrivateRequest(
            account("a"), None, LogRequest(None, 1, 2, 5)
        ),
        ("a/history/commission", b"symbol=X&from=1970-01-02"): PrivateRequest(
            commission("a", "X"), None, LogRequest(None, 86_400_000, 9_999_999_999_999, 100)
        ),
    }
    for (path, query), wanted in asked.items():
        assert parse_private(path, query, NOW) == wanted


@pytest.mark.parametrize(
    "path", ["", "a", "a/", "a/api/v3/order", "a/b/api/v3/account", "..", "history/account"]
)
def test_what_is_no_document_of_an_account_is_nothing(path: str) -> None:
    assert parse_private(path, b"", NOW) is None


def test_names_that_no_account_has_are_nothing() -> None:
    for name in ("..", "metadata", "history", "a b", "x" * 51):
        assert parse_private(f"{name}/api/v3/account", b"", NOW) is None


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("a/api/v3/account", b"at=", -1105),
        ("a/api/v3/account", b"at=x", -1100),
        ("a/api/v3/account", b"at=1000001", -1130),
        ("a/api/v3/account", b"symbol=A", -1104),
        ("a/api/v3/account", b"at=5&symbol=A", -1101),
        ("a/api/v3/account/commission", b"at=5", -1102),
        ("a/api/v3/account/commission", b"symbol=", -1105),
        ("a/api/v3/account/commission", b"symbol=a/b", -1100),
        ("a/history/account", b"at=5", -1104),
        ("a/history/account", b"limit=501", -1130),
        ("a/history/account", b"limit=", -1105),
        ("a/history/commission", b"from=1", -1102),
        ("a/history/commission", b"symbol=A&to=y", -1100),
    ],
)
def test_what_is_wrong_is_told_in_the_exchanges_form(path: str, query: bytes, code: int) -> None:
    refused = parse_private(path, query, NOW)
    assert isinstance(refused, ApiError)
    assert refused.code == code
