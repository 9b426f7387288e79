"""S3Store: any S3 with conditional writes, over ``obstore`` (Rust ``object_store``).

Each call is one request, with a time-out, and a bounded number of them is under way at a time. Nothing is
retried here: a PUT repeated behind the writer's back could overtake its own successor. The client's
exceptions end in this module; :mod:`depthcast.store.failure` reads them.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as Client

from depthcast.errors import SettingsError, StoreError
from depthcast.store import UNCHANGED, Entry, Outcome, PutResult, StoredObject, Unchanged
from depthcast.store.aws import Aws, Location
from depthcast.store.credentials import provider
from depthcast.store.failure import Failure
from depthcast.store.key import check_key, check_metadata, check_page

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta, PutMode
    from obstore.store import ClientConfig

# What obstore lists as attributes beside the user's own metadata.
_HEADERS: Final = frozenset(
    (
        "Cache-Control",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Content-Type",
        "Storage-Class",
    )
)

# obstore raises its own tree, and FileNotFoundError for a 404.
_CLIENT_ERRORS: Final = (BaseError, OSError)


class S3Store:
    """The objects of ``bucket`` whose keys begin with ``prefix`` and a slash (empty: all of them).

    Raises :class:`~depthcast.errors.SettingsError` for settings that the client refuses.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        aws: Aws,
        # Time-outs
        connect_timeout_s: float = 2.0,
        request_timeout_s: float = 5.0,
        close_timeout_s: float = 5.0,
        # Limits
        max_in_flight: int = 64,
        max_listed: int = 500_000,
    ) -> None:
        self._where = aws.where(Location(bucket, prefix))
        self._prefix = f"{prefix}/" if prefix else ""
        self._close_timeout_s = close_timeout_s
        self._max_in_flight = max_in_flight
        self._max_listed = max_listed
        self._slots = asyncio.Semaphore(max_in_flight)
        self._closed = False
        self._client = _connect(bucket, aws, connect_timeout_s, request_timeout_s, max_in_flight)

    @property
    def url(self) -> str:
        return self._where

    async def get(self, key: str) -> StoredObject | None:
        try:
            return await self._read(key, {})
        except _CLIENT_ERRORS as error:
            self._expect_missing(Failure.of(error))
            return None

    async def peek(self, key: str, length: int) -> StoredObject | None:
        try:
            return await self._read(key, {"range": (0, length)})
        except _CLIENT_ERRORS as error:
            failure = Failure.of(error)
        # RFC 9110: 416 for a range of an empty object, and a server may ignore Range and send the whole.
        if failure.status != 416 and not failure.whole:
            self._expect_missing(failure)
            return None
        found = await self.get(key)
        return found and StoredObject(
            found.body[:length], found.etag, found.metadata, found.content_type, found.cache_control
        )

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        try:
            return await self._read(key, {"if_none_match": etag})
        except _CLIENT_ERRORS as error:
            failure = Failure.of(error)
        if failure.status == 304:
            return UNCHANGED
        self._expect_missing(failure)
        return None

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
        attributes = {**check_metadata(metadata or {}), "Content-Type": content_type}
        if cache_control is not None:
            attributes["Cache-Control"] = cache_control
        mode: PutMode = "create" if match is None else {"e_tag": match}
        path = self._path(key)
        try:
            async with self._slots:
                # Never in parts: a multipart upload has no condition.
                put = await obstore.put_async(
                    self._client, path, body, attributes=attributes, mode=mode, use_multipart=False
                )
        except _CLIENT_ERRORS as error:
            failure = Failure.of(error)
            outcome = failure.outcome(matching=match is not None)
            if outcome is Outcome.LOST:
                return PutResult(outcome, reason=f"{failure.status} {failure.code}")
            fault = failure.error(self._where)
            return PutResult(outcome, reason=str(fault), error=fault)
        etag = put["e_tag"]
        if etag is None:  # the client raises for this by itself; its types do not say so
            return PutResult(Outcome.UNKNOWN, reason="the store's answer has no ETag")
        return PutResult(Outcome.WON, etag)

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        for entry in await self._listed(prefix):
            yield entry

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        # The client asks for 1,000 whatever is wanted, and for what lies in folders below too.
        if self._closed:
            raise RuntimeError("the store was closed")
        behind = self._prefix + check_page(folder, after, limit)
        within = len(self._prefix + folder)
        found: list[Entry] = []
        try:
            async with self._slots:
                async for page in obstore.list(
                    self._client, self._prefix + folder, offset=behind, chunk_size=1000
                ):
                    found.extend(self._entry(meta) for meta in page if "/" not in meta["path"][within:])
                    if len(found) >= limit:
                        break
        except _CLIENT_ERRORS as error:
            raise Failure.of(error).error(self._where) from None
        return found[:limit]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            async with asyncio.timeout(self._close_timeout_s):
                for _ in range(self._max_in_flight):
                    await self._slots.acquire()
        except TimeoutError:
            return  # what is still under way ends by its own time-out

    def _path(self, key: str) -> str:
        if self._closed:
            raise RuntimeError("the store was closed")
        return self._prefix + check_key(key)

    async def _read(self, key: str, options: "GetOptions") -> StoredObject:
        path = self._path(key)
        async with self._slots:
            answer: GetResult = await obstore.get_async(self._client, path, options=options)
            body = bytes(await answer.bytes_async())
        etag = answer.meta["e_tag"]
        if etag is None:
            raise StoreError(f"the store {self._where} sends no ETag", hint="conditional writes need ETags")
        attributes = {str(name): value for name, value in answer.attributes.items()}
        return StoredObject(
            body,
            etag,
            {name.lower(): value for name, value in attributes.items() if name not in _HEADERS},
            attributes.get("Content-Type", ""),
            attributes.get("Cache-Control"),
        )

    def _expect_missing(self, failure: Failure) -> None:
        if not failure.missing:
            raise failure.error(self._where)

    def _entry(self, meta: "ObjectMeta") -> Entry:
        modified_ms = round(meta["last_modified"].timestamp() * 1000)
        return Entry(meta["path"][len(self._prefix) :], meta["e_tag"] or "", meta["size"], modified_ms)

    async def _listed(self, prefix: str) -> Sequence[Entry]:
        """All of a listing, sorted: SeaweedFS lists ``a/b`` before ``a!``, folder by folder.

        The client lists whole folders (``api/v3`` and all below), so the rest of ``prefix`` is picked here.
        """
        if self._closed:
            raise RuntimeError("the store was closed")
        wanted = self._prefix + prefix
        folder = wanted[: wanted.rfind("/") + 1]
        entries: list[Entry] = []
        try:
            async with self._slots:
                async for page in obstore.list(self._client, folder or None, chunk_size=1000):
                    entries.extend(self._entry(meta) for meta in page if meta["path"].startswith(wanted))
                    if len(entries) > self._max_listed:
                        raise StoreError(
                            f"{self._where} has more than {self._max_listed} objects under {prefix!r}",
                            hint="list a narrower prefix",
                        )
        except _CLIENT_ERRORS as error:
            raise Failure.of(error).error(self._where) from None
        entries.sort(key=lambda entry: entry.key.encode())
        return entries


def _connect(
    bucket: str, aws: Aws, connect_timeout_s: float, request_timeout_s: float, max_in_flight: int
) -> Client:
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=connect_timeout_s),
        "timeout": timedelta(seconds=request_timeout_s),
        "pool_max_idle_per_host": str(max_in_flight),
    }
    if aws.ca_bundle is not None:
        options["root_certificate"] = aws.ca_bundle.read_bytes()
    try:
        return Client(
            bucket,
            config={
                "region": aws.region,
                "unsigned_payload": _payload_is_safe(aws.endpoint),
                **({"endpoint": aws.endpoint} if aws.endpoint else {}),
            },
            client_options=options,
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=request_timeout_s)},
            credential_provider=provider(aws),
        )
    except (BaseError, ValueError, OSError) as error:
        raise SettingsError(f"the S3 client refuses its settings: {Failure.of(error).detail}") from None


def _payload_is_safe(endpoint: str | None) -> bool:
    """Whether nobody on the way can change a body, so that hashing it would only cost time.

    It is a third of the client's work for a file of 300 kB.
    """
    parts = urlsplit(endpoint or "https://")
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
