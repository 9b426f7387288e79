"""``Dialect``: all that differs between ccxt's classes where they speak of order books.

One value an exchange: where it is, which markets' books are kept, what a limit means there, what its answers
look like and what ccxt makes of them. The classes of :mod:`depthcast.ccxt` and :mod:`depthcast.ccxt.aio` have
one each, and no rule of their own. Values and pure functions; what is known of an exchange beside ccxt is its
venue's (:mod:`depthcast.venues`).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, cast
from urllib.parse import quote, urlencode, urlsplit

import orjson
from ccxt.base.errors import ArgumentsRequired
from ccxt.base.exchange import Exchange

from depthcast.ccxt.options import Options
from depthcast.ccxt.served import Marks
from depthcast.errors import DepthcastError
from depthcast.orders.messages import time_ms
from depthcast.venues import Venue
from depthcast.venues.coinbase_signing import CoinbaseKey
from depthcast.venues.registry import venue_named

if TYPE_CHECKING:
    from depthcast.ccxt.ladder import View

_SPOT_LIMIT: Final = 5000
"""*"If limit > 5000, only 5000 entries will be returned."* (Binance, rest-api.md)"""


class Shown(NamedTuple):
    """A book as it was read: levels as ccxt shows them, the exchange's number of that state, and the time of
    its last change, ms since 1970, 0 where that is not known."""

    bids: list[Any]
    asks: list[Any]
    update_id: int
    time_ms: int


class BestPrices(NamedTuple):
    """How ``fetch_bids_asks`` asks the exchange: ``path`` below the scheme's root, ``weight`` of its request
    for all markets, whether some can be asked for by ``symbols``, and ``params`` that name the market."""

    weight: int
    by_symbols: bool
    params: Mapping[str, str]
    path: str = "ticker/bookTicker"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Binance's spot, and what it shares with others.

    ``venue`` is the exchange's name here; ``apis`` those of its addresses in ccxt's ``urls["api"]`` whose
    answers tell of weight and of pauses, the first being that of books; ``below``: where in it the exchange's
    own paths begin. ``main`` are the hosts whose streams are the venue's own, ``streams`` the streams of its
    other sites, by the host of their REST interface: their books are not the main site's. ``kind``: what a
    market is called whose book is kept. ``raw``: ccxt's method that asks for a book. ``understood``: what of
    a call's ``params`` a book here can answer; ``elsewhere``: what of them asks for something else.
    ``converts``: ccxt counts amounts in another way than the exchange (:meth:`amounts`).
    """

    venue: str
    main: frozenset[str]
    streams: Mapping[str, str] = field(default_factory=dict)
    apis: tuple[str, ...] = ("public", "private")
    below: str = "/api/"
    kind: str = "spot market"
    raw: str = "publicGetDepth"
    prices: BestPrices | None = None

    understood: ClassVar[frozenset[str]] = frozenset()
    elsewhere: ClassVar[frozenset[str]] = frozenset()
    converts: ClassVar[bool] = False

    @cached_property
    def venue_here(self) -> Venue:
        """The venue, at its own urls."""
        return venue_named(self.venue)

    # What is asked for

    def keeps(self, market: Mapping[str, Any]) -> bool:
        """Whether a market's book is one of the venue's."""
        return bool(market["spot"])

    def levels(self, limit: Any, params: Mapping[str, Any]) -> int | None:
        """How many levels a side a call means, 100 where ``limit`` is ``None``.

        The answer is ``None`` for what is no limit: who gave it is to hear so in the exchange's own words.

        >>> [BINANCE.levels(limit, {}) for limit in (None, 1, 7, 5000, 9999, 0, -5, "5", 5.0, True)]
        [100, 1, 7, 5000, 5000, None, None, None, None, None]
        """
        if limit is None:
            return 100
        if type(limit) is not int or limit < 1:
            return None
        return min(limit, _SPOT_LIMIT)

    def weight(self, levels: int | None) -> int:
        """What a request for a book weighs."""
        return self.venue_here.depth_weight(levels or 1)

    def request(self, market_id: str, limit: Any) -> dict[str, Any]:
        """What ccxt gives to :attr:`raw`, without the call's ``params``."""
        return {"symbol": market_id} | ({} if limit is None else {"limit": limit})

    def book_url(self, server: str, market_id: str, asked: Any, passed: Mapping[str, Any]) -> str:
        """The address of a book on a server: a file's key is the request that it answers.

        >>> BINANCE.book_url("http://books:8080/", "ETHUSDT", 20, {})
        'http://books:8080/api/v3/depth?symbol=ETHUSDT&limit=20'
        """
        # What is no limit is asked for, too, and refused in the exchange's words.
        key = self.venue_here.scheme.key(quote(market_id, safe=""), cast(int, quote(str(asked), safe="")))
        more = urlencode({name: value for name, value in passed.items() if name not in self.understood})
        return f"{server.rstrip('/')}/{key}{'&' if more else ''}{more}"

    def ticker_url(self, server: str, symbols: Sequence[str] | None, passed: Mapping[str, Any]) -> str:
        """The address of the best prices of these symbols, or of all that are published."""
        assert self.prices is not None
        named: dict[str, Any] = {}
        if symbols is not None and self.prices.by_symbols:
            named = {"symbols": orjson.dumps(symbols).decode()}
        query = urlencode(named | dict(passed))
        path = f"{self.venue_here.scheme.root}{self.prices.path}"
        return f"{server.rstrip('/')}/{path}{'?' if query else ''}{query}"

    # What is answered

    def credentials(self, exchange: Any) -> dict[str, Any]:
        """What of an account the books of this process are kept with: nothing."""
        return {}

    def read(self, view: "View", levels: int | None, strings: bool) -> Shown:
        """A book in this process. Raises what the view raises."""
        top = view.top(levels, strings=strings)
        return Shown(top.bids, top.asks, top.update_id, top.event_time_ms)

    def is_book(self, body: Any) -> bool:
        """Whether that is what the exchange would answer."""
        return _has_sides(body, "lastUpdateId")

    def parse(self, body: Any, strings: bool) -> Shown:
        """A body of the exchange's, or of a server's in its place."""
        bids, asks = body["bids"], body["asks"]
        if not strings:
            bids, asks = _floats(bids), _floats(asks)
        return Shown(bids, asks, body["lastUpdateId"], 0)

    def whole(self, shown: Shown, levels: int, marks: Marks) -> bool:
        """Whether a server's answer is the ``levels`` best ones, or all there are."""
        return marks.whole(shown.bids, shown.asks, levels)

    def amounts(self, exchange: Any, market: Mapping[str, Any], shown: Shown) -> Shown:
        """A book of floats in the amounts in which ccxt counts: the exchange's own."""
        return shown

    def nonce(self, update_id: int) -> int | None:
        """What ccxt calls the number of a book."""
        return update_id

    def ticker(self, market_id: str, shown: Shown) -> dict[str, Any]:
        """As the exchange's ``ticker/bookTicker``: zeros on an empty side, with the digits of the other's.

        >>> BINANCE.ticker("ETHUSDT", Shown([], [["3000.10", "2.5"]], 7, 0))["bidPrice"]
        '0.00'
        """
        shape = (shown.bids or shown.asks or [[_NO_DIGITS, _NO_DIGITS]])[0]
        nothing = [_zeros(number) for number in shape]
        (bid, bid_quantity), (ask, ask_quantity) = (shown.bids or [nothing])[0], (shown.asks or [nothing])[0]
        return {
            "symbol": market_id,
            "bidPrice": bid,
            "bidQty": bid_quantity,
            "askPrice": ask,
            "askQty": ask_quantity,
        }

    # Where the exchange is

    def exchange_urls(self, options: Options, public_url: str) -> tuple[str | None, str | None]:
        """REST and websocket address for the books of this process; ``None``: the venue's own.

        ``public_url`` is the exchange object's own. Where that is no site of the exchange's that we know,
        nobody can guess the streams that belong to it: raises ``ArgumentsRequired``.

        >>> BINANCE.exchange_urls(Options(), "https://api.binance.com/api/v3")
        (None, None)
        >>> BINANCE.exchange_urls(Options(), "https://testnet.binance.vision/api/v3")
        ('https://testnet.binance.vision', 'wss://stream.testnet.binance.vision')
        """
        host = urlsplit(public_url).hostname or ""
        rest_url, ws_url = options.rest_url, options.ws_url
        if ws_url is None:
            if rest_url is not None:
                host = urlsplit(rest_url).hostname or ""
            ws_url = self.streams.get(host)
            if ws_url is None and host not in self.main:
                raise ArgumentsRequired(
                    f"depthcast: the websocket that belongs to {rest_url or public_url} is not known; set "
                    'options["depthcast"]["ws_url"], or "source": "server" or "rest"'
                )
        if rest_url is None and host not in self.main:
            rest_url = public_url.partition(self.below)[0] if self.below else public_url
        return rest_url, ws_url


