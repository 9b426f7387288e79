"""The updater as a process: it starts, publishes, stops on SIGTERM, and says in one line what is wrong."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import aiohttp
import boto3
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from moto.server import ThreadedMotoServer

Start = Callable[..., Awaitable[Process]]

WITHIN_S: Final = 60
"""A process starts and ends within two seconds on a machine that has nothing else to do."""


@pytest.fixture
async def start(exchange: Any) -> AsyncIterator[Start]:
    """Starts ``python -m updater`` on the exchange of the tests."""
    started: list[Process] = []

    async def run(*argv: str, **env: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "updater", "--log-format", "json", "--symbols", "ETHUSDT", "--limits", "5,20"),
            *("--rest-url", exchange.rest_url, "--ws-url", exchange.ws_url),
            *("--store-url", "memory:", *argv),
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | env,
            stdout=PIPE,
            stderr=PIPE,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_with(process: Process, event: str) -> dict[str, Any]:
    """The first log line of this event."""
    assert process.stderr is not None
    while line := await asyncio.wait_for(process.stderr.readline(), WITHIN_S):
        entry: dict[str, Any] = json.loads(line)
        if event in entry["event"]:
            return entry
    raise AssertionError(f"the process ended without the line {event!r}")


async def ended(process: Process) -> tuple[int, str]:
    """Exit status and everything on standard error."""
    _, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode is not None
    return process.returncode, errors.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_publishes_and_ends_well_on_a_signal(start: Start, number: signal.Signals) -> None:
    process = await start()
    url = (await line_with(process, "replica starts"))["status"]
    async with aiohttp.ClientSession() as session, asyncio.timeout(WITHIN_S):
        status: dict[str, Any] = {"ready": False}
        while not status["ready"]:
            await asyncio.sleep(0.02)
            async with session.get(url) as answer:
                status = await answer.json()
        assert [file["update_id"] for file in status["symbols"][0]["files"]] == [100, 100]
    process.send_signal(number)
    assert (await line_with(process, "stopped"))["replica"] == status["replica"]
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["--limts", "5"], 2, "unknown option --limts; did you mean --limits?"),
        (["--store-url", "ftp://x"], 2, "ftp://x"),
        (["--listen", "192.0.2.1:80"], 2, "cannot listen on 192.0.2.1:80"),
        (["--symbols", "ETHUSD"], 2, "did you mean ETHUSDT"),
    ],
)
async def test_what_is_wrong_is_the_last_line_and_the_exit_status(
    start: Start, argv: list[str], status: int, words: str
) -> None:
    code, errors = await ended(await start(*argv))
    *_, last = errors.splitlines()
    assert code == status
    assert last.startswith("depthcast updater: ")
    assert words in last
    assert "Traceback" not in errors


@pytest.fixture
def s3() -> Iterator[dict[str, str]]:
    """An S3 without a bucket, and the variables that name it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "name",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
    }
    server.stop()


async def test_a_missing_bucket_ends_it_with_what_to_do(start: Start, s3: dict[str, str]) -> None:
    code, errors = await ended(await start("--store-url", "s3://missing", **s3))
    *_, last = errors.splitlines()
    assert code == 1
    assert "missing" in last
    assert "--create-bucket" in last
    assert "hunter2" not in errors


async def test_wrong_credentials_end_it(start: Start) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        code = "SignatureDoesNotMatch"
        return web.Response(status=403, text=f"<Error><Code>{code}</Code><Message>no</Message></Error>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    async with TestServer(app) as server:
        env = {
            "AWS_ENDPOINT_URL": str(server.make_url("")),
            "AWS_ACCESS_KEY_ID": "name",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
        }
        code, errors = await ended(await start("--store-url", "s3://bucket", **env))
    *_, last = errors.splitlines()
    assert code == 1
    assert "AWS_SECRET_ACCESS_KEY" in last
    assert "hunter2" not in errors


async def test_a_missing_bucket_is_created_where_that_was_asked_for(start: Start, s3: dict[str, str]) -> None:
    process = await start("--store-url", "s3://missing/books", "--create-bucket", **s3)
    await line_with(process, "bucket was created")
    await line_with(process, "store honours conditions")
    client = boto3.client(
        "s3",
        endpoint_url=s3["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=s3["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3["AWS_SECRET_ACCESS_KEY"],
    )
    key = "books/api/v3/depth?symbol=ETHUSDT&limit=5"
    async with asyncio.timeout(WITHIN_S):
        while True:
            listed = await asyncio.to_thread(client.list_objects_v2, Bucket="missing", Prefix=key)
            if listed["KeyCount"]:
                break
            await asyncio.sleep(0.05)
    held = await asyncio.to_thread(client.get_object, Bucket="missing", Key=key)
    assert held["Body"].read().startswith(b'{"lastUpdateId":100,')
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0


async def test_an_exchange_and_a_store_that_do_not_answer_are_waited_for(start: Start, exchange: Any) -> None:
    exchange.refuse = True
    process = await start(
        *("--store-url", "s3://bucket"),
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="name",
        AWS_SECRET_ACCESS_KEY="hunter2",
    )
    waiting = await line_with(process, "waiting for the store")
    assert re.search(r"127\.0\.0\.1:9", waiting["store"] + waiting["error"])
    assert "hunter2" not in json.dumps(waiting)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
