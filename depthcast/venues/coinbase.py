"""Coinbase Exchange: its urls, frames, REST bodies and error answers. Pure.

The rules are those of its documents (docs.cdp.coinbase.com, *exchange*), quoted where a line depends on them.
With an account's key its books are kept by order, from the *full* channel; without one there is
``level2_batch``, which has no sequence.

Of the *full* channel *received* and *activate* change no book and are there for the chain; *"change messages
for received but not yet open orders can be ignored"*, and so can *done* of what never was on the book, which
the book sees for itself (:mod:`depthcast.orders`). What is no message of a book is ignored: *"you should skip
messages of types that you do not know"*.

Promises and leaves to others as :mod:`depthcast.venues.binance`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

import orjson

from depthcast.errors import (
    MalformedAnswer,
    MalformedFrame,
    RateLimited,
    Refused,
    VenueError,
    VenueUnavailable,
)
from depthcast.events import Diff, LevelSnapshot, Snapshot
from depthcast.file_info import MAX_NUMBER, TRADING
from depthcast.orders.book import books_of
from depthcast.orders.messages import (
    Changed,
    Done,
    Matched,
    Message,
    Opened,
    OrderSnapshot,
    Passed,
    time_us,
)
from depthcast.scheme import Scheme
from depthcast.venues import (
    OLDEST,
    Ack,
    Event,
    ExchangeInfo,
    Ignored,
    Reached,
    RequestFailed,
    SymbolInfo,
)
from depthcast.venues.answers import header, json_object, one_line, text_of
from depthcast.venues.coinbase_files import BEST, COINBASE, ORDERS, PRICES
from depthcast.venues.coinbase_signing import CoinbaseKey
from depthcast.venues.keeping import Keeping
from depthcast.venues.urls import base_url

REST_URL: Final = "https://api.exchange.coinbase.com"
WS_URL: Final = "wss://ws-feed.exchange.coinbase.com"

REQUESTS_PER_MINUTE: Final = 600
"""*"Public endpoints: we throttle by IP, 10 requests per second, up to 15 requests per second in bursts"*."""

PAUSE_MS: Final = 1000
"""The silence after a 429, which tells none."""

MAX_PAUSE_MS: Final = 600_000

_loads = orjson.loads

BY_ORDER: Final = Keeping(
    book_of=books_of,
    # A busy product sends a thousand messages a second, and a snapshot of some megabytes takes its time.
    buffer=50_000,
    # A snapshot by order is the whole book.
    refills=False,
    # The best prices at every change, for they are a hundred bytes; all prices are 300 kB, all orders 3 MB.
    steps_ms=((BEST, 0), (PRICES, 250), (ORDERS, 1000)),
)
"""How its books are kept where there is a key."""


@dataclass(frozen=True, slots=True)
class Coinbase:
    """Coinbase Exchange at two base urls. ``key`` signs subscriptions at the time that ``wall_ms`` tells.

    Raises :class:`~depthcast.errors.SettingsError` for urls that are none.
    """

    rest_url: str = REST_URL
    ws_url: str = WS_URL
    scheme: Scheme = COINBASE
    key: CoinbaseKey | None = field(default=None, compare=False)
    wall_ms: Callable[[], int] = field(default=lambda: 0, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rest_url", base_url("rest_url", self.rest_url, ("http", "https")))
        object.__setattr__(self, "ws_url", base_url("ws_url", self.ws_url, ("ws", "wss")))

    def signing(self, key: CoinbaseKey, wall_ms: Callable[[], int]) -> "Coinbase":
        """The same with an account's key."""
        return replace(self, key=key, wall_ms=wall_ms)

    # What is published

    @property
    def snapshot_limits(self) -> Sequence[int]:
        """There is one: the whole book by order."""
        return (3,)

    @property
    def unknown_symbol(self) -> frozenset[int]:
        """404 ``{"message":"NotFound"}``"""
        return frozenset({404})

    # Websocket (exchange websocket overview)

    @property
    def stream_url(self) -> str:
        """All channels are at one place."""
        return self.ws_url

    @property
    def messages_per_s(self) -> int:
        """*"Messages sent by the client every second, by IP: 100"*, and some for others of the address."""
        return 10

    @property
    def numbered(self) -> bool:
        """Sequences do, where there is a key."""
        return self.key is not None

    @property
    def connects_per_hour(self) -> int:
        """*"8 connection requests per second per IP"* leave more than a feed needs."""
        return 720

    @property
    def connection_s(self) -> float:
        """None is ended after a time. Without a key nothing is numbered, so that two would contradict."""
        return float("inf") if self.key is None else 23 * 3600.0

    @property
    def heartbeat_s(self) -> float:
        """How often is the feed's to say."""
        return 5.0

    @property
    def heartbeat(self) -> None:
        """The websocket's own pings are answered."""
        return None

    def stream_name(self, symbol: str) -> str:
        """A product's id."""
        return symbol

    def subscribe_message(self, names: Sequence[str], request_id: int) -> str:
        """``{"type":"subscribe","product_ids":[…],"channels":["full","heartbeat"],"signature":…}``

        >>> Coinbase().subscribe_message(["BTC-USD"], 1)
        '{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2_batch","heartbeat"]}'
        """
        return self._request("subscribe", names)

    def unsubscribe_message(self, names: Sequence[str], request_id: int) -> str:
        """``{"type":"unsubscribe",…}``"""
        return self._request("unsubscribe", names)

    def _request(self, kind: str, names: Sequence[str]) -> str:
        channel = "level2_batch" if self.key is None else "full"
        request: dict[str, Any] = {
            "type": kind,
            "product_ids": list(names),
            "channels": [channel, "heartbeat"],
        }
        if self.key is not None:
            request |= self.key.members(self.wall_ms())
        return orjson.dumps(request).decode()

    def parse_frame(self, frame: str | bytes) -> Event:
        """What a frame says; raises :class:`~depthcast.errors.MalformedFrame`.

        An answer to a request does not name it: answers come in the order of requests.

        >>> Coinbase().parse_frame(
        ...     '{"type":"open","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","sequence":10,'
        ...     '"order_id":"d50ec984","price":"200.2","remaining_size":"1.00","side":"sell"}'
        ... )[3:]
        ('d50ec984', False, '200.2', '1.00')
        """
        try:
            message = _loads(frame)
        except orjson.JSONDecodeError as error:
            raise MalformedFrame(frame, f"not JSON: {error}") from None
        try:
            kind = message["type"]
            read = _MESSAGES.get(kind)
            if read is None:
                return _other_frame(frame, message)
            symbol, sequence, time = message["product_id"], message["sequence"], message["time"]
            if (
                type(symbol) is str
                and type(sequence) is int
                and type(time) is str
                and 0 < sequence <= MAX_NUMBER
            ):
                return read(message, symbol, sequence, time)
        except (TypeError, KeyError) as error:
            if _kind_of(message) == "activate":
                # Its documented layout has no sequence: then it is not of the chain.
                return Ignored("activate")
            raise MalformedFrame(
                frame, f"{type(error).__name__} at {error!s:.80}", symbol=_symbol_of(message)
            ) from None
        raise MalformedFrame(frame, "members of other types or sizes", symbol=_symbol_of(message))

    # REST requests

    @property
    def ping_path(self) -> str:
        """*"Get the API server time"*"""
        return "/time"

    @property
    def exchange_info_paths(self) -> Sequence[str]:
        """*"Gets a list of available currency pairs for trading"*"""
        return ("/products",)

    def depth_path(self, symbol: str, limit: int) -> str:
        """*"Level 3 … full order book (non-aggregated)"*: there is no other limit.

        >>> Coinbase().depth_path("BTC-USD", 3)
        '/products/BTC-USD/book?level=3'
        """
        return f"/products/{quote(symbol, safe='')}/book?level=3"

    @property
    def request_weight_per_minute(self) -> int:
        """Requests are counted, not weighed."""
        return REQUESTS_PER_MINUTE

    @property
    def ping_weight(self) -> int:
        """Requests are counted, not weighed."""
        return 1

    @property
    def exchange_info_weight(self) -> int:
        """Likewise."""
        return 1

    def depth_weight(self, limit: int) -> int:
        """Likewise; *"level 3 … polling can cause your access to be limited or blocked"*."""
        return 1

    # REST answers

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """No header tells."""
        return None

    def refusal(
        self, status: int, headers: Mapping[str, str], body: bytes, *, url: str, now_ms: int
    ) -> VenueError | None:
        """The error that an answer means; ``None`` for a 200. The text is that of ``{"message":…}``.

        429 is :class:`~depthcast.errors.RateLimited`, another 4xx :class:`~depthcast.errors.Refused` with
        the status as its code, a 5xx :class:`~depthcast.errors.VenueUnavailable`.
        """
        if status == 200:
            return None
        if status == 429:
            told = header(headers, "retry-after")
            pause_ms = int(told[:6]) * 1000 if told.isascii() and told.isdecimal() else PAUSE_MS
            return RateLimited(min(max(pause_ms, PAUSE_MS), MAX_PAUSE_MS), banned=False)
        text = _error_text(body)
        if 400 <= status < 500:
            return Refused(status, status, text)
        if status >= 500:
            return VenueUnavailable(
                f"{url} answered {status} {text}", hint="try again later; nothing is lost meanwhile"
            )
        return MalformedAnswer(url, f"status {status}")

    def parse_snapshot(self, body: bytes, limit: int) -> OrderSnapshot:
        """A book of level 3, ``{"bids":[[price, size, order id], …],"asks":[…],"sequence":N,…}``.

        Raises :class:`~depthcast.errors.MalformedAnswer`, and :class:`~depthcast.errors.VenueUnavailable`
        for the book of an auction, whose sides may cross: a continuous one begins when it has ended.
        """
        url = f"{self.rest_url}/products/<id>/book"
        answer = json_object(url, body)
        bids, asks, sequence = answer.get("bids"), answer.get("asks"), answer.get("sequence")
        if isinstance(sequence, str) and sequence.isascii() and sequence.isdecimal() and len(sequence) < 20:
            sequence = int(sequence)  # as older documents have it
        if type(bids) is not list or type(asks) is not list or type(sequence) is not int:
            raise MalformedAnswer(url, "no sequence, bids or asks in it")
        if not 0 <= sequence <= MAX_NUMBER:
            raise MalformedAnswer(url, f"the sequence {sequence}")
        if answer.get("auction_mode"):
            raise VenueUnavailable(f"{url} shows an auction", hint="the book begins when it has ended")
        time = answer.get("time")
        return OrderSnapshot(sequence, bids, asks, time if isinstance(time, str) else "")

    def parse_exchange_info(self, body: bytes) -> ExchangeInfo:
        """``[{"id":"BTC-USD","base_currency":"BTC",…}, …]``. Raises MalformedAnswer.

        A product that is *online* is TRADING unless a flag says that it stands still; any other has its
        status in capitals.
        """
        url = f"{self.rest_url}/products"
        try:
            listed = _loads(body)
            symbols = {
                entry["id"]: SymbolInfo(
                    symbol=text_of(entry["id"]),
                    status=_status(entry),
                    base_asset=text_of(entry["base_currency"]),
                    quote_asset=text_of(entry["quote_currency"]),
                    base_precision=_decimals(entry["base_increment"]),
                    quote_precision=_decimals(entry["quote_increment"]),
                )
                for entry in listed
            }
        except orjson.JSONDecodeError:
            raise MalformedAnswer(url, "not JSON") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise MalformedAnswer(url, f"{type(error).__name__} at {error!s:.200}") from None
        return ExchangeInfo(symbols, REQUESTS_PER_MINUTE, body)


