"""Who writes a segment and when, how much may wait, and what is there at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from depthcast.errors import BadLevel
from depthcast.events import Diff
from depthcast.sync import Verdict
from depthcast.tape.keys import segment_key
from depthcast.tape.parquet import decode
from depthcast.tape.segment import Piece, Segment
from tests import virtual
from tests.depthcast.tape.tapes import START_MS, SYMBOL, NaiveBook, moved, whole
from tests.updater.tape.fleet import CountingStore, Exchange, Observer, Replica, known, stored
from updater.tape.recorder import Recorder

KEYS = [segment_key("binance", SYMBOL, START_MS + at * 60_000) for at in range(5)]


def market(seconds: int, *, quiet: tuple[int, int] = (0, 0)) -> Segment:
    """A diff a second from the fourth second of a minute on, none between the seconds of ``quiet``."""
    rng = Random(5)
    book = NaiveBook(1000, [("60.50", "1.00")], [("160.50", "2.00")])
    frame, diffs = book.keyframe(), []
    for second in range(3, seconds):
        if quiet[0] <= second < quiet[1]:
            continue
        diffs.append(moved(rng, book, START_MS + second * 1000))
        book.apply(diffs[-1])
    return whole(Piece(0, frame, tuple(diffs)))


def play(
    seconds: int,
    events: Callable[[Exchange, CountingStore], Awaitable[None]],
    *,
    names: tuple[str, ...] = ("a",),
    quiet: tuple[int, int] = (0, 0),
    **options: Any,
) -> tuple[CountingStore, dict[str, Replica], Segment]:
    """What a fleet records of such a market, to which ``events`` happen, up to 30 s after its last diff."""
    segment = market(seconds, quiet=quiet)

    async def run() -> tuple[CountingStore, dict[str, Replica]]:
        exchange, store = Exchange(segment, segment.diffs), CountingStore()
        replicas = {}
        for name in names:
            replicas[name] = Replica(name, exchange, store, misses=set(), **options)
            await replicas[name].start()
        happening = asyncio.ensure_future(events(exchange, store))
        await exchange.play()
        await asyncio.sleep(30)
        await happening
        for replica in list(exchange.fleet.values()):
            replica.recorder.check()
            await replica.stop()
        return store, replicas

    store, replicas = virtual.run(run())
    return store, replicas, segment


async def nothing(exchange: Exchange, store: CountingStore) -> None:
    """All goes well."""


def read(store: CountingStore, key: str) -> Segment:
    return decode(stored(store)[key].body)


def test_one_replica_writes_and_the_others_look() -> None:
    store, replicas, market = play(130, nothing, names=("a", "b", "c"))
    assert [store.won[key] for key in KEYS[:2]] == [1, 1]
    assert replicas["a"].observer.kept["written"] >= 2
    # The first began late; the second has nothing that is missing.
    for name in "bc":
        assert replicas[name].observer.kept["found"] >= 2
    assert read(store, KEYS[1]).whole
    times = [diff.event_time_ms for diff in read(store, KEYS[1]).diffs]
    assert times == [START_MS + second * 1000 for second in range(60, 120)]
    assert replicas["a"].observer.diffs == len(list(market.diffs))


def test_a_standby_writes_what_the_first_did_not() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        await asyncio.sleep(62.5)
        # It has the first minute in hand, and dies before the store answers.
        await exchange.fleet["a"].kill()

    store, replicas, _ = play(130, events, names=("a", "b"))
    assert replicas["b"].observer.kept["written"] >= 1
    assert read(store, KEYS[1]).whole


def test_a_quiet_symbol_s_minutes_are_whole_as_well() -> None:
    store, _, market = play(200, nothing, quiet=(70, 190))
    assert [read(store, key).whole for key in KEYS[1:3]] == [True, True]
    assert [len(list(read(store, key).diffs)) for key in KEYS[1:3]] == [10, 0]
    written = [read(store, key) for key in KEYS[:4]]
    assert known(written) == known([market])


def test_a_stopped_replica_writes_its_open_minute_and_the_next_one_completes_it() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        await asyncio.sleep(80.3)
        await exchange.fleet["a"].stop()
        torn = read(store, KEYS[1])
        assert not torn.to_end
        assert torn.from_start
        # It begins between two diffs, so that nothing is missing.
        await Replica("a", exchange, store, misses=set()).start()

    store, _, market = play(130, events)
    assert read(store, KEYS[1]).whole
    assert known([read(store, key) for key in KEYS[:3]]) == known([market])


def test_a_store_that_is_away_is_waited_for() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        await asyncio.sleep(50)
        store.away = True
        await asyncio.sleep(100)
        assert exchange.fleet["a"].recorder.waiting.segments == 2
        store.away = False

    store, replicas, market = play(190, events)
    observer = replicas["a"].observer
    assert observer.failures
    assert observer.dropped == 0
    assert known([read(store, key) for key in KEYS[:4]]) == known([market])


def test_beyond_its_memory_the_oldest_is_given_up_and_counted() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        store.away = True
        await asyncio.sleep(200)
        recorder = exchange.fleet["a"].recorder
        assert recorder.waiting.size <= 60_000
        store.away = False

    store, replicas, market = play(230, events, memory_mb=0.06)
    there = [key for key in KEYS[:4] if key in stored(store)]
    assert KEYS[0] not in there
    assert KEYS[3] in there
    kept = known([read(store, key) for key in there])
    assert len(kept) + replicas["a"].observer.dropped == len(list(market.diffs))


def test_with_no_room_at_all_what_is_open_goes_too() -> None:
    _, replicas, _ = play(20, nothing, memory_mb=0.000001)
    assert replicas["a"].observer.dropped >= 15


def test_a_process_that_stood_still_claims_no_end_that_it_did_not_see() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        await asyncio.sleep(65)
        recorder = exchange.fleet["a"].recorder
        recorder.tick()
        recorder._ticked_at = virtual.clock() - 30
        recorder.tick()
        assert recorder._sure_from == virtual.clock() + 15

    play(70, events)


def test_a_symbol_that_is_let_go_is_written_as_far_as_it_went() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        await asyncio.sleep(30.5)
        exchange.fleet["a"].keeper.unsubscribe([SYMBOL])
        await asyncio.sleep(1)
        assert len(list(read(store, KEYS[0]).diffs)) == 30
        assert not read(store, KEYS[0]).to_end

    play(40, events)


def test_listeners_are_told_of_what_this_replica_wrote_and_cannot_spoil_it() -> None:
    heard: list[tuple[str, bool]] = []

    async def listener(segment: Segment, key: str) -> None:
        heard.append((key, segment.whole))
        raise ValueError("a listener's mistake")

    async def events(exchange: Exchange, store: CountingStore) -> None:
        exchange.fleet["a"].recorder.listeners.append(listener)
        exchange.fleet["b"].recorder.listeners.append(listener)

    play(130, events, names=("a", "b"))
    assert heard[:2] == [(KEYS[0], False), (KEYS[1], True)]


@pytest.mark.parametrize(
    ("patterns", "taped"),
    [(("all",), True), (("ETHUSDT",), True), (("*USDT",), True), (("BTC*", "ETHBTC"), False), ((), False)],
)
def test_symbols_are_chosen_by_name_or_pattern(patterns: tuple[str, ...], taped: bool) -> None:
    async def run() -> Recorder:
        async def begin() -> None: ...

        return Recorder(
            CountingStore(),
            patterns,
            venue="binance",
            replica="a",
            observer=Observer(),
            rank=lambda symbol: 0,
            streams=lambda symbol: True,
            books=dict,
            begin=begin,
        )

    recorder = virtual.run(run())
    assert recorder.tapes("ETHUSDT") is taped
    recorder.broke("ETHUSDT", "gap")
    recorder.dropped("ETHUSDT")
    assert recorder.reels == {}


def test_the_rest_goes_on_where_nothing_is_taped() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        replica = exchange.fleet["a"]
        replica.keeper.subscribe(["BTCUSDT"])
        replica.keeper.take(Diff("BTCUSDT", 1, 2, START_MS, [], []))
        await asyncio.sleep(5)
        assert list(replica.recorder.reels) == [SYMBOL]

    play(10, events)


def test_a_diff_that_claims_to_be_of_tomorrow_ends_no_minute() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        await asyncio.sleep(20.5)
        live = exchange.fleet["a"].keeper.books[SYMBOL]
        assert live.book is not None
        last = live.book.update_id
        recorder = exchange.fleet["a"].recorder
        odd = Diff(SYMBOL, last + 1, last + 1, START_MS + 86_400_000, [], [])
        recorder.coming(live, odd)
        recorder.took(live, odd, Verdict.APPLIED)

    store, replicas, _ = play(130, events)
    assert replicas["a"].observer.dropped == 1
    assert sorted(key for key in stored(store) if key.endswith(".parquet")) == KEYS[:3]
    assert read(store, KEYS[1]).whole
    # Nothing was missing, and so the two pieces are one again.
    assert [hole.after_id for hole in read(store, KEYS[0]).holes] == [None]


def test_what_cannot_be_written_at_all_is_given_up() -> None:
    async def events(exchange: Exchange, store: CountingStore) -> None:
        await asyncio.sleep(20.5)
        recorder = exchange.fleet["a"].recorder
        reel = recorder.reels[SYMBOL]
        reel._pieces[-1].diffs[-1] = reel._pieces[-1].diffs[-1]._replace(levels=b'[[["1e5","1"]],[]]')
        reel.size = sum(piece.size for piece in reel._pieces)

    _, replicas, _ = play(70, events)
    observer = replicas["a"].observer
    assert [type(error) for error in observer.failures] == [BadLevel]
    assert observer.dropped == 57
