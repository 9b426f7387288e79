"""Connections to a server that answers as it is told: used again, bounded, replaced when stale."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import pytest

from depthcast.store.connection import NoAnswer
from depthcast.store.failure import Cause
from depthcast.store.pool import Origin, Pool

if TYPE_CHECKING:
    from tests.depthcast.store.conftest import Script

REQUEST = b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n"


class Server:
    """Counts connections, answers each request, and closes all connections when told."""

    def __init__(self) -> None:
        self.opened = 0
        self.requests = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.cut_after: int | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                if self.requests == self.cut_after:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, Origin]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    yield server, Origin("127.0.0.1", listening.sockets[0].getsockname()[1])
    listening.close()
    for writer in server.writers:
        writer.close()


async def until(done: Callable[[], bool], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_requests_one_after_the_other_use_one_connection(served: tuple[Server, Origin]) -> None:
    server, origin = served
    pool = Pool(origin)
    for _ in range(20):
        assert (await pool.fetch(REQUEST)).body == b"ok"
        pool.check()
    assert server.opened == 1
    await pool.close(1.0)


async def test_many_requests_share_a_bounded_number_of_connections(served: tuple[Server, Origin]) -> None:
    server, origin = served
    pool = Pool(origin, max_connections=3)
    answers = await asyncio.gather(*(pool.fetch(REQUEST) for _ in range(50)))
    assert [answer.body for answer in answers] == [b"ok"] * 50
    assert server.opened <= 3
    pool.check()
    await pool.close(1.0)
    await pool.close(1.0)
    with pytest.raises(RuntimeError):
        await pool.fetch(REQUEST)


async def test_a_connection_that_the_store_closed_meanwhile_is_replaced_unnoticed(
    served: tuple[Server, Origin],
) -> None:
    server, origin = served
    pool = Pool(origin)
    await pool.fetch(REQUEST)
    server.cut_after = 2
    assert (await pool.fetch(REQUEST)).body == b"ok"
    assert (server.requests, server.opened) == (3, 2)
    await pool.close(1.0)


async def test_a_new_connection_that_breaks_is_an_error(served: tuple[Server, Origin]) -> None:
    server, origin = served
    server.cut_after = 1
    with pytest.raises(NoAnswer) as raised:
        await Pool(origin).fetch(REQUEST)
    assert raised.value.cause is Cause.CUT
    assert server.requests == 1


async def test_an_answer_that_broke_off_is_not_asked_for_again(script: "Script") -> None:
    pool = Pool(Origin("127.0.0.1", script.port))
    script.says(200, body=b"ok")
    await pool.fetch(REQUEST)
    script.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhalf"
    with pytest.raises(NoAnswer) as raised:
        await pool.fetch(REQUEST)
    assert (raised.value.cause, raised.value.begun) == (Cause.CUT, True)
    assert len(script.requests) == 2
    await pool.close(1.0)


async def test_a_request_that_met_silence_is_not_sent_again(script: "Script") -> None:
    # Long enough for the first answer on a busy machine.
    pool = Pool(Origin("127.0.0.1", script.port), request_timeout_s=2.0)
    script.says(200, body=b"ok")
    await pool.fetch(REQUEST)
    script.answer = None
    with pytest.raises(NoAnswer) as raised:
        await pool.fetch(REQUEST)
    assert raised.value.cause is Cause.TIMEOUT
    assert len(script.requests) == 2
    pool.check()


async def test_a_connection_idle_for_long_is_not_used(served: tuple[Server, Origin]) -> None:
    server, origin = served
    now_s = 0.0
    pool = Pool(origin, idle_s=30.0, clock=lambda: now_s)
    await pool.fetch(REQUEST)
    now_s += 29.0
    await pool.fetch(REQUEST)
    assert server.opened == 1
    now_s += 31.0
    await pool.fetch(REQUEST)
    assert server.opened == 2
    await pool.close(1.0)


async def test_connections_that_are_not_needed_any_more_are_closed(served: tuple[Server, Origin]) -> None:
    server, origin = served
    now_s = 0.0
    pool = Pool(origin, idle_s=30.0, clock=lambda: now_s)
    await asyncio.gather(*(pool.fetch(REQUEST) for _ in range(4)))
    assert server.opened == 4
    for _ in range(40):
        now_s += 1.0
        await pool.fetch(REQUEST)
        pool.check()
    await until(lambda: sum(not writer.is_closing() for writer in server.writers) == 1)
    assert server.opened == 4
    await pool.close(1.0)


async def test_waiting_for_a_connection_ends(script: "Script") -> None:
    script.answer = None
    pool = Pool(Origin("127.0.0.1", script.port), request_timeout_s=0.1, max_connections=1)
    results = await asyncio.gather(*(pool.fetch(REQUEST) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, NoAnswer) and each.cause is Cause.TIMEOUT for each in results), results
    pool.check()


async def test_a_cancelled_request_gives_its_place_back(script: "Script") -> None:
    script.answer = None
    pool = Pool(Origin("127.0.0.1", script.port), request_timeout_s=30.0, max_connections=1)
    call = asyncio.ensure_future(pool.fetch(REQUEST))
    await until(lambda: len(script.requests) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    pool.check()
    script.says(200, body=b"ok")
    assert (await asyncio.wait_for(pool.fetch(REQUEST), 30)).body == b"ok"
    await pool.close(1.0)


async def test_closing_cuts_what_takes_too_long(script: "Script") -> None:
    script.answer = None
    pool = Pool(Origin("127.0.0.1", script.port), request_timeout_s=30.0)
    call = asyncio.ensure_future(pool.fetch(REQUEST))
    await until(lambda: len(script.requests) == 1)
    await pool.close(0.01)
    with pytest.raises(NoAnswer) as raised:
        await asyncio.wait_for(call, 30)
    assert raised.value.cause is Cause.CUT


async def test_nothing_listening_is_told(unused_tcp_port: int) -> None:
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(NoAnswer) as raised:
            await Pool(Origin(host, unused_tcp_port)).fetch(REQUEST)
        assert raised.value.cause is Cause.REFUSED


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://127.0.0.1:8333/b", "127.0.0.1:8333"),
        ("http://minio/b", "minio"),
        ("http://[::1]:9000/b", "[::1]:9000"),
        ("http://h:443/b", "h:443"),
    ],
)
def test_the_authority_leaves_out_the_schemes_own_port(url: str, authority: str) -> None:
    def tls() -> None:
        raise AssertionError("no TLS here")

    assert Origin.of(url, tls).authority == authority  # type: ignore[arg-type]
