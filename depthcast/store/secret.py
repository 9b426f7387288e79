"""Secrets at rest: made by chance, and kept in files that only their owner may read."""

import os
import secrets
import string
from contextlib import suppress
from pathlib import Path


def random_key(length: int) -> str:
    """Letters and digits by chance, about six bits each."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, as a whole."""
    beside = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        beside.unlink()
    with os.fdopen(
        os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    beside.replace(path)