@dataclass(frozen=True, kw_only=True)
class Futures(Dialect):
    """Binance's futures: a ladder of limits, and ``T``, *"Transaction time"*, which is ccxt's timestamp."""

    kind: str = "linear market"
    raw: str = "fapiPublicGetDepth"

    elsewhere: ClassVar[frozenset[str]] = frozenset({"rpi"})

    side: str = "linear"
    """Which contracts: settled in what they are quoted in, or in what they are of."""

    def keeps(self, market: Mapping[str, Any]) -> bool:
        return bool(market[self.side] and market["contract"] and not market["option"])

    def levels(self, limit: Any, params: Mapping[str, Any]) -> int | None:
        """*"Default 500; Valid limits:[5, 10, 20, 50, 100, 500, 1000]"*

        >>> [BINANCE_USDM.levels(limit, {}) for limit in (None, 5, 7, 1000, 5000, "5")]
        [500, 5, None, 1000, None, None]
        """
        if limit is None:
            return 500
        return limit if type(limit) is int and limit in self.venue_here.scheme.limits else None

    def read(self, view: "View", levels: int | None, strings: bool) -> Shown:
        top, made_ms = view.dated_top(levels, strings=strings)
        return Shown(top.bids, top.asks, top.update_id, made_ms)

    def is_book(self, body: Any) -> bool:
        return super().is_book(body) and type(body.get("T")) is int

    def parse(self, body: Any, strings: bool) -> Shown:
        return super().parse(body, strings)._replace(time_ms=body["T"])

    def ticker(self, market_id: str, shown: Shown) -> dict[str, Any]:
        return super().ticker(market_id, shown) | {"time": shown.time_ms, "lastUpdateId": shown.update_id}


