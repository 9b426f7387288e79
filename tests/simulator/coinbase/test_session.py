"""One connection without a socket: what faults do to its channels."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from simulator.clock import ManualClock
from simulator.coinbase.exchange import CoinbaseExchange
from simulator.coinbase.products import product_of
from simulator.coinbase.session import Session, damaged
from simulator.coinbase.traders import Habits
from simulator.connection import Abort, Close, Frame
from simulator.faults import FORMS, Kind

BTC, ETH = "BTC-USD", "ETH-USD"


class Bench:
    """A small exchange in manual time, and sessions on it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.exchange = CoinbaseExchange(wall_ms=self.clock.wall_ms, seed=3, actions=8, habits=Habits(30))
        for name in (BTC, ETH):
            self.exchange.add(product_of(name))
        self.opened = 0

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(100)
            self.exchange.tick()

    def session(self, *products: str, channel: str = "level2_batch", **limits: Any) -> Session:
        self.opened += 1
        session = Session(self.exchange, self.opened, **limits)
        request = {"type": "subscribe", "product_ids": products, "channels": [channel, "heartbeat"]}
        session.receive(json.dumps(request), 0)
        return session


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Session]:
    """A session of the channel *full*, whoever asks for it."""
    monkeypatch.setattr(Session, "_signed", lambda *_: True)
    return lambda *products, **limits: bench.session(*products, channel="full", **limits)


def told(session: Session, kind: str | None = None) -> list[Any]:
    """Takes the messages that wait, of one type or of all."""
    messages = [json.loads(frame) for frame in session.outbox if isinstance(frame, str)]
    session.outbox.clear()
    return [each for each in messages if kind in (None, each["type"])]


def test_a_subscription_may_be_refused_and_then_nothing_comes(bench: Bench) -> None:
    bench.exchange.faults.inject(Kind.ERROR, symbol=BTC)
    session = bench.session(BTC, ETH)
    [error] = told(session)
    assert (error["type"], error["message"]) == ("error", "Failed to subscribe")
    bench.tick(20)
    assert not told(session)
    session.receive('{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2_batch"]}', 1)
    assert [each["type"] for each in told(session)] == ["snapshot", "subscriptions"]


def test_an_exchange_without_accounts_takes_any_key_but_wants_one(bench: Bench) -> None:
    request = {"type": "subscribe", "product_ids": [BTC], "channels": ["full"]}
    seconds = bench.clock.wall_ms() // 1000
    key = {"key": "k", "passphrase": "p", "signature": "c2ln", "timestamp": str(seconds)}
    late = {**key, "timestamp": str(seconds - 60)}
    for members, answer in (({}, "error"), (late, "error"), (key, "subscriptions")):
        session = Session(bench.exchange, 1)
        session.receive(json.dumps({**request, **members}), 0)
        assert [each["type"] for each in told(session)] == [answer]


@pytest.mark.parametrize("channel", ["level2_batch", "full"])
def test_a_silent_subscription_is_acknowledged(
    bench: Bench, full: Callable[..., Session], channel: str
) -> None:
    bench.exchange.faults.inject(Kind.SILENT, symbol=BTC)
    session = full(BTC, ETH) if channel == "full" else bench.session(BTC, ETH)
    bench.tick(20)
    messages = told(session)
    [answer] = [each for each in messages if each["type"] == "subscriptions"]
    assert {"name": channel, "product_ids": [BTC, ETH]} in answer["channels"]
    books = {each["product_id"] for each in messages if each["type"] not in ("subscriptions", "heartbeat")}
    assert books == {ETH}
    # Hearts beat on: who listens to them alone does not notice.
    assert {each["product_id"] for each in messages if each["type"] == "heartbeat"} == {BTC, ETH}


def test_levels_come_damaged_but_none_is_lost(bench: Bench) -> None:
    bench.exchange.faults.set_rates(dict.fromkeys((Kind.GAP, Kind.REORDER, Kind.STRAGGLER), 1.0))
    whole = bench.session(BTC)
    bench.tick(20)
    assert bench.exchange.faults.counts.total() == 0
    market = bench.exchange.markets[BTC]
    levels: dict[str, dict[str, str]] = {"buy": {}, "sell": {}}
    for message in told(whole):
        for side, name in (("buy", "bids"), ("sell", "asks")):
            levels[side] |= dict(message.get(name, []))
        for side, price, size in message.get("changes", []):
            levels[side][price] = size
    kept = {side: {price: size for price, size in of.items() if size != "0"} for side, of in levels.items()}
    assert kept == {side: dict(market.levels(side)) for side in ("buy", "sell")}
    bench.exchange.faults.set_rates({Kind.MALFORMED: 1.0})
    bench.tick(10)
    assert bench.exchange.faults.counts[Kind.MALFORMED] > 5


