"""``python -m bench.sink``: an S3 that takes every PUT and keeps nothing, in a process of its own.

It prints its port and serves until its standard input ends; a read or a listing finds nothing. It answers
as fast as Python can, so that what is measured beside it is the client's work. :func:`started` starts it as
a child.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import uvloop

from depthcast.store.aws import Aws

_TAKEN: Final = b'HTTP/1.1 200 OK\r\nETag: "00000000000000000000000000000000"\r\nContent-Length: 0\r\n\r\n'
_MISSING: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_EMPTY_LIST: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>books</Name><Prefix></Prefix>'
    b"<KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)
_NOTHING: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_EMPTY_LIST),
    _EMPTY_LIST,
)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@contextmanager
def started(place: Callable[[int], None] = lambda _pid: None) -> Iterator[Aws]:
    """The sink as a child of this process; ``place`` is told its process id, to choose its cores."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        place(child.pid)
        port = int(child.stdout.readline())
        yield Aws(f"http://127.0.0.1:{port}", access_key_id="bench", secret_access_key="bench")
    finally:
        child.stdin.close()
        child.wait(10)


class Sink(asyncio.Protocol):
    """One connection: a head, so many bytes as it says, an answer; and again."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        while data:
            if self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                data = data[taken:]
                if not self._left:
                    self._transport.write(_TAKEN)
                continue
            self._head += data
            head, found, data = bytes(self._head).partition(b"\r\n\r\n")
            if not found:
                return
            self._head.clear()
            self._begin(head.lower())

    def _begin(self, head: bytes) -> None:
        if not head.startswith(b"put "):
            is_list = b"list-type=2" in head.partition(b"\r\n")[0]
            self._transport.write(_NOTHING if is_list else _MISSING)
            return
        self._left = int(head.partition(b"\ncontent-length:")[2].partition(b"\r\n")[0] or 0)
        if b"\nexpect: 100-continue" in head:
            self._transport.write(_CONTINUE)
        if not self._left:
            self._transport.write(_TAKEN)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
