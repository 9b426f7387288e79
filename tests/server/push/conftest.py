"""A server's reading parts over a watched store and a still clock, and readers without sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from depthcast.files import BINANCE, FileInfo, Scheme, depth_key
from server.answers import Answer, Asked
from server.catalogue import Catalogue
from server.depth import Depth
from server.freshness import Freshness
from server.hot import HotFiles
from server.push.events import EventReader, Events
from server.push.hub import Hub

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore


class Outlet:
    """A transport without a socket: takes everything, or nothing while it is ``full``."""

    def __init__(self) -> None:
        self.written = b""
        self.full = False
        self.aborted = False
        self.closed = False
        self.follower: Any = None
        self.pausing = True

    # What a transport does

    def write(self, data: bytes) -> None:
        assert not (self.full and self.pausing), "written to a socket that takes nothing"
        self.written += data

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def abort(self) -> None:
        self.aborted = True
        if self.follower is not None:
            self.follower.lost()

    def close(self) -> None:
        self.closed = True

    # What a connection does

    def follow(self, follower: Any) -> asyncio.WriteTransport:
        self.follower = follower
        return cast(asyncio.WriteTransport, self)

    # What a test does

    def fill(self) -> None:
        self.full = True
        self.follower.paused()

    def drain(self) -> None:
        self.full = False
        self.follower.resumed()

    def take(self) -> bytes:
        """What was written since the last time."""
        written, self.written = self.written, b""
        return written


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    data: str
    id: str | None = None


def unchunked(raw: bytes) -> bytes:
    """The body that chunks are of."""
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size, 16)
        body += raw[:length]
        assert raw[length : length + 2] == b"\r\n"
        raw = raw[length + 2 :]
    return body


def parsed(body: bytes) -> list[Event]:
    """The events of a body, read as the HTML standard (9.2.6) says; what only tells the pause is left out."""
    events = []
    for block in body.decode().split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        if "data" in fields:
            events.append(Event(fields.get("event", "message"), fields["data"], fields.get("id")))
    return events


class Book:
    """A client's book, kept by the exchange's rules from the events of a stream."""

    def __init__(self) -> None:
        self.update_id = -1
        self.sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self.states: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.last_id: str | None = None

    def take(self, events: list[Event]) -> list[str]:
        """Learn the events; returns their names."""
        for event in events:
            data = json.loads(event.data)
            if event.name == "state":
                assert event.id is None
                self.states.append(data)
            elif event.name == "snapshot":
                self.sides = (dict(data["bids"]), dict(data["asks"]))
                self.update_id = data["lastUpdateId"]
                assert event.data == self.body().decode()
            else:
                assert (event.name, data["U"]) == ("diff", self.update_id + 1)
                self.update_id = data["u"]
                for side, levels in zip(self.sides, (data["b"], data["a"]), strict=True):
                    for price, quantity in levels:
                        if float(quantity):
                            side[price] = quantity
                        else:
                            del side[price]
            if event.name != "state":
                assert event.id == str(self.update_id)
                self.last_id = event.id
        names = [event.name for event in events]
        self.names += names
        return names

    def body(self) -> bytes:
        bids, asks = ([list(level) for level in side.items()] for side in self.sides)
        bids.sort(key=lambda level: -float(level[0]))
        asks.sort(key=lambda level: float(level[0]))
        members = {"lastUpdateId": self.update_id, "bids": bids, "asks": asks}
        return json.dumps(members, separators=(",", ":")).encode()


class Stream:
    """One reader of ``/stream/depth``."""

    def __init__(self, outlet: Outlet, task: "asyncio.Task[None]") -> None:
        self.outlet = outlet
        self.task = task
        self.book = Book()
        self.raw = b""

    @property
    def reader(self) -> EventReader:
        return cast(EventReader, self.outlet.follower)

    def take(self) -> list[str]:
        """Learn what was sent since; the names of the events."""
        self.raw = unchunked(self.outlet.take())
        return self.book.take(parsed(self.raw))


class Site:
    """The parts, wired as the service wires them."""

    def __init__(self, store: "WatchedStore", clock: "StillClock", **limits: Any) -> None:
        self.store, self.clock = store, clock
        self.catalogue = Catalogue(store)
        self.hot = HotFiles(store, clock=clock, sleep=clock.sleep)
        self.freshness = Freshness(wall_ms=clock.wall_ms)
        self.hub = Hub(self.hot, self.freshness, clock=clock, sleep=clock.sleep, **limits)
        self.depth = Depth(self.catalogue, self.hot, self.freshness, clock=clock)
        self.events = Events(self.depth, self.hot, self.hub, spread=lambda: 0.5)
        self.running = asyncio.create_task(self.hub.run())
        self._streams: list[asyncio.Task[None]] = []

    async def ask(self, query: str, last_id: str | None = None) -> Answer:
        """The endpoint's answer."""
        last_event_id = None if last_id is None else last_id.encode()
        given = self.events.answer(Asked(query.encode(), client="1.2.3.4", last_event_id=last_event_id))
        return given if isinstance(given, Answer) else await given

    async def open(self, query: str, last_id: str | None = None) -> Stream:
        """A stream that has begun."""
        answer = await self.ask(query, last_id)
        assert answer.status == 200
        assert answer.stream is not None
        outlet = Outlet()
        begun: Awaitable[None] = answer.stream(outlet)
        task = asyncio.ensure_future(begun)
        self._streams.append(task)
        await self.clock.settle()
        return Stream(outlet, task)

    async def publish(self, update_id: int, **how: Any) -> bytes:
        """Publish ``ETHUSDT`` and let it be seen; what is published."""
        body = await self.store.publish("ETHUSDT", 20, update_id, **how)
        await self.clock.advance(0.2)
        return body

    async def put(
        self,
        body: bytes,
        *,
        epoch: int = 0,
        symbol: str = "ETHUSDT",
        limit: int = 20,
        scheme: Scheme = BINANCE,
    ) -> None:
        """Put a file with this body and let it be seen."""
        levels = 5000
        info = FileInfo(epoch, levels, levels, False, False, self.clock.wall_ms(), self.clock.wall_ms(), "r")
        await self.store.put(depth_key(symbol, limit, scheme), body, info.to_metadata())
        await self.clock.advance(0.2)

    def call_later(self, seconds: float, function: Callable[[], None]) -> "asyncio.Task[None]":
        """The event loop's, on the clock that stands still; a task can be cancelled like a timer."""

        async def later() -> None:
            await self.clock.sleep(seconds)
            function()

        return asyncio.create_task(later())

    async def close(self) -> None:
        self.running.cancel()
        for task in self._streams:
            task.cancel()
        await asyncio.gather(self.running, *self._streams, return_exceptions=True)
        await self.hub.close()
        await self.hot.close()
        self.hub.check()


@pytest.fixture
async def make_site(
    store: "WatchedStore", clock: "StillClock"
) -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """Sites with limits of the hub."""
    sites = []

    async def make(**limits: Any) -> Site:
        site = Site(store, clock, **limits)
        sites.append(site)
        await store.publish("ETHUSDT", 20, 100, epoch=0)
        await site.catalogue.refresh()
        return site

    yield make
    for site in sites:
        await site.close()


@pytest.fixture
async def site(make_site: Callable[..., Awaitable[Site]]) -> Site:
    """A site with ``ETHUSDT`` published at 20 levels, at update id 100."""
    return await make_site()
