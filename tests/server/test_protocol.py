"""Over real sockets: a prepared answer is, but for its speed, the one the library would have given."""

import asyncio
import contextlib
import itertools
import os
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from depthcast.venues.binance_rest import DEPTH_PATH, PING_PATH
from server import fast as module
from server.answers import Answer, Asked, Endpoint
from server.app import App
from server.catalogue import Catalogue
from server.depth import Depth
from server.fast import PAGED_AFTER, PAGED_BYTES, FastAnswers
from server.freshness import Freshness
from server.hot import HotFiles
from server.ping import ping
from server.protocol import MAX_HEAD_BYTES, BoundedHttpProtocol, protocol_with
from tests.server.conftest import WatchedStore

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

MONDAY = b"Mon, 01 Jan 2024 00:00:00 GMT"
WAIT_S = 30.0


class Site:
    """The depth endpoint behind our protocol on a socket, with or without prepared answers.

    The ``date`` header is what :meth:`turn` made it last, so that answers can be compared byte for byte.
    """

    def __init__(self, store: WatchedStore, *, fast: bool, **options: int) -> None:
        self.store = store
        self.asked = 0
        self.counted: Counter[tuple[str, int]] = Counter()
        # Time stands still, well ahead of the protocol's own clock: no book grows older while a test runs.
        now = time.monotonic() + 100_000
        self._clock = lambda: now
        self.answers = FastAnswers(on_answers=self._count)
        self._fast = fast
        self._options = options
        self.state = ServerState()
        self.turn(MONDAY)

    async def start(self) -> None:
        catalogue = Catalogue(self.store)
        await catalogue.refresh()
        self.hot = HotFiles(self.store, refresh_s=3600, clock=self._clock)
        self.depth = Depth(catalogue, self.hot, Freshness(stale_after_s=3600), clock=self._clock)
        app = App(
            {DEPTH_PATH: self._answer, PING_PATH: ping, "/slow": self._slow},
            [],
            on_answer=lambda path, status: self._count(path, status, 1),
            fast_answers=self.answers if self._fast else None,
        )
        config = uvicorn.Config(
            app,
            http=protocol_with(self.answers),
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            limit_concurrency=self._options.get("max_connections"),
            timeout_keep_alive=self._options.get("keep_alive", 60),
        )
        config.load()
        self.protocols: list[BoundedHttpProtocol] = []

        def protocol() -> BoundedHttpProtocol:
            made = config.http_protocol_class(config=config, server_state=self.state, app_state={})  # type: ignore[call-arg]
            assert isinstance(made, BoundedHttpProtocol)
            self.protocols.append(made)
            return made

        self._server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for protocol in self.protocols:
            if protocol.transport is not None:
                protocol.transport.abort()
        self._server.close()
        self.answers.close()
        await self.hot.close()

    def turn(self, date: bytes) -> None:
        """Another second has begun."""
        self.state.default_headers = [(b"date", date)]

    def check(self) -> None:
        self.answers.check()
        for protocol in self.protocols:
            if protocol in self.state.connections:
                protocol.check()

    def hits(self) -> int:
        """How many answers were given without the library."""
        return sum(prepared.hits for prepared in self.answers.by_head.values())

    async def connect(self) -> "tuple[StreamReader, StreamWriter]":
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def talk(self, *pieces: bytes, of: Sequence[bytes] | None = None) -> bytes:
        """What comes back on one connection to ``pieces``, which arrive one by one and are the
        requests ``of``, by default one each."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await self._arrived(piece)
            methods = [each.split(b" ", 1)[0] for each in of or pieces]
            return b"".join([await read_answer(reader, method) for method in methods])
        finally:
            writer.close()

    async def _arrived(self, _piece: bytes) -> None:
        # The other end reads in this very loop: a few turns are enough for one piece to be a read of its own.
        for _ in range(3):
            await asyncio.sleep(0)

    def _answer(self, asked: Asked) -> Answer | Awaitable[Answer]:
        self.asked += 1
        return self.depth.answer(asked)

    async def _slow(self, _asked: Asked) -> Answer:
        for _ in range(20):
            await asyncio.sleep(0)
        return Answer(200, ((b"content-length", b"4"),), b"slow")

    def _count(self, path: str, status: int, answers: int) -> None:
        self.counted[(path, status)] += answers


async def read_answer(reader: "StreamReader", method: bytes) -> bytes:
    async with asyncio.timeout(WAIT_S):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        bodiless = method == b"HEAD" or head.startswith((b"HTTP/1.1 304", b"HTTP/1.1 204"))
        body = await reader.readexactly(0 if bodiless or length is None else int(length[1]))
    return head + body


def request(
    target: str = f"{DEPTH_PATH}?symbol=ETHUSDT&limit=5", *lines: str, method: str = "GET", body: str = ""
) -> bytes:
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: x", *lines, "", body)).encode()


TAG = '"1-160-5-5-5"'
BOOK = f"{DEPTH_PATH}?symbol=ETHUSDT&limit="
PLAIN = {
    "five levels": request(),
    "three levels": request(BOOK + "3"),
    "a large book": request(BOOK + "1000"),
    "HEAD": request(method="HEAD"),
    "HEAD of a large book": request(BOOK + "1000", method="HEAD"),
    "one's own version": request(BOOK + "5", f"If-None-Match: {TAG}"),
    "a list of versions": request(BOOK + "5", f'If-None-Match: "a", {TAG}'),
    "versions in two lines": request(BOOK + "5", 'If-None-Match: "a"', f"If-None-Match: W/{TAG}"),
    "any version": request(BOOK + "5", "If-None-Match: *"),
    "another version": request(BOOK + "5", 'If-None-Match: "1-159-5-5-5"'),
    "a browser": request(BOOK + "5", "Accept: */*", "User-Agent: Mozilla/5.0 (X11)", "Accept-Language: en"),
    "gzip": request(BOOK + "1000", "Accept-Encoding: gzip, deflate"),
    "zstd": request(BOOK + "100", "Accept-Encoding: gzip, deflate, br, zstd"),
    "a range": request(BOOK + "5", "Range: bytes=0-3"),
    "keep-alive": request(BOOK + "5", "Connection: keep-alive"),
    "ping": request(PING_PATH),
}
"""Requests that may be answered from memory."""

UNUSUAL = {
    "an unknown symbol": request(f"{DEPTH_PATH}?symbol=NOPE"),
    "no symbol": request(DEPTH_PATH),
    "a wrong time unit": request(BOOK + "5", "X-MBX-TIME-UNIT: hours"),
    "an unknown path": request("/nothing"),
    "POST": request(method="POST"),
    "POST with a body": request(BOOK + "5", "Content-Length: 5", method="POST", body="hello"),
    "GET with a body": request(BOOK + "5", "Content-Length: 5", body="hello"),
    "GET with an empty body": request(BOOK + "5", "Content-Length: 0"),
    "chunks": request(BOOK + "5", "Transfer-Encoding: chunked", body="5\r\nhello\r\n0\r\n\r\n"),
    "OPTIONS": request(method="OPTIONS"),
    "upgrade": request(BOOK + "5", "Upgrade: h2c"),
    "expect": request(BOOK + "5", "Expect: 100-continue"),
    "a slow endpoint": request("/slow"),
}
"""Requests that go to the library each time, on connections that stay open."""

ALL = PLAIN | UNUSUAL


@pytest.fixture
async def sites(store: WatchedStore) -> AsyncIterator[Sequence[Site]]:
    """The same books twice: with prepared answers, and without."""
    await store.publish("ETHUSDT", 5, 160)
    await store.publish("ETHUSDT", 100, 160)
    await store.publish("ETHUSDT", 5000, 160, levels=2000)
    both = [Site(store, fast=True), Site(store, fast=False)]
    for site in both:
        await site.start()
    yield both
    for site in both:
        site.check()
        await site.stop()


@pytest.mark.parametrize("name", ALL)
async def test_an_answer_is_the_same_each_time_and_the_librarys(sites: Sequence[Site], name: str) -> None:
    fast, ordinary = sites
    expected = await ordinary.talk(ALL[name])
    assert b"date: " + MONDAY in expected
    for _ in range(3):
        assert await fast.talk(ALL[name]) == expected
        fast.check()
    assert fast.hits() == (2 if name in PLAIN else 0)
    assert ordinary.hits() == 0


async def test_a_request_may_be_split_anywhere(sites: Sequence[Site]) -> None:
    fast, ordinary = sites
    asked = PLAIN["one's own version"]
    expected = await ordinary.talk(asked, asked)
    await fast.talk(asked)
    for at in range(1, len(asked)):
        assert await fast.talk(asked[:at], asked[at:], asked, of=[asked] * 2) == expected
    fast.check()


async def test_bytes_that_end_one_request_and_begin_the_next_are_no_head(sites: Sequence[Site]) -> None:
    fast, ordinary = sites
    asked = PLAIN["five levels"]
    await fast.talk(asked)
    expected = await ordinary.talk(asked * 3, of=[asked] * 3)
    for at in range(1, len(asked)):
        assert await fast.talk(asked + asked[:at], asked[at:] + asked, of=[asked] * 3) == expected
    assert set(fast.answers.by_head) == {asked}


@pytest.mark.parametrize("many", [2, 3, 17, 100])
async def test_requests_may_be_sent_without_waiting(sites: Sequence[Site], many: int) -> None:
    fast, ordinary = sites
    draw = random.Random(many)
    asked = [draw.choice(list(ALL.values())) for _ in range(many)]
    expected = await ordinary.talk(b"".join(asked), of=asked)
    for each in asked:
        await fast.talk(each)
    assert await fast.talk(b"".join(asked), of=asked) == expected
    assert await fast.talk(*asked) == expected


@pytest.mark.parametrize("head", ["connection: close", "HTTP/1.0"])
async def test_a_connection_that_is_to_end_ends(sites: Sequence[Site], head: str) -> None:
    fast, ordinary = sites
    asked = request(BOOK + "5", "Connection: close") if "c" in head else request().replace(b"1.1", b"1.0", 1)
    for site in (ordinary, fast, fast, fast):
        reader, writer = await site.connect()
        writer.write(asked)
        async with asyncio.timeout(WAIT_S):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"connection: close\r\n" in answer
        writer.close()
    assert not fast.answers.by_head


async def test_garbage_is_refused_as_ever(sites: Sequence[Site]) -> None:
    fast, ordinary = sites
    await fast.talk(request())
    answers = []
    for site in (fast, ordinary):
        reader, writer = await site.connect()
        writer.write(request())
        first = await read_answer(reader, b"GET")
        writer.write(b"\x00\x01 nonsense\r\n\r\n")
        async with asyncio.timeout(WAIT_S):
            answers.append(first + await reader.read())
        writer.close()
    assert answers[0] == answers[1]
    assert b"400 Bad Request" in answers[0]


@pytest.mark.parametrize(
    "garbage",
    [b"garbage\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * (4 * MAX_HEAD_BYTES)],
    ids=["no request", "a head without an end"],
)
@pytest.mark.parametrize("first", [(request("/slow"),), (request("/slow"), request(BOOK + "3"))], ids=len)
async def test_what_is_refused_is_not_answered_before_requests_that_came_first(
    sites: Sequence[Site], first: tuple[bytes, ...], garbage: bytes
) -> None:
    for site in sites:
        expected = [await site.talk(each) for each in first]
        reader, writer = await site.connect()
        writer.write(b"".join(first) + garbage)
        answers = [await read_answer(reader, b"GET") for _ in first]
        site.check()
        # What was still on its way to a closed socket resets the connection.
        async with asyncio.timeout(WAIT_S):
            with contextlib.suppress(ConnectionResetError):
                # A refusal may follow where the answers were given before the last of the garbage came.
                assert (await reader.read())[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 431")
        assert [answer.replace(b"connection: close\r\n", b"") for answer in answers] == expected
        writer.close()


async def test_a_head_without_an_end_is_cut_off_after_prepared_answers_too(sites: Sequence[Site]) -> None:
    fast = sites[0]
    reader, writer = await fast.connect()
    for _ in range(3):
        writer.write(request())
        await read_answer(reader, b"GET")
    writer.write(b"GET / HTTP/1.1\r\nx: " + b"y" * (MAX_HEAD_BYTES + 1))
    async with asyncio.timeout(WAIT_S):
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
    writer.close()


class _Requests:
    """Draws connections: lists of requests, and where their bytes are cut into pieces."""

    @staticmethod
    @st.composite
    def connection(draw: Callable[..., object]) -> tuple[list[bytes], list[bytes]]:
        names = draw(st.lists(st.sampled_from(sorted(ALL)), min_size=1, max_size=12))
        assert isinstance(names, list)
        asked = [ALL[name] for name in names]
        whole = b"".join(asked)
        ends = [sum(map(len, asked[: n + 1])) for n in range(len(asked))]
        # Cuts between requests are what prepared answers need; the others are to be survived.
        cuts = draw(st.sets(st.one_of(st.sampled_from(ends), st.integers(1, len(whole))), max_size=12))
        assert isinstance(cuts, set)
        places = [0, *sorted(cuts | {len(whole)})]
        return asked, [whole[a:b] for a, b in itertools.pairwise(places)]


def test_any_mixture_of_requests_is_answered_as_by_the_library() -> None:
    async def start() -> tuple[Site, Site]:
        store = WatchedStore()
        await store.publish("ETHUSDT", 5, 160)
        await store.publish("ETHUSDT", 100, 160)
        await store.publish("ETHUSDT", 5000, 160, levels=600)
        fast, ordinary = Site(store, fast=True), Site(store, fast=False)
        for site in (fast, ordinary):
            await site.start()
        for asked in PLAIN.values():
            for _ in range(PAGED_AFTER + 2):
                await fast.talk(asked)
        return fast, ordinary

    async def compare(connection: tuple[list[bytes], list[bytes]]) -> None:
        asked, pieces = connection
        assert await fast.talk(*pieces, of=asked) == await ordinary.talk(*pieces, of=asked)
        fast.check()

    async def stop() -> None:
        await fast.stop()
        await ordinary.stop()

    with asyncio.Runner() as runner:
        fast, ordinary = runner.run(start())

        @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(connection=_Requests.connection())
        def mixtures(connection: tuple[list[bytes], list[bytes]]) -> None:
            runner.run(compare(connection))

        try:
            mixtures()
        finally:
            runner.run(stop())


async def test_a_new_version_is_answered_at_once(sites: Sequence[Site]) -> None:
    fast = sites[0]
    asked = PLAIN["one's own version"]
    reader, writer = await fast.connect()
    for _ in range(3):
        writer.write(asked)
        assert (await read_answer(reader, b"GET")).startswith(b"HTTP/1.1 304")
    body = await fast.store.publish("ETHUSDT", 5, 161)
    file = await fast.hot.read("api/v3/depth?symbol=ETHUSDT&limit=5")
    assert file is not None
    await fast.hot._fetch(file, behind=True)
    writer.write(asked)
    answer = await read_answer(reader, b"GET")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(body)
    fast.answers.fold()
    # All but the first by the library; the endpoint was asked by it, for the second answer, and for the last.
    assert (sum(fast.counted.values()), fast.asked) == (4, 3)
    writer.close()


async def test_the_date_is_that_of_the_second(sites: Sequence[Site]) -> None:
    fast, ordinary = sites
    reader, writer = await fast.connect()
    for second in range(3):
        date = MONDAY.replace(b"00:00:00", b"00:00:0%d" % second)
        fast.turn(date)
        ordinary.turn(date)
        expected = await ordinary.talk(request())
        for _ in range(3):
            writer.write(request())
            answer = await read_answer(reader, b"GET")
            assert answer == expected
            assert b"date: " + date in answer
    writer.close()


async def test_traffic_on_prepared_answers_keeps_a_file_in_memory(sites: Sequence[Site]) -> None:
    fast = sites[0]
    await fast.talk(request())
    file = fast.hot.get("api/v3/depth?symbol=ETHUSDT&limit=5")
    assert file is not None
    file.asked_at = 0.0
    fast.turn(b"another second")
    await fast.talk(request())
    assert file.asked_at > 0


async def test_a_file_that_left_memory_is_read_again(sites: Sequence[Site]) -> None:
    fast = sites[0]
    for _ in range(2):
        await fast.talk(request())
    fast.hot._drop("api/v3/depth?symbol=ETHUSDT&limit=5")
    body = await fast.store.publish("ETHUSDT", 5, 162)
    assert not (await fast.talk(request())).endswith(body), "what was read last is given for an interval"
    fast.hot._reading.clear()
    assert (await fast.talk(request())).endswith(body)
    fast.hot.check()


async def test_answers_are_counted_however_they_are_given(sites: Sequence[Site]) -> None:
    fast = sites[0]
    for name in ("five levels", "one's own version"):
        for _ in range(10):
            await fast.talk(PLAIN[name])
    fast.answers.fold()
    assert fast.counted == {(DEPTH_PATH, 200): 10, (DEPTH_PATH, 304): 10}


@pytest.mark.parametrize("name", ["a large book", "HEAD of a large book", "gzip"])
async def test_a_large_answer_given_often_comes_from_a_file_in_memory_and_is_the_same(
    sites: Sequence[Site], name: str
) -> None:
    fast, ordinary = sites
    expected = await ordinary.talk(PLAIN[name])
    reader, writer = await fast.connect()
    for _ in range(3 * PAGED_AFTER):
        writer.write(PLAIN[name])
        assert await read_answer(reader, PLAIN[name].split()[0]) == expected
    (prepared,) = fast.answers.by_head.values()
    assert (prepared.pages >= 0) == (len(expected) >= PAGED_BYTES) == (name == "a large book")
    fast.check()
    # A new version is another file, and the answer on its way of the old one is not touched by it.
    fast.turn(b"another second")
    ordinary.turn(b"another second")
    writer.write(PLAIN[name])
    assert await read_answer(reader, PLAIN[name].split()[0]) == await ordinary.talk(PLAIN[name])
    fast.check()
    writer.close()


async def test_files_in_memory_are_few_and_closed(
    sites: Sequence[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, ordinary = sites
    monkeypatch.setattr(module, "MAX_PAGED", 3)
    before = len(os.listdir("/proc/self/fd"))
    for limit in range(1000, 1006):
        asked = request(f"{BOOK}{limit}")
        for _ in range(PAGED_AFTER + 3):
            assert await fast.talk(asked) == await ordinary.talk(asked)
        fast.check()
    assert sum(prepared.pages >= 0 for prepared in fast.answers.by_head.values()) == 3
    for _ in range(2):
        fast.answers.sweep(time.monotonic())
    fast.check()
    assert not any(prepared.pages >= 0 for prepared in fast.answers.by_head.values())
    async with asyncio.timeout(WAIT_S):
        # Connections of the test itself take a moment to be gone.
        while len(os.listdir("/proc/self/fd")) > before + 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_client_that_does_not_read_is_not_read_either(sites: Sequence[Site]) -> None:
    fast = sites[0]
    asked = request(BOOK + "5000")
    size = len(await fast.talk(asked))
    reader, writer = await fast.connect()
    transport = reader._transport  # type: ignore[attr-defined]
    transport.pause_reading()
    protocol = None
    many = 400
    for _ in range(many):
        writer.write(asked)
        for _ in range(5):
            await asyncio.sleep(0)
        protocol = protocol or fast.protocols[-1]
        assert protocol.transport.get_write_buffer_size() <= 2 * size + 2**16
        protocol.check()
    assert protocol is not None
    assert protocol.flow.write_paused
    assert protocol.flow.read_paused
    assert len(protocol.pipeline) <= MAX_HEAD_BYTES * 4 / len(asked)
    transport.resume_reading()
    got = 0
    async with asyncio.timeout(60):
        while got < many * size:
            got += len(await reader.read(2**20))
    assert got == many * size
    writer.close()


async def test_an_idle_connection_is_closed_but_not_one_in_use(store: WatchedStore) -> None:
    await store.publish("ETHUSDT", 5, 160)
    site = Site(store, fast=True, keep_alive=600)
    await site.start()
    try:
        await site.talk(request())
        reader, writer = await site.connect()
        loop = asyncio.get_running_loop()
        before = loop.time()
        writer.write(request())
        await read_answer(reader, b"GET")
        protocol = site.protocols[-1]
        timer = protocol.timeout_keep_alive_task
        assert timer is not None
        assert before + 600 <= timer.when() <= loop.time() + 600
        # As if the timer ended some minutes after a prepared answer: it waits for the rest.
        protocol._fast_at = time.monotonic() - 200
        timer.cancel()
        before = loop.time()
        protocol.timeout_keep_alive_handler()
        assert not protocol.transport.is_closing()
        left = protocol.timeout_keep_alive_task
        assert left is not None
        assert before + 399 <= left.when() <= loop.time() + 400
        # One timer serves many answers.
        for _ in range(5):
            writer.write(request())
            await read_answer(reader, b"GET")
        assert protocol.timeout_keep_alive_task is left
        # As if it ended when nobody had asked for so long.
        protocol._fast_at = time.monotonic() - 601
        protocol.timeout_keep_alive_handler()
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""
        writer.close()
    finally:
        await site.stop()


async def test_more_connections_than_allowed_are_refused_prepared_answers_too(store: WatchedStore) -> None:
    await store.publish("ETHUSDT", 5, 160)
    site = Site(store, fast=True, max_connections=3)
    await site.start()
    try:
        one, two = await site.connect(), await site.connect()
        for reader, writer in (one, two, one, two):
            writer.write(request())
            assert (await read_answer(reader, b"GET")).startswith(b"HTTP/1.1 200")
        three = await site.connect()
        three[1].write(request())
        assert (await read_answer(three[0], b"GET")).startswith(b"HTTP/1.1 503")
        assert site.hits() == 3
        for _, writer in (one, two, three):
            writer.close()
    finally:
        await site.stop()


async def test_a_gate_may_add_lines_or_leave_a_request_to_the_ordinary_way(sites: Sequence[Site]) -> None:
    fast = sites[0]
    plain = await fast.talk(request())
    told: list[tuple[str, bytes]] = []

    def admit(_endpoint: Endpoint, client: str, asked: Asked) -> bytes | None:
        told.append((client, asked.query))
        return b"x-used: %d\r\n" % len(told) if len(told) < 3 else None

    fast.answers.admit = admit
    for n in (1, 2):
        answer = await fast.talk(request())
        head, body = plain.split(b"\r\n\r\n")
        assert answer == head + b"\r\nx-used: %d\r\n\r\n" % n + body
    assert await fast.talk(request()) == plain
    assert told == [("127.0.0.1", b"symbol=ETHUSDT&limit=5")] * 3
    assert fast.hits() == 2


async def test_a_stopping_server_closes_connections_that_had_prepared_answers_only(
    sites: Sequence[Site],
) -> None:
    fast = sites[0]
    await fast.talk(request())
    reader, writer = await fast.connect()
    writer.write(request())
    await read_answer(reader, b"GET")
    fast.protocols[-1].shutdown()
    async with asyncio.timeout(WAIT_S):
        assert await reader.read() == b""
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()
