"""Signed heads of GET requests: AWS Signature Version 4 in the ``Authorization`` header.

A signature covers the path, the host and the time, and neither ``If-None-Match`` nor ``Range``; S3 takes it
for 15 minutes. So the head for a key is signed once and kept for :data:`DEFAULT_KEEP_S`, well within that,
and each request only adds what is not signed. Unlike a presigned URL nothing here ends up in the log of a
proxy, and a wrong clock is told as such (``RequestTimeTooSkewed``).

Signed here rather than by botocore: it takes 0.3 s to import and reads the clock by itself. It is the oracle
of the tests instead.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from depthcast.errors import StoreUnavailable
from depthcast.store.credentials import Provider

if TYPE_CHECKING:
    from obstore.store import S3Credential

DEFAULT_KEEP_S: Final = 60.0
DEFAULT_MAX_KEPT: Final = 20_000
DEFAULT_RENEWAL_TIMEOUT_S: Final = 5.0
RENEWAL_PAUSE_S: Final = 10.0
"""Credentials that could not be renewed are asked for again after so long; until then the old ones serve."""

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_EMPTY: Final = hashlib.sha256(b"").hexdigest()


def encode_path(path: str) -> str:
    """``path`` as it is both sent and signed: all but letters, digits and ``-._~/`` in percent codes.

    >>> encode_path("/books/api/v3/depth?symbol=币USDT")
    '/books/api/v3/depth%3Fsymbol%3D%E5%B8%81USDT'
    """
    return quote(path, safe="-._~/")


def encode_query(parameters: Mapping[str, str]) -> str:
    """A query as it is both sent and signed: sorted, and encoded as a path is, the slash too.

    >>> encode_query({"prefix": "a/b", "list-type": "2"})
    'list-type=2&prefix=a%2Fb'
    """
    pairs = (f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in parameters.items())
    return "&".join(sorted(pairs))


def signed_head(
    path: str, host: str, region: str, credential: "S3Credential", at: datetime, *, query: str = ""
) -> bytes:
    """The head of ``GET path[?query]`` with its signature, without the empty line at its end.

    ``path`` is encoded (:func:`encode_path`), ``query`` too (:func:`encode_query`), ``host`` as in the URL:
    with the port unless it is the scheme's own. The rule is Amazon's "Authenticating Requests: Using the
    Authorization Header". Raises ``ValueError`` for credentials that a header cannot carry.
    """
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    signed = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp}
    token = credential.get("token")
    if token:
        signed["x-amz-security-token"] = token
    names = ";".join(signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = f"GET\n{path}\n{query}\n{lines}\n{names}\n{_EMPTY}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credential['secret_access_key']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    who = f"Credential={credential['access_key_id']}/{scope}"
    signed["authorization"] = f"{_ALGORITHM} {who}, SignedHeaders={names}, Signature={signature}"
    if not all(value.isascii() and value.isprintable() for value in signed.values()):
        raise ValueError("the credentials hold characters that no header can carry")
    target = f"{path}?{query}" if query else path
    return "".join(
        (f"GET {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in signed.items()))
    ).encode("ascii")


class Signer:
    """Heads by path, for one host. ``where`` names the store in errors.

    ``provider`` is asked for credentials when those held expire, by one caller at a time. ``clock`` is
    monotonic, in seconds; ``now`` the time of day, for the signature.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        host: str,
        region: str,
        where: str,
        # Times
        keep_s: float = DEFAULT_KEEP_S,
        renewal_timeout_s: float = DEFAULT_RENEWAL_TIMEOUT_S,
        # Limits
        max_kept: int = DEFAULT_MAX_KEPT,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._provider = provider
        self._host = host
        self._region = region
        self._where = where
        self._keep_s = keep_s
        self._renewal_timeout_s = renewal_timeout_s
        self._max_kept = max_kept
        self._clock = clock
        self._now = now
        self._kept: dict[str, tuple[bytes, float]] = {}
        self._credential: S3Credential | None = None
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    def kept(self, path: str) -> bytes | None:
        """The head for ``path`` (not encoded) where one is held that is young enough."""
        held = self._kept.get(path)
        if held is None or self._clock() >= held[1]:
            return None
        return held[0]

    async def sign(self, path: str) -> bytes:
        """A new head for ``path``, kept from now on.

        Raises :class:`~depthcast.errors.StoreUnavailable` where no credentials can be had.
        """
        head = await self.sign_once(path)
        self.forget(path)
        while len(self._kept) >= self._max_kept:
            del self._kept[next(iter(self._kept))]
        # Never beyond the credentials: boto3 renews them long before they expire.
        self._kept[path] = head, min(self._clock() + self._keep_s, self._renew_at)
        return head

    async def sign_once(self, path: str, parameters: Mapping[str, str] = MappingProxyType({})) -> bytes:
        """A head for ``path`` with a query, not kept. Raises as :meth:`sign`."""
        credential = await self._current()
        query = encode_query(parameters)
        try:
            return signed_head(
                encode_path(path), self._host, self._region, credential, self._now(), query=query
            )
        except ValueError as error:
            raise StoreUnavailable(
                f"the store {self._where} cannot be asked: {error}", hint="correct the AWS_… credentials"
            ) from None

    def forget(self, path: str) -> None:
        """Keep no head for ``path``: the store refused it."""
        self._kept.pop(path, None)

    def check(self) -> None:
        """Raise ``AssertionError`` where more is held than may be, or for too long."""
        assert len(self._kept) <= self._max_kept
        latest = self._clock() + self._keep_s
        assert all(until <= latest for _, until in self._kept.values())
        assert self._credential is not None or not self._kept

    async def _current(self) -> "S3Credential":
        if self._credential is None or self._clock() >= self._renew_at:
            async with self._renewing:
                if self._credential is None or self._clock() >= self._renew_at:
                    self._credential = await self._renewed()
        return self._credential

    async def _renewed(self) -> "S3Credential":
        try:
            async with asyncio.timeout(self._renewal_timeout_s):
                credential = await self._provider()
        except Exception as error:  # boto3 has many, and asks over HTTP itself
            if self._credential is None:
                why = " ".join(str(error).split())[:200] or "no answer in time"
                raise StoreUnavailable(
                    f"there are no credentials for the store {self._where}: {why}",
                    hint="it is tried again; check the profile or the role they come from",
                ) from None
            # Those held may be good for some minutes more; the store will say when they are not.
            self._renew_at = self._clock() + RENEWAL_PAUSE_S
            return self._credential
        expires_at = credential.get("expires_at")
        left_s = float("inf") if expires_at is None else (expires_at - self._now()).total_seconds()
        self._renew_at = self._clock() + left_s
        return credential
