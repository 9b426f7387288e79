"""The relay: bytes pass unchanged both ways, ends are passed on, and nothing grows without a bound."""

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from depthcast.cli.store.relay import Relay
from depthcast.errors import SettingsError
from depthcast.settings import Address

ANY = Address("127.0.0.1", 0)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run it on the loop that the service runs on: what its transports do when differs from asyncio's own."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(*args, **kwargs))

    return run


@asynccontextmanager
async def relayed(handler: Handler, *, max_connections: int = 8) -> AsyncIterator[tuple[Relay, Address]]:
    """A relay to a server that does with each connection what ``handler`` says."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    target = Address(*server.sockets[0].getsockname()[:2])
    relay = Relay(ANY, lambda: target, max_connections=max_connections)
    address = await relay.start()
    try:
        yield relay, address
    finally:
        relay.check()
        await relay.close()
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back, then the end."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def until(done: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@on_uvloop
async def test_bytes_pass_unchanged_and_the_end_is_passed_on() -> None:
    sent = bytes(range(256)) * 20_000  # 5 MB: many times what the sockets hold
    async with relayed(echo) as (relay, address):
        reader, writer = await asyncio.open_connection(*address)

        async def send() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        async with asyncio.timeout(20):
            received = await reader.read(-1)
        await sending
        assert hashlib.sha256(received).digest() == hashlib.sha256(sent).digest()
        writer.close()
        await until(lambda: len(relay) == 0)


@on_uvloop
async def test_what_was_sent_before_the_store_was_reached_arrives_first() -> None:
    async with relayed(echo) as (_, address):
        pairs: list[Streams] = await asyncio.gather(*(asyncio.open_connection(*address) for _ in range(8)))
        for number, (_, writer) in enumerate(pairs):
            writer.write(b"first %d" % number)
            writer.write_eof()
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(reader.read(-1) for reader, _ in pairs))
        assert answers == [b"first %d" % number for number in range(8)]
        for _, writer in pairs:
            writer.close()


@on_uvloop
async def test_a_reader_that_does_not_read_stops_the_sender() -> None:
    written = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        while written < 200 << 20:
            writer.write(bytes(1 << 20))
            await writer.drain()
            written += 1 << 20

    async with relayed(flood) as (_, address):
        _, writer = await asyncio.open_connection(*address, limit=1024)
        before = -1
        async with asyncio.timeout(10):
            # Sockets and buffers fill up, and then nothing moves any more.
            while before != written:
                before = written
                await asyncio.sleep(0.2)
        assert written < 50 << 20
        writer.close()


@on_uvloop
async def test_a_connection_too_many_is_closed_and_the_others_stay() -> None:
    async with relayed(echo, max_connections=2) as (relay, address):
        kept = [await asyncio.open_connection(*address) for _ in range(2)]
        await until(lambda: len(relay) == 2)
        reader, writer = await asyncio.open_connection(*address)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(5):
                await reader.readexactly(1)
        writer.close()
        for reader, writer in kept:
            writer.write(b"still here")
            async with asyncio.timeout(5):
                assert await reader.readexactly(10) == b"still here"
            writer.close()


@pytest.mark.parametrize("target", [None, Address("127.0.0.1", 1)])
@on_uvloop
async def test_without_a_store_connections_are_closed_at_once(target: Address | None) -> None:
    relay = Relay(ANY, lambda: target)
    address = await relay.start()
    reader, writer = await asyncio.open_connection(*address)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(5):
            await reader.readexactly(1)
    writer.close()
    await until(lambda: len(relay) == 0)
    await relay.close()


@on_uvloop
async def test_a_store_that_cuts_the_connection_cuts_the_readers() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with relayed(hang_up) as (relay, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x")
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read(-1) == b""
        writer.close()
        await until(lambda: len(relay) == 0)


@on_uvloop
async def test_closing_it_cuts_what_is_open() -> None:
    async with relayed(echo) as (relay, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await relay.close()
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read(-1) == b""
        writer.close()


@on_uvloop
async def test_an_address_in_use_is_one_line() -> None:
    async with relayed(echo) as (_, address):
        with pytest.raises(SettingsError, match=f"cannot listen on {address}: .*choose another --listen"):
            await Relay(address, lambda: None).start()
