"""The exchange: its instruments and their markets, who listens, and its clock's ticks. Sans-I/O."""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final

from simulator.answer import Answer
from simulator.bitmex.instruments import Instrument
from simulator.bitmex.market import Market
from simulator.bitmex.rows import SIDES, Row
from simulator.floor import Floor
from simulator.market import DEEP, Profile
from simulator.truth import TruthError
from simulator.weight import RequestMeter

ANONYMOUS_A_MINUTE: Final = 30
"""*"Requests to our REST API are rate limited to 120 requests per minute … If you are not logged in, your
ratelimit is 30/minute … This counter refills continuously"*."""


class BitmexExchange(Floor):
    """``old``: rows as before July 2023. ``history`` steps of each instrument are remembered at least."""

    halted_status = "Closed"

    def __init__(
        self,
        *,
        wall_ms: Callable[[], int],
        seed: int = 1,
        history: int = 200_000,
        requests_a_minute: int = ANONYMOUS_A_MINUTE,
        old: bool = False,
    ) -> None:
        super().__init__(wall_ms=wall_ms, seed=seed)
        self.old = old
        self.requests = RequestMeter(requests_a_minute, window_ms=60_000)
        self.markets: dict[str, Market] = {}
        self._history = history
        self._moved_ms = wall_ms()

    def add(self, instrument: Instrument, profile: Profile = DEEP) -> Market:
        """List an instrument with a market of its own."""
        if instrument.symbol in self.markets:
            raise ValueError(f"{instrument.symbol} is listed twice")
        market = self.markets[instrument.symbol] = Market(
            instrument,
            profile,
            now_ms=self.wall_ms(),
            kept=self._history,
            rng=Random(f"{self.seed}/{instrument.symbol}/market"),
            old=self.old,
        )
        return market

    def add_recorded(self, instrument: Instrument, rows: Iterable[Row], *, now_ms: int, old: bool) -> Market:
        """List an instrument whose messages were recorded."""
        if instrument.symbol in self.markets:
            raise ValueError(f"{instrument.symbol} is listed twice")
        self.old = old
        market = self.markets[instrument.symbol] = Market(
            instrument,
            None,
            now_ms=now_ms,
            kept=self._history,
            rng=Random(f"{self.seed}/{instrument.symbol}/market"),
            old=old,
            recorded=rows,
        )
        return market

    def tick(self) -> None:
        """A while has passed: engines act and tables send."""
        now_ms = self.strike()
        elapsed_ms, self._moved_ms = max(0, now_ms - self._moved_ms), now_ms
        for market in self.markets.values():
            market.tick(now_ms, elapsed_ms)
        self.beat(now_ms)

    def set_status(self, symbol: str, status: str) -> None:
        """Change an instrument's state. Raises ValueError."""
        if symbol not in self.markets:
            raise ValueError(f"no instrument {symbol!r:.80} is listed")
        self.markets[symbol].set_state(status)

    # Faults that concern the whole exchange (simulator.floor.Floor)

    @property
    def symbols(self) -> Iterable[str]:
        """What is listed."""
        return self.markets

    def rebase(self, symbol: str, ids: int) -> int:
        """Let an instrument's times go on from ``ids`` milliseconds before: messages have no other number."""
        return self.markets[symbol].rebase(ids)

    def number_of(self, symbol: str) -> int:
        """The time of an instrument's newest row."""
        return self.markets[symbol].time_ms

    def throttle(self, for_ms: int, *, ban: bool) -> None:
        """Answer 429 to everybody, or 403 where it is a ban."""
        self.requests.refuse_all(for_ms, self.wall_ms(), ban=ban)

    def true_answer(self, sent: Mapping[str, str]) -> Answer:
        """``symbol``, ``id`` (a step) or ``time`` (milliseconds), and perhaps ``depth``."""
        symbol, depth = sent.get("symbol", ""), int(sent.get("depth", "0"))
        market = self.markets.get(symbol)
        if market is None:
            raise TruthError(f"no instrument {symbol!r:.80}")
        if depth < 0:
            raise ValueError("depth is 0 for all, or more")
        if "time" in sent:
            body = market.body_by(int(sent["time"]), depth)
        else:
            body = market.body(int(sent.get("id", "")), depth)
        return Answer(200, body, {"Content-Type": "application/json"})

    def state_of(self, symbol: str) -> dict[str, Any]:
        """An instrument as ``/sim/state`` tells it; its id is the oracle's count of rows."""
        market = self.markets[symbol]
        bid, ask = (market.book.best(side) for side in SIDES)
        return {
            "status": market.instrument.state,
            "update_id": market.step,
            "event_time_ms": market.time_ms,
            "rows": len(market.history.head),
            "best_bid": market.instrument.price(bid[0].price) if bid else None,
            "best_ask": market.instrument.price(ask[0].price) if ask else None,
        }
