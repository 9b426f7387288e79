"""The exchange's clockwork: diffs without gaps, snapshots inside diffs, re-based ids, seeds."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from simulator.exchange import Exchange
from simulator.faults import Kind
from simulator.market import Profile, listing_of
from simulator.truth import Change


class Listener:
    """Keeps what a symbol publishes."""

    def __init__(self) -> None:
        self.updates: list[Any] = []
        self.tickers: list[Any] = []

    def on_update(self, update: Any) -> None:
        self.updates.append(update)

    def on_ticker(self, ticker: Any) -> None:
        self.tickers.append(ticker)

    def on_tick(self, now_ms: int) -> None: ...


def listen(bench: Any, symbol: str = "ETHUSDT") -> Listener:
    listener = Listener()
    bench.exchange.instruments[symbol].listeners[listener] = None
    return listener


def test_every_diff_begins_where_the_one_before_it_ended(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(partial_share=0.5)
    listener = listen(bench)
    bench.tick(200)
    assert len(listener.updates) > 150
    ids = [(update.first, update.last) for update in listener.updates]
    assert all(first == last + 1 for (_, last), (first, _) in pairwise(ids))


def test_a_snapshot_mostly_ends_where_a_diff_ended_and_sometimes_falls_inside_the_next_one(
    make_bench: Callable[..., Any],
) -> None:
    bench = make_bench(partial_share=0.2)
    listener = listen(bench)
    inside = 0
    for _ in range(300):
        bench.tick()
        instrument = bench.exchange.instruments["ETHUSDT"]
        inside += instrument.journal.update_id > instrument.sent_id
    bench.tick(3)
    assert listener.updates
    assert 20 < inside < 100


def test_the_book_of_a_diff_is_the_truth_at_its_last_id(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(partial_share=0.3)
    truth = bench.exchange.truth
    start = bench.exchange.instruments["ETHUSDT"].journal.update_id
    listener = listen(bench)
    bids, asks = (dict(levels) for levels in truth.levels("ETHUSDT", start))
    bench.tick(60)
    for update in listener.updates:
        diff = json.loads(update.data())
        for side, changes in ((bids, diff["b"]), (asks, diff["a"])):
            side.update(changes)
            for price in [price for price, quantity in changes if not float(quantity)]:
                del side[price]
        told_bids, told_asks = truth.levels("ETHUSDT", diff["u"])
        assert (dict(told_bids), dict(told_asks)) == (bids, asks)


def test_a_book_ticker_is_the_top_of_the_true_book_at_its_id(bench: Any) -> None:
    listener = listen(bench)
    bench.tick(100)
    assert len(listener.tickers) > 10
    for ticker in listener.tickers:
        body = json.loads(bench.exchange.truth.body("ETHUSDT", ticker.update_id, 1))
        assert body["bids"] == [[ticker.bid, ticker.bid_quantity]]
        assert body["asks"] == [[ticker.ask, ticker.ask_quantity]]


def test_the_same_seed_gives_the_same_stream_whatever_else_is_listed(make_bench: Callable[..., Any]) -> None:
    def stream(*symbols: str) -> list[str]:
        bench = make_bench(symbols=symbols)
        listener = listen(bench)
        bench.tick(50)
        return [update.data() for update in listener.updates]

    assert stream("ETHUSDT") == stream("BTCUSDT", "ETHUSDT", "XLMUSD")


def test_the_first_id_moves_the_ids_and_nothing_else() -> None:
    def book(first_id: int) -> tuple[int, str]:
        exchange = Exchange(wall_ms=lambda: 0, first_id=first_id)
        journal = exchange.add_market(listing_of("ETHUSDT"), Profile(bids=50, asks=50)).journal
        body = exchange.truth.body("ETHUSDT", journal.update_id, 50).decode()
        return journal.update_id, body.partition(",")[2]

    (early, before), (late, after) = book(1000), book(5000)
    assert late - early == 4000
    assert before == after


def test_after_a_rebase_ids_go_on_from_the_lower_base_and_both_books_of_an_id_are_known(bench: Any) -> None:
    exchange, listener = bench.exchange, listen(bench)
    bench.tick(20)
    before = exchange.instruments["ETHUSDT"].journal.update_id
    assert exchange.rebase("ETHUSDT", 60) == before - 60
    count = len(listener.updates)
    bench.tick(20)
    assert listener.updates[count].first == before - 59
    assert [update.generation for update in (listener.updates[count - 1], listener.updates[count])] == [0, 1]
    assert len(set(exchange.truth.bodies("ETHUSDT", before - 30, 50))) == 2
    assert len(exchange.truth.bodies("BTCUSDT", exchange.instruments["BTCUSDT"].journal.update_id, 5)) == 1


def test_ids_never_fall_below_one(bench: Any) -> None:
    assert bench.exchange.rebase("ETHUSDT", 10**12) == 1


def test_only_a_trading_symbol_moves(bench: Any) -> None:
    listener = listen(bench)
    bench.exchange.set_status("ETHUSDT", "BREAK")
    bench.tick(5)
    assert listener.updates == []
    bench.exchange.set_status("ETHUSDT", "TRADING")
    bench.tick(2)
    assert listener.updates


def test_timed_faults_strike_at_random_when_rates_are_set(bench: Any) -> None:
    exchange = bench.exchange
    session = bench.session("/ws/ethusdt@depth@100ms")
    exchange.faults.set_rates(dict.fromkeys(map(Kind, ("rebase", "throttle", "half_open")), 0.5))
    bench.tick(100)
    assert {kind.value for kind in exchange.faults.counts} == {"rebase", "throttle", "half_open"}
    assert exchange.instruments["ETHUSDT"].journal.generation > 0
    assert session.frozen


def test_a_symbol_is_listed_once(bench: Any) -> None:
    with pytest.raises(ValueError, match="listed twice"):
        bench.exchange.add_recorded(bench.exchange.instruments["ETHUSDT"].listing, None, 1)


def test_changes_no_diff_told_before_a_rebase_are_in_the_book_but_never_told(
    make_bench: Callable[..., Any],
) -> None:
    bench = make_bench(partial_share=1.0)
    listener = listen(bench)
    instrument = bench.exchange.instruments["ETHUSDT"]
    while not instrument.untold:
        bench.tick()
    untold: list[Change] = list(instrument.untold)
    book = dict(instrument.journal.head.sides[0]), dict(instrument.journal.head.sides[1])
    bench.exchange.rebase("ETHUSDT", 10)
    assert untold
    assert instrument.untold == []
    assert (dict(instrument.journal.head.sides[0]), dict(instrument.journal.head.sides[1])) == book
    assert listener.updates[-1].last < instrument.journal.base_id + 10