@dataclass(frozen=True, kw_only=True)
class Coinbase(Dialect):
    """Coinbase Exchange: ccxt asks for all prices whatever the limit, and for another level of detail where
    ``params`` name one. Rows have a third member: how many orders there are, or which one."""

    below: str = ""
    kind: str = "market"
    raw: str = "publicGetProductsIdBook"

    understood: ClassVar[frozenset[str]] = frozenset({"level"})

    def levels(self, limit: Any, params: Mapping[str, Any]) -> int | None:
        """The level of detail.

        >>> [COINBASE.levels(20, params) for params in ({}, {"level": 1}, {"level": "3"}, {"level": 4})]
        [2, 1, 3, None]
        """
        level = params.get("level", 2)
        return int(level) if type(level) in (int, str) and str(level) in ("1", "2", "3") else None

    def request(self, market_id: str, limit: Any) -> dict[str, Any]:
        return {"id": market_id, "level": 2}

    def credentials(self, exchange: Any) -> dict[str, Any]:
        """Its books are kept by order, which needs an account's key: the exchange object's, or that of the
        environment."""
        if exchange.apiKey and exchange.secret and exchange.password:
            # ccxt's own, of which it says nothing itself.
            return {"key": CoinbaseKey(exchange.apiKey, exchange.password, exchange.secret)}
        key = CoinbaseKey.of_environment(os.environ)
        if key is None:
            raise DepthcastError(
                "no account's key is set, which Coinbase wants of who follows its orders",
                hint="set apiKey, secret and password; a key that may only view will do",
            )
        return {"key": key}

    def read(self, view: "View", levels: int | None, strings: bool) -> Shown:
        assert levels is not None  # or it would not have been asked for here
        return self.parse(orjson.loads(view.body(levels)), strings)

    def is_book(self, body: Any) -> bool:
        return _has_sides(body, "sequence")

    def parse(self, body: Any, strings: bool) -> Shown:
        bids, asks = body["bids"], body["asks"]
        if not strings:
            bids, asks = _counted(bids), _counted(asks)
        return Shown(bids, asks, body["sequence"], time_ms(str(body.get("time", ""))))

    def whole(self, shown: Shown, levels: int, marks: Marks) -> bool:
        """A level of detail shows all there is of it."""
        return True


