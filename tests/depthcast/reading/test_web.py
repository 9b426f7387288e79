"""Files over HTTP: from a server, an edge that cannot cut, and a bucket; and what goes wrong there."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from depthcast.errors import (
    AccessDenied,
    BadFile,
    BadKey,
    DepthcastError,
    FileMissing,
    SettingsError,
    StoreError,
    StoreUnavailable,
    UnknownSymbol,
)
from depthcast.files import CONTENT_TYPE, depth_key
from depthcast.reading.reader import Reader
from depthcast.reading.web import WebFiles
from depthcast.store import open_store
from depthcast.store.embedded import SeaweedFS
from tests.conformance.world import CHINESE, World
from tests.depthcast.reading.conftest import BUCKET, METADATA, Scripted, body_of
from tests.infra.store_edge import running_edge

NO_SUCH_SYMBOL = b'{"code":-1121,"msg":"Invalid symbol."}'
NO_SUCH_LIMIT = b'{"code":-1130,"msg":"Data sent for parameter \'limit\' is not valid."}'
NO_SUCH_KEY = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"


def request(limit: int, symbol: str = "ETHUSDT") -> str:
    return f"/api/v3/depth?symbol={symbol}&limit={limit}"


def named(limit: int) -> str:
    """The same as the name of an object."""
    return f"/api/v3/depth%3Fsymbol%3DETHUSDT%26limit%3D{limit}"


def as_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"x-amz-meta-{name}": value for name, value in metadata.items()}


async def read(url: str, symbol: str, limit: int) -> Any:
    files = WebFiles(url)
    try:
        return await files.file(symbol, limit)
    finally:
        await files.close()


async def test_a_server_s_books_are_the_exchange_s_with_how_fresh_they_are(server: str, world: World) -> None:
    files = WebFiles(f"{server}/")
    for symbol in ("ETHUSDT", "EMPTYUSDT", "ONESIDEUSDT", CHINESE):
        for limit in (1, 5, 7, 5000):
            file = await files.file(symbol, limit)
            assert file.body == world.book(symbol, limit)
            assert file.update_id == json.loads(file.body)["lastUpdateId"]
            assert file.epoch == 0
            assert file.replica is None
    file = await files.file("ETHUSDT", 5)
    now_ms = world.simulator.exchange.wall_ms()
    assert (file.event_time_ms, file.publish_time_ms) == (now_ms, now_ms)
    assert (file.certain_bids, file.bids_complete, file.status) == (5200, True, "TRADING")
    assert file.state in ("live", "stale")
    assert (await files.file("HALTUSDT", 5)).status == "HALT"
    await files.close()


async def test_a_server_s_refusals_are_errors(server: str) -> None:
    files = WebFiles(server)
    with pytest.raises(UnknownSymbol, match="'NOSUCH'"):
        await files.file("NOSUCH", 5)
    # Of this one 5 and 20 levels are published: more may come, so the server asks to try again.
    with pytest.raises(StoreUnavailable, match="503"):
        await files.file("NEWUSDT", 100)
    for symbol, limit in (("eth", 5), ("ETHUSDT", 0), ("ETHUSDT", 5001)):
        with pytest.raises(BadKey):
            await files.file(symbol, limit)
    await files.close()


async def test_the_exchange_itself_answers_as_a_server_that_says_nothing_of_freshness(world: World) -> None:
    file = await read(world.simulator.rest_url, "ETHUSDT", 7)
    assert file.body == world.book("ETHUSDT", 7)
    assert (file.epoch, file.version, file.state, file.certain_bids) == (None, None, None, None)


async def test_an_edge_that_cannot_cut_is_asked_for_the_next_larger_file(scripted: Scripted) -> None:
    scripted.otherwise = (400, NO_SUCH_LIMIT)
    scripted.say(request(1000), 200, body_of(5, 1000), {"Depthcast-Epoch": "2"})
    file = await read(scripted.url, "ETHUSDT", 7)
    assert scripted.asked == [request(limit) for limit in (7, 10, 20, 50, 100, 500, 1000)]
    assert (file.limit, len(file.bids), len(file.asks), file.version) == (7, 7, 7, (2, 5))
    with pytest.raises(FileMissing, match="no file with so many levels"):
        await read(scripted.url, "ETHUSDT", 4000)


async def test_what_fails_on_the_way_to_a_larger_file_is_told(scripted: Scripted) -> None:
    scripted.say(request(7), 400, NO_SUCH_LIMIT)
    scripted.otherwise = (503, b"")
    with pytest.raises(StoreUnavailable, match="failed"):
        await read(scripted.url, "ETHUSDT", 7)
    scripted.say(request(8), 404, NO_SUCH_KEY)
    with pytest.raises(StoreUnavailable, match="failed"):
        await read(scripted.url, "ETHUSDT", 8)


async def test_a_bucket_is_told_from_a_server_by_its_answer_and_asked_by_name_from_then_on(
    scripted: Scripted,
) -> None:
    scripted.otherwise = (404, NO_SUCH_KEY)
    scripted.say(named(20), 200, body_of(5, 20), as_metadata(METADATA))
    files = WebFiles(scripted.url)
    file = await files.file("ETHUSDT", 7)
    assert scripted.asked == [request(7), named(10), named(20)]
    assert (len(file.bids), file.version, file.replica) == (7, (3, 5), "host-1")
    scripted.asked.clear()
    assert (await files.file("ETHUSDT", 20)).body == body_of(5, 20)
    assert scripted.asked == [named(20)]
    with pytest.raises(FileMissing, match="of ETHUSDT the limit 20 is published at most"):
        await files.file("ETHUSDT", 50)
    with pytest.raises(UnknownSymbol, match="NOSUCH"):
        await files.file("NOSUCH", 50)
    await files.close()


async def test_a_bucket_that_denies_what_is_not_there_says_so(scripted: Scripted) -> None:
    scripted.otherwise = (403, b"<Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(AccessDenied, match=r"denies access \(403\); a bucket says so of what is not there"):
        await read(scripted.url, "ETHUSDT", 100)


async def test_an_object_without_its_metadata_is_no_file(scripted: Scripted) -> None:
    scripted.otherwise = (404, NO_SUCH_KEY)
    scripted.say(named(20), 200, body_of(5, 20))
    with pytest.raises(BadFile, match="its metadata has no"):
        await read(scripted.url, "ETHUSDT", 20)


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (400, NO_SUCH_SYMBOL, UnknownSymbol, "has no symbol 'ETHUSDT'"),
        (400, b'{"code":-1104,"msg":"Not all"}', StoreError, "refused the request"),
        (401, b'{"code":-2015,"msg":"No"}', AccessDenied, "denies access"),
        (403, b'{"code":-2015,"msg":"No"}', AccessDenied, "denies access"),
        (418, b"{}", StoreError, "asks for fewer requests"),
        (429, b'{"code":-1003,"msg":"Way too many"}', StoreError, "asks for fewer requests"),
        (503, b'{"code":-1001,"msg":"Try again"}', StoreUnavailable, "failed"),
        (502, b"<html>", StoreUnavailable, "failed"),
        (502, b'{"code":1e999,"msg":"endless"}', StoreUnavailable, "failed"),
        (502, b"[" * 100_000, StoreUnavailable, "failed"),
        (200, b"<html>hello</html>", BadFile, "is not a published file"),
        (200, b"{}", BadFile, "is not a published file"),
    ],
)
async def test_each_failure_is_one_line(
    scripted: Scripted, status: int, body: bytes, error: type[DepthcastError], text: str
) -> None:
    scripted.otherwise = (status, body)
    with pytest.raises(error, match=text) as caught:
        await read(scripted.url, "ETHUSDT", 100)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


async def test_nobody_there(unused_tcp_port: int) -> None:
    with pytest.raises(StoreUnavailable, match="did not answer"):
        await read(f"http://127.0.0.1:{unused_tcp_port}", "ETHUSDT", 5)


async def test_a_body_without_end_is_not_read_to_its_end(scripted: Scripted) -> None:
    scripted.otherwise = (200, b" " * 300_000)
    files = WebFiles(scripted.url, max_body_bytes=100_000)
    with pytest.raises(BadFile, match="more than 100000 bytes"):
        await files.file("ETHUSDT", 5)
    await files.close()


@pytest.mark.parametrize(
    "url",
    ["http://", "http://host:99999", "http://host:0", "http://a b", "http://host/?q=1", "http://host/#f"],
)
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="not a URL to read from"):
        WebFiles(url)


def test_a_password_in_a_url_is_refused_and_not_shown() -> None:
    for url in ("https://me:hunter2@host", "https://me:hunter2@host:0"):
        with pytest.raises(SettingsError) as caught:
            WebFiles(url)
        assert "hunter2" not in str(caught.value)


@pytest.fixture(scope="module")
def public() -> Iterator[SeaweedFS]:
    """A SeaweedFS of which anybody may read what is under api/."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SeaweedFS(Path(folder), bucket=BUCKET, anonymous_prefixes=["api/"]) as server,
    ):
        yield server


