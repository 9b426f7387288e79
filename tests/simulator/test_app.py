"""The exchange on real sockets, as a plain websockets client and a plain HTTP client see it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from simulator.app import Simulator
from simulator.clock import ManualClock
from simulator.session import SessionLimits
from simulator.settings import Settings

SMALL = Settings(symbols=("ETHUSDT", "BTCUSDT"), depth=60, changes=8, varied=False)
BOTH = "/stream?streams=ethusdt@depth@100ms/btcusdt@depth@100ms"

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SMALL, manual=True) as simulator:
        yield simulator


@pytest.fixture
async def http(sim: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sim.rest_url, timeout=5) as client:
        yield client


def connect(sim: Simulator, target: str) -> AbstractAsyncContextManager[ClientConnection]:
    return websockets.connect(sim.ws_url + target, ping_interval=None, close_timeout=0.2, max_queue=None)


async def frames(socket: ClientConnection, count: int) -> list[Any]:
    async with asyncio.timeout(5):
        return [await socket.recv() for _ in range(count)]


async def diffs(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [json.loads(frame)["data"] for frame in await frames(socket, count)]


async def ending(socket: ClientConnection) -> websockets.ConnectionClosed:
    """How the connection ended, after whatever still came."""
    async with asyncio.timeout(5):
        while True:
            try:
                await socket.recv()
            except websockets.ConnectionClosed as closed:
                return closed


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to pass")


# REST


async def test_rest_answers_over_http_with_binances_headers(sim: Simulator, http: httpx.AsyncClient) -> None:
    await sim.tick(3)
    answer = await http.get("/api/v3/depth", params={"symbol": "ETHUSDT", "limit": 5})
    assert answer.status_code == 200
    assert answer.content == sim.truth.body("ETHUSDT", answer.json()["lastUpdateId"], 5)
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"
    assert answer.headers["x-mbx-used-weight-1m"] == "5"
    assert answer.headers["cache-control"] == "no-cache, no-store, must-revalidate"
    refused = await http.get("/api/v3/depth?symbol=eth")
    assert (refused.status_code, refused.json()["code"]) == (400, -1100)
    head = await http.head("/api/v3/depth?symbol=ETHUSDT")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 1000
    missing = await http.get("/nothing", headers={"Accept": "*/*"})
    assert (missing.status_code, missing.content) == (404, b"")


async def test_the_minute_of_the_weight_is_the_exchanges_own(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.exchange.weights.limit = 250
    statuses = [(await http.get("/api/v3/depth?symbol=ETHUSDT&limit=5000")).status_code for _ in range(2)]
    assert statuses == [200, 429]
    await sim.tick(600)
    assert (await http.get("/api/v3/depth?symbol=ETHUSDT&limit=5000")).status_code == 200


async def test_a_slow_snapshot_is_the_book_of_when_it_was_asked_for(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    await sim.tick()
    asked_at = sim.exchange.instruments["ETHUSDT"].journal.update_id
    sim.faults.inject("slow_snapshot", delay_s=0.2)
    asked = asyncio.create_task(http.get("/api/v3/depth?symbol=ETHUSDT"))
    await eventually(lambda: bool(sim.faults.counts))
    await sim.tick(3)
    assert not asked.done()
    assert (await asked).json()["lastUpdateId"] == asked_at


async def test_a_cut_answer_ends_in_the_middle(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.faults.inject("failed_snapshot", form="cut")
    with pytest.raises(httpx.TransportError):
        await http.get("/api/v3/depth?symbol=ETHUSDT")
    assert (await http.get("/api/v3/depth?symbol=ETHUSDT")).status_code == 200


async def test_a_hanging_answer_never_comes(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.faults.inject("failed_snapshot", form="hang")
    with pytest.raises(httpx.ReadTimeout):
        await http.get("/api/v3/depth?symbol=ETHUSDT", timeout=0.2)


async def test_throttling_and_a_ban_on_demand_reach_every_request(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    sim.faults.inject("throttle", delay_s=0.5)
    throttled = await http.get("/api/v3/ping")
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "1")
    await sim.tick(5)
    assert (await http.get("/api/v3/ping")).status_code == 200
    sim.faults.inject("ban", delay_s=3)
    banned = await http.get("/api/v3/ping")
    assert (banned.status_code, banned.headers["retry-after"]) == (418, "3")
    assert "IP banned until" in banned.json()["msg"]


# The oracle


async def test_another_process_can_ask_for_truth_state_and_faults(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    await sim.tick(5)
    state = (await http.get("/sim/state")).json()["symbols"]["ETHUSDT"]
    query = {"symbol": "ETHUSDT", "id": state["update_id"] - 3, "limit": 20}
    truth = await http.get("/sim/truth", params=query)
    assert truth.content == sim.truth.body("ETHUSDT", state["update_id"] - 3, 20)
    assert (await http.get("/sim/truth", params={**query, "id": 1})).status_code == 404
    ordered = await http.post("/sim/faults", json={"kind": "rebase", "symbol": "ETHUSDT", "ids": 50})
    assert ordered.json() == {"happened": 1}
    assert (await http.get("/sim/faults")).json()["counts"] == {"rebase": 1}


# Streams


async def test_a_client_that_follows_binances_procedure_holds_the_true_book(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    async with connect(sim, "/ws") as socket:
        await socket.send('{"method":"SUBSCRIBE","params":["ethusdt@depth@100ms"],"id":1}')
        assert await frames(socket, 1) == ['{"result":null,"id":1}']
        await sim.tick(5)
        snapshot = (await http.get("/api/v3/depth?symbol=ETHUSDT&limit=5000")).json()
        await sim.tick(20)
        bids, asks, book_id = dict(snapshot["bids"]), dict(snapshot["asks"]), snapshot["lastUpdateId"]
        for diff in [json.loads(frame) for frame in await frames(socket, 20)]:
            if diff["u"] <= book_id:
                continue
            assert diff["U"] <= book_id + 1
            for side, changes in ((bids, diff["b"]), (asks, diff["a"])):
                side.update(changes)
                for price in [price for price, quantity in changes if not float(quantity)]:
                    del side[price]
            book_id = diff["u"]
        told_bids, told_asks = sim.truth.levels("ETHUSDT", book_id)
        assert (bids, asks) == (dict(told_bids), dict(told_asks))


async def test_pings_are_answered_and_a_flood_of_frames_ends_the_connection(sim: Simulator) -> None:
    async with connect(sim, "/ws") as socket:
        await asyncio.wait_for(await socket.ping(b"payload"), 5)
        for _ in range(5):
            await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        closed = await ending(socket)
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (1008, "Too many requests")


async def test_the_1025th_stream_is_refused_and_the_connection_closed(sim: Simulator) -> None:
    async with connect(sim, "/ws") as socket:
        names = [f"s{index}@depth" for index in range(1025)]
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
        assert await frames(socket, 1) == ['{"error":{"code":4,"msg":"Too many subscriptions"}}']
        closed = await ending(socket)
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1008


async def test_a_plain_client_outlives_the_keepalive_and_one_without_pongs_does_not() -> None:
    settings = Settings(symbols=1, depth=5, session=SessionLimits(ping_interval_s=1, pong_timeout_s=3))
    async with Simulator(settings, manual=True) as sim, connect(sim, "/ws") as good:
        reader, writer = await asyncio.open_connection(*sim.ws_url.removeprefix("ws://").split(":"))
        writer.write(UPGRADE % b"/ws")
        await eventually(lambda: len(sim.exchange.connections) == 2)
        for _ in range(45):
            await sim.tick()
            await asyncio.sleep(0.002)  # the pong of the good one is on its way
        assert list(sim.exchange.connections) == [1]
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 101")
        writer.close()
        assert good.close_code is None


async def test_other_paths_and_plain_requests_open_no_connection(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(sim, "/nothing"):
            pass
    assert refused.value.response.status_code == 404
    assert (await http.get("/ws")).status_code == 404
    assert sim.exchange.connections == {}


async def test_too_many_connection_attempts_are_refused() -> None:
    settings = Settings(symbols=1, depth=5, connections_per_5min=2)
    async with Simulator(settings, manual=True) as sim:
        for _ in range(2):
            async with connect(sim, "/ws"):
                pass
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(sim, "/ws"):
                pass
        assert refused.value.response.status_code == 429
        await sim.tick(3000)
        async with connect(sim, "/ws"):
            pass


# Faults, as a client sees them


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("gap", [1, 2, 3]),
        ("duplicate", [0, 0, 1, 2, 3]),
        ("straggler", [0, -1, 1, 2, 3]),
        ("reorder", [1, 0, 2, 3]),
    ],
)
async def test_diffs_are_lost_repeated_late_and_out_of_order(
    sim: Simulator, kind: str, expected: list[int]
) -> None:
    async with connect(sim, BOTH) as faulty, connect(sim, BOTH) as sound:
        await sim.tick()
        opening = (await diffs(sound, 2))[0]
        await diffs(faulty, 2)
        sim.faults.inject(kind, symbol="ETHUSDT", connection=1)
        await sim.tick(4)
        whole = [diff for diff in await diffs(sound, 8) if diff["s"] == "ETHUSDT"]
        seen = [diff for diff in await diffs(faulty, 4 + len(expected)) if diff["s"] == "ETHUSDT"]
        assert seen == [whole[index] if index >= 0 else opening for index in expected]


async def test_a_malformed_frame_arrives_in_place_of_a_diff(sim: Simulator) -> None:
    async with connect(sim, "/ws/ethusdt@depth@100ms") as socket:
        for form in ("json", "missing", "number", "type", "binary", "empty"):
            sim.faults.inject("malformed", form=form)
            await sim.tick(2)
            damaged, sound = await frames(socket, 2)
            assert json.loads(sound)["e"] == "depthUpdate"
            assert isinstance(damaged, bytes) == (form == "binary")


async def test_a_silent_subscription_is_acknowledged(sim: Simulator) -> None:
    sim.faults.inject("silent", symbol="ETHUSDT")
    async with connect(sim, BOTH) as socket:
        await sim.tick(3)
        assert {diff["s"] for diff in await diffs(socket, 3)} == {"BTCUSDT"}


async def test_two_connections_can_see_different_cuts_of_the_same_changes(sim: Simulator) -> None:
    sim.faults.inject("grouping", count=2)
    async with connect(sim, BOTH) as one, connect(sim, BOTH) as other:
        await sim.tick(30)
        spans = [[(d["U"], d["u"]) for d in await diffs(s, 40) if d["s"] == "ETHUSDT"] for s in (one, other)]
        for span in spans:
            assert all(first == last + 1 for (_, last), (first, _) in pairwise(span))
        assert spans[0][0][0] == spans[1][0][0]
        assert spans[0] != spans[1]


@pytest.mark.parametrize(("form", "code"), [("abort", None), ("close", 1001)])
async def test_a_disconnect_ends_the_connection_with_or_without_goodbye(
    sim: Simulator, form: str, code: int | None
) -> None:
    async with connect(sim, BOTH) as socket:
        sim.faults.inject("disconnect", form=form)
        closed = await ending(socket)
        assert (closed.rcvd.code if closed.rcvd else None) == code
    await eventually(lambda: not sim.exchange.connections)


async def test_a_half_open_socket_stays_open_and_says_nothing(sim: Simulator) -> None:
    async with connect(sim, BOTH) as socket:
        await sim.tick()
        await diffs(socket, 2)
        sim.faults.inject("half_open")
        await sim.tick(5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(await socket.ping(), 0.2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.05)
        assert socket.close_code is None
        await socket.close()
        assert (await ending(socket)).rcvd is None  # no answer came to the goodbye
    await eventually(lambda: not sim.exchange.connections)


@pytest.mark.parametrize(("form", "error"), [("status", websockets.InvalidStatus), ("abort", Exception)])
async def test_a_connection_is_refused_as_often_as_ordered(
    sim: Simulator, form: str, error: type[Exception]
) -> None:
    sim.faults.inject("refuse", form=form)
    with pytest.raises(error):
        async with connect(sim, "/ws"):
            pass
    async with connect(sim, "/ws"):
        pass
    assert sim.faults.counts == {"refuse": 1}


async def test_a_shutdown_is_announced_before_the_connection_ends(sim: Simulator) -> None:
    async with connect(sim, "/stream?streams=nosuch@depth") as socket:
        sim.faults.inject("shutdown", delay_s=0.3)
        [notice] = await frames(socket, 1)
        assert json.loads(notice)["stream"] == "!serverShutdown"
        await sim.tick(3)
        closed = await ending(socket)
        assert closed.rcvd is not None
        assert closed.rcvd.code == 1001


async def test_after_a_rebase_the_stream_goes_on_from_lower_ids(sim: Simulator) -> None:
    async with connect(sim, "/ws/ethusdt@depth@100ms") as socket:
        await sim.tick()
        [before] = [json.loads(frame) for frame in await frames(socket, 1)]
        sim.faults.inject("rebase", symbol="ETHUSDT", ids=40)
        await sim.tick()
        [after] = [json.loads(frame) for frame in await frames(socket, 1)]
        assert after["U"] <= before["u"] - 39 + 30  # what was never told may be up to a diff's changes
        assert after["U"] < before["u"]


# Time


async def test_time_passes_by_itself_unless_in_manual_mode() -> None:
    settings = Settings(symbols=("ETHUSDT",), depth=20, changes=4, varied=False, rate=50)
    async with Simulator(settings) as sim, connect(sim, "/ws/ethusdt@depth@100ms") as socket:
        spans = [(d["U"], d["u"]) for d in map(json.loads, await frames(socket, 10))]
        assert all(first == last + 1 for (_, last), (first, _) in pairwise(spans))
        with pytest.raises(RuntimeError, match="manual mode"):
            await sim.tick()


async def test_manual_time_stands_still_between_ticks() -> None:
    clock = ManualClock(5_000)
    async with Simulator(SMALL, manual=True, clock=clock) as sim:
        await sim.tick(3)
        assert clock.wall_ms() == 5_300
        with pytest.raises(ValueError, match="does not go back"):
            clock.advance(-1)


async def test_the_same_seed_sends_the_same_frames() -> None:
    async def run() -> list[Any]:
        async with Simulator(SMALL, manual=True) as sim, connect(sim, BOTH) as socket:
            await sim.tick(10)
            return await frames(socket, 18)

    assert await run() == await run()


async def test_a_reader_that_blocks_is_cut_off_and_the_others_go_on() -> None:
    limits = SessionLimits(ping_interval_s=86_400)
    settings = Settings(
        symbols=("BTCUSDT",), depth=3000, changes=1000, varied=False, send_timeout_s=0.1, session=limits
    )
    async with Simulator(settings, manual=True) as sim, connect(sim, "/ws/btcusdt@depth@100ms") as good:
        _reader, writer = await asyncio.open_connection(*sim.ws_url.removeprefix("ws://").split(":"))
        writer.write(UPGRADE % b"/ws/btcusdt@depth20@100ms")
        await eventually(lambda: len(sim.exchange.connections) == 2)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        sim.exchange.connections[2].send("x" * 20_000_000)
        await sim.drain()
        assert list(sim.exchange.connections) == [1]
        await sim.tick(3)
        await frames(good, 2)
        writer.close()


async def test_stopping_ends_connections_and_requests_at_once() -> None:
    sim = Simulator(SMALL)
    await sim.start()
    async with connect(sim, BOTH) as socket, httpx.AsyncClient(base_url=sim.rest_url) as client:
        sim.faults.inject("failed_snapshot", form="hang")
        hanging = asyncio.create_task(client.get("/api/v3/depth?symbol=ETHUSDT", timeout=5))
        await eventually(lambda: bool(sim.faults.counts))
        async with asyncio.timeout(1):
            await sim.stop()
        await ending(socket)
        with pytest.raises(httpx.TransportError):
            await hanging


async def test_an_address_in_use_is_an_oserror(sim: Simulator) -> None:
    port = int(sim.rest_url.rpartition(":")[2])
    with pytest.raises(OSError, match=str(port)):
        await Simulator(Settings(symbols=1, depth=5, port=port)).start()


# Captures


def capture(folder: Path) -> Path:
    """Two symbols with a diff every 90 ms."""
    lines = []
    for base, symbol in ((100, "ABCUSD"), (500, "XYZUSD")):
        book = json.dumps({"lastUpdateId": base, "bids": [["1.50", "2.0"]], "asks": [["1.60", "1.0"]]})
        lines.append(f"https://api.example.com/api/v1/depth?symbol={symbol}&limit=5 -> 1618677372.0: {book}")
        for index in range(1, 11):
            data = {"e": "depthUpdate", "E": index, "s": symbol, "U": base + index, "u": base + index}
            data |= {"b": [["1.40", f"{index}.0"]], "a": []}
            text = json.dumps(
                {"stream": f"{symbol.lower()}@depth@100ms", "data": data}, separators=(",", ":")
            )
            lines.append(f"{1618677372 + index * 0.09}: {text}")
    path = folder / "capture"
    path.write_text("\n".join(sorted(lines, key=lambda line: (line[0] != "h", line[:14]))) + "\n")
    return path


CAPTURED = "/stream?streams=abcusd@depth@100ms/xyzusd@depth@100ms"


@pytest.mark.parametrize("speed", [0, 10])
async def test_a_capture_begins_when_all_its_symbols_are_heard_and_is_played_whole(
    tmp_path: Path, speed: float
) -> None:
    async with Simulator(Settings(captures=(capture(tmp_path),), speed=speed)) as sim:
        await asyncio.sleep(0.05)
        async with connect(sim, CAPTURED) as socket:
            received = await diffs(socket, 20)
            await eventually(lambda: sim.captures_done)
    for base, symbol in ((100, "ABCUSD"), (500, "XYZUSD")):
        assert [d["u"] for d in received if d["s"] == symbol] == list(range(base + 1, base + 11))
        assert sim.truth.body(symbol, base + 4, 2).endswith(b'["1.40","4.0"]],"asks":[["1.60","1.0"]]}')


async def test_a_capture_does_not_wait_for_a_symbol_that_nobody_wants(tmp_path: Path) -> None:
    settings = Settings(captures=(capture(tmp_path),), speed=0, patience_s=0.05)
    async with Simulator(settings) as sim, connect(sim, "/stream?streams=abcusd@depth@100ms") as socket:
        assert [d["u"] for d in await diffs(socket, 10)] == list(range(101, 111))


async def test_a_capture_that_breaks_off_ends_the_service_with_the_reason(tmp_path: Path) -> None:
    path = capture(tmp_path)
    path.write_text(path.read_text().replace('"5.0"', '"5.000"'))
    settings = Settings(captures=(path,), speed=0)
    with pytest.raises(ValueError, match=r"'5\.000' is not a number with 1 decimals"):
        async with Simulator(settings) as sim, connect(sim, CAPTURED), asyncio.timeout(5):
            await sim.serve_until(asyncio.Event())


async def test_the_service_goes_on_after_the_end_of_a_capture_until_it_is_stopped(tmp_path: Path) -> None:
    stop = asyncio.Event()
    async with Simulator(Settings(captures=(capture(tmp_path),), speed=0)) as sim:
        serving = asyncio.create_task(sim.serve_until(stop))
        async with connect(sim, CAPTURED):
            await eventually(lambda: sim.captures_done)
        assert not serving.done()
        stop.set()
        await asyncio.wait_for(serving, 5)


async def test_in_manual_mode_a_tick_plays_its_part_of_a_capture(tmp_path: Path) -> None:
    async with Simulator(Settings(captures=(capture(tmp_path),)), manual=True) as sim:
        async with connect(sim, CAPTURED) as socket:
            await sim.tick(3)
            # The first message is at 0, so three ticks of 100 ms reach the fourth.
            assert [d["u"] for d in await diffs(socket, 8)] == [101, 501, 102, 502, 103, 503, 104, 504]
            await sim.tick(5)
            assert len(await frames(socket, 10)) == 10
            await eventually(lambda: not sim.captures_done)
            await sim.tick()
        assert sim.captures_done
        assert set(sim.exchange.instruments) == {"ABCUSD", "XYZUSD"}


async def test_a_capture_can_be_played_message_by_message(tmp_path: Path) -> None:
    capture = tmp_path / "capture.txt"
    depth = '{"lastUpdateId":4,"bids":[["9.00","1.0"]],"asks":[["10.00","1.0"]]}'
    diffs = (
        f'2.{at}: {{"stream":"abusdt@depth@100ms","data":{{"e":"depthUpdate","E":{at},"s":"ABUSDT",'
        f'"U":{at},"u":{at},"b":[["9.00","{at}.0"]],"a":[]}}}}'
        for at in (5, 6)
    )
    answer = f"https://api.binance.com/api/v3/depth?symbol=ABUSDT&limit=1000 -> 1.0: {depth}"
    capture.write_text("\n".join((answer, *diffs)) + "\n")
    settings = Settings(captures=(capture,))
    async with Simulator(settings, manual=True) as sim:
        for sent in (5, 6, 6):
            await sim.play_next()
            assert sim.exchange.instruments["ABUSDT"].sent_id == sent
        assert sim.captures_done
    with pytest.raises(RuntimeError, match="manual"):
        await Simulator(settings).play_next()
