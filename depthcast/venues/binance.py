"""Binance spot: its urls, frames, REST bodies, request weights and error answers. Pure.

The rules are those of the exchange's own documents (github.com/binance/binance-spot-api-docs: *rest-api.md*,
*web-socket-streams.md*, *errors.md*), quoted where a line depends on them. Binance.US runs the same engine
and is reached by other urls.

Promises: what is returned is what the exchange said, levels as their exact strings; what its documents do not
describe raises. Leaves to others: the levels' own spelling (:mod:`depthcast.book`), connections
(:mod:`depthcast.feed`), pacing and retries (:mod:`depthcast.rest`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
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
from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.file_info import MAX_NUMBER
from depthcast.metadata.document import let_go
from depthcast.scheme import Scheme
from depthcast.venues import Ack, Event, ExchangeInfo, Ignored, RequestFailed, Shutdown, SymbolInfo
from depthcast.venues.answers import header, json_object, listing_object, one_line, text_of, whole_of
from depthcast.venues.binance_files import BINANCE
from depthcast.venues.urls import base_url

REST_URL: Final = "https://data-api.binance.vision"
"""The market-data-only REST host: no account, no key."""

WS_URL: Final = "wss://data-stream.binance.vision"
"""The market-data-only stream host."""

MAX_DEPTH_LIMIT: Final = 5000
"""*"If limit > 5000, only 5000 entries will be returned."*"""

REQUEST_WEIGHT_PER_MINUTE: Final = 6000
"""What an address may use where ``exchangeInfo`` does not say otherwise."""

MAX_SILENCE_MS: Final = 3 * 24 * 3600 * 1000
"""The longest ban: *"Repeatedly violating rate limits … IP bans … from 2 minutes to 3 days."*"""

DEFAULT_PAUSE_MS: Final = {429: 60_000, 418: 120_000}
"""The silence after an answer that names none: the weight window (a minute) and the shortest ban."""

_DEPTH_WEIGHTS: Final = ((100, 5), (500, 25), (1000, 50))
_DEEPEST_WEIGHT: Final = 250

# "Way too much request weight used; IP banned until 1659146400000." (milliseconds since 1970)
_BANNED_UNTIL = re.compile(rb"banned until (\d{13})\b")

_DIGITS: Final = b"0123456789"
_LEVEL_SHAPE: Final = b'[".","."],'
"""What is left of a level in a frame without its digits."""

_loads = orjson.loads


_STREAM: Final = b'{"stream":"'
_NAMED: Final = 100
"""A stream's name ends before, if it is one."""


