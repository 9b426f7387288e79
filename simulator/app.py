"""The exchange on a socket: REST, websockets and ``/sim`` on one port, and the task that moves its clock.

``async with Simulator(Settings(symbols=3)) as sim`` listens and runs in the present event loop; in manual
mode nothing moves until the test calls :meth:`Simulator.tick`.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from aiohttp import WSCloseCode, WSMsgType, web

from simulator.accounts import Account
from simulator.capture import Player, Run, Source, load
from simulator.changes import Changes
from simulator.clock import Clock, ManualClock, SystemClock
from simulator.exchange import Exchange
from simulator.faults import Faults, Kind
from simulator.futures_rest import FuturesRest
from simulator.listing import Listing
from simulator.market import Profile, listing_of, names, profile_of
from simulator.oracle import Oracle
from simulator.rest import Answer, Rest
from simulator.session import Abort, Close, Frame, Ping, Pong, Session, StreamRequest, parse_target
from simulator.settings import Settings
from simulator.truth import Truth
from simulator.weight import AttemptMeter, WeightMeter


class _Line:
    """A session's way to its socket: whether something waits, and whether all of it was handed over."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    def wake(self) -> None:
        self.ready.set()
        self.idle.clear()


class Simulator:
    """``manual``: time is a :class:`~simulator.clock.ManualClock` that only :meth:`tick` moves.

    ``sources`` are played as captures are, and called for a batch at a time.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        manual: bool = False,
        clock: Clock | None = None,
        sources: Iterable[Source] = (),
    ) -> None:
        self.settings = settings = settings or Settings()
        self._manual = manual
        self._clock: Clock = clock or (ManualClock() if manual else SystemClock())
        if manual and not isinstance(self._clock, ManualClock):
            raise ValueError("in manual mode the clock is a ManualClock")
        self.exchange = Exchange(
            wall_ms=self._clock.wall_ms,
            seed=settings.seed,
            first_id=settings.first_id,
            truth=Truth(history_s=settings.history_s, history_changes=settings.history_changes),
            weights=WeightMeter(settings.weight_limit, ban_after=settings.ban_after, ban_s=settings.ban_s),
            partial_share=settings.partial_share,
            futures=settings.futures,
        )
        played: list[Run | Source] = [*load(settings.captures), *sources]
        self._players = [Player(each, self.exchange) for each in played]
        for listing, profile in _markets(settings):
            self.exchange.add_market(listing, profile)
        for symbol in settings.halted:
            self.exchange.set_status(symbol, "HALT")
        for path in settings.accounts:
            self.exchange.accounts.add(Account.read(path))
        self.exchange.faults.set_rates(settings.rates)
        self._rest = FuturesRest(self.exchange) if settings.futures else Rest(self.exchange)
        self.changes = Changes(self.exchange)
        """Changes of what the exchange says about itself, to be ordered."""
        self._oracle = Oracle(self.exchange, self.changes)
        self._lines: dict[int, _Line] = {}
        self._attempts = AttemptMeter(settings.connections_per_5min)
        self._opened = 0
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._address = ("", 0)

    # Where it is, and what it knows

    @property
    def rest_url(self) -> str:
        """Base of the REST paths."""
        return f"http://{self._address[0]}:{self._address[1]}"

    @property
    def ws_url(self) -> str:
        """Base of the stream paths."""
        return f"ws://{self._address[0]}:{self._address[1]}"

    @property
    def truth(self) -> Truth:
        """The true book at every id."""
        return self.exchange.truth

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.exchange.faults

    @property
    def captures_done(self) -> bool:
        """Whether every capture was played to its end."""
        return all(player.done for player in self._players)

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
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        self._address = (host, port)
        if not self._manual:
            self._tasks = [
                asyncio.create_task(work) for work in (self._run(), *map(self._play, self._players))
            ]

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
        for connection in tuple(self.exchange.connections.values()):
            connection.disconnect("abort")
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    # Manual mode

    async def tick(self, count: int = 1) -> None:
        """Let ``count`` ticks pass; returns when everything they sent was handed to the sockets."""
        if not self._manual or not isinstance(self._clock, ManualClock):
            raise RuntimeError("time passes by itself: ticks are for manual mode")
        for _ in range(count):
            self._clock.advance(self.settings.tick_ms)
            for player in self._players:
                await player.advance(
                    player.position_s + (self.settings.speed or 1) * self.settings.tick_ms / 1000
                )
            self.exchange.tick()
            await self.drain()

    async def play_next(self) -> None:
        """Play the next message of each capture, and return as :meth:`tick` does; the clock stands still."""
        if not self._manual:
            raise RuntimeError("captures play by themselves: single messages are for manual mode")
        for player in self._players:
            await player.fill()
            if not player.done:
                player.play_next()
        await self.drain()

    async def drain(self) -> None:
        """Wait until all that is to be sent was handed to the sockets, or its reader cut off."""
        for line in tuple(self._lines.values()):
            await line.idle.wait()

    # Running mode

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        interval_s = 1 / self.settings.rate
        due = loop.time()
        while True:
            # A tick that comes late is not made up for: the market is slower then, and the streams even.
            due = max(due + interval_s, loop.time())
            await asyncio.sleep(due - loop.time())
            self.exchange.tick()

    async def _play(self, player: Player) -> None:
        loop = asyncio.get_running_loop()
        await self._wait_for_readers(player)
        await player.fill()
        started, speed = loop.time(), self.settings.speed
        while not player.done:
            if speed:
                await asyncio.sleep(max(0.0, started + player.next_s / speed - loop.time()))
                player.play_until((loop.time() - started) * speed)
            else:
                player.play_next()
                await self.drain()
                await asyncio.sleep(0)
            await player.fill()

    async def _wait_for_readers(self, player: Player) -> None:
        loop = asyncio.get_running_loop()
        give_up: float | None = None
        while not player.heard_by_all and (give_up is None or loop.time() < give_up):
            if player.heard and give_up is None:
                give_up = loop.time() + self.settings.patience_s
            await asyncio.sleep(0.02)

    # HTTP

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path, query = request.path, request.raw_path.partition("?")[2]
        if path.startswith("/sim/"):
            body = await request.read()
            return await self._send(request, self._oracle.answer(request.method, path, query, body))
        target = parse_target(path, query)
        if target is not None and request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request, target)
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = self._rest.answer(request.method, path, query, headers=headers, address=request.remote or "")
        return await self._send(request, answer)

    async def _send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.fate == "never":
            await asyncio.sleep(self.settings.hang_s)
            return _cut(request)
        if answer.fate == "cut":
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            response.content_length = len(answer.body)
            await response.prepare(request)
            await response.write(answer.body[: len(answer.body) // 2])
            return _cut(request)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    # Websockets

    async def _socket(self, request: web.Request, target: StreamRequest) -> web.StreamResponse:
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
        session = Session(self.exchange, self._opened, target, limits=self.settings.session, wake=line.wake)
        self._lines[session.id] = line
        writer = asyncio.create_task(self._write(request, socket, session, line))
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

    async def _read(self, request: web.Request, socket: web.WebSocketResponse, session: Session) -> None:
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

    async def _write(
        self, request: web.Request, socket: web.WebSocketResponse, session: Session, line: _Line
    ) -> None:
        """Send what waits until the connection ends. A reader that blocks for too long is cut off."""
        try:
            while True:
                await line.ready.wait()
                line.ready.clear()
                while session.outbox:
                    async with asyncio.timeout(self.settings.send_timeout_s):
                        await _send_frame(request, socket, session.outbox.popleft())
                line.idle.set()
        except TimeoutError:
            session.close()
            _cut(request)
        except ConnectionError:
            session.close()
        finally:
            line.idle.set()


def _markets(settings: Settings) -> list[tuple[Listing, Profile]]:
    symbols = settings.symbols
    if symbols is None:
        symbols = 0 if settings.captures else 20
    chosen = names(symbols) if isinstance(symbols, int) else symbols
    plain = Profile(bids=settings.depth, asks=settings.depth, changes=settings.changes)
    return [
        (
            listing_of(symbol, futures=settings.futures),
            profile_of(index, settings.depth, settings.changes) if settings.varied else plain,
        )
        for index, symbol in enumerate(chosen)
    ]


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
