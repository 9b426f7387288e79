"""A Depthcast server behind the exchange objects: its books, their age, and where it is no help."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import ccxt
import pytest

import depthcast.ccxt
import depthcast.ccxt.aio
from depthcast.backoff import Backoff
from depthcast.store.memory import MemoryStore
from tests.conformance.world import CHINESE, World, serving
from tests.depthcast.ccxt.conftest import Caller, make, original, refused, until


class Mirrored(NamedTuple):
    """A caller that asks a server first, the exchange behind both, and a clock ahead of the server's."""

    caller: Caller
    world: World
    server: str


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as world:
        yield world


@pytest.fixture(params=["sync", "async"])
async def mirrored(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Mirrored]:
    store = MemoryStore()
    await world.publish(store)
    module = depthcast.ccxt if request.param == "sync" else depthcast.ccxt.aio
    async with serving(store) as port:
        server = f"http://127.0.0.1:{port}"
        # The world stands still, so its files age; how they do is the matter of the tests that say so.
        caller = Caller(make(module, world.simulator, source="server", server=server, max_age_ms=None))
        try:
            await caller("load_markets")
            caller.sent.clear()
            yield Mirrored(caller, world, server)
        finally:
            await caller.close()


def timeless(book: dict[str, Any]) -> dict[str, Any]:
    return book | {"timestamp": None, "datetime": None}


@pytest.mark.parametrize(
    ("symbol", "limit"),
    [("ETH/USDT", None), ("ETH/USDT", 7), ("ETH/USDT", 9999), ("THIN/USDT", 100), (CHINESE, 20)],
)
async def test_books_are_ccxt_s_own_and_the_server_s(
    mirrored: Mirrored, symbol: str, limit: int | None
) -> None:
    ours = await mirrored.caller.book(symbol, limit, fallback=False)
    theirs = await asyncio.to_thread(original(mirrored.world.simulator).fetch_order_book, symbol, limit)
    assert list(ours) == list(theirs)
    assert timeless(ours) == theirs
    assert ours["timestamp"] == mirrored.world.simulator.exchange.wall_ms()
    assert [url.startswith(mirrored.server) for url in mirrored.caller.sent] == [True]
    answer = mirrored.caller.answer(symbol)
    assert (answer["source"], answer["nonce"], answer["passed_over"]) == ("server", ours["nonce"], ())
    assert answer["age_ms"] >= 0
    assert mirrored.world.simulator.exchange.connections == {}


async def test_strings_are_the_server_s_own(mirrored: Mirrored) -> None:
    book = await mirrored.caller.book("ETH/USDT", 5, strings=True, fallback=False)
    assert type(book["bids"][0][0]) is str
    floats = await mirrored.caller.book("ETH/USDT", 5, fallback=False)
    assert [[float(number) for number in level] for level in book["bids"]] == floats["bids"]


async def test_best_prices_are_the_server_s(mirrored: Mirrored) -> None:
    theirs = await asyncio.to_thread(original(mirrored.world.simulator).fetch_bids_asks)
    symbols = ["ETH/USDT", "ONESIDE/USDT", "币安人生/USDT"]
    some = await mirrored.caller("fetch_bids_asks", symbols, {"fallback": False})
    every = await mirrored.caller("fetch_bids_asks", None, {"fallback": False})
    assert {symbol: timeless(ticker) for symbol, ticker in some.items()} == {
        symbol: theirs[symbol] for symbol in symbols
    }
    assert {symbol: timeless(ticker) for symbol, ticker in every.items()} == theirs
    assert all(url.startswith(mirrored.server) for url in mirrored.caller.sent)


async def test_a_book_too_old_is_asked_of_the_exchange_instead(mirrored: Mirrored) -> None:
    # Nobody vouches for these files, and the exchange's clock stands still: they get older as we look.
    await _age(mirrored)
    await mirrored.caller.book("ETH/USDT", 5, max_age_ms=60_000)
    assert mirrored.caller.answer("ETH/USDT")["source"] == "server"
    book = await mirrored.caller.book("ETH/USDT", 5, max_age_ms=50)
    answer = mirrored.caller.answer("ETH/USDT")
    assert (answer["source"], answer["nonce"]) == ("rest", book["nonce"])
    assert "last known to be the exchange's" in answer["passed_over"][0]
    refusal = await refused(mirrored.caller.book("ETH/USDT", 5, max_age_ms=50, fallback=False))
    assert isinstance(refusal, ccxt.ExchangeNotAvailable)
    assert "last known to be the exchange's" in str(refusal)


async def _age(mirrored: Mirrored) -> None:
    """Wait until the files are 100 ms old, by the clock that stands still and the one that does not."""
    written_ms = mirrored.world.simulator.exchange.wall_ms()

    async def old() -> bool:
        return time.time_ns() // 1_000_000 > written_ms + 100

    await until(old)


