"""BitMEX: its urls, tables, REST bodies and error answers. Pure.

The rules are those of its documents (*WebSocket API*, *API Explorer*, its blog's announcements), quoted where
a line depends on them; what is only known from recordings is marked so.

Books are kept from the table ``orderBookL2``, the whole book and every change of it. Nothing numbers its
messages, so :mod:`depthcast.unsequenced` follows them, by the engine's times; and ``orderBook10``, the ten
best levels in full at each push, is the second stream that its top is compared with all the time
(:mod:`depthcast.agreement`). ``orderBookL2_25`` may be followed in the place of the first, for less traffic:
it is throttled, and *"the timestamps will not correspond to events in the matching engine"*, so what is made
of it is for one process and never published.

Promises and leaves to others as :mod:`depthcast.venues.binance`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
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
from depthcast.events import LevelSnapshot, TopLevels
from depthcast.file_info import TRADING
from depthcast.orders.messages import time_ms
from depthcast.rows.book import TOP, RowBook
from depthcast.rows.messages import Action, Row, RowsChanged, RowSnapshot
from depthcast.scheme import Scheme
from depthcast.unsequenced import BITS_OF_MS, stream_syncs
from depthcast.venues import (
    OLDEST,
    Ack,
    Event,
    ExchangeInfo,
    Ignored,
    RequestFailed,
    StreamAck,
    SymbolInfo,
    Welcome,
)
from depthcast.venues.answers import header, one_line, text_of
from depthcast.venues.bitmex_files import BITMEX, WHOLE
from depthcast.venues.keeping import Keeping
from depthcast.venues.urls import base_url

REST_URL: Final = "https://www.bitmex.com"
WS_URL: Final = "wss://ws.bitmex.com"

L2: Final = "orderBookL2"
L2_25: Final = "orderBookL2_25"
TOP_10: Final = "orderBook10"

REQUESTS_PER_MINUTE: Final = 30
"""*"120 requests per minute … If you are not logged in, your ratelimit is 30/minute"*."""

PAUSE_MS: Final = 5000
"""The silence after a 429 that tells none."""

MAX_PAUSE_MS: Final = 3_600_000

OPEN: Final = "Open"
"""The state of an instrument that is traded."""

BY_ROW: Final = Keeping(
    book_of=lambda _: RowBook.of,
    sync_of=stream_syncs(BITS_OF_MS, witness=TOP, compared=True),
    # The stream begins with the whole book.
    refills=False,
    # The last step is that of all rows, too, which are 1.6 MB of XBTUSD.
    steps_ms=((100, 0), (500, 250), (1000, 1000)),
    # What is lost of a row that nothing touches again shows in no other way. Of 180 instruments that is what
    # may be asked in the background, 12 requests a minute of an address.
    audit_every_s=900.0,
)
"""How its books are kept."""

_loads = orjson.loads

# The numbers themselves: what was parsed of them has lost how they were spelled. The names of members come
# once more in a partial, with a word ("price":"float").
_PRICE: Final = re.compile(rb'"price":\s*(-?[0-9][0-9.eE+-]*|null)')

_ACTIONS: Final = {action.value: action for action in Action}
_BUY: Final = {"Buy": True, "Sell": False}


@dataclass(frozen=True, slots=True)
class BitMEX:
    """BitMEX at two base urls. ``table``: :data:`L2`, or :data:`L2_25` for the best 25 levels a side.

    ``wall_ms`` dates what tells no time, as recordings from before 2022 do not. Raises
    :class:`~depthcast.errors.SettingsError` for urls that are none.
    """

    rest_url: str = REST_URL
    ws_url: str = WS_URL
    scheme: Scheme = BITMEX
    table: str = L2
    wall_ms: Callable[[], int] = field(default=lambda: 0, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rest_url", base_url("rest_url", self.rest_url, ("http", "https")))
        object.__setattr__(self, "ws_url", base_url("ws_url", self.ws_url, ("ws", "wss")))
        if self.table not in (L2, L2_25):
            raise ValueError(f"{self.table!r:.40} is no table of a book that can be kept")

    def dated(self, wall_ms: Callable[[], int]) -> "BitMEX":
        """The same, which dates by this clock what tells no time: an empty book, and old recordings."""
        return replace(self, wall_ms=wall_ms)

    # What is published

    @property
    def snapshot_limits(self) -> Sequence[int]:
        """*"Send 0 for full depth"*, which costs as much as any other."""
        return (WHOLE,)

    @property
    def unknown_symbol(self) -> frozenset[int]:
        """400, of a subscription; REST answers an empty book."""
        return frozenset({400})

    # Websocket

    @property
    def stream_url(self) -> str:
        """All tables are at one place. Topics are asked for by messages, not by ``?subscribe=``: they come
        and go, and a thousand of them are no url."""
        return f"{self.ws_url}/realtime"

    @property
    def messages_per_s(self) -> int:
        """Commands are counted by the hour, 720 of them, and each may name many topics."""
        return 1

    @property
    def numbered(self) -> bool:
        """Nothing is numbered."""
        return False

    @property
    def connects_per_hour(self) -> int:
        """*"WebSocket … limited to 60 connections per hour"* (by address)."""
        return 60

    @property
    def connection_s(self) -> float:
        """None is ended after a time, and two would tell the same changes twice."""
        return float("inf")

    @property
    def heartbeat_s(self) -> float:
        """*"If any messages are received … reset the timer of 5 seconds … send ping … expect pong in 5
        seconds"*."""
        return 5.0

    @property
    def heartbeat(self) -> str:
        """The raw text, answered by ``pong``."""
        return "ping"

    def stream_name(self, symbol: str) -> str:
        """A symbol; each has two topics."""
        return symbol

    def subscribe_message(self, names: Sequence[str], request_id: int) -> str:
        """``{"op":"subscribe","args":["orderBookL2:XBTUSD","orderBook10:XBTUSD"]}``

        >>> BitMEX().subscribe_message(["XBTUSD"], 1)
        '{"op":"subscribe","args":["orderBookL2:XBTUSD","orderBook10:XBTUSD"]}'
        """
        return self._request("subscribe", names)

    def unsubscribe_message(self, names: Sequence[str], request_id: int) -> str:
        """``{"op":"unsubscribe",…}``"""
        return self._request("unsubscribe", names)

    def _request(self, kind: str, names: Sequence[str]) -> str:
        topics = [f"{table}:{name}" for name in names for table in (self.table, TOP_10)]
        return orjson.dumps({"op": kind, "args": topics}).decode()

    def parse_frame(self, frame: str | bytes) -> Event:
        """What a frame says; raises :class:`~depthcast.errors.MalformedFrame`.

        >>> BitMEX().parse_frame(
        ...     '{"table":"orderBookL2","action":"update","data":[{"symbol":"XBTUSD","id":8798309800,'
        ...     '"side":"Buy","size":42800,"price":26902,"timestamp":"2023-05-19T08:51:44.911Z"}]}'
        ... ).rows
        [(8798309800, True, 42800, '26902', '')]
        """
        try:
            message = _loads(frame)
        except orjson.JSONDecodeError as error:
            if frame in ("pong", b"pong"):
                return Ignored("pong")
            raise MalformedFrame(frame, f"not JSON: {error}") from None
        try:
            table = message.get("table")
            if table == self.table:
                return self._rows(frame, message)
            if table == TOP_10:
                return self._top(frame, message)
            return Ignored(text_of(table)[:80]) if table is not None else _control(frame, message)
        except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            raise MalformedFrame(
                frame, f"{type(error).__name__} at {error!s:.80}", symbol=_symbol_of(message)
            ) from None

    def _rows(self, frame: str | bytes, message: Mapping[str, Any]) -> LevelSnapshot | RowsChanged:
        data, action = message["data"], message["action"]
        if type(data) is not list:
            raise TypeError("the data are no list")
        symbol = text_of(data[0]["symbol"] if data else message["filter"]["symbol"])
        rows, first, last, at_last = self._read(frame, data, symbol)
        if action == "partial":
            snapshot = RowSnapshot(symbol, last, rows, last, complete=self.table == L2)
            return LevelSnapshot(symbol, snapshot)
        return RowsChanged(symbol, first, last, last, _ACTIONS[action], rows, at_last)

    def _read(
        self, frame: str | bytes, data: Sequence[Mapping[str, Any]], symbol: str
    ) -> tuple[list[Row], int, int, int]:
        """Rows, the times of the first and of the last, and how many are of the last."""
        raw = frame.encode() if isinstance(frame, str) else frame
        prices = _PRICE.findall(raw)
        told = iter(prices)
        rows: list[Row] = []
        first = last = at_last = 0
        for each in data:
            row_id, size, time = each["id"], each.get("size"), each.get("transactTime", "")
            if each["symbol"] != symbol:
                raise ValueError("rows of two symbols in one message")
            if type(row_id) is not int or type(time) is not str or type(size) not in (int, type(None)):
                raise TypeError("a row's members of other types")
            price = None
            if "price" in each:
                if each["price"] is not None and type(each["price"]) not in (int, float):
                    raise TypeError("a price that is no number")
                text = next(told, b"null").decode()
                price = None if text == "null" else text
            rows.append((row_id, _BUY[each["side"]], size, price, time))
            at = _read_time(each["timestamp"]) if "timestamp" in each else 0
            if at > last:
                last, at_last = at, 1
            else:
                at_last += 1
            first = first or at
        if len(prices) != sum("price" in each for each in data):
            raise ValueError("prices outside rows")
        if not last:
            last = self.wall_ms()
            first, at_last = last, len(rows)
        return rows, first or last, last, at_last

    def _top(self, frame: str | bytes, message: Mapping[str, Any]) -> TopLevels | Ignored:
        data = message["data"]
        if message["action"] not in ("partial", "update", "insert") or not data:
            return Ignored(TOP_10)
        row = data[-1]
        bids, asks = (_levels(row[side]) for side in ("bids", "asks"))
        return TopLevels(text_of(row["symbol"]), _read_time(row["timestamp"]), bids, asks, 10)

    # REST requests

    @property
    def ping_path(self) -> str:
        """Name, version and time of the API."""
        return "/api/v1"

    @property
    def exchange_info_paths(self) -> Sequence[str]:
        """*"Get all active instruments and instruments that have expired in <24hrs."*"""
        return ("/api/v1/instrument/active",)

    def depth_path(self, symbol: str, limit: int) -> str:
        """*"Orderbook depth per side. Send 0 for full depth."*

        >>> BitMEX().depth_path("XBTUSD", 0)
        '/api/v1/orderBook/L2?symbol=XBTUSD&depth=0'
        """
        return f"/api/v1/orderBook/L2?symbol={quote(symbol, safe='')}&depth={limit}"

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
        """Likewise."""
        return 1

    # REST answers

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """``x-ratelimit-limit`` less ``x-ratelimit-remaining``."""
        limit, remaining = (_count(header(headers, f"x-ratelimit-{name}")) for name in ("limit", "remaining"))
        return None if limit is None or remaining is None else max(0, limit - remaining)

    def refusal(
        self, status: int, headers: Mapping[str, str], body: bytes, *, url: str, now_ms: int
    ) -> VenueError | None:
        """The error that an answer means; ``None`` for a 200. The text is that of
        ``{"error":{"message":…}}``.

        429 is :class:`~depthcast.errors.RateLimited` for as long as ``Retry-After`` says, 403 a ban, another
        4xx :class:`~depthcast.errors.Refused` with the status as its code, a 5xx, of which 503 means
        overload, :class:`~depthcast.errors.VenueUnavailable`.
        """
        if status == 200:
            return None
        if status in (403, 429):
            wait_s = _count(header(headers, "retry-after"))
            pause_ms = PAUSE_MS if wait_s is None else max(1000, wait_s * 1000)
            return RateLimited(min(pause_ms, MAX_PAUSE_MS), banned=status == 403)
        text = _error_text(body)
        if 400 <= status < 500:
            return Refused(status, status, text)
        if status >= 500:
            return VenueUnavailable(
                f"{url} answered {status} {text}", hint="try again later; nothing is lost meanwhile"
            )
        return MalformedAnswer(url, f"status {status}")

    def parse_snapshot(self, body: bytes, limit: int) -> RowSnapshot:
        """The array of rows of ``orderBook/L2``. Its id is made of its time, as those of published books are
        (:mod:`depthcast.unsequenced`). Raises :class:`~depthcast.errors.MalformedAnswer`, also for an empty
        one: that is what is answered for a symbol that does not exist."""
        url = f"{self.rest_url}/api/v1/orderBook/L2"
        try:
            data = _loads(body)
            if type(data) is not list or not data:
                raise MalformedAnswer(url, "no rows in it")
            symbol = text_of(data[0]["symbol"])
            rows, _, last, _ = self._read(body, data, symbol)
        except orjson.JSONDecodeError:
            raise MalformedAnswer(url, f"not JSON: {body[:60]!r}") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise MalformedAnswer(url, f"{type(error).__name__} at {error!s:.200}") from None
        return RowSnapshot(symbol, last << BITS_OF_MS, rows, last, complete=limit == WHOLE)

    def parse_exchange_info(self, body: bytes) -> ExchangeInfo:
        """``[{"symbol":"XBTUSD","state":"Open",…}, …]``. Raises MalformedAnswer.

        An instrument that is *Open* is TRADING; any other has its state in capitals.
        """
        url = f"{self.rest_url}/api/v1/instrument/active"
        try:
            symbols = {
                entry["symbol"]: SymbolInfo(
                    symbol=text_of(entry["symbol"]),
                    status=TRADING if entry["state"] == OPEN else text_of(entry["state"]).upper(),
                    base_asset=_text(entry, "underlying"),
                    quote_asset=_text(entry, "quoteCurrency"),
                    base_precision=0,
                    quote_precision=_decimals(entry.get("tickSize")),
                )
                for entry in _loads(body)
            }
        except orjson.JSONDecodeError:
            raise MalformedAnswer(url, "not JSON") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise MalformedAnswer(url, f"{type(error).__name__} at {error!s:.200}") from None
        return ExchangeInfo(symbols, REQUESTS_PER_MINUTE, body)


