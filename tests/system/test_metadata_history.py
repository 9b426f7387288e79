"""Two replicas, 10,000 polls, 500 changes: the history holds each change once, in order, whatever happens.

The exchange, the polls, the recorders and the store are the real ones, in virtual time; what is played is the
network between them. Replicas are killed at any point of what they do, the store is away or applies writes
whose answers are lost, and the exchange answers errors, web pages, halves of documents and lists of nothing.
What the exchange said at each moment is known from the script alone.
"""

import asyncio
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

from depthcast.backoff import Backoff
from depthcast.errors import VenueUnavailable
from depthcast.http_client import NO_HEADERS, HttpAnswer
from depthcast.metadata.history import History
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS, Kind, account, commission
from depthcast.metadata.record import Recorded
from depthcast.rest import Rest
from depthcast.store.memory import MemoryStore
from depthcast.venues.binance import Binance
from depthcast.venues.binance_signing import ApiKey
from simulator.accounts import Account
from simulator.changes import Changes
from simulator.exchange import Exchange
from simulator.market import Profile, listing_of, names
from simulator.rest import Rest as SimulatedRest
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

CHANGES: Final = 500
POLLS: Final = 10_000
TIMES: Final = 10_000
EVERY_S: Final = 8.0
LASTS_S: Final = (42.0, 60.0)
"""How long each change lasts: long enough to be seen by somebody, whoever is dead or cut off meanwhile."""

SEEN_WITHIN_MS: Final = 40_000
KEY: Final = "K3y" * 20
SECRET: Final = "s3cr3t" * 8
KINDS: Final = (EXCHANGE_INFO, SYSTEM_STATUS, account("main"), commission("main", "BTCUSDT"))
FORMS: Final = ("500", "503", "html", "page", "truncated", "shrunk", "cut", "hang")


@dataclass
class World:
    """The exchange and what it said when; the store's troubles; who lives."""

    rng: Random
    store: MemoryStore = field(default_factory=lambda: MemoryStore(content_etags=True))
    away: bool = False
    lives: dict[str, Metadata] = field(default_factory=dict)
    happened: Counter[str] = field(default_factory=Counter)
    polls: int = 0
    said: dict[Kind, list[tuple[int, Any]]] = field(default_factory=dict)
    """By kind, from when on the exchange said what, as the script has it."""

    def __post_init__(self) -> None:
        self.exchange = Exchange(wall_ms=now_ms, seed=5)
        for symbol in names(16):
            self.exchange.add_market(listing_of(symbol), Profile(bids=5, asks=5, changes=1))
        self.exchange.accounts.add(Account.of(f"{KEY}\n{SECRET}"))
        self.changes = Changes(self.exchange, Profile(bids=5, asks=5, changes=1))
        self.rest = SimulatedRest(self.exchange)

    def note(self) -> None:
        """What the exchange says from now on, read off it directly and not through the code under test."""
        # The damaged answers that wait are for those who poll.
        waiting, self.exchange.spoiled = self.exchange.spoiled, {}
        info = json.loads(
            self.rest.answer(
                "GET", EXCHANGE_INFO.path, "showPermissionSets=false", headers={}, address="x"
            ).body
        )
        self.exchange.spoiled = waiting
        del info["serverTime"]
        owner = self.exchange.accounts.of_key(KEY)
        truth: dict[Kind, Any] = {
            KINDS[0]: info,
            KINDS[1]: {
                "status": int(self.exchange.maintenance),
                "msg": ("normal", "system_maintenance")[self.exchange.maintenance],
            },
            KINDS[2]: owner.info(omit_zero_balances=False),
            KINDS[3]: owner.commission("BTCUSDT"),
        }
        for kind, document in truth.items():
            told = self.said.setdefault(kind, [])
            document = json.loads(json.dumps(document))
            if not told or told[-1][1] != document:
                told.append((now_ms(), document))

    def change(self, number: int) -> None:
        """The next scripted change."""
        rng, listed = self.rng, sorted(self.exchange.instruments)
        some = rng.choice([symbol for symbol in listed if symbol != "BTCUSDT"])
        match rng.choice(("list", "delist", "rename", "status", "filter", "fee", "balance", "maintenance")):
            case "list":
                order: Mapping[str, Any] = {"change": "list", "symbol": f"NEW{number}USDT"}
            case "delist" if len(listed) > 12:
                order = {"change": "delist", "symbol": some}
            case "rename":
                order = {"change": "rename", "symbol": some, "to": f"REN{number}USDT"}
            case "status":
                now = self.exchange.instruments[some].listing.status
                status = rng.choice([each for each in ("TRADING", "HALT", "BREAK") if each != now])
                order = {"change": "status", "symbol": some, "status": status}
            case "filter":
                order = {
                    "change": "filter",
                    "symbol": some,
                    "filter": "LOT_SIZE",
                    "set": {"stepSize": f"{number}.0"},
                }
            case "fee":
                order = {"change": "fee", "fee": "maker", "rate": f"0.{number:08d}"}
            case "balance":
                order = {"change": "balance", "asset": "ETH", "free": f"{number}", "locked": "0"}
            case _:
                order = {"change": "maintenance", "on": not self.exchange.maintenance}
        self.changes.order(order)
        self.happened[str(order["change"])] += 1
        self.note()