@dataclass(frozen=True, slots=True)
class Binance:
    """Binance spot, or an engine that speaks like it, at two base urls.

    The urls may hold a path, but no query; a slash at the end is dropped. Raises
    :class:`~depthcast.errors.SettingsError` for urls that are none.
    """

    rest_url: str = REST_URL
    ws_url: str = WS_URL
    scheme: Scheme = BINANCE

    def __post_init__(self) -> None:
        object.__setattr__(self, "rest_url", base_url("rest_url", self.rest_url, ("http", "https")))
        object.__setattr__(self, "ws_url", base_url("ws_url", self.ws_url, ("ws", "wss")))

    # What is published (rest-api.md)

    @property
    def snapshot_limits(self) -> Sequence[int]:
        """The ends of the rows of :meth:`depth_weight`'s table."""
        return (*(up_to for up_to, _ in _DEPTH_WEIGHTS), MAX_DEPTH_LIMIT)

    @property
    def unknown_symbol(self) -> frozenset[int]:
        """*-1121 "Invalid symbol."*, and *-1100 "Illegal characters found"* where it is misspelled."""
        return frozenset((-1121, -1100))

    # Websocket (web-socket-streams.md)

    @property
    def messages_per_s(self) -> int:
        """*"WebSocket connections have a limit of 5 incoming messages per second."*"""
        return 5

    @property
    def stream_url(self) -> str:
        """*"Combined streams are accessed at /stream"*; frames come as ``{"stream":…,"data":…}``."""
        return f"{self.ws_url}/stream"

    @property
    def numbered(self) -> bool:
        """Update ids do."""
        return True

    @property
    def connects_per_hour(self) -> int:
        """*"300 connections per attempt every 5 minutes per IP"*, of which others have their share."""
        return 720

    @property
    def connection_s(self) -> float:
        """*"A single connection … is only valid for 24 hours"*."""
        return 23 * 3600.0

    @property
    def heartbeat_s(self) -> float:
        """How often is the feed's to say."""
        return 5.0

    @property
    def heartbeat(self) -> None:
        """The websocket's own pings are answered."""
        return None

    def stream_name(self, symbol: str) -> str:
        """*"All symbols for streams are lowercase"*; the fast one of the two diff streams.

        >>> Binance().stream_name("ETHUSDT")
        'ethusdt@depth@100ms'
        """
        return f"{symbol.lower()}@depth@100ms"

    def subscribe_message(self, names: Sequence[str], request_id: int) -> str:
        """``{"method":"SUBSCRIBE","params":[…],"id":…}``"""
        return _control_message("SUBSCRIBE", names, request_id)

    def unsubscribe_message(self, names: Sequence[str], request_id: int) -> str:
        """``{"method":"UNSUBSCRIBE","params":[…],"id":…}``"""
        return _control_message("UNSUBSCRIBE", names, request_id)

    def symbol_of(self, frame: bytes) -> str | None:
        """The symbol of a diff in a combined stream, by the stream's name, with which the frame begins.

        >>> Binance().symbol_of(b'{"stream":"ethusdt@depth@100ms","data":{"e":"depthUpdate"}}')
        'ETHUSDT'
        """
        if not frame.startswith(_STREAM):
            return None
        name, at, _ = frame[len(_STREAM) : _NAMED].partition(b"@depth@")
        return name.decode("utf-8", "replace").upper() if at else None

    def parse_frame(self, frame: str | bytes) -> Event:
        """What a raw or a combined-stream frame says.

        A diff's envelope is checked, its levels are not (a book does that, without a second pass over them).
        Raises :class:`~depthcast.errors.MalformedFrame`, which names the symbol where the frame does.

        >>> Binance().parse_frame('{"result":null,"id":3}')
        Ack(id=3)
        """
        try:
            message = _loads(frame)
        except orjson.JSONDecodeError as error:
            raise MalformedFrame(frame, f"not JSON: {error}") from None
        try:
            data = message.get("data", message)
            if data["e"] != "depthUpdate":
                return other_frame(frame, message)
            symbol, event_time_ms, first, last = data["s"], data["E"], data["U"], data["u"]
            bids, asks = data["b"], data["a"]
        except (AttributeError, KeyError, TypeError):
            return other_frame(frame, message)
        if (
            type(symbol) is str
            and type(first) is type(last) is type(event_time_ms) is int
            and type(bids) is type(asks) is list
            and 0 < first <= last <= MAX_NUMBER
            and 0 <= event_time_ms <= MAX_NUMBER
        ):
            braces = b"}" if data is message else b"}}"
            if type(frame) is bytes and plain(frame, len(bids), len(asks), braces):
                bids, asks = PlainLevels(bids), PlainLevels(asks)
            return Diff(symbol, first, last, event_time_ms, bids, asks)
        raise MalformedFrame(
            frame, "a depthUpdate with members of other types or sizes", symbol=symbol_of(message)
        )

    # REST requests (rest-api.md)

    @property
    def ping_path(self) -> str:
        """*"Test connectivity to the Rest API."*"""
        return "/api/v3/ping"

    @property
    def exchange_info_paths(self) -> Sequence[str]:
        """Without permission sets the body is many times smaller; an older engine refuses to be asked so."""
        return ("/api/v3/exchangeInfo?showPermissionSets=false", "/api/v3/exchangeInfo")

    def depth_path(self, symbol: str, limit: int) -> str:
        """*"Order book: GET /api/v3/depth"*; symbols are UTF-8 since December 2025.

        >>> Binance().depth_path("ETHUSDT", 5000)
        '/api/v3/depth?symbol=ETHUSDT&limit=5000'
        """
        return f"/api/v3/depth?symbol={quote(symbol, safe='')}&limit={limit}"

    @property
    def request_weight_per_minute(self) -> int:
        """By address; ``exchangeInfo`` tells it, too."""
        return REQUEST_WEIGHT_PER_MINUTE

    @property
    def ping_weight(self) -> int:
        """*"Weight: 1"*"""
        return 1

    @property
    def exchange_info_weight(self) -> int:
        """*"Weight: 20"*"""
        return 20

    def depth_weight(self, limit: int) -> int:
        """*"1-100: 5, 101-500: 25, 501-1000: 50, 1001-5000: 250"*

        >>> [Binance().depth_weight(limit) for limit in (1, 100, 101, 1000, 5000)]
        [5, 5, 25, 50, 250]
        """
        for up_to, weight in _DEPTH_WEIGHTS:
            if limit <= up_to:
                return weight
        return _DEEPEST_WEIGHT

    # REST answers (rest-api.md, errors.md)

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """*"Every request will contain X-MBX-USED-WEIGHT-(intervalNum)(intervalLetter)"*.

        >>> Binance().used_weight({"X-Mbx-Used-Weight-1M": "25"})
        25
        """
        text = header(headers, "x-mbx-used-weight-1m") or header(headers, "x-mbx-used-weight")
        # More digits than any limit has say no more than that it is used up.
        return int(text[:12]) if text.isascii() and text.isdecimal() else None

    def refusal(
        self, status: int, headers: Mapping[str, str], body: bytes, *, url: str, now_ms: int
    ) -> VenueError | None:
        """The error that an answer means; ``None`` for a 200.

        ======  ==================================================================================
        429     *"when breaking a request rate limit"*: RateLimited for ``Retry-After``
        418     *"when an IP has been auto-banned for continuing to send requests after 429"*: likewise
        403     *"the WAF Limit (Web Application Firewall) has been violated"*: Refused
        4xx     *"malformed requests"*: Refused with the code and text of ``{"code":…,"msg":…}``
        5xx     *"internal errors; the issue is on Binance's side"*: VenueUnavailable
        other   somebody else answers here: MalformedAnswer
        ======  ==================================================================================
        """
        if status == 200:
            return None
        if status in DEFAULT_PAUSE_MS:
            return RateLimited(_pause_ms(status, headers, body, now_ms), banned=status == 418)
        code, text = _error_body(body)
        if 400 <= status < 500:
            if status == 403 and code is None:
                text = f"{text} (its firewall turned the request away)"
            return Refused(status, code, text)
        if status >= 500:
            said = f"{status} {text}" if code is None else f"{status} {code} {text}"
            return VenueUnavailable(
                f"{url} answered {said}", hint="try again later; nothing is lost meanwhile"
            )
        return MalformedAnswer(url, f"status {status}")

    def parse_snapshot(self, body: bytes, limit: int) -> Snapshot:
        """``{"lastUpdateId":N,"bids":[["p","q"],…],"asks":[…]}``, asked for with ``limit``.

        A side with fewer levels than asked for is complete: the exchange had no more to show.
        Raises :class:`~depthcast.errors.MalformedAnswer`.

        >>> Binance().parse_snapshot(b'{"lastUpdateId":7,"bids":[["2.0","5"]],"asks":[]}', 1)
        Snapshot(update_id=7, bids=[['2.0', '5']], asks=[], bids_complete=False, asks_complete=True, \
event_time_ms=0, transaction_time_ms=0, names=b'')
        """
        url = f"{self.rest_url}/api/v3/depth"
        answer = json_object(url, body)
        update_id, bids, asks = answer.get("lastUpdateId"), answer.get("bids"), answer.get("asks")
        if type(update_id) is not int or type(bids) is not list or type(asks) is not list:
            raise MalformedAnswer(url, "no lastUpdateId, bids or asks in it")
        if not 0 <= update_id <= MAX_NUMBER:
            raise MalformedAnswer(url, f"the lastUpdateId {update_id}")
        asked = min(limit, MAX_DEPTH_LIMIT)
        return Snapshot(update_id, bids, asks, len(bids) < asked, len(asks) < asked)

    def parse_exchange_info(self, body: bytes) -> ExchangeInfo:
        """``{"rateLimits":[…],"symbols":[…],…}``. Raises :class:`~depthcast.errors.MalformedAnswer`."""
        url = f"{self.rest_url}/api/v3/exchangeInfo"
        answer = listing_object(url, body)
        try:
            symbols = {
                entry["symbol"]: SymbolInfo(
                    symbol=text_of(entry["symbol"]),
                    status=text_of(entry["status"]),
                    base_asset=text_of(entry["baseAsset"]),
                    quote_asset=text_of(entry["quoteAsset"]),
                    base_precision=whole_of(entry["baseAssetPrecision"]),
                    quote_precision=whole_of(entry["quoteAssetPrecision"]),
                )
                for entry in answer["symbols"]
            }
            weight = weight_per_minute(answer["rateLimits"], REQUEST_WEIGHT_PER_MINUTE)
        except (KeyError, TypeError, ZeroDivisionError) as error:
            raise MalformedAnswer(url, f"{type(error).__name__} at {error!s:.200}") from None
        finally:
            let_go(answer)
        return ExchangeInfo(symbols, weight, body)


