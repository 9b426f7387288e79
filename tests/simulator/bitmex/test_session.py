"""One connection: topics, acknowledgements, errors, heartbeats, and what faults do to its messages."""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from simulator.bitmex.session import damaged
from simulator.connection import Abort, Close, Frame, Pong
from simulator.faults import FORMS, Kind
from tests.simulator.bitmex.conftest import SMALL, XBT, Bench, Table, taken

BOOK = f"orderBookL2:{XBT}"


def ask(bench: Bench, text: str, **limits: Any) -> list[Any]:
    """What a new session answers to a text, as JSON."""
    session = bench.session(**limits)
    taken(session)
    session.receive(text, 0)
    return [json.loads(each) for each in taken(session)]


def subscribe(*topics: str) -> str:
    return json.dumps({"op": "subscribe", "args": topics})


def test_a_connection_is_welcomed(bench: Bench) -> None:
    [welcome] = map(json.loads, taken(bench.session(left=17)))
    assert list(welcome) == ["info", "version", "timestamp", "docs", "limit"]
    assert welcome["limit"] == {"remaining": 17}


def test_topics_of_the_query_and_of_a_message_begin_alike(bench: Bench) -> None:
    asked = bench.session()
    taken(asked)
    asked.receive(subscribe(BOOK, f"trade:{XBT}"), 0)
    told = taken(asked)
    named = taken(bench.session(f"subscribe={BOOK},trade:{XBT}"))[1:]
    assert told == named
    acks, partials = [json.loads(each) for each in told[:2]], [json.loads(each) for each in told[2:]]
    request = {"op": "subscribe", "args": [BOOK, f"trade:{XBT}"]}
    assert acks[0] == {"success": True, "subscribe": BOOK, "request": request}
    assert [(each["table"], each["action"]) for each in partials] == [
        ("orderBookL2", "partial"),
        ("trade", "partial"),
    ]
    assert list(partials[0]) == [
        *("table", "action", "keys", "types", "foreignKeys", "attributes", "filter", "data")
    ]
    assert partials[0]["keys"] == ["symbol", "id", "side"]
    assert partials[0]["filter"] == {"symbol": XBT}


def test_a_topic_without_a_symbol_is_of_all(bench: Bench) -> None:
    session = bench.session("subscribe=orderBookL2")
    partial = json.loads(taken(session)[2])
    assert partial["filter"] == {}
    assert {row["symbol"] for row in partial["data"]} == {XBT, SMALL}
    bench.tick(10)
    seen = {row["symbol"] for text in taken(session) for row in json.loads(text)["data"]}
    assert seen == {XBT, SMALL}


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        (subscribe("nothing:XBTUSD"), 400, "Unknown table: nothing"),
        (subscribe("trade:NONE"), 400, "Unknown or expired symbol."),
        ('{"op":"dance","args":[]}', 400, "Unknown op: dance"),
        ('{"op":"subscribe","args":7}', 400, "args must be"),
        ("{", 400, "Unrecognized request"),
        ("[]", 400, "Unrecognized request"),
        ('{"op":"unsubscribe","args":["trade"]}', 400, "You are not subscribed"),
    ],
)
def test_what_cannot_be_done_is_told_so(bench: Bench, text: str, status: int, error: str) -> None:
    [answer] = ask(bench, text)
    assert list(answer) == ["status", "error", "meta", "request"]
    assert (answer["status"], answer["error"][: len(error)]) == (status, error)


def test_a_topic_is_had_once_and_can_be_left(bench: Bench) -> None:
    session = bench.session(f"subscribe={BOOK}")
    taken(session)
    session.receive(subscribe(BOOK), 0)
    assert f"You are already subscribed to this topic: {BOOK}." in taken(session)[0]
    assert session.listens_to(XBT)
    session.receive(json.dumps({"op": "unsubscribe", "args": BOOK}), 1)
    assert json.loads(taken(session)[0])["unsubscribe"] == BOOK
    bench.tick(5)
    assert not taken(session)
    assert not session.listens_to(XBT)


def test_subscriptions_are_limited(bench: Bench) -> None:
    answers = ask(bench, subscribe("quote:XBTUSD", "trade:XBTUSD", "instrument"), subscriptions_an_hour=2)
    [refused] = [each for each in answers if "error" in each]
    assert (refused["status"], refused["meta"]) == (429, {"retryAfter": 3600})


def test_the_text_ping_is_answered_and_so_is_a_ping_frame(bench: Bench) -> None:
    session = bench.session()
    taken(session)
    session.receive("ping", 0)
    session.receive_ping(b"x", 1)
    session.receive_pong(b"y", 2)
    session.receive_binary(3)
    assert list(session.outbox) == ["pong", Pong(b"x")]


def test_who_sends_too_much_or_reads_too_slowly_is_cut_off(bench: Bench) -> None:
    session = bench.session(frames_a_second=3)
    for _ in range(4):
        session.receive("ping", 0)
    assert session.outbox[-1] == Close(1008, "Too many requests")
    slow = bench.session(f"subscribe={BOOK}", outbox=10)
    bench.tick(30)
    assert list(slow.outbox) == [Abort()]
    assert not bench.exchange.connections


def steps(frames: Sequence[Frame]) -> list[str]:
    """The messages of the book among the frames, but for its partial."""
    texts = [frame for frame in frames if isinstance(frame, str)]
    return [text for text in texts if '"table":"orderBookL2"' in text and '"partial"' not in text]


