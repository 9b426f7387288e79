"""The exchange's websocket and streams of events over real sockets, with clients that are not ours."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from depthcast.files import depth_key
from depthcast.settings import Address
from depthcast.venues.binance_files import BINANCE_COINM, BINANCE_US, BINANCE_USDM
from server.__main__ import listen, serve
from server.settings import ServerSettings

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

LONG_S = 30.0
OF_FUTURES = ("/binanceusdm/ws", "/binancecoinm/ws/btcusd_perp@bookTicker", "/binanceusdm/stream")
VENUES = ("binance", "binanceus", "binanceusdm", "binancecoinm", "bitmex")


class Server:
    """A server in this process, on a port of its own, over a store of its own."""

    def __init__(self, store: "WatchedStore", settings: ServerSettings) -> None:
        self.store = store
        self.stop = asyncio.Event()
        self._bound = listen(Address("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._bound.getsockname()[1]}"
        self.task = asyncio.create_task(serve(settings, store, self._bound, self.stop))

    async def ready(self) -> None:
        async with asyncio.timeout(LONG_S), httpx.AsyncClient() as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"http://{self.address}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.01)

    def ws(self, target: str) -> connect:
        return connect(f"ws://{self.address}{target}", ping_interval=None, open_timeout=LONG_S)

    async def metric(self, name: str) -> float:
        async with httpx.AsyncClient(timeout=LONG_S) as client:
            text = (await client.get(f"http://{self.address}/metrics")).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    async def end(self) -> None:
        self.stop.set()
        async with asyncio.timeout(LONG_S):
            await asyncio.wait((self.task,))


async def publish_elsewhere(store: "WatchedStore") -> None:
    """A book of each of Binance's other venues."""
    sides = '"bids":[["3.10","1"],["3.00","2"]],"asks":[["4.00","1"]]'
    for scheme, symbol, told in (
        (BINANCE_US, "BTCUSDT", ""),
        (BINANCE_USDM, "BTCUSDT", '"E":90,"T":80,'),
        (BINANCE_COINM, "BTCUSD_PERP", '"symbol":"BTCUSD_PERP","pair":"BTCUSD","E":90,"T":80,'),
    ):
        body = f'{{"lastUpdateId":7,{told}{sides}}}'.encode()
        await store.put(depth_key(symbol, 5, scheme), body, store.metadata(0))


@pytest.fixture
async def server(store: "WatchedStore") -> AsyncIterator[Server]:
    await store.publish("ETHUSDT", 20, 100, epoch=0)
    await store.publish("BTCUSDT", 5, 7, epoch=0)
    await publish_elsewhere(store)
    settings = ServerSettings(
        refresh_ms=10, read_timeout_ms=30_000, symbols_refresh_s=0.2, max_streams=60, venues=VENUES
    )
    server = Server(store, settings)
    await server.ready()
    yield server
    await server.end()


async def received(client: ClientConnection) -> str:
    async with asyncio.timeout(LONG_S):
        text = await client.recv()
    assert isinstance(text, str)
    return text


async def told(client: ClientConnection, method: str, *params: object) -> str:
    """The answer to a control message, whatever comes before it."""
    await client.send(json.dumps({"method": method, "params": params, "id": 1}))
    while True:
        text = await received(client)
        if '"id":1' in text or '"code"' in text:
            return text


async def closing(client: ClientConnection) -> tuple[list[str], int, str]:
    """What came until the end, and the end."""
    texts = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            texts.append(await received(client))
    assert client.close_code is not None
    return texts, client.close_code, client.close_reason or ""


async def test_a_raw_stream_is_the_files_bytes_version_by_version(server: Server) -> None:
    async with server.ws("/ws/ethusdt@depth5@100ms") as client:
        assert await received(client) == server.store.body(100, 5).decode()
        for update_id in range(101, 104):
            await server.store.publish("ETHUSDT", 20, update_id, epoch=0)
            assert await received(client) == server.store.body(update_id, 5).decode()
        assert client.protocol.extensions == []


