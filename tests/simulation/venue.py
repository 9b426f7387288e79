"""The exchange of a run: the simulator's own, in the world's time, and the network between it and a process.

Books, diffs, snapshots, sessions and their faults are :mod:`simulator`'s, which knows the true book at every
id. Here are the sockets and the requests: what is sent comes in order and a little later, a socket can be cut
or lag, and a process that was killed leaves its sockets to be closed by its machine.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

from depthcast.errors import RateLimited, VenueUnavailable
from depthcast.feed.websocket import Connect
from depthcast.http_client import NO_HEADERS, HttpAnswer
from simulator.answer import Answer
from simulator.connection import Abort, Close, Frame, Ping, Pong
from simulator.exchange import Exchange
from simulator.faults import Kind
from simulator.session import Session, parse_target
from tests.simulation.history import History
from tests.simulation.speech import Speech
from tests.simulation.world import Process, World

_ZERO: Final = re.compile(r'"0\.0+"\]')


class Overseer:
    """Told of what crosses, to find promises that are broken (:mod:`tests.simulation.rules`)."""

    def opened(self, socket: "Socket") -> None: ...
    def retires(self, socket: "Socket") -> None: ...
    def asks(self, who: str, url: str) -> None: ...
    def refused(self, who: str, pause_s: float) -> None: ...


class Venue:
    """The exchange, its clock, and who is connected. ``wall_ms`` is the exchange's own clock."""

    def __init__(
        self,
        world: World,
        history: History,
        overseer: Overseer,
        exchange: Exchange,
        rng: Random,
        speech: Speech,
    ) -> None:
        self.world = world
        self.speech = speech
        self.history = history
        self.overseer = overseer
        self.exchange = exchange
        self.rng = rng
        self.tick_s = 0.5
        self.sockets: dict[int, Socket] = {}
        self.told: dict[str, list[tuple[float, int, int]]] = {symbol: [] for symbol in exchange.instruments}
        """By symbol: when the streams had told which generation up to which id."""
        self.rest = speech.rest(exchange)
        self._opened = 0

    def tick(self) -> None:
        """The exchange's time goes on."""
        self.exchange.tick()
        for symbol, instrument in self.exchange.instruments.items():
            now = (instrument.journal.generation, instrument.sent_id)
            told = self.told[symbol]
            if not told or told[-1][1:] != now:
                told.append((self.world.now, *now))
        self.world.later(self.tick_s, self.tick)

    def told_at(self, symbol: str, at: float) -> tuple[int, int]:
        """The generation and the id up to which the streams had told a symbol's book then."""
        told = self.told[symbol]
        return next((entry[1:] for entry in reversed(told) if entry[0] <= at), told[0][1:])

    def current_until(self, symbol: str, update_id: int) -> float:
        """When the streams first told more than this id of the newest generation that had it; now, if not."""
        until, told = self.world.now, self.told[symbol]
        for at, _, last in reversed(told):
            if last <= update_id:
                break
            until = at
        return until

    # Sockets

    def connector(self, process: Process) -> Connect:
        """Opens websockets for a process."""

        rng = Random(self.rng.random())

        async def connect() -> Socket:
            opened = process.loop.create_future()
            refuse = rng.random()

            def attempt() -> None:
                refused = self.exchange.faults.take((Kind.REFUSE,))
                if refused is not None:
                    self.exchange.faults.record(refused, None, None)
                    limited = RateLimited(1500, banned=False)
                    error = limited if refuse < 0.2 else VenueUnavailable("the connection was refused")
                    process.deliver(_settle, opened, error)
                    return
                self._opened += 1
                socket = Socket(self, process, self._opened, rng)
                process.deliver(_settle, opened, socket)

            self.world.later(2 * latency_s(rng), attempt)
            socket: Socket = await opened
            self.overseer.opened(socket)
            return socket

        return connect

    # Requests

    def client(self, process: Process, address: str) -> "Client":
        return Client(self, process, address)


