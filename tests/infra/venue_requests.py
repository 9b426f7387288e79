"""What an edge is asked of the venues beside the first, and what to make of it, by the venue's own words."""

from typing import NamedTuple

from depthcast.files import BINANCE, COINBASE, SCHEMES, Scheme, depth_key
from depthcast.venues.answering import ANSWERING
from depthcast.venues.binance_files import BinanceScheme
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.requests import ApiError

BINANCES = tuple(
    each for each in SCHEMES.values() if isinstance(each, BinanceScheme) and each.venue != BINANCE.venue
)
"""Those that speak as Binance does, in one way or another."""

QUERIES = (
    "symbol=BTCUSDT",
    "symbol=BTCUSDT&limit=5",
    "limit=1000&symbol=BTCUSDT",
    "symbol=BTCUSDT&limit=0005",
    "s%79mbol=%42TCUSDT&limit=%35",
    "symbol=币安人生USDT&limit=20",
    "symbol=BTCUSDT&limit=7",
    "symbol=BTCUSDT&limit=0",
    "symbol=BTCUSDT&limit=",
    "symbol=BTCUSDT&limit=5001",
    "symbol=BTCUSDT&limit=99999999999",
    "symbol=BTCUSDT&limit=123456789012345678901",
    "symbol=BTCUSDT&limit=x",
    "symbol=BTCUSDT&limit=-5",
    "symbol=BTCUSDT&limit=5&limit=5",
    "symbol=A&symbol=B&limit=7",
    "symbol=BTCUSDT&timestamp=1",
    "symbol=BTCUSDT&timestamp=1&timestamp=2",
    "symbol=BTCUSDT&limit=5&a=1&b=2",
    "symbol=BTC%2FUSDT",
    "symbol=",
    "limit=7",
    "",
)


class Row(NamedTuple):
    """One request for a book: the refusal, or the symbol and limit that are meant."""

    scheme: Scheme
    query: str
    error: ApiError | None
    symbol: str = ""
    limit: int = 0

    @property
    def key(self) -> str:
        """The file that answers it."""
        return depth_key(self.symbol, self.limit, self.scheme)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it may be asked."""
        return paths(self.scheme, "depth")


def paths(scheme: Scheme, call: str) -> tuple[str, ...]:
    """Where a call of a venue is answered: at its own path, and below its name."""
    own = f"/{scheme.root}{call}"
    below = f"/{scheme.venue}/"
    return (own,) if own.startswith(below) else (own, below + own.removeprefix("/"))


def rows() -> list[Row]:
    """Every query of each of them, by what its answering module says."""
    found = []
    for scheme in BINANCES:
        for query in QUERIES:
            asked = ANSWERING[scheme.venue].books[0].parse(query.encode())
            if isinstance(asked, ApiError):
                found.append(Row(scheme, query, asked))
            else:
                found.append(Row(scheme, query, None, asked.symbol, asked.limit))
    return found


LEVELS = (
    "",
    "level=1",
    "level=02&x=1",
    "l%65vel=%33",
    "level=2&level=3",
    "x=1&x=1",
    "level=4",
    "level=",
    "level",
    "level=2&level=4",
    "level=1x",
    "level=0",
    "levels=7",
)


CONTRACTS = (
    "symbol=XBTUSD",
    "symbol=XBTUSD&depth=0",
    "depth=025&symbol=XBTUSD&count=7",
    "s%79mbol=%58BTUSD&depth=%31%30",
    "symbol=A&depth=7&symbol=XBTUSD&depth=100",
    "symbol=XBTUSD&depth=7",
    "symbol=XBTUSD&depth=x&depth=25",
    "symbol=XBTUSD&depth=25&depth=-1",
    "symbol=XBTUSD&depth=",
    "symbol=XBTUSD&depth",
    "symbol=XBTUSD&depth=2147483648",
    "symbol=XBTUSD&depth=2147483647",
    "symbol=XBTUSD&symbol=",
    "symbol=XBTUSD&symbol",
    "symbol=xbtusd",
    "symbol=XBT%2FUSD",
    "depth=x",
    "depth=25",
    "",
)


def contracts() -> list[Row]:
    """Requests for a contract's book."""
    found = []
    for query in CONTRACTS:
        asked = ANSWERING[BITMEX.venue].books[0].parse(query.encode())
        if isinstance(asked, ApiError):
            found.append(Row(BITMEX, query, asked))
        else:
            found.append(Row(BITMEX, query, None, asked.symbol, asked.limit))
    return found


def products() -> list[Row]:
    """Requests for a product's book."""
    parse = ANSWERING[COINBASE.venue].books[0].parse
    found = []
    for product in ("BTC-USD", "btc-usd"):
        for query in LEVELS:
            asked = parse(f"{product}?{query}".encode())
            if isinstance(asked, ApiError):
                found.append(Row(COINBASE, f"{product}/book?{query}", asked))
            else:
                found.append(Row(COINBASE, f"{product}/book?{query}", None, asked.symbol, asked.limit))
    return found
