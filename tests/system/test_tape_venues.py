"""The tape of other venues: replicas that miss diffs record each change once, and any moment is true."""

import asyncio
import json
from random import Random
from typing import Any

import pytest

from depthcast.orders import OrderSnapshot, Tolerance
from depthcast.orders.book import books_of
from depthcast.rows import RowBook
from depthcast.tape.asked import Asked
from depthcast.tape.reading import Tape
from depthcast.unsequenced import BITS_OF_MS, stream_syncs
from depthcast.venues.bitmex import BitMEX
from depthcast.venues.coinbase import Coinbase
from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import instrument_of
from simulator.coinbase.exchange import CoinbaseExchange
from simulator.coinbase.products import products
from simulator.coinbase.traders import Habits
from simulator.exchange import Exchange as Market
from simulator.market import Profile
from tests import virtual
from tests.depthcast.tape import futures
from tests.system.test_tape import NAMES, segments_in
from tests.updater.tape.fleet import CountingStore, Exchange, Replica, at_once, known

MOMENTS = 500

needs_futures = pytest.mark.skipif(
    not futures.DATA.exists(), reason="the captured exchange data is not beside the checkout"
)


async def recorded(symbol: str) -> CountingStore:
    """The captured futures of one symbol as three replicas with holes of their own record them; one of them
    is killed, another one is stopped and begun again."""
    segments = futures.segments_of(symbol)
    diffs = [diff for segment in segments for diff in segment.diffs]
    exchange = Exchange(segments[0], diffs, symbol=symbol, venue=futures.VENUE)
    store, rng = CountingStore(), Random(symbol)
    misses: dict[str, set[int]] = {name: set() for name in NAMES}
    for at in range(len(diffs) // 25):
        # Never two of them miss the same, and each has its book again before another one loses its own.
        misses[NAMES[at % 3]] |= set(range(at * 25 + 14, at * 25 + 14 + rng.choice((1, 2, 5))))
    for name in NAMES:
        await Replica(name, exchange, store, misses=misses[name], length_s=futures.LENGTH_S).start()

    async def events() -> None:
        await asyncio.sleep(14)
        await exchange.fleet["a"].kill()
        await asyncio.sleep(4)
        await exchange.fleet["c"].stop()
        await Replica("a", exchange, store, misses=misses["a"], length_s=futures.LENGTH_S).start()
        await Replica("c", exchange, store, misses=misses["c"], length_s=futures.LENGTH_S).start()

    happening = asyncio.ensure_future(events())
    await exchange.play()
    await happening
    for replica in list(exchange.fleet.values()):
        await replica.stop()
    return store


@pytest.mark.captures
@needs_futures
def test_futures_that_three_replicas_recorded_with_gaps_hold_each_diff_once() -> None:
    moments = 0
    exchange = futures.played()
    for symbol in futures.run().symbols:
        store = virtual.run(recorded(symbol))
        expected = futures.segments_of(symbol)
        written = list(segments_in(store).values())
        for segment in written:
            segment.check()
        assert all(segment.whole for segment in written[1:-1])
        assert known(written) == known(expected), symbol
        told = [diff.transaction_time_ms for segment in written for diff in segment.diffs]
        assert told == [diff.transaction_time_ms for segment in expected for diff in segment.diffs]
        assert [(each.previous >= 0) for segment in written for each in segment.diffs] == [True] * len(told)
        moments += virtual.run(compared(store, symbol, exchange, MOMENTS // 4))
    assert moments == MOMENTS


async def compared(store: CountingStore, symbol: str, exchange: Market, count: int) -> int:
    tape = Tape(store, futures.VENUE, aside=at_once, clock=virtual.clock)
    diffs, rng = futures.diffs_of(symbol), Random(5)
    for _ in range(count):
        at = rng.randrange(len(diffs))
        time = rng.random() < 0.5
        asked = Asked(time_ms=diffs[at].event_time_ms) if time else Asked(update_id=diffs[at].last)
        moment = await tape.at(symbol, asked)
        limit = rng.choice((5, 10, 20, 50, 100))
        assert moment.body(limit) == exchange.truth.body(symbol, moment.version.update_id, limit), (
            symbol,
            at,
        )
        assert moment.version.update_id == diffs[at].last
    await tape.close()
    return count


class Messages:
    """A simulated Coinbase market that has been: each message at its time, and the book of any sequence."""

    def __init__(self, seconds: int) -> None:
        self.symbol, self.venue = "", "coinbaseexchange"
        self.fleet: dict[str, Replica] = {}
        self.said: list[tuple[int, Any]] = []
        self._wall_ms = self._begins_ms = 1_800_000_000_000
        exchange = CoinbaseExchange(
            wall_ms=lambda: self._wall_ms, seed=3, actions=30, habits=Habits(orders=80)
        )
        self.market = exchange.add(products(6)[1])
        self.market.listeners[self] = None
        self._parse = Coinbase().parse_frame
        for _ in range(seconds * 5):
            exchange.tick()
            self._wall_ms += 200
        self.symbol = self.said[0][1].symbol
        self._at = self.said[0][1].sequence - 1

    def on_message(self, message: dict[str, Any]) -> None:
        self.said.append((self._wall_ms, self._parse(json.dumps(message))))

    def on_levels(self, changes: list[list[str]], time: str) -> None: ...

    def on_tick(self, now_ms: int) -> None: ...

    @property
    def now_ms(self) -> int:
        return self._begins_ms + round((virtual.clock() - 1002) * 1000)

    def snapshot(self, limit: int) -> OrderSnapshot:
        return Coinbase().parse_snapshot(self.market.journal.body(self._at, limit), limit)

    async def play(self) -> None:
        for number, (at_ms, message) in enumerate(self.said):
            await asyncio.sleep(max(at_ms - self.now_ms, 0) / 1000)
            self._at = message.sequence
            for replica in list(self.fleet.values()):
                replica.hear(number, message)


async def recorded_orders(exchange: Messages) -> CountingStore:
    store, every = CountingStore(), len(exchange.said) // 12
    misses: dict[str, set[int]] = {name: set() for name in NAMES}
    for at in range(11):
        # A replica has its book again before another one loses its own.
        misses[NAMES[at % 3]] |= set(range((at + 1) * every, (at + 1) * every + 3))
    keeping = {"refill_below": 0, "snapshot_limit": 3, "book_of": lambda _: books_of(Tolerance())}
    for name in NAMES:
        await Replica(
            name, exchange, store, misses=misses[name], keeping=keeping, length_s=futures.LENGTH_S
        ).start()
    await exchange.play()
    for replica in list(exchange.fleet.values()):
        await replica.stop()
    return store


def test_a_book_by_order_that_three_replicas_recorded_with_gaps_is_true_at_every_sequence() -> None:
    exchange = Messages(30)
    store = virtual.run(recorded_orders(exchange))
    written = list(segments_in(store).values())
    for segment in written:
        segment.check()
    told = [diff.last for segment in written for diff in segment.diffs]
    sequences = [message.sequence for _, message in exchange.said]
    assert told == [each for each in sequences if each >= told[0]]
    assert told[0] <= sequences[40]
    assert all(segment.whole for segment in written[1:-1])
    times = {message.sequence: message.time for _, message in exchange.said}
    assert [diff.time for segment in written for diff in segment.diffs] == [times[each] for each in told]
    virtual.run(compared_orders(store, exchange, told))


async def compared_orders(store: CountingStore, exchange: Messages, told: list[int]) -> None:
    tape, rng = Tape(store, exchange.venue, aside=at_once, clock=virtual.clock), Random(9)
    at_ms = {message.sequence: at_ms for at_ms, message in exchange.said}
    last_of = {ms: sequence for sequence, ms in at_ms.items()}
    for _ in range(MOMENTS):
        sequence = rng.choice(told)
        # Of the last millisecond more may be missing.
        if rng.random() < 0.3 and at_ms[sequence] < exchange.said[-1][0]:
            moment = await tape.at(exchange.symbol, Asked(time_ms=at_ms[sequence]))
            sequence = last_of[at_ms[sequence]]
        else:
            moment = await tape.at(exchange.symbol, Asked(update_id=sequence))
        assert moment.version.update_id == sequence
        for level in (1, 2):
            assert moment.body(level) == exchange.market.journal.body(sequence, level), sequence
        assert moment.shown(3) is None
    await tape.close()


class Tables:
    """A simulated BitMEX market that has been: its messages at their times. A new connection is told the
    whole table, and then what follows on it."""

    def __init__(self, seconds: int) -> None:
        self.symbol, self.venue = "XBTUSD", "bitmex"
        self.fleet: dict[str, Replica] = {}
        self.said: list[tuple[int, Any, Any]] = []
        """The time, the change, and the whole table after it."""
        self._wall_ms = self._begins_ms = 1_800_000_000_000
        exchange = BitmexExchange(wall_ms=lambda: self._wall_ms, seed=4)
        self.market = exchange.add(
            instrument_of(self.symbol), Profile(bids=60, asks=60, changes=10, quiet=0.1)
        )
        self._parse = BitMEX().parse_frame
        self._first = self._table()
        self.market.listeners[self] = None
        for _ in range(seconds * 5):
            self._wall_ms += 200
            exchange.tick()
        self.begins: dict[str, bool] = {}

    def _table(self) -> Any:
        rows = self.market.writer.whole(self.market.book.rows(), self.market.time_ms)
        return self._parse(f'{{"table":"orderBookL2","action":"partial","data":{rows}}}')

    def on_rows(self, market: Any, action: str, rows: Any) -> None:
        data = market.writer.rows(rows, action)
        change = self._parse(f'{{"table":"orderBookL2","action":"{action}","data":{data}}}')
        self.said.append((self._wall_ms, change, self._table()))

    def on_batch(self, market: Any, trades: Any) -> None: ...
    def on_state(self, market: Any) -> None: ...
    def on_tick(self, market: Any, now_ms: int) -> None: ...
    def on_recorded(self, market: Any, table: str, data: str) -> None: ...

    @property
    def now_ms(self) -> int:
        return self._begins_ms + round((virtual.clock() - 1002) * 1000)

    def snapshot(self, limit: int) -> Any:
        raise AssertionError("no snapshot can be joined to the stream")

    async def play(self) -> None:
        table = self._first
        for number, (at_ms, change, after) in enumerate(self.said):
            await asyncio.sleep(max(at_ms - self.now_ms, 0) / 1000)
            for name, replica in list(self.fleet.items()):
                if number in replica.misses:
                    # A connection that is lost: what it would have told is missing, and another one begins.
                    replica.keeper.lost([self.symbol])
                    self.begins[name] = False
                    continue
                if not self.begins.get(name):
                    self.begins[name] = True
                    replica.hear(-1, table)
                replica.hear(-1, change)
            table = after


async def recorded_rows(exchange: Tables) -> CountingStore:
    store, every = CountingStore(), len(exchange.said) // 12
    keeping = {
        "refill_below": 0,
        "snapshot_limit": 0,
        "book_of": lambda _: RowBook.of,
        "sync_of": stream_syncs(BITS_OF_MS),
    }
    for place, name in enumerate(NAMES):
        misses = {at * every + step for at in range(1 + place, 12, 3) for step in range(4)}
        await Replica(
            name, exchange, store, misses=misses, keeping=keeping, length_s=futures.LENGTH_S
        ).start()
    await exchange.play()
    for replica in list(exchange.fleet.values()):
        await replica.stop()
    return store


def test_rows_that_three_replicas_recorded_are_the_exchange_s_own_at_any_moment() -> None:
    exchange = Tables(30)
    store = virtual.run(recorded_rows(exchange))
    written = list(segments_in(store).values())
    for segment in written:
        segment.check()
    assert all(segment.whole for segment in written[1:-1])
    told = [diff.last for segment in written for diff in segment.diffs]
    assert told == sorted(set(told))
    # But for those of the beginning, whose number nobody could know, each message is there once.
    assert len(exchange.said) - 60 <= len(told) <= len(exchange.said)
    virtual.run(compared_rows(store, exchange, told))


async def compared_rows(store: CountingStore, exchange: Tables, told: list[int]) -> None:
    tape, rng = Tape(store, exchange.venue, aside=at_once, clock=virtual.clock), Random(9)
    market = exchange.market
    for _ in range(MOMENTS):
        update_id = rng.choice(told)
        moment = await tape.at(exchange.symbol, Asked(update_id=update_id))
        time_ms, count = divmod(update_id, 1 << BITS_OF_MS)
        assert (moment.version.update_id, moment.event_time_ms) == (update_id, time_ms)
        step = list(market.history.steps_of(time_ms))[count - 1]
        for depth in (10, 25, 0):
            assert moment.body(depth) == market.body(step, depth), update_id
    await tape.close()
