"""Over real sockets: connections whose request does not come, or whose answer is not taken, do not stay."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import uvicorn
from uvicorn.server import ServerState

from depthcast.settings import Address
from depthcast.venues.binance_rest import DEPTH_PATH, PING_PATH
from server.__main__ import listen
from server.answers import Answer, Asked, json_answer
from server.app import App
from server.fast import FastAnswers
from server.ping import ping
from server.protocol import BoundedHttpProtocol, protocol_with
from server.unfinished import Unfinished

WAIT_S = 30.0
LONG = b"x" * 300_000
WHOLE = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n"


class Client:
    """A connection, and how the server sees it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self) -> "Client":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def answer(self) -> bytes:
        """The first line of one answer without a body longer than this."""
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
            await self.reader.readexactly(int(length.split()[1]))
        return head.split(b"\r\n")[0]

    async def ended(self) -> bool:
        """Whether the server has ended it; looks once."""
        try:
            async with asyncio.timeout(0.05):
                return await self.reader.read(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


class Site:
    """A server's connections, on a clock of their own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.state = ServerState()
        self.unfinished = Unfinished(self.state.connections, within_s=30, clock=lambda: self.now)
        self.gate = asyncio.Event()
        self.fast = FastAnswers()
        self.bound = listen(Address("127.0.0.1", 0), takes_nothing_s=1)

    @property
    def connections(self) -> list[BoundedHttpProtocol]:
        return [each for each in self.state.connections if isinstance(each, BoundedHttpProtocol)]

    async def start(self) -> None:
        app = App({PING_PATH: ping, "/slow": self._slow, DEPTH_PATH: self._long}, [], fast_answers=self.fast)
        config = uvicorn.Config(
            app,
            http=protocol_with(self.fast),
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=3600,
        )
        config.load()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: BoundedHttpProtocol(config, self.state, {}), sock=self.bound
        )

    async def connect(self, sent: bytes = b"") -> Client:
        """A connection that the server has, with what was sent over it."""
        known = len(self.connections)
        client = await Client(self.bound.getsockname()[1]).open()
        await self.until(lambda: len(self.connections) > known)
        if sent:
            await self.send(client, sent)
        return client

    async def send(self, client: Client, sent: bytes) -> None:
        """Send, and wait until the server has begun to read it as another request."""
        (connection,) = (
            each for each in self.connections if each.client == client.writer.get_extra_info("sockname")
        )
        before = connection.scope
        client.writer.write(sent)
        await self.until(lambda: connection.scope is not before)

    async def pass_s(self, seconds: float) -> None:
        """Time passes, with a sweep every five seconds."""
        until = self.now + seconds
        while self.now < until:
            self.now += 5
            self.unfinished.sweep()
        await asyncio.sleep(0)

    @staticmethod
    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110 (what is waited for is another's state)
                await asyncio.sleep(0.001)

    async def _slow(self, _asked: Asked) -> Answer:
        await self.gate.wait()
        return json_answer(b"{}")

    def _long(self, _asked: Asked) -> Answer:
        return json_answer(LONG)

    async def stop(self) -> None:
        for connection in self.connections:
            connection.transport.abort()
        self._server.close()
        self.fast.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


@pytest.mark.parametrize("sent", [b"", b"GET /api/v3/ping", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_whose_first_request_does_not_come_is_cut_off(site: Site, sent: bytes) -> None:
    client = await site.connect(sent)
    await site.pass_s(30)
    assert not await client.ended()
    await site.pass_s(10)
    await site.until(lambda: not site.connections)
    assert await client.ended()


async def test_a_later_request_that_does_not_come_whole_is_cut_off(site: Site) -> None:
    client = await site.connect(WHOLE)
    assert await client.answer() == b"HTTP/1.1 200 OK"
    await site.pass_s(100)
    assert not await client.ended()  # idle: the library's timer ends it, here after an hour
    await site.send(client, WHOLE[:-1])
    await site.pass_s(40)
    await site.until(lambda: not site.connections)


async def test_a_body_that_comes_by_drops_is_cut_off(site: Site) -> None:
    client = await site.connect(b"POST /api/v3/ping HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
    assert await client.answer() == b"HTTP/1.1 405 Method Not Allowed"
    (connection,) = site.connections
    for _ in range(9):
        client.writer.write(b".")
        await site.until(lambda: connection.timeout_keep_alive_task is None)
        await site.pass_s(5)
    await site.until(lambda: not site.connections)


async def test_each_request_has_its_time(site: Site) -> None:
    client = await site.connect()
    for _ in range(5):
        await site.send(client, WHOLE[:20])
        await site.pass_s(25)
        client.writer.write(WHOLE[20:])
        assert await client.answer() == b"HTTP/1.1 200 OK"
    assert not await client.ended()


async def test_who_waits_for_an_answer_is_left_alone_however_long_it_takes(site: Site) -> None:
    client = await site.connect(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await site.pass_s(100)
    site.gate.set()
    assert await client.answer() == b"HTTP/1.1 200 OK"
    assert not await client.ended()


async def test_who_is_given_prepared_answers_is_left_alone(site: Site) -> None:
    first = await site.connect(WHOLE)
    await first.answer()
    client = await site.connect()
    for _ in range(10):
        client.writer.write(WHOLE)
        assert await client.answer() == b"HTTP/1.1 200 OK"
        await site.pass_s(20)
    assert not await client.ended()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such option")
async def test_who_takes_nothing_of_an_answer_is_cut_off(site: Site) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(site.bound.getsockname())
        client.sendall(b"GET /api/v3/depth HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        waiting = 0

        def ended() -> bool:
            nonlocal waiting
            sizes = [each.transport.get_write_buffer_size() for each in site.connections]
            waiting = max(waiting, *sizes, 0)
            return bool(waiting) and not site.connections

        await site.until(ended)
    assert waiting > 0


async def test_sweeps_go_on_until_they_are_ended(site: Site) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        site.now += 20
        await asyncio.sleep(0)

    await site.connect(b"GET /")
    running = asyncio.create_task(site.unfinished.run(sleep=sleep))
    await site.until(lambda: not site.connections)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert set(slept) == {5.0}
