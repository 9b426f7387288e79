"""Best prices from the files."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import depth_key
from depthcast.venues.requests import ApiError
from server.answers import Answer, Asked
from server.catalogue import Catalogue
from server.freshness import Currency, Freshness, State
from server.hot import HotFiles
from server.tickers import Tickers, Top, ticker, worst
from server.upstream import FAILED, Given, Outcome, Upstream

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore

REFRESH_S = 1.0


@pytest.fixture
async def hot(store: "WatchedStore", clock: "StillClock") -> AsyncIterator[HotFiles]:
    hot = HotFiles(store, clock=clock, sleep=clock.sleep)
    yield hot
    hot.check()
    await hot.close()


@pytest.fixture
async def tops(store: "WatchedStore", clock: "StillClock") -> AsyncIterator[HotFiles]:
    tops = HotFiles(store, edition_of=Top.of, refresh_s=REFRESH_S, clock=clock, sleep=clock.sleep)
    yield tops
    tops.check()
    await tops.close()


@pytest.fixture
async def tickers(
    store: "WatchedStore", hot: HotFiles, tops: HotFiles, clock: "StillClock"
) -> AsyncIterator[Tickers]:
    for symbol, status in (("BTCUSDT", "TRADING"), ("ETHUSDT", "TRADING"), ("OLDUSDT", "BREAK")):
        await store.publish(symbol, 5, 160, status=status)
        await store.publish(symbol, 5000, 160, levels=8, status=status)
    await store.publish("GONEUSDT", 20, 160, status="DELISTED")
    catalogue = Catalogue(store)
    await catalogue.refresh()
    tickers = Tickers(catalogue, hot, tops, Freshness(), clock=clock)
    yield tickers
    await tickers.close()


async def fetch(tickers: Tickers, query: str = "") -> Answer:
    given = tickers.answer(Asked(query.encode()))
    return given if isinstance(given, Answer) else await given


def code(answer: Answer) -> tuple[int, int]:
    return answer.status, json.loads(answer.body)["code"]


def of(symbol: str, update_id: int = 160) -> dict[str, str]:
    quantity = f"{update_id}.00000000"
    return {
        "symbol": symbol,
        "bidPrice": "1000.50000000",
        "bidQty": quantity,
        "askPrice": "1001.50000000",
        "askQty": quantity,
    }


def in_words(*tickers: dict[str, str]) -> bytes:
    return json.dumps(tickers, separators=(",", ":")).encode()


async def test_one_symbol_is_an_object_of_the_file_s_own_strings(tickers: Tickers) -> None:
    answer = await fetch(tickers, "symbol=ETHUSDT")
    assert (answer.status, answer.body) == (200, in_words(of("ETHUSDT"))[1:-1])
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    assert headers["content-type"] == "application/json;charset=UTF-8"
    assert headers["content-length"] == str(len(answer.body))
    assert headers["depthcast-version"] == "1:160"
    assert headers["depthcast-status"] == "TRADING"
    assert "depthcast-state" in headers


async def test_one_symbol_is_read_from_its_smallest_file_once(
    tickers: Tickers, store: "WatchedStore"
) -> None:
    for _ in range(100):
        await fetch(tickers, "symbol=ETHUSDT")
    assert store.reads == {depth_key("ETHUSDT", 5): 1}


async def test_a_list_is_in_the_order_it_was_asked_for(tickers: Tickers) -> None:
    for symbols in (["ETHUSDT", "BTCUSDT"], ["BTCUSDT", "ETHUSDT"], ["OLDUSDT"], []):
        answer = await fetch(tickers, f"symbols={json.dumps(symbols, separators=(',', ':'))}")
        assert (answer.status, answer.body) == (200, in_words(*map(of, symbols)))


async def test_all_are_those_that_are_not_delisted(tickers: Tickers) -> None:
    answer = await fetch(tickers)
    assert answer.body == in_words(of("BTCUSDT"), of("ETHUSDT"), of("OLDUSDT"))


async def test_what_is_delisted_is_answered_to_who_names_it(tickers: Tickers) -> None:
    assert (await fetch(tickers, "symbol=GONEUSDT")).body == in_words(of("GONEUSDT"))[1:-1]
    assert (await fetch(tickers, 'symbols=["GONEUSDT"]')).body == in_words(of("GONEUSDT"))


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("symbolStatus=TRADING", ["BTCUSDT", "ETHUSDT"]),
        ("symbolStatus=BREAK", ["OLDUSDT"]),
        ("symbolStatus=HALT", []),
        ('symbols=["OLDUSDT","ETHUSDT"]&symbolStatus=TRADING', ["ETHUSDT"]),
        ('symbols=["GONEUSDT"]&symbolStatus=TRADING', []),
    ],
)
async def test_a_status_filters_lists(tickers: Tickers, query: str, symbols: list[str]) -> None:
    assert (await fetch(tickers, query)).body == in_words(*map(of, symbols))


async def test_a_status_that_one_symbol_has_not_is_an_error(tickers: Tickers) -> None:
    assert (await fetch(tickers, "symbol=OLDUSDT&symbolStatus=BREAK")).status == 200
    for _ in ("from the store, then", "from memory"):
        assert code(await fetch(tickers, "symbol=OLDUSDT&symbolStatus=TRADING")) == (400, -1220)


@pytest.mark.parametrize("query", ["symbol=NOSUCH", 'symbols=["ETHUSDT","NOSUCH"]'])
async def test_an_unknown_symbol_is_invalid_and_never_reaches_the_store(
    tickers: Tickers, store: "WatchedStore", query: str
) -> None:
    assert code(await fetch(tickers, query)) == (400, -1121)
    assert store.reads.total() == 0


async def test_before_the_first_listing_nothing_is_said(
    store: "WatchedStore", hot: HotFiles, tops: HotFiles
) -> None:
    tickers = Tickers(Catalogue(store), hot, tops, Freshness())
    for query in ("", "symbol=ETHUSDT", "symbols=[]"):
        assert code(await fetch(tickers, query)) == (503, -1001)


async def test_lists_cost_a_read_a_symbol_and_refresh_however_often_they_are_asked_for(
    tickers: Tickers, store: "WatchedStore", clock: "StillClock"
) -> None:
    for _ in range(100):
        await asyncio.gather(*(fetch(tickers) for _ in range(5)))
        await clock.advance(0.1)
    reads = {key: count for key, count in store.reads.items() if count}
    assert set(reads) == {
        depth_key("BTCUSDT", 5),
        depth_key("ETHUSDT", 5),
        depth_key("OLDUSDT", 5),
        depth_key("GONEUSDT", 20),
    }
    assert max(reads.values()) <= 11
    assert store.most_of_one_key == 1


async def test_a_list_is_at_most_a_refresh_behind_the_store(
    tickers: Tickers, store: "WatchedStore", clock: "StillClock"
) -> None:
    await fetch(tickers)
    await store.publish("ETHUSDT", 5, 161)
    assert (await fetch(tickers)).body == in_words(of("BTCUSDT"), of("ETHUSDT"), of("OLDUSDT"))
    await clock.advance(REFRESH_S)
    assert (await fetch(tickers)).body == in_words(of("BTCUSDT"), of("ETHUSDT", 161), of("OLDUSDT"))


async def test_one_symbol_is_as_new_as_its_book_whatever_lists_show(
    tickers: Tickers, store: "WatchedStore", clock: "StillClock"
) -> None:
    await fetch(tickers, "symbol=ETHUSDT")
    await store.publish("ETHUSDT", 5, 161)
    await clock.advance(0.1)
    assert (await fetch(tickers, "symbol=ETHUSDT")).body == in_words(of("ETHUSDT", 161))[1:-1]


async def test_who_asks_for_all_at_once_waits_for_the_same_reads(
    tickers: Tickers, store: "WatchedStore", clock: "StillClock"
) -> None:
    store.gate = asyncio.Event()
    asking = [asyncio.create_task(fetch(tickers)) for _ in range(50)]
    await clock.settle()
    store.gate.set()
    answers = await asyncio.gather(*asking)
    assert {answer.body for answer in answers} == {in_words(of("BTCUSDT"), of("ETHUSDT"), of("OLDUSDT"))}
    assert max(store.reads.values()) == 1


async def test_one_who_gives_up_does_not_take_the_reads_from_the_others(
    tickers: Tickers, store: "WatchedStore", clock: "StillClock"
) -> None:
    store.gate = asyncio.Event()
    first, second = (asyncio.create_task(fetch(tickers)) for _ in range(2))
    await clock.settle()
    first.cancel()
    await clock.settle()
    store.gate.set()
    assert (await second).status == 200


async def test_a_store_that_is_away_is_503_for_who_has_nothing_yet(
    tickers: Tickers, store: "WatchedStore", clock: "StillClock"
) -> None:
    store.failure = StoreUnavailable("away")
    for query in ("", "symbol=ETHUSDT", 'symbols=["ETHUSDT"]'):
        assert code(await fetch(tickers, query)) == (503, -1001)
    store.failure = None
    await clock.advance(1)
    assert (await fetch(tickers)).status == 200


async def test_a_store_that_goes_away_leaves_what_is_in_memory_and_it_is_marked(
    tickers: Tickers, store: "WatchedStore", clock: "StillClock"
) -> None:
    before = await fetch(tickers)
    store.failure = StoreUnavailable("away")
    await clock.advance(10)
    late = await fetch(tickers)
    assert (late.status, late.body) == (200, before.body)
    assert dict(late.headers)[b"depthcast-state"] == b"stale"


@pytest.mark.parametrize(
    "damage",
    [
        None,
        b"{}",
        # Framed like files; what is wrong are their levels.
        b'{"lastUpdateId":7,"bids":[oops],"asks":[]}',
        b'{"lastUpdateId":7,"bids":[["1.0"]],"asks":[["2.0","1.0"]]}',
        b'{"lastUpdateId":7,"bids":[[1.0,2.0]],"asks":[]}',
        b'{"lastUpdateId":7,"bids":[],"asks":[7]}',
    ],
)
async def test_a_file_that_cannot_be_read_is_left_out_of_all_but_not_of_those_named(
    tickers: Tickers, store: "WatchedStore", damage: bytes | None
) -> None:
    key = depth_key("ETHUSDT", 5)
    if damage is None:
        store.instead[key] = None
    else:
        await store.put(key, damage, store.metadata())
    assert (await fetch(tickers)).body == in_words(of("BTCUSDT"), of("OLDUSDT"))
    assert code(await fetch(tickers, 'symbols=["BTCUSDT","ETHUSDT"]')) == (503, -1001)
    assert code(await fetch(tickers, "symbol=ETHUSDT")) == (503, -1001)


async def test_a_list_may_be_kept_for_a_moment_only(tickers: Tickers, clock: "StillClock") -> None:
    await fetch(tickers)
    answer = await fetch(tickers)
    assert answer.hold is not None
    assert clock.now < answer.hold.until <= clock.now + 0.1


async def test_a_query_of_any_length_is_answered(tickers: Tickers) -> None:
    assert (await fetch(tickers, "symbols=" + "A" * 8184)).status == 400
    assert (await fetch(tickers, "symbols=" + "A" * 8185)).status == 414


async def test_the_time_unit_is_checked_first(tickers: Tickers) -> None:
    answer = tickers.answer(Asked(b"symbol=eth", time_unit=b"SECOND"))
    assert isinstance(answer, Answer)
    assert code(answer) == (400, -1194)


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        ([["1.5", "2.25"]], [], ("1.5", "2.25", "0.0", "0.00")),
        ([], [["1.5", "2.25"]], ("0.0", "0.00", "1.5", "2.25")),
        ([], [], ("0.00000000", "0.00000000", "0.00000000", "0.00000000")),
        ([["7", "8"]], [], ("7", "8", "0", "0")),
    ],
)
def test_an_empty_side_is_zeros(bids: Any, asks: Any, expected: tuple[str, ...]) -> None:
    members = {"lastUpdateId": 1, "bids": bids, "asks": asks}
    body = json.dumps(members, separators=(",", ":")).encode()
    found = json.loads(ticker("币USDT", body))
    assert list(found) == ["symbol", "bidPrice", "bidQty", "askPrice", "askQty"]
    assert (found["symbol"], *list(found.values())[1:]) == ("币USDT", *expected)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([State.LIVE], State.LIVE),
        ([State.LIVE, State.HALTED], State.LIVE),
        ([State.HALTED, State.HALTED], State.HALTED),
        ([State.LIVE, State.STALE, State.HALTED], State.STALE),
    ],
)
def test_a_list_is_stale_if_one_is_and_halted_if_all_are(states: list[State], expected: State) -> None:
    assert worst([Currency(state) for state in states]).state is expected


def test_a_list_is_as_current_as_its_least_current_file() -> None:
    assert worst([Currency(State.LIVE, 7, 1), Currency(State.LIVE, 5, 3)]) == Currency(State.LIVE, 5, 3)
    assert worst([Currency(State.LIVE, 7), Currency(State.LIVE, None)]).current_ms is None


# In place of stale prices


class Exchange(Upstream):
    """Says ``outcome`` to whoever asks."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, int]] = []

    async def ask(self, symbol: str, limit: int) -> Outcome:
        self.asked.append((symbol, limit))
        return self.outcome


