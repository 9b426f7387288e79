"""``python -m bench.shelf``: an S3 that holds books which change by the clock, in a process of its own.

It answers listings, reads and conditional reads as fast as Python can, so that what is measured beside it is
the reader's work. Nobody writes to it: *still* books never change, and each *moving* book changes
:data:`CHANGES_A_SECOND` times a second at moments that follow from the monotonic clock alone, so that who
reads one elsewhere on this machine knows when it changed. Only the update id changes. :func:`started` starts
it as a child; it prints its port, and at each line of its standard input how many
reads it answered, and how many of these found nothing.
"""

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, NamedTuple, cast
from urllib.parse import parse_qs, unquote

import uvloop

from depthcast.files import DEPTH_PREFIX, FileInfo, depth_key, parse_key
from depthcast.store.aws import Aws

BUCKET: Final = "books"
STILL: Final = "STILLUSDT"
LIMITS: Final = (5, 100, 5000)
MOVING_LIMIT: Final = 100
CHANGES_A_SECOND: Final = 10

_FIRST_ID: Final = 99_700_000_000
_STEPS: Final = (0.01, 0.01, 0.01, 0.02, 0.05, 0.13)
_LISTED: Final = (
    "<Contents><Key>{}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;0&quot;</ETag><Size>1</Size></Contents>"
)
_LISTING: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>books</Name>'
    "<IsTruncated>false</IsTruncated>{}</ListBucketResult>"
)


def moving(number: int) -> str:
    """The symbol of a moving book."""
    return f"MOVE{number}USDT"


def changed_at(update_id: int, number: int) -> float:
    """When the moving book of that number came to that update id, by the monotonic clock."""
    return (update_id - _FIRST_ID + _phase(number)) / CHANGES_A_SECOND


def update_id_at(now: float, number: int) -> int:
    """The update id of a moving book at a moment of the monotonic clock."""
    return _FIRST_ID + int(now * CHANGES_A_SECOND - _phase(number))


def _phase(number: int) -> float:
    # The golden ratio spreads any number of books evenly over an interval.
    return number * 0.618033988749895 % 1.0


@lru_cache
def levels(limit: int) -> bytes:
    """A book of so many levels a side, but for its beginning: steps and quantities as in a liquid market."""
    draw = random.Random(limit)
    sides = []
    for sign in (-1, 1):
        price, side = 2500.0, []
        for _ in range(limit):
            price += sign * draw.choice(_STEPS)
            side.append([f"{price:.8f}", f"{draw.lognormvariate(0, 2):.4f}0000"])
        sides.append(side)
    return json.dumps({"bids": sides[0], "asks": sides[1]}, separators=(",", ":")).encode()[1:]


class Found(NamedTuple):
    """One object as it is now."""

    body: bytes
    etag: bytes


class Shelf:
    """The objects: a still book in each of :data:`LIMITS`, and ``books`` moving ones."""

    def __init__(self, books: int) -> None:
        self.reads = 0
        self.missed = 0
        self._numbers = {moving(number): number for number in range(books)}
        keys = [depth_key(STILL, limit) for limit in LIMITS]
        keys += [depth_key(symbol, MOVING_LIMIT) for symbol in self._numbers]
        self._listing = "".join(_LISTED.format(key.replace("&", "&amp;")) for key in keys)

    def get(self, key: str) -> Found | None:
        if not key.startswith(DEPTH_PREFIX):
            return None
        symbol, limit = parse_key(key)
        number = self._numbers.get(symbol)
        if number is None and symbol != STILL:
            return None
        update_id = _FIRST_ID if number is None else update_id_at(time.monotonic(), number)
        return Found(b'{"lastUpdateId":%d,' % update_id + levels(limit), b'"%d"' % update_id)

    def answer(self, target: str, head: bytes) -> bytes:
        """The answer to a GET."""
        path, _, query = target.partition("?")
        if "list-type=2" in query:
            prefix = parse_qs(query).get("prefix", [""])[0]
            listing = _LISTING.format(self._listing if DEPTH_PREFIX.startswith(prefix) else "").encode()
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%b" % (
                len(listing),
                listing,
            )
        self.reads += 1
        found = self.get(unquote(path).removeprefix(f"/{BUCKET}/"))
        if found is None:
            self.missed += 1
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        lower = head.lower()
        if b"\r\nif-none-match: " + found.etag in lower:
            return b"HTTP/1.1 304 Not Modified\r\nETag: %b\r\n\r\n" % found.etag
        status, body, extra = b"200 OK", found.body, b""
        if b"\r\nrange: bytes=0-" in lower:
            last = min(int(lower.partition(b"\r\nrange: bytes=0-")[2].partition(b"\r\n")[0]), len(body) - 1)
            extra = b"Content-Range: bytes 0-%d/%d\r\n" % (last, len(body))
            status, body = b"206 Partial Content", body[: last + 1]
        return b"HTTP/1.1 %b\r\n%bETag: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
            status,
            _METADATA,
            found.etag,
            b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n" + extra,
            len(body),
            body,
        )


def _metadata() -> bytes:
    now_ms = time.time_ns() // 1_000_000
    info = FileInfo(1, 5000, 5000, False, False, now_ms, now_ms, "bench").to_metadata()
    return b"".join(b"x-amz-meta-%b: %b\r\n" % (n.encode(), v.encode()) for n, v in info.items())


_METADATA: Final = _metadata()


class Connection(asyncio.Protocol):
    """Requests without bodies, one after the other."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            self._transport.write(self._shelf.answer(head.split(b" ", 2)[1].decode(), head + b"\r\n"))


class Running:
    """A shelf that runs as a child."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self.pid = child.pid
        self._in, self._out = child.stdin, child.stdout
        port = int(self._out.readline())
        self.aws = Aws(f"http://127.0.0.1:{port}", access_key_id="bench", secret_access_key="bench")

    def reads(self) -> tuple[int, int]:
        """How many reads of objects there were so far, and how many of these found none. Listings apart."""
        self._in.write("\n")
        self._in.flush()
        reads, missed = self._out.readline().split()
        return int(reads), int(missed)


@contextmanager
def started(books: int, place: Callable[[int], None] = lambda _pid: None) -> Iterator[Running]:
    """The shelf as a child of this process; ``place`` is told its process id, to choose its cores."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.shelf", f"--books={books}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        place(child.pid)
        yield Running(child)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(10)


async def serve(books: int) -> None:
    loop = asyncio.get_running_loop()
    shelf = Shelf(books)
    server = await loop.create_server(lambda: Connection(shelf), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(shelf.reads, shelf.missed, flush=True)


if __name__ == "__main__":
    gc.disable()  # for some seconds: its pauses would look like the server's
    parser = argparse.ArgumentParser(prog="python -m bench.shelf", description=__doc__)
    parser.add_argument("--books", type=int, default=100, help="moving books")
    uvloop.run(serve(parser.parse_args().books))
