"""Reads of ReadingS3Store: the same results and errors as ``obstore`` gives, and no secret anywhere."""

import asyncio
import datetime
import itertools
import logging
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from depthcast.errors import AccessDenied, SettingsError, StoreError, StoreUnavailable
from depthcast.store import UNCHANGED, Outcome, StoredObject, open_store
from depthcast.store.aws import Aws, parse_url
from depthcast.store.memory import MemoryStore
from depthcast.store.reading import ReadingS3Store
from depthcast.store.s3 import S3Store

if TYPE_CHECKING:
    from tests.depthcast.store.conftest import Script

ETAG = '"e1"'
KEYS = [
    "plain",
    "api/v3/depth?symbol=币安人生USDT&limit=5",
    "a key/with spaces +plus%2Fpercent",
    "percent%41",
    "stars*~and#hash@at!bang$dollar'quote(paren)",
    "comma,semi;colon:equals=amp&",
    'quote"angle<>brace{}pipe|caret^back`tick[]',
    "combining-e\u0301-and-composed-\u00e9",
    "emoji-😀",
]


def opened(endpoint: str, **options: float) -> ReadingS3Store:
    aws = Aws(endpoint, access_key_id="AKEY", secret_access_key="TOPSECRET")
    return ReadingS3Store("books", "live", aws=aws, **options)  # type: ignore[arg-type]


def by_obstore(endpoint: str) -> S3Store:
    aws = Aws(endpoint, access_key_id="AKEY", secret_access_key="TOPSECRET")
    return S3Store("books", "live", aws=aws, request_timeout_s=30.0)


@pytest.fixture
async def store(script: "Script") -> AsyncIterator[ReadingS3Store]:
    store = opened(script.endpoint, request_timeout_s=30.0)
    yield store
    store.check()
    await store.close()


async def outcome_of(store: S3Store, how: str) -> object:
    """What a read gives, or the type and the text of what it raises."""
    try:
        match how:
            case "get":
                return await store.get("k?a=b&c")
            case "peek":
                return await store.peek("k?a=b&c", 4)
            case _:
                return await store.get_if_changed("k?a=b&c", ETAG)
    except StoreError as error:
        return type(error), str(error)


@pytest.mark.parametrize("how", ["get", "peek", "get_if_changed"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "NoSuchKey"),
        (404, ""),
        (404, "NoSuchBucket"),
        (403, ""),
        (401, ""),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "RequestTimeTooSkewed"),
        (400, "ExpiredToken"),
        (400, "AuthorizationHeaderMalformed"),
        (400, "Strange"),
        (301, "PermanentRedirect"),
        (429, ""),
        (503, "SlowDown"),
        (503, ""),
        (500, "InternalError"),
        (507, ""),
        (501, "NotImplemented"),
    ],
)
async def test_each_refusal_is_told_as_obstores(
    script: "Script", store: ReadingS3Store, how: str, status: int, code: str
) -> None:
    other = by_obstore(script.endpoint)
    script.says(status, code)
    expected, got = await outcome_of(other, how), await outcome_of(store, how)
    if status == 301:  # obstore does not tell the store's own code of a redirection
        got = without(got, f" {code}")
    assert got == expected
    assert "TOPSECRET" not in str(got)
    await other.close()


def without(told: object, code: str) -> object:
    assert isinstance(told, tuple)
    return told[0], told[1].replace(code, "", 1)


