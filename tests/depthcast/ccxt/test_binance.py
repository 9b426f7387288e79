"""Both exchange objects beside ccxt's own on one simulated exchange: the same dicts, and no requests."""

import asyncio
import json
from typing import Any

import ccxt
import ccxt.async_support
import pytest

import depthcast.ccxt
import depthcast.ccxt.aio
from simulator.app import Simulator
from simulator.settings import Settings
from tests.depthcast.ccxt.conftest import Caller, make, original, point_at, refused, tick, true_levels


def timeless(book: dict[str, Any]) -> dict[str, Any]:
    return book | {"timestamp": None, "datetime": None}


async def test_the_first_call_is_the_exchange_s_answer_and_the_book_is_kept_from_then_on(
    caller: Caller, simulator: Simulator
) -> None:
    first = await caller.book("ETH/USDT", 20)
    assert caller.answer("ETH/USDT")["source"] == "rest"
    assert "not" in caller.answer("ETH/USDT")["passed_over"][0]
    assert len(caller.books_sent()) == 1
    await caller("depthcast_wait", ["ETH/USDT"])
    await tick(simulator, caller, count=3)
    later = await caller.local("ETH/USDT", 20)
    assert later["nonce"] > first["nonce"]
    for book in (first, later):
        true = true_levels(simulator, "ETHUSDT", book["nonce"], 20)
        assert {"bids": book["bids"], "asks": book["asks"]} == true


@pytest.mark.parametrize("limit", [None, 1, 7, 100, 149, 5000, 99_999])
async def test_a_book_is_ccxt_s_own_member_by_member(
    warm: Caller, simulator: Simulator, limit: int | None
) -> None:
    await tick(simulator, warm)
    ours = await warm.local("ETH/USDT", limit)
    theirs = await asyncio.to_thread(original(simulator).fetch_order_book, "ETH/USDT", limit)
    assert list(ours) == list(theirs)
    assert timeless(ours) == theirs
    kinds = [type(number) for side in ("bids", "asks") for level in ours[side] for number in level]
    assert set(kinds) == {float}
    assert [type(ours[name]) for name in ("symbol", "timestamp", "datetime", "nonce")] == [str, int, str, int]


async def test_the_time_is_the_exchange_s_of_the_last_change(warm: Caller, simulator: Simulator) -> None:
    await tick(simulator, warm)
    book = await warm.local("ETH/USDT", 5)
    assert book["timestamp"] == simulator.exchange.instruments["ETHUSDT"].time_ms
    assert book["datetime"] == ccxt.Exchange.iso8601(book["timestamp"])


async def test_levels_as_strings_are_the_exchange_s_own(caller: Caller, simulator: Simulator) -> None:
    by_rest = await caller.book("ETH/USDT", 50, strings=True, source="rest")
    await caller("depthcast_wait", ["ETH/USDT"])
    local = await caller.local("ETH/USDT", 50, strings=True)
    true = json.loads(simulator.truth.body("ETHUSDT", local["nonce"], 50))
    assert (local["bids"], local["asks"]) == (true["bids"], true["asks"])
    assert by_rest | {"timestamp": 0, "datetime": 0} == local | {"timestamp": 0, "datetime": 0}
    assert list(by_rest) == list(local)
    both = [await caller("fetch_l2_order_book", "ETH/USDT", 50, {"strings": True}) for _ in range(2)]
    assert both[0]["bids"] == true["bids"]


async def test_each_answer_is_the_caller_s_own(warm: Caller) -> None:
    first = await warm.local("ETH/USDT", 5)
    expected = json.loads(json.dumps(first))
    first["bids"][0][0] = -1.0
    first["asks"].clear()
    assert await warm.local("ETH/USDT", 5) == expected


async def test_a_market_s_id_is_as_good_as_its_unified_symbol(warm: Caller, simulator: Simulator) -> None:
    book = await warm.local("ETHUSDT", 5)
    theirs = await asyncio.to_thread(original(simulator).fetch_order_book, "ETHUSDT", 5)
    assert timeless(book) == theirs


