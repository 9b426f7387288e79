"""MemoryStore: a store inside this process, for tests, simulation and trying things out.

A backend like any other: it runs under the suite in ``tests/conformance`` and keeps every promise of
:class:`depthcast.store.Store`. What it holds ends with the process. It is not thread-safe: one event loop.
"""

import hashlib
from bisect import bisect_right, insort
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import time
from types import MappingProxyType
from typing import Literal, NamedTuple

from depthcast.store import UNCHANGED, Entry, Outcome, PutResult, StoredObject, Unchanged
from depthcast.store.key import check_key, check_metadata, check_page


class _Held(NamedTuple):
    """One object as kept."""

    body: bytes
    etag: str
    metadata: Mapping[str, str]
    content_type: str
    cache_control: str | None
    modified_ms: int

    def read(self, length: int | None = None) -> StoredObject:
        return StoredObject(
            self.body[:length], self.etag, self.metadata, self.content_type, self.cache_control
        )


class MemoryStore:
    """Objects in a dictionary.

    ``content_etags``: an ETag is the MD5 of the body, as on Amazon's S3, so that equal bodies have equal
    ETags; otherwise it changes with each write. ``wall_ms`` dates the objects (milliseconds since 1970).
    """

    def __init__(
        self,
        *,
        content_etags: bool = False,
        wall_ms: Callable[[], int] = lambda: int(time() * 1000),
    ) -> None:
        self._content_etags = content_etags
        self._wall_ms = wall_ms
        self._objects: dict[str, _Held] = {}
        self._keys: list[str] | None = None
        """All keys, sorted, once a page was asked for."""
        self._writes = 0
        self._closed = False

    @property
    def url(self) -> str:
        return "memory:"

    async def get(self, key: str) -> StoredObject | None:
        held = self._find(key)
        return held and held.read()

    async def peek(self, key: str, length: int) -> StoredObject | None:
        held = self._find(key)
        return held and held.read(length)

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        held = self._find(key)
        if held is not None and held.etag == etag:
            return UNCHANGED
        return held and held.read()

    async def put_if(
        self,
        key: str,
        body: bytes,
        *,
        match: str | None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
        cache_control: str | None = None,
    ) -> PutResult:
        held = self._find(key)
        described = MappingProxyType(dict(check_metadata(metadata or {})))
        if match is None and held is not None:
            return PutResult(Outcome.LOST, reason="there is an object")
        if match is not None and held is None:
            return PutResult(Outcome.LOST, reason="there is no object")
        if match is not None and held is not None and match != held.etag:
            return PutResult(Outcome.LOST, reason=f"the object's ETag is {held.etag}")
        self._writes += 1
        etag = f'"{hashlib.md5(body).hexdigest()}"' if self._content_etags else f'"{self._writes}"'
        kept = bytes(body)
        if held is None and self._keys is not None:
            insort(self._keys, key, key=str.encode)
        self._objects[key] = _Held(kept, etag, described, content_type, cache_control, self._wall_ms())
        return PutResult(Outcome.WON, etag)

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        self._check_open()
        for key in sorted((key for key in self._objects if key.startswith(prefix)), key=str.encode):
            yield self._entry(key)

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        self._check_open()
        behind = check_page(folder, after, limit)
        if self._keys is None:
            self._keys = sorted(self._objects, key=str.encode)
        found: list[Entry] = []
        for at in range(bisect_right(self._keys, behind.encode(), key=str.encode), len(self._keys)):
            key = self._keys[at]
            if not key.startswith(folder) or len(found) == limit:
                break
            if "/" not in key[len(folder) :] and key != folder:
                found.append(self._entry(key))
        return found

    async def close(self) -> None:
        self._closed = True

    def _entry(self, key: str) -> Entry:
        held = self._objects[key]
        return Entry(key, held.etag, len(held.body), held.modified_ms)

    def _find(self, key: str) -> _Held | None:
        self._check_open()
        return self._objects.get(check_key(key))

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the store was closed")
