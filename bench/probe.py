"""``python -m bench.probe``: what a reader sees while the server is busy, in a process of its own.

*Latency*: requests are sent at moments drawn beforehand (a Poisson process), each on a connection that is
free, and timed from the moment at which they were to be sent. So a stall of the server, or one of this
process, counts for all requests that fall into it. A Poisson process sees what a request at any moment would
see, however many others come from elsewhere. *Visibility*: some books are asked for again and again, and the
first sight of each update id is compared with the moment at which the shelf has it. One line of JSON.
"""

import argparse
import asyncio
import gc
import heapq
import json
import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

import uvloop

from bench.shelf import MOVING_LIMIT, changed_at, moving

PRIORITY: Final = 3

_PAUSE_S: Final = 0.001
_ID: Final = b'{"lastUpdateId":'


class Line(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self) -> None:
        self._data = b""
        self._whole = 0
        self._answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("closed"))

    def ask(self, request: bytes) -> "asyncio.Future[bytes]":
        """The answer, head and body."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._whole:
            head, found, _ = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._whole = len(head) + 4 + int(length)
        if len(self._data) >= self._whole and self._answered is not None:
            answer, self._data, self._whole = self._data, b"", 0
            self._answered.set_result(answer)

    def close(self) -> None:
        self._transport.close()


def request_for(number: int) -> bytes:
    target = f"/api/v3/depth?symbol={moving(number)}&limit={MOVING_LIMIT}"
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def latencies(
    connect: Callable[[], "asyncio.Future[Line]"], rate: float, seconds: float, books: int
) -> list[float]:
    """Seconds from when each request was to be sent until its answer was here."""
    draw = random.Random(7)
    # In turn: a connection that is left alone for some seconds is closed by the server.
    lines = deque([await connect() for _ in range(8)])
    took: list[float] = []
    waiting: list[tuple[float, bytes]] = []
    requests = [request_for(number) for number in range(books)]

    def give(line: Line) -> None:
        # Due requests wait for a connection, and their waiting counts.
        if waiting:
            due, request = heapq.heappop(waiting)
            line.ask(request).add_done_callback(lambda done: end(line, due, done))
        else:
            lines.append(line)

    def end(line: Line, due: float, done: "asyncio.Future[bytes]") -> None:
        if done.exception() is not None or not done.result().startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"a probe was not answered: {done}")
        took.append(time.monotonic() - due)
        give(line)

    due = time.monotonic() + 0.1
    until = due + seconds
    while due < until:
        # Timers are of whole milliseconds: never before it is due, and what is late counts as latency.
        while (ahead := due - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(ahead)
        heapq.heappush(waiting, (due, draw.choice(requests)))
        if lines:
            give(lines.popleft())
        due += draw.expovariate(rate)
    async with asyncio.timeout(10):
        while len(lines) < 8:  # noqa: ASYNC110 - the last answers
            await asyncio.sleep(0.01)
    for line in lines:
        line.close()
    return took


async def visibility(line: Line, number: int, seconds: float) -> list[float]:
    """Seconds from each change of a book until it, or a newer one, was read."""
    request = request_for(number)
    until = time.monotonic() + seconds
    seen, waits = 0, []
    while time.monotonic() < until:
        answer = await line.ask(request)
        body = answer.partition(b"\r\n\r\n")[2]
        update_id = int(body[len(_ID) :].partition(b",")[0])
        if update_id > seen:
            # The first sight tells nothing. Where versions were skipped, the first of them counts.
            if seen:
                waits.append(time.monotonic() - changed_at(seen + 1, number))
            seen = update_id
        await asyncio.sleep(_PAUSE_S)
    line.close()
    return waits


async def run(port: int, rate: float, seconds: float, books: int, watched: int) -> dict[str, list[float]]:
    loop = asyncio.get_running_loop()

    async def connect() -> Line:
        _, line = await loop.create_connection(Line, "127.0.0.1", port)
        return line

    watching = [
        asyncio.create_task(visibility(await connect(), number * books // watched, seconds))
        for number in range(watched)
    ]
    took = await latencies(lambda: asyncio.ensure_future(connect()), rate, seconds, books)
    waits = [wait for task in watching for wait in await task]
    return {"latency_s": took, "visible_s": waits}


def first_in_line(priority: int, pid: int = 0) -> None:
    """Have a process (this one) go before others of its core, where that is allowed.

    What the probe notes late looks like the server's latency, and so does the stutter of the load and of the
    store: what was held up by others of its core comes all at once.
    """
    with suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(priority))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.probe", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--books", type=int, default=100)
    parser.add_argument("--watched", type=int, default=2)
    given = parser.parse_args()
    first_in_line(PRIORITY)
    gc.disable()  # for some seconds: its pauses would look like the server's, too
    json.dump(uvloop.run(run(given.port, given.rate, given.seconds, given.books, given.watched)), sys.stdout)
