"""Published files to read: a still world's, whose simulator is the oracle, in a store and behind a server."""

import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import boto3
import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer

from depthcast.store.aws import Aws
from depthcast.store.memory import MemoryStore
from tests.conformance.world import World, serving

BUCKET = "books"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as still:
        yield still


@pytest.fixture
async def store(world: World) -> MemoryStore:
    """What updaters would have written of the world."""
    written = MemoryStore()
    await world.publish(written)
    return written


@pytest.fixture
async def server(world: World) -> AsyncIterator[str]:
    """The address of a server over the world's files."""
    written = MemoryStore()
    await world.publish(written)
    async with serving(written) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def moto() -> Iterator[Mapping[str, str]]:
    """The environment that leads to a moto server in this process."""
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield Aws(f"http://{host}:{port}", access_key_id="moto", secret_access_key="moto").to_env()
    running.stop()


@pytest.fixture
def bucket(moto: Mapping[str, str]) -> Iterator[Any]:
    """An empty bucket, written by an independent client; anybody may read it."""
    client = boto3.client(
        "s3",
        endpoint_url=moto["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="moto",
        aws_secret_access_key="moto",
    )
    client.create_bucket(Bucket=BUCKET)
    yield client
    for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    client.delete_bucket(Bucket=BUCKET)


METADATA = {
    "epoch": "3",
    "certain-bids": "4870",
    "certain-asks": "113+",
    "event-time": "1723161253000",
    "publish-time": "1723161253021",
    "replica": "host-1",
    "status": "TRADING",
}
"""As an updater writes it, spelled out here."""


def body_of(update_id: int, levels: int) -> bytes:
    """A file's body."""
    bids = [[f"{2000 - n}.10000000", f"{n}.50000000"] for n in range(levels)]
    asks = [[f"{2001 + n}.10000000", f"{n}.25000000"] for n in range(levels)]
    return json.dumps({"lastUpdateId": update_id, "bids": bids, "asks": asks}, separators=(",", ":")).encode()


class Scripted:
    """An HTTP server that answers as it is told: by path and query, as sent."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.says: dict[str, list[web.Response]] = {}
        self.otherwise = (404, b"")
        self.url = ""

    def say(
        self, target: str, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """The next answer to this target; the last one holds."""
        answer = web.Response(status=status, body=body, headers=headers)
        self.says.setdefault(target, []).append(answer)

    async def answer(self, request: web.Request) -> web.Response:
        target = request.raw_path
        self.asked.append(target)
        answers = self.says.get(target)
        if not answers:
            status, body = self.otherwise
            return web.Response(status=status, body=body)
        told = answers.pop(0) if len(answers) > 1 else answers[0]
        return web.Response(status=told.status, body=told.body, headers=told.headers)


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    script = Scripted()
    application = web.Application()
    application.router.add_get("/{path:.*}", script.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    script.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield script
    await runner.cleanup()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read here is on this machine."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
