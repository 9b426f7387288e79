"""``Proxy``: a TCP proxy that can misbehave, and counts marks in what passes.

=========  ============================================================================================
``OPEN``   everything passes
``RESET``  open connections are reset, and so is each new one
``STALL``  connections are accepted and nothing passes either way; what was sent passes when it is over,
           late, as from a network that was congested or a route that was gone for a while
=========  ============================================================================================

:meth:`Proxy.cut` resets what is open and lets new connections through.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Final

HOST: Final = "127.0.0.1"
CHUNK: Final = 65_536
CONNECT_TIMEOUT_S: Final = 5.0
FLUSH_TIMEOUT_S: Final = 1.0
MAX_LINKS: Final = 512


class Mode(StrEnum):
    """The table above."""

    OPEN = "open"
    RESET = "reset"
    STALL = "stall"


class Scanner:
    """Counts a byte string in a stream that comes in pieces."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._tail = b""

    def feed(self, data: bytes) -> int:
        """How many more there are with this piece.

        >>> scanner = Scanner(b"PUT /")
        >>> scanner.feed(b"PUT /a PU"), scanner.feed(b"T /b"), scanner.feed(b"PUT")
        (1, 1, 0)
        """
        window = self._tail + data
        # One byte shorter than the mark: what was counted is not counted again.
        self._tail = window[-(len(self._mark) - 1) :] if len(self._mark) > 1 else b""
        return window.count(self._mark)


class Proxy:
    """From a free port of this machine to ``port``.

    ``marks``: byte strings by name; ``counts`` says how often each passed, in either direction, since the
    start. ``max_links`` bounds the connections at a time; more are reset.
    """

    def __init__(
        self, port: int, *, marks: Mapping[str, bytes] | None = None, max_links: int = MAX_LINKS
    ) -> None:
        self._upstream = port
        self._marks = dict(marks or {})
        self._max_links = max_links
        self.counts: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._passing.set()
        self._mode = Mode.OPEN
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """Where it listens. Raises ``RuntimeError`` before :meth:`start`."""
        if self._server is None:
            raise RuntimeError("the proxy was not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def mode(self) -> Mode:
        return self._mode

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, HOST, 0, limit=CHUNK)

    def set_mode(self, mode: Mode) -> None:
        """Behave like that from now on."""
        self._mode = mode
        if mode is Mode.STALL:
            self._passing.clear()
        else:
            self._passing.set()
        if mode is Mode.RESET:
            self.cut()

    def cut(self) -> None:
        """Reset every open connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def close(self) -> None:
        """Stop listening and reset what is open."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._links):
            task.cancel()
        self.cut()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._mode is Mode.RESET or len(self._links) >= self._max_links:
            writer.transport.abort()
            return
        self._links.add(task)
        self._writers.add(writer)
        try:
            await self._passing.wait()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                upstream = await asyncio.open_connection(HOST, self._upstream, limit=CHUNK)
            self._writers.add(upstream[1])
            try:
                await self._link(reader, writer, *upstream)
            finally:
                upstream[1].transport.abort()
                self._writers.discard(upstream[1])
        except (OSError, TimeoutError):
            pass
        except asyncio.CancelledError:
            # Only close() cancels, and it wants no more than an end.
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._links.discard(task)

    async def _link(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        """Carry both ways until either side ends."""
        ways = [
            asyncio.ensure_future(self._carry(reader, up_writer)),
            asyncio.ensure_future(self._carry(up_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            # What the side that ended had said is still to arrive.
            for each in (writer, up_writer):
                with suppress(OSError, TimeoutError, RuntimeError):
                    each.close()
                    async with asyncio.timeout(FLUSH_TIMEOUT_S):
                        await each.wait_closed()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        scanners = {name: Scanner(mark) for name, mark in self._marks.items()}
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._passing.wait()
                for name, scanner in scanners.items():
                    found = scanner.feed(data)
                    if found:
                        self.counts[name] += found
                sink.write(data)
                await sink.drain()