class Socket:
    """One websocket, both ends of it: a :class:`depthcast.feed.websocket.Socket` over a session."""

    def __init__(self, venue: Venue, process: Process, number: int, rng: Random) -> None:
        request = parse_target("/stream", "")
        assert request is not None
        self.process = process
        self.number = number
        self.delivered: set[str] = set()
        """The symbols of which its reader got a diff."""
        self.heard: dict[str, float] = {}
        self.opened_at = venue.world.now
        self.acked_at = float("inf")
        """When its reader first read that what it asked for was taken."""
        self.lag_s = 0.0
        self.respells = rng.random() < 0.3
        """Whether quantities of zero are spelled in another way than usual."""
        self._venue = venue
        self._world = venue.world
        self._latency_s = latency_s(rng)
        self._arrives_at = 0.0
        self._flushing = False
        self._frames: deque[bytes] = deque()
        self._ended = ""
        self._reading: Any = None
        self._pings: dict[bytes, Any] = {}
        self.session = Session(venue.exchange, number, request, wake=self._wake)
        venue.sockets[number] = self
        process.at_death.append(self._vanish)

    @property
    def symbols(self) -> set[str]:
        """What is subscribed."""
        return {name.partition("@")[0].upper() for name in self.session.subscriptions}

    @property
    def silenced(self) -> bool:
        """Whether one of its streams was acknowledged and delivers nothing."""
        return any(stream is not None and stream.silent for stream in self.session._streams.values())

    @property
    def ended(self) -> bool:
        return bool(self._ended)

    # The process's end

    async def recv(self) -> bytes:
        while not self._frames:
            if self._ended:
                raise VenueUnavailable(f"the websocket was closed: {self._ended}")
            self._reading = self.process.loop.create_future()
            await self._reading
        frame = self._frames.popleft()
        if frame.startswith(b'{"result":null'):
            self.acked_at = min(self.acked_at, self._world.now)
        found = re.search(rb'"s":"(\w+)"', frame)
        if found is not None:
            symbol = found[1].decode()
            self.delivered.add(symbol)
            self.heard[symbol] = self._world.now
        return frame

    async def send(self, text: str) -> None:
        self._check_open()
        self._up(lambda: self.session.receive(text, self._world.now))

    async def ping(self) -> None:
        self._check_open()
        payload = b"%d" % len(self._pings)
        answer = self._pings[payload] = self.process.loop.create_future()
        self._up(lambda: self.session.receive_ping(payload, self._world.now))
        await answer

    async def close(self) -> None:
        if self._ended:
            return
        self._venue.overseer.retires(self)
        if self.session.frozen:
            await self.process.loop.create_future()
        self._end("closed by the client")
        self._up(self.session.close)

    def abort(self) -> None:
        self._end("cut by the client")
        self._up(self.session.close)

    # The network

    def _check_open(self) -> None:
        if self._ended:
            raise VenueUnavailable(f"the websocket was closed: {self._ended}")

    def _up(self, receive: Callable[[], None]) -> None:
        self._world.later(self._latency_s, receive)

    def _vanish(self) -> None:
        self._ended = "its process is dead"
        self._world.later(self._latency_s, self.session.close)
        self._venue.sockets.pop(self.number, None)

    def _wake(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._world.later(0.0, self._flush)

    def _flush(self) -> None:
        """What the session has to send goes on its way."""
        self._flushing = False
        frames = list(self.session.outbox)
        self.session.outbox.clear()
        # A stream keeps its order, however the network is.
        self._arrives_at = max(self._arrives_at, self._world.now + self._latency_s + self.lag_s)
        self._world.later(self._arrives_at - self._world.now, self._bring, frames)

    def _bring(self, frames: list[Frame]) -> None:
        if not self.session.frozen:
            self.process.deliver(self._take, frames)

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            match frame:
                case str():
                    text = _ZERO.sub('"0.000"]', frame) if self.respells else frame
                    self._frames.append(text.encode())
                case bytes():
                    self._frames.append(frame)
                case Ping(payload):
                    self._pong(payload)
                case Pong(payload):
                    _settle(self._pings.pop(payload, None), None)
                case Close(code, reason):
                    self._end(f"{code} {reason}")
                case Abort():
                    self._end("cut by the exchange")
        self._go_on()

    def _pong(self, payload: bytes) -> None:
        self._up(lambda: self.session.receive_pong(payload, self._world.now))

    def _end(self, why: str) -> None:
        self._ended = self._ended or why
        self._venue.sockets.pop(self.number, None)
        for waiting in self._pings.values():
            _settle(waiting, VenueUnavailable(f"the websocket was closed: {why}"))
        self._pings.clear()
        self._go_on()

    def _go_on(self) -> None:
        reading, self._reading = self._reading, None
        _settle(reading, None)


class Client:
    """A process's requests to the exchange's REST interface: a :class:`depthcast.http_client.HttpClient`."""

    def __init__(self, venue: Venue, process: Process, address: str) -> None:
        self.address = address
        self._venue = venue
        self._process = process
        self._rng = Random(venue.rng.random())
        # What is asked beside books is another's business (:mod:`updater.metadata`).
        self._list_rng = Random(venue.rng.random())

    async def get(self, url: str, *, headers: Mapping[str, str] = NO_HEADERS, shown: str = "") -> HttpAnswer:
        venue, world = self._venue, self._venue.world
        rng = self._list_rng if "exchangeInfo" in url else self._rng
        venue.overseer.asks(self._process.name, url)
        answer = self._process.loop.create_future()

        def arrives() -> None:
            split = urlsplit(url)
            found = venue.rest.answer("GET", split.path, split.query, headers={}, address=self.address)
            world.later(found.delay_s + latency_s(rng), self._answer, url, answer, found)

        world.later(latency_s(rng), arrives)
        result: HttpAnswer = await answer
        pause = result.headers.get("Retry-After")
        if result.status in (418, 429) and pause is not None:
            venue.overseer.refused(self._process.name, float(pause))
        return result

    async def close(self) -> None:
        return None

    def _answer(self, url: str, answer: Any, found: Answer) -> None:
        if found.fate == "whole":
            self._process.deliver(_settle, answer, HttpAnswer(found.status, found.headers, found.body))
            return
        error = VenueUnavailable(f"{url} did not answer")
        wait_s = 10.0 if found.fate == "never" else 0.0
        self._venue.world.later(wait_s, self._process.deliver, _settle, answer, error)


def latency_s(rng: Random) -> float:
    return 0.002 + rng.random() * 0.03


def _settle(waiting: Any, result: object) -> None:
    if waiting is None or waiting.done():
        return
    if isinstance(result, Exception):
        waiting.set_exception(result)
    else:
        waiting.set_result(result)