def flow(bench: Bench, kind: Kind | None, **order: Any) -> list[str]:
    """What a reader of the book gets of 30 ticks, with a fault after ten."""
    session = bench.session(f"subscribe={BOOK}")
    bench.tick(10)
    if kind is not None:
        bench.exchange.faults.inject(kind, symbol=XBT, **order)
    bench.tick(20)
    assert bench.exchange.faults.counts.total() == (kind is not None)
    return steps(session.outbox)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.GAP, lambda heard, whole: len(heard) == len(whole) - 1 and set(heard) < set(whole)),
        (Kind.DUPLICATE, lambda heard, whole: len(heard) == len(whole) + 1 and set(heard) == set(whole)),
        (Kind.STRAGGLER, lambda heard, whole: len(heard) == len(whole) + 1 and set(heard) == set(whole)),
        (Kind.REORDER, lambda heard, whole: heard != whole and sorted(heard) == sorted(whole)),
    ],
)
def test_faults_befall_messages(
    make_bench: Callable[..., Bench], kind: Kind, expected: Callable[[list[str], list[str]], bool]
) -> None:
    assert expected(flow(make_bench(), kind), flow(make_bench(), None))


@pytest.mark.parametrize("form", FORMS[Kind.MALFORMED])
@pytest.mark.parametrize("old", [False, True])
def test_a_damaged_message_is_none(make_bench: Callable[..., Bench], form: str, old: bool) -> None:
    """A reader that checks what the documents promise of a row does not take it."""

    def sound(frame: str | bytes) -> bool:
        try:
            message = json.loads(frame)
            assert message["action"] in ("insert", "update", "delete")
            assert message["data"]
            for row in message["data"]:
                if message["table"] == "orderBook10":
                    assert type(row["symbol"]) is str
                    numbers = [each for side in ("bids", "asks") for level in row[side] for each in level]
                    assert all(type(each) in (int, float) and each > 0 for each in numbers)
                    continue
                assert type(row["symbol"]) is str
                assert row["side"] in ("Buy", "Sell")
                assert type(row["id"]) is int
                assert row["id"] >= 0
                if message["action"] != "delete":
                    assert type(row["size"]) is int
                    assert row["size"] > 0
                price = row.get("price", 1)
                assert type(price) in (int, float)
                assert price > 0
        except (ValueError, KeyError, TypeError, AssertionError):
            return False
        return True

    bench = make_bench(old=old)
    session = bench.session(f"subscribe={BOOK},orderBook10:{XBT}")
    taken(session)
    bench.tick(20)
    rng = Random(3)
    frames = taken(session)
    assert all(map(sound, frames))
    for frame in frames * 3:
        assert not sound(damaged(frame, form, rng))


def test_a_silent_topic_is_acknowledged_and_says_nothing(bench: Bench) -> None:
    bench.exchange.faults.inject(Kind.SILENT, symbol=XBT)
    session = bench.session(f"subscribe={BOOK},orderBookL2:{SMALL}")
    bench.tick(10)
    texts = taken(session)
    assert sum('"success":true' in text for text in texts) == 2
    assert not any(f'"data":[{{"symbol":"{XBT}"' in text for text in texts)
    bench.exchange.faults.inject(Kind.SILENT, form="now", symbol=SMALL)
    bench.tick(10)
    assert not taken(session)


def test_a_subscription_may_be_refused(bench: Bench) -> None:
    bench.exchange.faults.inject(Kind.ERROR, symbol=XBT)
    texts = taken(bench.session(f"subscribe={BOOK},orderBookL2:{SMALL}"))
    assert [json.loads(text).get("status") for text in texts] == [None, 503, None, None]


def test_messages_of_a_connection_may_be_cut_elsewhere(bench: Bench) -> None:
    bench.exchange.faults.inject(Kind.GROUPING)
    cut, whole = (bench.session(f"subscribe={BOOK}") for _ in range(2))
    tables = Table(), Table()
    bench.tick(40)
    texts = [taken(session) for session in (cut, whole)]
    assert len(texts[0]) > len(texts[1])
    for table, heard in zip(tables, texts, strict=True):
        for text in heard:
            table.hear(text)
    assert tables[0].rows == tables[1].rows


@pytest.mark.parametrize(
    ("kind", "order", "last"),
    [
        (Kind.DISCONNECT, {"form": "abort"}, Abort()),
        (Kind.DISCONNECT, {"form": "close"}, Close(1001, "Going away")),
        (Kind.SHUTDOWN, {"delay_s": 0.3}, Close(1001, "Going away")),
    ],
)
def test_connections_end(bench: Bench, kind: Kind, order: dict[str, Any], last: Frame) -> None:
    hit, other = bench.session(f"subscribe={BOOK}"), bench.session(f"subscribe=trade:{SMALL}")
    assert bench.exchange.faults.inject(kind, symbol=XBT, **order) == 1
    bench.tick(5)
    assert hit.outbox[-1] == last
    assert list(bench.exchange.connections) == [other.id]


def test_a_half_open_connection_says_nothing(bench: Bench) -> None:
    session = bench.session(f"subscribe={BOOK}")
    bench.exchange.faults.inject(Kind.HALF_OPEN)
    session.receive("ping", 0)
    session.receive_ping(b"", 0)
    bench.tick(5)
    assert not session.outbox


def test_after_times_went_back_no_straggler_is_of_before(bench: Bench) -> None:
    session = bench.session(f"subscribe={BOOK}")
    bench.tick(10)
    bench.exchange.faults.inject(Kind.REBASE, symbol=XBT, ids=60_000)
    session.outbox.clear()
    bench.exchange.faults.set_rates({Kind.STRAGGLER: 1.0})
    bench.tick(10)
    times = [json.loads(text, parse_float=Decimal)["data"][0]["timestamp"] for text in taken(session)]
    assert len(times) > 20
    assert max(times) < "2027-01-15T07:59:03"
