"""The exchange as USD-M futures: ids with holes, times, limits, refusals and weights."""

import json
from itertools import pairwise
from typing import Any

import pytest

from simulator.answer import Answer
from simulator.clock import ManualClock
from simulator.exchange import Exchange
from simulator.faults import Kind
from simulator.futures_rest import LIMITS, CoinFuturesRest, FuturesRest
from simulator.market import Profile, listing_of
from simulator.session import Session, parse_target


class Futures:
    """A small exchange of two contracts in manual time."""

    def __init__(self, *symbols: str, coin: bool = False) -> None:
        self.clock = ManualClock()
        self.exchange = Exchange(wall_ms=self.clock.wall_ms, seed=7, futures=True, coin_margined=coin)
        for symbol in symbols or ("ETHUSDT", "BTCUSDT"):
            profile = Profile(bids=60, asks=60, changes=8, quiet=0)
            self.exchange.add_market(listing_of(symbol, futures=True, coin_margined=coin), profile)
        self.rest = CoinFuturesRest(self.exchange) if coin else FuturesRest(self.exchange)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(100)
            self.exchange.tick()

    def listen(self, target: str) -> Session:
        path, _, query = target.partition("?")
        request = parse_target(path, query)
        assert request is not None
        return Session(self.exchange, len(self.exchange.connections) + 1, request)

    def get(self, path: str, query: str = "") -> Answer:
        return self.rest.answer("GET", path, query, headers={}, address="here")

    def json(self, path: str, query: str = "") -> Any:
        answer = self.get(path, query)
        assert answer.status == 200
        return json.loads(answer.body)


@pytest.fixture
def futures() -> Futures:
    return Futures()


def diffs_of(session: Session) -> list[dict[str, Any]]:
    found = [json.loads(frame) for frame in session.outbox if isinstance(frame, str)]
    session.outbox.clear()
    return found


def test_diffs_are_chained_by_the_id_before_them_and_their_ids_have_holes(futures: Futures) -> None:
    session = futures.listen("/public/ws/ethusdt@depth@100ms")
    futures.tick(30)
    diffs = diffs_of(session)
    assert len(diffs) > 20
    for former, diff in pairwise(diffs):
        assert diff["pu"] == former["u"]
        assert diff["pu"] < diff["U"] <= diff["u"]
        assert diff["T"] < diff["E"]
    assert any(diff["U"] > diff["pu"] + 1 for diff in diffs)
    assert list(diffs[0]) == ["e", "E", "T", "s", "U", "u", "pu", "b", "a"]


def test_all_symbols_count_together(futures: Futures) -> None:
    futures.exchange.partial_share = 0
    sessions = [futures.listen(f"/ws/{name}@depth@100ms") for name in ("ethusdt", "btcusdt")]
    futures.tick(10)
    spans = sorted((diff["U"], diff["u"], diff["s"]) for each in sessions for diff in diffs_of(each))
    assert all(former[1] < later[0] for former, later in pairwise(spans))
    assert {span[2] for span in spans} == {"ETHUSDT", "BTCUSDT"}


def test_a_slower_stream_joins_diffs_without_a_break(futures: Futures) -> None:
    fast, slow = (futures.listen(f"/ws/ethusdt@depth{speed}") for speed in ("@100ms", "@500ms"))
    futures.tick(40)
    each, joined = diffs_of(fast), diffs_of(slow)
    assert 5 <= len(joined) < len(each)
    for former, diff in pairwise(joined):
        assert diff["pu"] == former["u"]
    ends = {diff["u"]: diff["E"] for diff in each}
    assert all(ends[diff["u"]] == diff["E"] for diff in joined)


def test_a_snapshot_lies_in_or_ends_with_a_diff_and_tells_when_it_changed(futures: Futures) -> None:
    session = futures.listen("/ws/ethusdt@depth@100ms")
    covered = 0
    for _ in range(40):
        futures.tick()
        body = futures.json("/fapi/v1/depth", "symbol=ethusdt&limit=5")
        assert list(body) == ["lastUpdateId", "E", "T", "bids", "asks"]
        futures.tick()
        spans = [(diff["pu"], diff["u"]) for diff in diffs_of(session)]
        covered += any(before <= body["lastUpdateId"] <= last for before, last in spans)
        assert body["T"] < body["E"] <= futures.clock.wall_ms()
    assert covered == 40


