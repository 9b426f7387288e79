"""The feed over real sockets: a scripted exchange on the loopback interface."""

import asyncio
import http
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from depthcast.errors import RateLimited, VenueUnavailable
from depthcast.events import Diff
from depthcast.feed import Feed, FeedLimits, websocket
from depthcast.feed.websocket import connector, may_be_fast
from depthcast.venues.binance import Binance

WITHIN_S: Final = 60
"""What is waited for comes within milliseconds on a machine that has nothing else to do."""

FAST = FeedLimits(
    control_interval_s=0.02,
    reconnect_initial_s=0.02,
    reconnect_maximum_s=0.02,
    close_timeout_s=0.3,
    overlap_s=10.0,
    tick_s=0.005,
)

Handler = Callable[[ServerConnection], Awaitable[None]]


def diff_frame(symbol: str, update_id: int, *, padding: str = "") -> str:
    data = {"e": "depthUpdate", "E": 1, "s": symbol, "U": update_id, "u": update_id, "b": [], "a": []}
    return json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data, "padding": padding})


class Exchange:
    """Acknowledges and delivers one diff a subscription, numbered by its connection."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.connections: list[ServerConnection] = []

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.connections.append(connection)
        number = len(self.connections)
        async for text in connection:
            message = json.loads(text)
            await connection.send(json.dumps({"result": None, "id": message["id"]}))
            if message["method"] == "SUBSCRIBE":
                for name in message["params"]:
                    await connection.send(diff_frame(name.partition("@")[0].upper(), number))


def url_of(server: Server) -> str:
    host, port = next(iter(server.sockets)).getsockname()[:2]
    return f"ws://{host}:{port}"


@pytest.fixture(autouse=True, params=[False, True], ids=["usual", "fast"])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds of sockets have to pass."""
    monkeypatch.setattr(websocket, "may_be_fast", lambda _: request.param)


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    scripted = Exchange()
    async with serve(scripted, "127.0.0.1", 0) as server:
        scripted.url = url_of(server)
        yield scripted


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[asyncio.Task[None]]:
    run = asyncio.create_task(feed.run())
    try:
        yield run
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the code under test
            await asyncio.sleep(0.002)


async def test_symbols_are_subscribed_and_delivered_over_a_combined_stream(exchange: Exchange) -> None:
    diffs: list[Diff] = []
    feed = Feed(Binance(ws_url=exchange.url), on_diff=diffs.append, limits=FAST)
    feed.subscribe(["ETHUSDT", "币USDT"])
    async with running(feed):
        await until(lambda: len(diffs) == 2)
        assert [diff.symbol for diff in diffs] == ["ETHUSDT", "币USDT"]
        assert feed.live("币USDT")
        assert exchange.paths == ["/stream"]


async def test_a_connection_the_exchange_cuts_is_opened_again(exchange: Exchange) -> None:
    diffs: list[Diff] = []
    errors: list[Exception] = []
    lost: list[object] = []
    feed = Feed(
        Binance(ws_url=exchange.url),
        on_diff=diffs.append,
        on_error=lambda _, error: errors.append(error),
        on_connection_lost=lost.append,
        limits=FAST,
    )
    feed.subscribe(["ETHUSDT"])
    async with running(feed):
        await until(lambda: len(diffs) == 1)
        await exchange.connections[0].close(1008, "Too many requests")
        await until(lambda: len(diffs) == 2)
        exchange.connections[1].transport.abort()
        await until(lambda: len(diffs) == 3)
    assert lost == [["ETHUSDT"], ["ETHUSDT"]]
    assert "1008" in str(errors[0])
    assert "Too many requests" in str(errors[0])
    assert all(isinstance(error, VenueUnavailable) for error in errors)


async def test_an_announced_end_is_survived_without_a_loss(exchange: Exchange) -> None:
    diffs: list[Diff] = []
    lost: list[object] = []
    feed = Feed(
        Binance(ws_url=exchange.url), on_diff=diffs.append, on_connection_lost=lost.append, limits=FAST
    )
    feed.subscribe(["ETHUSDT"])
    async with running(feed):
        await until(lambda: len(diffs) == 1)
        await exchange.connections[0].send('{"stream":"!serverShutdown","data":{"e":"serverShutdown"}}')
        await until(lambda: feed.status().rotations == 1)
        await asyncio.wait_for(exchange.connections[0].wait_closed(), WITHIN_S)
        assert exchange.connections[0].close_code == 1000
        assert feed.live("ETHUSDT")
    assert [diff.last for diff in diffs] == [1, 2]
    assert lost == []


