"""Each venue's list, changed by a script while replicas are killed and the store is away: each change once.

As in ``test_metadata_history`` the polls, the recorders and the store are the real ones, in virtual time; the
exchange is the venue's simulator, and what it said at each moment is read off it directly.
"""

import asyncio
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import pytest

from depthcast.backoff import Backoff
from depthcast.errors import VenueUnavailable
from depthcast.http_client import NO_HEADERS, HttpAnswer
from depthcast.metadata.history import History
from depthcast.metadata.kinds import exchange_info
from depthcast.metadata.record import Recorded
from depthcast.rest import Rest
from depthcast.store.memory import MemoryStore
from depthcast.venues import Venue
from depthcast.venues.binance_futures import BinanceCoinFutures, BinanceFutures
from depthcast.venues.bitmex import BitMEX
from depthcast.venues.coinbase import Coinbase as CoinbaseVenue
from simulator.answer import Answer
from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import instrument_of, instruments
from simulator.bitmex.rest import Rest as BitmexRest
from simulator.changes import Changes
from simulator.coinbase.exchange import CoinbaseExchange
from simulator.coinbase.products import product_of, products
from simulator.coinbase.rest import Rest as CoinbaseRest
from simulator.coinbase.traders import Habits
from simulator.exchange import Exchange
from simulator.futures_rest import CoinFuturesRest, FuturesRest
from simulator.market import Profile, listing_of, names
from tests import virtual
from tests.system.recorders import (
    START_MS,
    Process,
    Way,
    at_once,
    changes_of,
    end,
    hear,
    kills,
    nothing,
    now_ms,
    outages,
)
from updater.metadata import Metadata
from updater.settings import UpdaterSettings

CHANGES: Final = 40
TIMES: Final = 300
EVERY_S: Final = 8.0
LASTS_S: Final = (42.0, 60.0)
SEEN_WITHIN_MS: Final = 40_000
SKEW_MS: Final = 2000


class Market(Protocol):
    """A simulator whose list can be changed."""

    def answer(self, path: str, query: str) -> Answer: ...

    def change(self, rng: Random, number: int) -> str:
        """Change something, and say what."""
        ...


class Futures:
    """Binance's USD-M futures."""

    new = "NEW{}USDT"

    def __init__(self) -> None:
        profile = Profile(bids=5, asks=5, changes=1)
        self._open()
        coin_margined = self.exchange.coin_margined
        for symbol in names(12, coin_margined=coin_margined):
            listing = listing_of(symbol, futures=True, coin_margined=coin_margined)
            self.exchange.add_market(listing, profile)
        self.changes = Changes(self.exchange, profile)

    def _open(self) -> None:
        self.exchange = Exchange(wall_ms=now_ms, seed=5, futures=True)
        self.rest = FuturesRest(self.exchange)

    def answer(self, path: str, query: str) -> Answer:
        return self.rest.answer("GET", path, query, headers={}, address="x")

    def change(self, rng: Random, number: int) -> str:
        listed = sorted(self.exchange.instruments)
        some = rng.choice(listed)
        what = rng.choice(("list", "delist", "status", "filter"))
        if what == "list":
            self.changes.order({"change": "list", "symbol": self.new.format(number)})
        elif what == "delist" and len(listed) > 10:
            self.changes.order({"change": "delist", "symbol": some})
        elif what == "filter":
            step = {"filter": "LOT_SIZE", "set": {"minQty": f"{number}.5"}}
            self.changes.order({"change": "filter", "symbol": some, **step})
        else:
            now = self.exchange.instruments[some].listing.status
            status = rng.choice([each for each in ("TRADING", "HALT", "BREAK") if each != now])
            self.changes.order({"change": "status", "symbol": some, "status": status})
            what = "status"
        return what


class CoinFutures(Futures):
    """Binance's COIN-M futures, whose list has other words for the status of a contract."""

    new = "NEW{}USD_PERP"

    def _open(self) -> None:
        self.exchange = Exchange(wall_ms=now_ms, seed=5, futures=True, coin_margined=True)
        self.rest = CoinFuturesRest(self.exchange)


class Coinbase:
    """Coinbase Exchange."""

    def __init__(self) -> None:
        self.exchange = CoinbaseExchange(wall_ms=now_ms, seed=5, habits=Habits(4))
        for product in products(8):
            self.exchange.add(product)
        self.rest = CoinbaseRest(self.exchange)

    def answer(self, path: str, query: str) -> Answer:
        return self.rest.answer("GET", path, query, headers={}, address="x")

    def change(self, rng: Random, number: int) -> str:
        markets = self.exchange.markets
        some = rng.choice(sorted(markets))
        what = rng.choice(("list", "delist", "status", "increment"))
        if what == "list":
            self.exchange.add(product_of(f"NEW{number}-USD"))
        elif what == "delist" and len(markets) > 6:
            del markets[some]
        elif what == "increment":
            markets[some].product.size_digits += 1
        else:
            product, what = markets[some].product, "status"
            product.status = rng.choice(
                [each for each in ("online", "offline", "delisted") if each != product.status]
            )
        return what


