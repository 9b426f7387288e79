"""One client of the exchange's websocket: its limits, and what it is told."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from depthcast.venues.binance_streams import Limits
from server.push.channels import Channels
from server.push.counts import End, Kind
from server.push.hub import Reader, Source
from server.push.names import Target
from server.push.session import Abort, Close, Ping, Session

if TYPE_CHECKING:
    from tests.server.push.conftest import Site


class Nobody(Reader):
    """A reader that does not read."""

    kind = Kind.WEBSOCKET
    client = ""
    paused_at = None

    def offer(self, source: Source) -> None:
        pass

    def tick(self, now: float) -> None:
        pass

    def cut(self, why: End) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture
def channels(site: "Site") -> Channels:
    return Channels(site.hub, site.catalogue, call_later=site.call_later)


@pytest.fixture
def session(site: "Site", channels: Channels) -> Session:
    return Session(site.hub, channels, Nobody(), Target((), False, False), wall_ms=lambda: 1_700_000_000_123)


def ask(session: Session, method: str, *params: object) -> list[str]:
    words = session.say(json.dumps({"method": method, "params": params, "id": 1}))
    assert all(isinstance(word, str) for word in words)
    return [str(word) for word in words]


async def test_streams_are_subscribed_to_listed_and_left(session: Session, site: "Site") -> None:
    done = ['{"result":null,"id":1}']
    assert ask(session, "SUBSCRIBE", "ethusdt@depth5", "no such stream", "ethusdt@depth5") == done
    assert [channel.name for channel in session.joined] == ["ethusdt@depth5"]
    assert ask(session, "LIST_SUBSCRIPTIONS") == ['{"result":["ethusdt@depth5","no such stream"],"id":1}']
    assert site.hub.subscriptions == 2
    session.check()
    assert ask(session, "UNSUBSCRIBE", "ethusdt@depth5", "never was") == done
    assert session.subscriptions == ("no such stream",)
    session.end()
    session.check()
    assert site.hub.subscriptions == 0


async def test_the_property_combined_says_how_messages_are_wrapped(session: Session, site: "Site") -> None:
    assert ask(session, "GET_PROPERTY", "combined") == ['{"result":false,"id":1}']
    session.subscribe(["ethusdt@depth5"])
    await site.clock.settle()
    (channel,) = session.joined
    raw = session.news(channel)
    assert raw is not None
    assert raw.endswith(site.store.body(100, 5))
    assert session.news(channel) is None
    ask(session, "SET_PROPERTY", "combined", True)
    assert ask(session, "GET_PROPERTY", "combined") == ['{"result":true,"id":1}']
    await site.publish(101, epoch=0)
    await site.clock.advance(1)
    wrapped = session.news(channel)
    assert wrapped is not None
    assert wrapped.endswith(b'{"stream":"ethusdt@depth5","data":' + site.store.body(101, 5) + b"}")


async def test_the_sixth_message_within_a_second_is_too_many(session: Session) -> None:
    for begin in (0.0, 1.5, 3.0):
        assert [session.frame_came(begin + n / 10) for n in range(5)] == [None] * 5
    assert session.frame_came(3.99) == Close(1008, "Too many requests", End.REFUSED)


async def test_the_1025th_stream_ends_the_connection(session: Session, site: "Site") -> None:
    assert session.subscribe(f"s{n}@depth5" for n in range(1024)) == []
    words = session.say('{"method":"SUBSCRIBE","params":["ethusdt@depth5"],"id":1}')
    assert words == [
        '{"error":{"code":4,"msg":"Too many subscriptions"}}',
        Close(1008, "Too many subscriptions", End.REFUSED),
    ]
    session.check()
    session.end()
    assert site.hub.subscriptions == 0


async def test_all_connections_together_have_a_bound(make_site: "Callable[..., Awaitable[Site]]") -> None:
    site = await make_site(max_subscriptions=3)
    channels = Channels(site.hub, site.catalogue, call_later=site.call_later)
    first, second = (
        Session(site.hub, channels, Nobody(), Target((), False, False), wall_ms=lambda: 0) for _ in range(2)
    )
    assert first.subscribe(["a@depth5", "b@depth5"]) == []
    assert len(second.subscribe(["c@depth5", "d@depth5"])) == 2
    assert second.subscribe(["c@depth5"]) == []
    first.end()
    assert second.subscribe(["d@depth5", "e@depth5"]) == []
    second.end()
    site.hub.check()


async def test_a_name_that_no_stream_can_have_is_not_remembered(session: Session) -> None:
    assert ask(session, "SUBSCRIBE", "x" * 101) == ['{"result":null,"id":1}']
    assert session.subscriptions == ()


async def test_who_answers_pings_stays(session: Session, site: "Site") -> None:
    began = site.clock.now
    assert session.tick(began + 19.9) is None
    for n in range(1, 30):
        word = session.tick(began + 20 * n)
        assert word == Ping(b"1700000000123")
        session.pong(b"1700000000123")
        assert session.tick(began + 20 * n + 1) is None


async def test_who_does_not_is_cut_off_after_a_minute(session: Session, site: "Site") -> None:
    began = site.clock.now
    for at in (20, 40, 60):
        assert isinstance(session.tick(began + at), Ping)
        session.pong(b"")
        session.pong(b"another")
    assert not isinstance(session.tick(began + 79.9), Abort)
    assert session.tick(began + 80) == Abort(End.SILENT)


async def test_a_connection_lasts_a_day(session: Session, site: "Site") -> None:
    began = site.clock.now
    assert not isinstance(session.tick(began + 86_399), Close)
    session.pong(b"1700000000123")
    assert session.tick(began + 86_400) == Close(1001, "Going away", End.EXPIRED)


@pytest.mark.parametrize(
    ("target", "farewell"),
    [
        (Target((), False, False), '{"e":"serverShutdown","E":1700000000123}'),
        (
            Target((), True, True),
            '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000123000}}',
        ),
    ],
)
async def test_the_end_is_announced_in_the_exchanges_words(
    site: "Site", channels: Channels, target: Target, farewell: str
) -> None:
    session = Session(site.hub, channels, Nobody(), target, wall_ms=lambda: 1_700_000_000_123)
    assert session.farewell() == farewell


async def test_the_limits_are_the_documented_ones() -> None:
    assert Limits() == Limits(
        streams=1024, messages_a_second=5, ping_every_s=20, pong_within_s=60, life_s=86_400
    )
