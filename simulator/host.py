"""An exchange's port: its HTTP answers and websocket sessions, whatever protocol they speak, and its life.

What is served is a subclass's to say: its exchange and REST interface, :meth:`Host.wants_socket`,
:meth:`Host.session`.
In manual mode nothing moves until the test says so, and each tick ends when the sockets have all it sent.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from aiohttp import WSCloseCode, WSMsgType, web

from simulator.answer import Answer
from simulator.changes import Changes
from simulator.clock import Clock, ManualClock, SystemClock
from simulator.connection import Abort, Close, Connection, Frame, Ping, Pong
from simulator.faults import Faults, Kind
from simulator.floor import Floor
from simulator.hosting import HostSettings
from simulator.oracle import Oracle
from simulator.weight import AttemptMeter


class Opening(NamedTuple):
    """A websocket that is being opened: its path (decoded) and raw query, its number, how many more its
    address may open, and what is to be called whenever something was put into the outbox."""

    path: str
    query: str
    number: int
    left: int
    wake: Callable[[], None]


class Playing(Protocol):
    """What plays a capture. Times are seconds since its first message."""

    @property
    def heard(self) -> bool: ...

    @property
    def heard_by_all(self) -> bool: ...

    @property
    def done(self) -> bool: ...

    @property
    def next_s(self) -> float: ...

    def play_until(self, at_s: float) -> None: ...

    def play_next(self) -> None: ...


async def _nothing_to_read() -> None:
    """A capture that is in memory."""


class _Line:
    """A session's way to its socket: whether something waits, and whether all of it was handed over."""

    session: Connection

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    def wake(self) -> None:
        self.ready.set()
        self.idle.clear()


class Answers(Protocol):
    """An exchange's REST interface, sans-I/O."""

    def answer(
        self, method: str, path: str, query: str, *, headers: Mapping[str, str], address: str
    ) -> Answer: ...


