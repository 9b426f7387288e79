"""``Markets``: the venues whose books the pages show, and how their symbols are addressed.

A symbol of the first venue is addressed by its name alone, ``ETHUSDT``, that of another one with the venue's
before it: ``binanceusdm/ETHUSDT``. What a page asks the server for is at the venue's own paths.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote

from depthcast.files import BINANCE, Scheme, scheme_of
from depthcast.fleet import Members
from server.catalogue import Catalogue
from server.freshness import Currency, Freshness
from server.hot import HotFile
from server.push.events import STREAM_PATH

FIRST: Final = BINANCE.venue
"""The venue whose symbols need no venue's name."""


class Heard(Protocol):
    """What is heard of a venue's replicas."""

    @property
    def members(self) -> Members:
        """The replicas as last heard of."""
        ...

    @property
    def denied(self) -> bool:
        """Whether the store refuses heartbeats."""
        ...


class Market(NamedTuple):
    """One venue that is shown."""

    scheme: Scheme
    catalogue: Catalogue
    freshness: Freshness
    heard: Heard | None = None

    @property
    def venue(self) -> str:
        """Its name, as the keys of its tape have it."""
        return self.scheme.venue

    @property
    def prefix(self) -> str:
        """What its symbols' addresses begin with."""
        return "" if self.venue == FIRST else f"{self.venue}/"

    def book_url(self, symbol: str, limit: int) -> str:
        """Where a book is asked for; with ``&at=`` behind it, as it was."""
        return "/" + self.scheme.key(quote(symbol, safe=""), limit)

    @property
    def stream_path(self) -> str:
        """Where its books are pushed from."""
        return stream_path(self.venue)


class Found(NamedTuple):
    """A symbol that an address names."""

    market: Market
    symbol: str

    @property
    def address(self) -> str:
        """How it is addressed."""
        return self.market.prefix + self.symbol


class Markets:
    """The venues, the first one first."""

    def __init__(self, markets: Sequence[Market]) -> None:
        self._by_prefix = {market.prefix: market for market in markets}

    def __iter__(self) -> Iterator[Market]:
        return iter(self._by_prefix.values())

    def __len__(self) -> int:
        return len(self._by_prefix)

    @property
    def known(self) -> bool:
        """Whether it is known what is published."""
        return all(market.catalogue.known for market in self)

    @property
    def addresses(self) -> Iterator[str]:
        """All symbols, venue by venue."""
        for market in self:
            prefix = market.prefix
            if prefix:
                yield from (prefix + symbol for symbol in market.catalogue.symbols)
            else:
                yield from market.catalogue.symbols

    def find(self, address: str) -> Found | None:
        """Whose symbol an address names, published or not; ``None`` where no such venue is served."""
        venue, slash, symbol = address.rpartition("/")
        market = self._by_prefix.get(venue + slash)
        return None if market is None else Found(market, symbol)


class Freshnesses:
    """How fresh a file is, whichever venue's it is: as that venue's :class:`~server.freshness.Freshness`."""

    def __init__(self, by_venue: Callable[[str], Freshness]) -> None:
        self._by_venue = by_venue

    def of(self, file: HotFile, now: float) -> Currency:
        """As :meth:`server.freshness.Freshness.of`."""
        return self._by_venue(scheme_of(file.key).venue).of(file, now)


def stream_path(venue: str) -> str:
    """Where a venue's books are pushed from.

    >>> stream_path("binance"), stream_path("binanceusdm")
    ('/stream/depth', '/binanceusdm/stream/depth')
    """
    return STREAM_PATH if venue == FIRST else f"/{venue}{STREAM_PATH}"
