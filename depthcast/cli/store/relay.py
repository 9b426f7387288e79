"""The address where others reach the store: each connection is handed on to SeaweedFS, byte for byte.

SeaweedFS opens, beside its S3 port and on the same address, one that trusts whoever reaches it. So it stays
on 127.0.0.1, and this listens where the others are. A request's signature covers the host it was sent to and
passes unchanged. Memory is bounded: where one side does not take what the other sends, reading pauses.
"""

import asyncio
import socket
from asyncio import AbstractEventLoop, BaseTransport, Protocol, Task, Transport
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from depthcast.errors import SettingsError
from depthcast.settings import Address

Target = Callable[[], Address | None]
"""Where SeaweedFS answers now; ``None`` while it does not."""


class Relay:
    """:meth:`start`, then :meth:`close`. ``target`` is asked anew for each connection."""

    def __init__(
        self,
        listen: Address,
        target: Target,
        *,
        max_connections: int = 1024,
        connect_timeout_s: float = 5.0,
    ) -> None:
        self._listen = listen
        self._target = target
        self._max_connections = max_connections
        self._connect_timeout_s = connect_timeout_s
        self._open: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> Address:
        """Begin to listen, and return where. Raises :class:`~depthcast.errors.SettingsError` for an address
        that cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Client(self), self._listen.host, self._listen.port, backlog=512
            )
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {self._listen}: {error.strerror or error}",
                hint="choose another --listen, or stop the process that listens there",
            ) from None
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port)

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        for client in tuple(self._open):
            client.cut()

    def __len__(self) -> int:
        return len(self._open)

    def check(self) -> None:
        """Raise ``AssertionError`` where a bound is broken or an ended connection is still held."""
        assert len(self._open) <= self._max_connections
        assert all(client.transport is not None for client in self._open)

    def took(self, client: "_Client") -> bool:
        """Whether there is room for one more connection."""
        if len(self._open) >= self._max_connections:
            return False
        self._open.add(client)
        return True

    def ended(self, client: "_Client") -> None:
        """A connection is gone."""
        self._open.discard(client)

    async def reach(self, loop: AbstractEventLoop, client: "_Client") -> "_End":
        """Connect to SeaweedFS on behalf of ``client``. Raises ``OSError`` or ``TimeoutError``."""
        target = self._target()
        if target is None:
            raise ConnectionRefusedError("the store is not running")
        async with asyncio.timeout(self._connect_timeout_s):
            _, end = await loop.create_connection(lambda: _End(client), target.host, target.port)
        return end


class _End(Protocol):
    """One side of a relayed connection; what it receives, the other side sends."""

    def __init__(self, peer: "_End | None" = None) -> None:
        self.peer = peer
        self.transport: Transport | None = None
        self.ended: bool = False
        """Whether its end was received; the answer to what came before may still be on its way."""

    @property
    def other(self) -> Transport | None:
        """The other side's transport, while it can be used."""
        transport = self.peer.transport if self.peer is not None else None
        return None if transport is None or transport.is_closing() else transport

    def connection_made(self, transport: BaseTransport) -> None:
        self.transport = cast(Transport, transport)
        _set_up(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.other is not None:
            self.other.write_eof()
        if self.peer is not None and self.peer.ended:
            # Neither side has anything more to say, and nothing would be heard of the connection again.
            if self.other is not None:
                self.other.close()
            return False
        return True

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.other is not None:
            self.other.close()


class _Client(_End):
    """The side of whoever uses the store. What arrives before SeaweedFS is reached waits; it is not more than
    one read, for then reading pauses."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self._reaching: Task[None] | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        if not self._relay.took(self):
            self.transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._reaching = loop.create_task(self._reach(loop))

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            super().data_received(data)
            return
        # Not paused before: uvloop starts to read after connection_made, whatever was said there.
        self._early.append(data)
        if self.transport is not None:
            self.transport.pause_reading()

    async def _reach(self, loop: AbstractEventLoop) -> None:
        try:
            end = await self._relay.reach(loop, self)
        except (OSError, TimeoutError):
            self.cut()
            return
        if self.transport is None or end.transport is None:  # gone meanwhile
            for one in (self, end):
                if one.transport is not None:
                    one.transport.abort()
            return
        self.peer = end
        if self._early:
            end.transport.writelines(self._early)
            self._early.clear()
            self.transport.resume_reading()
        if self.ended:
            end.transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._relay.ended(self)

    def cut(self) -> None:
        """End it at once, on both sides."""
        for end in (self, self.peer):
            if end is not None and end.transport is not None:
                end.transport.abort()


def _set_up(transport: Transport) -> None:
    connection = transport.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A host that vanished without a word is noticed, rather than held for ever.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