@pytest.mark.parametrize(
    ("form", "how"),
    [
        *itertools.product(["plain", "bare", "no etag", "closing", "cut"], ["get", "peek", "get_if_changed"]),
        ("not modified", "get_if_changed"),
    ],
)
async def test_each_answer_is_read_as_obstore_reads_it(
    script: "Script", store: ReadingS3Store, how: str, form: str
) -> None:
    meta = ("x-amz-meta-epoch: 3", "X-Amz-Meta-Certain-Bids: 5000+", "Cache-Control: no-cache")
    ranged = 206 if how == "peek" else 200
    within = ("Content-Range: bytes 0-3/10",) if how == "peek" else ()
    body = b"0123" if how == "peek" else b"0123456789"
    match form:
        case "plain":
            script.says(ranged, "", f"ETag: {ETAG}", "Content-Type: a/b", *meta, *within, body=body)
        case "bare":
            script.says(ranged, "", "ETag: unquoted", *within, body=body)
        case "no etag":
            script.says(ranged, "", *within, body=body)
        case "closing":
            script.says(ranged, "", f"ETag: {ETAG}", "Connection: close", *within, body=body)
        case "not modified":
            script.says(304, "", f"ETag: {ETAG}")
        case _:
            script.answer = b""
    other = by_obstore(script.endpoint)
    expected = await outcome_of(other, how)
    got = await outcome_of(store, how)
    if form == "no etag":
        assert isinstance(got, tuple)
        assert "sends no ETag" in got[1]
        return
    assert got == expected
    if form not in ("cut", "not modified"):
        assert isinstance(got, StoredObject)
        assert got.body == body
    await other.close()


async def test_a_body_in_chunks_is_read(script: "Script", store: ReadingS3Store) -> None:
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: {ETAG}\r\n\r\n"
    script.answer = f"{head}3\r\n012\r\n7\r\n3456789\r\n0\r\n\r\n".encode()
    for reading in (store.get("k"), store.get_if_changed("k", '"old"')):
        assert await reading == StoredObject(b"0123456789", ETAG, {}, "", None)


async def test_a_store_that_ignores_ranges_still_gives_a_peek(
    script: "Script", store: ReadingS3Store
) -> None:
    script.says(200, "", f"ETag: {ETAG}", body=b"0123456789")
    assert await store.peek("k", 4) == StoredObject(b"0123", ETAG, {}, "", None)


async def test_no_answer_in_time_and_no_listener_are_told_as_obstores(
    script: "Script", unused_tcp_port: int
) -> None:
    script.answer = None
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await opened(script.endpoint, request_timeout_s=0.1).get("k")
    nowhere = f"http://127.0.0.1:{unused_tcp_port}"
    assert await outcome_of(opened(nowhere), "get") == await outcome_of(by_obstore(nowhere), "get")
    with pytest.raises(StoreUnavailable, match="does not resolve"):
        await opened("http://no-such-host.invalid").get("k")


async def test_a_request_carries_its_key_and_condition_and_one_signature(
    script: "Script", store: ReadingS3Store
) -> None:
    script.says(200, "", f"ETag: {ETAG}", body=b"x")
    for _ in range(2):
        await store.get("a?b=c&d%é")
    await store.get_if_changed("a?b=c&d%é", ETAG)
    await store.peek("a?b=c&d%é", 8)
    plain, again, conditional, ranged = script.requests
    assert plain == again
    assert plain.startswith(b"GET /books/live/a%3Fb%3Dc%26d%25%C3%A9 HTTP/1.1\r\n")
    assert conditional == plain[:-2] + b'if-none-match: "e1"\r\n\r\n'
    assert ranged == plain[:-2] + b"range: bytes=0-7\r\n\r\n"
    assert plain.lower().count(b"\r\nhost: ") == plain.lower().count(b"authorization: ") == 1
    assert b"X-Amz-Signature" not in plain, "nothing of a signature in the URL"


@pytest.mark.parametrize("etag", ['"e"\r\nX-Injected: 1', "é"])
async def test_an_etag_that_would_break_the_request_is_refused(store: ReadingS3Store, etag: str) -> None:
    with pytest.raises(ValueError, match="not an ETag"):
        await store.get_if_changed("k", etag)


async def test_a_signature_that_is_refused_is_made_anew_once(script: "Script", store: ReadingS3Store) -> None:
    script.says(200, "", f"ETag: {ETAG}", body=b"x")
    await store.get("k")
    script.says_first(403, "RequestTimeTooSkewed")
    assert (await store.get("k")) is not None
    assert len(script.requests) == 3
    script.says(403, "AccessDenied")
    for requests in (5, 6, 7):
        with pytest.raises(AccessDenied):
            await store.get("k")
        assert len(script.requests) == requests, "a new signature that is refused is the end of it"