async def test_a_combined_stream_tells_which_one_it_is(server: Server) -> None:
    async with server.ws("/stream?streams=ethusdt@depth20/btcusdt@depth5@100ms/btcusdt@bookTicker") as client:
        texts = {json.loads(text)["stream"]: text for text in [await received(client) for _ in range(3)]}
    assert texts["ethusdt@depth20"] == (
        '{"stream":"ethusdt@depth20","data":' + server.store.body(100, 20).decode() + "}"
    )
    assert json.loads(texts["btcusdt@depth5@100ms"])["data"]["lastUpdateId"] == 7
    assert json.loads(texts["btcusdt@bookTicker"])["data"] == {
        "u": 7,
        "s": "BTCUSDT",
        "b": "1000.50000000",
        "B": "7.00000000",
        "a": "1001.50000000",
        "A": "7.00000000",
    }


@pytest.mark.parametrize(
    ("path", "name", "data"),
    [
        (
            "/binanceus/stream?streams=",
            "btcusdt@depth5",
            {"lastUpdateId": 7, "bids": [["3.10", "1"], ["3.00", "2"]], "asks": [["4.00", "1"]]},
        ),
        (
            "/binanceus/stream?streams=",
            "btcusdt@bookTicker",
            {"u": 7, "s": "BTCUSDT", "b": "3.10", "B": "1", "a": "4.00", "A": "1"},
        ),
        *(
            (
                f"/{venue}{route}/stream?streams=",
                f"{symbol.lower()}@bookTicker",
                {"e": "bookTicker", "u": 7, "s": symbol, **pair}
                | {"b": "3.10", "B": "1", "a": "4.00", "A": "1", "T": 80, "E": 90},
            )
            for venue, symbol, pair in (
                ("binanceusdm", "BTCUSDT", {}),
                ("binancecoinm", "BTCUSD_PERP", {"ps": "BTCUSD"}),
            )
            for route in ("", "/public")
        ),
    ],
)
async def test_other_venues_of_binance_have_their_own_below_their_names(
    server: Server, path: str, name: str, data: dict[str, object]
) -> None:
    async with server.ws(path + name) as client:
        assert json.loads(await received(client)) == {"stream": name, "data": data}
        assert await told(client, "LIST_SUBSCRIPTIONS") == f'{{"result":["{name}"],"id":1}}'
    raw = path.replace("stream?streams=", "ws/")
    async with server.ws(raw + name) as client:
        assert json.loads(await received(client)) == data


async def test_streams_are_subscribed_to_and_left(server: Server) -> None:
    async with server.ws("/ws") as client:
        await client.send('{"method":"SUBSCRIBE","params":["ethusdt@depth5@100ms","wrong"],"id":"a1"}')
        assert await received(client) == '{"result":null,"id":"a1"}'
        assert await received(client) == server.store.body(100, 5).decode()
        listed = '{"result":["ethusdt@depth5@100ms","wrong"],"id":1}'
        assert await told(client, "LIST_SUBSCRIPTIONS") == listed
        assert await told(client, "UNSUBSCRIBE", "ethusdt@depth5@100ms") == '{"result":null,"id":1}'
        await server.store.publish("ETHUSDT", 20, 101, epoch=0)
        async with server.ws("/ws/ethusdt@depth5@100ms") as other:
            while json.loads(await received(other))["lastUpdateId"] != 101:
                pass
        assert await told(client, "SUBSCRIBE", "btcusdt@depth5@100ms") == '{"result":null,"id":1}'
        assert await received(client) == server.store.body(7, 5).decode()


async def test_a_message_in_pieces_and_one_of_bytes_are_read(server: Server) -> None:
    async with server.ws("/ws") as client:
        await client.send(['{"method":"LIST_SUB', 'SCRIPTIONS","id":5}'])
        assert await received(client) == '{"result":[],"id":5}'
        await client.send(b'{"method":"LIST_SUBSCRIPTIONS","id":6}')
        assert await received(client) == '{"result":[],"id":6}'


async def test_a_ping_is_answered_with_its_own_payload(server: Server) -> None:
    async with server.ws("/ws") as client, asyncio.timeout(LONG_S):
        await (await client.ping(b"hello"))