@dataclass(frozen=True, kw_only=True)
class BitMEX(Dialect):
    """BitMEX: a limit is a depth, 25 rows a side where there is none, and 0 all of them. Rows of both sides
    come in one list, amounts are contracts (of spot markets the currency's smallest units), and books have no
    number."""

    below: str = ""
    kind: str = "market"
    raw: str = "publicGetOrderBookL2"

    understood: ClassVar[frozenset[str]] = frozenset({"depth"})
    converts: ClassVar[bool] = True

    def keeps(self, market: Mapping[str, Any]) -> bool:
        return True

    def levels(self, limit: Any, params: Mapping[str, Any]) -> int | None:
        """*"Orderbook depth per side. Send 0 for full depth."*

        >>> [BITMEX.levels(limit, params) for limit, params in ((None, {}), (0, {}), (7, {"depth": 9}))]
        [25, 0, 9]
        """
        depth = params.get("depth", limit)
        if depth is None:
            return 25 if "depth" not in params else None
        return depth if type(depth) is int and depth >= 0 else None

    def request(self, market_id: str, limit: Any) -> dict[str, Any]:
        return {"symbol": market_id} | ({} if limit is None else {"depth": limit})

    def read(self, view: "View", levels: int | None, strings: bool) -> Shown:
        top = view.top(levels or None, strings=strings)
        return Shown(top.bids, top.asks, top.update_id, top.event_time_ms)

    def is_book(self, body: Any) -> bool:
        return isinstance(body, list) and all(isinstance(row, dict) and "side" in row for row in body)

    def parse(self, body: Any, strings: bool) -> Shown:
        read = Exchange.safe_string if strings else Exchange.safe_float
        sides: dict[bool, list[Any]] = {True: [], False: []}
        time = ""
        for row in body:
            price = read(row, "price")
            # ccxt was told of rows without one.
            if price is not None:
                sides[row["side"] == "Sell"].append([price, read(row, "size")])
                time = max(time, str(row.get("timestamp", "")))
        bids = sorted(sides[False], key=_price, reverse=True)
        return Shown(bids, sorted(sides[True], key=_price), 0, time_ms(time))

    def whole(self, shown: Shown, levels: int, marks: Marks) -> bool:
        return marks.whole(shown.bids, shown.asks, levels or 2**31)

    def nonce(self, update_id: int) -> int | None:
        """ccxt has none: nothing numbers these books."""
        return None

    def amounts(self, exchange: Any, market: Mapping[str, Any], shown: Shown) -> Shown:
        if not market["spot"] or exchange.options.get("oldPrecision"):
            return shown
        code, parse = market["base"], exchange.parse_number
        bids, asks = (
            [[price, parse(exchange.convert_to_real_amount(code, f"{amount:.0f}"))] for price, amount in side]
            for side in (shown.bids, shown.asks)
        )
        return shown._replace(bids=bids, asks=asks)