async def test_a_peer_that_is_gone_without_a_word_is_noticed(exchange: Exchange) -> None:
    """The socket stays open and nobody answers, not even to a ping."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes the handshake on to the exchange and then forgets the connection."""
        host, port = exchange.url.removeprefix("ws://").split(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        up_writer.write(await reader.readuntil(b"\r\n\r\n"))
        writer.write(await up_reader.readuntil(b"\r\n\r\n"))
        with_silence.append(writer)
        up_writer.close()
        await asyncio.sleep(30)

    with_silence: list[asyncio.StreamWriter] = []
    errors: list[Exception] = []
    limits = FeedLimits(idle_timeout_s=0.3, reconnect_initial_s=0.02, tick_s=0.01, close_timeout_s=0.2)
    proxy = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    feed = Feed(
        Binance(ws_url=f"ws://127.0.0.1:{port}"),
        on_diff=lambda _: None,
        on_error=lambda _, error: errors.append(error),
        limits=limits,
    )
    feed.subscribe(["ETHUSDT"])
    async with running(feed):
        await until(lambda: len(with_silence) >= 2)
    assert "half open" in str(errors[0])
    for writer in with_silence:
        writer.close()
    proxy.close()


async def test_who_hangs_up_instead_of_answering_cannot_be_reached() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        opening = connector(Binance(ws_url=f"ws://127.0.0.1:{port}"), FAST)()
        with pytest.raises(VenueUnavailable, match="cannot be reached"):
            await asyncio.wait_for(opening, WITHIN_S)


async def test_a_quiet_peer_answers_our_pings_and_stays(exchange: Exchange) -> None:
    diffs: list[Diff] = []
    limits = FeedLimits(idle_timeout_s=1.5, control_interval_s=0.02, tick_s=0.01)
    feed = Feed(Binance(ws_url=exchange.url), on_diff=diffs.append, limits=limits)
    feed.subscribe(["ETHUSDT"])
    async with running(feed):
        await until(lambda: len(diffs) == 1)
        await asyncio.sleep(2.0)
        assert feed.live("ETHUSDT")
        assert len(exchange.connections) == 1
        assert feed.status().connections[0].last_frame_age_s < 1.5


async def test_pings_of_the_exchange_are_answered(exchange: Exchange) -> None:
    diffs: list[Diff] = []
    feed = Feed(Binance(ws_url=exchange.url), on_diff=diffs.append, limits=FAST)
    feed.subscribe(["ETHUSDT"])
    async with running(feed):
        await until(lambda: len(diffs) == 1)
        pong = await exchange.connections[0].ping(b"1659146400000")
        assert await asyncio.wait_for(pong, WITHIN_S) >= 0


async def test_a_frame_beyond_the_bound_ends_the_connection_and_not_the_feed(exchange: Exchange) -> None:
    diffs: list[Diff] = []
    errors: list[Exception] = []
    feed = Feed(
        Binance(ws_url=exchange.url),
        on_diff=diffs.append,
        on_error=lambda _, error: errors.append(error),
        limits=FeedLimits(max_frame_bytes=1000, reconnect_initial_s=0.02, tick_s=0.005),
    )
    feed.subscribe(["ETHUSDT"])
    async with running(feed):
        await until(lambda: len(diffs) == 1)
        await exchange.connections[0].send(diff_frame("ETHUSDT", 2, padding="x" * 1000))
        await until(lambda: len(exchange.connections) == 2 and feed.live("ETHUSDT"))
    assert "1009" in str(errors[0])


async def test_cancelling_does_not_wait_for_a_peer_that_does_not_say_goodbye() -> None:
    over = asyncio.Event()

    async def rude(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"result": None, "id": 1}))
        connection.transport.pause_reading()
        await over.wait()

    async with serve(rude, "127.0.0.1", 0, close_timeout=0.1) as server:
        feed = Feed(Binance(ws_url=url_of(server)), on_diff=lambda _: None)
        feed.subscribe(["ETHUSDT"])
        async with running(feed) as run:
            await until(lambda: feed.live("ETHUSDT"))
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                # The default bound of a closing handshake is a second; websockets' own would be ten.
                await asyncio.wait_for(run, 8)
        over.set()


