"""Each venue as the tests of faults set it up: its simulated exchange, and the replicas that follow it.

A rig is small and in haste: few levels, so that all of a book fits into a file and a snapshot; pauses of
fractions of a second where the product's own defaults are kind to an exchange.
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from depthcast.feed import FeedLimits
from depthcast.files import SCHEMES
from depthcast.scheme import Scheme
from depthcast.store import Store
from depthcast.venues.coinbase_signing import CoinbaseKey
from simulator.app import Simulator
from simulator.bitmex.app import BitmexSimulator
from simulator.bitmex.settings import Settings as BitmexSettings
from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.settings import Settings as CoinbaseSettings
from simulator.faults import Kind
from simulator.settings import Settings
from tests.system.oracles import Simulated
from tests.system.replicas import made_replica
from updater.replica import Replica

REBUILD_MAXIMUM_S: Final = 0.2
IDLE_S: Final = 6.0
"""A connection that is not half open is heard within this time, however busy the machine is."""

CARE: Final = ("--epoch-after-ms", "1000", "--watch-ms", "100", "--symbols-every-s", "0.5")


@dataclass(frozen=True)
class Rig(ABC):
    """``hurt`` and ``well`` are two of its symbols, ``limits`` what its replicas publish, as ``pace`` says.

    ``made`` are settings of its exchange, ``haste`` the bounds of its replicas' feeds. What faults meet there
    follows.
    """

    venue: str
    hurt: str
    well: str
    limits: tuple[int, ...]
    pace: tuple[str, ...]
    haste: FeedLimits
    made: Mapping[str, Any]
    asked: tuple[int, ...]
    """The limits that a server is asked for: published ones, and such that are cut from them."""
    cannot: Mapping[Kind, str]
    """The faults that the venue cannot have, and why."""
    unnoticed: tuple[Kind, ...] = ()
    """Those of messages that nothing tells a reader of: until they show, files of the symbol are wrong."""
    tells_whose: bool = True
    """Whether it shows whose message was damaged, by a later one at least."""
    streams: int = 1
    """So many streams make a book."""
    announces: bool = False
    """Whether the end of a connection is announced, so that its successor is there before."""
    asks_first: bool = True
    """Whether REST is asked for each book before all else; if not, then before an epoch is claimed."""
    down: int = 100_000
    """By so much ids go down."""
    old: int = 0
    """An old snapshot is of so many ids ago; 0: some."""

    @property
    def scheme(self) -> Scheme:
        """What its files are called."""
        return SCHEMES[self.venue]

    @property
    def symbols(self) -> tuple[str, ...]:
        """All that are followed."""
        return (self.hurt, self.well)

    @abstractmethod
    def simulator(self, **settings: Any) -> Simulated:
        """Its exchange, to be entered; ``settings`` beside those that it has anyway."""

    def replica(self, sim: Simulated, store: Store, name: str, *argv: str, **more: Any) -> Replica:
        """A replica of it."""
        return made_replica(
            store,
            *("--venue", self.venue, "--symbols", ",".join(self.symbols), "--replica", name),
            *("--rest-url", sim.rest_url, "--ws-url", sim.ws_url),
            *CARE,
            *self.pace,
            *argv,
            **{
                "feed_limits": self.haste,
                "wall_ms": sim.exchange.wall_ms,
                "rebuild_maximum_s": REBUILD_MAXIMUM_S,
                **more,
            },
        )


# Binance's


class BinanceRig(Rig):
    """Spot and futures."""

    def simulator(self, **settings: Any) -> Simulator:
        return Simulator(Settings(**{"symbols": self.symbols, **self.made, **settings}))


def _binance(venue: str, hurt: str, well: str, cut: int, **made: Any) -> BinanceRig:
    return BinanceRig(
        venue,
        hurt,
        well,
        limits=(5, 100, 500),
        asked=(5, cut, 100, 500),
        cannot={Kind.ERROR: "a request to subscribe is taken, whatever it names, or refused as a whole"},
        announces=True,
        old=2000,
        pace=("--limits", "5,100,500", "--cadence", "100:50,500:200", "--same-levels-ms", "100"),
        haste=FeedLimits(
            connects_per_5_min=10_000,
            reconnect_initial_s=0.05,
            reconnect_maximum_s=0.2,
            idle_timeout_s=IDLE_S,
            silent_after_s=1,
            silent_maximum_s=4,
        ),
        # Both sides fit into a snapshot and into the largest file: books are complete and need no second one.
        made={"varied": False, "depth": 400, "changes": 12, "rate": 20, "hang_s": 1, **made},
    )


SPOT: Final = _binance("binance", "BTCUSDT", "ETHUSDT", 7)
USDM: Final = _binance("binanceusdm", "BTCUSDT", "ETHUSDT", 10, futures=True)
COINM: Final = _binance("binancecoinm", "BTCUSD_PERP", "ETHUSD_PERP", 10, coin_margined=True)


# Coinbase


API_KEY: Final = "0123456789abcdef"
PASSPHRASE: Final = "passphrase"
SECRET: Final = base64.b64encode(b"a secret of some length").decode()
KEY_TEXT: Final = f"{API_KEY}\n{PASSPHRASE}\n{SECRET}\n"
"""As a file with an account's key has them."""


