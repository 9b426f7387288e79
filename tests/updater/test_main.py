"""The updater as a process: it starts, publishes, stops on SIGTERM, and says in one line what is wrong."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(exchange: Any) -> AsyncIterator[Start]:
    """Starts ``python -m updater`` on the exchange of the tests."""
    started: list[Process] = []

    async def run(*argv: str, **env: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "updater", "--log-format", "json", "--symbols", "ETHUSDT", "--limits", "5,20"),
            *("--binance-rest-url", exchange.rest_url, "--binance-ws-url", exchange.ws_url),
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
    while line := await asyncio.wait_for(process.stderr.readline(), 20):
        entry: dict[str, Any] = json.loads(line)
        if event in entry["event"]:
            return entry
    raise AssertionError(f"the process ended without the line {event!r}")


async def ended(process: Process) -> tuple[int, str]:
    """Exit status and everything on standard error."""
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return process.returncode, errors.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_publishes_and_ends_well_on_a_signal(start: Start, number: signal.Signals) -> None:
    process = await start()
    url = (await line_with(process, "replica starts"))["status"]
    async with aiohttp.ClientSession() as session:
        for _ in range(500):
            async with session.get(url) as answer:
                status = await answer.json()
            if status["ready"]:
                break
            await asyncio.sleep(0.02)
        assert [file["update_id"] for file in status["symbols"][0]["files"]] == [100, 100]
    before = time.monotonic()
    process.send_signal(number)
    assert (await line_with(process, "stopped"))["replica"] == status["replica"]
    assert await process.wait() == 0
    assert time.monotonic() - before < 5


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
    assert await asyncio.wait_for(process.wait(), 6) == 0
