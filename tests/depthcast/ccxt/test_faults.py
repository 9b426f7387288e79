"""What goes wrong at the exchange, and what callers are answered meanwhile: a true book, or why not.

The simulator is the judge: each book that is answered has to be what it published at that id.
"""

import asyncio
import time
from typing import Any

import ccxt
import pytest

from depthcast.errors import VenueUnavailable
from simulator.app import Simulator
from simulator.faults import Kind
from tests.depthcast.ccxt.conftest import Caller, refused, tick, true_levels, until

SYMBOLS = {"BTC/USDT": "BTCUSDT", "ETH/USDT": "ETHUSDT", "SOL/USDT": "SOLUSDT"}


def judge(simulator: Simulator, symbol: str, book: dict[str, Any], limit: int) -> None:
    """A book is what the exchange published at that id, and never crossed."""
    true = true_levels(simulator, SYMBOLS[symbol], book["nonce"], limit)
    assert (book["bids"], book["asks"]) == (true["bids"], true["asks"])
    assert book["bids"][0][0] < book["asks"][0][0]


def behind(simulator: Simulator, symbol: str, book: dict[str, Any]) -> int:
    """By how many ids a book is older than the exchange's."""
    newest = simulator.exchange.instruments[SYMBOLS[symbol]].journal.update_id
    return int(newest - book["nonce"])


async def recovered(simulator: Simulator, caller: Caller, symbol: str = "ETH/USDT") -> None:
    """Let time pass until the book in this process is the exchange's again; judge all it says meanwhile."""

    async def current() -> bool:
        await simulator.tick()
        try:
            book = await caller.book(symbol, 20, fallback=False)
        except ccxt.ExchangeNotAvailable:
            return False
        judge(simulator, symbol, book, 20)
        return behind(simulator, symbol, book) == 0

    await until(current)


@pytest.mark.parametrize("kind", [Kind.GAP, Kind.REORDER, Kind.MALFORMED])
async def test_a_diff_that_does_not_come_costs_no_wrong_book(
    warm: Caller, simulator: Simulator, kind: Kind
) -> None:
    simulator.faults.inject(kind, symbol="ETHUSDT")
    for _ in range(6):
        await simulator.tick()
        book = await warm.book("ETH/USDT", 20)
        judge(simulator, "ETH/USDT", book, 20)
    assert simulator.faults.counts[kind] == 1
    await recovered(simulator, warm)


async def test_a_snapshot_older_than_the_stream_is_not_believed(warm: Caller, simulator: Simulator) -> None:
    simulator.faults.inject(Kind.STALE_SNAPSHOT, symbol="ETHUSDT", ids=60, count=2)
    simulator.faults.inject(Kind.GAP, symbol="ETHUSDT")
    await simulator.tick(2)
    await recovered(simulator, warm)
    assert simulator.faults.counts[Kind.STALE_SNAPSHOT] >= 1


async def test_a_lost_connection_makes_books_old_and_the_exchange_is_asked_instead(
    warm: Caller, simulator: Simulator
) -> None:
    await tick(simulator, warm)
    simulator.faults.inject(Kind.REFUSE, count=1000, form="abort")
    simulator.faults.inject(Kind.DISCONNECT, form="abort")
    await simulator.tick()
    # It may be answered until it is as old as the caller accepts, and not a moment longer.
    await until(lambda: _old(warm, 300))
    for params in ({"max_age_ms": 250}, {"max_age_ms": 250, "strings": False}):
        book = await warm.book("ETH/USDT", 20, **params)
        assert warm.answer("ETH/USDT")["source"] == "rest"
        judge(simulator, "ETH/USDT", book, 20)
        assert behind(simulator, "ETH/USDT", book) == 0
    refusal = await refused(warm.book("ETH/USDT", 20, max_age_ms=250, fallback=False))
    assert isinstance(refusal, ccxt.ExchangeNotAvailable)
    assert "last known to be the exchange's" in str(refusal)
    # Who accepts any age is given it, true at its id, and told how old it is.
    old = await warm.local("ETH/USDT", 20, max_age_ms=None)
    judge(simulator, "ETH/USDT", old, 20)
    assert behind(simulator, "ETH/USDT", old) > 0
    assert warm.answer("ETH/USDT")["age_ms"] >= 250
    assert warm.exchange.depthcast_status("ETH/USDT")["book"]["ready"] is False
    simulator.faults.clear()
    await recovered(simulator, warm)


async def test_a_half_open_socket_makes_books_old(warm: Caller, simulator: Simulator) -> None:
    await tick(simulator, warm)
    simulator.faults.inject(Kind.HALF_OPEN)
    await simulator.tick()
    await until(lambda: _old(warm, 400))
    refusal = await refused(warm.book("ETH/USDT", 20, max_age_ms=400, fallback=False))
    assert isinstance(refusal, ccxt.ExchangeNotAvailable)
    book = await warm.book("ETH/USDT", 20, max_age_ms=400)
    assert warm.answer("ETH/USDT")["source"] == "rest"
    judge(simulator, "ETH/USDT", book, 20)
    assert behind(simulator, "ETH/USDT", book) == 0


async def _old(caller: Caller, age_ms: float) -> bool:
    return bool(caller.exchange.depthcast_status("ETH/USDT")["book"]["age_ms"] > age_ms)