_BINANCE_HOSTS: Final = frozenset(
    {
        *("api.binance.com", "api-gcp.binance.com", "data-api.binance.vision"),
        *(f"api{number}.binance.com" for number in range(1, 5)),
    }
)

BINANCE: Final = Dialect(
    venue="binance",
    main=_BINANCE_HOSTS,
    streams={
        "testnet.binance.vision": "wss://stream.testnet.binance.vision",
        "demo-api.binance.com": "wss://demo-stream.binance.com",
    },
    prices=BestPrices(weight=4, by_symbols=True, params={"type": "spot"}),
)
"""*"2 for a single symbol; 4 when the symbol parameter is omitted"* or with ``symbols`` (rest-api.md)"""

BINANCE_US: Final = Dialect(
    venue="binanceus",
    main=frozenset({"api.binance.us"}),
    prices=BINANCE.prices,
)

BINANCE_USDM: Final = Futures(
    venue="binanceusdm",
    main=frozenset({"fapi.binance.com"}),
    streams={
        "testnet.binancefuture.com": "wss://fstream.binancefuture.com",
        "demo-fapi.binance.com": "wss://fstream.binancefuture.com",
    },
    apis=("fapiPublic", "fapiPrivate"),
    below="/fapi/",
    prices=BestPrices(weight=5, by_symbols=False, params={"subType": "linear"}),
)
"""*"2 for a single symbol; 5 when the symbol parameter is omitted"*"""

BINANCE_COINM: Final = Futures(
    venue="binancecoinm",
    main=frozenset({"dapi.binance.com"}),
    streams={
        "testnet.binancefuture.com": "wss://dstream.binancefuture.com",
        "demo-dapi.binance.com": "wss://dstream.binancefuture.com",
    },
    apis=("dapiPublic", "dapiPrivate"),
    below="/dapi/",
    kind="inverse market",
    raw="dapiPublicGetDepth",
    side="inverse",
)

COINBASE: Final = Coinbase(
    venue="coinbaseexchange",
    main=frozenset({"api.exchange.coinbase.com"}),
    streams={
        "api-public.sandbox.exchange.coinbase.com": "wss://ws-feed-public.sandbox.exchange.coinbase.com"
    },
)

BITMEX: Final = BitMEX(
    venue="bitmex",
    main=frozenset({"www.bitmex.com"}),
    streams={"testnet.bitmex.com": "wss://ws.testnet.bitmex.com"},
)

_NO_DIGITS: Final = "0.00000000"


def _has_sides(body: Any, number: str) -> bool:
    """Whether an answer has bids, asks and a number of that name."""
    return (
        isinstance(body, dict)
        and type(body.get(number)) is int
        and isinstance(body.get("bids"), list)
        and isinstance(body.get("asks"), list)
    )


def _floats(side: list[list[str]]) -> list[list[float]]:
    return [[float(price), float(quantity)] for price, quantity in side]


def _price(level: list[Any]) -> float:
    return float(level[0])


def _counted(side: list[list[Any]]) -> list[list[Any]]:
    """Rows as ccxt's ``parse_order_book`` makes them: an order's id is no number, and left out."""
    return [
        [float(price), float(size), third]
        if type(third) is int
        else [float(price), float(size), *_integer(third)]
        for price, size, third in side
    ]


def _integer(text: Any) -> list[int]:
    """As ccxt's ``safe_integer`` would read it: none, for what is not one."""
    number = Exchange.safe_integer([text], 0)
    return [] if number is None else [number]


def _zeros(number: str) -> str:
    _, point, digits = number.partition(".")
    return f"0{point}{'0' * len(digits)}"
