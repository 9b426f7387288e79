"""Which keys and metadata a store takes: the ones every S3 gives back exactly as they were given.

Stores differ in what they do to an odd key: some drop an empty segment, some read ``\\`` as ``/``, some
resolve ``..``. Such keys are refused here, alike for all stores, before anything is sent. Pure.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from depthcast.errors import BadKey
from depthcast.store import MAX_LISTED_AT_ONCE

MAX_KEY_BYTES: Final = 1024
"""S3: "the name for a key is a sequence of Unicode characters whose UTF-8 encoding is up to 1,024 bytes"."""

_ODD = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\\\x00-\x1f\x7f]|[\ud800-\udfff]")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")

_HEADERS: Final = frozenset(
    ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type")
)


def check_key(key: str) -> str:
    """``key`` itself; raises :class:`~depthcast.errors.BadKey` for one that a store might change.

    >>> check_key("api/v3/depth?symbol=币安人生USDT&limit=5")
    'api/v3/depth?symbol=币安人生USDT&limit=5'
    """
    if _ODD.search(key):
        raise BadKey(
            key, "empty, '.' and '..' segments, '\\' and control characters do not survive every store"
        )
    if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
        raise BadKey(key, f"a key has at most {MAX_KEY_BYTES} bytes")
    return key


def check_metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """``metadata`` itself; raises ``ValueError`` for names or values that a header cannot carry intact."""
    for name, value in metadata.items():
        if not _names_metadata(name):
            raise ValueError(f"metadata name {name!r:.80} is not made of a-z, 0-9 and '-', or names a header")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"metadata value of {name} is empty or not printable ASCII: {value!r:.80}")
    return metadata


def check_page(folder: str, after: str, limit: int) -> str:
    """``folder`` and ``after`` as one key to begin behind.

    Raises ``ValueError`` for what is no page of a folder.

    >>> check_page("a/b/", "c", 10)
    'a/b/c'
    """
    if not folder.endswith("/") or "/" in after:
        raise ValueError(f"not a folder and a name in it: {folder!r:.80}, {after!r:.80}")
    if not 1 <= limit <= MAX_LISTED_AT_ONCE:
        raise ValueError(f"a page has 1 to {MAX_LISTED_AT_ONCE} objects, not {limit}")
    return folder + after


@lru_cache(maxsize=256)
def _names_metadata(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _HEADERS