class Host(ABC):
    """``manual``: time is a :class:`~simulator.clock.ManualClock` that only ticks move."""

    exchange: Floor
    """What is on the port; a subclass makes it and its REST interface, and calls :meth:`_open`."""

    def __init__(
        self, settings: HostSettings, *, manual: bool, clock: Clock | None, attempts: AttemptMeter
    ) -> None:
        self._paced = settings
        self._manual = manual
        self._clock: Clock = clock or (ManualClock() if manual else SystemClock())
        if manual and not isinstance(self._clock, ManualClock):
            raise ValueError("in manual mode the clock is a ManualClock")
        self._where = (settings.host, settings.port)
        self._send_timeout_s = settings.send_timeout_s
        self._hang_s = settings.hang_s
        self._attempts = attempts
        self._lines: dict[int, _Line] = {}
        self._opened = 0
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._address = ("", 0)
        self._rest: Answers
        self._oracle: Oracle

    def _open(self, rest: Answers, *, changes: Changes | None = None, halted: Iterable[str] = ()) -> None:
        """The exchange is there: what is said of it over HTTP, which of its symbols do not trade."""
        self._rest = rest
        self._oracle = Oracle(self.exchange, changes)
        for symbol in halted:
            self.exchange.set_status(symbol, self.exchange.halted_status)
        self.exchange.faults.set_rates(self._paced.rates)

    # What is served

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.exchange.faults

    @abstractmethod
    def wants_socket(self, path: str, query: str) -> bool:
        """Whether a websocket may be opened there."""

    @abstractmethod
    def session(self, opening: Opening) -> Connection:
        """A new connection."""

    async def answer(self, request: web.Request, path: str, query: str) -> Answer:
        """REST's answer, or the oracle's. ``path`` is decoded, ``query`` raw."""
        if path.startswith("/sim/"):
            return self._oracle.answer(request.method, path, query, await request.read())
        headers = {name.lower(): value for name, value in request.headers.items()}
        return self._rest.answer(request.method, path, query, headers=headers, address=request.remote or "")

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """What lets time pass while nobody does it by hand: the markets' ticks."""
        return [self.pace(self._paced.rate, self.exchange.tick)]

    # Manual mode

    async def tick(self, count: int = 1) -> None:
        """Let ``count`` ticks pass; returns when everything they sent was handed to the sockets."""
        for _ in range(count):
            self.advance(self._paced.tick_ms)
            await self.step()

    async def step(self) -> None:
        """What a tick is, once the clock was moved."""
        self.exchange.tick()
        await self.drain()

    # Where it is

    @property
    def rest_url(self) -> str:
        """Base of the REST paths."""
        return f"http://{self._address[0]}:{self._address[1]}"

    @property
    def ws_url(self) -> str:
        """Base of the stream paths."""
        return f"ws://{self._address[0]}:{self._address[1]}"

    # Life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, and unless in manual mode let time pass. Raises OSError where it cannot listen."""
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=0.1, keepalive_timeout=75
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, *self._where)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        self._address = (host, port)
        if not self._manual:
            self._tasks = [asyncio.create_task(work) for work in self.work()]

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Wait for ``stop``. Raises what ended the market or a capture before its time."""
        stopped = asyncio.create_task(stop.wait())
        running: set[asyncio.Task[Any]] = {stopped, *self._tasks}
        try:
            while not stopped.done():
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            stopped.cancel()

    async def stop(self) -> None:
        """Cut every connection and stop listening; at once. Raises as :meth:`serve_until` does."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for line in tuple(self._lines.values()):
            line.session.disconnect("abort")
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def pace(self, rate: float, tick: Callable[[], None]) -> None:
        """Call ``tick`` so many times a second, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            # A tick that comes late is not made up for: the market is slower then, and the streams even.
            due = max(due + 1 / rate, loop.time())
            await asyncio.sleep(due - loop.time())
            tick()

    def advance(self, ms: int) -> None:
        """Move the clock of manual mode."""
        if not self._manual or not isinstance(self._clock, ManualClock):
            raise RuntimeError("time passes by itself: ticks are for manual mode")
        self._clock.advance(ms)

    async def drain(self) -> None:
        """Wait until all that is to be sent was handed to the sockets, or its reader cut off."""
        for line in tuple(self._lines.values()):
            await line.idle.wait()

    async def play(
        self,
        player: Playing,
        speed: float,
        patience_s: float,
        fill: Callable[[], Awaitable[None]] = _nothing_to_read,
    ) -> None:
        """Play a capture to its end: ``speed`` times as fast as it was, 0 as fast as its readers take it.

        ``fill`` reads on in it before each step.
        """
        loop = asyncio.get_running_loop()
        await self._wait_for_readers(player, patience_s)
        await fill()
        started = loop.time()
        while not player.done:
            if speed:
                await asyncio.sleep(max(0.0, started + player.next_s / speed - loop.time()))
                player.play_until((loop.time() - started) * speed)
            else:
                player.play_next()
                await self.drain()
                await asyncio.sleep(0)
            await fill()

    async def _wait_for_readers(self, player: Playing, patience_s: float) -> None:
        """Wait until all of a capture is listened to, at most so long after the first of it is."""
        loop = asyncio.get_running_loop()
        give_up: float | None = None
        while not player.heard_by_all and (give_up is None or loop.time() < give_up):
            if player.heard and give_up is None:
                give_up = loop.time() + patience_s
            await asyncio.sleep(0.02)

    # HTTP

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path, query = request.path, request.raw_path.partition("?")[2]
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        if upgrade and self.wants_socket(path, query):
            return await self._socket(request, path, query)
        return await self._send(request, await self.answer(request, path, query))

    async def _send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.fate == "never":
            await asyncio.sleep(self._hang_s)
            return _cut(request)
        if answer.fate == "cut":
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            response.content_length = len(answer.body)
            await response.prepare(request)
            await response.write(answer.body[: len(answer.body) // 2])
            return _cut(request)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    # Websockets

    async def _socket(self, request: web.Request, path: str, query: str) -> web.StreamResponse:
        if not self._attempts.allow(request.remote or "", self._clock.wall_ms()):
            return web.Response(status=429, headers={"Retry-After": "300"})
        refused = self.faults.take((Kind.REFUSE,))
        if refused is not None:
            self.faults.record(refused, None, None)
            return _cut(request) if refused.form == "abort" else web.Response(status=503)
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        self._opened += 1
        line = _Line()
        # The session may have something to say at once.
        left = self._attempts.left(request.remote or "")
        session = line.session = self.session(Opening(path, query, self._opened, left, line.wake))
        self._lines[session.id] = line
        writer = asyncio.create_task(self._write(request, socket, line))
        try:
            await self._read(request, socket, session)
        finally:
            session.close()
            del self._lines[session.id]
            line.idle.set()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return socket

    async def _read(self, request: web.Request, socket: web.WebSocketResponse, session: Connection) -> None:
        """Hand over what comes until the connection ends."""
        loop = asyncio.get_running_loop()
        while True:
            message = await socket.receive()
            match message.type:
                case WSMsgType.TEXT:
                    session.receive(message.data, loop.time())
                case WSMsgType.BINARY:
                    session.receive_binary(loop.time())
                case WSMsgType.PING:
                    session.receive_ping(bytes(message.data), loop.time())
                case WSMsgType.PONG:
                    session.receive_pong(bytes(message.data), loop.time())
                case WSMsgType.CLOSE if session.frozen:
                    # A half-open socket does not even say goodbye: it stays until TCP ends.
                    await _until_gone(request)
                    return
                case WSMsgType.CLOSE:
                    await socket.close(code=message.data or WSCloseCode.OK)
                    return
                case _:
                    return

    async def _write(self, request: web.Request, socket: web.WebSocketResponse, line: _Line) -> None:
        """Send what waits until the connection ends. A reader that blocks for too long is cut off."""
        session = line.session
        try:
            while True:
                await line.ready.wait()
                line.ready.clear()
                while session.outbox:
                    async with asyncio.timeout(self._send_timeout_s):
                        await _send_frame(request, socket, session.outbox.popleft())
                line.idle.set()
        except TimeoutError:
            session.close()
            _cut(request)
        except ConnectionError:
            session.close()
        finally:
            line.idle.set()


async def _until_gone(request: web.Request) -> None:
    while request.transport is not None:  # noqa: ASYNC110 - aiohttp has no event for a transport's end
        await asyncio.sleep(0.05)


async def _send_frame(request: web.Request, socket: web.WebSocketResponse, frame: Frame) -> None:
    match frame:
        case str():
            await socket.send_str(frame)
        case bytes():
            await socket.send_bytes(frame)
        case Ping(payload):
            await socket.ping(payload)
        case Pong(payload):
            await socket.pong(payload)
        case Close(code, reason):
            await socket.close(code=code, message=reason.encode())
        case Abort():
            _cut(request)


def _cut(request: web.Request) -> web.Response:
    """End the TCP connection without a word; the response goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
