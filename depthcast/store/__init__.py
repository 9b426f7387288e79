"""Object storage, as far as this project needs it: read, write under a condition, list.

The write rule of the whole system rests on this seam: every write carries exactly one condition, and its
outcome is one of four, never a bool. There is no unconditional write and no delete.

Implementations: :class:`depthcast.store.memory.MemoryStore` and :class:`depthcast.store.s3.S3Store`, both
under the one suite in ``tests/conformance``. No type of any SDK leaves this package.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, Protocol

from depthcast.errors import ExtraMissing, StoreError


class Outcome(Enum):
    """What became of a conditional write.

    ==========  =========================  =======================================================
    outcome     answers                    what the writer does
    ==========  =========================  =======================================================
    WON         200                        the object is ours; its ETag is the next condition
    LOST        412, 409, 404 on If-Match  somebody else's object (or our own retried write) is
                                           there, or none: read and compare
    THROTTLED   429, 503 SlowDown          as LOST, after a pause
    UNKNOWN     5xx, time-out, cut, any    it may have been applied or not: read and compare, after a
                other answer               pause; the read raises where the store itself is at fault
    ==========  =========================  =======================================================
    """

    WON = "won"
    LOST = "lost"
    THROTTLED = "throttled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PutResult:
    """The outcome of a write; ``etag`` is set if and only if it was won. ``reason`` is for people.

    ``error``: what a read would have raised, where the store or the way to it is at fault.
    """

    outcome: Outcome
    etag: str | None = None
    reason: str = ""
    error: StoreError | None = None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as read: ``body`` may be only its beginning where that was asked for.

    ``etag`` is opaque, quoted as the store sent it. ``metadata`` holds the user metadata, names in lower
    case without ``x-amz-meta-``. ``content_type`` is empty and ``cache_control`` ``None`` where the store
    sends none.
    """

    body: bytes
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    cache_control: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a listing."""

    key: str
    etag: str
    size: int
    last_modified_ms: int


MAX_LISTED_AT_ONCE: Final = 1000
"""S3's ListObjectsV2: "The action returns up to 1,000 key names"."""


class Unchanged(Enum):
    """The type of :data:`UNCHANGED`, the answer "304 Not Modified"."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


class Store(Protocol):
    """What the rest of the system may do to object storage.

    Reads raise a :class:`~depthcast.errors.StoreError`; a missing object is ``None``, not an error.
    Writes never raise for what the store or the network does: they return an outcome. Both may be
    cancelled; a cancelled write is as unknown as a timed-out one. A key that does not survive every store
    (:func:`depthcast.store.key.check_key`) is refused with :class:`~depthcast.errors.BadKey`, metadata that
    no header can carry with ``ValueError``.
    """

    @property
    def url(self) -> str:
        """Where this is, for people: never holds a secret."""
        ...

    async def get(self, key: str) -> StoredObject | None:
        """The whole object, or ``None`` where there is none."""
        ...

    async def peek(self, key: str, length: int) -> StoredObject | None:
        """The object's first ``length`` bytes with its ETag and metadata, or ``None``: one small read."""
        ...

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        """The whole object unless its ETag still is ``etag``."""
        ...

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
        """Write ``body`` only if the object's ETag is ``match``; ``None``: only if there is no object.

        Exactly one attempt is made; nothing is retried behind the caller's back.
        """
        ...

    def list(self, prefix: str) -> AsyncIterator[Entry]:
        """The objects whose keys begin with ``prefix`` (any string), in the order of their keys' bytes."""
        ...

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        """The first ``limit`` objects right in ``folder`` whose names come after ``after``: one request.

        ``folder`` ends with a slash; ``after`` is a name in it, there or not (empty: from the beginning).
        Names are in the order of their bytes; what lies in folders below is left out. Raises ``ValueError``
        unless ``limit`` is 1 to :data:`MAX_LISTED_AT_ONCE` (:func:`depthcast.store.key.check_page`).
        """
        ...

    async def close(self) -> None:
        """Wait, for a bounded time, for calls in flight and let go of connections.

        May be called again; any other call that follows raises ``RuntimeError``.
        """
        ...


def open_store(url: str, env: Mapping[str, str], *, for_readers: bool = False) -> Store:
    """The store at ``url``: ``s3://BUCKET[/PREFIX]`` or ``memory:`` (nothing outside this process sees it).

    ``env`` holds the usual AWS variables, as :class:`depthcast.store.aws.Aws` reads them. Nothing is sent
    yet. ``for_readers``: it will be read a thousand times a second (:mod:`depthcast.store.reading`).

    Raises :class:`~depthcast.errors.SettingsError` for a URL or a variable that cannot be used, and
    :class:`~depthcast.errors.ExtraMissing` where the packages for S3 are not installed.
    """
    if url == "memory:":
        from depthcast.store.memory import MemoryStore

        return MemoryStore()
    try:
        # They take a while to import and belong to an extra: only those who need them wait for them.
        from depthcast.store.aws import Aws, parse_url
        from depthcast.store.s3 import S3Store

        (bucket, prefix), aws = parse_url(url), Aws.from_env(env)
        if for_readers:
            from depthcast.store.reading import ReadingS3Store, behind_proxy

            if not behind_proxy(aws, bucket):
                return ReadingS3Store(bucket, prefix, aws=aws)
        return S3Store(bucket, prefix, aws=aws)
    except ModuleNotFoundError as missing:
        raise ExtraMissing("an s3:// store", "s3", missing.name or "a package") from None
