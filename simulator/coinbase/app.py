"""Coinbase Exchange on a socket: REST, the websocket and ``/sim`` on one port.

``async with CoinbaseSimulator(Settings(products=2)) as sim`` listens and runs in the present event loop; in
manual mode nothing moves until the test calls :meth:`CoinbaseSimulator.tick`.

``GET /sim/truth?symbol=&id=&level=`` answers the exact bytes REST had at a sequence (404 and why where that
is not known), ``/sim/state`` and ``/sim/faults`` as :mod:`simulator.oracle` says.
"""

from pathlib import Path

from simulator.clock import Clock
from simulator.coinbase.exchange import CoinbaseExchange
from simulator.coinbase.products import product_of, products
from simulator.coinbase.rest import Rest
from simulator.coinbase.session import Session
from simulator.coinbase.settings import Settings
from simulator.coinbase.traders import Habits
from simulator.host import Host, Opening
from simulator.weight import AttemptMeter


class CoinbaseSimulator(Host):
    """``manual``: time is a :class:`~simulator.clock.ManualClock` that only :meth:`tick` moves."""

    exchange: CoinbaseExchange

    def __init__(
        self, settings: Settings | None = None, *, manual: bool = False, clock: Clock | None = None
    ) -> None:
        self.settings = settings = settings or Settings()
        attempts = AttemptMeter(settings.connections_per_5min)
        super().__init__(settings, manual=manual, clock=clock, attempts=attempts)
        self.exchange = CoinbaseExchange(
            wall_ms=self._clock.wall_ms,
            seed=settings.seed,
            actions=settings.actions,
            habits=Habits(settings.orders),
            history=settings.history,
            requests_a_second=settings.requests_a_second,
            first_sequence=settings.first_sequence,
        )
        chosen = settings.products
        listed = products(chosen) if isinstance(chosen, int) else [product_of(name) for name in chosen]
        for product in listed:
            self.exchange.add(product)
        for path in settings.keys:
            key, *secrets = _key(path)
            self.exchange.keys[key] = (secrets[0], secrets[1])
        self._open(Rest(self.exchange), halted=settings.halted)

    # What is served

    def wants_socket(self, path: str, query: str) -> bool:
        """There is one place."""
        return path == "/"

    def session(self, opening: Opening) -> Session:
        """A session that is subscribed to nothing."""
        return Session(self.exchange, opening.number, wake=opening.wake)


def _key(path: Path) -> list[str]:
    lines = path.read_text().split()
    if len(lines) != 3:
        raise ValueError(f"{path} has an API key, a passphrase and a secret, each on a line of its own")
    return lines
