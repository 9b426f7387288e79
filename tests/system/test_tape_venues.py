"""The tape of other venues: replicas that miss diffs record each change once, and any moment is true."""

import asyncio
from random import Random

import pytest

from depthcast.tape.asked import Asked
from depthcast.tape.reading import Tape
from simulator.exchange import Exchange as Market
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
