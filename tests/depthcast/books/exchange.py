"""Books over real sockets on a simulated exchange, whose time and theirs move only when the test says so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from depthcast.books import Books, BookView
from depthcast.errors import NotDeepEnough
from depthcast.feed import FeedLimits
from simulator.app import Simulator
from simulator.listing import Listing
from simulator.scale import Scale
from simulator.settings import Settings
from simulator.truth import ASK, BID, Change, TrueBook

LIMITS: tuple[int | None, ...] = (1, 5, 20, None)

HASTE = FeedLimits(
    connects_per_5_min=100_000,
    control_interval_s=0,
    reconnect_initial_s=0,
    reconnect_maximum_s=0,
    handover_initial_s=0,
)
"""No pause needs the clock to move; what is given up for silence still takes its time."""

SYMBOL = "ETHUSDT"

SCALE = Scale(2, 3)

Levels = Iterable[tuple[str, str]]


class Place:
    """An exchange, books of it, and the clock of the books."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.now = 1000.0
        self.opened: list[Books] = []

    async def sleep(self, seconds: float) -> None:
        """For the books: every pause is short, and none moves their clock."""
        await asyncio.sleep(min(seconds, 0.003))

    def options(self) -> dict[str, Any]:
        """What leads books to this exchange, and to this clock."""
        return {
            "rest_url": self.sim.rest_url,
            "ws_url": self.sim.ws_url,
            "feed_limits": HASTE,
            "clock": lambda: self.now,
            "wall_ms": lambda: round(self.now * 1000),
            "sleep": self.sleep,
            "rng": Random(5),
        }

    async def books(self, *symbols: str, **options: Any) -> Books:
        """Started, and not waited for."""
        books = Books("binance", symbols or (SYMBOL,), **(self.options() | options))
        self.opened.append(books)
        await books.start()
        return books

    async def ready(self, *symbols: str, **options: Any) -> Books:
        """Books that are ready."""
        books = await self.books(*symbols, **options)
        await until(lambda: all(books[symbol].ready for symbol in books), lambda: str(books._failures))
        return books

    async def tick(self, count: int = 1, *views: BookView) -> None:
        """Let time pass on the exchange, and its news arrive at ``views``."""
        await self.sim.tick(count)
        for view in views:
            await self.arrived(view)

    async def arrived(self, view: BookView) -> None:
        """Wait until a ready book is where the exchange's stream is, and compare it."""
        instrument = self.sim.exchange.instruments[view.symbol]
        await until(lambda: view.ready and view.update_id >= instrument.sent_id, lambda: _place(self, view))
        self.compare(view)

    def compare(self, view: BookView, limits: Sequence[int | None] = LIMITS) -> None:
        """Whatever the view shows is the exchange's own book at that id, and not crossed."""
        for limit in limits:
            try:
                texts = view.top(limit, strings=True)
            except NotDeepEnough as refused:
                self._confirm(view, refused)
                continue
            held = [
                self.sim.truth.levels(view.symbol, texts.update_id, journal.generation)
                for journal in self.sim.truth.holding(view.symbol, texts.update_id)
            ]
            shown = [(_cut(bids, texts.bids, limit), _cut(asks, texts.asks, limit)) for bids, asks in held]
            assert (texts.bids, texts.asks) in shown, (
                f"{view.symbol} at {texts.update_id} is not the exchange's"
            )
            numbers = view.top(limit)
            assert numbers[:3] == texts[:3]
            assert numbers.bids == [[float(p), float(q)] for p, q in texts.bids]
            assert numbers.asks == [[float(p), float(q)] for p, q in texts.asks]
            if numbers.bids and numbers.asks:
                assert numbers.bids[0][0] < numbers.asks[0][0], "crossed"
        for books in self.opened:
            if view.symbol in books and books[view.symbol] is view:
                books.check()

    def _confirm(self, view: BookView, refused: NotDeepEnough) -> None:
        """Levels were refused because there are more than are certain."""
        bids, asks = self.sim.truth.levels(view.symbol, view.update_id)
        true = (len(bids) > refused.bids < refused.limit, len(asks) > refused.asks < refused.limit)
        assert any(true), f"{refused}, and all of them are"

    async def subscribed(self, symbol: str = SYMBOL) -> None:
        """Wait until a connection listens to ``symbol``."""
        await until(lambda: any(c.listens_to(symbol) for c in self.sim.exchange.connections.values()))

    # A market that does what the test says

    def list_quiet(self, symbol: str, bids: Levels, asks: Levels, *, scale: Scale = SCALE) -> None:
        """List a symbol whose book changes only by :meth:`change`."""
        listing = Listing(symbol, symbol, symbol, scale, 1, 1)
        sides = [
            [(scale.price_units(price), scale.quantity_units(quantity)) for price, quantity in side]
            for side in (bids, asks)
        ]
        self.sim.exchange.add_recorded(listing, TrueBook(*sides), 1000)

    async def change(
        self, symbol: str, bids: Levels = (), asks: Levels = (), *, ids: int = 3, drain: bool = True
    ) -> None:
        """One diff of ``ids`` ids."""
        instrument = self.sim.exchange.instruments[symbol]
        scale = instrument.listing.scale
        changes = [
            Change(side, scale.price_units(price), scale.quantity_units(quantity))
            for side, levels in ((BID, bids), (ASK, asks))
            for price, quantity in levels
        ]
        first = instrument.sent_id + 1
        self.sim.exchange.replay(symbol, first, first + ids - 1, self.sim.exchange.wall_ms(), changes)
        if drain:
            await self.sim.drain()


def _cut(true: Sequence[tuple[str, str]], shown: list[list[str]], limit: int | None) -> list[list[str]]:
    # Without a limit as many levels are shown as are certain.
    return [list(level) for level in true[: len(shown) if limit is None else limit]]


def _place(place: Place, view: BookView) -> str:
    return f"{view.not_ready()}; the stream is at {place.sim.exchange.instruments[view.symbol].sent_id}"


@asynccontextmanager
async def exchange(*symbols: str, **settings: Any) -> AsyncIterator[Place]:
    """A small exchange in manual time, with a past."""
    chosen = {"depth": 60, "changes": 12, "varied": False, "partial_share": 0.0} | settings
    async with Simulator(Settings(symbols=symbols or (SYMBOL,), **chosen), manual=True) as sim:
        await sim.tick(20)
        place = Place(sim)
        try:
            yield place
        finally:
            for books in place.opened:
                await books.close()


async def until(condition: Callable[[], object], what: Callable[[], str] = lambda: "") -> None:
    """Wait for what happens over sockets; a bound in rounds, far above what it takes."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"it never came true; {what()}")


__all__ = ["LIMITS", "SYMBOL", "Place", "exchange", "until"]
