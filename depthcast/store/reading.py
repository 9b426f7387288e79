"""ReadingS3Store: S3Store for a service that reads a thousand times a second.

What it reads takes a part of the CPU time that ``obstore`` needs (``python -m bench.read``): requests go
over connections of our own (:mod:`depthcast.store.pool`), their heads are signed ahead
(:mod:`depthcast.store.signing`). Writes and whole listings stay with ``obstore``. Results, errors and
addresses are the same.
"""

import ssl
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from urllib.parse import unquote_plus, urlsplit
from urllib.request import getproxies, proxy_bypass
from xml.etree import ElementTree

from depthcast.errors import SettingsError, StoreError
from depthcast.store import UNCHANGED, Entry, StoredObject, Unchanged
from depthcast.store.aws import Aws
from depthcast.store.connection import DEFAULT_MAX_BODY_BYTES, Answer, NoAnswer
from depthcast.store.credentials import provider
from depthcast.store.failure import Failure
from depthcast.store.key import check_page
from depthcast.store.pool import Origin, Pool
from depthcast.store.s3 import S3Store
from depthcast.store.signing import Signer

_METADATA = b"x-amz-meta-"


class ReadingS3Store(S3Store):
    """As :class:`~depthcast.store.s3.S3Store`, with as many connections again for reads.

    A read that the store refuses although its signature was good a moment ago is signed and sent once more:
    the clock may have been set, or the credentials renewed.
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
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        super().__init__(
            bucket,
            prefix,
            aws=aws,
            connect_timeout_s=connect_timeout_s,
            request_timeout_s=request_timeout_s,
            close_timeout_s=close_timeout_s,
            max_in_flight=max_in_flight,
            max_listed=max_listed,
        )
        base = base_url(aws, bucket)
        origin = Origin.of(base, lambda: _tls(aws))
        self._base = urlsplit(base).path + "/"
        self._pool = Pool(
            origin,
            connect_timeout_s=connect_timeout_s,
            request_timeout_s=request_timeout_s,
            max_connections=max_in_flight,
            max_body_bytes=max_body_bytes,
        )
        self._signer = Signer(
            provider(aws),
            host=origin.authority,
            region=aws.region,
            where=self._where,
            renewal_timeout_s=request_timeout_s,
        )

    async def get(self, key: str) -> StoredObject | None:
        answer = await self._ask(key, "")
        return self._object_if(200, answer)

    async def peek(self, key: str, length: int) -> StoredObject | None:
        if length < 1:
            raise ValueError("a peek reads one byte at least")
        answer = await self._ask(key, f"range: bytes=0-{length - 1}\r\n")
        # RFC 9110: 416 for a range of an empty object, and a server may ignore Range and send the whole.
        if answer.status == 416:
            answer = await self._ask(key, "")
        return self._object_if(206 if answer.status == 206 else 200, answer, length)

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        if not etag.isprintable() or not etag.isascii():
            raise ValueError(f"not an ETag: {etag!r:.80}")
        answer = await self._ask(key, f"if-none-match: {etag}\r\n")
        if answer.status == 304:
            return UNCHANGED
        return self._object_if(200, answer)

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        if self._closed:
            raise RuntimeError("the store was closed")
        # S3's ListObjectsV2. The client would ask for 1,000 keys where one is wanted.
        asked = {
            "list-type": "2",
            "delimiter": "/",
            "encoding-type": "url",
            "max-keys": str(limit),
            "prefix": self._prefix + folder,
            "start-after": self._prefix + check_page(folder, after, limit),
        }
        try:
            answer = await self._pool.fetch(await self._signer.sign_once(self._base, asked) + b"\r\n")
        except NoAnswer as failure:
            raise Failure.unanswered(failure.cause, failure.detail).error(self._where) from None
        if answer.status != 200:
            raise Failure.answered(answer.status, answer.body).error(self._where)
        try:
            root = ElementTree.fromstring(answer.body)
            return [self._entry_of(each) for each in root.iter() if _name(each) == "Contents"]
        except (ElementTree.ParseError, ValueError) as error:
            raise StoreError(f"{self._where} answers a listing that cannot be read: {error}") from None

    async def close(self) -> None:
        if not self._closed:
            await super().close()
            await self._pool.close(self._close_timeout_s)

    def check(self) -> None:
        """Raise ``AssertionError`` where the connections or the signatures held are not in order."""
        self._pool.check()
        self._signer.check()

    async def _ask(self, key: str, unsigned: str) -> Answer:
        path = self._base + self._path(key)
        rest = f"{unsigned}\r\n".encode("ascii")
        head = self._signer.kept(path)
        try:
            if head is not None:
                answer = await self._pool.fetch(head + rest)
                if answer.status not in (400, 401, 403):
                    return answer
            answer = await self._pool.fetch(await self._signer.sign(path) + rest)
        except NoAnswer as failure:
            raise Failure.unanswered(failure.cause, failure.detail).error(self._where) from None
        if answer.status in (400, 401, 403):
            self._signer.forget(path)
        return answer

    def _object_if(self, status: int, answer: Answer, length: int | None = None) -> StoredObject | None:
        """The object, cut to ``length``, or that there is none; anything else is raised."""
        if answer.status != status:
            self._expect_missing(Failure.answered(answer.status, answer.body))
            return None
        headers = answer.headers
        etag = headers.get(b"etag")
        if etag is None:
            raise StoreError(f"the store {self._where} sends no ETag", hint="conditional writes need ETags")
        cache_control = headers.get(b"cache-control")
        return StoredObject(
            answer.body[:length],
            etag.decode("latin-1"),
            {
                name[len(_METADATA) :].decode("latin-1"): value.decode("latin-1")
                for name, value in headers.items()
                if name.startswith(_METADATA)
            },
            headers.get(b"content-type", b"").decode("latin-1"),
            None if cache_control is None else cache_control.decode("latin-1"),
        )

    def _entry_of(self, contents: ElementTree.Element) -> Entry:
        found = {_name(each): each.text or "" for each in contents}
        modified = datetime.fromisoformat(found.get("LastModified", ""))
        return Entry(
            unquote_plus(found.get("Key", ""))[len(self._prefix) :],
            found.get("ETag", ""),
            int(found.get("Size", "0")),
            round(modified.timestamp() * 1000),
        )


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def base_url(aws: Aws, bucket: str) -> str:
    """The URL of a bucket, where ``obstore`` has it as well: a path below the endpoint, Amazon's or given."""
    return f"{aws.endpoint or f'https://s3.{aws.region}.amazonaws.com'}/{bucket}"


def behind_proxy(aws: Aws, bucket: str) -> bool:
    """Whether the variables of this process (``HTTPS_PROXY``, ``NO_PROXY`` …) put a proxy before the store.

    ``obstore`` goes through it; the connections here do not.
    """
    parts = urlsplit(base_url(aws, bucket))
    proxies = getproxies()
    return bool(proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(parts.netloc)


def _tls(aws: Aws) -> ssl.SSLContext:
    """The authorities that this machine trusts and, as in ``obstore``, that of ``AWS_CA_BUNDLE`` too."""
    context = ssl.create_default_context()
    found = ssl.get_default_verify_paths()
    try:
        if aws.ca_bundle is not None:
            context.load_verify_locations(aws.ca_bundle)
        if not found.cafile and not found.capath:
            # A bare machine: botocore brings what it trusts.
            from botocore.httpsession import get_cert_path

            context.load_verify_locations(get_cert_path(True))
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"the S3 client refuses its settings: {aws.ca_bundle} holds no certificates: {error}"
        ) from None
    return context
