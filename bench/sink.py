"""``python -m bench.sink``: an S3 that takes every PUT and keeps nothing, in a process of its own.

It prints its port and serves until its standard input ends. It answers as fast as Python can, so that what
is measured beside it is the client's work.
"""

import asyncio
import sys
from typing import Final

_ANSWER: Final = b'HTTP/1.1 200 OK\r\nETag: "00000000000000000000000000000000"\r\nContent-Length: 0\r\n\r\n'
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Sink(asyncio.Protocol):
    """One connection: a head, so many bytes as it says, an answer; and again."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        while data:
            if self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                data = data[taken:]
                if not self._left:
                    self._transport.write(_ANSWER)
                continue
            self._head += data
            head, found, data = bytes(self._head).partition(b"\r\n\r\n")
            if not found:
                return
            self._head.clear()
            head = head.lower()
            self._left = int(head.partition(b"\ncontent-length:")[2].partition(b"\r\n")[0] or 0)
            if b"\nexpect: 100-continue" in head:
                self._transport.write(_CONTINUE)
            if not self._left:
                self._transport.write(_ANSWER)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