_Read = Callable[[Mapping[str, Any], str, int, str], Message]


def _passed(message: Mapping[str, Any], symbol: str, sequence: int, time: str) -> Passed:
    return Passed(symbol, sequence, time)


def _open(message: Mapping[str, Any], symbol: str, sequence: int, time: str) -> Opened:
    buy = _BUY[message["side"]]
    return Opened(
        symbol, sequence, time, message["order_id"], buy, message["price"], message["remaining_size"]
    )


def _match(message: Mapping[str, Any], symbol: str, sequence: int, time: str) -> Matched:
    """*"The side field indicates the maker order side."*"""
    buy = _BUY[message["side"]]
    return Matched(symbol, sequence, time, message["maker_order_id"], buy, message["price"], message["size"])


def _change(message: Mapping[str, Any], symbol: str, sequence: int, time: str) -> Changed:
    """*"Any change message where the price is null indicates that the change message is for a market order."*

    One by modification has ``old_price`` and ``new_price`` instead.
    """
    price = message.get("new_price", message.get("price"))
    buy = _BUY[message["side"]]
    return Changed(
        symbol,
        sequence,
        time,
        message["order_id"],
        buy,
        price,
        message.get("new_size"),
        message.get("old_size"),
    )


def _done(message: Mapping[str, Any], symbol: str, sequence: int, time: str) -> Done:
    """*"The remaining_size indicates how much of the order went unfilled"*; its price may be another one than
    that of the level, where the order was modified, and is not looked at."""
    filled = message["reason"] == "filled"
    return Done(symbol, sequence, time, message["order_id"], filled, message.get("remaining_size"))


