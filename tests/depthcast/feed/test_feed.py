"""The feed over sockets that are scripted, in a time of their own: what it does when connections fail.

``rig.pass_s`` lets the feed run for so many seconds of its own clock, which moves with each of its ticks.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from depthcast.dispatch import Dispatcher
from depthcast.errors import MalformedFrame, RateLimited, VenueError, VenueUnavailable
from depthcast.events import Diff, LevelSnapshot
from depthcast.feed import Feed, FeedLimits
from depthcast.feed.connection import LARGE_BYTES
from depthcast.venues import Event, Reached, Venue, Welcome
from depthcast.venues.binance import Binance


class FakeSocket:
    """The exchange's end of one connection. By default it acknowledges and answers pings."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.frames: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.pings: list[float] = []
        self.subscribed: set[str] = set()
        self.acks = True
        self.pongs = True
        self.open = True
        self.said_goodbye = False

    # As the feed sees it

    async def recv(self) -> bytes:
        frame = await self.frames.get()
        if isinstance(frame, Exception):
            raise frame
        return frame

    async def send(self, text: str) -> None:
        message = json.loads(text)
        self.sent.append((self.clock(), message))
        if self.acks:
            names = {name.partition("@")[0].upper() for name in message["params"]}
            if message["method"] == "SUBSCRIBE":
                self.subscribed |= names
            else:
                self.subscribed -= names
            self.say({"result": None, "id": message["id"]})

    async def ping(self) -> None:
        self.pings.append(self.clock())
        if not self.pongs:
            await asyncio.Event().wait()

    async def close(self) -> None:
        self.said_goodbye = True

    def abort(self) -> None:
        self.open = False

    # As the test sees it

    def say(self, message: object) -> None:
        self.frames.put_nowait(json.dumps(message).encode())

    def deliver(self, symbol: str, update_id: int) -> None:
        """A diff, if the symbol is subscribed."""
        if symbol in self.subscribed:
            data = {"e": "depthUpdate", "E": 1, "s": symbol, "U": update_id, "u": update_id, "b": [], "a": []}
            self.say({"stream": f"{symbol.lower()}@depth@100ms", "data": data})

    def cut(self) -> None:
        self.frames.put_nowait(VenueUnavailable("the websocket was closed: 1006"))


