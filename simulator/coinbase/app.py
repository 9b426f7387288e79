"""Coinbase Exchange on a socket: REST, the websocket and ``/sim`` on one port.

``async with CoinbaseSimulator(Settings(products=2)) as sim`` listens and runs in the present event loop; in
manual mode nothing moves until the test calls :meth:`CoinbaseSimulator.tick`.

``GET /sim/truth?symbol=&id=&level=`` answers the exact bytes REST had at a sequence (404 and why where that
is not known), ``/sim/state`` and ``/sim/faults`` as :mod:`simulator.oracle` says.
"""

import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from simulator.clock import Clock
from simulator.coinbase.exchange import CoinbaseExchange, Market
from simulator.coinbase.products import product_of, products
from simulator.coinbase.rest import Rest
from simulator.coinbase.session import Session
from simulator.coinbase.settings import Settings
from simulator.coinbase.traders import Habits
from simulator.faults import Faults, Kind
from simulator.host import Host
from simulator.rest import Answer
from simulator.truth import TruthError


class CoinbaseSimulator(Host):
    """``manual``: time is a :class:`~simulator.clock.ManualClock` that only :meth:`tick` moves."""

    def __init__(
        self, settings: Settings | None = None, *, manual: bool = False, clock: Clock | None = None
    ) -> None:
        self.settings = settings = settings or Settings()
        super().__init__(
            host=settings.host,
            port=settings.port,
            manual=manual,
            clock=clock,
            connections_per_5min=settings.connections_per_5min,
            send_timeout_s=settings.send_timeout_s,
            hang_s=settings.hang_s,
        )
        self.exchange = CoinbaseExchange(
            wall_ms=self._clock.wall_ms,
            seed=settings.seed,
            actions=settings.actions,
            habits=Habits(settings.orders),
            history=settings.history,
            requests_a_second=settings.requests_a_second,
        )
        chosen = settings.products
        listed = products(chosen) if isinstance(chosen, int) else [product_of(name) for name in chosen]
        for product in listed:
            self.exchange.add(product)
        for path in settings.keys:
            key, *secrets = _key(path)
            self.exchange.keys[key] = (secrets[0], secrets[1])
        self.exchange.faults.set_rates(settings.rates)
        self._rest = Rest(self.exchange)

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.exchange.faults

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
        if not path.startswith("/sim/"):
            headers = {name.lower(): value for name, value in request.headers.items()}
            address = request.remote or ""
            return self._rest.answer(request.method, path, query, headers=headers, address=address)
        try:
            return self._oracle(request.method, path, dict(parse_qsl(query)), await request.read())
        except TruthError as error:
            return _json(404, {"error": str(error)})
        except (ValueError, TypeError) as error:
            return _json(400, {"error": str(error)})

    def wants_socket(self, path: str, query: str) -> bool:
        """There is one place."""
        return path == "/"

    def session(self, path: str, query: str, number: int, wake: Callable[[], None]) -> Session:
        """A session that is subscribed to nothing."""
        return Session(self.exchange, number, wake=wake)

    def _oracle(self, method: str, path: str, sent: Mapping[str, str], body: bytes) -> Answer:
        exchange, faults = self.exchange, self.faults
        match method, path:
            case "GET", "/sim/truth":
                symbol, sequence = sent.get("symbol", ""), int(sent.get("id", ""))
                if symbol not in exchange.markets:
                    raise TruthError(f"no product {symbol!r:.80}")
                bodies = exchange.markets[symbol].bodies(sequence, int(sent.get("level", "2")))
                if not bodies:
                    raise TruthError(f"{symbol}: {sequence} is not known")
                return Answer(200, bodies[0], {"Content-Type": "application/json"})
            case "GET", "/sim/state":
                markets = {name: _state_of(market) for name, market in exchange.markets.items()}
                state = {"time_ms": exchange.wall_ms(), "connections": len(exchange.connections)}
                return _json(200, {**state, "symbols": markets})
            case "GET", "/sim/faults":
                happened = [each.as_json() for each in faults.happened]
                waiting = [asdict(fault) for fault in faults.waiting]
                told = {"total": faults.counts.total(), "counts": dict(faults.counts)}
                return _json(200, {**told, "waiting": waiting, "happened": happened})
            case "POST", "/sim/faults":
                order = json.loads(body)
                if order.get("clear") is True:
                    faults.clear()
                    return _json(200, {"cleared": True})
                if "rates" in order:
                    faults.set_rates({Kind(kind): float(rate) for kind, rate in order["rates"].items()})
                    return _json(200, {"rates": dict(faults.rates)})
                return _json(200, {"happened": faults.inject(**order)})
        return _json(404, {"error": f"no {method} {path} here"})


def _state_of(market: Market) -> dict[str, Any]:
    return {
        "status": market.product.status,
        "update_id": market.sequence,
        "orders": len(market.engine.orders),
        "best_bid": next(iter(market.levels("buy", 1)), [None])[0],
        "best_ask": next(iter(market.levels("sell", 1)), [None])[0],
    }


def _key(path: Path) -> list[str]:
    lines = path.read_text().split()
    if len(lines) != 3:
        raise ValueError(f"{path} has an API key, a passphrase and a secret, each on a line of its own")
    return lines


def _json(status: int, content: dict[str, Any]) -> Answer:
    body = json.dumps(content, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": "application/json"})
