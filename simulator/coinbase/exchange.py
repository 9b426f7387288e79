"""The exchange: its products and their markets, the sessions that listen, and its clock's ticks. Sans-I/O.

Every message of a product's engine gets the next sequence of the product, whether anybody listens or not.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final, Protocol

from simulator.answer import Answer
from simulator.coinbase.engine import BUY, Effect, Engine
from simulator.coinbase.journal import OrderJournal, rfc3339
from simulator.coinbase.products import STATUSES, Product
from simulator.coinbase.traders import Habits, Traders
from simulator.floor import Floor
from simulator.truth import TruthError
from simulator.weight import RequestMeter

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


class CoinbaseExchange(Floor):
    """``seed`` settles every market; ``wall_ms`` is the exchange's clock, milliseconds since 1970.

    ``actions``: how many things the traders of one product do in a tick, on average. REST answers 10 requests
    a second and address (*"Public endpoints: 10 requests per second, up to 15 in bursts"*), in bursts of 15.
    """

    halted_status = "offline"

    def __init__(
        self,
        *,
        wall_ms: Callable[[], int],
        seed: int = 1,
        actions: float = 5,
        habits: Habits | None = None,
        history: int = 500_000,
        requests_a_second: int = 10,
        first_sequence: int = FIRST_SEQUENCE,
    ) -> None:
        super().__init__(wall_ms=wall_ms, seed=seed)
        self.actions = actions
        self.habits = habits or Habits()
        self._history = history
        # So many in one and a half times the time: that allows a burst of half as many again.
        self.requests = RequestMeter(requests_a_second * 3 // 2, window_ms=1500)
        self.first_sequence = first_sequence
        self.markets: dict[str, Market] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        """By API key: its passphrase and its secret in base64. Where there is none, any key is as good."""
        self._rng = Random(f"{seed}/pace")

    def add(self, product: Product) -> Market:
        """List a product with a market of its own."""
        if product.id in self.markets:
            raise ValueError(f"{product.id} is listed twice")
        rng = Random(f"{self.seed}/{product.id}/ids")
        market = self.markets[product.id] = Market(
            product,
            self.habits,
            sequence=self.first_sequence + rng.randrange(FIRST_SEQUENCE),
            now_us=lambda: self.wall_ms() * 1000,
            history=self._history,
            rng=Random(f"{self.seed}/{product.id}/traders"),
        )
        return market

    def tick(self) -> None:
        """A while has passed: traders act and channels send."""
        now_ms = self.strike()
        for market in self.markets.values():
            if market.product.status == "online":
                for _ in range(min(1000, int(self._rng.expovariate(1 / self.actions)))):
                    market.traders.act()
            for listener in tuple(market.listeners):
                listener.on_tick(now_ms)
        self.beat(now_ms)

    def set_status(self, symbol: str, status: str) -> None:
        """Change a product's status; its book moves only while it is online. Raises ValueError."""
        if symbol not in self.markets:
            raise ValueError(f"no product {symbol!r:.80} is listed")
        if status not in STATUSES:
            raise ValueError(f"{status!r:.40} is not a status, only {', '.join(STATUSES)}")
        self.markets[symbol].product.status = status

    # Faults that concern the whole exchange, and what it tells of itself (simulator.floor.Floor)

    @property
    def symbols(self) -> Iterable[str]:
        """What is listed."""
        return self.markets

    def rebase(self, symbol: str, ids: int) -> int:
        """Let a product's sequences go on from ``ids`` below the present one, with the same book."""
        market = self.markets[symbol]
        sequence = max(1, market.sequence - ids)
        market.go_on_from(sequence)
        return sequence

    def number_of(self, symbol: str) -> int:
        """The sequence of a product's newest message."""
        return self.markets[symbol].sequence

    def throttle(self, for_ms: int, *, ban: bool) -> None:
        """Answer 429 to everybody; this exchange says nothing else to who is banned."""
        self.requests.refuse_all(for_ms, self.wall_ms())

    def true_answer(self, sent: Mapping[str, str]) -> Answer:
        """``symbol``, ``id`` (a sequence) and perhaps ``level``."""
        symbol, sequence = sent.get("symbol", ""), int(sent.get("id", ""))
        if symbol not in self.markets:
            raise TruthError(f"no product {symbol!r:.80}")
        bodies = self.markets[symbol].bodies(sequence, int(sent.get("level", "2")))
        if not bodies:
            raise TruthError(f"{symbol}: {sequence} is not known")
        return Answer(200, bodies[0], {"Content-Type": "application/json"})

    def state_of(self, symbol: str) -> dict[str, Any]:
        """A product as ``/sim/state`` tells it."""
        market = self.markets[symbol]
        return {
            "status": market.product.status,
            "update_id": market.sequence,
            "oldest_id": market.journal.oldest,
            "orders": len(market.engine.orders),
            "best_bid": next(iter(market.levels("buy", 1)), [None])[0],
            "best_ask": next(iter(market.levels("sell", 1)), [None])[0],
        }
