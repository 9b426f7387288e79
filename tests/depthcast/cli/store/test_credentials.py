"""Who may use the store: made once, kept, replaced by what the environment says, never shown."""

import configparser
import stat
from pathlib import Path

import boto3
import pytest

from depthcast.cli.store.credentials import identities
from depthcast.errors import SettingsError

GIVEN = {"AWS_ACCESS_KEY_ID": "GIVENKEY", "AWS_SECRET_ACCESS_KEY": "GIVENSECRET"}


def test_they_are_made_by_chance_and_stay(tmp_path: Path) -> None:
    writer, reader = identities(tmp_path, {})
    assert (writer.may_write, reader.may_write) == (True, False)
    assert len({writer.access_key_id, writer.secret_access_key, *identities(tmp_path / "other", {})}) == 4
    assert writer.access_key_id != reader.access_key_id
    assert identities(tmp_path, {}) == (writer, reader)


def test_readers_of_what_is_published_read_nothing_private_and_others_have_credentials_of_their_own(
    tmp_path: Path,
) -> None:
    writer, reader = identities(tmp_path, {})
    assert "Read:books/api/*" in reader.actions("books")
    assert "Read:books" not in reader.actions("books")
    assert not any("private" in action for action in reader.actions("books"))
    (tmp_path / "private").mkdir()
    *same, private = identities(tmp_path, {})
    assert same == [writer, reader]
    assert private.actions("books") == ["Read:books", "List:books"]
    assert (tmp_path / "private" / "credentials").exists()


def test_the_files_are_their_owners_and_boto3_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = identities(tmp_path, {})
    for each in (writer, reader):
        path = tmp_path / each.name / "credentials"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
        found = boto3.Session().get_credentials()
        assert found is not None
        assert (found.access_key, found.secret_key) == (each.access_key_id, each.secret_access_key)


def test_the_environments_are_the_writers_and_are_handed_on(tmp_path: Path) -> None:
    _, reader = identities(tmp_path, {})
    writer, same = identities(tmp_path, GIVEN)
    assert (writer.access_key_id, writer.secret_access_key) == ("GIVENKEY", "GIVENSECRET")
    assert same == reader
    held = configparser.ConfigParser()
    held.read(tmp_path / "writer" / "credentials")
    assert held["default"]["aws_secret_access_key"] == "GIVENSECRET"


def test_a_secret_in_a_file_is_taken_from_there(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("FROMFILE\n")
    env = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "secret")}
    assert identities(tmp_path, env)[0].secret_access_key == "FROMFILE"


def test_one_that_is_deleted_is_made_anew(tmp_path: Path) -> None:
    writer, reader = identities(tmp_path, {})
    (tmp_path / "reader" / "credentials").unlink()
    again, other = identities(tmp_path, {})
    assert again == writer
    assert other.access_key_id != reader.access_key_id


@pytest.mark.parametrize(
    "damage", ["", "no section", "[default]\naws_access_key_id = SECRETLIKE\n", "[x]\ny = 1\n"]
)
def test_a_damaged_file_is_one_line_that_shows_nothing_of_it(tmp_path: Path, damage: str) -> None:
    identities(tmp_path, {})
    (tmp_path / "writer" / "credentials").write_text(damage)
    with pytest.raises(
        SettingsError, match="no AWS credentials file with a profile default; delete"
    ) as raised:
        identities(tmp_path, {})
    assert "SECRETLIKE" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "writer").write_text("a file")
    with pytest.raises(SettingsError, match="Not a directory"):
        identities(tmp_path, {})


def test_no_secret_is_shown(tmp_path: Path) -> None:
    assert "GIVENSECRET" not in repr(identities(tmp_path, GIVEN))
