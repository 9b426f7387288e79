"""``DataFolder``: the one folder on disk that a running ``depthcast up`` owns.

::

    DATA/up.lock     held while an `up` runs on this folder; its text is that process's id
    DATA/store/      the embedded store
    DATA/store.env   how other commands reach it, for a shell to read; its owner's alone
    DATA/logs/       one log a process, and that of the run before as ….1

A lock of the operating system (``flock``) ends with the process that held it, however it ended: a folder is
never left locked.
"""

import fcntl
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from depthcast.errors import SettingsError
from depthcast.store.secret import write_private

_HINT: Final = "choose another folder with --data"


class DataFolder:
    """Made, checked and locked by entering it; raises :class:`~depthcast.errors.SettingsError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store: Path = path / "store"
        self.logs: Path = path / "logs"
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            for folder in (self.path, self.store, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock = os.open(self.path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._take(lock)
        except OSError as error:
            self._release()
            why = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
            raise SettingsError(f"the data folder {self.path} cannot be used: {why}", hint=_HINT) from None
        except SettingsError:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def log(self, name: str) -> Path:
        """Where the log of a process is."""
        return self.logs / f"{name}.log"

    def write_env(self, variables: Mapping[str, str]) -> Path:
        """Leave ``variables`` for other commands: ``set -a; . DATA/store.env`` in a shell."""
        path = self.path / "store.env"
        text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
        write_private(path, text)
        return path

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            raise SettingsError(
                f"the data folder {self.path} is in use by another depthcast up"
                + (f" (process {holder})" if holder else ""),
                hint=f"stop that one, or {_HINT}",
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
