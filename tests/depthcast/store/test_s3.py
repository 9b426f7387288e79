"""S3Store against a server that answers anything: what becomes of a write, and what people are told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from depthcast.errors import AccessDenied, BucketMissing, SettingsError, StoreError, StoreUnavailable
from depthcast.store import UNCHANGED, Outcome, PutResult, StoredObject
from depthcast.store.aws import Aws
from depthcast.store.s3 import S3Store

if TYPE_CHECKING:
    from tests.depthcast.store.conftest import Script

ETAG = '"e1"'


def opened(endpoint: str, **options: float) -> S3Store:
    aws = Aws(endpoint, access_key_id="AKEY", secret_access_key="TOPSECRET")
    return S3Store("books", "live", aws=aws, **options)  # type: ignore[arg-type]


@pytest.fixture
async def store(script: "Script") -> AsyncIterator[S3Store]:
    store = opened(script.endpoint, request_timeout_s=30.0)
    yield store
    await store.close()


async def create(store: S3Store) -> PutResult:
    return await store.put_if("k", b"body", match=None)


async def replace(store: S3Store) -> PutResult:
    return await store.put_if("k", b"body", match=ETAG)


# What a write carries


async def test_a_write_carries_one_condition_its_metadata_and_headers(
    script: "Script", store: S3Store
) -> None:
    script.says(200, "", f"ETag: {ETAG}")
    result = await store.put_if(
        "a?b=c&d",
        b"one",
        match=None,
        metadata={"epoch": "3"},
        content_type="application/json",
        cache_control="max-age=1",
    )
    assert result == PutResult(Outcome.WON, ETAG)
    await store.put_if("a?b=c&d", b"two", match=ETAG)
    create, replace = script.requests
    assert create.startswith(b"PUT /books/live/a%3Fb%3Dc%26d HTTP/1.1\r\n")
    assert create.endswith(b"\r\n\r\none")
    lines = set(create.split(b"\r\n"))
    assert {b"if-none-match: *", b"x-amz-meta-epoch: 3", b"content-type: application/json"} < lines
    assert b"cache-control: max-age=1" in lines
    assert b"if-match" not in create.lower()
    assert b'if-match: "e1"' in replace.split(b"\r\n")
    assert b"if-none-match" not in replace.lower()


async def test_a_large_write_is_one_request_with_its_condition(script: "Script", store: S3Store) -> None:
    script.says(200, "", f"ETag: {ETAG}")
    await store.put_if("k", bytes(12 << 20), match=ETAG)
    [request] = script.requests
    assert b'if-match: "e1"' in request[:1000]


# What becomes of a write


@pytest.mark.parametrize(
    ("status", "code", "created", "replaced"),
    [
        (412, "PreconditionFailed", Outcome.LOST, Outcome.LOST),
        (409, "ConditionalRequestConflict", Outcome.LOST, Outcome.LOST),
        (304, "", Outcome.LOST, Outcome.LOST),
        (404, "NoSuchKey", Outcome.UNKNOWN, Outcome.LOST),
        (404, "", Outcome.UNKNOWN, Outcome.LOST),
        (404, "NoSuchBucket", Outcome.UNKNOWN, Outcome.UNKNOWN),
        (429, "", Outcome.THROTTLED, Outcome.THROTTLED),
        (503, "SlowDown", Outcome.THROTTLED, Outcome.THROTTLED),
        (503, "", Outcome.UNKNOWN, Outcome.UNKNOWN),
        (500, "InternalError", Outcome.UNKNOWN, Outcome.UNKNOWN),
        (507, "XMinioStorageFull", Outcome.UNKNOWN, Outcome.UNKNOWN),
        (501, "NotImplemented", Outcome.UNKNOWN, Outcome.UNKNOWN),
        (403, "SignatureDoesNotMatch", Outcome.UNKNOWN, Outcome.UNKNOWN),
        (400, "ExpiredToken", Outcome.UNKNOWN, Outcome.UNKNOWN),
        (301, "PermanentRedirect", Outcome.UNKNOWN, Outcome.UNKNOWN),
    ],
)
async def test_each_answer_has_its_outcome(
    script: "Script", store: S3Store, status: int, code: str, created: Outcome, replaced: Outcome
) -> None:
    script.says(status, code)
    results = [await create(store), await replace(store)]
    assert [result.outcome for result in results] == [created, replaced]
    assert all(result.etag is None and result.reason for result in results)
    assert all((result.error is None) == (result.outcome is Outcome.LOST) for result in results)
    assert len(script.requests) == 2, "exactly one attempt each"


async def test_a_cut_connection_is_unknown_and_not_tried_again(script: "Script", store: S3Store) -> None:
    script.answer = b""
    result = await replace(store)
    assert result.outcome is Outcome.UNKNOWN
    assert "the connection broke" in result.reason
    assert len(script.requests) == 1


async def test_no_answer_in_time_is_unknown(script: "Script") -> None:
    script.answer = None
    store = opened(script.endpoint, request_timeout_s=0.2)
    result = await replace(store)
    assert result.outcome is Outcome.UNKNOWN
    assert "did not answer in time" in result.reason
    await until(lambda: bool(script.requests))
    assert len(script.requests) == 1


async def test_a_success_without_etag_is_unknown(script: "Script", store: S3Store) -> None:
    script.says(200)
    assert (await create(store)).outcome is Outcome.UNKNOWN


async def test_nothing_listening_is_unknown(unused_tcp_port: int) -> None:
    result = await create(opened(f"http://127.0.0.1:{unused_tcp_port}"))
    assert result.outcome is Outcome.UNKNOWN
    assert isinstance(result.error, StoreUnavailable)
    assert "nothing listens there" in result.reason


# What a read raises


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (404, "NoSuchBucket", BucketMissing, "create it"),
        (403, "", AccessDenied, "bucket's policy"),
        (401, "", AccessDenied, "denies access"),
        (403, "InvalidAccessKeyId", AccessDenied, "correct AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", AccessDenied, "correct AWS_SECRET_ACCESS_KEY"),
        (400, "ExpiredToken", AccessDenied, "renew the credentials"),
        (403, "RequestTimeTooSkewed", AccessDenied, "set the clock"),
        (400, "AuthorizationHeaderMalformed", AccessDenied, "AWS_REGION"),
        (301, "PermanentRedirect", StoreError, "AWS_REGION"),
        (429, "", StoreUnavailable, "fewer requests"),
        (503, "SlowDown", StoreUnavailable, "fewer requests"),
        (507, "", StoreUnavailable, "is full"),
        (500, "InternalError", StoreUnavailable, "500 InternalError"),
        (501, "NotImplemented", StoreError, "depthcast probe"),
        (400, "Strange", StoreError, "400 Strange"),
    ],
)
async def test_each_answer_to_a_read_is_one_line_that_says_what_to_do(
    script: "Script", store: S3Store, status: int, code: str, kind: type[StoreError], words: str
) -> None:
    script.says(status, code)
    for reading in (store.get("k"), store.peek("k", 8), store.get_if_changed("k", ETAG), _first(store)):
        with pytest.raises(kind) as raised:
            await reading
        line = str(raised.value)
        assert words in line
        assert f"s3://books/live at {script.endpoint}" in line
        assert "\n" not in line
        assert "TOPSECRET" not in line


async def _first(store: S3Store) -> object:
    return [entry async for entry in store.list("")]


async def test_a_body_cut_short_is_no_object(script: "Script", store: S3Store) -> None:
    script.answer = (
        b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{"lastUpdateId":1'
    )
    with pytest.raises(StoreUnavailable, match="the connection broke"):
        await store.get("k")


async def test_an_object_without_etag_is_refused(script: "Script", store: S3Store) -> None:
    script.says(200, body=b"x")
    with pytest.raises(StoreError, match="no ETag"):
        await store.get("k")


async def test_a_store_that_ignores_ranges_still_gives_a_peek(script: "Script", store: S3Store) -> None:
    script.says(200, "", f"ETag: {ETAG}", body=b"0123456789")
    assert await store.peek("k", 4) == StoredObject(b"0123", ETAG, {}, "", None)


async def test_not_modified_is_unchanged(script: "Script", store: S3Store) -> None:
    script.says(304)
    assert await store.get_if_changed("k", ETAG) is UNCHANGED
    assert b'if-none-match: "e1"' in script.requests[0].split(b"\r\n")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_host_that_does_not_resolve_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreUnavailable, match=r"does not resolve; correct AWS_ENDPOINT_URL"):
        await opened(f"{scheme}://no-such-host.invalid").get("k")


async def test_plain_http_where_tls_is_expected_is_named() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StoreUnavailable, match="TLS handshake failed; check http:// against https://"):
            await opened(f"https://127.0.0.1:{port}").get("k")


# Bounds


async def test_no_more_requests_are_under_way_than_allowed(script: "Script") -> None:
    script.answer = None
    store = opened(script.endpoint, max_in_flight=3, request_timeout_s=30, close_timeout_s=0.0)
    calls = [asyncio.ensure_future(create(store)) for _ in range(5)]
    await until(lambda: len(script.requests) == 3)
    await asyncio.sleep(0.05)
    assert len(script.requests) == 3
    # Each that ends makes room for one.
    for number, call in enumerate(calls, 4):
        call.cancel()
        await until(lambda number=number: len(script.requests) == min(number, 5))  # type: ignore[misc]
    await asyncio.gather(*calls, return_exceptions=True)


async def test_a_cancelled_call_gives_its_place_back(script: "Script") -> None:
    script.answer = None
    store = opened(script.endpoint, max_in_flight=1, request_timeout_s=30)
    call = asyncio.ensure_future(create(store))
    await until(lambda: len(script.requests) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    script.says(200, "", f"ETag: {ETAG}")
    assert (await asyncio.wait_for(create(store), 30)).outcome is Outcome.WON


async def test_close_waits_for_what_is_under_way(script: "Script") -> None:
    script.answer = None
    store = opened(script.endpoint, request_timeout_s=0.3)
    call = asyncio.ensure_future(create(store))
    await until(lambda: len(script.requests) == 1)
    await store.close()
    assert call.done()


async def test_close_does_not_wait_for_ever(script: "Script") -> None:
    script.answer = None
    store = opened(script.endpoint, request_timeout_s=30, close_timeout_s=0.05)
    call = asyncio.ensure_future(create(store))
    await until(lambda: len(script.requests) == 1)
    await store.close()
    assert not call.done()
    call.cancel()


async def test_a_listing_longer_than_allowed_is_refused(script: "Script") -> None:
    store = opened(script.endpoint, max_listed=1)
    rest = "<LastModified>2024-01-01T00:00:00Z</LastModified><ETag>e</ETag><Size>1</Size>"
    both = "".join(f"<Contents><Key>live/{name}</Key>{rest}</Contents>" for name in "ab")
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{both}</ListBucketResult>"
    script.says(200, body=body.encode())
    with pytest.raises(StoreError, match="more than 1 objects"):
        await _first(store)


def test_settings_the_client_refuses_are_one_line(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n")
    with pytest.raises(SettingsError, match="the S3 client refuses its settings"):
        S3Store("b", aws=Aws(access_key_id="a", secret_access_key="b", ca_bundle=certificate))


async def test_the_variables_of_this_process_do_not_mix_in(
    script: "Script", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-another-store")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    script.says(200, "", f"ETag: {ETAG}")
    await create(opened(script.endpoint))
    [request] = script.requests
    assert b"of-another-store" not in request
    assert b"Credential=AKEY/" in request


@pytest.mark.parametrize(
    ("endpoint", "unsigned"),
    [(None, True), ("https://s3.example", True), ("http://localhost:1", True), ("http://127.3.2.1:1", True),
     ("http://[::1]:1", True), ("http://10.0.0.1:1", False), ("http://minio:9000", False)],
)  # fmt: skip
def test_a_body_is_hashed_where_someone_on_the_way_could_change_it(
    endpoint: str | None, unsigned: bool
) -> None:
    store = S3Store("b", aws=Aws(endpoint, access_key_id="a", secret_access_key="b"))
    config: Mapping[str, object] = {**store._client.config}
    assert config["unsigned_payload"] == str(unsigned).lower()


async def until(done: Callable[[], bool], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