class Instruments:
    """BitMEX, whose list tells prices, too: they move between two looks."""

    def __init__(self) -> None:
        self.exchange = BitmexExchange(wall_ms=now_ms, seed=5, requests_a_minute=10_000)
        for instrument in instruments(8):
            self.exchange.add(instrument, Profile(bids=5, asks=5, changes=1))
        self.rest = BitmexRest(self.exchange)

    def answer(self, path: str, query: str) -> Answer:
        self.exchange.tick()
        return self.rest.answer("GET", path, query, headers={}, address="x")

    def change(self, rng: Random, number: int) -> str:
        markets = self.exchange.markets
        some = rng.choice(sorted(markets))
        what = rng.choice(("list", "delist", "status", "lot"))
        if what == "list":
            self.exchange.add(instrument_of(f"NEW{number}USD"), Profile(bids=5, asks=5, changes=1))
        elif what == "delist" and len(markets) > 6:
            del markets[some]
        elif what == "lot":
            markets[some].instrument.lot += 1
        else:
            # Only what is open is in the list of what is active.
            what, instrument = "status", markets[some].instrument
            instrument.state = "Open" if instrument.state != "Open" else rng.choice(("Closed", "Settled"))
        return what


MARKETS: Final[Mapping[str, tuple[type[Market], Callable[[], Venue]]]] = {
    "binanceusdm": (Futures, lambda: BinanceFutures("http://exchange", "ws://exchange")),
    "binancecoinm": (CoinFutures, lambda: BinanceCoinFutures("http://exchange", "ws://exchange")),
    "coinbaseexchange": (Coinbase, lambda: CoinbaseVenue("http://exchange", "ws://exchange")),
    "bitmex": (Instruments, lambda: BitMEX("http://exchange", "ws://exchange")),
}


class ListSettings(UpdaterSettings):
    """Settings whose venue is any of these, also one whose books no updater publishes."""

    listed: str

    def make_venue(self, **signing: Any) -> Venue:
        return MARKETS[self.listed][1]()


@dataclass
class World:
    """A venue and what its list said when; the store's troubles; who lives."""

    venue: str
    rng: Random
    store: MemoryStore = field(default_factory=lambda: MemoryStore(content_etags=True))
    away: bool = False
    lives: dict[str, Metadata] = field(default_factory=dict)
    happened: Counter[str] = field(default_factory=Counter)
    said: list[tuple[int, Any]] = field(default_factory=list)
    """From when on the list said what, as the script has it."""

    def __post_init__(self) -> None:
        self.market = MARKETS[self.venue][0]()
        self.kind = exchange_info(self.settings("x").make_venue().scheme)
        assert self.kind.layout is not None
        self.layout = self.kind.layout

    def settings(self, replica: str) -> UpdaterSettings:
        return ListSettings.model_validate(
            {
                "listed": self.venue,
                "replica": replica,
                "symbols": ("all",),
                "rest_url": "http://exchange",
                "ws_url": "ws://exchange",
                "symbols_every_s": EVERY_S,
            }
        )

    def plain(self, body: bytes) -> Any:
        """A list as the script has it: without what is no rule."""
        told = json.loads(body)
        if isinstance(told, dict):
            told.pop("serverTime")
            return told
        return [
            {name: value for name, value in each.items() if name not in self.layout.volatile} for each in told
        ]

    def note(self) -> None:
        """What the exchange says from now on, read off it directly and not through the code under test."""
        told = self.plain(self.market.answer(self.kind.path, "").body)
        if not self.said or self.said[-1][1] != told:
            self.said.append((now_ms(), told))


