"""``LogFile``: what a process says, on disk, in bounded room.

A log that cannot be written (a full disk) never stops the process it belongs to: what cannot be kept is
dropped and counted, and the next writes are tried again.
"""

import os
from pathlib import Path
from typing import BinaryIO


class LogFile:
    """Bytes appended to ``path``; at ``max_bytes`` the file becomes ``….1`` and a new one begins.

    What is there at the start becomes ``….1`` too, so a run begins with an empty log.
    """

    def __init__(self, path: Path, *, max_bytes: int = 8 * 1024 * 1024) -> None:
        self.path = path
        self.dropped: int = 0
        """Bytes that could not be written."""
        self._max_bytes = max_bytes
        self._size = 0
        self._file: BinaryIO | None = None
        self._begin()

    def write(self, data: bytes) -> None:
        """Append; complete lines, if the file is to change between lines."""
        if self._size + len(data) > self._max_bytes:
            self._begin()
        try:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            self._file.write(data)
            self._size += len(data)
        except OSError:
            self.dropped += len(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self.close()
        self._size = 0
        try:
            if self.path.exists():
                os.replace(self.path, self.path.with_name(self.path.name + ".1"))
            self._file = self.path.open("wb", buffering=0)
        except OSError:
            self._file = None