def _control_message(method: str, names: Sequence[str], request_id: int) -> str:
    return orjson.dumps({"method": method, "params": names, "id": request_id}).decode()


def plain(frame: bytes, bids: int, asks: int, braces: bytes) -> bool:
    """Whether a frame, which is JSON, ends in so many bids and asks of two plain numbers each.

    ``…"b":[["p","q"],…],"a":[["p","q"],…]}}`` and compact: with digits taken away, nothing of it may differ.
    The braces at its end are all there are, so what they close are the members that were read.
    """
    shape = frame.translate(None, _DIGITS)
    return shape.endswith(
        b'"b":[%b],"a":[%b]%b' % ((_LEVEL_SHAPE * bids)[:-1], (_LEVEL_SHAPE * asks)[:-1], braces)
    ) and frame.count(b"{") == len(braces)


def other_frame(
    frame: str | bytes, message: Any, members: Sequence[str] = ("s", "E", "U", "u", "b", "a")
) -> Event:
    """A frame that is no whole diff: a control answer, a notice, another stream's, or malformed.

    ``members`` are those that a diff has.
    """
    if not isinstance(message, dict):
        raise MalformedFrame(frame, "not a JSON object")
    if "error" in message or "code" in message:
        return _request_failed(frame, message)
    if "result" in message:
        request_id = message.get("id")
        return Ack(request_id) if type(request_id) is int else Ignored("answer to an unknown request")
    data = message.get("data", message)
    if not isinstance(data, dict):
        raise MalformedFrame(frame, "the data is no JSON object", symbol=symbol_of(message))
    kind = data.get("e")
    if kind == "serverShutdown" or message.get("stream") == "!serverShutdown":
        at_ms = data.get("E")
        return Shutdown(at_ms if type(at_ms) is int else None)
    if kind == "depthUpdate":
        missing = [name for name in members if name not in data]
        raise MalformedFrame(frame, f"a depthUpdate without {missing[0]}", symbol=symbol_of(message))
    if not data:
        raise MalformedFrame(frame, "it says nothing", symbol=symbol_of(message))
    return Ignored(str(message.get("stream") or kind or "?")[:80])


