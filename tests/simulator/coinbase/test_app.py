"""Coinbase Exchange on a socket: what its documents promise, its faults, and its truth."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.settings import Settings
from simulator.faults import Kind

KEY = ("0123456789abcdef", "a passphrase", base64.b64encode(b"a secret of some length").decode())


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[CoinbaseSimulator]:
    path = tmp_path / "key"
    path.write_text("\n".join((KEY[0], "pass", KEY[2])))
    settings = Settings(products=2, orders=30, actions=20, keys=(path,), requests_a_second=100)
    async with CoinbaseSimulator(settings, manual=True) as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def signed(sim: CoinbaseSimulator, *, secret: bytes = b"a secret of some length", late_s: int = 0) -> Any:
    timestamp = str(sim.exchange.wall_ms() // 1000 - late_s)
    digest = hmac.new(secret, f"{timestamp}GET/users/self/verify".encode(), hashlib.sha256).digest()
    return {
        "key": KEY[0],
        "passphrase": "pass",
        "timestamp": timestamp,
        "signature": base64.b64encode(digest).decode(),
    }


async def asked(socket: aiohttp.ClientWebSocketResponse, **request: Any) -> Any:
    await socket.send_json({"type": "subscribe", "product_ids": ["BTC-USD"], **request})
    return await socket.receive_json(timeout=10)


async def heard(socket: aiohttp.ClientWebSocketResponse, upto: int) -> list[Any]:
    """The messages of the product up to a sequence."""
    messages: list[Any] = []
    while not messages or messages[-1].get("sequence", 0) < upto:
        messages.append(await socket.receive_json(timeout=10))
    return messages


async def test_every_message_has_the_next_sequence(
    sim: CoinbaseSimulator, http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(sim.ws_url) as socket:
        answer = await asked(socket, channels=["full"], **signed(sim))
        assert answer == {
            "type": "subscriptions",
            "channels": [{"name": "full", "product_ids": ["BTC-USD"]}],
        }
        market = sim.exchange.markets["BTC-USD"]
        first = market.sequence
        await sim.tick(3)
        messages = await heard(socket, market.sequence)
    assert [each["sequence"] for each in messages] == list(range(first + 1, market.sequence + 1))
    assert {each["product_id"] for each in messages} == {"BTC-USD"}


@pytest.mark.parametrize("channel", ["full", "level2"])
async def test_what_needs_a_signature_is_refused_without_a_good_one(
    sim: CoinbaseSimulator, http: aiohttp.ClientSession, channel: str
) -> None:
    async with http.ws_connect(sim.ws_url) as socket:
        refused = await asked(socket, channels=[channel])
        assert refused["message"] == "Failed to subscribe"
        assert "now require authentication" in refused["reason"]
        for wrong in (
            signed(sim, secret=b"another"),
            signed(sim, late_s=60),
            {**signed(sim), "key": "unknown"},
            {**signed(sim), "passphrase": "wrong"},
            {**signed(sim), "signature": "no base64"},
        ):
            refused = await asked(socket, channels=[channel], **wrong)
            assert refused["message"] == "Authentication Failed"


async def test_levels_follow_the_book_in_batches_and_hearts_beat(
    sim: CoinbaseSimulator, http: aiohttp.ClientSession
) -> None:
    market = sim.exchange.markets["BTC-USD"]
    async with http.ws_connect(sim.ws_url) as socket:
        snapshot = await asked(socket, channels=["level2_batch", "heartbeat"])
        assert snapshot["bids"] == market.levels("buy")
        assert (await socket.receive_json())["type"] == "subscriptions"
        levels = {side: dict(snapshot[name]) for side, name in (("buy", "bids"), ("sell", "asks"))}
        await sim.tick(10)
        beat: Any = {}
        while beat.get("type") != "heartbeat":
            beat = await socket.receive_json(timeout=10)
            for side, price, size in beat.get("changes", []):
                levels[side][price] = size
                if size == "0":
                    del levels[side][price]
    assert beat["sequence"] == market.sequence
    assert levels == {side: dict(market.levels(side)) for side in ("buy", "sell")}


async def test_requests_that_make_no_sense_are_told_so(
    sim: CoinbaseSimulator, http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(sim.ws_url) as socket:
        for wrong in ({"channels": ["nothing"]}, {"product_ids": ["X-Y"], "channels": ["heartbeat"]}):
            assert (await asked(socket, **wrong))["type"] == "error"
        await socket.send_str("no json")
        assert (await socket.receive_json())["message"] == "Malformed JSON"


async def test_who_does_not_subscribe_is_cut_off(sim: CoinbaseSimulator, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(sim.ws_url) as socket:
        await sim.tick(50)
        closed = await socket.receive(timeout=10)
        assert closed.data == 1008


async def test_unsubscribing_ends_it(sim: CoinbaseSimulator, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(sim.ws_url) as socket:
        await asked(socket, channels=["full"], **signed(sim))
        answer = await asked(socket, type="unsubscribe", channels=["full"])
        assert answer == {"type": "subscriptions", "channels": []}
        assert not sim.exchange.markets["BTC-USD"].listeners


async def test_rest_answers_as_seen_of_the_live_service(
    sim: CoinbaseSimulator, http: aiohttp.ClientSession
) -> None:
    async def get(path: str) -> tuple[int, Any]:
        async with http.get(sim.rest_url + path) as answer:
            return answer.status, await answer.json()

    market = sim.exchange.markets["BTC-USD"]
    assert [each["id"] for each in (await get("/products"))[1]] == ["BTC-USD", "ETH-USD"]
    assert (await get("/products/ETH-USD"))[1]["quote_increment"] == "0.01"
    assert (await get("/products/X-Y"))[0] == 404
    assert await get("/products/X-Y/book") == (404, {"message": "NotFound"})
    assert await get("/products/BTC-USD/book?level=4") == (400, {"message": "unexpected level: 4"})
    one, two, three = [(await get(f"/products/BTC-USD/book?level={level}"))[1] for level in (1, 2, 3)]
    assert one["bids"] == two["bids"][:1] == [[*market.levels("buy", 1)[0], one["bids"][0][2]]]
    assert [row[:2] for row in two["asks"]] == market.levels("sell")
    assert len(three["bids"]) + len(three["asks"]) == len(market.engine.orders)
    assert list(one) == ["bids", "asks", "sequence", "auction_mode", "auction", "time"]
    assert one["sequence"] == market.sequence
    assert (await get("/time"))[1]["epoch"] == sim.exchange.wall_ms() / 1000
    assert (await get("/nothing"))[0] == 404
    sim.exchange.requests.limit = 1
    assert (await get("/time"))[0] == 429


async def test_the_truth_of_any_sequence_is_known(
    sim: CoinbaseSimulator, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{sim.rest_url}/products/BTC-USD/book?level=3") as answer:
        body = await answer.read()
    sequence = json.loads(body)["sequence"]
    await sim.tick(5)
    sim.exchange.rebase("BTC-USD", 100_000)
    await sim.tick(5)
    for asked_id, status in ((sequence, 200), (sequence + 10**6, 404)):
        query = f"symbol=BTC-USD&id={asked_id}&level=3"
        async with http.get(f"{sim.rest_url}/sim/truth?{query}") as answer:
            assert answer.status == status
            assert (await answer.read() == body) == (status == 200)
    async with http.get(f"{sim.rest_url}/sim/state") as answer:
        state = (await answer.json())["symbols"]["BTC-USD"]
        assert state["update_id"] == sim.exchange.markets["BTC-USD"].sequence


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.GAP, lambda heard, all_: len(heard) < len(all_)),
        (Kind.DUPLICATE, lambda heard, all_: len(heard) > len(all_) and sorted(set(heard)) == all_),
        (Kind.REORDER, lambda heard, all_: heard != all_ and sorted(heard) == all_),
        (Kind.STRAGGLER, lambda heard, all_: len(heard) > len(all_) and sorted(set(heard)) == all_),
    ],
)
async def test_faults_befall_messages(
    sim: CoinbaseSimulator, http: aiohttp.ClientSession, kind: Kind, expected: Any
) -> None:
    async with http.ws_connect(sim.ws_url) as socket:
        await asked(socket, channels=["full"], **signed(sim))
        market = sim.exchange.markets["BTC-USD"]
        first = market.sequence
        while market.sequence < first + 10:
            await sim.tick()
        sim.faults.inject(kind)
        faulty = market.sequence
        while market.sequence < faulty + 10:
            await sim.tick()
        sequences = [each["sequence"] for each in await heard(socket, market.sequence)]
    assert sim.faults.counts[kind] == 1
    assert expected(sequences, list(range(first + 1, market.sequence + 1)))


@pytest.mark.parametrize("form", ["json", "missing", "number", "type", "binary", "empty"])
async def test_a_damaged_message_is_none(
    sim: CoinbaseSimulator, http: aiohttp.ClientSession, form: str
) -> None:
    async with http.ws_connect(sim.ws_url) as socket:
        await asked(socket, channels=["full"], **signed(sim))
        market = sim.exchange.markets["BTC-USD"]
        sim.faults.inject(Kind.MALFORMED, form=form)
        first = market.sequence
        while market.sequence == first:
            await sim.tick()
        frame = await socket.receive(timeout=10)
        truth = {"type", "product_id", "sequence", "time"}
        try:
            read = json.loads(frame.data)
            whole = truth <= read.keys() and read["sequence"] == first + 1
        except (ValueError, AttributeError, TypeError):
            whole = False
        bad = ("abc", "-1.5", "NaN", "", "1e5", "1,5", " 1.0")
        assert not whole or any(value in bad for value in read.values() if isinstance(value, str))


@pytest.mark.parametrize("form", ["500", "503", "html", "truncated", "cut"])
async def test_a_snapshot_may_fail(sim: CoinbaseSimulator, http: aiohttp.ClientSession, form: str) -> None:
    sim.faults.inject(Kind.FAILED_SNAPSHOT, form=form)
    try:
        async with http.get(f"{sim.rest_url}/products/BTC-USD/book?level=3") as answer:
            body = await answer.read()
            assert answer.status >= 500 or not body.endswith(b"}")
    except aiohttp.ClientError:
        assert form == "cut"


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"orders": 0}, {"actions": 0}, {"products": 0}, {"products": ()}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"needs|is"):
        Settings(**wrong)


def test_a_key_file_has_three_lines(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("only one")
    with pytest.raises(ValueError, match="each on a line"):
        CoinbaseSimulator(Settings(keys=(path,)), manual=True)