class Rig:
    """A running feed, its clock, and the sockets it opened."""

    def __init__(self, limits: FeedLimits, venue: Venue | None = None) -> None:
        self.now = 1000.0
        self.sockets: list[FakeSocket] = []
        self.attempts: list[float] = []
        self.failures: list[VenueError] = []
        self.prepare: Callable[[FakeSocket], None] = lambda _: None
        self.diffs: list[Diff] = []
        self.errors: list[tuple[str | None, Exception]] = []
        self.lost: list[Sequence[str]] = []
        self.reached: list[tuple[str, int]] = []
        self.on_diff: Callable[[Diff], None] = self.diffs.append
        self.on_error: Callable[[], None] = lambda: None
        self.dispatcher = Dispatcher(clock=lambda: self.now)
        self.feed = Feed(
            venue or Binance(),
            on_diff=lambda diff: self.on_diff(diff),
            on_error=self.hear_error,
            on_connection_lost=self.lost.append,
            on_reached=self.hear_reached,
            limits=limits,
            connect=self.connect,
            dispatcher=self.dispatcher,
            clock=lambda: self.now,
            sleep=self.sleep,
            rng=Random(11),
        )

    def hear_reached(self, symbol: str, update_id: int) -> None:
        assert 1 // update_id >= 0, "a callback may raise"
        self.reached.append((symbol, update_id))

    def hear_error(self, symbol: str | None, error: Exception) -> None:
        self.errors.append((symbol, error))
        self.on_error()

    async def connect(self) -> FakeSocket:
        self.attempts.append(self.now)
        if self.failures:
            raise self.failures.pop(0)
        socket = FakeSocket(lambda: self.now)
        self.prepare(socket)
        self.sockets.append(socket)
        return socket

    async def sleep(self, delay_s: float) -> None:
        # Every other task has its turn several times between two ticks.
        for _ in range(4):
            await asyncio.sleep(0)
        self.now += delay_s

    async def pass_s(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:  # noqa: ASYNC110 - the feed under test moves this clock
            await asyncio.sleep(0)

    def open_sockets(self) -> list[FakeSocket]:
        return [socket for socket in self.sockets if socket.open]

    def messages(self) -> list[str]:
        return [str(error) for _, error in self.errors]


@asynccontextmanager
async def running(*symbols: str, **limits: Any) -> AsyncIterator[Rig]:
    async with ran(Rig(FeedLimits(**limits)), *symbols) as rig:
        yield rig


@asynccontextmanager
async def ran(rig: Rig, *symbols: str) -> AsyncIterator[Rig]:
    rig.feed.subscribe(symbols)
    run = asyncio.create_task(rig.feed.run())
    try:
        await rig.pass_s(2.0)
        yield rig
        assert not run.done(), run
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert rig.open_sockets() == []


# Subscribing


async def test_diffs_of_subscribed_symbols_are_handed_on_in_order() -> None:
    async with running("A", "B") as rig:
        (socket,) = rig.sockets
        for update_id in (1, 2, 3):
            socket.deliver("A", update_id)
            socket.deliver("B", update_id * 10)
        await rig.pass_s(0.2)
        assert [(diff.symbol, diff.last) for diff in rig.diffs] == [
            ("A", 1), ("B", 10), ("A", 2), ("B", 20), ("A", 3), ("B", 30),
        ]  # fmt: skip
        assert rig.feed.live("A")
        assert not rig.feed.live("C")
        assert rig.errors == []


async def test_a_symbol_is_live_only_when_it_is_acknowledged() -> None:
    rig = Rig(FeedLimits())
    rig.prepare = lambda socket: setattr(socket, "acks", False)
    rig.feed.subscribe(["A"])
    assert not rig.feed.live("A")
    run = asyncio.create_task(rig.feed.run())
    await rig.pass_s(1.0)
    assert not rig.feed.live("A")
    rig.sockets[0].say({"result": None, "id": 1})
    await rig.pass_s(0.2)
    assert rig.feed.live("A")
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_symbols_are_spread_over_connections_in_batches_at_a_gentle_pace() -> None:
    symbols = [f"S{number:03}" for number in range(50)]
    async with running(*symbols, streams_per_connection=20, names_per_message=4) as rig:
        await rig.pass_s(3.0)
        assert [len(socket.subscribed) for socket in rig.sockets] == [20, 20, 10]
        for socket in rig.sockets:
            times = [at for at, _ in socket.sent]
            assert all(len(message["params"]) <= 4 for _, message in socket.sent)
            assert all(sum(at <= other < at + 1.0 for other in times) <= 3 for at in times)
        assert rig.feed.status().live == 50


async def test_a_symbol_that_was_given_up_is_not_delivered_any_more() -> None:
    async with running("A", "B") as rig:
        rig.feed.unsubscribe(["A", "NEVER"])
        (socket,) = rig.sockets
        socket.deliver("A", 1)  # on its way when the subscription ended
        await rig.pass_s(1.0)
        assert rig.diffs == []
        assert socket.subscribed == {"B"}
        rig.feed.subscribe(["C", "B"])
        await rig.pass_s(1.0)
        assert socket.subscribed == {"B", "C"}
        assert len(rig.sockets) == 1


async def test_a_connection_without_symbols_is_closed() -> None:
    async with running("A", "B", streams_per_connection=1) as rig:
        rig.feed.unsubscribe(["A"])
        await rig.pass_s(1.0)
        first, second = rig.sockets
        assert not first.open
        assert first.said_goodbye
        assert second.open
        assert rig.feed.live("B")
        assert rig.lost == []


async def test_a_refused_subscription_is_reported_and_asked_again_on_the_same_connection() -> None:
    def refuse_once(socket: FakeSocket) -> None:
        socket.acks = False
        socket.say({"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 1})

    rig = Rig(FeedLimits(refused_initial_s=3.0))
    rig.prepare = refuse_once
    rig.feed.subscribe(["A"])
    run = asyncio.create_task(rig.feed.run())
    await rig.pass_s(0.3)
    rig.sockets[0].say({"code": 2, "msg": "Invalid request", "id": 1})
    rig.sockets[0].acks = True
    await rig.pass_s(4.0)
    assert "Too many subscriptions" in rig.messages()[0]
    assert rig.feed.live("A")
    assert len(rig.sockets) == 1
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_a_symbol_that_the_exchange_refuses_is_named_and_the_others_are_delivered() -> None:
    def refuse(socket: FakeSocket) -> None:
        plain = socket.send

        async def send(text: str) -> None:
            message = json.loads(text)
            if any(name.startswith("bad") for name in message["params"]):
                socket.say({"error": {"code": 2, "msg": "unknown stream"}, "id": message["id"]})
            else:
                await plain(text)

        socket.send = send  # type: ignore[method-assign]

    rig = Rig(FeedLimits(refused_initial_s=1.0))
    rig.prepare = refuse
    async with ran(rig, "A", "B", "BAD", "C", "D"):
        await rig.pass_s(20.0)
        (socket,) = rig.sockets
        for symbol in "ABCD":
            socket.deliver(symbol, 1)
        await rig.pass_s(0.2)
        assert [diff.symbol for diff in rig.diffs] == ["A", "B", "C", "D"]
        named = [str(error) for symbol, error in rig.errors if symbol == "BAD"]
        assert "BAD alone: 2 unknown stream" in named[0]
        assert {symbol for symbol, _ in rig.errors} == {None, "BAD"}


# Faults


async def test_a_lost_connection_is_told_and_replaced() -> None:
    async with running("A", "B") as rig:
        rig.sockets[0].cut()
        await rig.pass_s(2.0)
        assert rig.lost == [["A", "B"]]
        assert "1006" in rig.messages()[0]
        assert rig.open_sockets() == rig.sockets[1:]
        assert rig.sockets[1].subscribed == {"A", "B"}
        assert rig.feed.live("A")
        assert rig.feed.status().lost == 1


async def test_only_the_symbols_of_the_lost_connection_are_concerned() -> None:
    async with running("A", "B", streams_per_connection=1) as rig:
        rig.sockets[0].cut()
        await rig.pass_s(0.2)
        assert rig.lost == [["A"]]
        assert rig.feed.live("B")


async def test_attempts_to_connect_grow_apart_and_go_on() -> None:
    rig = Rig(FeedLimits(reconnect_initial_s=1.0, reconnect_maximum_s=20.0))
    rig.failures = [VenueUnavailable("refused") for _ in range(30)]
    rig.feed.subscribe(["A"])
    run = asyncio.create_task(rig.feed.run())
    await rig.pass_s(600.0)
    gaps = [later - earlier for earlier, later in pairwise(rig.attempts)]
    assert len(rig.attempts) == 31
    assert max(gaps[:2]) <= 2.3
    assert 10.0 < max(gaps) <= 20.3
    assert rig.sockets[0].subscribed == {"A"}
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_attempts_of_all_lines_together_keep_to_their_bound() -> None:
    symbols = [f"S{number}" for number in range(30)]
    async with running(*symbols, streams_per_connection=1, connects_per_5_min=10) as rig:
        assert len(rig.attempts) == 10
        await rig.pass_s(310.0)
        assert len(rig.attempts) == 20


class Welcoming(Binance):
    """An exchange that tells how many connections are left."""

    def parse_frame(self, frame: str | bytes) -> Event:
        message = json.loads(frame)
        return Welcome(message["left"]) if "left" in message else super().parse_frame(frame)


@pytest.mark.parametrize(("left", "attempts"), [(59, 9), (20, 3), (2, 1)])
async def test_what_the_exchange_says_is_left_settles_how_soon_a_lost_connection_is_replaced(
    left: int, attempts: int
) -> None:
    rig = Rig(FeedLimits(connects_per_5_min=5, reconnect_initial_s=0.5), Welcoming())
    rig.prepare = lambda socket: socket.say({"left": left})
    async with ran(rig, "A"):
        for _ in range(8):
            for socket in rig.open_sockets():
                socket.cut()
            await rig.pass_s(18.0)
        assert len(rig.attempts) == attempts


class Beating(Binance):
    """An exchange that tells how far a symbol has come."""

    def parse_frame(self, frame: str | bytes) -> Event:
        message = json.loads(frame)
        return Reached(*message["at"]) if "at" in message else super().parse_frame(frame)


async def test_how_far_the_exchange_has_come_is_passed_on_of_symbols_that_are_subscribed_to() -> None:
    rig = Rig(FeedLimits(), Beating())
    async with ran(rig, "A"):
        (socket,) = rig.open_sockets()
        for at in (["A", 7], ["B", 8], ["A", 0], ["A", 9]):
            socket.say({"at": at})
        await rig.pass_s(0.2)
        assert rig.reached == [("A", 7), ("A", 9)]
        ((symbol, error),) = rig.errors
        assert (symbol, type(error)) == ("A", ZeroDivisionError)


async def test_a_refused_handshake_with_a_pause_holds_all_lines_back() -> None:
    rig = Rig(FeedLimits(streams_per_connection=1))
    rig.failures = [RateLimited(120_000, banned=True)]
    rig.feed.subscribe(["A"])
    run = asyncio.create_task(rig.feed.run())
    await rig.pass_s(1.0)
    rig.feed.subscribe(["B"])
    await rig.pass_s(117.0)
    assert len(rig.attempts) == 1
    await rig.pass_s(4.0)
    assert rig.feed.live("A")
    assert rig.feed.live("B")
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_a_half_open_connection_is_told_from_a_quiet_one() -> None:
    async with running("A", "B", streams_per_connection=1, idle_timeout_s=30.0, silent_after_s=1e6) as rig:
        half_open, quiet = rig.sockets
        half_open.pongs = False
        await rig.pass_s(100.0)
        assert not half_open.open
        assert not half_open.said_goodbye, "nobody is there to shake hands with"
        assert quiet.open
        assert len(quiet.pings) >= 9
        assert rig.lost == [["A"]]
        assert "half open" in rig.messages()[0]
        assert rig.feed.live("A")


async def test_a_busy_connection_is_not_pinged() -> None:
    async with running("A") as rig:
        (socket,) = rig.sockets
        before = len(socket.pings)
        for update_id in range(1, 60):
            socket.deliver("A", update_id)
            await rig.pass_s(1.0)
        assert len(socket.pings) == before


async def test_a_symbol_is_as_old_as_what_its_connection_was_heard_of_last() -> None:
    async with running("A", "B", probe_after_s=4.0) as rig:
        (socket,) = rig.sockets
        socket.deliver("B", 1)
        await rig.pass_s(2.0)
        assert rig.feed.heard_age_s("A") == pytest.approx(2.0, abs=0.2), "another symbol's frame counts"
        await rig.pass_s(3.0)
        assert len(socket.pings) == 1
        assert rig.feed.heard_age_s("A") == pytest.approx(1.0, abs=0.3), "a pong counts"
        socket.pongs = False
        await rig.pass_s(8.0)
        assert rig.feed.heard_age_s("A") == pytest.approx(9.0, abs=0.3)
        assert rig.feed.heard_age_s("C") is None
        rig.failures += [VenueUnavailable("refused")] * 100
        socket.cut()
        await rig.pass_s(1.0)
        assert rig.feed.heard_age_s("A") is None


class Texting(Binance):
    """A venue that is asked by a text whether it is there."""

    heartbeat: Any = "ping"


async def test_a_text_asks_a_quiet_connection_whether_it_is_there_and_anything_answers() -> None:
    said: list[float] = []

    def prepare(socket: FakeSocket) -> None:
        plain = socket.send

        async def send(text: str) -> None:
            if text != "ping":
                await plain(text)
                return
            said.append(rig.now)
            if socket.pongs:
                socket.frames.put_nowait(b'{"e":"pong"}')

        socket.send = send  # type: ignore[method-assign]

    rig = Rig(FeedLimits(probe_after_s=5.0, idle_timeout_s=10.0, silent_after_s=1e6), Texting())
    rig.prepare = prepare
    async with ran(rig, "A"):
        (socket,) = rig.sockets
        await rig.pass_s(21.0)
        # Once in so many seconds without a frame, and no websocket's ping.
        assert len(said) == 4
        assert all(5.0 <= after - before < 5.5 for before, after in pairwise(said))
        assert socket.pings == []
        assert len(rig.sockets) == 1
        socket.pongs = False
        await rig.pass_s(11.0)
        assert rig.lost == [["A"]]
        assert any("half open" in message for message in rig.messages())
        await rig.pass_s(2.0)
        assert len(rig.sockets) == 2


class Unnumbered(Binance):
    """A venue of which nothing shows that a frame is missing."""

    numbered: Any = False


async def test_where_nothing_is_numbered_a_bad_frame_costs_its_symbol_a_new_beginning() -> None:
    async with ran(Rig(FeedLimits(silent_after_s=1e6), Unnumbered()), "A", "B") as rig:
        (socket,) = rig.sockets
        socket.say({"stream": "a@depth@100ms", "data": {"e": "depthUpdate", "s": "A"}})
        await rig.pass_s(2.0)
        assert rig.lost == [["A"]]
        asked = [(message["method"], message["params"]) for _, message in socket.sent[1:]]
        assert asked == [("UNSUBSCRIBE", ["a@depth@100ms"]), ("SUBSCRIBE", ["a@depth@100ms"])]
        assert rig.sockets == [socket]


async def test_where_nothing_is_numbered_a_bad_frame_of_nobody_knows_whom_costs_the_connection() -> None:
    async with ran(Rig(FeedLimits(silent_after_s=1e6), Unnumbered()), "A", "B") as rig:
        (socket,) = rig.sockets
        socket.frames.put_nowait(b"{")
        await rig.pass_s(3.0)
        assert rig.lost == [["A", "B"]]
        assert len(rig.sockets) == 2


async def test_a_successor_is_not_asked_while_the_old_connection_is_there() -> None:
    async with running("A", overlap_s=30.0) as rig:
        (old,) = rig.sockets
        old.pongs = False
        old.say({"e": "serverShutdown", "E": 1})
        await rig.pass_s(10.0)
        assert len(rig.open_sockets()) == 2
        assert rig.feed.heard_age_s("A") == pytest.approx(10.0, abs=0.3)


async def test_a_subscription_that_is_not_answered_is_a_fault_of_the_connection() -> None:
    async with running("A", ack_timeout_s=10.0) as rig:
        rig.sockets[0].acks = False
        rig.feed.subscribe(["B"])
        await rig.pass_s(13.0)
        assert "no answer to a subscription" in rig.messages()[0]
        assert rig.sockets[1].subscribed == {"A", "B"}


async def test_malformed_frames_are_reported_and_the_connection_goes_on() -> None:
    async with running("A", malformed_in_a_row=3) as rig:
        (socket,) = rig.sockets
        bad = {"stream": "a@depth@100ms", "data": {"e": "depthUpdate", "s": "A"}}
        for _ in range(4):
            socket.say(bad)
            socket.frames.put_nowait(b"\xff")
            socket.deliver("A", 7)
        await rig.pass_s(0.5)
        assert [symbol for symbol, _ in rig.errors] == ["A", None] * 4
        assert all(isinstance(error, MalformedFrame) for _, error in rig.errors)
        assert len(rig.diffs) == 4
        assert rig.open_sockets() == [socket]
        assert rig.feed.status().malformed == 8


async def test_nothing_but_malformed_frames_is_a_fault_of_the_connection() -> None:
    async with running("A", malformed_in_a_row=3) as rig:
        for _ in range(5):
            rig.sockets[0].frames.put_nowait(b"<html>")
        await rig.pass_s(2.0)
        assert len(rig.errors) == 4
        assert "3 malformed frames in a row" in rig.messages()[-1]
        assert not rig.sockets[0].open
        assert rig.feed.live("A")


async def test_frames_of_other_streams_are_passed_over() -> None:
    async with running("A") as rig:
        rig.sockets[0].say({"stream": "a@bookTicker", "data": {"u": 1, "s": "A"}})
        rig.sockets[0].deliver("A", 1)
        await rig.pass_s(0.3)
        assert len(rig.diffs) == 1
        assert rig.errors == []


async def test_an_error_nobody_foresaw_ends_the_connection_and_not_the_feed() -> None:
    async with running("A") as rig:
        rig.sockets[0].frames.put_nowait(ZeroDivisionError("what"))
        await rig.pass_s(2.0)
        assert "ZeroDivisionError('what')" in rig.messages()[0]
        assert rig.lost == [["A"]]
        assert rig.feed.live("A")


async def test_a_callback_that_raises_does_not_end_the_reading() -> None:
    async with running("A") as rig:

        def fail(diff: Diff) -> None:
            rig.diffs.append(diff)
            raise RuntimeError("mine")

        rig.on_diff = fail
        rig.sockets[0].deliver("A", 1)
        rig.sockets[0].deliver("A", 2)
        await rig.pass_s(0.3)
        assert len(rig.diffs) == 2
        assert [(symbol, str(error)) for symbol, error in rig.errors] == [("A", "mine")] * 2
        assert rig.open_sockets() == rig.sockets


# Silence


async def test_a_silent_stream_is_subscribed_anew_where_its_neighbours_deliver() -> None:
    async with running("LOUD", "MUTE", silent_after_s=60.0) as rig:
        (socket,) = rig.sockets
        socket.subscribed.discard("MUTE")  # acknowledged, and then forgotten
        for update_id in range(1, 66):
            socket.deliver("LOUD", update_id)
            await rig.pass_s(1.0)
        assert [symbol for symbol, _ in rig.errors] == ["MUTE"]
        assert [message["method"] for _, message in socket.sent] == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]
        assert socket.sent[-1][1]["params"] == ["mute@depth@100ms"]
        assert not rig.feed.live("MUTE")
        assert rig.feed.live("LOUD")
        socket.deliver("MUTE", 1)
        await rig.pass_s(0.3)
        assert rig.feed.live("MUTE")


async def test_a_stream_that_ended_while_its_neighbours_go_on_is_renewed_where_it_is_asked_for() -> None:
    async with running("GOES", "ENDS") as rig:
        (socket,) = rig.sockets
        for symbol in ("GOES", "ENDS"):
            socket.deliver(symbol, 1)
        await rig.pass_s(0.3)
        socket.subscribed.discard("ENDS")
        rig.feed.renew(["ENDS", "UNKNOWN"])
        assert not rig.feed.live("ENDS")
        await rig.pass_s(1.0)
        assert [message["method"] for _, message in socket.sent] == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]
        assert socket.sent[-1][1]["params"] == ["ends@depth@100ms"]
        assert rig.feed.live("ENDS")
        socket.deliver("ENDS", 5)
        await rig.pass_s(0.3)
        assert [(each.symbol, each.last) for each in rig.diffs][-1] == ("ENDS", 5)
        assert rig.lost == []


async def test_a_stream_that_stays_silent_is_moved_once_and_then_tried_ever_more_seldom() -> None:
    async with running("LOUD", "MUTE", silent_after_s=10.0, silent_maximum_s=100.0) as rig:
        for update_id in range(1, 600):
            for socket in rig.open_sockets():
                socket.deliver("LOUD", update_id)
            await rig.pass_s(1.0)
        first, second = rig.sockets
        assert first.subscribed == {"LOUD"}
        assert second.subscribed == {"MUTE"}
        asked = [[at for at, message in s.sent if message["method"] == "SUBSCRIBE"] for s in rig.sockets]
        gaps = [[b - a for a, b in pairwise(times)] for times in asked]
        assert gaps[0] == pytest.approx([10, 20], abs=2.5)  # and 40 s later it was moved
        assert gaps[1][:6] == pytest.approx([10, 20, 40, 80, 100, 100], abs=2.5)
        assert all(symbol == "MUTE" for symbol, _ in rig.errors)
        assert rig.lost == []


@pytest.mark.parametrize("renewals_before_move", [0, 2])
async def test_symbols_may_be_given_up_by_the_callback_that_hears_of_their_silence(
    renewals_before_move: int,
) -> None:
    async with running("A", "B", "C", silent_after_s=10.0, renewals_before_move=renewals_before_move) as rig:
        rig.on_error = lambda: rig.feed.unsubscribe(["A", "B"])
        await rig.pass_s(15.0)
        assert rig.feed.status().symbols == 1
        assert [socket.subscribed for socket in rig.open_sockets()] == [{"C"}]


# Rotation


async def hand_over(rig: Rig, seconds: float, *, from_id: int, skip: Callable[[FakeSocket], bool]) -> int:
    """Let time pass while every open socket that ``skip`` does not name delivers A and B each second."""
    update_id = from_id
    for _ in range(round(seconds)):
        for socket in rig.open_sockets():
            if not skip(socket):
                socket.deliver("A", update_id)
                socket.deliver("B", update_id)
        update_id += 1
        await rig.pass_s(1.0)
    return update_id


def nobody(_: FakeSocket) -> bool:
    return False


async def test_a_connection_is_replaced_before_its_age_ends_and_no_diff_is_lost() -> None:
    async with running("A", "B", max_age_s=100.0, age_jitter=0.1) as rig:
        await hand_over(rig, 250, from_id=1, skip=nobody)
        assert rig.feed.status().rotations == 2
        assert len(rig.sockets) == 3
        assert [socket.open for socket in rig.sockets] == [False, False, True]
        assert all(socket.said_goodbye for socket in rig.sockets[:2])
        for symbol in "AB":
            assert {diff.last for diff in rig.diffs if diff.symbol == symbol} == set(range(1, 251))
        assert rig.lost == []
        assert rig.errors == []
        assert all(90.0 <= later - earlier <= 101.0 for earlier, later in pairwise(rig.attempts))


@pytest.mark.parametrize(
    "notice",
    [
        {"e": "serverShutdown", "E": 1},
        {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}},
    ],
)
async def test_an_announced_end_opens_a_successor_at_once(notice: object) -> None:
    async with running("A", "B") as rig:
        rig.sockets[0].say(notice)
        await rig.pass_s(0.3)
        assert len(rig.open_sockets()) == 2
        assert [status.role for status in rig.feed.status().connections] == ["current", "successor"]
        await hand_over(rig, 3, from_id=1, skip=nobody)
        assert rig.open_sockets() == [rig.sockets[1]]
        assert {diff.last for diff in rig.diffs} == {1, 2, 3}


