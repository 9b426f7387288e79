"""The exchange: its products and their markets, the sessions that listen, and its clock's ticks. Sans-I/O.

Every message of a product's engine gets the next sequence of the product, whether anybody listens or not.
"""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol

from simulator.coinbase.engine import BUY, Effect, Engine
from simulator.coinbase.journal import OrderJournal, rfc3339
from simulator.coinbase.products import Product
from simulator.coinbase.traders import Habits, Traders
from simulator.faults import Fault, Faults, Kind

FIRST_SEQUENCE: Final = 1_000_000_000
"""Sequences begin above this: they need more than 32 bits before long, as on the real exchange."""

HEARTBEAT_MS: Final = 1000


class Listener(Protocol):
    """One product on one connection."""

    def on_message(self, message: dict[str, Any]) -> None:
        """A message of the *full* channel."""
        ...

    def on_levels(self, changes: list[list[str]], time: str) -> None:
        """``[side, price, size]`` of the levels that one message changed."""
        ...

    def on_tick(self, now_ms: int) -> None: ...


class Connection(Protocol):
    """One websocket connection, as far as the exchange acts on it."""

    @property
    def id(self) -> int: ...

    def listens_to(self, symbol: str) -> bool: ...

    def on_tick(self, now_ms: int) -> None: ...

    def disconnect(self, form: str) -> None: ...

    def freeze(self) -> None: ...

    def silence(self, symbol: str | None) -> None: ...


class Market:
    """One product's engine, journal, traders and listeners."""

    def __init__(
        self,
        product: Product,
        habits: Habits,
        *,
        sequence: int,
        now_us: Callable[[], int],
        history: int,
        rng: Random,
    ) -> None:
        self.product = product
        self._now_us = now_us
        self._time_us = 0
        self._effects: list[Effect] = []
        self.listeners: dict[Listener, None] = {}
        self.journal = OrderJournal(product, sequence, now_us(), history=history)
        self.past: deque[OrderJournal] = deque(maxlen=8)
        """Those of earlier counts of sequences, oldest first."""
        self.engine = Engine(product, self._tell, self._effects.append)
        self.traders = Traders(self.engine, habits, rng)
        self.traders.open_market()

    @property
    def sequence(self) -> int:
        """That of the newest message."""
        return self.journal.sequence

    def go_on_from(self, sequence: int) -> None:
        """Number the next messages from another sequence on; the book stays as it is."""
        self.past.append(self.journal)
        self.journal = self.journal.successor(sequence, self._time_us)

    def bodies(self, sequence: int, level: int) -> list[bytes]:
        """The same of every count of sequences that has it, newest first."""
        return [
            each.body(sequence, level)
            for each in (self.journal, *reversed(self.past))
            if each.holds(sequence)
        ]

    @property
    def time(self) -> str:
        """When the newest message was."""
        return rfc3339(self._time_us)

    def levels(self, side: str, limit: int | None = None) -> list[list[str]]:
        """``[price, size]`` of a side, best first."""
        product = self.product
        levels = self.engine.sides[BUY if side == BUY else "sell"]
        prices = list(reversed(levels) if side == BUY else levels)[:limit]
        return [
            [product.price(price), product.size(sum(order.size for order in levels[price]))]
            for price in prices
        ]

    def _tell(self, members: dict[str, Any]) -> None:
        # Messages of one millisecond follow each other by a microsecond at least.
        self._time_us = max(self._time_us + 1, self._now_us())
        effects = tuple(self._effects)
        self._effects.clear()
        self.journal.append(effects, self._time_us)
        if not self.listeners:
            return
        time = self.time
        message = {
            **members,
            "product_id": self.product.id,
            "sequence": self.journal.sequence,
            "time": time,
        }
        changes = self._changes(effects)
        for listener in tuple(self.listeners):
            listener.on_message(message)
            if changes:
                listener.on_levels(changes, time)

    def _changes(self, effects: tuple[Effect, ...]) -> list[list[str]]:
        product, changes = self.product, {}
        prices = {(side, price) for _, _, side, price, _ in effects}
        for side, price in sorted(prices):
            orders = self.engine.sides[side].get(price, ())
            size = sum(order.size for order in orders)
            changes[side, price] = [side, product.price(price), product.size(size)]
        return list(changes.values())


