"""A network between a page and its server that can be cut and mended: what a browser sees of an outage."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Hands bytes on between whoever connects to :attr:`port` and the server, until it is cut."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End every connection, and let none be made."""
        self._cut = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections be made again."""
        self._cut = False

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self._cut:
            writer.transport.abort()
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._open |= {writer, to_server}
        await asyncio.gather(_pump(reader, to_server), _pump(from_server, writer), return_exceptions=True)
        self._open -= {writer, to_server}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def relayed(server_port: int) -> AsyncIterator[Relay]:
    """A relay, until the block ends."""
    relay = Relay(server_port)
    server = await asyncio.start_server(relay.take, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        relay.cut()
        server.close()