async def test_quiet_symbols_are_handed_over_after_half_of_the_overlap() -> None:
    async with running("A", "B", overlap_s=30.0) as rig:
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await rig.pass_s(14.0)
        assert len(rig.open_sockets()) == 2
        await rig.pass_s(3.0)
        assert rig.open_sockets() == [rig.sockets[1]]


async def test_a_successor_that_does_not_deliver_is_discarded_and_another_one_tried() -> None:
    async with running("A", "B", overlap_s=30.0, handover_initial_s=1.0) as rig:
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await hand_over(rig, 40, from_id=1, skip=lambda socket: socket in rig.sockets[1:2])
        assert "did not deliver within 30 s" in rig.messages()[0]
        assert [socket.open for socket in rig.sockets] == [False, False, True]
        assert rig.feed.status().rotations == 1
        assert {diff.last for diff in rig.diffs} == set(range(1, 41))
        assert rig.lost == []


async def test_a_successor_without_one_of_the_streams_does_not_take_over() -> None:
    async with running("A", "B", overlap_s=30.0, handover_initial_s=1.0) as rig:
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await rig.pass_s(1.0)
        rig.sockets[1].subscribed.discard("B")
        await hand_over(rig, 28, from_id=1, skip=nobody)
        assert rig.sockets[0].open
        await hand_over(rig, 12, from_id=29, skip=nobody)
        assert [socket.open for socket in rig.sockets] == [False, False, True]
        assert rig.lost == []


