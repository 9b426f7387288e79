"""The server over real sockets, and as a process."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from depthcast.cli import main as depthcast_command
from depthcast.errors import AccessDenied, SettingsError
from depthcast.settings import Address
from server.__main__ import listen, serve
from server.protocol import MAX_HEAD_BYTES
from server.settings import ServerSettings

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

REPOSITORY = Path(__file__).parents[2]


class Running:
    """A server in this process, on a port of its own."""

    def __init__(self, port: int, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.stop = stop
        self.task = task

    async def talk(self, sent: bytes) -> bytes:
        """All that comes back for these bytes until the server closes or falls silent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        received = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(30):
                await writer.drain()
                while chunk := await reader.read(65536):
                    received += chunk
        writer.close()
        return received

    async def ask_until_it_fails(self) -> None:
        """New connections until one is refused; raises what httpx raises then."""
        async with asyncio.timeout(30), httpx.AsyncClient(timeout=30) as client:
            while True:
                await client.get(self.url + "/healthz", headers={"Connection": "close"})
                await asyncio.sleep(0.01)


@pytest.fixture
async def server(store: "WatchedStore") -> AsyncIterator[Running]:
    await store.publish("ETHUSDT", 10, 160)
    await store.publish("币安人生USDT", 10, 161)
    bound = listen(Address("127.0.0.1", 0))
    stop = asyncio.Event()
    task = asyncio.create_task(serve(ServerSettings(read_timeout_ms=30_000), store, bound, stop))
    running = Running(bound.getsockname()[1], stop, task)
    async with asyncio.timeout(30), httpx.AsyncClient(timeout=30) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(running.url + "/readyz")).status_code == 200:
                    break
            await asyncio.sleep(0.01)
    yield running
    stop.set()
    async with asyncio.timeout(30):
        await asyncio.wait((task,))