def test_the_truth_tells_the_times_of_the_diff_that_ended_at_an_id(futures: Futures) -> None:
    session = futures.listen("/ws/ethusdt@depth@100ms")
    futures.tick(5)
    for diff in diffs_of(session):
        body = json.loads(futures.exchange.truth.body("ETHUSDT", diff["u"], 5))
        assert (body["lastUpdateId"], body["E"], body["T"]) == (diff["u"], diff["E"], diff["T"])


def test_a_diff_tells_when_its_last_change_was_made_though_that_is_told_late(futures: Futures) -> None:
    futures.exchange.partial_share = 1.0
    session = futures.listen("/ws/ethusdt@depth@100ms")
    made, told = {}, {}
    for _ in range(300):
        futures.tick()
        body = futures.json("/fapi/v1/depth", "symbol=ETHUSDT&limit=5")
        made[body["lastUpdateId"]] = body["T"]
        told.update({diff["u"]: (diff["T"], diff["E"]) for diff in diffs_of(session)})
    late = made.keys() & told.keys()
    assert len(late) > 10
    for update_id in late:
        transaction_ms, event_ms = told[update_id]
        assert transaction_ms == made[update_id] < event_ms


def test_an_old_snapshot_tells_when_its_own_last_change_was_made(futures: Futures) -> None:
    session = futures.listen("/ws/ethusdt@depth@100ms")
    futures.tick(30)
    told = {diff["u"]: diff["T"] for diff in diffs_of(session)}
    futures.exchange.faults.inject(Kind.STALE_SNAPSHOT, symbol="ETHUSDT", ids=200)
    old = futures.json("/fapi/v1/depth", "symbol=ETHUSDT&limit=5")
    now = futures.json("/fapi/v1/depth", "symbol=ETHUSDT&limit=5")
    assert now["lastUpdateId"] - old["lastUpdateId"] >= 200
    assert old["T"] == told[old["lastUpdateId"]] < now["T"]


def test_rebased_ids_go_on_below_and_stay_chained(futures: Futures) -> None:
    session = futures.listen("/ws/ethusdt@depth@100ms")
    futures.tick(3)
    last = diffs_of(session)[-1]["u"]
    base = futures.exchange.rebase("ETHUSDT", 50_000)
    futures.tick(5)
    diffs = diffs_of(session)
    assert diffs[0]["pu"] == base < last
    for former, diff in pairwise(diffs):
        assert diff["pu"] == former["u"]


@pytest.mark.parametrize("limit", LIMITS)
def test_each_limit_gives_so_many_levels(futures: Futures, limit: int) -> None:
    body = futures.json("/fapi/v1/depth", f"symbol=BTCUSDT&limit={limit}")
    assert len(body["bids"]) == min(limit, 60)
    assert body["bids"][0][0].partition(".")[2] == body["bids"][0][0][-2:], "prices follow the tick"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=BTCUSDT&limit=7", -4021),
        ("symbol=BTCUSDT&limit=", -1105),
        ("symbol=BTCUSDT&limit=x", -1100),
        ("limit=5", -1102),
        ("symbol=NOUSDT", -1121),
        ("symbol=A&symbol=B", -1101),
    ],
)
def test_a_bad_request_is_refused(futures: Futures, query: str, code: int) -> None:
    answer = futures.get("/fapi/v1/depth", query)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, code)


def test_requests_weigh_what_futures_charge(futures: Futures) -> None:
    used = 0
    paths = [("depth", "symbol=BTCUSDT&limit=1000", 20), ("depth", "symbol=BTCUSDT", 10)]
    paths += [("ticker/bookTicker", "symbol=BTCUSDT", 2), ("ticker/bookTicker", "", 5)]
    paths += [("ping", "", 1), ("time", "", 1), ("exchangeInfo", "", 1)]
    for path, query, weight in paths:
        used += weight
        assert futures.get(f"/fapi/v1/{path}", query).headers["x-mbx-used-weight-1m"] == str(used)