async def test_a_successor_takes_over_when_the_old_connection_dies_before_it_was_retired() -> None:
    async with running("A", "B") as rig:
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await rig.pass_s(3.0)
        rig.sockets[0].cut()
        await rig.pass_s(1.0)
        assert rig.open_sockets() == [rig.sockets[1]]
        assert rig.lost == [], "the old one was heard after the successor was acknowledged"
        assert len(rig.attempts) == 2
        await hand_over(rig, 2, from_id=1, skip=nobody)
        assert {diff.last for diff in rig.diffs} == {1, 2}


@pytest.mark.parametrize("heard", [("A", "B"), ("A",)], ids=["both", "one"])
@pytest.mark.parametrize("overlap_s", [8.0, 60.0], ids=["retired", "found to be half open"])
async def test_what_came_between_a_half_open_connection_and_its_successor_is_told(
    heard: tuple[str, ...], overlap_s: float
) -> None:
    async with running(
        "A", "B", max_age_s=100.0, age_jitter=0.0, overlap_s=overlap_s, idle_timeout_s=15.0
    ) as rig:
        await rig.pass_s(95.0)
        old = rig.sockets[0]
        old.pongs = False  # From here on nothing comes any more, and nobody has noticed.
        await rig.pass_s(7.0)
        assert rig.open_sockets() == rig.sockets
        for symbol in heard:
            rig.sockets[1].deliver(symbol, 7)
        await rig.pass_s(10.0)
        assert rig.open_sockets() == [rig.sockets[1]]
        # Of what the new connection has delivered the ids tell; of the rest nothing else does.
        assert rig.lost == ([] if len(heard) == 2 else [["B"]])