def _request_failed(frame: str | bytes, message: dict[str, Any]) -> RequestFailed:
    """Both layouts: ``{"code":2,"msg":"…","id":…}`` and ``{"error":{"code":4,"msg":"…"}}``."""
    error = message.get("error", message)
    if not isinstance(error, dict):
        raise MalformedFrame(frame, "an error that is no JSON object")
    request_id, code = message.get("id"), error.get("code")
    return RequestFailed(
        request_id if type(request_id) is int else None,
        code if type(code) is int else None,
        one_line(error.get("msg", "")),
    )


def symbol_of(message: dict[str, Any]) -> str | None:
    """The symbol of a frame that cannot be read as a whole: by its own word, else by its stream's name."""
    data = message.get("data", message)
    symbol = data.get("s") if isinstance(data, dict) else None
    if isinstance(symbol, str):
        return symbol
    stream = message.get("stream")
    if isinstance(stream, str) and "@" in stream:
        return stream.partition("@")[0].upper()
    return None


def _pause_ms(status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> int:
    """*"A Retry-After header is sent with a 418 or 429 responses and will give the number of seconds"*.

    An HTTP date (RFC 9110, 10.2.3) is understood as well. Without either, the time in a ban's text counts,
    then the default. Never under a second, never over the longest ban.
    """
    text = header(headers, "retry-after")
    banned_until = _BANNED_UNTIL.search(body)
    if text.isascii() and text.isdecimal():
        # A number of more digits than the longest ban has is cut, not multiplied out.
        pause_ms = int(text[:9]) * 1000
    elif (date_ms := _http_date_ms(text)) is not None:
        pause_ms = date_ms - now_ms
    elif banned_until:
        pause_ms = int(banned_until[1]) - now_ms
    else:
        pause_ms = DEFAULT_PAUSE_MS[status]
    return min(max(pause_ms, 1000), MAX_SILENCE_MS)


def _http_date_ms(text: str) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _error_body(body: bytes) -> tuple[int | None, str]:
    """Code and text of ``{"code":-1121,"msg":"Invalid symbol."}``; for any other body a short description."""
    try:
        answer = _loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if isinstance(answer, dict) and type(answer.get("code")) is int:
        return answer["code"], one_line(answer.get("msg", ""))
    if body.lstrip()[:1] == b"<":
        return None, "an HTML page"
    return None, one_line(body[:120].decode("utf-8", "replace")) or "an empty body"


def weight_per_minute(rate_limits: Sequence[Mapping[str, Any]], otherwise: int) -> int:
    """The tightest REQUEST_WEIGHT limit, as weight a minute, 1 at least; ``otherwise``: there is none."""
    seconds = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
    limits = [
        max(1, whole_of(entry["limit"]) * 60 // (whole_of(entry["intervalNum"]) * seconds[entry["interval"]]))
        for entry in rate_limits
        if entry["rateLimitType"] == "REQUEST_WEIGHT"
    ]
    return min(limits, default=otherwise)