@pytest.mark.parametrize("limit", [0, -5, "abc", 1.5, True])
async def test_a_limit_that_is_none_gets_the_exchange_s_own_refusal(
    warm: Caller, simulator: Simulator, limit: Any
) -> None:
    theirs = await refused(asyncio.to_thread(original(simulator).fetch_order_book, "ETH/USDT", limit))
    ours = await refused(warm.book("ETH/USDT", limit))
    assert isinstance(theirs, ccxt.BadRequest)
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


async def test_a_limit_spelled_as_only_the_exchange_reads_it_is_for_the_exchange(
    warm: Caller, simulator: Simulator
) -> None:
    theirs = await asyncio.to_thread(original(simulator).fetch_order_book, "ETH/USDT", "7")
    assert timeless(await warm.book("ETH/USDT", "7")) == theirs
    assert warm.answer("ETH/USDT")["source"] == "rest"


async def test_an_unknown_symbol_is_ccxt_s_bad_symbol(caller: Caller) -> None:
    with pytest.raises(ccxt.BadSymbol, match="binance does not have market symbol NO/SUCH"):
        await caller.book("NO/SUCH")
    with pytest.raises(ccxt.BadSymbol):
        await caller("fetch_order_books", ["ETH/USDT", "NO/SUCH"])
    with pytest.raises(ccxt.BadSymbol):
        await caller("depthcast_wait", ["NO/SUCH"])


async def test_what_ccxt_spells_in_another_way_is_ours_too(warm: Caller) -> None:
    book = await warm.local("ETH/USDT", 5)
    assert await warm("fetchOrderBook", "ETH/USDT", 5) == book
    assert await warm("fetchL2OrderBook", "ETH/USDT", 5) == book
    assert (await warm("fetchBidsAsks", ["ETH/USDT"]))["ETH/USDT"]["bid"] == book["bids"][0][0]
    assert await warm("fetchOrderBooks", ["ETH/USDT"], 5) == {"ETH/USDT": book}
    assert warm.exchange.depthcastStatus("ETH/USDT")["book"]["nonce"] == book["nonce"]
    assert warm.sent == []


async def test_several_books_at_once(warm: Caller, simulator: Simulator) -> None:
    books = await warm("fetch_order_books", ["SOL/USDT", "BTCUSDT"], 3)
    assert list(books) == ["SOL/USDT", "BTC/USDT"]
    assert books["SOL/USDT"] == await warm.local("SOL/USDT", 3)
    assert warm.exchange.has["fetchOrderBooks"] is True
    with pytest.raises(ccxt.ArgumentsRequired, match="requires a symbols argument"):
        await warm("fetch_order_books")


async def test_several_books_that_are_not_kept_yet_are_begun_together(
    caller: Caller, simulator: Simulator
) -> None:
    books = await caller("fetch_order_books", ["BTC/USDT", "ETH/USDT", "SOL/USDT"], 5)
    assert [len(book["bids"]) for book in books.values()] == [5, 5, 5]
    await caller("depthcast_wait", ["BTC/USDT", "ETH/USDT", "SOL/USDT"])
    assert len(simulator.exchange.connections) == 1


async def test_level_two_is_the_original_s(warm: Caller, simulator: Simulator) -> None:
    theirs = await asyncio.to_thread(original(simulator).fetch_l2_order_book, "ETH/USDT", 20)
    ours = await warm("fetch_l2_order_book", "ETH/USDT", 20)
    assert timeless(ours) == theirs
    assert list(ours) == list(theirs)
    assert warm.sent == []