async def test_symbols_the_successor_does_not_have_yet_are_lost_with_the_old_connection() -> None:
    async with running("A", "B") as rig:
        rig.prepare = lambda socket: setattr(socket, "acks", False)
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await rig.pass_s(1.0)
        rig.sockets[0].cut()
        await rig.pass_s(0.3)
        assert rig.lost == [["A", "B"]]


async def test_a_successor_that_dies_is_replaced_while_the_old_connection_goes_on() -> None:
    async with running("A", "B", handover_initial_s=1.0) as rig:
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await rig.pass_s(1.0)
        rig.sockets[1].cut()
        await hand_over(rig, 5, from_id=1, skip=nobody)
        assert [socket.open for socket in rig.sockets] == [False, False, True]
        assert {diff.last for diff in rig.diffs} == {1, 2, 3, 4, 5}
        assert rig.lost == []


async def test_attempts_at_a_successor_grow_apart_while_the_old_connection_goes_on() -> None:
    async with running("A", "B", handover_initial_s=4.0, handover_maximum_s=64.0) as rig:
        rig.failures = [VenueUnavailable("refused") for _ in range(8)]
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await hand_over(rig, 400, from_id=1, skip=nobody)
        gaps = [later - earlier for earlier, later in pairwise(rig.attempts[1:])]
        assert len(gaps) == 8
        assert max(gaps) > 16.0
        assert {diff.last for diff in rig.diffs} == set(range(1, 401))