class Network:
    """The way to the exchange."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, url: str, *, headers: Mapping[str, str] = NO_HEADERS, shown: str = "") -> HttpAnswer:
        rng = self._world.rng
        await asyncio.sleep(rng.uniform(0.01, 0.2))
        if rng.random() < 0.01:
            raise VenueUnavailable("cut off")
        parts = urlsplit(url)
        named = {name.lower(): value for name, value in headers.items()}
        answer = self._world.rest.answer("GET", parts.path, parts.query, headers=named, address="x")
        await asyncio.sleep(rng.uniform(0.01, 0.2))
        if answer.fate != "whole":
            raise VenueUnavailable("cut off in the middle")
        return HttpAnswer(answer.status, answer.headers, answer.body)

    async def close(self) -> None:
        """Nothing is open."""


class Replica(Process[World]):
    """One replica's metadata."""

    def start(self) -> None:
        world = self.world
        settings = UpdaterSettings.model_validate(
            {
                "replica": self.name,
                "symbols": ("all",),
                "rest_url": "http://exchange",
                "api_url": "http://exchange",
                "account": "main",
                "commission_symbols": ("BTCUSDT",),
                "symbols_every_s": EVERY_S,
                "system_status_every_s": EVERY_S,
                "account_every_s": EVERY_S,
            }
        )

        def wall_ms() -> int:
            return now_ms() + self.skew_ms

        rest = Rest(
            Binance("http://exchange", "ws://exchange"),
            http=Network(world),
            clock=virtual.clock,
            wall_ms=wall_ms,
            rng=world.rng,
            attempts=2,
        )
        self.metadata = Metadata(
            settings,
            Way(world),
            rest=rest,
            key=ApiKey(KEY, SECRET),
            take=self._take,
            begin=nothing,
            ready=nothing,
            on_poll=lambda kind, outcome, _: self._polled(outcome),
            backoff=lambda: Backoff(1.0, minimum_s=0.5, maximum_s=8.0, rng=world.rng),
            aside=at_once,
            clock=virtual.clock,
            wall_ms=wall_ms,
            rng=world.rng,
        )
        world.lives[self.name] = self.metadata
        self.task = asyncio.ensure_future(self.metadata.run())

    def _polled(self, outcome: str) -> None:
        self.world.polls += 1
        self.world.happened[outcome] += 1


async def trouble(world: World, replicas: list[Replica]) -> None:
    """Kills, outages and bad answers, one after the other and across each other."""
    rng = world.rng

    async def bad_answers() -> None:
        while True:
            await asyncio.sleep(rng.uniform(20, 80))
            form = rng.choice(FORMS)
            path = rng.choice([kind.path for kind in KINDS])
            world.changes.order({"change": "spoil", "path": path, "form": form, "count": rng.randint(1, 2)})
            world.happened[f"spoiled {form}"] += 1

    await asyncio.gather(kills(world, replicas), outages(world), bad_answers())


async def play(world: World) -> None:
    world.note()
    replicas = [Replica(world, "a", 1500), Replica(world, "b", -1200)]
    for replica in replicas:
        replica.start()
    beside = [asyncio.ensure_future(work) for work in (hear(world), trouble(world, replicas))]
    for number in range(1, CHANGES + 1):
        await asyncio.sleep(world.rng.uniform(*LASTS_S))
        world.change(number)
    await end(world, replicas, beside)


def plain(kind: Kind, document: bytes) -> Any:
    """A document as the script has it."""
    members = json.loads(document)
    members.pop("serverTime", None)
    return members


def test_each_of_500_changes_is_in_the_history_once_in_order_and_at_answers_by_the_script() -> None:
    async def main() -> World:
        world = World(Random(11))
        await play(world)
        recorded = {kind: await changes_of(world, kind) for kind in KINDS}
        for kind, changes in recorded.items():
            said = world.said[kind]
            assert [plain(kind, each.document) for each in changes] == [document for _, document in said], (
                kind.name
            )
            assert [each.record.sequence for each in changes] == list(range(1, len(said) + 1))
            digests = [each.record.sha256 for each in changes]
            assert [each.record.previous for each in changes] == [None, *digests[:-1]]
            current = await world.store.get(kind.key)
            assert current is not None
            assert plain(kind, current.body) == said[-1][1]
            for each, (since_ms, _) in zip(changes, said, strict=True):
                assert -2000 <= each.record.observed_ms - since_ms <= SEEN_WITHIN_MS, kind.name
        await ask_for_times(world, recorded)
        return world

    world = virtual.run(main())
    assert world.polls >= POLLS
    assert world.changes.count >= CHANGES
    assert all(
        world.happened[kind] for kind in ("list", "delist", "rename", "status", "filter", "fee", "balance")
    )
    assert world.happened["maintenance"] > 10
    assert world.happened["killed"] > 100
    assert world.happened["outage"] > 50
    assert min(world.happened["write lost"], world.happened["answer lost"]) > 20
    assert all(world.happened[f"spoiled {form}"] for form in FORMS)


async def ask_for_times(world: World, recorded: Mapping[Kind, list[Recorded]]) -> None:
    """What was in force at a random time is what the script says, but for how late a change was seen."""
    histories = {kind: History(world.store, kind, aside=at_once) for kind in KINDS}
    end_ms = START_MS + round((virtual.clock() - 1000) * 1000)
    for _ in range(TIMES):
        kind = world.rng.choice(KINDS)
        said, changes = world.said[kind], recorded[kind]
        time_ms = world.rng.randrange(changes[0].record.observed_ms, end_ms)
        found = await histories[kind].at(time_ms)
        assert found is not None
        index = bisect_right([since_ms for since_ms, _ in said], time_ms) - 1
        seen = bisect_right([each.record.observed_ms for each in changes], time_ms) - 1
        assert plain(kind, found.document) == said[seen][1]
        # By the script it is the present one; the one before only until the change could be seen, and the
        # next one only by as much as a replica's clock is wrong.
        late = seen == index - 1 and time_ms - said[index][0] <= SEEN_WITHIN_MS
        early = seen == index + 1 and said[seen][0] - time_ms <= 2000
        assert seen == index or late or early
    assert all(history.reads <= 3 * TIMES for history in histories.values())