_BUY: Final = {"buy": True, "sell": False}

_MESSAGES: Final[Mapping[object, _Read]] = {
    "received": _passed,
    "activate": _passed,
    "open": _open,
    "match": _match,
    "change": _change,
    "done": _done,
}


def _other_frame(frame: str | bytes, message: Mapping[str, Any]) -> Event:
    kind = message["type"]
    if kind == "subscriptions":
        return Ack(OLDEST)
    if kind == "error":
        text = f"{message.get('message', '')}: {message.get('reason', '')}"
        return RequestFailed(OLDEST, None, one_line(text))
    if kind in ("snapshot", "l2update"):
        return _levels(frame, message)
    if kind == "heartbeat":
        return _beat(message)
    if not isinstance(kind, str):
        raise MalformedFrame(frame, "its type is no text")
    return Ignored(kind[:80])


def _beat(message: Mapping[str, Any]) -> Reached | Ignored:
    """*"Heartbeats also include sequence numbers and last trade IDs that can be used to verify that no
    messages were missed."* One that cannot be read costs nothing but that."""
    symbol, sequence = message.get("product_id"), message.get("sequence")
    if type(symbol) is str and type(sequence) is int and 0 < sequence <= MAX_NUMBER:
        return Reached(symbol, sequence)
    return Ignored("heartbeat")