def test_best_prices_tell_when_they_changed_and_the_list_its_steps(futures: Futures) -> None:
    futures.tick(3)
    one = futures.json("/fapi/v1/ticker/bookTicker", "symbol=ETHUSDT")
    assert list(one)[-2:] == ["time", "lastUpdateId"]
    assert [each["symbol"] for each in futures.json("/fapi/v1/ticker/bookTicker")] == ["ETHUSDT", "BTCUSDT"]
    [entry, _] = futures.json("/fapi/v1/exchangeInfo")["symbols"]
    steps = [(each.get("tickSize"), each.get("stepSize")) for each in entry["filters"]]
    assert steps == [("0.10", None), (None, "0.001")]


def test_book_tickers_are_sent_with_their_times_and_other_names_stay_silent(futures: Futures) -> None:
    session = futures.listen("/stream?streams=ethusdt@bookTicker/ethusdt@depth5/ethusdt@nothing")
    futures.tick(20)
    frames = diffs_of(session)
    assert {frame["stream"] for frame in frames} == {"ethusdt@bookTicker"}
    assert list(frames[0]["data"]) == ["e", "u", "s", "b", "B", "a", "A", "T", "E"]


def test_coin_margined_futures_name_the_pair_in_all_they_say() -> None:
    coin = Futures("BTCUSD_PERP", "BTCUSD_261225", "ETHUSD_PERP", coin=True)
    session = coin.listen("/ws/btcusd_perp@depth@100ms/btcusd_perp@bookTicker")
    coin.tick(5)
    told = diffs_of(session)
    diffs = [each for each in told if each["e"] == "depthUpdate"]
    assert list(diffs[0]) == ["e", "E", "T", "s", "ps", "U", "u", "pu", "b", "a"]
    assert {(each["s"], each["ps"]) for each in told} == {("BTCUSD_PERP", "BTCUSD")}
    assert all(last["u"] == after["pu"] for last, after in pairwise(diffs))
    book = coin.json("/dapi/v1/depth", "symbol=btcusd_perp&limit=5")
    assert list(book) == ["lastUpdateId", "symbol", "pair", "E", "T", "bids", "asks"]
    assert (book["symbol"], book["pair"], len(book["asks"])) == ("BTCUSD_PERP", "BTCUSD", 5)
    # Contracts are whole, and prices have a decimal.
    assert all(quantity.isdecimal() and price[-2] == "." for price, quantity in book["bids"])
    truth = json.loads(coin.exchange.truth.body("BTCUSD_PERP", diffs[-1]["u"], 5))
    assert (list(truth), truth["pair"], truth["E"]) == (list(book), "BTCUSD", diffs[-1]["E"])
    coin.exchange.rebase("BTCUSD_PERP", 1000)
    assert coin.json("/dapi/v1/depth", "symbol=BTCUSD_PERP")["pair"] == "BTCUSD"


def test_coin_margined_lists_are_by_symbol_or_by_pair() -> None:
    coin = Futures("BTCUSD_PERP", "BTCUSD_261225", "ETHUSD_PERP", coin=True)
    path = "/dapi/v1/ticker/bookTicker"
    assert list(coin.json(path, "symbol=ETHUSD_PERP")[0])[:3] == ["symbol", "pair", "bidPrice"]
    of_pair = coin.json(path, "pair=BTCUSD")
    assert [each["symbol"] for each in of_pair] == ["BTCUSD_PERP", "BTCUSD_261225"]
    assert len(coin.json(path)) == 3
    both = coin.get(path, "pair=BTCUSD&symbol=BTCUSD_PERP")
    assert (both.status, json.loads(both.body)["code"]) == (400, -4084)
    listed = coin.json("/dapi/v1/exchangeInfo")["symbols"]
    assert [(each["symbol"], each["pair"], each["contractStatus"]) for each in listed][2] == (
        *("ETHUSD_PERP", "ETHUSD", "TRADING"),
    )
    assert [each["contractSize"] for each in listed] == [100, 100, 10]
    assert (listed[0]["marginAsset"], listed[0]["quoteAsset"]) == ("BTC", "USD")
    bad = coin.get("/dapi/v1/depth", "symbol=BTCUSD_PERP&limit=7")
    assert json.loads(bad.body)["code"] == -4021