async def test_writes_and_listings_go_on_as_before(script: "Script", store: ReadingS3Store) -> None:
    script.says(200, "", f"ETag: {ETAG}")
    assert (await store.put_if("k", b"x", match=None)).outcome is Outcome.WON
    assert await store.get_if_changed("k", '"other"') == StoredObject(b"", ETAG, {}, "", None)


async def test_a_closed_store_is_told_so(script: "Script") -> None:
    store = opened(script.endpoint)
    script.says(200, "", f"ETag: {ETAG}", body=b"x")
    await store.get("k")
    await store.close()
    await store.close()
    for reading in (store.get("k"), store.peek("k", 4), store.get_if_changed("k", ETAG)):
        with pytest.raises(RuntimeError, match="closed"):
            await reading


async def test_no_signature_or_secret_is_logged_or_told(
    script: "Script", store: ReadingS3Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for answer in (b"", b"rubbish\r\n\r\n", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"):
        script.answer = answer
        with pytest.raises(StoreError) as raised:
            await store.get("k")
        told.append(f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}")
    assert len(script.requests) == 4, "the last one was signed anew"
    for text in (*told, caplog.text, repr(store)):
        for secret in ("TOPSECRET", "Signature", "AKEY"):
            assert secret not in text


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_is_the_same_object_to_both_clients(s3_bucket: Mapping[str, str], key: str) -> None:
    bucket, prefix = parse_url(s3_bucket["DEPTHCAST_STORE_URL"])
    aws = Aws.from_env(s3_bucket)
    ours, other = ReadingS3Store(bucket, prefix, aws=aws), S3Store(bucket, prefix, aws=aws)
    put = await other.put_if(key, key.encode(), match=None, metadata={"epoch": "3"}, cache_control="no-cache")
    assert put.etag is not None
    held = await ours.get(key)
    assert held is not None
    assert held.body == key.encode()
    assert held == await other.get(key)
    assert await ours.peek(key, 3) == await other.peek(key, 3)
    assert await ours.get_if_changed(key, put.etag) is UNCHANGED
    assert await ours.get(key + "-missing") is await other.get(key + "-missing") is None
    await ours.close()
    await other.close()


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key beside it."""
    path = tmp_path / "ca.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.with_name("key.pem").write_bytes(private)
    return path


async def test_tls_trusts_the_given_authority_and_no_unknown_one(certificate: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 6\r\n\r\nsecure')

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    endpoint = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    aws = Aws(endpoint, access_key_id="a", secret_access_key="b", ca_bundle=certificate)
    trusting = ReadingS3Store("books", aws=aws)
    for _ in range(2):
        held = await trusting.get("k")
        assert held is not None
        assert held.body == b"secure"
    await trusting.close()
    with pytest.raises(StoreUnavailable, match="TLS handshake failed"):
        await opened(endpoint).get("k")
    server.close()


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


def test_a_bundle_without_certificates_is_one_line(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("not one\n")
    aws = Aws("https://h", access_key_id="a", secret_access_key="b", ca_bundle=bundle)
    with pytest.raises(SettingsError, match="the S3 client refuses its settings"):
        ReadingS3Store("books", aws=aws)


# Which client is opened


@pytest.fixture
def unproxied(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


ENV = {"AWS_ENDPOINT_URL": "http://store:8333", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@pytest.mark.parametrize(
    ("proxies", "own"),
    [
        ({}, True),
        ({"HTTP_PROXY": "http://proxy:3128"}, False),
        ({"ALL_PROXY": "http://proxy:3128"}, False),
        ({"HTTPS_PROXY": "http://proxy:3128"}, True),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "store"}, True),
    ],
)
def test_behind_a_proxy_all_is_left_to_obstore(
    unproxied: pytest.MonkeyPatch, proxies: Mapping[str, str], own: bool
) -> None:
    for name, value in proxies.items():
        unproxied.setenv(name, value)
        unproxied.setenv(name.lower(), value)
    assert isinstance(open_store("s3://books", ENV, for_readers=True), ReadingS3Store) is own
    assert not isinstance(open_store("s3://books", ENV), ReadingS3Store)
    assert isinstance(open_store("memory:", ENV, for_readers=True), MemoryStore)
