"""What a venue lists comes, stands still and goes while updater and server run: nothing begins anew."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from depthcast.feed import FeedLimits
from depthcast.files import SCHEMES, FileInfo
from depthcast.metadata.kinds import exchange_info, trading_status
from depthcast.store.memory import MemoryStore
from depthcast.venues import bitmex as bitmex_venue
from depthcast.venues.coinbase_signing import CoinbaseKey
from simulator.app import Simulator
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.instruments import instrument_of
from simulator.bitmex.settings import Settings as BitmexSettings
from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.products import product_of
from simulator.coinbase.settings import Settings as CoinbaseSettings
from simulator.market import Profile
from simulator.settings import Settings
from tests.system.rigs import KEY_TEXT
from tests.system.servers import serving
from updater.replica import Replica
from updater.settings import UpdaterSettings

pytestmark = pytest.mark.timeout(180)

WAIT_S: Final = 60.0

HASTE: Final = FeedLimits(
    connects_per_5_min=10_000, control_interval_s=0.02, reconnect_initial_s=0.05, reconnect_maximum_s=0.2
)


class Floor(NamedTuple):
    """A simulated exchange, and how its list is changed: what comes, stands still or not, goes."""

    sim: Any
    add: Callable[[str], object]
    stand: Callable[[str, bool], object]
    drop: Callable[[str], object]


class Case(NamedTuple):
    """One venue: what it lists, what comes later, and what is said of what stands still."""

    floor: Callable[[Path], Floor]
    symbols: tuple[str, str]
    new: str
    still: str
    """The word for what stands still, among the metadata of files."""
    told: tuple[tuple[object, object], ...]
    """How the venue's own list tells it, from and to; nothing where it does not name what stands still."""
    paths: tuple[str, ...] = ()


def binance(symbols: tuple[str, ...], *, futures: bool = False, coin_margined: bool = False) -> Floor:
    sim = Simulator(
        Settings(
            symbols=symbols,
            depth=30,
            changes=3,
            varied=False,
            weight_limit=100_000,
            futures=futures,
            coin_margined=coin_margined,
        )
    )

    def order(change: str, symbol: str, **members: str) -> None:
        sim.changes.order({"change": change, "symbol": symbol, **members})

    return Floor(
        sim,
        lambda symbol: order("list", symbol),
        lambda symbol, still: order("status", symbol, status="HALT" if still else "TRADING"),
        lambda symbol: order("delist", symbol),
    )


def coinbase(folder: Path) -> Floor:
    path = folder / "key"
    path.write_text(KEY_TEXT)
    products = ("BTC-USD", "ETH-USD")
    sim = CoinbaseSimulator(
        CoinbaseSettings(products=products, orders=30, actions=3, keys=(path,), requests_a_second=1000)
    )
    exchange = sim.exchange
    return Floor(
        sim,
        lambda symbol: exchange.add(product_of(symbol)),
        lambda symbol, still: exchange.set_status(symbol, "offline" if still else "online"),
        lambda symbol: exchange.set_status(symbol, "delisted"),
    )


def bitmex(_: Path) -> Floor:
    sim = BitmexSimulator(
        BitmexSettings(
            symbols=("XBTUSD", "ETHUSD"),
            depth=12,
            changes=3,
            varied=False,
            requests_a_minute=100_000,
            connections_an_hour=100_000,
            subscriptions_an_hour=100_000,
        )
    )
    exchange = sim.exchange
    return Floor(
        sim,
        lambda symbol: exchange.add(instrument_of(symbol), Profile(bids=12, asks=12, changes=3)),
        lambda symbol, still: exchange.set_status(symbol, "Closed" if still else "Open"),
        lambda symbol: exchange.set_status(symbol, "Settled"),
    )


HALTED: Final = (("TRADING", "HALT"), ("HALT", "TRADING"))
CASES: Final[Mapping[str, Case]] = {
    "binance": Case(
        lambda _: binance(("BTCUSDT", "ETHUSDT")), ("BTCUSDT", "ETHUSDT"), "NEWUSDT", "HALT", HALTED
    ),
    "binanceusdm": Case(
        lambda _: binance(("BTCUSDT", "ETHUSDT"), futures=True),
        ("BTCUSDT", "ETHUSDT"),
        "NEWUSDT",
        "HALT",
        HALTED,
    ),
    "binancecoinm": Case(
        lambda _: binance(("BTCUSD_PERP", "ETHUSD_PERP"), coin_margined=True),
        ("BTCUSD_PERP", "ETHUSD_PERP"),
        "NEWUSD_PERP",
        "HALT",
        HALTED,
    ),
    "coinbaseexchange": Case(
        coinbase,
        ("BTC-USD", "ETH-USD"),
        "NEW-USD",
        "OFFLINE",
        (("online", "offline"), ("offline", "online")),
        ("/products/NEW-USD",),
    ),
    "bitmex": Case(bitmex, ("XBTUSD", "ETHUSD"), "NEWUSD", "DELISTED", ()),
}


