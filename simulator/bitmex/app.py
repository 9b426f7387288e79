"""BitMEX on a socket: REST, the websocket and ``/sim`` on one port.

``async with BitmexSimulator(Settings(symbols=2)) as sim`` listens and runs in the present event loop; in
manual mode nothing moves until the test calls :meth:`BitmexSimulator.tick`.

``GET /sim/truth?symbol=&id=&depth=`` answers the exact bytes REST had at a step (the oracle's own count of
rows, :mod:`simulator.bitmex.market`); with ``time=`` in place of ``id=``, in milliseconds, those once all was
told that was published by then. ``/sim/state`` and ``/sim/faults`` as :mod:`simulator.oracle` says.
"""

from collections.abc import Coroutine
from typing import Any, Final

from simulator.bitmex.capture import Player, load
from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import instrument_of, instruments
from simulator.bitmex.rest import Rest
from simulator.bitmex.session import Session
from simulator.bitmex.settings import Settings
from simulator.clock import Clock
from simulator.host import Host, Opening
from simulator.market import Profile, profile_of
from simulator.weight import AttemptMeter

DEFAULT_SYMBOLS: Final = 8
HOUR_MS: Final = 3_600_000


class BitmexSimulator(Host):
    """``manual``: time is a :class:`~simulator.clock.ManualClock` that only :meth:`tick` moves."""

    exchange: BitmexExchange

    def __init__(
        self, settings: Settings | None = None, *, manual: bool = False, clock: Clock | None = None
    ) -> None:
        self.settings = settings = settings or Settings()
        attempts = AttemptMeter(settings.connections_an_hour, window_ms=HOUR_MS)
        super().__init__(settings, manual=manual, clock=clock, attempts=attempts)
        self.exchange = BitmexExchange(
            wall_ms=self._clock.wall_ms,
            seed=settings.seed,
            history=settings.history,
            requests_a_minute=settings.requests_a_minute,
            old=settings.old_rows,
        )
        self._player = Player(load(settings.captures), self.exchange) if settings.captures else None
        chosen = settings.symbols
        if chosen is None:
            chosen = 0 if settings.captures else DEFAULT_SYMBOLS
        listed = instruments(chosen) if isinstance(chosen, int) else [instrument_of(name) for name in chosen]
        plain = Profile(bids=settings.depth, asks=settings.depth, changes=settings.changes)
        for index, each in enumerate(listed):
            varied = profile_of(index, settings.depth, settings.changes)
            self.exchange.add(each, varied if settings.varied else plain)
        self._open(Rest(self.exchange), halted=settings.halted)

    @property
    def captures_done(self) -> bool:
        """Whether every capture was played to its end."""
        return self._player is None or self._player.done

    # Captures

    async def step(self) -> None:
        """A capture plays up to the clock, then it is a tick as any other."""
        if self._player is not None:
            speed = self.settings.speed or 1
            self._player.play_until(self._player.position_s + speed * self.settings.tick_ms / 1000)
        await super().step()

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """The markets' ticks, and the capture."""
        if self._player is None:
            return super().work()
        return [*super().work(), self.play(self._player, self.settings.speed, self.settings.patience_s)]

    # What is served

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
