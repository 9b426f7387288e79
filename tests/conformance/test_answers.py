"""The server, the edge and the exchange hold to the table ``answers.json``, row by row."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from depthcast.store.aws import Aws
from depthcast.store.embedded import SeaweedFS
from depthcast.store.memory import MemoryStore
from depthcast.store.s3 import S3Store
from tests.conformance.answers import Row, faults, rows
from tests.conformance.world import Got, World, ask, serving
from tests.infra.store_edge import BUCKET, running_edge

pytestmark = pytest.mark.xdist_group("answers")

in_one_loop = pytest.mark.asyncio(loop_scope="module")

ROWS = rows()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    async with World() as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(world: World) -> AsyncIterator[int]:
    """The port of a server over all that is published."""
    store = MemoryStore()
    await world.publish(store)
    async with serving(store) as port:
        yield port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """The port of an nginx that reads the same from a store of its own."""
    with SeaweedFS(tmp_path_factory.mktemp("store"), bucket=BUCKET, anonymous_prefixes=["api/"]) as seaweedfs:
        store = S3Store(BUCKET, "", aws=Aws.from_env(seaweedfs.aws.to_env()))
        await world.publish(store)
        await store.close()
        folder: Path = tmp_path_factory.mktemp("edge")
        # The table asks faster than the edge lets strangers ask for what it does not hold.
        with running_edge(folder, seaweedfs, EDGE_COLD_READS="10000") as running:
            yield running.port


def test_the_table_is_long_enough_and_no_row_stands_in_it_twice() -> None:
    counted = Counter((row.request, str(row.headers), str(row.sent)) for row in ROWS)
    assert [row for row, times in counted.items() if times > 1] == []
    assert len(ROWS) >= 120
    assert sum("status" in row.edge for row in ROWS) >= 100


def test_whoever_answers_otherwise_has_a_reason() -> None:
    for row in ROWS:
        for answer in (row.edge, row.exchange):
            assert answer is row.server or answer["why"], row.request


@in_one_loop
@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("status", 404),
        ("body", b'{"lastUpdateId":1,"bids":[],"asks":[]}'),
        ("Content-Type", "application/json"),
        ("Content-Length", "1"),
        ("Access-Control-Allow-Origin", None),
    ],
)
async def test_a_wrong_answer_is_told_from_a_right_one(
    world: World, server: int, part: str, wrong: Any
) -> None:
    row = next(row for row in ROWS if row.request == "GET /api/v3/depth?symbol=ETHUSDT")
    got = await asyncio.to_thread(ask, server, row.request, row.headers)
    assert faults(row, row.server, got, world, got) == []
    if part in got._fields:
        got = got._replace(**{part: wrong})
    else:
        del got.headers[part]
        if wrong is not None:
            got.headers[part] = str(wrong)
    assert faults(row, row.server, got, world, got) != []


async def theirs(row: Row, world: World, got: Got) -> Got:
    """The exchange's own answer where ``got`` is to be held against it: a list of symbols."""
    if "symbols" not in row.server:
        return got
    return await asyncio.to_thread(ask, world.port, row.request, row.headers)


@in_one_loop
@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_the_server_answers_as_the_table_says(row: Row, world: World, server: int) -> None:
    got = await asyncio.to_thread(ask, server, row.request, row.headers)
    assert faults(row, row.server, got, world, await theirs(row, world, got)) == [], row.shows


@in_one_loop
@pytest.mark.parametrize("row", [row for row in ROWS if "status" in row.exchange], ids=str)
async def test_the_exchange_answers_as_the_table_says(row: Row, world: World) -> None:
    got = await asyncio.to_thread(ask, world.port, row.request, row.headers)
    assert faults(row, row.exchange, got, world, None) == [], row.shows


@in_one_loop
@pytest.mark.store_process
@pytest.mark.parametrize("row", [row for row in ROWS if "status" in row.edge], ids=str)
async def test_the_edge_answers_as_the_table_says(row: Row, world: World, edge: int) -> None:
    got = await asyncio.to_thread(ask, edge, row.request, row.headers)
    assert faults(row, row.edge, got, world, await theirs(row, world, got)) == [], row.shows