def _levels(frame: str | bytes, message: Mapping[str, Any]) -> LevelSnapshot | Diff:
    """Of ``level2`` and ``level2_batch``. Nothing numbers them, so their ids are the venue's time in µs, of
    which two may have the same one: whoever keeps a book of them applies all of one connection, in order."""
    symbol, at_us = message["product_id"], time_us(str(message.get("time", "")))
    if type(symbol) is not str:
        raise MalformedFrame(frame, "its product is no text")
    if message["type"] == "snapshot":
        return LevelSnapshot(
            symbol, Snapshot(at_us, message["bids"], message["asks"], True, True, at_us // 1000)
        )
    if not at_us:
        raise MalformedFrame(frame, "an l2update without a time", symbol=symbol)
    sides: dict[bool, list[list[str]]] = {True: [], False: []}
    try:
        for side, price, size in message["changes"]:
            sides[_BUY[side]].append([price, size])
    except ValueError:
        raise MalformedFrame(frame, "a change that is none", symbol=symbol) from None
    return Diff(symbol, at_us, at_us, at_us // 1000, sides[True], sides[False], 0)


def _kind_of(message: object) -> object:
    """The type of a message, whatever it is."""
    return message.get("type") if isinstance(message, dict) else None


def _symbol_of(message: object) -> str | None:
    symbol = message.get("product_id") if isinstance(message, dict) else None
    return symbol if isinstance(symbol, str) else None


def _error_text(body: bytes) -> str:
    try:
        text = _loads(body)["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = body[:200].decode("utf-8", "replace")
    return one_line(text)


_STANDS_STILL: Final = {
    "trading_disabled": "BREAK",
    "cancel_only": "CANCEL_ONLY",
    "auction_mode": "AUCTION",
}
"""Flags of a product that is online and does not trade continuously, and what that is called here. Where only
certain orders are taken (``post_only``, ``limit_only``) the book goes on."""


def _status(entry: Mapping[str, Any]) -> str:
    status = text_of(entry["status"])
    if status == "online":
        return next((word for flag, word in _STANDS_STILL.items() if entry.get(flag)), TRADING)
    return status.upper().replace("-", "_")


def _decimals(increment: object) -> int:
    return len(text_of(increment).rstrip("0").partition(".")[2])
