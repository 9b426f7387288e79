"""Recorded messages played again, beside a naive reader of the file itself."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.capture import load
from simulator.bitmex.session import Session
from simulator.bitmex.settings import Settings
from simulator.capture import CaptureError
from tests.simulator.bitmex.conftest import Table

RECORDED = Path(__file__).parents[4] / "shared/data/bitmex/cf_20210417_ws.txt.gz"
needs_capture = pytest.mark.skipif(not RECORDED.exists(), reason="the captured messages are not here")


def frame(table: str, action: str, *rows: dict[str, Any]) -> str:
    return json.dumps({"table": table, "action": action, "data": rows}, separators=(",", ":"))


def row(number: int, side: str, size: int | None = None, price: float | None = None, **times: str) -> Any:
    told = {"symbol": "ABCUSD", "id": number, "side": side, "size": size, "price": price}
    return {name: value for name, value in told.items() if value is not None} | times


def written(folder: Path, *frames: str) -> Path:
    path = folder / "capture.txt"
    path.write_text(
        "wss://somewhere <-> 1.0\n" + "".join(f"{5 + n}.25: {each}\n" for n, each in enumerate(frames))
    )
    return path


TINY = (
    frame("orderBookL2", "update", row(9, "Buy", 1)),
    frame("orderBookL2", "partial", row(2, "Sell", 7, 8e-7), row(1, "Buy", 5, 2.5e-7)),
    frame("quote", "insert", {"symbol": "ABCUSD", "bidPrice": 2.5e-7}),
    frame("orderBookL2", "update", row(1, "Buy", 6)),
    frame("orderBookL2", "insert", row(3, "Sell", 2, 7e-7)),
    frame("orderBookL2", "delete", row(2, "Sell")),
    frame("funding", "insert", {"symbol": "ABCUSD"}),
)


async def test_a_capture_is_played_by_the_clock(tmp_path: Path) -> None:
    # What came before the partial belongs to no book that is known.
    settings = Settings(captures=(written(tmp_path, *TINY[1:]),), rate=1)
    async with (
        BitmexSimulator(settings, manual=True) as sim,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{sim.ws_url}/realtime?subscribe=orderBookL2,orderBook10,quote") as socket,
    ):
        frames = [await socket.receive_str(timeout=10) for _ in range(7)]
        assert '"price":8e-7}' in frames[4]
        await sim.tick()
        assert (await socket.receive_str(timeout=10)).endswith(
            '"data":[{"symbol":"ABCUSD","bidPrice":2.5e-07}]}'
        )
        assert await socket.receive_str(timeout=10) == TINY[3]
        top = json.loads(await socket.receive_str(timeout=10))
        assert top["data"][0]["bids"] == [[2.5e-7, 6]]
        done = [sim.captures_done]
        await sim.tick(3)
        assert [*done, sim.captures_done] == [False, True]
        [sell, buy] = json.loads(sim.exchange.markets["ABCUSD"].body(3, 0))
        assert (sell["price"], sell["size"], buy["size"]) == (7e-7, 2, 6)
        sim.exchange.markets["ABCUSD"].check()
        assert not sim.exchange.markets["ABCUSD"].bodies_at(0, 0)


async def test_a_capture_plays_by_itself_as_fast_as_readers_take_it(tmp_path: Path) -> None:
    settings = Settings(captures=(written(tmp_path, *TINY[1:]),), speed=0)
    async with (
        BitmexSimulator(settings) as sim,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{sim.ws_url}/realtime?subscribe=orderBookL2:ABCUSD") as socket,
    ):
        heard = [await socket.receive_str(timeout=10) for _ in range(6)]
    assert heard[3:] == [TINY[3], TINY[4].replace("7e-07", "7e-7"), TINY[5]]


def test_rows_of_today_keep_their_times(tmp_path: Path) -> None:
    times = {"timestamp": "2024-11-14T10:00:00.081Z", "transactTime": "2024-11-14T10:00:00.000Z"}
    path = written(
        tmp_path,
        frame("orderBookL2", "partial", row(62400580205, "Sell", 33000, 98459.9, **times)),
        frame("orderBookL2", "update", row(62400580205, "Sell", 100, 98459.9, **times)),
    )
    capture = load([path])
    assert not capture.old
    sim = BitmexSimulator(Settings(captures=(path,)), manual=True)
    [only] = sim.exchange.markets["ABCUSD"].book.rows()
    assert (only.price, only.time_ms - only.transact_ms) == (984599, 81)


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ((), "no book with changes"),
        ((TINY[1],), "no book with changes"),
        (('{"table":"orderBookL2","action":7',), "line 2: JSONDecodeError"),
        (('{"table":"orderBookL2","action":"insert"}',), "line 2: KeyError"),
    ],
)
def test_what_cannot_be_played_says_why(tmp_path: Path, frames: tuple[str, ...], why: str) -> None:
    with pytest.raises(CaptureError, match=why):
        load([written(tmp_path, *frames)])


def test_a_change_of_a_row_that_nobody_told_of_is_no_capture(tmp_path: Path) -> None:
    path = written(tmp_path, TINY[1], TINY[0])
    sim = BitmexSimulator(Settings(captures=(path,)), manual=True)
    assert sim._player is not None
    with pytest.raises(CaptureError, match="unknown id 9"):
        sim._player.play_next()


@needs_capture
def test_the_recorded_book_is_told_as_it_was_recorded() -> None:
    """Every message of ten books, by the letter; a naive reader of the file has the same books."""
    capture = load([RECORDED])
    assert (len(capture.opening), capture.old) == (10, True)
    sim = BitmexSimulator(Settings(captures=(RECORDED,)), manual=True)
    player = sim._player
    assert player is not None
    session = Session(sim.exchange, 1, "subscribe=orderBookL2,quote", outbox=100_000)
    naive = Table()
    naive.begun = True
    for text in (frame for frame in session.outbox if isinstance(frame, str)):
        naive.hear(text)
    session.outbox.clear()
    crossed = quotes = 0
    for message in capture.flow:
        player.play_next()
        told = [frame for frame in session.outbox if isinstance(frame, str)]
        session.outbox.clear()
        if message.table == "trade":
            assert not told
            continue
        body = f'{{"table":"{message.table}","action":"{message.action}","data":{message.data}}}'
        assert told == [body]
        quotes += message.table == "quote"
        naive.hear(body)
    assert player.done
    assert quotes > 100
    for symbol, market in player.markets.items():
        bid, ask = (market.book.best(side)[0].price for side in ("Buy", "Sell"))
        crossed += bid >= ask
        truth = json.loads(market.body(market.step, 0), parse_float=Decimal)
        rows = {(each["id"], each["side"]): each["size"] for each in truth}
        assert rows == {key[1:]: each["size"] for key, each in naive.rows.items() if key[0] == symbol}
        market.check()
    assert not crossed
