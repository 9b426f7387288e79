"""How a process ends: with its own status, everything written out, whatever the S3 client's threads do."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop

from depthcast.exit import complete

WRITER = """
import asyncio, sys
from depthcast.exit import run
from depthcast.store.aws import Aws
from depthcast.store.s3 import S3Store

endpoint, cancelled = sys.argv[1], sys.argv[2] == "cancelled"

async def main():
    store = S3Store("books", aws=Aws(endpoint, access_key_id="k", secret_access_key="s"))
    async def write(number):
        for _ in range(3):
            result = await store.put_if(f"k{number}", b"x" * 3000, match=None)
            assert result.etag, result
    tasks = [asyncio.create_task(write(number)) for number in range(16)]
    if cancelled:
        await asyncio.sleep(0.01)
    else:
        await asyncio.gather(*tasks)
    print("done", end="")
    return 7

run(lambda: asyncio.run(main()))
"""


@pytest.fixture
def sink() -> Iterator[str]:
    """A server that takes every PUT; its URL. It runs in a thread: the children are awaited in this one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                await reader.readexactly(int(length[15:]))
                writer.write(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n')
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    loop.close()


@pytest.mark.parametrize("scene", ["finished", "cancelled"])
def test_processes_that_write_and_end_at_once_end_with_their_own_status(sink: str, scene: str) -> None:
    def child(_: int) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", WRITER, sink, scene],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(child, range(20)))
    assert ends == [(7, "done")] * 20


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_thread_may_call_the_loop_until_the_process_ends(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """As one of the S3 client does whose answer came as its call was cancelled."""

    async def main() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    loop = complete(main(), loop_factory=factory)
    try:
        loop.call_soon_threadsafe(pytest.fail)
    finally:
        loop.close()


def test_what_a_loop_is_run_for_may_fail() -> None:
    async def main() -> None:
        raise LookupError("no such bucket")

    with pytest.raises(LookupError, match="no such bucket"):
        complete(main(), loop_factory=asyncio.new_event_loop)


def ending(program: str) -> "subprocess.CompletedProcess[str]":
    preamble = "import os, sys\nfrom depthcast.exit import leave, run\n"
    return subprocess.run(
        [sys.executable, "-c", preamble + program], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        ("run(lambda: 0)", 0, ""),
        ("run(lambda: 3)", 3, ""),
        ("run(lambda: sys.exit())", 0, ""),
        ("run(lambda: sys.exit(4))", 4, ""),
        ("run(lambda: sys.exit('no such thing'))", 1, "no such thing"),
        ("def main(): raise KeyboardInterrupt\nrun(main)", 130, ""),
        ("run(lambda: 1 // 0)", 1, "ZeroDivisionError"),
        ("leave(5)", 5, ""),
    ],
)
def test_the_status_is_the_one_python_would_give(program: str, status: int, said: str) -> None:
    done = ending(program)
    assert done.returncode == status
    assert said in done.stderr
    if not said:
        assert done.stderr == ""


def test_what_is_buffered_is_written_out() -> None:
    program = """
import logging, logging.handlers
logging.basicConfig(handlers=[logging.handlers.MemoryHandler(9, target=logging.StreamHandler())])
logging.warning("logged")
print("printed", end="")
sys.stderr.write("told")
leave(0)
"""
    done = ending(program)
    assert (done.returncode, done.stdout) == (0, "printed")
    assert "told" in done.stderr
    assert "logged" in done.stderr


def test_a_reader_that_has_gone_does_not_change_the_status() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        program = "from depthcast.exit import leave; print('x'); leave(6)"
        buffering = {**os.environ, "PYTHONUNBUFFERED": ""}
        done = subprocess.run([sys.executable, "-c", program], stdout=writing, env=buffering, check=False)
        assert done.returncode == 6
    finally:
        os.close(writing)