async def test_a_server_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    open_socket = connector(Binance(ws_url=f"ws://127.0.0.1:{unused_tcp_port}"), FeedLimits())
    with pytest.raises(VenueUnavailable, match="cannot be reached"):
        await open_socket()


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, RateLimited), (503, VenueUnavailable), (200, VenueUnavailable)],
)
async def test_a_refused_handshake_means_what_its_status_means(status: int, error: type[Exception]) -> None:
    def refuse(connection: ServerConnection, _: Request) -> Response:
        response = connection.respond(http.HTTPStatus(status), "no")
        response.headers["Retry-After"] = "17"
        return response

    async with serve(Exchange(), "127.0.0.1", 0, process_request=refuse) as server:
        with pytest.raises(error) as raised:
            await connector(Binance(ws_url=url_of(server)), FeedLimits())()
    if isinstance(raised.value, RateLimited):
        assert raised.value.retry_after_ms == 17_000


async def test_a_closed_socket_raises_the_same_error_from_every_call(exchange: Exchange) -> None:
    socket = await connector(Binance(ws_url=exchange.url), FeedLimits())()
    await socket.close()
    for call in (socket.recv, socket.ping, lambda: socket.send("x")):
        with pytest.raises(VenueUnavailable, match="was closed"):
            await call()
    socket.abort()


async def test_a_message_in_fragments_is_one_message() -> None:
    async def fragments(connection: ServerConnection) -> None:
        await connection.send(["a", "bc", "", "d"])
        await connection.send("e")
        await connection.send(["f" * 600, "g" * 600])
        await connection.wait_closed()

    async with serve(fragments, "127.0.0.1", 0) as server:
        limits = FeedLimits(max_frame_bytes=1000)
        socket = await connector(Binance(ws_url=url_of(server)), limits)()
        assert [await socket.recv() for _ in range(2)] == [b"abcd", b"e"]
        with pytest.raises(VenueUnavailable, match="1009"):
            await asyncio.wait_for(socket.recv(), WITHIN_S)


async def test_what_nobody_reads_is_not_taken_from_the_network() -> None:
    """Far more than the network holds: it cannot be sent before somebody reads."""
    count, size, sent = 300, 200_000, [0]

    async def flood(connection: ServerConnection) -> None:
        for number in range(count):
            await connection.send(b"%06d" % number + bytes(size))
            sent[0] = number + 1
        await connection.wait_closed()

    async with serve(flood, "127.0.0.1", 0, compression=None) as server:
        limits = FeedLimits(max_queue_frames=8)
        socket = await connector(Binance(ws_url=url_of(server)), limits)()
        assert (await socket.recv())[:6] == b"000000"
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert sent[0] < count
        for number in range(1, count):
            assert (await asyncio.wait_for(socket.recv(), WITHIN_S))[:6] == b"%06d" % number
        await until(lambda: sent[0] == count)
        await socket.close()


async def test_closing_does_not_wait_for_what_was_not_read() -> None:
    async def flood(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await connection.send(bytes(1000))

    async with serve(flood, "127.0.0.1", 0, compression=None, close_timeout=0.1) as server:
        limits = FeedLimits(max_queue_frames=8, close_timeout_s=0.2)
        socket = await connector(Binance(ws_url=url_of(server)), limits)()
        await socket.recv()
        await asyncio.wait_for(socket.close(), WITHIN_S)
        with pytest.raises(VenueUnavailable, match="was closed"):
            await asyncio.wait_for(asyncio.create_task(_read_all(socket)), WITHIN_S)


async def _read_all(socket: websocket.Socket) -> None:
    while True:
        await socket.recv()


async def test_a_pong_that_does_not_come_is_told_when_the_connection_ends() -> None:
    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.send("x")
        await over.wait()
        connection.transport.abort()

    over = asyncio.Event()
    async with serve(deaf, "127.0.0.1", 0, close_timeout=0.1) as server:
        socket = await connector(Binance(ws_url=url_of(server)), FeedLimits())()
        assert await socket.recv() == b"x"
        asked = asyncio.ensure_future(socket.ping())
        await asyncio.sleep(0)
        over.set()
        with pytest.raises(VenueUnavailable, match="was closed"):
            await asyncio.wait_for(asked, WITHIN_S)
        with pytest.raises(VenueUnavailable, match="was closed"):
            await asyncio.wait_for(socket.recv(), WITHIN_S)


@pytest.mark.parametrize(
    ("limits", "proxies", "library", "fast"),
    [
        (FeedLimits(), {}, object(), True),
        (FeedLimits(), {}, None, False),
        (FeedLimits(compression="deflate"), {}, object(), False),
        (FeedLimits(), {"https": "http://proxy:3128"}, object(), False),
    ],
)
def test_sockets_are_fast_where_nothing_else_is_asked_of_them(
    limits: FeedLimits,
    proxies: dict[str, str],
    library: object,
    fast: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "getproxies", lambda: proxies)
    monkeypatch.setattr(websocket, "find_spec", lambda _: library)
    assert may_be_fast(limits) is fast
