"""BitMEX on a socket: REST as documented, its limits, its faults, and the truth."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.settings import Settings
from simulator.faults import Kind

SETTINGS = Settings(symbols=2, depth=40, varied=False, requests_a_minute=1000)


@pytest.fixture
async def sim() -> AsyncIterator[BitmexSimulator]:
    async with BitmexSimulator(SETTINGS, manual=True) as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def test_a_book_over_the_socket_is_the_one_that_rest_answers(
    sim: BitmexSimulator, http: aiohttp.ClientSession
) -> None:
    market = sim.exchange.markets["XBTUSD"]
    async with http.ws_connect(f"{sim.ws_url}/realtime?subscribe=orderBookL2:XBTUSD") as socket:
        frames = [await socket.receive_json(timeout=10) for _ in range(3)]
        await sim.tick(5)
        rows = {row["id"]: row for row in frames[2]["data"]}
        step = 0
        while step < market.step:
            message = await socket.receive_json(timeout=10)
            for row in message["data"]:
                step += 1
                if message["action"] == "delete":
                    del rows[row["id"]]
                else:
                    rows[row["id"]] = row
        await socket.send_str("ping")
        assert (await socket.receive(timeout=10)).data == "pong"
    async with http.get(f"{sim.rest_url}/api/v1/orderBook/L2?symbol=XBTUSD&depth=0") as answer:
        shown = await answer.json()
    made = shown[0]["timestamp"]
    assert {row["id"]: row for row in shown} == {
        row_id: {**row, "timestamp": made} for row_id, row in rows.items()
    }


async def test_rest_answers_as_documented(sim: BitmexSimulator, http: aiohttp.ClientSession) -> None:
    async def get(path: str) -> tuple[int, Any]:
        async with http.get(sim.rest_url + path) as answer:
            return answer.status, await answer.json()

    book = "/api/v1/orderBook/L2"
    rows = (await get(f"{book}?symbol=XBTUSD"))[1]
    assert len(rows) == 50
    assert rows == (await get(f"{book}?symbol=XBTUSD&depth=25"))[1]
    assert [row["side"] for row in (await get(f"{book}?symbol=XBTUSD&depth=1"))[1]] == ["Sell", "Buy"]
    assert len((await get(f"{book}?symbol=XBTUSD&depth=0"))[1]) == 80
    assert await get(f"{book}?symbol=NONE") == (200, [])
    missing = {"error": {"message": "'symbol' is a required arg.", "name": "HTTPError"}}
    assert await get(book) == (400, missing)
    for depth in ("-1", "x", "1.5", "9" * 20, ""):
        assert (await get(f"{book}?symbol=XBTUSD&depth={depth}"))[0] == 400
    assert [each["symbol"] for each in (await get("/api/v1/instrument/active"))[1]] == ["XBTUSD", "ETHUSD"]
    sim.exchange.set_status("XBTUSD", "Settled")
    assert [each["symbol"] for each in (await get("/api/v1/instrument/active"))[1]] == ["ETHUSD"]
    [settled] = (await get("/api/v1/instrument?symbol=XBTUSD"))[1]
    assert (settled["state"], settled["tickSize"], settled["lotSize"]) == ("Settled", 0.5, 100)
    assert (await get("/api/v1"))[1]["timestamp"] == sim.exchange.wall_ms()
    assert (await get("/api/v1/nothing"))[0] == 404
    async with http.post(sim.rest_url + book) as answer:
        assert answer.status == 404


async def test_requests_are_counted_by_the_minute(sim: BitmexSimulator, http: aiohttp.ClientSession) -> None:
    sim.exchange.requests.limit = 2
    left = []
    for _ in range(3):
        async with http.get(f"{sim.rest_url}/api/v1") as answer:
            left.append((answer.status, answer.headers["X-RateLimit-Remaining"]))
            body = await answer.json()
    assert left == [(200, "1"), (200, "0"), (429, "0")]
    assert answer.headers["Retry-After"] == "60"
    assert body["error"]["name"] == "RateLimitError"
    await sim.tick(601)
    async with http.get(f"{sim.rest_url}/api/v1") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(("kind", "status"), [(Kind.THROTTLE, 429), (Kind.BAN, 403)])
async def test_everybody_may_be_refused(
    sim: BitmexSimulator, http: aiohttp.ClientSession, kind: Kind, status: int
) -> None:
    sim.faults.inject(kind, delay_s=2)
    async with http.get(f"{sim.rest_url}/api/v1") as answer:
        assert answer.status == status
    await sim.tick(21)
    async with http.get(f"{sim.rest_url}/api/v1") as answer:
        assert answer.status == 200


async def test_connections_are_counted_by_the_hour(http: aiohttp.ClientSession) -> None:
    settings = Settings(symbols=1, depth=5, connections_an_hour=2)
    async with BitmexSimulator(settings, manual=True) as sim:
        left = []
        for _ in range(2):
            async with http.ws_connect(f"{sim.ws_url}/realtime") as socket:
                left.append((await socket.receive_json(timeout=10))["limit"]["remaining"])
        assert left == [1, 0]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{sim.ws_url}/realtime")


async def test_the_truth_of_any_step_and_time_is_known(
    sim: BitmexSimulator, http: aiohttp.ClientSession
) -> None:
    async def truth(query: str) -> tuple[int, bytes]:
        async with http.get(f"{sim.rest_url}/sim/truth?symbol={query}") as answer:
            return answer.status, await answer.read()

    await sim.tick(3)
    market = sim.exchange.markets["XBTUSD"]
    step, time_ms = market.step, market.time_ms
    async with http.get(f"{sim.rest_url}/api/v1/orderBook/L2?symbol=XBTUSD&depth=10") as answer:
        body = await answer.read()
    await sim.tick(3)
    assert await truth(f"XBTUSD&id={step}&depth=10") == (200, body)
    assert await truth(f"XBTUSD&time={time_ms}&depth=10") == (200, body)
    assert (await truth("XBTUSD&time=1"))[0] == (await truth("NONE&id=1"))[0] == 404
    assert (await truth("XBTUSD"))[0] == (await truth("XBTUSD&id=1&depth=-1"))[0] == 400
    async with http.get(f"{sim.rest_url}/sim/state") as answer:
        state = (await answer.json())["symbols"]["XBTUSD"]
    assert (state["update_id"], state["rows"]) == (market.step, len(market.history.head))
    async with http.get(f"{sim.rest_url}/sim/metadata") as answer:
        assert answer.status == 404


async def test_snapshots_may_be_stale_or_fail(sim: BitmexSimulator, http: aiohttp.ClientSession) -> None:
    await sim.tick(10)
    market = sim.exchange.markets["XBTUSD"]
    url = f"{sim.rest_url}/api/v1/orderBook/L2?symbol=XBTUSD&depth=0"
    order = {"kind": "stale_snapshot", "symbol": "XBTUSD", "ids": 20}
    async with http.post(f"{sim.rest_url}/sim/faults", json=order) as answer:
        assert await answer.json() == {"happened": 0}
    async with http.get(url) as answer:
        assert await answer.read() == market.body(market.step - 20, 0)
    for form, status in (("500", 500), ("503", 503), ("html", 502), ("truncated", 200)):
        sim.faults.inject(Kind.FAILED_SNAPSHOT, form=form)
        async with http.get(url) as answer:
            assert answer.status == status
            if form == "truncated":
                with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
                    json.loads(await answer.read())
    sim.faults.inject(Kind.FAILED_SNAPSHOT, form="cut")
    with pytest.raises(aiohttp.ClientError):
        async with http.get(url) as answer:
            await answer.read()
    sim.faults.inject(Kind.SLOW_SNAPSHOT, delay_s=0.01)
    async with http.get(url) as answer:
        assert answer.status == 200
    assert sim.faults.counts.total() == 7


async def test_it_runs_by_itself(http: aiohttp.ClientSession) -> None:
    settings = Settings(symbols=("XBTUSD", "ETHUSD"), depth=10, rate=100, halted=("ETHUSD",))
    async with (
        BitmexSimulator(settings) as sim,
        http.ws_connect(f"{sim.ws_url}/realtime?subscribe=orderBookL2:XBTUSD") as socket,
    ):
        for _ in range(6):
            assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT
        assert sim.exchange.markets["ETHUSD"].step == 0


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"depth": 1}, {"changes": 0}, {"symbols": 0}, {"symbols": ()}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs|is"):
        Settings(**wrong)