def _control(frame: str | bytes, message: Mapping[str, Any]) -> Event:
    """What is said of the connection and its topics.

    Each topic is acknowledged: ``{"success":true,"subscribe":"orderBookL2:XBTUSD","request":{…}}``. An error
    has the request and no name: ``{"status":400,"error":"…","meta":{},"request":{…}}``.
    """
    if "success" in message:
        topic = message.get("subscribe", message.get("unsubscribe"))
        table, _, symbol = text_of(topic).partition(":")
        if "unsubscribe" in message:
            # A request is answered with its last topic.
            args = message["request"]["args"]
            return Ack(OLDEST) if args[-1] == topic else Ignored("unsubscribe")
        return StreamAck(symbol) if table in (L2, L2_25) else Ignored("subscribe")
    if "error" in message:
        status = message.get("status")
        text = one_line(message["error"])
        return RequestFailed(OLDEST, status if type(status) is int else None, text)
    if "info" in message:
        limit = message.get("limit")
        left = limit.get("remaining") if isinstance(limit, dict) else None
        return Welcome(left) if type(left) is int and left >= 0 else Ignored("info")
    raise MalformedFrame(frame, "neither a table nor an answer")


@lru_cache(maxsize=4096)
def _read_time(text: str) -> int:
    """Milliseconds since 1970. Raises ValueError."""
    found = time_ms(text)
    if not found:
        raise ValueError(f"{text!r:.40} is no time")
    return found


def _levels(side: Sequence[Sequence[float]]) -> list[tuple[float, int]]:
    levels: list[tuple[float, int]] = []
    for price, size in side:
        if type(price) not in (int, float) or type(size) is not int:
            raise TypeError("a level's members of other types")
        levels.append((float(price), size))
    return levels


def _symbol_of(message: object) -> str | None:
    data = message.get("data") if isinstance(message, dict) else None
    row = data[0] if isinstance(data, list) and data else None
    symbol = row.get("symbol") if isinstance(row, dict) else None
    return symbol if isinstance(symbol, str) else None


def _error_text(body: bytes) -> str:
    try:
        text = _loads(body)["error"]["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = body[:200].decode("utf-8", "replace")
    return one_line(text)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None


def _text(entry: Mapping[str, Any], name: str) -> str:
    """A member that older and synthetic instruments do not have."""
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _decimals(tick: object) -> int:
    """How many decimals a tick has, of a JSON number that was parsed.

    >>> _decimals(0.5), _decimals(1e-8), _decimals(1), _decimals(None)
    (1, 8, 0, 0)
    """
    if type(tick) is int or not isinstance(tick, float):
        return 0
    return len(f"{tick:.12f}".rstrip("0").partition(".")[2])