@pytest.mark.parametrize("form", FORMS[Kind.MALFORMED])
def test_a_damaged_update_of_levels_is_none(bench: Bench, form: str) -> None:
    session = bench.session(BTC)
    bench.tick(30)
    rng = Random(2)

    def sound(frame: str | bytes) -> bool:
        try:
            message = json.loads(frame)
            assert message["type"] == "l2update"
            assert type(message["product_id"]) is str
            assert message["changes"]
            for side, price, size in message["changes"]:
                assert side in ("buy", "sell")
                assert all(text.replace(".", "", 1).isdigit() for text in (price, size))
        except (ValueError, KeyError, TypeError, AssertionError, AttributeError):
            return False
        return True

    updates = [json.dumps(each) for each in told(session, "l2update")]
    assert len(updates) > 20
    assert all(map(sound, updates))
    assert not any(sound(damaged(update, form, rng)) for update in updates * 3)


def test_no_straggler_is_of_the_sequences_before_a_reset(bench: Bench, full: Callable[..., Session]) -> None:
    session = full(BTC)
    bench.tick(10)
    session.outbox.clear()
    assert bench.exchange.faults.inject(Kind.REBASE, symbol=BTC, ids=100_000) == 1
    reset = bench.exchange.markets[BTC].sequence
    bench.exchange.faults.set_rates({Kind.STRAGGLER: 1.0})
    bench.tick(10)
    sequences = [each["sequence"] for each in told(session) if each["type"] != "heartbeat"]
    assert sorted(set(sequences)) == list(range(reset + 1, bench.exchange.markets[BTC].sequence + 1))
    assert sequences != sorted(sequences)


@pytest.mark.parametrize(
    ("kind", "order", "last"),
    [
        (Kind.DISCONNECT, {"form": "abort"}, Abort()),
        (Kind.DISCONNECT, {"form": "close"}, Close(1001, "Going away")),
        (Kind.SHUTDOWN, {"delay_s": 0.3}, Close(1001, "Going away")),
    ],
)
def test_connections_end(bench: Bench, kind: Kind, order: dict[str, Any], last: Frame) -> None:
    hit, other = bench.session(BTC), bench.session(ETH)
    assert bench.exchange.faults.inject(kind, symbol=BTC, **order) == 1
    assert (kind is Kind.SHUTDOWN) == (hit.id in bench.exchange.connections)
    bench.tick(5)
    assert hit.outbox[-1] == last
    assert list(bench.exchange.connections) == [other.id]


def test_a_half_open_connection_says_nothing_and_a_slow_reader_is_cut_off(bench: Bench) -> None:
    frozen, slow = bench.session(BTC), bench.session(BTC, outbox=5)
    bench.exchange.faults.inject(Kind.HALF_OPEN, connection=frozen.id)
    frozen.receive_ping(b"", 0)
    bench.tick(20)
    assert not frozen.outbox
    assert list(slow.outbox) == [Abort()]
    assert list(bench.exchange.connections) == [frozen.id]


@pytest.mark.parametrize("kind", [Kind.THROTTLE, Kind.BAN])
def test_requests_may_be_refused_for_a_while(bench: Bench, kind: Kind) -> None:
    bench.exchange.faults.inject(kind, delay_s=1)
    assert not bench.exchange.requests.allow("here", bench.clock.wall_ms())
    bench.tick(10)
    assert bench.exchange.requests.allow("here", bench.clock.wall_ms())


def test_a_product_that_is_not_online_stands_still(bench: Bench) -> None:
    bench.exchange.set_status(BTC, "offline")
    sequences = {name: market.sequence for name, market in bench.exchange.markets.items()}
    bench.tick(10)
    assert bench.exchange.markets[BTC].sequence == sequences[BTC]
    assert bench.exchange.markets[ETH].sequence > sequences[ETH]
    with pytest.raises(ValueError, match="is not a status"):
        bench.exchange.set_status(BTC, "TRADING")
    with pytest.raises(ValueError, match="is listed"):
        bench.exchange.set_status("X-Y", "online")