async def stale(
    store: "WatchedStore", hot: HotFiles, tops: HotFiles, clock: "StillClock", **policy: Any
) -> Tickers:
    """An endpoint whose files are in memory, and stale."""
    await store.publish("BTCUSDT", 5, 160)
    await store.publish("ETHUSDT", 5, 160)
    catalogue = Catalogue(store)
    await catalogue.refresh()
    tickers = Tickers(catalogue, hot, tops, Freshness(), clock=clock, **policy)
    await fetch(Tickers(catalogue, hot, tops, Freshness(), clock=clock), "symbol=ETHUSDT")
    await fetch(Tickers(catalogue, hot, tops, Freshness(), clock=clock))
    store.failure = StoreUnavailable("away")
    await clock.advance(10)
    return tickers


async def test_stale_prices_are_503_where_the_policy_says_so(
    store: "WatchedStore", hot: HotFiles, tops: HotFiles, clock: "StillClock"
) -> None:
    tickers = await stale(store, hot, tops, clock, unavailable_when_stale=True)
    for query in ("symbol=ETHUSDT", "", 'symbols=["ETHUSDT"]'):
        answer = await fetch(tickers, query)
        assert code(answer) == (503, -1001)
        assert dict(answer.headers)[b"depthcast-state"] == answer.state == b"stale"
    assert (await fetch(tickers, "symbols=[]")).body == b"[]"