async def test_a_halted_book_is_not_old(mirrored: Mirrored) -> None:
    await _age(mirrored)
    book = await mirrored.caller.book("HALT/USDT", 5, max_age_ms=60_000, fallback=False)
    assert len(book["bids"]) == 5
    assert mirrored.caller.answer("HALT/USDT")["state"] == "halted"


async def test_what_the_server_does_not_have_the_exchange_is_asked_for(mirrored: Mirrored) -> None:
    # Of this symbol five and twenty levels are published.
    caller = mirrored.caller
    assert len((await caller.book("NEW/USDT", 20, fallback=False))["bids"]) == 20
    assert len((await caller.book("NEW/USDT", 50))["bids"]) == 50
    assert caller.answer("NEW/USDT")["source"] == "rest"
    refusal = await refused(caller.book("NEW/USDT", 50, fallback=False))
    assert isinstance(refusal, ccxt.BaseError)


async def test_a_refusal_of_what_no_limit_is_is_the_server_s_and_the_last_word(mirrored: Mirrored) -> None:
    refusal = await refused(mirrored.caller.book("ETH/USDT", -5))
    assert isinstance(refusal, ccxt.BadRequest)
    assert "-1100" in str(refusal)
    assert len(mirrored.caller.sent) == 1


async def test_a_server_that_does_not_answer_is_left_alone_for_a_while(mirrored: Mirrored) -> None:
    caller = mirrored.caller
    caller.exchange.options["depthcast"]["server"] = "http://127.0.0.1:1"
    caller.exchange._server_pause = Backoff(60, minimum_s=60, maximum_s=60)
    for _ in range(3):
        assert len((await caller.book("ETH/USDT", 5))["bids"]) == 5
        assert caller.answer("ETH/USDT")["source"] == "rest"
    assert [url.startswith("http://127.0.0.1:1/") for url in caller.sent].count(True) == 1
    assert "server: " in caller.answer("ETH/USDT")["passed_over"][0]
    refusal = await refused(caller.book("ETH/USDT", 5, fallback=False))
    assert isinstance(refusal, ccxt.NetworkError)


async def test_what_is_no_book_is_not_taken_for_one(mirrored: Mirrored) -> None:
    caller = mirrored.caller
    fetch = caller.exchange.fetch

    def damaged(url: str, *rest: Any) -> Any:
        answer = fetch(url, *rest)
        if not url.startswith(mirrored.server):
            return answer
        return _emptied(answer) if caller.synchronous else _soon_emptied(answer)

    caller.exchange.fetch = damaged
    assert len((await caller.book("ETH/USDT", 5))["bids"]) == 5
    answer = caller.answer("ETH/USDT")
    assert answer["source"] == "rest"
    assert "did not answer what the exchange would" in answer["passed_over"][0]
    refusal = await refused(caller.book("ETH/USDT", 5, fallback=False))
    assert isinstance(refusal, ccxt.BadResponse)


def _emptied(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"lastUpdateId": None}


async def _soon_emptied(answer: Any) -> dict[str, Any]:
    return _emptied(await answer)


async def test_the_server_comes_between_a_book_that_is_not_ready_and_the_exchange(mirrored: Mirrored) -> None:
    caller = mirrored.caller
    caller.exchange.options["depthcast"]["source"] = "local"
    await caller.book("ETH/USDT", 5)
    answer = caller.answer("ETH/USDT")
    assert answer["source"] == "server"
    assert answer["passed_over"][0].startswith("local: ")
    await caller("depthcast_wait", ["ETH/USDT"])
    await caller.local("ETH/USDT", 5)
    # What only the exchange or a server can know goes past the book in this process.
    await caller.book("ETH/USDT", 5, symbolStatus="TRADING")
    assert caller.answer("ETH/USDT")["source"] == "server"


async def test_a_call_that_is_given_up_leaves_the_next_ones_as_they_are(world: World) -> None:
    # Somebody who takes the connection and says nothing.
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _reader, writer: held.append(writer), "127.0.0.1", 0)
    server = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    caller = Caller(make(depthcast.ccxt.aio, world.simulator, source="server", server=server))
    try:
        await caller("load_markets")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await caller.book("ETH/USDT", 5)
        before = caller.exchange.depthcast_status("ETH/USDT")["weight_used"]
        await caller.book("ETH/USDT", 5, source="rest")
        # The answer was heard as the exchange's, and not as the one that was waited for.
        assert caller.exchange.depthcast_status("ETH/USDT")["weight_used"] > before
    finally:
        await caller.close()
        for writer in held:
            writer.close()
        silent.close()
