"""A server that answers as a test tells it, for what no real store does on request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest


@dataclass
class Script:
    """What the server does with each request, and the requests it got.

    ``answer`` is the whole HTTP answer; ``b""`` cuts the connection, ``None`` never answers. Those in
    ``first`` are given before it, one to a request.
    """

    port: int = 0
    answer: bytes | None = b""
    first: list[bytes] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def says(self, status: int, code: str = "", *headers: str, body: bytes | None = None) -> None:
        """Answer with S3's error document, or with ``body``, from now on."""
        self.answer = self.form(status, code, *headers, body=body)

    def says_first(self, status: int, code: str = "", *headers: str, body: bytes | None = None) -> None:
        """Answer so once."""
        self.first.append(self.form(status, code, *headers, body=body))

    @staticmethod
    def form(status: int, code: str, *headers: str, body: bytes | None) -> bytes:
        if body is None:
            body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode() if code else b""
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers, "", ""]
        return "\r\n".join(lines).encode() + body


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    """The running server's script."""
    script = Script()
    open_connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_connections.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await _converse(script, reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    yield script
    server.close()
    for task in open_connections:
        task.cancel()
    await asyncio.gather(*open_connections, return_exceptions=True)


async def _converse(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = [line.lower() for line in head.split(b"\r\n")]
        lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        script.requests.append(head + await reader.readexactly(sum(lengths)))
        answer = script.first.pop(0) if script.first else script.answer
        if answer is None:
            await asyncio.Event().wait()
        if not answer:
            return
        writer.write(answer)
        await writer.drain()
        if b"Connection: close" in answer:
            return