class Network:
    """The way to the exchange; now and then what comes is no answer."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, url: str, *, headers: Mapping[str, str] = NO_HEADERS, shown: str = "") -> HttpAnswer:
        rng = self._world.rng
        await asyncio.sleep(rng.uniform(0.01, 0.2))
        parts = urlsplit(url)
        answer = self._world.market.answer(parts.path, parts.query)
        await asyncio.sleep(rng.uniform(0.01, 0.2))
        chance = rng.random()
        if chance < 0.03:
            self._world.happened["cut off"] += 1
            raise VenueUnavailable("cut off")
        if chance < 0.08:
            self._world.happened["spoiled"] += 1
            damaged = (b"<html>502</html>", answer.body[: len(answer.body) // 2], b"[]", b"{}", b"")
            return HttpAnswer(200, answer.headers, rng.choice(damaged))
        return HttpAnswer(answer.status, answer.headers, answer.body)

    async def close(self) -> None:
        """Nothing is open."""


class Replica(Process[World]):
    """One replica's metadata."""

    def start(self) -> None:
        world, settings = self.world, self.world.settings(self.name)

        def wall_ms() -> int:
            return now_ms() + self.skew_ms

        venue = settings.make_venue()
        http = Network(world)
        rest = Rest(
            venue,
            http=http,
            # BitMEX takes 30 requests a minute, of which each look is two.
            weight_limit=600,
            share=1.0,
            background_share=1.0,
            clock=virtual.clock,
            wall_ms=wall_ms,
            rng=world.rng,
            attempts=2,
        )
        self.metadata = Metadata(
            settings,
            Way(world),
            rest=rest,
            key=None,
            take=self._take,
            begin=nothing,
            ready=nothing,
            on_poll=lambda kind, outcome, _: world.happened.update([outcome]),
            backoff=lambda: Backoff(1.0, minimum_s=0.5, maximum_s=8.0, rng=world.rng),
            aside=at_once,
            clock=virtual.clock,
            wall_ms=wall_ms,
            rng=world.rng,
        )
        world.lives[self.name] = self.metadata
        self.task = asyncio.ensure_future(self.metadata.run())


async def trouble(world: World, replicas: list[Replica]) -> None:
    """Kills and outages, across each other."""
    await asyncio.gather(kills(world, replicas), outages(world))


async def play(world: World) -> None:
    world.note()
    replicas = [Replica(world, "a", 1500), Replica(world, "b", -1200)]
    for replica in replicas:
        replica.start()
    beside = [asyncio.ensure_future(work) for work in (hear(world), trouble(world, replicas))]
    for number in range(1, CHANGES + 1):
        await asyncio.sleep(world.rng.uniform(*LASTS_S))
        world.happened[world.market.change(world.rng, number)] += 1
        world.note()
    await end(world, replicas, beside)


@pytest.mark.parametrize("venue", MARKETS)
def test_each_change_of_a_venues_list_is_kept_once_in_order_and_at_answers_by_the_script(venue: str) -> None:
    async def main() -> World:
        world = World(venue, Random(7))
        await play(world)
        said, changes = world.said, await changes_of(world, world.kind)
        assert [world.plain(each.document) for each in changes] == [document for _, document in said]
        assert [each.record.sequence for each in changes] == list(range(1, len(said) + 1))
        current = await world.store.get(world.kind.key)
        assert current is not None
        assert world.plain(current.body) == said[-1][1]
        for each, (since_ms, _) in zip(changes, said, strict=True):
            assert -SKEW_MS <= each.record.observed_ms - since_ms <= SEEN_WITHIN_MS
        await ask_for_times(world, changes)
        await ask_for_symbols(world)
        return world

    world = virtual.run(main())
    assert len(world.said) > CHANGES * 0.75
    assert all(world.happened[what] for what in ("list", "delist", "status", "killed", "outage"))
    assert all(world.happened[what] > 5 for what in ("failed", "spoiled"))


async def ask_for_times(world: World, changes: list[Recorded]) -> None:
    """What was in force at a random time is what the script says, but for how late a change was seen."""
    history = History(world.store, world.kind, aside=at_once)
    end_ms = START_MS + round((virtual.clock() - 1000) * 1000)
    for _ in range(TIMES):
        time_ms = world.rng.randrange(changes[0].record.observed_ms, end_ms)
        found = await history.at(time_ms)
        assert found is not None
        index = bisect_right([since_ms for since_ms, _ in world.said], time_ms) - 1
        seen = bisect_right([each.record.observed_ms for each in changes], time_ms) - 1
        assert world.plain(found.document) == world.said[seen][1]
        late = seen == index - 1 and time_ms - world.said[index][0] <= SEEN_WITHIN_MS
        early = seen == index + 1 and world.said[seen][0] - time_ms <= SKEW_MS
        assert seen == index or late or early


async def ask_for_symbols(world: World) -> None:
    """A symbol's own log has the changes that touch it; its own file is what the exchange answers of it."""
    history = History(world.store, world.kind, aside=at_once)
    last = world.said[-1][1]
    entries = {each[world.layout.name]: each for each in (last if world.layout.bare else last["symbols"])}
    for symbol, entry in entries.items():
        stored = await world.store.get(world.kind.cut_key(symbol))
        if stored is not None:
            told = json.loads(stored.body)
            if not world.layout.alone:
                [told] = told if world.layout.bare else told["symbols"]
            assert told == entry
    some = world.rng.choice(sorted(entries))
    page = await history.log(symbol=some, limit=100)
    assert all(some in record.symbols for record in page.records)
