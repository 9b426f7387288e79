"""Every order of a simulated Coinbase market against the market itself, at every single sequence."""

import json
from typing import Any

import pytest

from depthcast.orders import Anomaly, OrderBook, Tolerance
from depthcast.orders.book import books_of
from depthcast.sync import Sync, Verdict
from depthcast.venues.coinbase import Coinbase
from simulator.coinbase.exchange import CoinbaseExchange, Market
from simulator.coinbase.products import products
from simulator.coinbase.traders import Habits
from tests.properties.effort import examples

VENUE = Coinbase()


class Ear:
    """Listens to one product, as both channels tell it."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.levels: list[list[list[str]]] = []

    def on_message(self, message: dict[str, Any]) -> None:
        self.frames.append(json.dumps(message))
        self.levels.append([])

    def on_levels(self, changes: list[list[str]], time: str) -> None:
        self.levels[-1] = changes

    def on_tick(self, now_ms: int) -> None: ...


def market(seed: int, number: int) -> tuple[CoinbaseExchange, Market, Ear]:
    exchange = CoinbaseExchange(
        wall_ms=lambda: 1_800_000_000_000, seed=seed, actions=50, habits=Habits(orders=60)
    )
    made = exchange.add(products(6)[number])
    ear = Ear()
    made.listeners[ear] = None
    return exchange, made, ear


@pytest.mark.parametrize("seed", range(examples(3)))
@pytest.mark.parametrize("number", [0, 3, 4])
def test_orders_added_up_by_price_are_the_levels_at_every_sequence(seed: int, number: int) -> None:
    exchange, truth, ear = market(seed, number)
    snapshot = VENUE.parse_snapshot(truth.journal.body(truth.sequence, 3), 3)
    tolerance = Tolerance(bears=0)
    book = OrderBook.of(snapshot, tolerance)
    told = {side: dict(truth.levels(side)) for side in ("buy", "sell")}
    while len(ear.frames) < 500:
        exchange.tick()
    for frame, changes in zip(ear.frames, ear.levels, strict=True):
        message: Any = VENUE.parse_frame(frame)
        book.apply(message)
        # What the level2 channel told of the same market, applied apart.
        for side, price, size in changes:
            if size == "0":
                told[side].pop(price, None)
            else:
                told[side][price] = size
        bids, asks = book.levels()
        assert dict(bids) == told["buy"]
        assert dict(asks) == told["sell"]
    book.check()
    assert not tolerance.counts


@pytest.mark.parametrize("seed", range(examples(2)))
def test_files_are_those_of_the_market_byte_for_byte_at_every_sequence(seed: int) -> None:
    exchange, truth, ear = market(seed, 1)
    book = OrderBook.of(VENUE.parse_snapshot(truth.journal.body(truth.sequence, 3), 3))
    for _ in range(3):
        exchange.tick()
    for frame in ear.frames:
        message: Any = VENUE.parse_frame(frame)
        book.apply(message)
        for level in (1, 2, 3):
            assert book.body(level) == truth.journal.body(message.sequence, level)


def test_a_gap_rebuilds_from_a_snapshot_and_what_was_buffered_meanwhile() -> None:
    exchange, truth, ear = market(1, 0)
    sync = Sync("BTC-USD", book_of=books_of(Tolerance()))
    first = truth.journal.body(truth.sequence, 3)
    while len(ear.frames) < 14:
        exchange.tick()
    messages: list[Any] = [VENUE.parse_frame(frame) for frame in ear.frames]
    # Queued before the snapshot, which is older than all of them.
    assert [sync.diff(each) for each in messages[:10]] == [Verdict.BUFFERED] * 10
    assert sync.snapshot(VENUE.parse_snapshot(first, 3)) is Verdict.SYNCED
    assert sync.diff(messages[9]) is Verdict.STRAGGLER
    assert sync.diff(messages[10]) is Verdict.APPLIED
    last_good = sync.book
    assert last_good is not None
    body = last_good.body(3)
    # One is lost. The last good book stays while messages go on being buffered.
    assert sync.diff(messages[12]) is Verdict.GAP
    assert sync.diff(messages[13]) is Verdict.BUFFERED
    assert sync.wanted_id == messages[11].sequence
    assert sync.book is last_good
    assert last_good.body(3) == body
    old = VENUE.parse_snapshot(truth.journal.body(messages[10].sequence, 3), 3)
    assert sync.snapshot(old) is Verdict.TOO_OLD
    fresh = VENUE.parse_snapshot(truth.journal.body(messages[11].sequence, 3), 3)
    assert sync.snapshot(fresh) is Verdict.SYNCED
    assert sync.book is not None
    assert sync.book.body(3) == truth.journal.body(messages[13].sequence, 3)


def test_a_book_is_audited_and_refilled_without_a_break() -> None:
    exchange, truth, ear = market(2, 0)
    sync = Sync("BTC-USD", book_of=books_of(Tolerance()))
    sync.snapshot(VENUE.parse_snapshot(truth.journal.body(truth.sequence, 3), 3))
    while len(ear.frames) < 14:
        exchange.tick()
    messages: list[Any] = [VENUE.parse_frame(frame) for frame in ear.frames]
    sync.begin_refill()
    for each in messages:
        sync.diff(each)
    second = VENUE.parse_snapshot(truth.journal.body(messages[5].sequence, 3), 3)
    assert sync.refill(second) is Verdict.APPLIED
    audit = sync.take_audit()
    assert audit is not None
    assert audit.clean
    assert audit.matching == len(truth.engine.orders)
    assert sync.book is not None
    assert sync.book.body(3) == truth.journal.body(truth.sequence, 3)


def test_a_book_that_is_contradicted_too_much_is_rebuilt() -> None:
    exchange, truth, ear = market(3, 0)
    tolerance = Tolerance(bears=0)
    sync = Sync("BTC-USD", book_of=books_of(tolerance))
    snapshot = VENUE.parse_snapshot(truth.journal.body(truth.sequence, 3), 3)
    # An order is missing from the snapshot: sooner or later a trade names it.
    missing = truth.engine.sides["sell"].peekitem(0)[1][0].id
    sync.snapshot(snapshot._replace(asks=[row for row in snapshot.asks if row[2] != missing]))
    verdicts = []
    for _ in range(40):
        exchange.tick()
    for frame in ear.frames:
        verdicts.append(sync.diff(VENUE.parse_frame(frame)))  # type: ignore[arg-type]
        if verdicts[-1] is Verdict.BAD:
            break
    assert verdicts[-1] is Verdict.BAD
    assert tolerance.counts[Anomaly.UNKNOWN_MAKER] == 1
