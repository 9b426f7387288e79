"""The exchange on a socket: REST, websockets and ``/sim`` on one port, and the task that moves its clock.

``async with Simulator(Settings(symbols=3)) as sim`` listens and runs in the present event loop; in manual
mode nothing moves until the test calls :meth:`Simulator.tick`.
"""

from collections.abc import Coroutine, Iterable
from typing import Any

from simulator.accounts import Account
from simulator.capture import Player, Run, Source, load
from simulator.changes import Changes
from simulator.clock import Clock
from simulator.exchange import Exchange
from simulator.futures_rest import CoinFuturesRest, FuturesRest
from simulator.host import Host, Opening
from simulator.listing import Listing
from simulator.market import Profile, listing_of, names, profile_of
from simulator.rest import Rest
from simulator.session import Session, parse_target
from simulator.settings import Settings
from simulator.truth import Truth
from simulator.weight import AttemptMeter, WeightMeter


class Simulator(Host):
    """``manual``: time is a :class:`~simulator.clock.ManualClock` that only :meth:`tick` moves.

    ``sources`` are played as captures are, and called for a batch at a time.
    """

    exchange: Exchange

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        manual: bool = False,
        clock: Clock | None = None,
        sources: Iterable[Source] = (),
    ) -> None:
        self.settings = settings = settings or Settings()
        attempts = AttemptMeter(settings.connections_per_5min)
        super().__init__(settings, manual=manual, clock=clock, attempts=attempts)
        self.exchange = Exchange(
            wall_ms=self._clock.wall_ms,
            seed=settings.seed,
            first_id=settings.first_id,
            truth=Truth(history_s=settings.history_s, history_changes=settings.history_changes),
            weights=WeightMeter(settings.weight_limit, ban_after=settings.ban_after, ban_s=settings.ban_s),
            partial_share=settings.partial_share,
            futures=settings.futures,
            coin_margined=settings.coin_margined,
        )
        played: list[Run | Source] = [*load(settings.captures), *sources]
        self._players = [Player(each, self.exchange) for each in played]
        for listing, profile in _markets(settings):
            self.exchange.add_market(listing, profile)
        for path in settings.accounts:
            self.exchange.accounts.add(Account.read(path))
        self.changes = Changes(self.exchange)
        """Changes of what the exchange says about itself, to be ordered."""
        self._open(_rest(settings)(self.exchange), changes=self.changes, halted=settings.halted)

    # What it knows

    @property
    def truth(self) -> Truth:
        """The true book at every id."""
        return self.exchange.truth

    @property
    def captures_done(self) -> bool:
        """Whether every capture was played to its end."""
        return all(player.done for player in self._players)

    # Manual mode

    async def step(self) -> None:
        """Captures play up to the clock, then it is a tick as any other."""
        for player in self._players:
            await player.advance(
                player.position_s + (self.settings.speed or 1) * self.settings.tick_ms / 1000
            )
        await super().step()

    async def play_next(self) -> None:
        """Play the next message of each capture, and return as :meth:`tick` does; the clock stands still."""
        if not self._manual:
            raise RuntimeError("captures play by themselves: single messages are for manual mode")
        for player in self._players:
            await player.fill()
            if not player.done:
                player.play_next()
        await self.drain()

    # What is served

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """The market's ticks, and each capture."""
        speed, patience_s = self.settings.speed, self.settings.patience_s
        playing = [self.play(each, speed, patience_s, each.fill) for each in self._players]
        return [*super().work(), *playing]

    def wants_socket(self, path: str, query: str) -> bool:
        """Whether the path is that of streams."""
        return parse_target(path, query) is not None

    def session(self, opening: Opening) -> Session:
        """A session with the streams that the path names."""
        target = parse_target(opening.path, opening.query)
        assert target is not None
        limits = self.settings.session
        return Session(self.exchange, opening.number, target, limits=limits, wake=opening.wake)


def _rest(settings: Settings) -> type[Rest]:
    if settings.coin_margined:
        return CoinFuturesRest
    return FuturesRest if settings.futures else Rest


def _markets(settings: Settings) -> list[tuple[Listing, Profile]]:
    symbols = settings.symbols
    if symbols is None:
        symbols = 0 if settings.captures else 20
    coin = settings.coin_margined
    chosen = names(symbols, coin_margined=coin) if isinstance(symbols, int) else symbols
    plain = Profile(bids=settings.depth, asks=settings.depth, changes=settings.changes)
    return [
        (
            listing_of(symbol, futures=settings.futures, coin_margined=coin),
            profile_of(index, settings.depth, settings.changes) if settings.varied else plain,
        )
        for index, symbol in enumerate(chosen)
    ]