async def test_get_head_and_304_over_a_socket(server: Running, store: "WatchedStore") -> None:
    url = server.url + "/api/v3/depth?symbol=ETHUSDT&limit=5"
    async with httpx.AsyncClient(timeout=30) as client:
        whole = await client.get(url)
        assert (whole.status_code, whole.content) == (200, store.body(160, 5))
        assert "date" in whole.headers
        assert "server" not in whole.headers
        head = await client.head(url)
        assert head.headers["content-length"] == str(len(whole.content))
        same = await client.get(url, headers={"If-None-Match": whole.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        assert (await client.get(url)).content == whole.content  # the connection is still in step


async def test_pipelined_requests_are_answered_in_their_order(server: Running, store: "WatchedStore") -> None:
    lines = [
        b"GET /api/v3/depth?symbol=ETHUSDT&limit=3 HTTP/1.1",
        b"HEAD /api/v3/depth?symbol=ETHUSDT&limit=4 HTTP/1.1",
        b"GET /api/v3/depth?symbol=NOSUCH HTTP/1.1",
        b"GET /api/v3/depth?symbol=ETHUSDT&limit=10 HTTP/1.1",
        b"GET /api/v3/ping HTTP/1.1\r\nConnection: close",
    ]
    received = await server.talk(b"".join(line + b"\r\nHost: x\r\n\r\n" for line in lines))
    assert re.findall(rb"HTTP/1\.1 ([0-9]{3})", received) == [b"200", b"200", b"400", b"200", b"200"]
    places = [received.index(body) for body in (store.body(160, 3), b'{"code":-1121', store.body(160, 10))]
    assert places == sorted(places)
    assert store.body(160, 4) not in received
    assert received.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("symbol", ["币安人生USDT", "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"])
async def test_a_symbol_in_any_alphabet_is_read_escaped_and_raw(
    server: Running, store: "WatchedStore", symbol: str
) -> None:
    line = f"GET /api/v3/depth?symbol={symbol}&limit=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await server.talk(line.encode())).endswith(store.body(161, 2))


async def test_a_raw_symbol_may_come_in_pieces(server: Running, store: "WatchedStore") -> None:
    sent = (
        "GET /api/v3/depth?symbol=币安人生USDT&limit=2 HTTP/1.1\r\nX: ü\r\nConnection: close\r\n\r\n".encode()
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for at in range(0, len(sent), 7):
        writer.write(sent[at : at + 7])
        await asyncio.sleep(0.002)
    assert (await reader.read()).endswith(store.body(161, 2))
    writer.close()


async def test_a_body_is_not_taken_for_a_head(server: Running) -> None:
    body = "币".encode() * (MAX_HEAD_BYTES // 2)
    head = b"POST /api/v3/ping HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    last = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = await server.talk(head + body + last)
    assert re.findall(rb"HTTP/1\.1 ([0-9]{3})", received) == [b"405", b"200"]


async def test_a_huge_query_is_414(server: Running) -> None:
    line = b"GET /api/v3/depth?symbol=" + b"A" * 20_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await server.talk(line)).startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "begin",
    [b"GET /api/v3/depth?symbol=", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"],
    ids=["line", "header", "headers"],
)
async def test_a_head_that_does_not_end_is_cut_off(server: Running, begin: bytes) -> None:
    filler = b"A" * 64 if b"\r\n" not in begin or begin.endswith(b" ") else b"A: " + b"b" * 59 + b"\r\n"
    received = await server.talk(begin + filler * (4 * MAX_HEAD_BYTES // len(filler)))
    assert received == b"" or received.startswith(b"HTTP/1.1 431 ")
    async with httpx.AsyncClient(timeout=30) as client:
        assert (await client.get(server.url + "/api/v3/ping")).status_code == 200


async def test_many_pipelined_requests_are_no_unending_head(server: Running) -> None:
    one = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n"
    count = 2 * MAX_HEAD_BYTES // len(one)
    last = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = await server.talk(one * count + last)
    assert received.count(b"HTTP/1.1 200 ") == count + 1


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\xff\xfe\r\n\r\n"])
async def test_what_is_not_http_is_400(server: Running, sent: bytes) -> None:
    assert (await server.talk(sent)).startswith(b"HTTP/1.1 400 ")


async def test_a_request_in_flight_is_finished_before_the_end(server: Running, store: "WatchedStore") -> None:
    store.gate = asyncio.Event()
    async with httpx.AsyncClient(timeout=30) as client:
        url = server.url + "/api/v3/depth?symbol=ETHUSDT&limit=5"
        waiting = asyncio.create_task(client.get(url))
        await store.reading.wait()
        server.stop.set()
        with pytest.raises(httpx.TransportError):
            await server.ask_until_it_fails()
        store.gate.set()
        assert (await waiting).content == store.body(160, 5)
    await server.task
    assert store.closed


async def test_refused_credentials_end_the_server(store: "WatchedStore") -> None:
    store.failure = AccessDenied("wrong credentials")
    async with asyncio.timeout(30):
        with pytest.raises(AccessDenied):
            await serve(ServerSettings(), store, listen(Address("127.0.0.1", 0)))
    assert store.closed


def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    with listen(Address("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*another --listen"):
            listen(Address("127.0.0.1", port))


def test_the_verb_runs_the_server(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Log lines would go on being written to the stream captured here.
    monkeypatch.setattr("depthcast.settings.configure", lambda *_, **__: None)
    with listen(Address("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert depthcast_command(["server", "--store-url", "memory:", "--listen", address]) == 2
    assert capsys.readouterr().err.startswith(f"depthcast: cannot listen on {address}: ")


def test_a_host_that_is_not_ours_is_one_line_too() -> None:
    with pytest.raises(SettingsError, match=r"cannot listen on no\.such\.host\.invalid:1"):
        listen(Address("no.such.host.invalid", 1))


async def start(*options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        *options,
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if not name.startswith("DEPTHCAST_")},
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_ends_well_when_it_is_told_to(number: int) -> None:
    process = await start("--store-url", "memory:", "--listen", "127.0.0.1:0")
    assert process.stderr is not None
    async with asyncio.timeout(30):
        line = b""
        while b"ready" not in line:
            line = await process.stderr.readline()
            assert line, "it ended before it was ready"
        process.send_signal(number)
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--store-url", "ftp://x"], 2, "s3://BUCKET"),
        (["--listen", "nowhere"], 2, "host:port"),
        (["--no-such-option"], 2, "unknown option --no-such-option"),
    ],
)
async def test_a_bad_setting_ends_the_process_with_one_line(
    options: list[str], status: int, words: str
) -> None:
    process = await start("--listen", "127.0.0.1:0", *options)
    async with asyncio.timeout(30):
        _, stderr = await process.communicate()
    assert process.returncode == status
    assert words in stderr.decode()
    assert stderr.count(b"\n") == 1


async def test_a_port_in_use_ends_the_process_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start("--store-url", "memory:", "--listen", f"127.0.0.1:{port}")
        async with asyncio.timeout(30):
            _, stderr = await process.communicate()
    assert process.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in stderr.decode()
    assert stderr.count(b"\n") == 1


async def test_as_many_connections_as_the_setting_says_and_few_lines_about_those_beyond() -> None:
    where = ("--store-url", "memory:", "--listen", "127.0.0.1:0", "--log-format", "json")
    process = await start(*where, "--max-connections", "2", "--max-streams", "1")
    assert process.stderr is not None
    began = time.monotonic()
    lines: list[dict[str, str]] = []
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
        while not lines or "url" not in lines[-1]:
            lines.append(json.loads(await process.stderr.readline()))
        port = int(lines[-1]["url"].rpartition(":")[2])

        async def status(sent: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(sent)
            return (await reader.readline())[9:12]

        async def hold() -> None:
            """A request that does not go on: its connection stays."""
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(b"GET /")

        whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        await hold()
        assert await status(whole) == b"200"
        await hold()
        assert {await status(whole) for _ in range(30)} == {b"503"}
        assert {await status(b"\xff\xfe\r\n\r\n") for _ in range(30)} == {b"400"}
        process.send_signal(signal.SIGTERM)
        _, rest = await process.communicate()
    most = 1 + (time.monotonic() - began) / 10
    lines += map(json.loads, rest.splitlines())
    for said in ("Exceeded concurrency limit.", "Invalid HTTP request received."):
        assert 1 <= sum(line["event"].startswith(said) for line in lines) <= most, lines
