"""A connection fed byte by byte with what a store may send, and with what it must not."""

import asyncio
import random
from typing import cast

import pytest

from depthcast.store.connection import MAX_HEAD_BYTES, Answer, Connection, NoAnswer
from depthcast.store.failure import Cause

REQUEST = b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n"
PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "e"\r\nX-Amz-Meta-Epoch: 3\r\n\r\nhello'
CHUNKED = (
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "e"\r\nX-Amz-Meta-Epoch: 3\r\n\r\n'
    b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nETag: no\r\n\r\n"
UNCHANGED = b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "e"\r\n\r\n'


class Transport:
    """Takes what is written, and ends when told."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True


def connected(max_body_bytes: int = 1000) -> tuple[Connection, Transport]:
    connection, transport = Connection(max_body_bytes), Transport()
    connection.connection_made(cast(asyncio.BaseTransport, transport))
    return connection, transport


async def asked(connection: Connection, timeout_s: float = 30.0) -> "asyncio.Task[Answer]":
    task = asyncio.create_task(connection.ask(REQUEST, timeout_s))
    await asyncio.sleep(0)
    return task


async def answered(data: bytes, sizes: list[int], connection: Connection) -> Answer:
    task = await asked(connection)
    rest = data
    for size in sizes:
        connection.data_received(rest[:size])
        rest = rest[size:]
    if rest:
        connection.data_received(rest)
    return await asyncio.wait_for(task, 5)


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, INTERIM + PLAIN, INTERIM + CHUNKED])
async def test_an_answer_is_the_same_however_it_is_split(answer: bytes) -> None:
    connection, transport = connected()
    randomness = random.Random(7)
    splits = [[at] for at in range(1, len(answer))] + [[1] * (len(answer) - 1)]
    splits += [[randomness.randint(1, 30) for _ in range(3)] for _ in range(50)]
    for sizes in splits:
        got = await answered(answer, sizes, connection)
        assert (got.status, got.body) == (200, b"hello")
        assert got.headers[b"etag"] == b'"e"'
        assert got.headers[b"x-amz-meta-epoch"] == b"3"
        assert connection.usable
    assert len(transport.written) == len(splits)
    assert not transport.aborted


async def test_not_modified_has_no_body_whatever_length_it_tells() -> None:
    connection, _ = connected()
    assert (await answered(UNCHANGED, [], connection)).status == 304
    assert (await answered(PLAIN, [], connection)).body == b"hello"


async def test_trailers_do_not_become_headers() -> None:
    connection, _ = connected()
    assert b"trailer" not in (await answered(CHUNKED, [], connection)).headers


async def test_of_a_header_sent_twice_the_first_counts() -> None:
    connection, _ = connected()
    got = await answered(PLAIN.replace(b"X-Amz-Meta-Epoch: 3", b'etag: "f"'), [], connection)
    assert got.headers[b"etag"] == b'"e"'


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN.replace(b"ETag", b"Connection: close\r\nETag"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN + b"HTTP/1.1 200 OK\r\n",
        PLAIN + PLAIN,
        PLAIN + b"H",
        PLAIN + b"garbage",
    ],
)
async def test_a_connection_of_uncertain_state_is_closed_after_its_answer(answer: bytes) -> None:
    connection, transport = connected()
    assert (await answered(answer, [], connection)).body == b"hello"
    assert not connection.usable
    assert transport.aborted


async def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    connection, transport = connected()
    assert (await answered(PLAIN, [], connection)).status == 200
    connection.data_received(PLAIN)
    assert not connection.usable
    assert transport.aborted
    with pytest.raises(RuntimeError):
        await connection.ask(REQUEST, 1.0)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP/1.1"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "not HTTP/1.1"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "not HTTP/1.1"),
        (PLAIN.replace(b"Length: 5", b"Length: 5\r\nContent-Length: 6"), "not HTTP/1.1"),
        (PLAIN.replace(b"Length: 5", b"Length: 5\r\nTransfer-Encoding: chunked"), "not HTTP/1.1"),
        (PLAIN.replace(b"Length: 5", b"Length: -5"), "not HTTP/1.1"),
        (PLAIN.replace(b"Length: 5", b"Length: 99999999999999999999999"), "not HTTP/1.1"),
        (PLAIN.replace(b"Length: 5", b"Length: 1001"), "too long"),
        (CHUNKED.replace(b"2\r\nhe", b"zz\r\nhe"), "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD_BYTES, "too long"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 20), "too long"),
        (CHUNKED[: CHUNKED.index(b"2\r\n")] + b"100\r\n" + b"x" * (2 * MAX_HEAD_BYTES), "not HTTP/1.1"),
        (
            CHUNKED[: CHUNKED.index(b"2\r\n")] + b"ffffff\r\n" + b"x" * (2 * MAX_HEAD_BYTES),
            "too long",
        ),
    ],
)
async def test_what_is_no_answer_is_told_and_ends_the_connection(answer: bytes, words: str) -> None:
    for size in (len(answer), 17):
        connection, transport = connected()
        task = await asked(connection)
        for at in range(0, len(answer), size):
            connection.data_received(answer[at : at + size])
        with pytest.raises(NoAnswer, match=words) as raised:
            await asyncio.wait_for(task, 5)
        assert raised.value.cause is Cause.OTHER
        assert raised.value.begun
        assert transport.aborted
        assert not connection.usable


@pytest.mark.parametrize("sent", range(0, len(PLAIN), 7))
async def test_a_connection_that_breaks_within_an_answer_gives_none(sent: int) -> None:
    connection, _ = connected()
    task = await asked(connection)
    if sent:
        connection.data_received(PLAIN[:sent])
    connection.connection_lost(None)
    with pytest.raises(NoAnswer) as raised:
        await task
    assert (raised.value.cause, raised.value.begun) == (Cause.CUT, sent > 0)


@pytest.mark.parametrize(("status", "taken"), [(200, False), (206, False), (403, True), (503, True)])
async def test_a_body_without_length_is_enough_for_an_error_but_not_for_an_object(
    status: int, taken: bool
) -> None:
    connection, _ = connected()
    task = await asked(connection)
    connection.data_received(b"HTTP/1.1 %d Status\r\nETag: e\r\n\r\nbody" % status)
    connection.connection_lost(None)
    if taken:
        assert (await task).body == b"body"
    else:
        with pytest.raises(NoAnswer):
            await task
    assert not connection.usable


async def test_silence_ends_after_the_time_out() -> None:
    connection, transport = connected()
    with pytest.raises(NoAnswer) as raised:
        await connection.ask(REQUEST, 0.01)
    assert raised.value.cause is Cause.TIMEOUT
    assert transport.aborted


async def test_a_cancelled_request_closes_its_connection() -> None:
    connection, transport = connected()
    task = await asked(connection)
    connection.data_received(PLAIN[:10])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transport.aborted
    assert not connection.usable
