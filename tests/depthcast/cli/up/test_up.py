"""``depthcast up`` as a process, with everything it starts: books served, and nothing left behind."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

Start = Callable[..., Awaitable[Process]]

# Enough of everything to be real, little enough for two busy cores.
SMALL = ("--limits", "5,100", "--simulator-depth", "300", "--simulator-rate", "5", "--poll-ms", "100")


@pytest.fixture
def address() -> str:
    """Where nobody listens at present."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
async def up(tmp_path: Path, address: str) -> AsyncIterator[Start]:
    """Starts ``depthcast up`` on a folder of its own."""
    started: list[Process] = []

    async def start(*argv: str, stdout: int = PIPE, **env: str) -> Process:
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEPTHCAST_"))
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "depthcast", "up", "--data", str(tmp_path / "data"), "--listen", address),
            *SMALL,
            *argv,
            env=ours | {"TERM": "xterm-256color"} | env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=STDOUT if stdout == PIPE else PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_with(process: Process, text: str) -> str:
    """The first line that holds this text."""
    assert process.stdout is not None
    lines = []
    async with asyncio.timeout(90):
        while line := (await process.stdout.readline()).decode():
            lines.append(line)
            if text in line:
                return line
    raise AssertionError(f"it ended without {text!r}: {''.join(lines)}")


async def fetch(url: str) -> tuple[int, bytes]:
    """Status and body; status 0 where nobody listens yet."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.read()
    except aiohttp.ClientConnectionError:
        return 0, b""


async def descendants(pid: int) -> set[int]:
    """The processes that this one started, and those that they did."""
    found = await asyncio.create_subprocess_exec("ps", "-eo", "pid=,ppid=", stdout=PIPE)
    table, _ = await found.communicate()
    children: dict[int, set[int]] = {}
    for line in table.decode().splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, set()).add(child)
    every: set[int] = set()
    waiting = children.get(pid, set())
    while waiting:
        every |= waiting
        waiting = {grandchild for child in waiting for grandchild in children.get(child, set())}
    return every - {found.pid}


def program(pid: int) -> str:
    """The state and the command line of a process; empty where it has ended."""
    ps = ("ps", "-o", "stat=,args=", "-p", str(pid))
    line = subprocess.run(ps, capture_output=True, text=True, check=False).stdout.strip()
    return "" if line.startswith("Z") else line


async def left(pids: set[int]) -> list[str]:
    """Those of ``pids`` that still run after a while, as :func:`program` shows them."""
    running = pids
    for _ in range(100):
        running = {pid for pid in running if program(pid)}
        if not running:
            break
        await asyncio.sleep(0.1)
    return [program(pid) for pid in running]


@pytest.mark.store_process
async def test_from_an_exchange_that_is_not_there_to_books_that_are_served_and_back(
    up: Start, address: str, tmp_path: Path
) -> None:
    process = await up("--rest-url", "http://127.0.0.1:9", "--symbols", "ETHUSDT,BTCUSDT")
    loud = await line_with(process, "BINANCE CANNOT BE REACHED")
    assert "going on with the SIMULATOR" in loud
    simulator = re.search(
        r"simulator at (127\.0\.0\.1:\d+): 2 symbols", await line_with(process, "2 symbols")
    )
    assert simulator is not None
    await line_with(process, f"server: answers at http://{address}")

    book = f"http://{address}/api/v3/depth?symbol=ETHUSDT&limit=5"
    first = await served(book)
    later = await served(book, above=first)
    truth = f"http://{simulator[1]}/sim/truth?symbol=ETHUSDT&limit=5&id={later['lastUpdateId']}"
    status, body = await fetch(truth)
    assert (status, json.loads(body)) == (200, later)
    assert (await fetch(f"http://{address}/api/v3/depth?symbol=NOSUCH"))[0] == 400
    async with asyncio.timeout(60):
        while (await fetch(f"http://{address}/sapi/v1/system/status"))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    assert process.pid is not None
    started = await descendants(process.pid)
    assert len(started) >= 5  # store, simulator, two updaters, server
    (store,) = [pid for pid in started if "weed" in program(pid)]
    os.kill(store, signal.SIGKILL)
    await line_with(process, "the store is started again")
    await served(book, above=await served(book, above=later))

    started |= await descendants(process.pid)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert await left(started) == []
    logs = {path.name for path in (tmp_path / "data" / "logs").iterdir()}
    assert logs >= {"updater-1.log", "updater-2.log", "server.log", "simulator.log"}


async def served(url: str, above: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The book at ``url``, once its id is greater than that of ``above``."""
    least = 0 if above is None else above["lastUpdateId"]
    for _ in range(600):
        status, body = await fetch(url)
        if status == 200 and json.loads(body)["lastUpdateId"] > least:
            document: dict[str, Any] = json.loads(body)
            return document
        await asyncio.sleep(0.05)
    raise AssertionError(f"{url} answers {status} {body[:200]!r}, and nothing above {least}")


