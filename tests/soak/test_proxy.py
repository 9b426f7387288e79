import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from soak.disturb import disturb_way
from soak.proxy import HOST, Mode, Proxy, Scanner

BOUND_S = 10.0


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """A server that says everything back; yields its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def proxied(**marks: bytes) -> AsyncIterator[Proxy]:
    async with echoing() as port, asyncio.timeout(BOUND_S):
        proxy = Proxy(port, marks=marks)
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.close()


async def test_everything_passes_unchanged_both_ways() -> None:
    sent = Random(1).randbytes(3_000_000)
    async with proxied() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        writer.close()


async def test_what_the_last_words_were_arrives_before_the_end() -> None:
    async def say_and_go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 200_000)
        writer.close()

    server = await asyncio.start_server(say_and_go, HOST, 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    async with asyncio.timeout(BOUND_S):
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        assert len(await reader.read()) == 200_000
        writer.close()
    await proxy.close()
    server.close()


async def test_reset_ends_open_connections_and_each_new_one() -> None:
    async with proxied() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        proxy.set_mode(Mode.RESET)
        assert await ends(reader)
        later, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello")
        assert await ends(later)
        proxy.set_mode(Mode.OPEN)
        again, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello")
        assert await again.readexactly(5) == b"hello"


async def test_a_stall_holds_back_what_was_sent_and_lets_it_pass_late() -> None:
    async with proxied(hello=b"hello") as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        proxy.set_mode(Mode.STALL)
        writer.write(b"hello")
        new_reader, new_writer = await asyncio.open_connection(HOST, proxy.port)
        new_writer.write(b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        assert proxy.counts["hello"] == 0
        proxy.set_mode(Mode.OPEN)
        assert await reader.readexactly(5) == b"hello"
        assert await new_reader.readexactly(5) == b"hello"


async def test_a_cut_ends_what_is_open_and_lets_new_connections_through() -> None:
    async with proxied() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        proxy.cut()
        assert await ends(reader)
        again, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello")
        assert await again.readexactly(5) == b"hello"


async def test_a_target_that_is_away_ends_the_connection() -> None:
    async with echoing() as port:
        pass
    async with asyncio.timeout(BOUND_S):
        proxy = Proxy(port)
        await proxy.start()
        reader, _ = await asyncio.open_connection(HOST, proxy.port)
        assert await ends(reader)
        await proxy.close()


async def test_marks_are_counted_in_either_direction() -> None:
    async with proxied(put=b"PUT /", other=b"nothing") as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"PUT /a PUT /b")
        await reader.readexactly(13)
        assert proxy.counts == {"put": 4}


def test_a_mark_is_found_however_the_stream_is_cut() -> None:
    rng = Random(5)
    stream = b"".join(rng.choice((b"PUT /", b"PUT", b"/", b" ", b"PU")) for _ in range(5000))
    scanner, found, at = Scanner(b"PUT /"), 0, 0
    while at < len(stream):
        size = rng.randint(1, 7)
        found += scanner.feed(stream[at : at + size])
        at += size
    assert found == stream.count(b"PUT /")


@pytest.mark.parametrize("way", ["reset", "stall", "cut"])
async def test_a_way_is_open_again_after_it_was_disturbed(way: str) -> None:
    async with proxied() as proxy:
        await disturb_way(proxy, way, 0.05)
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def ends(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except OSError:
        return True