async def test_too_many_messages_are_closed_with_1008(server: Server) -> None:
    async with server.ws("/ws") as client:
        # However slow this machine is, some six of them come within a second.
        with contextlib.suppress(ConnectionClosed):
            for n in range(200):
                await client.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{n}}}')
        texts, code, reason = await closing(client)
    assert (code, reason) == (1008, "Too many requests")
    assert 5 <= len(texts) < 200
    assert await server.metric('depthcast_server_stream_ends_total{kind="websocket",why="refused"}') == 1


async def test_what_has_no_bytes_is_refused_and_ends_nothing(server: Server) -> None:
    async with server.ws("/ws") as client:
        await client.send(r'{"method":"\ud800","id":1}')
        assert json.loads(await received(client))["code"] == 3
        assert await told(client, "LIST_SUBSCRIPTIONS") == '{"result":[],"id":1}'


async def test_too_many_streams_are_closed_with_1008(server: Server) -> None:
    async with server.ws("/ws") as client:
        names = [f"s{n}@depth5" for n in range(1025)]
        await client.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
        texts, code, _ = await closing(client)
    assert (texts, code) == (['{"error":{"code":4,"msg":"Too many subscriptions"}}'], 1008)


async def test_a_message_longer_than_any_that_makes_sense_is_closed_with_1009(server: Server) -> None:
    async with server.ws("/ws") as client:
        await client.send("x" * (128 * 1024 + 1))
        assert (await closing(client))[1] == 1009


