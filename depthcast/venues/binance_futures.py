"""Binance's futures, USD-M and COIN-M: what differs from spot in urls, frames, REST bodies, weights. Pure.

The rules are those of the exchange's documents (developers.binance.com, *USDS-margined futures*), quoted
where a line depends on them; what was only seen is marked so.

A futures diff tells ``pu``, the ``u`` of the one before: ids are shared by all symbols, so those of one have
holes. It tells ``T`` too, when its last change was made, and so does a snapshot.

Promises and leaves to others as :mod:`depthcast.venues.binance`, whose engine this is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from depthcast.errors import MalformedAnswer, MalformedFrame
from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.file_info import MAX_NUMBER
from depthcast.metadata.document import let_go
from depthcast.scheme import Scheme, covering_limit
from depthcast.venues import Event, ExchangeInfo, SymbolInfo
from depthcast.venues.answers import json_object, listing_object, text_of, whole_of
from depthcast.venues.binance import Binance, other_frame, plain, symbol_of, weight_per_minute
from depthcast.venues.binance_files import BINANCE_COINM, BINANCE_USDM, names_in

USDM_REST_URL: Final = "https://fapi.binance.com"
USDM_WS_URL: Final = "wss://fstream.binance.com/public"
"""*"Public (high-frequency public market data)"*: the route that has books since 2026."""

COINM_REST_URL: Final = "https://dapi.binance.com"
COINM_WS_URL: Final = "wss://dstream.binance.com"

REQUEST_WEIGHT_PER_MINUTE: Final = 2400
"""What an address may use where ``exchangeInfo`` does not say otherwise."""

_DEPTH_WEIGHTS: Final = ((50, 2), (100, 5), (500, 10))
_DEEPEST_WEIGHT: Final = 20

_loads = orjson.loads


@dataclass(frozen=True, slots=True)
class BinanceFutures(Binance):
    """Binance's USD-M futures, or an engine that speaks like them, at two base urls.

    Raises :class:`~depthcast.errors.SettingsError` for urls that are none.
    """

    rest_url: str = USDM_REST_URL
    ws_url: str = USDM_WS_URL
    scheme: Scheme = BINANCE_USDM

    @property
    def _root(self) -> str:
        return f"/{self.scheme.root}"

    @property
    def _status(self) -> str:
        """What the list of symbols calls what one does."""
        return "status"

    # Websocket (websocket-market-streams)

    @property
    def messages_per_s(self) -> int:
        """*"WebSocket connections have a limit of 10 incoming messages per second."*"""
        return 10

    def parse_frame(self, frame: str | bytes) -> Event:
        """What a raw or a combined-stream frame says; checked as far as
        :meth:`depthcast.venues.binance.Binance.parse_frame` checks.

        >>> diff = BinanceFutures().parse_frame(
        ...     '{"e":"depthUpdate","E":9,"T":8,"s":"BTCUSDT","U":157,"u":160,"pu":149,"b":[],"a":[]}'
        ... )
        >>> diff.after, diff.last, diff.transaction_time_ms
        (149, 160, 8)
        """
        try:
            message = _loads(frame)
        except orjson.JSONDecodeError as error:
            raise MalformedFrame(frame, f"not JSON: {error}") from None
        try:
            data = message.get("data", message)
            if data["e"] != "depthUpdate":
                return other_frame(frame, message)
            symbol, event_time_ms, transaction_time_ms = data["s"], data["E"], data["T"]
            first, last, previous = data["U"], data["u"], data["pu"]
            bids, asks = data["b"], data["a"]
        except (AttributeError, KeyError, TypeError):
            return other_frame(frame, message, _FUTURES_MEMBERS)
        if (
            type(symbol) is str
            and type(first) is type(last) is type(previous) is int
            and type(event_time_ms) is type(transaction_time_ms) is int
            and type(bids) is type(asks) is list
            and 0 <= previous < last <= MAX_NUMBER
            and 0 < first <= last
            and 0 <= event_time_ms <= MAX_NUMBER
            and 0 < transaction_time_ms <= MAX_NUMBER
        ):
            braces = b"}" if data is message else b"}}"
            if type(frame) is bytes and plain(frame, len(bids), len(asks), braces):
                bids, asks = PlainLevels(bids), PlainLevels(asks)
            return Diff(symbol, first, last, event_time_ms, bids, asks, previous, transaction_time_ms)
        raise MalformedFrame(
            frame, "a depthUpdate with members of other types or sizes", symbol=symbol_of(message)
        )

    # REST requests (rest-api)

    @property
    def snapshot_limits(self) -> Sequence[int]:
        """The ends of the rows of :meth:`depth_weight`'s table."""
        return (*(up_to for up_to, _ in _DEPTH_WEIGHTS), self.scheme.max_limit)

    @property
    def ping_path(self) -> str:
        """*"Test connectivity to the Rest API."*"""
        return f"{self._root}ping"

    @property
    def exchange_info_paths(self) -> Sequence[str]:
        """*"Current exchange trading rules and symbol information"*: it takes no parameters."""
        return (f"{self._root}exchangeInfo",)

    def depth_path(self, symbol: str, limit: int) -> str:
        """*"Valid limits:[5, 10, 20, 50, 100, 500, 1000]"*: of another one, the next that holds it.

        >>> BinanceFutures().depth_path("BTCUSDT", 200)
        '/fapi/v1/depth?symbol=BTCUSDT&limit=500'
        """
        return f"{self._root}depth?symbol={quote(symbol, safe='')}&limit={self._asked(limit)}"

    @property
    def request_weight_per_minute(self) -> int:
        """Likewise."""
        return REQUEST_WEIGHT_PER_MINUTE

    @property
    def exchange_info_weight(self) -> int:
        """*"Weight: 1"*"""
        return 1

    def depth_weight(self, limit: int) -> int:
        """*"5, 10, 20, 50: 2; 100: 5; 500: 10; 1000: 20"*

        >>> [BinanceFutures().depth_weight(limit) for limit in (5, 50, 100, 500, 1000)]
        [2, 2, 5, 10, 20]
        """
        for up_to, weight in _DEPTH_WEIGHTS:
            if limit <= up_to:
                return weight
        return _DEEPEST_WEIGHT

    def _asked(self, limit: int) -> int:
        return covering_limit(limit, self.scheme.limits) or self.scheme.max_limit

    # REST answers

    def parse_snapshot(self, body: bytes, limit: int) -> Snapshot:
        """``{"lastUpdateId":N,"E":…,"T":…,"bids":[["p","q"],…],"asks":[…]}``, asked for with ``limit``.

        ``E`` is *"Message output time"*, ``T`` *"Transaction time"*. Raises
        :class:`~depthcast.errors.MalformedAnswer`.

        >>> body = b'{"lastUpdateId":7,"E":9,"T":8,"bids":[["2.0","5"]],"asks":[]}'
        >>> BinanceFutures().parse_snapshot(body, 5)
        Snapshot(update_id=7, bids=[['2.0', '5']], asks=[], bids_complete=True, asks_complete=True, \
event_time_ms=9, transaction_time_ms=8, names=b'')
        """
        url = f"{self.rest_url}{self._root}depth"
        answer = json_object(url, body)
        update_id, bids, asks = answer.get("lastUpdateId"), answer.get("bids"), answer.get("asks")
        output_ms, transaction_ms = answer.get("E"), answer.get("T")
        if type(update_id) is not int or type(bids) is not list or type(asks) is not list:
            raise MalformedAnswer(url, "no lastUpdateId, bids or asks in it")
        if type(output_ms) is not int or type(transaction_ms) is not int:
            raise MalformedAnswer(url, "no E or T in it")
        if not (
            0 <= update_id <= MAX_NUMBER and 0 <= output_ms <= MAX_NUMBER and 0 < transaction_ms <= MAX_NUMBER
        ):
            raise MalformedAnswer(url, f"the lastUpdateId {update_id}, E {output_ms} or T {transaction_ms}")
        asked = self._asked(limit)
        complete = len(bids) < asked, len(asks) < asked
        return Snapshot(update_id, bids, asks, *complete, output_ms, transaction_ms, names_in(body))

    def parse_exchange_info(self, body: bytes) -> ExchangeInfo:
        """``{"rateLimits":[…],"symbols":[…],…}``. Raises :class:`~depthcast.errors.MalformedAnswer`.

        Prices and quantities were seen to be padded as the steps of their filters are written.
        """
        url = f"{self.rest_url}{self._root}exchangeInfo"
        answer = listing_object(url, body)
        try:
            symbols = {
                entry["symbol"]: SymbolInfo(
                    symbol=text_of(entry["symbol"]),
                    status=text_of(entry[self._status]),
                    base_asset=text_of(entry["baseAsset"]),
                    quote_asset=text_of(entry["quoteAsset"]),
                    base_precision=_precision(entry, "LOT_SIZE", "stepSize", "quantityPrecision"),
                    quote_precision=_precision(entry, "PRICE_FILTER", "tickSize", "pricePrecision"),
                )
                for entry in answer["symbols"]
            }
            weight = weight_per_minute(answer["rateLimits"], REQUEST_WEIGHT_PER_MINUTE)
        except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise MalformedAnswer(url, f"{type(error).__name__} at {error!s:.200}") from None
        finally:
            let_go(answer)
        return ExchangeInfo(symbols, weight, body)


@dataclass(frozen=True, slots=True)
class BinanceCoinFutures(BinanceFutures):
    """Binance's COIN-M futures: as those of USD-M, but that bodies name the contract and its pair, and that a
    contract's status is called otherwise.

    >>> BinanceCoinFutures().depth_path("BTCUSD_PERP", 5)
    '/dapi/v1/depth?symbol=BTCUSD_PERP&limit=5'
    """

    rest_url: str = COINM_REST_URL
    ws_url: str = COINM_WS_URL
    scheme: Scheme = BINANCE_COINM

    @property
    def _status(self) -> str:
        """*"contractStatus"*"""
        return "contractStatus"


_FUTURES_MEMBERS: Final = ("s", "E", "T", "U", "u", "pu", "b", "a")


def _precision(entry: Mapping[str, Any], kind: str, step: str, otherwise: str) -> int:
    """The decimals of a filter's step as it is written; the declared precision where there is no filter."""
    for each in entry.get("filters", ()):
        if each["filterType"] == kind:
            return len(text_of(each[step]).partition(".")[2])
    return whole_of(entry[otherwise])
