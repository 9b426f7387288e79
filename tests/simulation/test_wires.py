"""The real ``websockets`` client and server in virtual time: the feed over its own way to the exchange."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from websockets.asyncio.server import ServerConnection, serve

from depthcast.events import Diff
from depthcast.feed import Feed, websocket
from depthcast.venues.binance import Binance
from simulator.connection import Abort, Close, Ping, Pong
from simulator.exchange import Exchange
from simulator.market import Profile, listing_of
from simulator.session import Session, parse_target
from tests.simulation.replicas import FEED_LIMITS
from tests.simulation.wires import Network
from tests.simulation.world import START_S, Process, World

SYMBOL = "ETHUSDT"


class Streams:
    """The simulator's exchange behind the real server."""

    def __init__(self, world: World, process: Process) -> None:
        self.exchange = Exchange(wall_ms=lambda: round(world.now * 1000), seed=1)
        self.exchange.add_market(listing_of(SYMBOL), Profile(20, 20, changes=4, quiet=0.0))
        self.opened = 0
        self._world = world
        self._process = process
        self._tick()

    def _tick(self) -> None:
        self.exchange.tick()
        self._world.later(0.1, self._tick)

    async def main(self) -> None:
        async with serve(self._handle, "exchange", 80, ping_interval=None, compression=None):
            await asyncio.Event().wait()

    async def _handle(self, connection: ServerConnection) -> None:
        request = parse_target("/stream", "")
        assert request is not None
        self.opened += 1
        woken = asyncio.Event()
        session = Session(self.exchange, self.opened, request, wake=lambda: self._process.deliver(woken.set))
        sending = asyncio.ensure_future(self._send(connection, session, woken))
        try:
            async for message in connection:
                assert isinstance(message, str)
                session.receive(message, self._world.now)
        finally:
            sending.cancel()
            session.close()

    async def _send(self, connection: ServerConnection, session: Session, woken: asyncio.Event) -> None:
        while True:
            await woken.wait()
            woken.clear()
            while session.outbox:
                match session.outbox.popleft():
                    case str() | bytes() as frame:
                        await connection.send(frame)
                    case Ping(payload):
                        await connection.ping(payload)
                    case Pong(payload):
                        await connection.pong(payload)
                    case Close(code, reason):
                        await connection.close(code, reason)
                    case Abort():
                        connection.transport.abort()


def test_the_feed_follows_the_exchange_over_its_real_client_whatever_becomes_of_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Compiled clients have sockets of their own, which know no other time than the machine's.
    monkeypatch.setattr(websocket, "may_be_fast", lambda _: False)
    world = World()
    network = Network(world)
    there, here = network.process("exchange"), network.process("client")
    streams = Streams(world, there)
    there.spawn(streams.main())
    diffs: list[Diff] = []
    feed = Feed(
        Binance("http://exchange", "ws://exchange:80"),
        on_diff=diffs.append,
        limits=FEED_LIMITS,
        clock=here.loop.time,
        rng=Random(1),
    )
    feed.subscribe([SYMBOL])
    here.spawn(feed.run())

    def is_current() -> bool:
        instrument = streams.exchange.instruments[SYMBOL]
        return bool(diffs) and diffs[-1].last >= instrument.sent_id - 50 and feed.live(SYMBOL)

    def session() -> Session:
        (only,) = streams.exchange.connections.values()
        assert isinstance(only, Session)
        return only

    def cut() -> None:
        for wire in list(network.wires):
            wire.cut = True

    world.run_until(START_S + 5)
    assert is_current()
    ends: tuple[Callable[[], None], ...] = (
        lambda: session().disconnect("abort"),
        lambda: session().disconnect("close"),
        lambda: session().shut_down(3.0),
        cut,
    )
    for end in ends:
        before = streams.opened
        end()
        world.run_until(world.now + 15)
        assert streams.opened > before
        assert is_current()
    assert feed.status().rotations == 1, "the announced end alone is a handover"
    assert feed.status().lost == 3
    assert world.failures == []
    world.end()