class CoinbaseRig(Rig):
    """Coinbase Exchange, with an account's key unless books are by price."""

    def simulator(self, **settings: Any) -> CoinbaseSimulator:
        sim = CoinbaseSimulator(CoinbaseSettings(**{"products": self.symbols, **self.made, **settings}))
        sim.exchange.keys[API_KEY] = (PASSPHRASE, SECRET)
        return sim

    def replica(self, sim: Simulated, store: Store, name: str, *argv: str, **more: Any) -> Replica:
        key = CoinbaseKey.parse(KEY_TEXT)
        signed = {} if "--by-price" in argv else {"stream_key": key}
        return super().replica(sim, store, name, *argv, **{**signed, **more})


COINBASE: Final = CoinbaseRig(
    "coinbaseexchange",
    "BTC-USD",
    "ETH-USD",
    limits=(1, 2, 3),
    asked=(1, 2, 3),
    cannot={Kind.GROUPING: "what happens to an order is a message of its own: there is nothing to cut"},
    pace=("--cadence", "1:0,2:50,3:100", "--same-levels-ms", "200"),
    haste=FeedLimits(
        connects_per_5_min=10_000,
        reconnect_initial_s=0.05,
        reconnect_maximum_s=0.2,
        refused_initial_s=0.2,
        silent_after_s=1,
        idle_timeout_s=IDLE_S,
    ),
    made={"orders": 40, "actions": 4, "rate": 50, "requests_a_second": 1000, "hang_s": 1},
)


# BitMEX


class BitmexRig(Rig):
    """BitMEX."""

    def simulator(self, **settings: Any) -> BitmexSimulator:
        return BitmexSimulator(BitmexSettings(**{"symbols": self.symbols, **self.made, **settings}))


BITMEX: Final = BitmexRig(
    "bitmex",
    "XBTUSD",
    "ETHUSD",
    limits=(10, 25, 100, 500, 0),
    asked=(1, 10, 25, 77, 0),
    cannot={},
    unnoticed=(Kind.DUPLICATE, Kind.STRAGGLER, Kind.REORDER, Kind.GAP),
    tells_whose=False,
    streams=2,
    asks_first=False,
    down=60_000,
    pace=(
        *("--cadence", "100:0,500:50,1000:100", "--same-levels-ms", "200"),
        # It may be asked 30 times a minute, and whoever has done so waits for the next one.
        *("--disagree-for-s", "1", "--symbols-every-s", "2.5"),
    ),
    haste=FeedLimits(
        connects_per_5_min=10_000,
        control_interval_s=0.05,
        reconnect_initial_s=0.05,
        reconnect_maximum_s=0.2,
        refused_initial_s=0.2,
        probe_after_s=1.0,
        idle_timeout_s=IDLE_S,
        silent_after_s=1.0,
        max_age_s=float("inf"),
    ),
    # Few rows, so that what is lost of any of them shows among the best ten before long.
    made={
        "depth": 12,
        "changes": 3,
        "rate": 40,
        "hang_s": 1,
        "varied": False,
        "requests_a_minute": 100_000,
        "connections_an_hour": 100_000,
        "subscriptions_an_hour": 100_000,
    },
)

RIGS: Final[Mapping[str, Rig]] = {rig.venue: rig for rig in (SPOT, USDM, COINM, COINBASE, BITMEX)}
"""By the venue's name."""