async def test_the_exchange_is_asked_for_one_symbol_and_never_for_lists(
    store: "WatchedStore", hot: HotFiles, tops: HotFiles, clock: "StillClock"
) -> None:
    exchange = Exchange(Given(store.body(170, 1), 170, 1_723_161_263_000))
    tickers = await stale(store, hot, tops, clock, upstream=exchange)
    answer = await fetch(tickers, "symbol=ETHUSDT")
    assert (answer.status, answer.body) == (200, in_words(of("ETHUSDT", 170))[1:-1])
    assert (answer.state, answer.hold) == (b"proxied", None)
    assert dict(answer.headers)[b"depthcast-current-time"] == b"1723161263000"
    assert exchange.asked == [("ETHUSDT", 1)]
    for query in ("", 'symbols=["ETHUSDT"]'):
        answer = await fetch(tickers, query)
        assert (answer.status, answer.state) == (200, b"stale")
    assert len(exchange.asked) == 1


async def test_what_the_exchange_refuses_is_passed_on_and_what_it_fails_to_give_is_the_file_s(
    store: "WatchedStore", hot: HotFiles, tops: HotFiles, clock: "StillClock"
) -> None:
    exchange = Exchange(ApiError(400, -1121, "Invalid symbol."))
    tickers = await stale(store, hot, tops, clock, upstream=exchange)
    assert code(await fetch(tickers, "symbol=ETHUSDT")) == (400, -1121)
    exchange.outcome = FAILED
    answer = await fetch(tickers, "symbol=ETHUSDT")
    assert (answer.status, answer.state, answer.hold) == (200, b"stale", None)
    assert answer.body == in_words(of("ETHUSDT"))[1:-1]
    # Nothing is in memory of it, and the store is away.
    assert code(await fetch(tickers, "symbol=BTCUSDT")) == (503, -1001)
    exchange.outcome = Given(store.body(170, 1), 170, 1_723_161_263_000)
    assert (await fetch(tickers, "symbol=BTCUSDT")).status == 200
    assert code(await fetch(tickers, "symbol=BTCUSDT&symbolStatus=HALT")) == (503, -1001)
    # What cannot be read of it is as good as no answer.
    exchange.outcome = Given(b'{"lastUpdateId":1,"bids":[oops],"asks":[]}', 1, 1_723_161_263_000)
    assert code(await fetch(tickers, "symbol=BTCUSDT")) == (503, -1001)