async def test_a_venue_that_announces_the_end_of_every_connection_is_not_followed_at_any_pace() -> None:
    async with running("A", "B") as rig:
        rig.prepare = lambda socket: socket.say({"e": "serverShutdown", "E": 1})
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await hand_over(rig, 300, from_id=1, skip=nobody)
        assert 3 < len(rig.attempts) < 20
        assert {diff.last for diff in rig.diffs} == set(range(1, 301))


async def test_symbols_added_during_an_overlap_go_to_both_connections() -> None:
    async with running("A") as rig:
        rig.sockets[0].say({"e": "serverShutdown", "E": 1})
        await rig.pass_s(1.0)
        rig.feed.subscribe(["B"])
        await rig.pass_s(1.0)
        assert [socket.subscribed for socket in rig.sockets] == [{"A", "B"}, {"A", "B"}]


# The whole


async def test_totals_outlive_the_connections_they_were_counted_on() -> None:
    async with running("A") as rig:
        rig.sockets[0].deliver("A", 1)
        await rig.pass_s(0.3)
        before = rig.feed.status()
        rig.sockets[0].cut()
        await rig.pass_s(2.0)
        after = rig.feed.status()
        assert before.frames == 2
        assert after.frames == 3  # the second acknowledgement
        assert after.bytes > before.bytes > 0
        (connection,) = after.connections
        assert (connection.role, connection.symbols, connection.acked, connection.frames) == (
            "current",
            1,
            1,
            1,
        )
        assert after.url == "wss://data-stream.binance.vision/stream"