async def test_what_is_for_the_exchange_reaches_it_and_what_is_ours_does_not(
    warm: Caller, simulator: Simulator
) -> None:
    book = await warm.book("ETH/USDT", 5, symbolStatus="TRADING", max_age_ms=1000, strings=False)
    assert [url.partition("?")[2] for url in warm.sent] == ["symbol=ETHUSDT&limit=5&symbolStatus=TRADING"]
    assert book["nonce"] == (await warm.local("ETH/USDT", 5))["nonce"]
    for params in ({"symbolStatus": "HALT"}, {"depth": 5}):
        fetch = original(simulator).fetch_order_book
        theirs = await refused(asyncio.to_thread(fetch, "ETH/USDT", None, params))
        ours = await refused(warm.book("ETH/USDT", None, **params))
        assert isinstance(theirs, ccxt.BaseError)
        assert (type(ours), str(ours)) == (type(theirs), str(theirs))


async def test_who_asks_for_the_exchange_s_answer_opens_no_socket(
    caller: Caller, simulator: Simulator
) -> None:
    await caller.book("ETH/USDT", 5, source="rest")
    await caller.book("ETH/USDT", 5, source="rest", strings=True)
    assert caller.exchange.depthcast_status("ETH/USDT")["book"] is None
    assert len(caller.books_sent()) == 2
    assert simulator.exchange.connections == {}


async def test_markets_that_are_not_spot_are_the_original_s(caller: Caller) -> None:
    exchange = caller.exchange
    spot = exchange.market("ETH/USDT")
    swap = spot | {
        "id": "ETHUSDT",
        "symbol": "ETH/USDT:USDT",
        "settle": "USDT",
        "type": "swap",
        "spot": False,
        "swap": True,
        "contract": True,
        "linear": True,
        "inverse": False,
        "option": False,
        "subType": "linear",
    }
    exchange.set_markets([*exchange.markets.values(), swap])
    asked = []

    def depth(request: dict[str, Any]) -> Any:
        asked.append(request)
        answer = {"lastUpdateId": 7, "T": 1000, "bids": [["1.5", "2"]], "asks": []}
        return answer if caller.synchronous else _soon(answer)

    exchange.fapiPublicGetDepth = depth
    book = await caller.book("ETH/USDT:USDT", 5, max_age_ms=100, source="local")
    assert asked == [{"symbol": "ETHUSDT", "limit": 5}]
    assert (book["bids"], book["timestamp"], book["nonce"]) == ([[1.5, 2.0]], 1000, 7)
    assert exchange.depthcast_status("ETH/USDT:USDT")["book"] is None
    with pytest.raises(ccxt.BadSymbol, match="no spot market"):
        await caller("depthcast_wait", ["ETH/USDT:USDT"])


async def _soon(answer: Any) -> Any:
    return answer


async def test_closed_sockets_are_closed_and_the_next_call_opens_them_again(
    warm: Caller, simulator: Simulator
) -> None:
    assert len(simulator.exchange.connections) == 1
    await warm.close()
    await _none_connected(simulator)
    assert warm.exchange.depthcast_status("ETH/USDT")["book"] is None
    assert len((await warm.book("ETH/USDT", 5))["bids"]) == 5
    await warm("depthcast_wait", ["ETH/USDT"])
    await warm.local("ETH/USDT", 5)


async def test_no_more_books_are_kept_than_allowed(caller: Caller) -> None:
    caller.exchange.options["depthcast"]["max_books"] = 1
    await caller("depthcast_wait", ["ETH/USDT"])
    for _ in range(2):
        await caller.book("BTC/USDT", 5)
        assert caller.answer("BTC/USDT")["source"] == "rest"
        assert "max_books" in caller.answer("BTC/USDT")["passed_over"][0]
    with pytest.raises(ccxt.BadRequest, match="of 2 books 1 are kept"):
        await caller("depthcast_wait", ["ETH/USDT", "BTC/USDT"])


