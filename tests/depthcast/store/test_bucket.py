"""The bucket: looked for, created where asked, and what is said where that fails."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from moto.server import ThreadedMotoServer

from depthcast.errors import AccessDenied, BucketMissing, SettingsError, StoreUnavailable
from depthcast.store.aws import Aws
from depthcast.store.bucket import bucket_exists, ensure_bucket, first_write
from depthcast.store.embedded import SeaweedFS

if TYPE_CHECKING:
    from tests.depthcast.store.conftest import Script


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def env(endpoint: str, key: str = "k", secret: str = "s", region: str = "us-east-1") -> Mapping[str, str]:
    return Aws(endpoint, region, key, secret).to_env()


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_bucket_is_created_once(moto: str, region: str) -> None:
    url, there = f"s3://once-{region}/some/prefix", env(moto, region=region)
    assert not bucket_exists(url, there)
    assert ensure_bucket(url, there)
    assert bucket_exists(url, there)
    assert not ensure_bucket(url, there)


def test_a_bucket_in_seaweedfs_is_created_once(seaweedfs: SeaweedFS) -> None:
    there = seaweedfs.aws.to_env()
    assert not bucket_exists("s3://another", there)
    assert ensure_bucket("s3://another", there)
    assert not ensure_bucket("s3://another", there)


def test_the_variables_of_this_process_are_the_default(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env(moto).items():
        monkeypatch.setitem(os.environ, name, value)
    assert ensure_bucket("s3://from-environment")
    assert bucket_exists("s3://from-environment")


LISTED = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


@pytest.mark.parametrize("code", ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"])
async def test_a_bucket_that_another_process_creates_meanwhile_is_no_error(
    script: "Script", code: str
) -> None:
    script.says_first(404, "NoSuchBucket")
    script.says_first(409, code)
    script.says(200, body=LISTED)
    assert await asyncio.to_thread(ensure_bucket, "s3://books", env(script.endpoint)) is False


async def test_a_name_that_someone_else_has_is_named(script: "Script") -> None:
    script.says_first(404, "NoSuchBucket")
    script.says_first(409, "BucketAlreadyExists")
    script.says(404, "NoSuchBucket")
    with pytest.raises(AccessDenied, match=r"taken by someone else; .* choose another one"):
        await asyncio.to_thread(ensure_bucket, "s3://books", env(script.endpoint))


async def test_a_bucket_that_may_not_be_created_is_named(script: "Script") -> None:
    script.says_first(404, "NoSuchBucket")
    script.says(403, "AccessDenied")
    with pytest.raises(AccessDenied, match="denies access"):
        await asyncio.to_thread(ensure_bucket, "s3://books", env(script.endpoint))


async def test_a_connection_cut_while_a_bucket_is_created_is_named(script: "Script") -> None:
    script.says_first(404, "NoSuchBucket")
    with pytest.raises(StoreUnavailable, match="the connection broke"):
        await asyncio.to_thread(ensure_bucket, "s3://books", env(script.endpoint))


async def test_no_answer_in_time_is_named(script: "Script") -> None:
    script.answer = None
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await asyncio.to_thread(bucket_exists, "s3://books", env(script.endpoint), timeout_s=0.2)


def test_a_first_write_needs_the_bucket_and_may_be_done_again(seaweedfs: SeaweedFS) -> None:
    there = seaweedfs.aws.to_env()
    with pytest.raises(BucketMissing, match="create it"):
        first_write("s3://not-there", there)
    first_write(seaweedfs.store_url, there)
    first_write(seaweedfs.store_url, there)


def test_wrong_credentials_are_named(seaweedfs: SeaweedFS) -> None:
    aws = seaweedfs.aws
    assert aws.endpoint is not None
    assert aws.access_key_id is not None
    with pytest.raises(AccessDenied, match="correct AWS_SECRET_ACCESS_KEY"):
        bucket_exists(seaweedfs.store_url, env(aws.endpoint, aws.access_key_id, "wrong"))
    with pytest.raises(AccessDenied, match="correct AWS_ACCESS_KEY_ID"):
        ensure_bucket(seaweedfs.store_url, env(aws.endpoint, "nobody", "wrong"))


def test_a_store_that_cannot_be_reached_is_named(unused_tcp_port: int) -> None:
    for call in (bucket_exists, ensure_bucket, first_write):
        with pytest.raises(StoreUnavailable, match="nothing listens there"):
            call("s3://books", env(f"http://127.0.0.1:{unused_tcp_port}"))
    with pytest.raises(StoreUnavailable, match="does not resolve"):
        bucket_exists("s3://books", env("http://no-such-host.invalid"))


def test_tls_on_a_plain_port_is_named(moto: str) -> None:
    with pytest.raises(StoreUnavailable, match="TLS handshake failed"):
        bucket_exists("s3://books", env(moto.replace("http:", "https:")))


def test_no_credentials_are_named(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AccessDenied, match="there are no AWS credentials"):
        bucket_exists("s3://books", {"AWS_ENDPOINT_URL": moto})
    with pytest.raises(SettingsError, match="nowhere"):
        bucket_exists("s3://books", {"AWS_ENDPOINT_URL": moto, "AWS_PROFILE": "nowhere"})


def test_a_url_that_names_no_bucket_is_refused() -> None:
    with pytest.raises(SettingsError):
        ensure_bucket("memory:", {})
