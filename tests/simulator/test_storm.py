"""Every kind of fault on every exchange at once: all happen, nothing breaks, and the truth stays known."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import instruments
from simulator.bitmex.rest import Rest as BitmexRest
from simulator.bitmex.session import Session as BitmexSession
from simulator.clock import ManualClock
from simulator.coinbase.exchange import CoinbaseExchange
from simulator.coinbase.products import products
from simulator.coinbase.rest import Rest as CoinbaseRest
from simulator.coinbase.session import Session as CoinbaseSession
from simulator.coinbase.traders import Habits
from simulator.connection import Connection
from simulator.exchange import Exchange
from simulator.faults import ALL_RATES, Kind
from simulator.floor import Floor
from simulator.futures_rest import CoinFuturesRest, FuturesRest
from simulator.host import Answers
from simulator.market import Profile, listing_of, names
from simulator.rest import Rest
from simulator.session import Session, parse_target
from simulator.weight import WeightMeter

Reader = Callable[[int], Connection]
"""A new connection that listens to all books, by its number."""

SMALL = Profile(bids=30, asks=30, changes=8)


def binance(clock: ManualClock, *, futures: bool, coin: bool) -> tuple[Floor, Answers, str, Reader]:
    exchange = Exchange(
        wall_ms=clock.wall_ms, weights=WeightMeter(10**9), futures=futures, coin_margined=coin
    )
    for symbol in names(3, coin_margined=coin):
        exchange.add_market(listing_of(symbol, futures=futures, coin_margined=coin), SMALL)
    kind, root = (
        (CoinFuturesRest, "dapi/v1") if coin else (FuturesRest, "fapi/v1") if futures else (Rest, "api/v3")
    )
    streams = "/".join(f"{symbol.lower()}@depth@100ms" for symbol in exchange.symbols)

    def reader(number: int) -> Connection:
        target = parse_target("/stream", f"streams={streams}")
        assert target is not None
        return Session(exchange, number, target)

    return exchange, kind(exchange), f"/{root}/depth?symbol=%s&limit=10", reader


def coinbase(clock: ManualClock) -> tuple[Floor, Answers, str, Reader]:
    exchange = CoinbaseExchange(wall_ms=clock.wall_ms, habits=Habits(30), requests_a_second=10**6)
    for each in products(3):
        exchange.add(each)

    def reader(number: int) -> Connection:
        session = CoinbaseSession(exchange, number)
        request: dict[str, Any] = {"type": "subscribe", "product_ids": list(exchange.symbols)}
        session.receive(json.dumps({**request, "channels": ["full", "level2_batch", "heartbeat"]}), 0)
        return session

    return exchange, CoinbaseRest(exchange), "/products/%s/book?level=3", reader


def bitmex(clock: ManualClock) -> tuple[Floor, Answers, str, Reader]:
    exchange = BitmexExchange(wall_ms=clock.wall_ms, requests_a_minute=10**9)
    for each in instruments(3):
        exchange.add(each, SMALL)

    def reader(number: int) -> Connection:
        return BitmexSession(exchange, number, "subscribe=orderBookL2,orderBookL2_25,orderBook10,quote,trade")

    return exchange, BitmexRest(exchange), "/api/v1/orderBook/L2?symbol=%s&depth=10", reader


VENUES = {
    "binance": lambda clock: binance(clock, futures=False, coin=False),
    "binanceusdm": lambda clock: binance(clock, futures=True, coin=False),
    "binancecoinm": lambda clock: binance(clock, futures=True, coin=True),
    "coinbaseexchange": coinbase,
    "bitmex": bitmex,
}

NEVER = {
    # A message is one step there, and no control message of Binance is refused by chance.
    "coinbaseexchange": {Kind.GROUPING},
    **{name: {Kind.ERROR} for name in ("binance", "binanceusdm", "binancecoinm")},
}


@pytest.mark.parametrize("venue", VENUES)
def test_every_fault_happens_and_the_truth_stays_known(monkeypatch: pytest.MonkeyPatch, venue: str) -> None:
    monkeypatch.setattr(CoinbaseSession, "_signed", lambda *_: True)
    clock = ManualClock()
    exchange, rest, path, reader = VENUES[venue](clock)
    rates = {kind: min(1.0, 10 * rate) for kind, rate in ALL_RATES.items()}
    exchange.faults.set_rates(
        {**rates, Kind.REFUSE: 0.3, Kind.SILENT: 0.1, Kind.ERROR: 0.1, Kind.REBASE: 0.05, Kind.BAN: 0.05}
    )
    opened = heard = 0
    for tick in range(500):
        clock.advance(100)
        if len(exchange.connections) < 3:
            opened += 1
            # The port asks for this one (simulator.host).
            refused = exchange.faults.take((Kind.REFUSE,))
            if refused is None:
                reader(opened)
            else:
                exchange.faults.record(refused, None, None)
        exchange.tick()
        for connection in tuple(exchange.connections.values()):
            heard += len(connection.outbox)
            connection.outbox.clear()
            # Who hears nothing leaves.
            if connection.frozen and tick % 10 == 0:
                connection.close()
        for symbol in tuple(exchange.symbols)[: tick % 4]:
            asked, _, query = (path % symbol).partition("?")
            rest.answer("GET", asked, query, headers={}, address="here")
    for symbol in exchange.symbols:
        state = exchange.state_of(symbol)
        truth = exchange.true_answer({"symbol": symbol, "id": str(state["update_id"]), "level": "3"})
        assert json.loads(truth.body)
        assert state["best_bid"] is None or float(state["best_bid"]) < float(state["best_ask"])
    assert heard > 1000
    assert set(Kind) - set(exchange.faults.counts) == NEVER.get(venue, set())