async def test_a_service_that_is_killed_comes_back_and_none_outlives_up(
    up: Start, address: str, s3_bucket: Mapping[str, str]
) -> None:
    url = s3_bucket["DEPTHCAST_STORE_URL"]
    aws = {name: value for name, value in s3_bucket.items() if name.startswith("AWS_")}
    process = await up(
        *("--exchange", "simulator", "--simulator-symbols", "1", "--updaters", "1", "--log-format", "json"),
        *("--store-url", url, "--log-level", "error"),
        DEPTHCAST_LOG_LEVEL="info",
        **aws,
    )
    assert process.pid is not None
    await served(f"http://{address}/api/v3/depth?symbol=BTCUSDT&limit=100")
    before = await descendants(process.pid)
    assert len(before) == 3  # simulator, updater, server; the store is not its own
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert json.loads(await line_with(process, "is started again"))["level"] == "error"
    await served(f"http://{address}/api/v3/depth?symbol=BTCUSDT&limit=100")
    after = await descendants(process.pid)
    assert after.isdisjoint(before)
    process.kill()
    await process.wait()
    if sys.platform == "linux":
        assert await left(after) == []


async def test_several_venues_are_kept_by_updaters_of_their_own_and_served_by_one_server(
    up: Start, address: str, s3_bucket: Mapping[str, str]
) -> None:
    aws = {name: value for name, value in s3_bucket.items() if name.startswith("AWS_")}
    process = await up(
        *("--exchange", "simulator", "--venue", "binanceusdm,coinbaseexchange", "--updaters", "1"),
        *("--symbols", "ETHUSDT,coinbaseexchange:BTC-USD", "--store-url", s3_bucket["DEPTHCAST_STORE_URL"]),
        # All services inherit it, and only Coinbase's updater has use for a key.
        DEPTHCAST_VENUE_KEY_FILE="an-account.key",
        **aws,
    )
    assert process.pid is not None
    futures = await served(f"http://{address}/fapi/v1/depth?symbol=ETHUSDT&limit=100")
    assert list(futures) == ["lastUpdateId", "E", "T", "bids", "asks"]
    product = f"http://{address}/products/BTC-USD/book"
    async with asyncio.timeout(60):
        while (await fetch(product))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert list(json.loads((await fetch(product))[1]))[:3] == ["bids", "asks", "sequence"]
    assert (await fetch(f"http://{address}/api/v3/depth?symbol=ETHUSDT&limit=100"))[0] == 400
    assert len(await descendants(process.pid)) == 5  # of each venue a simulator and an updater; the server
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_on_a_terminal_it_has_a_screen_and_gives_it_back(
    up: Start, address: str, s3_bucket: Mapping[str, str]
) -> None:
    ours, theirs = pty.openpty()
    process = await up(
        *("--exchange", "simulator", "--simulator-symbols", "1", "--updaters", "1"),
        *("--store-url", s3_bucket["DEPTHCAST_STORE_URL"]),
        stdout=theirs,
        **{name: value for name, value in s3_bucket.items() if name.startswith("AWS_")},
    )
    os.close(theirs)
    seen = bytearray()
    reading = asyncio.create_task(asyncio.to_thread(_drain, ours, seen))
    for _ in range(900):
        if b"Ctrl-C stops everything" in seen and b"1 of 1" in seen and b"files/s" in seen:
            break
        await asyncio.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 30) == 0
    await asyncio.wait_for(reading, 20)
    os.close(ours)
    text = seen.decode("utf-8", "replace")
    screen, _, afterwards = text.rpartition("\x1b[?1049l")
    assert "\x1b[?1049h" in screen
    assert "BTCUSDT" in screen
    assert f"curl 'http://{address}/api/v3/depth?symbol=BTCUSDT&limit=5'" in re.sub(
        r"\x1b\[[0-9;]*m", "", screen
    )
    assert "everything is stopped" in afterwards


def _drain(terminal: int, seen: bytearray) -> None:
    try:
        while data := os.read(terminal, 65536):
            seen += data
    except OSError:
        return  # Linux: the other side has closed the terminal


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--exchange", "simulator", "--symbols", "NOSUCH*"), "no symbol that is TRADING matches 'NOSUCH*'"),
        (("--store-url", "memory:"), "cannot be used by several processes"),
    ],
)
async def test_what_cannot_work_is_one_line_and_leaves_nothing_behind(
    up: Start, s3_bucket: Mapping[str, str], argv: tuple[str, ...], said: str
) -> None:
    aws = {name: value for name, value in s3_bucket.items() if name.startswith("AWS_")}
    process = await up("--store-url", s3_bucket["DEPTHCAST_STORE_URL"], *argv, **aws)
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    last = output.decode().splitlines()[-1]
    assert last.startswith("depthcast: ")
    assert said in last


async def test_an_address_that_is_taken_is_said_before_anything_starts(
    up: Start, address: str, tmp_path: Path
) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))):
        process = await up("--exchange", "simulator")
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert output.decode() == (
        f"depthcast: cannot listen on {address}: Address already in use; "
        "choose another --listen, or stop the process that listens there\n"
    )
    assert list((tmp_path / "data" / "logs").iterdir()) == []