@pytest.mark.store_process
async def test_a_real_bucket_that_anybody_may_read(public: SeaweedFS, world: World) -> None:
    env = public.aws.to_env()
    store = open_store(f"s3://{BUCKET}", env)
    for symbol in ("THINUSDT", CHINESE):
        for limit in (5, 5000):
            await store.put_if(
                depth_key(symbol, limit),
                world.book(symbol, limit),
                match=None,
                metadata=METADATA,
                content_type=CONTENT_TYPE,
            )
    await store.close()
    for url in (f"{public.aws.endpoint}/{BUCKET}", f"s3://{BUCKET}"):
        async with Reader(url, env=env) as reader:
            for symbol in ("THINUSDT", CHINESE):
                for limit in (1, 5, 100):
                    file = await reader.read(symbol, limit)
                    assert file.body == world.book(symbol, limit)
                    assert (file.replica, file.certain_asks) == ("host-1", 113)
            with pytest.raises(UnknownSymbol):
                await reader.read("NOSUCH")


@pytest.mark.store_process
async def test_a_real_edge_that_reads_the_bucket(public: SeaweedFS, tmp_path: Path) -> None:
    with running_edge(tmp_path, public) as edge:
        body = await edge.publish("EDGEUSDT", 10, 7, status="HALT")
        async with Reader(f"http://127.0.0.1:{edge.port}") as reader:
            assert (await reader.read("EDGEUSDT", 10)).body == body
            # It cannot cut, and says so in the exchange's words.
            file = await reader.read("EDGEUSDT", 6)
            assert (len(file.bids), len(file.asks), file.version) == (6, 1, (3, 7))
            assert (file.certain_bids, file.asks_complete, file.status) == (4870, True, "HALT")
            assert (file.state, file.current_time_ms) == ("halted", 1_723_161_253_000)
            with pytest.raises(UnknownSymbol):
                await reader.read("NOSUCH")
        await edge.store.close()