async def test_text_that_is_none_is_closed_with_1007(server: Server) -> None:
    async with server.ws("/ws") as client:
        await client.send(b"\xff\xfe")
        assert (await closing(client))[1] == 1007


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/ws2", "/api/v3/depth?symbol=ETHUSDT", "/stream/depth", "/bitmex/ws", "/kraken/ws"),
        *("/public/ws", "/binanceus/public/ws", "/binance/ws", "/binanceusdm/stream/depth"),
    ],
)
async def test_other_paths_are_no_websockets(server: Server, path: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with server.ws(path):
            pass
    assert caught.value.response.status_code == 404


async def test_the_paths_without_an_upgrade_are_426(server: Server) -> None:
    async with httpx.AsyncClient(timeout=LONG_S) as client:
        for path in ("/ws", "/ws/ethusdt@depth5", "/stream?streams=ethusdt@depth5", *OF_FUTURES):
            answer = await client.get(f"http://{server.address}{path}")
            assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")


async def test_only_so_many_connections_are_let_in(server: Server) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(60):
            await stack.enter_async_context(server.ws("/ws"))
        with pytest.raises(InvalidStatus) as caught:
            await stack.enter_async_context(server.ws("/ws"))
        assert caught.value.response.status_code == 503
        assert caught.value.response.headers["retry-after"] == "1"
        assert await server.metric('depthcast_server_streams{kind="websocket"}') == 60


async def test_a_symbol_in_any_alphabet(server: Server) -> None:
    await server.store.publish("币安人生USDT", 5, 9)
    names = ("币安人生usdt@depth5", "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@depth5")
    async with server.ws(f"/ws/{names[1]}") as client:
        assert await received(client) == server.store.body(9, 5).decode()
    async with server.ws("/ws") as client:
        await told(client, "SUBSCRIBE", names[0])
        assert await received(client) == server.store.body(9, 5).decode()


async def test_a_client_that_does_not_read_gets_the_newest_and_not_a_queue(server: Server) -> None:
    """100 KB a message, and none is read for 40 of them."""

    def wide(update_id: int) -> bytes:
        side = [[f"{n}.{'5' * 2500}", f"{update_id}.0"] for n in range(1, 21)]
        members = {"lastUpdateId": update_id, "bids": side[::-1], "asks": side}
        return json.dumps(members, separators=(",", ":")).encode()

    key = "api/v3/depth?symbol=ETHUSDT&limit=20"
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.setblocking(False)
        host, _, port = server.address.partition(":")
        await loop.sock_connect(raw, (host, int(port)))
        client = await connect(
            f"ws://{server.address}/ws/ethusdt@depth20@100ms", sock=raw, ping_interval=None, max_queue=1
        )
        client.transport.pause_reading()
        async with server.ws("/ws/ethusdt@depth20@100ms") as fast:
            for update_id in range(101, 141):
                await server.store.put(key, wide(update_id), server.store.metadata(0))
                while json.loads(await received(fast))["lastUpdateId"] != update_id:
                    pass
        client.transport.resume_reading()
        ids: list[int] = []
        while not ids or ids[-1] < 140:
            ids.append(json.loads(await received(client))["lastUpdateId"])
        await client.close()
    assert ids == sorted(ids)
    assert len(ids) <= 10
    assert await server.metric('depthcast_server_stream_versions_skipped_total{kind="websocket"}') >= 30


async def test_a_server_that_stops_says_so_and_closes_within_its_grace(server: Server) -> None:
    async with server.ws("/ws/ethusdt@depth5") as raw, server.ws("/stream") as combined:
        await received(raw)
        began = time.monotonic()
        server.stop.set()
        ends = [await closing(client) for client in (raw, combined)]
        async with asyncio.timeout(LONG_S):
            await asyncio.wait((server.task,))
        assert server.task.exception() is None
    (raw_texts, raw_code, _), (combined_texts, combined_code, _) = ends
    assert list(json.loads(raw_texts[-1])) == ["e", "E"]
    assert json.loads(raw_texts[-1])["e"] == "serverShutdown"
    assert json.loads(combined_texts[-1])["stream"] == "!serverShutdown"
    assert (raw_code, combined_code) == (1001, 1001)
    assert time.monotonic() - began < LONG_S


# Server-sent events, over the same server


async def test_events_over_a_socket_end_when_the_server_stops(server: Server) -> None:
    url = f"http://{server.address}/stream/depth?symbol=ETHUSDT&limit=5"
    async with httpx.AsyncClient(timeout=LONG_S) as client, client.stream("GET", url) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream;charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "x-mbx-used-weight-1m" in answer.headers
        lines = answer.aiter_lines()
        data = []
        async with asyncio.timeout(LONG_S):
            async for line in lines:
                if line.startswith("data:"):
                    data.append(line.removeprefix("data: "))
                if len(data) == 2:
                    break
            assert data[1] == server.store.body(100, 5).decode()
            await server.store.publish("ETHUSDT", 20, 101, epoch=0)
            async for line in lines:
                if '"U"' in line:
                    break
            assert json.loads(line.removeprefix("data: "))["u"] == 101
            server.stop.set()
            # The body ends as HTTP says, so this ends without an error.
            rest = [line async for line in lines]
    assert not any('"U"' in line or "lastUpdateId" in line for line in rest)
    async with asyncio.timeout(LONG_S):
        await asyncio.wait((server.task,))
    assert server.task.exception() is None


async def test_head_and_other_methods_of_a_stream_end_at_once(server: Server) -> None:
    url = f"http://{server.address}/stream/depth?symbol=ETHUSDT"
    async with httpx.AsyncClient(timeout=LONG_S) as client:
        refused = await client.get(url)  # 100 levels are not published
        assert (refused.status_code, refused.json()["code"]) == (400, -1130)
        head = await client.head(url + "&limit=5")
        assert (head.status_code, head.headers["cache-control"]) == (200, "no-store")
        assert (await client.options(url)).status_code == 204
        assert (await client.post(url)).status_code == 405


async def test_a_connection_goes_on_after_a_reader_left_others(server: Server) -> None:
    url = f"http://{server.address}/stream/depth?symbol=ETHUSDT&limit=5"
    for _ in range(3):
        async with httpx.AsyncClient(timeout=LONG_S) as client, client.stream("GET", url) as answer:
            assert answer.status_code == 200
    async with asyncio.timeout(LONG_S):
        while await server.metric('depthcast_server_streams{kind="events"}'):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await server.metric('depthcast_server_stream_ends_total{kind="events",why="left"}') == 3
