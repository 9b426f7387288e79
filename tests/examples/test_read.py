"""The examples that read published files, run against a server and a bucket of their own."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from moto.server import ThreadedMotoServer

from depthcast.store.aws import Aws
from depthcast.store.memory import MemoryStore
from tests.conformance.world import World, serving
from tests.examples.conftest import RunExample

BUCKET = "example-books"
METADATA = {
    "epoch": "1",
    "certain-bids": "2",
    "certain-asks": "2",
    "event-time": "1723161253000",
    "publish-time": "1723161253021",
    "replica": "host-1",
}


class Site(NamedTuple):
    """A server over the world's files."""

    url: str
    world: World


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with World() as world:
        store = MemoryStore()
        await world.publish(store)
        async with serving(store) as port:
            yield Site(f"http://127.0.0.1:{port}", world)


@pytest.fixture
def bucket() -> Iterator[tuple[Any, dict[str, str]]]:
    """A bucket of its own, a client that writes to it, and the environment that leads there."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    env = Aws(f"http://{host}:{port}", access_key_id="moto", secret_access_key="moto").to_env()
    client = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="moto",
        aws_secret_access_key="moto",
    )
    client.create_bucket(Bucket=BUCKET)
    yield client, env
    server.stop()


def publish(client: Any, symbol: str, update_id: int, bids: list[list[str]], asks: list[list[str]]) -> None:
    """Write a file as an updater does, spelled out by the standard library."""
    body = json.dumps({"lastUpdateId": update_id, "bids": bids, "asks": asks}, separators=(",", ":"))
    for limit in (5, 100):
        key = f"api/v3/depth?symbol={symbol}&limit={limit}"
        client.put_object(Bucket=BUCKET, Key=key, Body=body.encode(), Metadata=METADATA)


async def test_one_book_is_printed_as_the_exchange_has_it(site: Site, run_example: RunExample) -> None:
    ended = await run_example("read_file.py", site.url, "ETHUSDT", "7")
    assert (ended.status, ended.complaints) == (0, "")
    true = json.loads(site.world.book("ETHUSDT", 7))
    assert ended.output.startswith(f"ETHUSDT at {true['lastUpdateId']}, status TRADING, state ")
    shown = [line.split() for line in ended.output.splitlines() if re.match("  (bid|ask) ", line)]
    assert shown == [
        *(["ask", *level] for level in reversed(true["asks"])),
        *(["bid", *level] for level in true["bids"]),
    ]


async def test_a_book_that_is_not_there_is_one_line(site: Site, run_example: RunExample) -> None:
    ended = await run_example("read_file.py", site.url, "NOSUCH")
    assert (ended.status, ended.output) == (1, "")
    assert "has no symbol 'NOSUCH'" in ended.complaints
    assert ended.complaints.count("\n") == 1


async def test_a_frame_has_the_spread_of_each_symbol(
    bucket: tuple[Any, dict[str, str]], run_example: RunExample
) -> None:
    client, env = bucket
    publish(client, "ETHUSDT", 7, [["100", "3"], ["99", "3"]], [["101", "2"]])
    publish(client, "BTCUSDT", 8, [["1000", "1"]], [["1001", "1"]])
    ended = await run_example("read_frame.py", f"s3://{BUCKET}", "ETHUSDT", "NOSUCH", "BTCUSDT", **env)
    assert (ended.status, ended.complaints) == (0, "")
    rows = [re.split(r"\s*┆\s*", line.strip("│ ")) for line in ended.output.splitlines() if "USDT" in line]
    assert rows == [
        ["ETHUSDT", "100.0", "101.0", "0.75", "7", "100.0"],
        ["BTCUSDT", "1000.0", "1001.0", "0.5", "8", "10.0"],
    ]


async def test_following_tells_each_version_once(
    bucket: tuple[Any, dict[str, str]], run_example: RunExample
) -> None:
    client, env = bucket
    publish(client, "ETHUSDT", 7, [["100", "3"]], [["101", "2"]])
    ended = await run_example(
        "read_newer.py", f"s3://{BUCKET}", "ETHUSDT", "--times", "3", "--every-s", "0", **env
    )
    assert (ended.status, ended.complaints) == (0, "")
    assert ended.output == "ETHUSDT 7 bid (('100', '3'),) ask (('101', '2'),)\n"
