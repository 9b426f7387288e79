"""Where the S3 client's credentials come from."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from depthcast.errors import SettingsError
from depthcast.store.aws import Aws
from depthcast.store.credentials import RENEW_AFTER, provider


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for boto3's files, and nothing else for it to find."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


async def test_those_of_the_environment_are_given_for_good() -> None:
    give = provider(Aws(access_key_id="A", secret_access_key="S", session_token="T"))
    assert await give() == {"access_key_id": "A", "secret_access_key": "S", "token": "T", "expires_at": None}


async def test_otherwise_boto3_finds_them_and_is_asked_again(home: Path) -> None:
    (home / "credentials").write_text("[default]\naws_access_key_id = D\naws_secret_access_key = E\n")
    given = await provider(Aws())()
    assert (given["access_key_id"], given["secret_access_key"]) == ("D", "E")
    expires_at = given["expires_at"]
    assert expires_at is not None
    assert timedelta(0) < expires_at - datetime.now(UTC) <= RENEW_AFTER


async def test_a_profile_is_looked_up(home: Path) -> None:
    (home / "credentials").write_text("[books]\naws_access_key_id = P\naws_secret_access_key = Q\n")
    assert (await provider(Aws(profile="books"))())["access_key_id"] == "P"


def test_a_profile_that_is_not_there_is_one_line(home: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        provider(Aws(profile="nowhere"))


def test_no_credentials_at_all_is_one_line_that_says_what_to_set(home: Path) -> None:
    with pytest.raises(SettingsError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        provider(Aws())
