"""BitMEX on a socket: REST, the websocket and ``/sim`` on one port.

``async with BitmexSimulator(Settings(symbols=2)) as sim`` listens and runs in the present event loop; in
manual mode nothing moves until the test calls :meth:`BitmexSimulator.tick`.

``GET /sim/truth?symbol=&id=&depth=`` answers the exact bytes REST had at a step (the oracle's own count of
rows, :mod:`simulator.bitmex.market`); with ``time=`` in place of ``id=``, in milliseconds, those once all was
told that was published by then. ``/sim/state`` and ``/sim/faults`` as :mod:`simulator.oracle` says.
"""

from collections.abc import Coroutine
from typing import Any, Final

from aiohttp import web

from simulator.answer import Answer
from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import instrument_of, instruments
from simulator.bitmex.rest import Rest
from simulator.bitmex.session import Session
from simulator.bitmex.settings import Settings
from simulator.clock import Clock
from simulator.host import Host, Opening
from simulator.market import Profile, profile_of
from simulator.oracle import Oracle
from simulator.weight import AttemptMeter

HOUR_MS: Final = 3_600_000


class BitmexSimulator(Host):
    """``manual``: time is a :class:`~simulator.clock.ManualClock` that only :meth:`tick` moves."""

    exchange: BitmexExchange

    def __init__(
        self, settings: Settings | None = None, *, manual: bool = False, clock: Clock | None = None
    ) -> None:
        self.settings = settings = settings or Settings()
        super().__init__(
            host=settings.host,
            port=settings.port,
            manual=manual,
            clock=clock,
            attempts=AttemptMeter(settings.connections_an_hour, window_ms=HOUR_MS),
            send_timeout_s=settings.send_timeout_s,
            hang_s=settings.hang_s,
        )
        self.exchange = BitmexExchange(
            wall_ms=self._clock.wall_ms,
            seed=settings.seed,
            history=settings.history,
            requests_a_minute=settings.requests_a_minute,
            old=settings.old_rows,
        )
        chosen = settings.symbols
        listed = instruments(chosen) if isinstance(chosen, int) else [instrument_of(name) for name in chosen]
        plain = Profile(bids=settings.depth, asks=settings.depth, changes=settings.changes)
        for index, each in enumerate(listed):
            varied = profile_of(index, settings.depth, settings.changes)
            self.exchange.add(each, varied if settings.varied else plain)
        for symbol in settings.halted:
            self.exchange.set_status(symbol, "Closed")
        self.exchange.faults.set_rates(settings.rates)
        self._rest = Rest(self.exchange)
        self._oracle = Oracle(self.exchange)

    async def tick(self, count: int = 1) -> None:
        """Let ``count`` ticks pass; returns when everything they sent was handed to the sockets."""
        for _ in range(count):
            self.advance(self.settings.tick_ms)
            self.exchange.tick()
            await self.drain()

    # What is served

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """The markets' ticks."""
        return [self.pace(self.settings.rate, self.exchange.tick)]

    async def answer(self, request: web.Request, path: str, query: str) -> Answer:
        """REST's answer, or the oracle's."""
        if path.startswith("/sim/"):
            return self._oracle.answer(request.method, path, query, await request.read())
        headers = {name.lower(): value for name, value in request.headers.items()}
        return self._rest.answer(request.method, path, query, headers=headers, address=request.remote or "")

    def wants_socket(self, path: str, query: str) -> bool:
        """There is one place."""
        return path == "/realtime"

    def session(self, opening: Opening) -> Session:
        """A session with the topics that the query names."""
        return Session(
            self.exchange,
            opening.number,
            opening.query,
            left=opening.left,
            subscriptions_an_hour=self.settings.subscriptions_an_hour,
            wake=opening.wake,
        )
