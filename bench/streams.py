"""``python -m bench.streams``: what open streams cost one server, and how soon all of them hear a change.

For each kind of stream (server-sent events, the exchange's websocket, half of each) a server is started as a
child with one book of 20 levels in memory. So many clients open a stream of it and stay. Told are

* the server's resident memory with all of them open, after they were idle for a while in which heartbeats and
  pings went out, and what that is for each stream;
* for changes of the book, one after the other: how long after the first reader the last one has it, how long
  after the write, and the server's CPU time. A write is seen up to ``refresh_ms`` (100 ms) later.

Clients and server share the machine, so times are those of both. The last line is one line of JSON.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, cast

import uvloop
from rich.console import Console
from rich.table import Table

from bench.shelf import levels
from depthcast.exit import run
from depthcast.files import FileInfo, depth_key
from depthcast.settings import Address
from depthcast.store.memory import MemoryStore
from server.__main__ import allow_open_files, listen, serve
from server.settings import ServerSettings

KINDS: Final = ("events", "websocket", "mixed")
GOAL_BYTES: Final = 1_500_000_000

_SYMBOL: Final = "ETHUSDT"
_LIMIT: Final = 20
_KEY: Final = depth_key(_SYMBOL, _LIMIT)
_FIRST_ID: Final = 99_700_000_000
_TICK: Final = os.sysconf("SC_CLK_TCK")
_AT_ONCE: Final = 200
_EVENTS: Final = b"GET /stream/depth?symbol=%b&limit=%d HTTP/1.1\r\nHost: bench\r\n\r\n" % (
    _SYMBOL.encode(),
    _LIMIT,
)
_WEBSOCKET: Final = (
    b"GET /ws/%b@depth%d@100ms HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
) % (_SYMBOL.lower().encode(), _LIMIT)
_PING: Final = b"\x89"
_PONG_MASKED: Final = b"\x8a"


class Measured(NamedTuple):
    """One kind of stream. Times are medians over the changes."""

    kind: str
    streams: int
    idle_bytes: int
    base_bytes: int
    spread_ms: float
    last_ms: float
    cpu_ms: float


class Crowd:
    """The clients: counts who has which version, and when the first and the last one got it."""

    def __init__(self) -> None:
        self.waiting_for = b"%d" % _FIRST_ID
        self.left = 0
        self.first = 0.0
        self.done = asyncio.Event()
        self.lost = 0
        self.readers: list[Reader] = []

    def expect(self, update_id: int, readers: int) -> None:
        self.waiting_for = b"%d" % update_id
        self.left = readers
        self.first = 0.0
        self.done.clear()

    def got(self) -> None:
        if not self.first:
            self.first = time.monotonic()
        self.left -= 1
        if not self.left:
            self.done.set()


class Reader(asyncio.Protocol):
    """One client. Looks for the update id in what comes, and answers a websocket's pings."""

    def __init__(self, crowd: Crowd, request: bytes) -> None:
        self._crowd = crowd
        self._request = request
        self._has = b""
        self._framed = request is _WEBSOCKET
        self._begun = not self._framed
        self._rest = b""

    def leave(self) -> None:
        """Go without a word."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._crowd.readers.append(self)
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._begun:
            _, end, data = data.partition(b"\r\n\r\n")
            self._begun = bool(end)
        if not self._framed:
            self._rest = data[-16:]
            self._look(data)
            return
        while len(data) >= 4:
            # A server's frames are not masked; these are shorter than 64 KiB (RFC 6455, 5.2).
            begin, length = (4, int.from_bytes(data[2:4], "big")) if data[1] == 126 else (2, data[1])
            if len(data) < begin + length:
                break
            payload = data[begin : begin + length]
            if data[:1] == _PING:
                # A mask of zeros: the payload goes back as it came.
                self._transport.write(_PONG_MASKED + bytes([0x80 | length]) + bytes(4) + payload)
            else:
                self._look(payload)
            data = data[begin + length :]
        self._rest = data

    def _look(self, data: bytes) -> None:
        wanted = self._crowd.waiting_for
        if self._has != wanted and wanted in data:
            self._has = wanted
            self._crowd.got()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.lost += 1


class Child:
    """The server under measurement."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._in, self._out = child.stdin, child.stdout
        self._pid = child.pid
        self.port = int(self._out.readline())

    def publish(self, update_id: int) -> float:
        """Write this version; when it was written, by the monotonic clock."""
        self._in.write(f"{update_id}\n")
        self._in.flush()
        return float(self._out.readline())

    def resident_bytes(self) -> int:
        with open(f"/proc/{self._pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        with open(f"/proc/{self._pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def started() -> Iterator[Child]:
    """The server as a child of this process."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.streams", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Child(child)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(120)


async def serve_child() -> None:
    """The child: publishes what it is told to, and serves."""
    store = MemoryStore()
    etag: str | None = None

    async def publish(update_id: int) -> None:
        nonlocal etag
        now_ms = time.time_ns() // 1_000_000
        info = FileInfo(0, 5000, 5000, False, False, now_ms, now_ms, "bench")
        body = b'{"lastUpdateId":%d,' % update_id + levels(_LIMIT)
        etag = (await store.put_if(_KEY, body, match=etag, metadata=info.to_metadata())).etag

    await publish(_FIRST_ID)
    # A quiet book is no stale one here, so that idle streams are told nothing of it.
    settings = ServerSettings(stale_after_ms=3_600_000, log_level="error")
    settings.configure_logs()
    allow_open_files(settings.max_connections)
    bound = listen(Address("127.0.0.1", 0))
    print(bound.getsockname()[1], flush=True)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, store, bound, stop))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await publish(int(line))
        print(time.monotonic(), flush=True)
    stop.set()
    await serving


async def measure(kind: str, streams: int, changes: int, idle_s: float) -> Measured:
    """Open the streams, wait, change the book."""
    loop = asyncio.get_running_loop()
    with started() as child:
        await _until_listening(child.port)
        base = child.resident_bytes()
        crowd = Crowd()
        crowd.expect(_FIRST_ID, streams)
        for begin in range(0, streams, _AT_ONCE):
            opening = (
                loop.create_connection(_reader(crowd, kind, n), "127.0.0.1", child.port)
                for n in range(begin, min(begin + _AT_ONCE, streams))
            )
            await asyncio.gather(*opening)
        await asyncio.wait_for(crowd.done.wait(), 600)
        await asyncio.sleep(idle_s)
        idle = child.resident_bytes()
        spreads, lasts = [], []
        cpu_s = child.cpu_s()
        for n in range(1, changes + 1):
            crowd.expect(_FIRST_ID + n, streams)
            written = await loop.run_in_executor(None, child.publish, _FIRST_ID + n)
            await asyncio.wait_for(crowd.done.wait(), 300)
            now = time.monotonic()
            spreads.append((now - crowd.first) * 1000)
            lasts.append((now - written) * 1000)
        cpu_ms = (child.cpu_s() - cpu_s) * 1000 / changes
        if crowd.lost:
            raise RuntimeError(f"{crowd.lost} of {streams} streams were lost")
        for reader in crowd.readers:
            reader.leave()
    return Measured(kind, streams, idle, base, statistics.median(spreads), statistics.median(lasts), cpu_ms)


def _reader(crowd: Crowd, kind: str, number: int) -> Callable[[], Reader]:
    websocket = kind == "websocket" or (kind == "mixed" and number % 2 == 1)
    return lambda: Reader(crowd, _WEBSOCKET if websocket else _EVENTS)


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
                ready = (await reader.readline()).split()[1:2] == [b"200"]
                writer.close()
            except OSError:
                ready = False
            if ready:
                return
            await asyncio.sleep(0.05)


def _tell(console: Console, measured: Sequence[Measured]) -> None:
    table = Table("streams", "open", "memory", "each", "change: first to last", "write to last", "server CPU")
    for each in measured:
        own = (each.idle_bytes - each.base_bytes) / each.streams
        table.add_row(
            each.kind,
            f"{each.streams:,}",
            f"{each.idle_bytes / 1e6:.0f} MB",
            f"{own / 1000:.1f} kB",
            f"{each.spread_ms:.0f} ms",
            f"{each.last_ms:.0f} ms",
            f"{each.cpu_ms:.0f} ms",
        )
    console.print(table)


def _figures(measured: Sequence[Measured]) -> dict[str, str | float]:
    figures: dict[str, str | float] = {"bench": "streams"}
    for each in measured:
        figures |= {
            f"{each.kind}_open": each.streams,
            f"{each.kind}_mb": round(each.idle_bytes / 1e6, 1),
            f"{each.kind}_kb_each": round((each.idle_bytes - each.base_bytes) / each.streams / 1000, 2),
            f"{each.kind}_spread_ms": round(each.spread_ms, 1),
            f"{each.kind}_last_ms": round(each.last_ms, 1),
            f"{each.kind}_cpu_ms": round(each.cpu_ms, 1),
        }
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description=__doc__)
    parser.add_argument("--streams", type=int, help="streams of each kind (10,000)")
    parser.add_argument("--changes", type=int, help="changes of the book (20)")
    parser.add_argument("--idle-s", type=float, help="how long streams are idle first (45)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind (again: and this one)")
    parser.add_argument("--quick", action="store_true", help="few streams: to see that it runs")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.serve:
        uvloop.run(serve_child())
        return 0
    streams = given.streams or (100 if given.quick else 10_000)
    changes = given.changes or (3 if given.quick else 20)
    idle_s = given.idle_s if given.idle_s is not None else (0.0 if given.quick else 45.0)
    allow_open_files(streams + 256)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < streams + 64:
        print("bench.streams: too few open files are allowed here; see ulimit -n", file=sys.stderr)
        return 2
    measured = [uvloop.run(measure(kind, streams, changes, idle_s)) for kind in given.kind or KINDS]
    _tell(Console(width=120), measured)
    within = all(each.idle_bytes <= GOAL_BYTES for each in measured)
    print(json.dumps(_figures(measured) | {"within_goal": within}))
    return 0 if within else 1


if __name__ == "__main__":
    run(main)
