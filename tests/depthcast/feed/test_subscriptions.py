"""The control conversation of one connection, without a connection."""

import json
from random import Random
from typing import Any

from depthcast.feed.limits import FeedLimits
from depthcast.feed.subscriptions import Phase, Subscriptions
from depthcast.venues import OLDEST
from depthcast.venues.binance import Binance


def ledger(*symbols: str, **limits: Any) -> Subscriptions:
    return Subscriptions(Binance(), FeedLimits(**limits), symbols)


def sent(subscriptions: Subscriptions, now: float) -> tuple[str, list[str], int] | None:
    """Method, symbols and id of the message that is due."""
    message = subscriptions.next_message(now)
    if message is None:
        return None
    parsed = json.loads(message)
    symbols = [name.removesuffix("@depth@100ms").upper() for name in parsed["params"]]
    return parsed["method"], symbols, parsed["id"]


def test_symbols_are_asked_for_in_batches_and_live_once_acknowledged() -> None:
    streams = ledger("A", "B", "C", names_per_message=2)
    assert sent(streams, 0.0) == ("SUBSCRIBE", ["A", "B"], 1)
    assert sent(streams, 0.4) == ("SUBSCRIBE", ["C"], 2)
    assert sent(streams, 0.8) is None
    assert not streams.live("A")
    streams.acked(2, 1.0)
    assert [streams.live(symbol) for symbol in "ABC"] == [False, False, True]
    assert streams.settled_at is None
    streams.acked(1, 1.5)
    assert all(streams.live(symbol) for symbol in "ABC")
    assert streams.settled_at == 1.5


def test_symbols_can_be_added_and_given_up_at_run_time() -> None:
    streams = ledger("A", "B")
    sent(streams, 0.0)
    streams.acked(1, 0.0)
    streams.want(["B", "C"])
    streams.drop(["A", "UNKNOWN"])
    assert "A" not in streams.streams
    assert sent(streams, 1.0) == ("UNSUBSCRIBE", ["A"], 2)
    assert sent(streams, 1.4) == ("SUBSCRIBE", ["C"], 3)
    streams.acked(2, 1.5)
    streams.acked(3, 1.5)
    assert [streams.live(symbol) for symbol in "ABC"] == [False, True, True]


def test_what_was_never_asked_for_needs_no_unsubscribe() -> None:
    streams = ledger("A")
    streams.drop(["A"])
    assert sent(streams, 0.0) is None


def test_a_symbol_given_up_and_wanted_again_is_unsubscribed_first() -> None:
    streams = ledger("A")
    sent(streams, 0.0)
    streams.drop(["A"])
    streams.want(["A"])
    streams.acked(1, 0.1)
    assert not streams.live("A"), "the answer was to the subscription that was given up"
    assert sent(streams, 0.5) == ("UNSUBSCRIBE", ["A"], 2)
    assert sent(streams, 1.0) == ("SUBSCRIBE", ["A"], 3)
    streams.acked(3, 1.1)
    assert streams.live("A")


def test_a_message_not_answered_in_time_is_overdue() -> None:
    streams = ledger("A", ack_timeout_s=10.0)
    assert not streams.overdue(100.0)
    sent(streams, 100.0)
    assert not streams.overdue(109.9)
    assert streams.overdue(110.0)
    streams.acked(1, 110.0)
    assert not streams.overdue(200.0)


def test_answers_to_messages_that_were_never_sent_change_nothing() -> None:
    streams = ledger("A")
    streams.acked(0, 0.0)
    streams.acked(7, 0.0)
    streams.refused(7, 0.0)
    assert streams.settled_at is None
    assert sent(streams, 0.0) is not None


def test_a_refused_message_is_sent_again_after_a_growing_pause() -> None:
    streams = ledger("A", refused_initial_s=5.0, refused_maximum_s=12.0)
    now = 0.0
    assert sent(streams, now) == ("SUBSCRIBE", ["A"], 1)
    for refused, pause_s in enumerate((5.0, 10.0, 12.0, 12.0), start=1):
        streams.refused(refused, now)
        assert sent(streams, now + pause_s - 0.1) is None
        now += pause_s
        assert sent(streams, now) == ("SUBSCRIBE", ["A"], refused + 1)


def test_an_acknowledgement_ends_the_growth_of_the_pauses() -> None:
    streams = ledger("A", refused_initial_s=5.0)
    sent(streams, 0.0)
    streams.refused(1, 0.0)
    sent(streams, 5.0)
    streams.acked(2, 5.0)
    streams.want(["B"])
    sent(streams, 6.0)
    streams.refused(3, 6.0)
    assert sent(streams, 10.9) is None
    assert sent(streams, 11.0) == ("SUBSCRIBE", ["B"], 4)