@contextlib.asynccontextmanager
async def updating(venue: str, floor: Floor, store: MemoryStore) -> AsyncIterator[Replica]:
    sim = floor.sim
    argv = ["--venue", venue, "--symbols", "all", "--replica", "a", "--symbols-every-s", "0.5"]
    argv += ["--rest-url", sim.rest_url, "--ws-url", sim.ws_url]
    argv += ["--same-levels-ms", "200", "--watch-ms", "100"]

    async def proven(_store: object) -> None:
        """The conformance suite proves stores."""

    replica = Replica(
        UpdaterSettings.load(argv, {}),
        store,
        prove=proven,
        stream_key=CoinbaseKey.parse(KEY_TEXT) if venue == "coinbaseexchange" else None,
        wall_ms=sim.exchange.wall_ms,
        feed_limits=HASTE,
    )
    task = asyncio.ensure_future(replica.run())
    try:
        yield replica
        assert not task.done(), task.exception()
    finally:
        replica.stop()
        replica.give_up()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], Awaitable[object]], what: Callable[[], Awaitable[object]]) -> None:
    """Wait until it is, with a bound."""
    end = asyncio.get_running_loop().time() + WAIT_S
    while not await true():
        assert asyncio.get_running_loop().time() < end, await what()
        await asyncio.sleep(0.05)


class Kept(MemoryStore):
    """Stays open when the server closes it: the updater still writes to it."""

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("venue", CASES)
async def test_a_symbol_is_listed_stands_still_and_goes_without_a_restart(
    venue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # BitMEX takes 30 requests a minute, of which each look is two: what comes then is seen in the next one.
    monkeypatch.setattr(bitmex_venue, "REQUESTS_PER_MINUTE", 100_000)
    case, scheme, store = CASES[venue], SCHEMES[venue], Kept()
    held, other = case.symbols
    floor = case.floor(tmp_path)

    async def status_of(symbol: str) -> set[str]:
        """What the files of a symbol say that it does; empty where one is missing."""
        found = set()
        for limit in scheme.limits:
            stored = await store.get(scheme.key(symbol, limit))
            if stored is None:
                return set()
            found.add(FileInfo.from_metadata(symbol, stored.metadata).status)
        return found

    async def says(symbol: str, status: str) -> None:
        async def true() -> bool:
            return await status_of(symbol) == {status}

        await until(true, lambda: status_of(symbol))

    async with floor.sim, updating(venue, floor, store), serving(store, venue) as client:
        await says(held, "TRADING")
        await says(other, "TRADING")
        floor.add(case.new)
        await says(case.new, "TRADING")
        floor.stand(held, True)
        await says(held, case.still)
        assert await status_of(other) == {"TRADING"}
        floor.stand(held, False)
        await says(held, "TRADING")
        floor.drop(case.new)
        await says(case.new, "DELISTED")
        assert await status_of(other) == {"TRADING"}

        kind, of_status = exchange_info(scheme), trading_status(scheme)
        derived = await store.get(of_status.key)
        assert derived is not None
        statuses = {each["symbol"]: each for each in json.loads(derived.body)["symbols"]}
        assert statuses[held]["source"] == kind.name.rpartition("/")[2]
        assert {*case.symbols, case.new} <= statuses.keys()
        for path in (f"/{kind.path.lstrip('/')}", *case.paths):
            assert (await client.get(path)).status_code == 200, path
        log = (await client.get(f"/history/{kind.name}?symbol={held}")).json()["changes"]
        went = [
            (each["from"], each["to"])
            for record in reversed(log)
            for each in record["changes"]
            if each["path"].startswith(f"symbols/{held}/") and each["path"].endswith(("/status", "Status"))
        ]
        assert tuple(went) == case.told
        new = (await client.get(f"/history/{kind.name}?symbol={case.new}")).json()["changes"]
        what = [each["what"] for record in reversed(new) for each in record["changes"]]
        assert what[0] == "listed"
