"""The stores that are held to the promises of ``depthcast.store.Store``."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
from moto.server import ThreadedMotoServer

from depthcast.store import Store
from depthcast.store.aws import Aws, parse_url
from depthcast.store.bucket import ensure_bucket
from depthcast.store.memory import MemoryStore
from depthcast.store.reading import ReadingS3Store
from depthcast.store.s3 import S3Store

ENDPOINT = "DEPTHCAST_TEST_S3_URL"
"""Names one more store, ``s3://BUCKET[/PREFIX]``; the AWS variables say where it is and who we are."""

KINDS = [
    "memory",
    "memory-content-etags",
    "moto",
    "moto-reading",
    "seaweedfs",
    "seaweedfs-reading",
    *(["endpoint"] if ENDPOINT in os.environ else []),
]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of store in turn."""
    return str(request.param)


@pytest.fixture
async def store(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty store of that kind."""
    match kind:
        case "memory":
            opened: Store = MemoryStore()
        case "memory-content-etags":
            opened = MemoryStore(content_etags=True)
        case "moto" | "moto-reading":
            env = request.getfixturevalue("moto")
            url = f"s3://moto-{uuid.uuid4().hex}"
            ensure_bucket(url, env)
            opened = _open(url, env, max_in_flight=16, kind=kind)  # moto drops connections when many
        case "seaweedfs" | "seaweedfs-reading":
            env = request.getfixturevalue("s3_bucket")
            opened = _open(env["DEPTHCAST_STORE_URL"], env, kind=kind)
        case _:
            opened = _open(f"{os.environ[ENDPOINT].rstrip('/')}/conformance-{uuid.uuid4().hex}", os.environ)
    yield opened
    if isinstance(opened, ReadingS3Store):
        opened.check()
    await opened.close()


@pytest.fixture(scope="session")
def moto() -> Iterator[Mapping[str, str]]:
    """The environment that leads to a moto server in this process."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Aws(f"http://{host}:{port}", access_key_id="moto", secret_access_key="moto").to_env()
    server.stop()


def _open(url: str, env: Mapping[str, str], *, max_in_flight: int = 400, kind: str = "") -> Store:
    bucket, prefix = parse_url(url)
    form = ReadingS3Store if kind.endswith("-reading") else S3Store
    # Time enough for the losers of a race on SeaweedFS, which wait for whole seconds.
    return form(bucket, prefix, aws=Aws.from_env(env), request_timeout_s=60, max_in_flight=max_in_flight)