def test_a_refusal_that_names_no_message_leaves_it_to_become_overdue() -> None:
    streams = ledger("A")
    sent(streams, 0.0)
    streams.refused(None, 0.0)
    assert streams.overdue(10.0)


def test_silence_is_judged_once_in_a_while_and_not_at_each_look() -> None:
    streams = ledger("A", silent_after_s=5.0)
    sent(streams, 0.0)
    streams.acked(1, 0.0)
    assert streams.silent(4.8) == []
    assert streams.silent(5.1) == [], "half a second has not passed since the last look"
    assert streams.silent(5.3) == ["A"]


def test_an_acknowledged_stream_that_never_delivers_is_found_ever_more_seldom() -> None:
    streams = ledger("LOUD", "MUTE", silent_after_s=60.0, silent_maximum_s=200.0)
    sent(streams, 0.0)
    streams.acked(1, 0.0)
    streams.streams["LOUD"].heard_at = 1.0
    found: list[int] = []
    for now in range(800):
        if symbols := streams.silent(float(now)):
            assert symbols == ["MUTE"]
            assert not streams.live("MUTE")
            found.append(now)
    assert found == [60, 180, 380, 580, 780]


def test_a_stream_under_suspicion_is_live_again_when_it_delivers() -> None:
    streams = ledger("A")
    sent(streams, 0.0)
    streams.acked(1, 0.0)
    assert streams.silent(60.0) == ["A"]
    streams.renew("A")
    assert sent(streams, 60.0) == ("UNSUBSCRIBE", ["A"], 2)
    assert sent(streams, 60.4) == ("SUBSCRIBE", ["A"], 3)
    streams.acked(3, 60.5)
    assert not streams.live("A")
    streams.streams["A"].heard_at = 61.0
    assert streams.live("A")


def test_a_stream_that_delivered_once_is_found_silent_after_it_was_renewed() -> None:
    streams = ledger("A", silent_after_s=60.0)
    sent(streams, 0.0)
    streams.acked(1, 0.0)
    streams.streams["A"].heard_at = 1.0
    assert streams.silent(1000.0) == []
    streams.renew("A")
    assert not streams.live("A")
    assert sent(streams, 1000.0) == ("UNSUBSCRIBE", ["A"], 2)
    assert sent(streams, 1000.4) == ("SUBSCRIBE", ["A"], 3)
    streams.acked(3, 1000.5)
    assert streams.live("A")
    assert streams.silent(1060.0) == []
    assert streams.silent(1061.5) == ["A"]
    assert not streams.live("A")


def test_a_stream_that_is_not_acknowledged_is_overdue_not_silent() -> None:
    streams = ledger("A")
    sent(streams, 0.0)
    assert streams.silent(1000.0) == []


def test_a_stream_that_delivered_or_was_acknowledged_in_time_follows_another_connection_s() -> None:
    streams = ledger("A", "B")
    assert not streams.follows("A", 5.0), "it was not asked for"
    sent(streams, 0.0)
    assert not streams.follows("A", 5.0), "it was not acknowledged"
    streams.acked(1, 3.0)
    assert streams.follows("A", 3.0)
    assert not streams.follows("A", 2.9), "what came in between neither brought"
    streams.streams["A"].heard_at = 4.0
    assert streams.follows("A", 2.9), "the ids of what it delivered tell"
    assert not streams.follows("B", 2.9)
    assert not streams.follows("C", 5.0), "it has no such stream"


def test_whatever_is_wanted_in_the_end_is_subscribed_in_the_end() -> None:
    """An exchange that keeps its own list of subscriptions, under random wishes, answers and refusals."""
    for seed in range(30):
        rng = Random(seed)
        streams = ledger(names_per_message=3, refused_initial_s=0.1, refused_maximum_s=0.1)
        wanted: set[str] = set()
        at_exchange: set[str] = set()
        answers: list[int] = []
        now = 0.0
        for step in range(400):
            now += 0.4
            symbols = rng.sample("ABCDEFGH", 2)
            if step < 300 and rng.random() < 0.3:
                streams.want(symbols)
                wanted.update(symbols)
            elif step < 300 and rng.random() < 0.3:
                streams.drop(symbols)
                wanted.difference_update(symbols)
            elif step < 300 and wanted and rng.random() < 0.1:
                streams.renew(rng.choice(sorted(wanted)))
            if (message := sent(streams, now)) is not None:
                method, names, request_id = message
                if method == "SUBSCRIBE" and rng.random() < 0.2:
                    streams.refused(request_id, now)
                    continue
                (at_exchange.update if method == "SUBSCRIBE" else at_exchange.difference_update)(names)
                answers.append(request_id)
            while answers and rng.random() < 0.7:
                streams.acked(answers.pop(0), now)
        assert at_exchange == wanted == set(streams.streams)
        assert all(streams.live(symbol) for symbol in wanted)