async def test_options_may_change_while_it_runs_and_a_mistake_in_them_is_called_one(warm: Caller) -> None:
    warm.exchange.options["depthcast"]["source"] = "rest"
    await warm.book("ETH/USDT", 5)
    assert warm.answer("ETH/USDT")["source"] == "rest"
    warm.exchange.options["depthcast"]["source"] = "nobody"
    with pytest.raises(ccxt.BadRequest, match="source is one of"):
        await warm.book("ETH/USDT", 5)
    warm.exchange.options["depthcast"]["source"] = "local"
    await warm.local("ETH/USDT", 5)


@pytest.mark.parametrize("module", [depthcast.ccxt, depthcast.ccxt.aio])
def test_a_mistake_in_the_options_is_called_one_at_once(module: Any) -> None:
    with pytest.raises(ccxt.BadRequest, match="no option 'sourse'"):
        module.binance({"options": {"depthcast": {"sourse": "local"}}})


async def test_books_of_a_site_whose_streams_are_unknown_are_asked_for_and_not_guessed(
    simulator: Simulator,
) -> None:
    caller = Caller(make(depthcast.ccxt, simulator, ws_url=None))
    with pytest.raises(ccxt.ArgumentsRequired, match="ws_url"):
        await caller.book("ETH/USDT")
    assert len((await caller.book("ETH/USDT", 5, source="rest"))["bids"]) == 5


async def _none_connected(simulator: Simulator) -> None:
    async with asyncio.timeout(20):
        while simulator.exchange.connections:  # noqa: ASYNC110 - the simulator has no event for it
            await asyncio.sleep(0.01)


async def test_what_was_found_before_is_forgotten_when_it_may_be_another(
    warm: Caller, simulator: Simulator
) -> None:
    exchange = warm.exchange
    await warm.book("ETH/USDT", 5)
    assert warm.sent == []
    # Where legacy futures are meant, a spot symbol is another market's.
    swap = exchange.market("ETH/USDT") | {
        "symbol": "ETH/USDT:USDT",
        "spot": False,
        "linear": True,
        "settle": "USDT",
    }
    swap |= {"option": False, "type": "swap", "swap": True, "contract": True}
    exchange.set_markets([*exchange.markets.values(), swap])
    exchange.options["defaultType"] = "future"
    asked = []

    def depth(request: dict[str, Any]) -> Any:
        asked.append(request)
        answer: dict[str, Any] = {"lastUpdateId": 7, "T": 1000, "bids": [], "asks": []}
        return answer if warm.synchronous else _soon(answer)

    exchange.fapiPublicGetDepth = depth
    assert (await warm.book("ETH/USDT", 5))["nonce"] == 7
    assert asked == [{"symbol": "ETHUSDT", "limit": 5}]
    exchange.options["defaultType"] = "spot"
    assert (await warm.book("ETH/USDT", 5))["nonce"] > 7


async def test_the_date_is_written_as_ccxt_does(warm: Caller, simulator: Simulator) -> None:
    for _ in range(12):
        await tick(simulator, warm)
        book = await warm.book("ETH/USDT", 1)
        assert book["datetime"] == ccxt.Exchange.iso8601(book["timestamp"])


async def test_books_follow_the_exchange_object_to_another_site(warm: Caller, simulator: Simulator) -> None:
    await warm.book("ETH/USDT", 5)
    assert warm.sent == []
    settings = Settings(symbols=("ETHUSDT",), depth=40, varied=False, seed=2, weight_limit=10**6)
    async with Simulator(settings, manual=True) as other:
        point_at(warm.exchange, other.rest_url)
        warm.exchange.options["depthcast"]["ws_url"] = other.ws_url
        first = await warm.book("ETH/USDT", 5)
        assert warm.answer("ETH/USDT")["source"] == "rest"
        await warm("depthcast_wait", ["ETH/USDT"])
        second = await warm.local("ETH/USDT", 5)
        assert second["bids"] == first["bids"]
        assert second["bids"] == true_levels(other, "ETHUSDT", second["nonce"], 5)["bids"]
        await _none_connected(simulator)
        await warm.close()