async def test_a_ban_is_kept_and_books_that_are_there_go_on(warm: Caller, simulator: Simulator) -> None:
    simulator.exchange.weights.ban_all(600_000, simulator.exchange.wall_ms())
    await tick(simulator, warm)
    judge(simulator, "ETH/USDT", await warm.local("ETH/USDT", 20), 20)
    first = await refused(warm.book("ETH/USDT", 20, source="rest"))
    assert isinstance(first, ccxt.DDoSProtection)
    assert "418" in str(first)
    sent = len(warm.sent)
    calls: list[tuple[Any, dict[str, Any]]] = [
        (20, {"source": "rest"}),
        (5000, {"symbolStatus": "TRADING"}),
        (0, {}),
    ]
    for limit, params in calls:
        again = await refused(warm.book("ETH/USDT", limit, **params))
        assert isinstance(again, ccxt.DDoSProtection)
        assert "s are left" in str(again)
    assert isinstance(await refused(warm("fetch_bids_asks")), ccxt.DDoSProtection)
    assert len(warm.sent) == sent
    status = warm.exchange.depthcast_status("ETH/USDT")
    assert 500 < status["silent_for_s"] <= 600
    await tick(simulator, warm)
    judge(simulator, "ETH/USDT", await warm.local("ETH/USDT", 20), 20)


async def test_a_ban_that_the_books_heard_of_holds_for_calls(caller: Caller, simulator: Simulator) -> None:
    simulator.exchange.weights.ban_all(600_000, simulator.exchange.wall_ms())
    await refused(caller("depthcast_wait", ["ETH/USDT"], 0.01))

    async def heard() -> bool:
        return bool(caller.exchange.depthcast_status("ETH/USDT")["silent_for_s"] > 0)

    await until(heard)
    caller.sent.clear()
    refusal = await refused(caller.book("ETH/USDT", 5))
    assert isinstance(refusal, ccxt.DDoSProtection)
    assert caller.sent == []
    assert any("local: " in note for note in refusal.__notes__)


async def test_falling_back_leaves_weight_for_the_program(caller: Caller, simulator: Simulator) -> None:
    caller.exchange.options["depthcast"]["max_books"] = 1
    await caller("depthcast_wait", ["BTC/USDT"])
    # What the exchange counts by its clock, which stands still, is told with each answer.
    wall_ms = simulator.exchange.wall_ms()
    simulator.exchange.weights.charge("127.0.0.1", 5380, wall_ms)
    clock_ms = wall_ms - wall_ms % 60_000 + 30_000
    caller.exchange._restraint._wall_ms = lambda: clock_ms
    await caller.book("ETH/USDT", 5, source="rest")
    caller.sent.clear()
    refusal = await refused(caller.book("ETH/USDT", 5000))
    assert isinstance(refusal, ccxt.RateLimitExceeded)
    assert caller.sent == []
    # Who names the exchange has all of its weight.
    await caller.book("ETH/USDT", 5, source="rest")
    clock_ms += 60_000
    await caller.book("ETH/USDT", 5000)


async def test_an_exchange_that_cannot_be_reached_is_ccxt_s_network_error(
    warm: Caller, simulator: Simulator
) -> None:
    await simulator.stop()
    refusal = await refused(warm.book("ETH/USDT", 5, source="rest"))
    assert isinstance(refusal, ccxt.NetworkError)
    await until(lambda: _old(warm, 100))
    refusal = await refused(warm.book("ETH/USDT", 5, max_age_ms=100))
    assert isinstance(refusal, ccxt.NetworkError)
    assert any("local: " in note for note in refusal.__notes__)


async def test_ids_that_go_down_are_followed(warm: Caller, simulator: Simulator) -> None:
    before = await warm.local("ETH/USDT", 5)
    simulator.exchange.rebase("ETHUSDT", 100_000)
    await recovered(simulator, warm)
    after = await warm.local("ETH/USDT", 5)
    assert after["nonce"] < before["nonce"]


async def test_readers_in_many_threads_and_tasks_see_whole_books(warm: Caller, simulator: Simulator) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    stop = time.monotonic() + 0.6

    async def read(symbol: str) -> None:
        while time.monotonic() < stop:
            seen.append((symbol, await warm.local(symbol, 20)))
            await asyncio.sleep(0)

    async def trade() -> None:
        while time.monotonic() < stop:
            await simulator.tick()
            await asyncio.sleep(0)

    await asyncio.gather(trade(), *(read(symbol) for symbol in SYMBOLS for _ in range(3)))
    assert len({(symbol, book["nonce"]) for symbol, book in seen}) > len(SYMBOLS)
    for symbol, book in seen:
        judge(simulator, symbol, book, 20)


@pytest.mark.parametrize("failure", [VenueUnavailable("no thread"), RuntimeError("no thread")])
async def test_books_that_cannot_be_begun_are_the_exchange_s_and_no_error_of_ours_leaves(
    caller: Caller, simulator: Simulator, failure: Exception
) -> None:
    def broken(market_ids: list[str]) -> None:
        raise failure

    caller.exchange._begin = broken
    books = [await caller.book("ETH/USDT", 20)]
    books += (await caller("fetch_order_books", ["ETH/USDT"], 20)).values()
    for book in books:
        judge(simulator, "ETH/USDT", book, 20)
    assert caller.answer("ETH/USDT")["passed_over"] == ("local: no thread",)
    assert isinstance(await refused(caller("depthcast_wait", ["ETH/USDT"])), ccxt.ExchangeNotAvailable)
    assert (await caller("fetch_bids_asks", ["ETH/USDT"]))["ETH/USDT"]["bid"] > 0


async def test_an_address_that_books_cannot_use_is_a_bad_request(caller: Caller) -> None:
    caller.exchange.options["depthcast"]["ws_url"] = "ws://127.0.0.1:9#part"
    refusal = await refused(caller.book("ETH/USDT", 20))
    assert isinstance(refusal, ccxt.BadRequest)