def test_answers_without_a_name_belong_to_the_oldest_message() -> None:
    kept = Subscriptions(Binance(), FeedLimits(names_per_message=1), ["A", "B"])
    kept.next_message(1.0)
    kept.next_message(1.0)
    kept.acked(OLDEST, 2.0)
    assert kept.live("A")
    assert not kept.live("B")
    kept.refused(OLDEST, 2.0)
    assert kept.streams["B"].phase is Phase.WANTED
    kept.acked(OLDEST, 3.0)
    kept.refused(OLDEST, 3.0)
    assert kept.live("A")


def test_a_venue_may_answer_for_each_stream() -> None:
    streams = ledger("A", "B", ack_timeout_s=10.0)
    sent(streams, 0.0)
    streams.acked_stream("A", 1.0)
    streams.acked_stream("UNKNOWN", 1.0)
    assert [streams.live(symbol) for symbol in "AB"] == [True, False]
    assert streams.settled_at is None
    assert streams.overdue(10.0), "the request has one stream left"
    streams.acked_stream("B", 2.0)
    settled: tuple[float | None, bool] = (streams.settled_at, streams.overdue(100.0))
    assert settled == (2.0, False)


def test_of_a_request_that_is_refused_in_part_the_rest_is_asked_for_again() -> None:
    streams = ledger("A", "B", "C", refused_initial_s=5.0)
    sent(streams, 0.0)
    streams.acked_stream("A", 0.1)
    streams.refused(OLDEST, 0.2)
    streams.acked_stream("C", 0.3)
    assert [streams.live(symbol) for symbol in "ABC"] == [True, False, True]
    assert sent(streams, 5.3) == ("SUBSCRIBE", ["B"], 2)
    streams.acked_stream("B", 5.4)
    assert not streams.overdue(100.0)


def test_no_stream_is_taken_for_acknowledged_that_was_never_asked_for() -> None:
    streams = ledger("A")
    streams.acked_stream("A", 0.0)
    assert not streams.live("A")


def answered(streams: Subscriptions, bad: set[str], until: float) -> list[list[str]]:
    """What is asked of an exchange that refuses messages with a bad name in them."""
    asked, now = [], 0.0
    while now < until:
        message = sent(streams, now)
        if message is not None:
            _, symbols, request_id = message
            asked.append(symbols)
            if bad & set(symbols):
                streams.refused(request_id, now)
            else:
                streams.acked(request_id, now)
        now += 0.35
    return asked


def test_one_name_that_is_refused_does_not_keep_the_others_from_being_subscribed() -> None:
    names = [f"S{number:02}" for number in range(100)]
    streams = ledger(*names)
    asked = answered(streams, {"S37"}, 60.0)
    assert [symbol for symbol in names if not streams.live(symbol)] == ["S37"]
    # It is alone in what is asked at last, and that grows ever more seldom.
    alone = asked.count(["S37"])
    assert asked[-1] == ["S37"]
    assert len(asked) - alone <= 14
    assert alone <= 3
    assert streams.settled_at is not None, "a successor is not to wait for it"
    # Who comes later does not wait for it either, and is not asked for with it.
    streams.want(["NEW"])
    assert sent(streams, 60.1) == ("SUBSCRIBE", ["NEW"], len(asked) + 1)


def test_a_name_that_is_known_again_is_asked_for_with_the_others() -> None:
    streams = ledger("A", "B", refused_initial_s=1.0)
    answered(streams, {"A"}, 10.0)
    assert not streams.live("A")
    answered(streams, set(), 400.0)
    assert streams.live("A")
    for symbol in "AB":
        streams.renew(symbol)
    sent(streams, 500.0)
    message = sent(streams, 501.0)
    assert message is not None
    assert message[1] == ["A", "B"]


def test_who_was_refused_alone_is_named() -> None:
    streams = ledger("A", "B", refused_initial_s=1.0)
    named = []
    for now in (0.0, 1.0, 2.0):
        message = sent(streams, now)
        assert message is not None
        named.append((message[1], streams.refused(message[2], now)))
    assert named == [(["A", "B"], None), (["A"], "A"), (["B"], "B")]
    assert streams.refused(99, 3.0) is None
