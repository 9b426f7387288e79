"""The data folder: made, owned by one ``up`` at a time, refused in one line where it cannot be used."""

import os
import subprocess
from pathlib import Path

import pytest

from depthcast.cli.up.folder import DataFolder
from depthcast.errors import SettingsError


def test_it_is_made_with_all_that_is_in_it(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "new" / "data") as folder:
        assert folder.logs.is_dir()
        assert folder.store.is_dir()
        assert folder.log("server") == tmp_path / "new" / "data" / "logs" / "server.log"


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with DataFolder(tmp_path):
        with pytest.raises(SettingsError) as caught, DataFolder(tmp_path):
            pass
        assert f"in use by another depthcast up (process {os.getpid()})" in str(caught.value)
        assert "--data" in caught.value.hint


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with DataFolder(tmp_path) as folder:
            assert (folder.path / "up.lock").read_text() == str(os.getpid())


def test_what_is_no_folder_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SettingsError, match="file cannot be used: it is not a folder"),
        DataFolder(tmp_path / "file"),
    ):
        pass
    with (
        pytest.raises(SettingsError, match="cannot be used: Not a directory"),
        DataFolder(tmp_path / "file" / "below"),
    ):
        pass


def test_other_commands_find_the_store_by_a_file_for_the_shell_that_is_its_owners_alone(
    tmp_path: Path,
) -> None:
    with DataFolder(tmp_path / "data") as folder:
        path = folder.write_env({"AWS_SECRET_ACCESS_KEY": "a b'c", "DEPTHCAST_STORE_URL": "s3://x/y"})
    assert path.stat().st_mode & 0o077 == 0
    script = f'set -a; . "{path}"; printf "%s|%s" "$AWS_SECRET_ACCESS_KEY" "$DEPTHCAST_STORE_URL"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "a b'c|s3://x/y"