class CoinbaseExchange:
    """``seed`` settles every market; ``wall_ms`` is the exchange's clock, milliseconds since 1970.

    ``actions``: how many things the traders of one product do in a tick, on average. REST answers 10 requests
    a second and address (*"Public endpoints: 10 requests per second, up to 15 in bursts"*), in bursts of 15.
    """

    def __init__(
        self,
        *,
        wall_ms: Callable[[], int],
        seed: int = 1,
        actions: float = 5,
        habits: Habits | None = None,
        history: int = 500_000,
        requests_a_second: int = 10,
    ) -> None:
        self.wall_ms = wall_ms
        self.seed = seed
        self.actions = actions
        self.habits = habits or Habits()
        self._history = history
        self.requests = Requests(requests_a_second)
        self.faults = Faults(Random(f"{seed}/faults"), wall_ms, self._act)
        self.markets: dict[str, Market] = {}
        self.connections: dict[int, Connection] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        """By API key: its passphrase and its secret in base64."""
        self._rng = Random(f"{seed}/pace")
        self._ticked_ms = wall_ms()

    def add(self, product: Product) -> Market:
        """List a product with a market of its own."""
        if product.id in self.markets:
            raise ValueError(f"{product.id} is listed twice")
        rng = Random(f"{self.seed}/{product.id}/ids")
        market = self.markets[product.id] = Market(
            product,
            self.habits,
            sequence=FIRST_SEQUENCE + rng.randrange(FIRST_SEQUENCE),
            now_us=lambda: self.wall_ms() * 1000,
            history=self._history,
            rng=Random(f"{self.seed}/{product.id}/traders"),
        )
        return market

    def tick(self) -> None:
        """A while has passed: traders act and channels send."""
        now_ms = self.wall_ms()
        elapsed_s = max(0, now_ms - self._ticked_ms) / 1000
        self._ticked_ms = now_ms
        if self.faults.rates:
            self._strike(elapsed_s)
        for market in self.markets.values():
            if market.product.status == "online":
                for _ in range(min(1000, int(self._rng.expovariate(1 / self.actions)))):
                    market.traders.act()
            for listener in tuple(market.listeners):
                listener.on_tick(now_ms)
        for connection in tuple(self.connections.values()):
            connection.on_tick(now_ms)

    def rebase(self, product: str, ids: int) -> int:
        """Let a product's sequences go on from ``ids`` below the present one, with the same book."""
        market = self.markets[product]
        sequence = max(1, market.sequence - ids)
        market.go_on_from(sequence)
        return sequence

    def _strike(self, elapsed_s: float) -> None:
        for connection_id in tuple(self.connections):
            self.faults.strike((Kind.DISCONNECT, Kind.HALF_OPEN), elapsed_s, connection=connection_id)
        for product in self.markets:
            self.faults.strike((Kind.REBASE,), elapsed_s, symbol=product)
        self.faults.strike((Kind.THROTTLE,), elapsed_s)

    def _act(self, fault: Fault) -> int:
        """Do a fault that happens at once; returns how many times it did. This exchange bans nobody."""
        match fault.kind:
            case Kind.THROTTLE | Kind.BAN:
                self.requests.throttle_all(int(fault.delay_s * 1000), self.wall_ms())
                self.faults.record(fault, None, None, f"{fault.delay_s:.3f} s")
                return 1
            case Kind.REBASE:
                chosen = [each for each in self.markets if fault.symbol in (None, each)]
                for each in chosen:
                    old = self.markets[each].sequence
                    self.faults.record(fault, each, None, f"{old} -> {self.rebase(each, fault.ids)}")
                return len(chosen)
            case _:
                return self._act_on_connections(fault)

    def _act_on_connections(self, fault: Fault) -> int:
        happened = 0
        for connection in tuple(self.connections.values()):
            if fault.connection not in (None, connection.id):
                continue
            if fault.symbol is not None and not connection.listens_to(fault.symbol):
                continue
            match fault.kind:
                case Kind.DISCONNECT | Kind.SHUTDOWN:
                    connection.disconnect(fault.form)
                case Kind.HALF_OPEN:
                    connection.freeze()
                case _:
                    connection.silence(fault.symbol)
            self.faults.record(fault, fault.symbol, connection.id)
            happened += 1
        return happened


class Requests:
    """Requests a second by address, with bursts of half as many again. The oldest address goes first."""

    def __init__(self, a_second: int, *, addresses: int = 10_000) -> None:
        self.a_second = a_second
        self._addresses = addresses
        self._sent: dict[str, deque[int]] = {}
        self._throttled_until_ms = 0

    def allow(self, address: str, now_ms: int) -> bool:
        """Whether a request may be answered now; if so it is counted."""
        if now_ms < self._throttled_until_ms:
            return False
        if address not in self._sent and len(self._sent) >= self._addresses:
            del self._sent[next(iter(self._sent))]
        sent = self._sent.setdefault(address, deque())
        while sent and sent[0] <= now_ms - 1500:
            sent.popleft()
        if len(sent) >= self.a_second * 3 // 2:
            return False
        sent.append(now_ms)
        return True

    def throttle_all(self, for_ms: int, now_ms: int) -> None:
        """Answer 429 to everybody for ``for_ms`` from now."""
        self._throttled_until_ms = now_ms + for_ms
