"""What each stream sends, and what faults do to diffs on their way."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from simulator.faults import DIFF_KINDS, FORMS, Kind
from simulator.listing import Listing
from simulator.scale import Scale
from simulator.truth import BID, Change, TrueBook

Take = Callable[[Any], list[Any]]

FAST = "/ws/ethusdt@depth@100ms"


def diffs(frames: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in frames]


def ids(frames: list[Any]) -> list[tuple[int, int]]:
    return [(diff["U"], diff["u"]) for diff in diffs(frames)]


def unbroken(spans: list[tuple[int, int]]) -> bool:
    return all(first == last + 1 for (_, last), (first, _) in pairwise(spans))


def replayed(levels: tuple[Any, Any], frames: list[Any]) -> tuple[dict[str, str], dict[str, str]]:
    bids, asks = dict(levels[0]), dict(levels[1])
    for diff in diffs(frames):
        for side, changes in ((bids, diff["b"]), (asks, diff["a"])):
            side.update(changes)
            for price in [price for price, quantity in changes if not float(quantity)]:
                del side[price]
    return bids, asks


def test_the_slow_stream_joins_the_diffs_of_a_second(bench: Any, taken: Take) -> None:
    fast, slow = bench.session(FAST), bench.session("/ws/ethusdt@depth")
    bench.tick(21)
    fast_ids, slow_ids = ids(taken(fast)), ids(taken(slow))
    assert len(fast_ids) == 21
    assert len(slow_ids) == 3  # the first diff opens the stream's first second
    assert unbroken(slow_ids)
    assert (slow_ids[0][0], slow_ids[-1][1]) == (fast_ids[0][0], fast_ids[-1][1])


def test_the_partial_stream_sends_the_top_of_the_book_when_it_changed(bench: Any, taken: Take) -> None:
    fast, slow = bench.session("/ws/ethusdt@depth5@100ms"), bench.session("/ws/ethusdt@depth20")
    bench.tick(10)
    journal = bench.exchange.instruments["ETHUSDT"].journal
    frames = taken(fast)
    assert len(frames) == 10
    assert frames[-1].encode() == bench.exchange.truth.body("ETHUSDT", journal.update_id, 5)
    assert len(taken(slow)) == 1
    bench.exchange.set_status("ETHUSDT", "HALT")
    bench.tick(20)
    assert taken(fast) == []
    [last] = taken(slow)
    assert last.encode() == bench.exchange.truth.body("ETHUSDT", journal.update_id, 20)


def test_the_book_ticker_stream_sends_the_best_prices(bench: Any, taken: Take) -> None:
    session = bench.session("/stream?streams=ethusdt@bookTicker")
    bench.tick(50)
    frames = taken(session)
    assert len(frames) > 5
    for frame in frames:
        message = json.loads(frame)
        assert message["stream"] == "ethusdt@bookTicker"
        data = message["data"]
        assert list(data) == ["u", "s", "b", "B", "a", "A"]
        body = json.loads(bench.exchange.truth.body("ETHUSDT", data["u"], 1))
        assert (body["bids"], body["asks"]) == ([[data["b"], data["B"]]], [[data["a"], data["A"]]])


def test_times_are_in_microseconds_where_the_connection_asks_for_it(bench: Any, taken: Take) -> None:
    session = bench.session(f"{FAST}?timeUnit=MICROSECOND")
    bench.tick()
    assert diffs(taken(session))[0]["E"] == bench.clock.wall_ms() * 1000


def test_a_connection_may_see_the_same_changes_cut_at_ids_of_its_own(bench: Any, taken: Take) -> None:
    bench.exchange.faults.inject("grouping", connection=2)
    bench.exchange.faults.inject("grouping", connection=3)
    truth = bench.exchange.truth
    start = truth.levels("ETHUSDT", bench.exchange.instruments["ETHUSDT"].journal.update_id)
    sessions = [bench.session(FAST) for _ in range(3)]
    bench.tick(40)
    bench.exchange.set_status("ETHUSDT", "HALT")
    bench.tick(2)  # what was held back comes when nothing follows
    frames = [taken(session) for session in sessions]
    spans = [ids(of_one) for of_one in frames]
    assert all(map(unbroken, spans))
    assert len({span[-1][1] for span in spans}) == 1
    ends = [{last for _, last in span} for span in spans]
    assert ends[0] != ends[1] != ends[2] != ends[0]
    assert replayed(start, frames[0]) == replayed(start, frames[1]) == replayed(start, frames[2])
    assert bench.exchange.faults.counts == {Kind.GROUPING: 2}


def test_recorded_diffs_are_joined_in_a_connections_own_way_but_never_cut(bench: Any, taken: Take) -> None:
    exchange = bench.exchange
    exchange.add_recorded(Listing("ABCUSD", "ABC", "USD", Scale(2, 2)), TrueBook(), 10)
    exchange.faults.inject("grouping", connection=1)
    own, natural = (bench.session("/ws/abcusd@depth@100ms") for _ in range(2))
    for index in range(20):
        exchange.replay("ABCUSD", 11 + 3 * index, 13 + 3 * index, index, [Change(BID, 100 + index, 5)])
    bench.tick(2)
    whole, seen = ids(taken(natural)), ids(taken(own))
    assert len(whole) == 20
    assert 2 < len(seen) < 20
    assert unbroken(seen)
    assert {last for _, last in seen} < {last for _, last in whole}
    assert seen[-1][1] == whole[-1][1]


# Faults, each on one of two connections


@pytest.fixture
def pair(bench: Any) -> tuple[Any, Any, Any]:
    faulty, sound = (
        bench.session("/stream?streams=ethusdt@depth@100ms/btcusdt@depth@100ms"),
        bench.session(FAST),
    )
    bench.tick(3)
    faulty.outbox.clear()
    sound.outbox.clear()
    return bench, faulty, sound


def of_symbol(frames: list[Any], symbol: str) -> list[Any]:
    return [json.dumps(json.loads(f)["data"]) for f in frames if json.loads(f)["data"]["s"] == symbol]


def test_a_gap_misses_one_diff_of_one_symbol_on_one_connection(pair: Any, taken: Take) -> None:
    bench, faulty, sound = pair
    bench.exchange.faults.inject("gap", symbol="ETHUSDT", connection=faulty.id)
    bench.tick(5)
    frames = taken(faulty)
    whole = ids(taken(sound))
    assert ids(of_symbol(frames, "ETHUSDT")) == whole[1:]
    assert len(whole) == 5
    assert unbroken(ids(of_symbol(frames, "BTCUSDT")))
    [happened] = bench.exchange.faults.happened
    assert (happened.kind, happened.symbol, happened.connection) == ("gap", "ETHUSDT", faulty.id)
    assert happened.detail == f"{whole[0][0]}…{whole[0][1]}"


def test_a_straggler_is_an_earlier_diff_after_a_newer_one(pair: Any, taken: Take) -> None:
    bench, faulty, sound = pair
    bench.exchange.faults.inject("straggler", symbol="ETHUSDT", connection=faulty.id)
    bench.tick(3)
    seen, whole = ids(of_symbol(taken(faulty), "ETHUSDT")), ids(taken(sound))
    assert len(seen) == 4
    assert seen[1][1] < whole[0][0]
    assert [seen[0], *seen[2:]] == whole


def test_a_straggler_waits_until_there_is_an_earlier_diff(bench: Any, taken: Take) -> None:
    bench.exchange.faults.inject("straggler")
    session = bench.session(FAST)
    bench.tick()
    assert len(taken(session)) == 1
    bench.tick()
    assert len(taken(session)) == 2


def test_a_duplicate_comes_twice(pair: Any, taken: Take) -> None:
    bench, faulty, sound = pair
    bench.exchange.faults.inject("duplicate", symbol="ETHUSDT", connection=faulty.id)
    bench.tick(2)
    whole = ids(taken(sound))
    assert ids(of_symbol(taken(faulty), "ETHUSDT")) == [whole[0], *whole]


def test_a_reordered_diff_comes_after_the_one_that_follows_it(pair: Any, taken: Take) -> None:
    bench, faulty, sound = pair
    bench.exchange.faults.inject("reorder", symbol="ETHUSDT", connection=faulty.id)
    bench.tick(3)
    whole = ids(taken(sound))
    assert ids(of_symbol(taken(faulty), "ETHUSDT")) == [whole[1], whole[0], whole[2]]


@pytest.mark.parametrize("form", FORMS[Kind.MALFORMED])
def test_a_malformed_frame_takes_the_place_of_a_diff(pair: Any, taken: Take, form: str) -> None:
    bench, faulty, sound = pair
    bench.exchange.faults.inject("malformed", symbol="ETHUSDT", connection=faulty.id, form=form)
    bench.tick()
    [original] = taken(sound)
    damaged, other = taken(faulty)
    assert damaged != f'{{"stream":"ethusdt@depth@100ms","data":{original}}}'
    assert json.loads(other)["data"]["s"] == "BTCUSDT"
    bench.tick()
    assert len(of_symbol(taken(faulty), "ETHUSDT")) == 1


def test_a_silent_subscription_is_acknowledged_and_delivers_nothing(pair: Any, taken: Take) -> None:
    bench, _, sound = pair
    bench.exchange.faults.inject("silent", symbol="ETHUSDT")
    late = bench.session()
    late.receive('{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","ethusdt@depth@100ms"],"id":1}', 0)
    assert taken(late) == ['{"result":null,"id":1}']
    bench.tick(5)
    assert {diff["s"] for diff in diffs(taken(late))} == {"BTCUSDT"}
    assert len(taken(sound)) == 5
    late.receive('{"method":"UNSUBSCRIBE","params":["ethusdt@depth@100ms"],"id":2}', 1)
    late.receive('{"method":"SUBSCRIBE","params":["ethusdt@depth@100ms"],"id":3}', 2)
    taken(late)
    bench.tick()
    assert {diff["s"] for diff in diffs(taken(late))} == {"BTCUSDT", "ETHUSDT"}


def test_a_subscription_can_fall_silent_now(pair: Any, taken: Take) -> None:
    bench, faulty, sound = pair
    assert bench.exchange.faults.inject("silent", symbol="ETHUSDT", connection=faulty.id, form="now") == 1
    bench.tick(3)
    frames = taken(faulty)
    assert of_symbol(frames, "ETHUSDT") == []
    assert len(of_symbol(frames, "BTCUSDT")) == 3
    assert len(taken(sound)) == 3


def test_after_a_rebase_no_straggler_of_the_old_ids_comes(bench: Any, taken: Take) -> None:
    session = bench.session(FAST)
    bench.tick(10)
    bench.exchange.rebase("ETHUSDT", 1000)
    base = bench.exchange.instruments["ETHUSDT"].journal.base_id
    taken(session)
    bench.exchange.faults.inject("straggler", count=3)
    bench.tick(5)
    seen = ids(taken(session))
    assert len(seen) == 8
    assert all(base < first for first, _ in seen)


def test_with_diffs_failing_in_every_way_each_whole_frame_still_tells_the_truth(
    make_bench: Callable[..., Any], taken: Take
) -> None:
    bench = make_bench(partial_share=0.2)
    exchange = bench.exchange
    rates = dict.fromkeys(DIFF_KINDS, 0.05) | {Kind.GROUPING: 0.7, Kind.REBASE: 0.1}
    exchange.faults.set_rates(rates)
    sessions = [bench.session("/stream?streams=ethusdt@depth@100ms/btcusdt@depth@100ms") for _ in range(4)]
    bench.tick(300)
    whole = [diff for session in sessions for diff in map(whole_diff, taken(session)) if diff is not None]
    assert len(whole) > 1000
    for diff in whole:
        bodies = exchange.truth.bodies(diff["s"], diff["u"], 5000)
        assert any(agrees(diff, json.loads(body)) for body in bodies), diff
    assert exchange.faults.counts.keys() == rates.keys()
    assert exchange.instruments["ETHUSDT"].journal.generation > 0


_PLAIN = re.compile(r"[0-9]+\.[0-9]{8}")


def whole_diff(frame: Any) -> dict[str, Any] | None:
    """The diff in a combined frame; ``None`` where it is damaged."""
    try:
        diff: dict[str, Any] = json.loads(frame)["data"]
        levels = [[price, quantity] for side in "ba" for price, quantity in diff[side]]
        numbers = all(_PLAIN.fullmatch(text) for level in levels for text in level)
        return diff if numbers and diff["s"] and {type(diff["U"]), type(diff["u"])} == {int} else None
    except (ValueError, TypeError, KeyError):
        return None


def agrees(diff: dict[str, Any], body: dict[str, Any]) -> bool:
    """Whether every level of a diff stands in a book with just this quantity, or not at all for zero."""
    return all(
        book.get(price, "0.00000000") == quantity
        for book, changes in ((dict(body["bids"]), diff["b"]), (dict(body["asks"]), diff["a"]))
        for price, quantity in changes
    )