# Codings


async def many(store: "WatchedStore", hot: HotFiles, tops: HotFiles, clock: "StillClock") -> Tickers:
    """So many symbols that all of them are a long answer."""
    for number in range(300):
        await store.publish(f"S{number:03}USDT", 5, 160)
    catalogue = Catalogue(store)
    await catalogue.refresh()
    return Tickers(catalogue, hot, tops, Freshness(), clock=clock)


@pytest.mark.filterwarnings("error")
async def test_all_are_encoded_once_for_all_who_ask_meanwhile(
    store: "WatchedStore", hot: HotFiles, tops: HotFiles, clock: "StillClock"
) -> None:
    tickers = await many(store, hot, tops, clock)
    plain = await fetch(tickers)
    assert b"content-encoding" not in dict(plain.headers)
    asked = Asked(accept_encoding=b"gzip, deflate")
    clock.now += 1  # what was kept of them holds no more
    coming = tickers.answer(asked)
    assert not isinstance(coming, Answer)
    first = await coming
    assert gzip.decompress(first.body) == plain.body
    assert len(first.body) < len(plain.body) / 4
    headers = dict(first.headers)
    assert (headers[b"content-encoding"], headers[b"vary"]) == (b"gzip", b"accept-encoding")
    assert tickers.answer(asked) is first
    assert tickers.answer(Asked(accept_encoding=b"gzip")) is first
    given = tickers.answer(Asked())
    assert isinstance(given, Answer)
    assert given.body == plain.body
    clock.now += 0.2
    again = tickers.answer(asked)
    assert not isinstance(again, Answer)
    again.close()  # type: ignore[attr-defined]
