"""One connection: subscriptions, control messages, limits, keepalive, endings."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from simulator.connection import Abort, Close, Ping, Pong
from simulator.session import SessionLimits, StreamRequest, parse_target

Take = Callable[[Any], list[Any]]


@pytest.mark.parametrize(
    ("path", "query", "request_"),
    [
        ("/ws", "", StreamRequest((), False, False)),
        ("/ws/", "", StreamRequest((), False, False)),
        ("/ws/btcusdt@depth", "", StreamRequest(("btcusdt@depth",), False, False)),
        ("/ws/a@depth/b@depth", "", StreamRequest(("a@depth", "b@depth"), False, False)),
        ("/stream", "", StreamRequest((), True, False)),
        ("/stream", "streams=a@depth/b@depth", StreamRequest(("a@depth", "b@depth"), True, False)),
        ("/stream", "streams=a%40depth%2Fb%40depth", StreamRequest(("a@depth", "b@depth"), True, False)),
        ("/stream", "streams=a@depth&timeUnit=MICROSECOND", StreamRequest(("a@depth",), True, True)),
        ("/ws/a@depth", "timeUnit=microsecond", StreamRequest(("a@depth",), False, True)),
        ("/wsx", "", None),
        ("/", "", None),
    ],
)
def test_the_path_tells_the_streams_and_whether_they_are_wrapped(
    path: str, query: str, request_: StreamRequest | None
) -> None:
    assert parse_target(path, query) == request_


def control(session: Any, method: str, *params: Any, at_s: float, request_id: int = 1) -> None:
    session.receive(json.dumps({"method": method, "params": params, "id": request_id}), at_s)


def test_subscribing_and_unsubscribing_is_acknowledged_and_listed(bench: Any, taken: Take) -> None:
    session = bench.session()
    control(
        session, "SUBSCRIBE", "ethusdt@depth@100ms", "nosuch@depth", "ETHUSDT@depth", at_s=0, request_id=7
    )
    control(session, "UNSUBSCRIBE", "nosuch@depth", "never@depth", at_s=1)
    control(session, "LIST_SUBSCRIPTIONS", at_s=2, request_id=3)
    assert taken(session) == [
        '{"result":null,"id":7}',
        '{"result":null,"id":1}',
        '{"result":["ethusdt@depth@100ms","ETHUSDT@depth"],"id":3}',
    ]
    assert session.subscriptions == ("ethusdt@depth@100ms", "ETHUSDT@depth")


def test_a_wrong_name_is_acknowledged_and_silent_and_a_right_one_delivers_once(
    bench: Any, taken: Take
) -> None:
    session = bench.session("/ws/ETHUSDT@depth@100ms")
    control(session, "SUBSCRIBE", "ethusdt@depth@50ms", "ethusdt@trades", "@depth", at_s=0)
    taken(session)
    bench.tick(3)
    assert taken(session) == []
    for at_s in (1, 2):
        control(session, "SUBSCRIBE", "ethusdt@depth@100ms", at_s=at_s)
    taken(session)
    bench.tick()
    assert len(taken(session)) == 1
    control(session, "UNSUBSCRIBE", "ethusdt@depth@100ms", at_s=3)
    taken(session)
    bench.tick(3)
    assert taken(session) == []


def test_combined_frames_are_wrapped_and_the_property_can_be_changed(bench: Any, taken: Take) -> None:
    session = bench.session("/stream?streams=ethusdt@depth@100ms")
    bench.tick()
    [wrapped] = taken(session)
    assert wrapped.startswith('{"stream":"ethusdt@depth@100ms","data":{"e":"depthUpdate","E":')
    assert wrapped.endswith(("]]}}", "[]}}"))
    control(session, "GET_PROPERTY", "combined", at_s=0, request_id=2)
    control(session, "SET_PROPERTY", "combined", False, at_s=1, request_id=5)
    control(session, "GET_PROPERTY", "combined", at_s=2, request_id=6)
    assert taken(session) == ['{"result":true,"id":2}', '{"result":null,"id":5}', '{"result":false,"id":6}']
    bench.tick()
    assert json.loads(taken(session)[0])["e"] == "depthUpdate"


def test_a_refused_control_message_changes_nothing(bench: Any, taken: Take) -> None:
    session = bench.session("/ws/ethusdt@depth@100ms")
    session.receive("{", 0)
    assert taken(session) == ['{"code":3,"msg":"Invalid JSON: expected value at line 1 column 2"}']
    bench.tick()
    assert len(taken(session)) == 1


def test_more_than_1024_streams_end_the_connection(bench: Any, taken: Take) -> None:
    session = bench.session()
    control(session, "SUBSCRIBE", *(f"s{index}@depth" for index in range(1024)), at_s=0)
    assert taken(session) == ['{"result":null,"id":1}']
    control(session, "SUBSCRIBE", "s5@depth", at_s=1)
    assert taken(session) == ['{"result":null,"id":1}']
    control(session, "SUBSCRIBE", "one@depth", at_s=2)
    assert taken(session) == [
        '{"error":{"code":4,"msg":"Too many subscriptions"}}',
        Close(1008, "Too many subscriptions"),
    ]
    assert session.id not in bench.exchange.connections


def test_a_sixth_frame_within_a_second_ends_the_connection_whatever_it_is(bench: Any, taken: Take) -> None:
    within = bench.session()
    for at_s in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2):
        control(within, "LIST_SUBSCRIPTIONS", at_s=at_s)
    assert len(taken(within)) == 7
    over = bench.session()
    over.receive_ping(b"p", 0.0)
    over.receive_pong(b"", 0.1)
    over.receive_binary(0.2)
    control(over, "LIST_SUBSCRIPTIONS", at_s=0.3)
    control(over, "LIST_SUBSCRIPTIONS", at_s=0.4)
    assert over.id in bench.exchange.connections
    over.receive_pong(b"", 0.99)
    assert taken(over) == [
        Pong(b"p"),
        '{"result":[],"id":1}',
        '{"result":[],"id":1}',
        Close(1008, "Too many requests"),
    ]


def test_a_ping_comes_every_20_seconds_and_silence_for_a_minute_ends_the_connection(
    bench: Any, taken: Take
) -> None:
    good, bad, unsolicited = bench.session(), bench.session(), bench.session()
    for second in range(1, 101):
        bench.tick(ms=1000)
        for frame in taken(good):
            assert second % 20 == 0
            good.receive_pong(frame.payload, float(second))
        unsolicited.receive_pong(b"", float(second))
    assert good.id in bench.exchange.connections
    assert bad.id not in bench.exchange.connections
    frames = taken(bad)
    assert [type(frame) for frame in frames] == [Ping, Ping, Ping, Abort]
    assert taken(unsolicited)[-1] == Abort()


def test_a_connection_lives_for_its_time(make_bench: Callable[..., Any], taken: Take) -> None:
    bench = make_bench(limits=SessionLimits(life_s=5))
    session = bench.session()
    bench.tick(4, ms=1000)
    assert taken(session) == []
    bench.tick(1, ms=1000)
    assert taken(session) == [Close(1001, "Going away")]


@pytest.mark.parametrize(("target", "wrapped"), [("/ws", False), ("/stream", True)])
def test_a_shutdown_is_announced_and_then_done(bench: Any, taken: Take, target: str, wrapped: bool) -> None:
    session = bench.session(target)
    assert bench.exchange.faults.inject("shutdown", delay_s=1) == 1
    data = f'{{"e":"serverShutdown","E":{bench.clock.wall_ms()}}}'
    assert taken(session) == [f'{{"stream":"!serverShutdown","data":{data}}}' if wrapped else data]
    bench.tick(9)
    assert taken(session) == []
    bench.tick()
    assert taken(session) == [Close(1001, "Going away")]


def test_a_reader_that_falls_too_far_behind_is_cut_off(make_bench: Callable[..., Any], taken: Take) -> None:
    bench = make_bench(limits=SessionLimits(outbox=10))
    session = bench.session("/ws/ethusdt@depth@100ms")
    bench.tick(10)
    assert len(session.outbox) == 10
    bench.tick()
    assert taken(session) == [Abort()]
    assert session.id not in bench.exchange.connections


def test_a_half_open_connection_says_nothing_more_and_can_still_be_cut(bench: Any, taken: Take) -> None:
    session, other = bench.session("/ws/ethusdt@depth@100ms"), bench.session("/ws/btcusdt@depth@100ms")
    bench.exchange.faults.inject("half_open", symbol="ETHUSDT")
    bench.tick(300)
    control(session, "LIST_SUBSCRIPTIONS", at_s=0)
    session.receive_ping(b"x", 0.1)
    assert taken(session) == []
    assert len(taken(other)) > 250
    bench.exchange.faults.inject("disconnect", connection=session.id, form="abort")
    assert taken(session) == [Abort()]


def test_a_disconnect_hits_one_connection_or_all(bench: Any, taken: Take) -> None:
    first, second, third = (bench.session() for _ in range(3))
    assert bench.exchange.faults.inject("disconnect", connection=second.id, form="close") == 1
    assert [taken(s) for s in (first, second, third)] == [[], [Close(1001, "Going away")], []]
    assert bench.exchange.faults.inject("disconnect", form="abort") == 2
    assert [taken(s) for s in (first, third)] == [[Abort()], [Abort()]]
    assert bench.exchange.connections == {}


def test_nothing_is_kept_of_a_closed_connection(bench: Any) -> None:
    session = bench.session("/stream?streams=ethusdt@depth/ethusdt@bookTicker/btcusdt@depth5")
    session.close()
    assert bench.exchange.connections == {}
    assert not any(instrument.listeners for instrument in bench.exchange.instruments.values())
