"""Signed heads against botocore's signatures, and how long they are kept; the clocks are the tests' own."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from depthcast.errors import StoreUnavailable
from depthcast.store.signing import RENEWAL_PAUSE_S, Signer, encode_path, encode_query, signed_head

if TYPE_CHECKING:
    from obstore.store import S3Credential

AT = datetime(2024, 5, 17, 23, 59, 58, tzinfo=UTC)
PATHS = [
    "/books/plain",
    "/books/live/api/v3/depth?symbol=币安人生USDT&limit=5",
    "/books/a key/with spaces +plus%2Fpercent",
    "/books/stars*~and#hash@at!bang$dollar'quote(paren)",
    "/books/comma,semi;colon:equals=amp&",
    "/books/emoji-😀",
]


def credential(
    key: str = "AKEY", *, token: str | None = None, expires_at: datetime | None = None
) -> "S3Credential":
    return {"access_key_id": key, "secret_access_key": "TOP/SECRET", "token": token, "expires_at": expires_at}


def headers_of(head: bytes) -> dict[str, str]:
    assert head.endswith(b"\r\n")
    lines = head.decode("ascii").splitlines()[1:]
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", [None, "to+ken=="])
@pytest.mark.parametrize(
    ("scheme", "host"), [("http", "127.0.0.1:8333"), ("https", "s3.eu-west-1.amazonaws.com")]
)
def test_a_signature_is_botocores(
    path: str, token: str | None, scheme: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: AT)
    request = AWSRequest("GET", f"{scheme}://{host}{encode_path(path)}")
    signer = botocore.auth.S3SigV4Auth(Credentials("AKEY", "TOP/SECRET", token), "s3", "eu-west-1")
    signer.add_auth(request)
    head = signed_head(encode_path(path), host, "eu-west-1", credential(token=token), AT)
    ours = headers_of(head)
    assert ours.pop("host") == host
    assert ours == {name.lower(): value for name, value in request.headers.items()}
    assert head.startswith(f"GET {encode_path(path)} HTTP/1.1\r\n".encode())


def test_a_signature_covers_the_query_as_botocores_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: AT)
    asked = {"list-type": "2", "start-after": "a/b c+%2F币", "prefix": "a/", "delimiter": "/"}
    query = encode_query(asked)
    request = AWSRequest("GET", f"http://127.0.0.1:8333/books/?{query}")
    botocore.auth.S3SigV4Auth(Credentials("AKEY", "TOP/SECRET"), "s3", "eu-west-1").add_auth(request)
    head = signed_head("/books/", "127.0.0.1:8333", "eu-west-1", credential(), AT, query=query)
    assert headers_of(head)["authorization"] == request.headers["Authorization"]
    assert head.startswith(f"GET /books/?{query} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("key", ["A\r\nX-Injected: 1", "Aé"])
def test_credentials_that_would_break_a_header_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="no header can carry"):
        signed_head("/b/k", "h", "us-east-1", credential(key), AT)


class World:
    """A clock, and a provider that counts and obeys."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.asked = 0
        self.expires_after_s: float | None = None
        self.failure: Exception | None = None
        self.signer = Signer(
            self.provide,
            host="h",
            region="us-east-1",
            where="s3://b at h",
            keep_s=60.0,
            renewal_timeout_s=5.0,
            max_kept=3,
            clock=lambda: self.now_s,
            now=lambda: AT + timedelta(seconds=self.now_s),
        )

    async def provide(self) -> "S3Credential":
        self.asked += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        expires_at = None
        if self.expires_after_s is not None:
            expires_at = AT + timedelta(seconds=self.now_s + self.expires_after_s)
        return credential(f"KEY{self.asked}", expires_at=expires_at)


async def test_a_head_is_kept_for_its_time() -> None:
    world = World()
    signer = world.signer
    assert signer.kept("/b/k") is None
    head = await signer.sign("/b/k")
    world.now_s += 59.9
    assert signer.kept("/b/k") == head
    world.now_s += 0.1
    assert signer.kept("/b/k") is None
    assert await signer.sign("/b/k") != head
    signer.forget("/b/k")
    assert signer.kept("/b/k") is None
    assert world.asked == 1
    signer.check()


async def test_no_more_heads_are_kept_than_allowed() -> None:
    signer = World().signer
    for number in range(5):
        await signer.sign(f"/b/{number}")
        signer.check()
    assert [signer.kept(f"/b/{number}") is not None for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


async def test_credentials_are_renewed_when_they_expire_and_heads_do_not_outlive_them() -> None:
    world = World()
    world.expires_after_s = 20.0
    head = await world.signer.sign("/b/k")
    assert b"KEY1" in head
    world.now_s += 20.0
    assert world.signer.kept("/b/k") is None
    assert b"KEY2" in await world.signer.sign("/b/k")


async def test_many_callers_share_a_renewal() -> None:
    world = World()
    await asyncio.gather(*(world.signer.sign(f"/b/{number}") for number in range(20)))
    assert world.asked == 1


async def test_a_failed_renewal_leaves_the_old_credentials_for_a_while() -> None:
    world = World()
    world.expires_after_s = 20.0
    await world.signer.sign("/b/k")
    world.now_s += 20.0
    world.failure = RuntimeError("the role's service\nis away")
    assert b"KEY1" in await world.signer.sign("/b/k")
    assert b"KEY1" in await world.signer.sign("/b/other")
    assert world.asked == 2
    world.failure = None
    world.now_s += RENEWAL_PAUSE_S
    assert b"KEY3" in await world.signer.sign("/b/k")


async def test_without_any_credentials_one_line_says_why() -> None:
    world = World()
    world.failure = RuntimeError("the role's service\nis away")
    with pytest.raises(
        StoreUnavailable, match="no credentials for the store s3://b at h: the role's service is"
    ):
        await world.signer.sign("/b/k")


async def test_credentials_that_no_header_carries_are_told_as_the_store_s_trouble() -> None:
    world = World()

    async def provide() -> "S3Credential":
        return credential("A\r\nX-Injected: 1")

    signer = Signer(
        provide, host="h", region="r", where="s3://b at h", keep_s=60.0, clock=lambda: world.now_s
    )
    with pytest.raises(StoreUnavailable, match=r"s3://b at h cannot be asked: .*; correct the AWS_"):
        await signer.sign("/b/k")
    assert signer.kept("/b/k") is None
    signer.check()
