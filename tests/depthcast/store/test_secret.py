"""Secrets at rest: by chance, whole, and for their owner's eyes."""

import stat
from pathlib import Path

import pytest

from depthcast.store.secret import random_key, write_private


def test_keys_are_as_long_as_asked_for_and_different() -> None:
    keys = {random_key(40) for _ in range(50)}
    assert len(keys) == 50
    assert all(len(key) == 40 and key.isascii() and key.isalnum() for key in keys)


def test_a_file_is_its_owners_alone_whatever_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "store.env"
    path.write_text("old and longer than what follows")
    path.chmod(0o644)
    # What an earlier, interrupted writing left.
    (tmp_path / "store.env.new").write_text("half")
    write_private(path, "AWS_SECRET_ACCESS_KEY=ключ\n")
    assert path.read_text("utf-8") == "AWS_SECRET_ACCESS_KEY=ключ\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_there_stays_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.env"
    write_private(path, "first\n")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, "second\n")
    assert path.read_text("utf-8") == "first\n"
