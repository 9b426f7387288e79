"""The venues whose books can be kept, by name, and where they are reached. Pure.

A venue that is added is named here once; settings, books and services read its name from here.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol, runtime_checkable

from depthcast.errors import SettingsError
from depthcast.scheme import Scheme
from depthcast.venues import Venue, bitmex, coinbase, coinbase_prices
from depthcast.venues.binance import REST_URL, WS_URL, Binance
from depthcast.venues.binance_files import BINANCE, BINANCE_COINM, BINANCE_US, BINANCE_USDM
from depthcast.venues.binance_futures import (
    COINM_REST_URL,
    COINM_WS_URL,
    USDM_REST_URL,
    USDM_WS_URL,
    BinanceCoinFutures,
    BinanceFutures,
)
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.coinbase_files import COINBASE
from depthcast.venues.coinbase_signing import CoinbaseKey
from depthcast.venues.keeping import Keeping, StreamKey


@runtime_checkable
class Dated(Protocol):
    """A venue that says some things without a time."""

    def dated(self, wall_ms: Callable[[], int]) -> Venue:
        """The same, which dates them by this clock."""
        ...


class Known(NamedTuple):
    """How a venue is made, its own urls, and what people call it.

    ``lively``: what is kept of its symbols where none are named; few enough that the snapshots of two
    replicas fit into one minute's request weight. ``accounts``: it has calls about accounts and maintenance,
    too.
    """

    make: Callable[[str, str, Scheme], Venue]
    rest_url: str
    ws_url: str
    scheme: Scheme
    title: str
    lively: tuple[str, ...]
    accounts: bool = False
    keeping: Keeping = Keeping()
    keys: type[StreamKey] | None = None
    """Of an account, where the stream wants one."""
    by_price: "ByPrice | None" = None
    """In place of books by order: what needs no key."""


class ByPrice(NamedTuple):
    """Books by price of a venue that tells of every order to who has a key."""

    make: Callable[[str, str, Scheme], Venue]
    keeping: Keeping


_LIVELY: Final = tuple(f"{asset}USDT" for asset in ("BTC", "ETH", "BNB", "SOL", "XRP", "DOGE", "ADA", "TRX"))


VENUES: Final[Mapping[str, Known]] = {
    known.scheme.venue: known
    for known in (
        Known(Binance, REST_URL, WS_URL, BINANCE, "Binance", _LIVELY, accounts=True),
        # Binance.US runs the same engine as Binance.
        Known(
            Binance,
            "https://api.binance.us",
            "wss://stream.binance.us:9443",
            BINANCE_US,
            "Binance.US",
            _LIVELY,
        ),
        Known(BinanceFutures, USDM_REST_URL, USDM_WS_URL, BINANCE_USDM, "Binance USD-M futures", _LIVELY),
        Known(
            BinanceCoinFutures,
            COINM_REST_URL,
            COINM_WS_URL,
            BINANCE_COINM,
            "Binance COIN-M futures",
            ("BTCUSD_PERP", "ETHUSD_PERP", "BNBUSD_PERP", "SOLUSD_PERP", "XRPUSD_PERP"),
        ),
        Known(
            coinbase.Coinbase,
            coinbase.REST_URL,
            coinbase.WS_URL,
            COINBASE,
            "Coinbase Exchange",
            ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"),
            keeping=coinbase.BY_ORDER,
            keys=CoinbaseKey,
            by_price=ByPrice(coinbase_prices.CoinbaseByPrice, coinbase_prices.BY_PRICE),
        ),
        Known(
            bitmex.BitMEX,
            bitmex.REST_URL,
            bitmex.WS_URL,
            BITMEX,
            "BitMEX",
            ("XBTUSD", "ETHUSD", "XBTUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"),
            keeping=bitmex.BY_ROW,
        ),
    )
}
"""By name."""


def venue_named(
    name: str,
    *,
    rest_url: str | None = None,
    ws_url: str | None = None,
    key: object = None,
    wall_ms: Callable[[], int] | None = None,
    by_price: bool = False,
) -> Venue:
    """The venue called ``name``, at its own urls or at those given. ``key``, of its :attr:`Known.keys`, signs
    what is subscribed to, at the time that ``wall_ms`` tells, which also dates what comes without a time.
    ``by_price``: as :attr:`Known.by_price` has it.

    Raises :class:`~depthcast.errors.SettingsError` for a name that is not known and for urls that are none.

    >>> venue_named("binanceusdm").rest_url
    'https://fapi.binance.com'
    """
    known = VENUES.get(name)
    if known is None:
        raise SettingsError(
            f"no exchange is called {name!r:.60} here",
            hint=f"known are {', '.join(VENUES)}; an engine that speaks like one is named by its urls",
        )
    make = known.make if known.by_price is None or not by_price else known.by_price.make
    venue = make(rest_url or known.rest_url, ws_url or known.ws_url, known.scheme)
    if wall_ms is not None and isinstance(venue, Dated):
        return venue.dated(wall_ms)
    if key is None or known.keys is None or wall_ms is None:
        return venue
    return venue.signing(key, wall_ms)  # type: ignore[attr-defined, no-any-return] # who has keys signs