async def test_a_feed_that_runs_cannot_be_run_twice_but_again() -> None:
    rig = Rig(FeedLimits())
    rig.feed.subscribe(["A"])
    for number in (1, 2):
        run = asyncio.create_task(rig.feed.run())
        await rig.pass_s(1.0)
        with pytest.raises(RuntimeError):
            await rig.feed.run()
        assert rig.feed.live("A")
        assert len(rig.sockets) == number
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert rig.open_sockets() == []
        assert not rig.feed.live("A")


async def test_a_cancelled_attempt_to_connect_leaves_no_socket_behind() -> None:
    rig = Rig(FeedLimits())
    gate = asyncio.Event()
    made: list[FakeSocket] = []

    async def connect_in_spite_of_cancellation() -> FakeSocket:
        made.append(FakeSocket(lambda: 0.0))
        with suppress(asyncio.CancelledError):
            await gate.wait()
        return made[-1]

    rig.feed = Feed(
        Binance(),
        on_diff=rig.diffs.append,
        connect=connect_in_spite_of_cancellation,
        clock=lambda: rig.now,
        sleep=rig.sleep,
    )
    rig.feed.subscribe(["A"])
    run = asyncio.create_task(rig.feed.run())
    await rig.pass_s(1.0)
    assert rig.feed.status().opening == 1
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert [socket.open for socket in made] == [False]


# Turns: more at once than may be applied at once


class BusyRig(Rig):
    """Every diff takes 0.75 ms of the feed's clock to apply, so that two are as many as a turn takes."""

    def busy(self) -> None:
        self.on_diff = self.apply
        self.applied: list[tuple[float, Diff]] = []

    def apply(self, diff: Diff) -> None:
        self.now += 0.00075
        self.applied.append((self.now, diff))


@asynccontextmanager
async def busy(*symbols: str, venue: Venue | None = None, **limits: Any) -> AsyncIterator[BusyRig]:
    rig = BusyRig(FeedLimits(**limits), venue)
    rig.busy()
    rig.feed.subscribe(symbols)
    run = asyncio.create_task(rig.feed.run())
    try:
        # The rig's time passes between turns, too, which are nobody's work.
        with patch("depthcast.dispatch.LONGEST_S", 0.0):
            await rig.pass_s(2.0)
            yield rig
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def test_a_burst_of_one_symbol_does_not_hold_up_another_one() -> None:
    async with busy("BUSY", "QUIET") as rig:
        socket, began = rig.sockets[0], rig.now
        for update_id in range(1, 61):
            socket.deliver("BUSY", update_id)
        socket.deliver("QUIET", 1)
        await rig.pass_s(1.0)
        applied = [(diff.symbol, diff.last) for _, diff in rig.applied]
        assert [last for symbol, last in applied if symbol == "BUSY"] == list(range(1, 61))
        assert applied.index(("QUIET", 1)) < 40, "read behind all, and among the first to be applied"
        assert began + 0.045 <= rig.applied[-1][0] < began + 1.0


class Whole(Binance):
    """Frames with bids are whole books, which take 14 ms to read."""

    def reading(self, read: Callable[[Diff], None]) -> "Whole":
        object.__setattr__(self, "read", read)
        return self

    def parse_frame(self, frame: str | bytes) -> Any:
        event = super().parse_frame(frame)
        if isinstance(event, Diff) and event.bids:
            self.read(event)  # type: ignore[attr-defined]
            return LevelSnapshot(event.symbol, event)
        return event


@pytest.mark.parametrize("before", [0, 30], ids=["where it comes up", "in its turn"])
@pytest.mark.parametrize("large", [True, False])
async def test_reading_a_large_whole_book_and_building_it_are_two_turns(large: bool, before: int) -> None:
    venue = Whole()
    async with busy("WHOLE", "BUSY", venue=venue) as rig:
        socket, dispatcher = rig.sockets[0], rig.dispatcher
        said: list[tuple[str, int]] = []

        def read(event: Diff) -> None:
            said.append(("read", dispatcher.turns))
            rig.now += 0.014

        def took(event: Any) -> None:
            if isinstance(event, LevelSnapshot):
                said.append(("took", dispatcher.turns))
            else:
                rig.apply(event)

        venue.reading(read)
        rig.on_diff = took
        for update_id in range(before):
            socket.deliver("BUSY", update_id + 1)
        levels = [["1.0", "2.0"]] * (LARGE_BYTES // 10 if large else 2)
        data = {"e": "depthUpdate", "E": 1, "s": "WHOLE", "U": 1, "u": 1, "b": levels, "a": []}
        whole = {"stream": "whole@depth@100ms", "data": data}
        socket.frames.put_nowait(json.dumps(whole, separators=(",", ":")).encode())
        socket.deliver("WHOLE", 2)
        await rig.pass_s(1.0)
        (first, read_at), (second, took_at) = said
        assert (first, second) == ("read", "took")
        assert (took_at > read_at) is large
        assert rig.applied[-1][1].last in (2, before)
        assert ("WHOLE", 2) in [(diff.symbol, diff.last) for _, diff in rig.applied]


async def test_what_waits_is_not_yet_heard() -> None:
    async with busy("BUSY", "QUIET") as rig:
        socket, ages = rig.sockets[0], []

        def apply(diff: Diff) -> None:
            rig.apply(diff)
            if diff.last == 20:
                socket.say({"stream": "other@trade", "data": {"e": "trade", "s": "OTHER"}})
            ages.append((rig.feed.heard_age_s("BUSY"), rig.feed.heard_age_s("QUIET")))

        rig.on_diff = apply
        for update_id in range(1, 41):
            socket.deliver("BUSY", update_id)
        await rig.pass_s(1.0)
        busy_s, quiet_s = ages[30]
        assert busy_s is not None
        assert quiet_s is not None
        assert busy_s > quiet_s + 0.01, "its book is as old as what it lacks, whatever else was heard"
        assert ages[-1][0] == ages[-1][1], "all was handed on"


async def test_a_loss_is_told_behind_the_diffs_that_were_read_before_it() -> None:
    async with busy("BUSY", "QUIET") as rig:
        lost_after: list[tuple[str, int]] = []

        def apply(diff: Diff) -> None:
            rig.apply(diff)
            told = [symbol for symbols in rig.lost for symbol in symbols]
            lost_after.extend((symbol, diff.last) for symbol in told if symbol not in dict(lost_after))

        rig.on_diff = apply
        for update_id in range(1, 101):
            rig.sockets[0].deliver("BUSY", update_id)
        rig.sockets[0].cut()
        await rig.pass_s(2.0)
        assert [diff.last for _, diff in rig.applied] == list(range(1, 101))
        assert dict(lost_after)["QUIET"] < 100, "of a symbol of which nothing waits it is told at once"
        assert "BUSY" not in dict(lost_after)
        assert ["BUSY"] in rig.lost


async def test_a_connection_with_too_much_waiting_is_not_read_and_loses_nothing() -> None:
    async with busy("BUSY", "QUIET", max_waiting_bytes=1000) as rig:
        socket = rig.sockets[0]
        for update_id in range(1, 101):
            socket.deliver("BUSY", update_id)
        most = unread = 0
        while len(rig.applied) < 100:
            await asyncio.sleep(0)
            (connection,) = rig.feed._lines[0].connections()
            most, unread = max(most, connection._waiting), max(unread, socket.frames.qsize())
        assert 1000 <= most < 1200, "one frame beyond the bound"
        assert unread > 50
        assert [diff.last for _, diff in rig.applied] == list(range(1, 101))
        assert connection._waiting == 0


async def test_what_waits_of_a_symbol_that_is_given_up_is_not_delivered() -> None:
    async with busy("BUSY", "QUIET") as rig:
        for update_id in range(1, 31):
            rig.sockets[0].deliver("BUSY", update_id)
        for _ in range(3):
            await asyncio.sleep(0)
        rig.feed.unsubscribe(["BUSY"])
        applied = len(rig.applied)
        await rig.pass_s(0.5)
        assert len(rig.applied) == applied < 30
        assert rig.messages() == []


async def test_an_error_of_a_diff_that_waited_is_reported() -> None:
    async with busy("BUSY") as rig:

        def fail(diff: Diff) -> None:
            rig.apply(diff)
            raise RuntimeError(f"no {diff.last}")

        rig.on_diff = fail
        for update_id in range(1, 11):
            rig.sockets[0].deliver("BUSY", update_id)
        await rig.pass_s(0.5)
        assert rig.messages() == [f"no {update_id}" for update_id in range(1, 11)]
