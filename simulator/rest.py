"""Binance spot's REST scheme for market data: ``depth``, ``ticker/bookTicker``, ``exchangeInfo``, ``ping``
and ``time``. Sans-I/O.

Parameters, defaults, weights, errors and their order follow rest-api.md and errors.md, and where those are
silent what was seen of the live service; what neither tells is marked *chosen*.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qsl

from simulator.exchange import Exchange, Instrument
from simulator.faults import Fault, Kind
from simulator.listing import PERMISSIONS, REQUESTABLE_STATUSES, Listing, well_formed
from simulator.truth import MAX_DEPTH
from simulator.weight import error_body

DEFAULT_LIMIT: Final = 100

JSON: Final = "application/json;charset=UTF-8"

NOT_FOUND_PAGE: Final = b"<html><body><h2>404 Not found</h2></body></html>"

# As logged from api.binance.com.
_COMMON_HEADERS: Final = {
    "Server": "nginx",
    "Strict-Transport-Security": "max-age=31536000; includeSubdomains",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Xss-Protection": "1; mode=block",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
}

_DEPTH: Final = ("symbol", "limit", "symbolStatus")
_TICKER: Final = ("symbol", "symbols", "symbolStatus")
_EXCHANGE_INFO: Final = ("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")

_SYMBOL_RANGE: Final = r"[\w\-._&&[^a-z]]{1,50}"
# '^\[("…"(,"…"){0,}){0,1}\]$': no blanks. As seen in 2026.
_SYMBOLS: Final = re.compile(r'\[("[^"\s]+"(,"[^"\s]+")*)?\]')
_PERMISSION: Final = re.compile(r"[A-Z0-9_]{1,50}")
_LIMIT: Final = re.compile(r"[0-9]{1,20}")
_INT_MAX: Final = 2**31 - 1
_TIME_UNITS: Final = {"MICROSECOND": 1000, "microsecond": 1000, "MILLISECOND": 1, "millisecond": 1}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, to be sent after ``delay_s``.

    ``fate``: it arrives whole, is cut off in the middle of its body, or never comes.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    fate: Literal["whole", "cut", "never"] = "whole"


class ApiError(Exception):
    """A refusal: HTTP 400 with ``{"code":…,"msg":…}``."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg


class _Endpoint(NamedTuple):
    parameters: Sequence[str]
    weight: Callable[[Mapping[str, str]], int]
    answer: Callable[[Mapping[str, str], Mapping[str, str]], Answer]


class Rest:
    """Answers requests for one :class:`~simulator.exchange.Exchange`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._endpoints = {
            "/api/v3/ping": _Endpoint((), _one, self._ping),
            "/api/v3/time": _Endpoint((), _one, self._time),
            "/api/v3/depth": _Endpoint(_DEPTH, depth_weight, self._depth),
            "/api/v3/ticker/bookTicker": _Endpoint(
                _TICKER, lambda sent: 2 if "symbol" in sent else 4, self._book_ticker
            ),
            "/api/v3/exchangeInfo": _Endpoint(_EXCHANGE_INFO, lambda _: 20, self._exchange_info),
        }

    def answer(
        self, method: str, path: str, query: str, *, headers: Mapping[str, str], address: str
    ) -> Answer:
        """The answer to a request. ``path`` is decoded, ``query`` raw, ``headers`` have lower-case names."""
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            # *"404 … an empty body unless the Accept header includes text/html"*
            page = "text/html" in headers.get("accept", "")
            return _dressed(
                Answer(404, NOT_FOUND_PAGE if page else b"", _content("text/html" if page else ""))
            )
        if method == "OPTIONS":
            return _dressed(Answer(200, b""))
        if method not in ("GET", "HEAD"):
            return _dressed(Answer(405, b"", {"Allow": "GET, HEAD, OPTIONS"}))  # chosen
        sent = parse_qsl(query, keep_blank_values=True)
        weight = endpoint.weight(dict(sent))
        charge = self._exchange.weights.charge(address, weight, self._exchange.wall_ms())
        used = {"x-mbx-used-weight": str(charge.used), "x-mbx-used-weight-1m": str(charge.used)}
        if charge.refusal is not None:
            status, retry_after_s, body = charge.refusal
            return _dressed(
                Answer(status, body, {**_content(JSON), **used, "Retry-After": str(retry_after_s)})
            )
        try:
            answer = endpoint.answer(_checked(sent, endpoint.parameters), headers)
        except ApiError as error:
            answer = Answer(400, error_body(error.code, error.msg), _content(JSON))
        return _dressed(replace(answer, headers={**answer.headers, **used}))

    def _ping(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        return Answer(200, b"{}", _content(JSON))

    def _time(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        unit = _time_unit(headers)
        return Answer(200, b'{"serverTime":%d}' % (self._exchange.wall_ms() * unit), _content(JSON))

    def _depth(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        _time_unit(headers)
        symbol = _symbol(sent)
        limit = _limit(sent)
        status = _status(sent)
        _all_read(sent, _DEPTH)
        instrument = self._instrument(symbol)
        if status is not None and status != instrument.listing.status:
            raise ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")
        return self._snapshot(instrument, limit)

    def _snapshot(self, instrument: Instrument, limit: int) -> Answer:
        """The book as it is, unless a fault says otherwise."""
        journal, truth, faults = instrument.journal, self._exchange.truth, self._exchange.faults
        symbol, update_id = instrument.symbol, journal.update_id
        stale = faults.take((Kind.STALE_SNAPSHOT,), symbol)
        if stale is not None:
            update_id = journal.latest_known(max(journal.oldest_id, update_id - stale.ids))
            faults.record(stale, symbol, None, f"{update_id} of {journal.update_id}")
        body = truth.body(symbol, update_id, limit, journal.generation)
        answer = Answer(200, body, _content(JSON))
        slow = faults.take((Kind.SLOW_SNAPSHOT,), symbol)
        if slow is not None:
            faults.record(slow, symbol, None, f"{update_id} after {slow.delay_s:.3f} s")
            answer = replace(answer, delay_s=slow.delay_s)
        failed = faults.take((Kind.FAILED_SNAPSHOT,), symbol)
        if failed is not None:
            faults.record(failed, symbol, None)
            answer = _failed(answer, failed)
        return answer

    def _book_ticker(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        _time_unit(headers)
        symbols, status = _symbol_or_symbols(sent), _status(sent)
        _either(sent)
        _all_read(sent, _TICKER)
        if "symbol" in sent:
            instrument = self._instrument(symbols[0])
            if status not in (None, instrument.listing.status):
                raise ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")
            return Answer(200, _compact(self._top(instrument)), _content(JSON))
        _once_each(symbols)
        instruments: list[Instrument] = list(self._exchange.instruments.values())
        if "symbols" in sent:
            instruments = [self._instrument(symbol) for symbol in symbols]  # chosen: in the order asked for
        tops = [self._top(each) for each in instruments if status in (None, each.listing.status)]
        return Answer(200, _compact(tops), _content(JSON))

    def _top(self, instrument: Instrument) -> dict[str, str]:
        """*"Best price/qty on the order book"*; a side without orders was seen to be zeros."""
        journal = instrument.journal
        body = self._exchange.truth.body(instrument.symbol, journal.update_id, 1, journal.generation)
        book = json.loads(body)
        scale = instrument.listing.scale
        none = ["0." + "0" * scale.price_digits, "0." + "0" * scale.quantity_digits]
        (bid, ask) = (side[0] if side else none for side in (book["bids"], book["asks"]))
        return {
            "symbol": instrument.symbol,
            "bidPrice": bid[0],
            "bidQty": bid[1],
            "askPrice": ask[0],
            "askQty": ask[1],
        }

    def _exchange_info(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        unit = _time_unit(headers)
        show_sets = _boolean(sent, "showPermissionSets", default=True)
        body = {
            "timezone": "UTC",
            "serverTime": self._exchange.wall_ms() * unit,
            "rateLimits": [
                _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, self._exchange.weights.limit),
                _rate_limit("ORDERS", "SECOND", 10, 100),
                _rate_limit("ORDERS", "DAY", 1, 200_000),
                _rate_limit("RAW_REQUESTS", "MINUTE", 5, 300_000),
            ],
            "exchangeFilters": [],
            "symbols": [listing.info(permission_sets=show_sets) for listing in self._chosen(sent)],
        }
        return Answer(200, _compact(body), _content(JSON))

    def _chosen(self, sent: Mapping[str, str]) -> Sequence[Listing]:
        symbols, permissions, status = _symbol_or_symbols(sent), _permissions(sent), _status(sent)
        _either(sent)
        named = "symbol" in sent or "symbols" in sent
        if named and ("permissions" in sent or "symbolStatus" in sent):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        _all_read(sent, _EXCHANGE_INFO)
        _once_each(symbols)
        if named:
            return [self._instrument(symbol).listing for symbol in symbols]
        return [
            listing
            for listing in (instrument.listing for instrument in self._exchange.instruments.values())
            if not permissions.isdisjoint(listing.permissions) and status in (None, listing.status)
        ]

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._exchange.instruments.get(symbol)
        if instrument is None:
            raise ApiError(-1121, "Invalid symbol.")
        return instrument


def depth_weight(sent: Mapping[str, str]) -> int:
    """*"1-100: 5, 101-500: 25, 501-1000: 50, 1001-5000: 250"*; a limit that is none costs as the default.

    >>> [depth_weight({"limit": limit}) for limit in ("100", "101", "1000", "9999", "x")]
    [5, 25, 50, 250, 5]
    """
    text = sent.get("limit", "")
    limit = int(text) if _LIMIT.fullmatch(text) else DEFAULT_LIMIT
    if limit <= 100:
        return 5
    if limit <= 500:
        return 25
    return 50 if limit <= 1000 else 250


def _one(_: Mapping[str, str]) -> int:
    return 1


def _checked(sent: Sequence[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Duplicates are refused before too many parameters are, and both before any value is looked at."""
    parameters: dict[str, str] = {}
    for name, value in sent:
        if name in parameters:
            raise ApiError(-1101, f"Duplicate values for parameter '{name}'.")
        parameters[name] = value
    if len(parameters) > len(known):
        raise ApiError(
            -1101, f"Too many parameters; expected '{len(known)}' and received '{len(parameters)}'."
        )
    return parameters


def _all_read(sent: Mapping[str, str], known: Sequence[str]) -> None:
    read = sum(name in known for name in sent)
    if read < len(sent):
        raise ApiError(
            -1104,
            f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(sent)}'.",
        )


def _symbol(sent: Mapping[str, str]) -> str:
    if "symbol" not in sent:
        raise ApiError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    symbol = sent["symbol"]
    if not symbol:
        raise ApiError(-1105, "Parameter 'symbol' was empty.")
    if not well_formed(symbol):
        raise _illegal("symbol", f"^{_SYMBOL_RANGE}$")
    return symbol


def _symbols(text: str) -> Sequence[str]:
    """``["BTCUSDT","BNBUSDT"]``"""
    if not text:
        raise ApiError(-1105, "Parameter 'symbols' was empty.")
    symbols = json.loads(text) if _SYMBOLS.fullmatch(text) and "\\" not in text else [""]
    if not all(map(well_formed, symbols)):
        one = f'"{_SYMBOL_RANGE}"'
        raise _illegal("symbols", rf"^\[({one}(,{one}){{0,}}){{0,1}}\]$")
    return list(symbols)


def _symbol_or_symbols(sent: Mapping[str, str]) -> Sequence[str]:
    """Each is looked at by itself first (chosen); empty where neither was sent."""
    one = [_symbol(sent)] if "symbol" in sent else []
    return _symbols(sent["symbols"]) if "symbols" in sent else one


def _either(sent: Mapping[str, str]) -> None:
    if "symbol" in sent and "symbols" in sent:
        raise ApiError(
            -1128,
            "Combination of optional parameters invalid. "
            "Recommendation: 'symbol' and 'symbols' cannot both be sent.",
        )


def _once_each(symbols: Sequence[str]) -> None:
    if len(set(symbols)) < len(symbols):
        raise ApiError(-1151, "Symbol is present multiple times in the list.")


def _limit(sent: Mapping[str, str]) -> int:
    text = sent.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not text:
        raise ApiError(-1105, "Parameter 'limit' was empty.")
    if _LIMIT.fullmatch(text) is None:
        raise _illegal("limit", "^[0-9]{1,20}$")
    if int(text) > _INT_MAX:
        raise ApiError(-1108, "Parameter 'limit' overflowed.")
    if int(text) == 0:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")  # chosen
    return min(int(text), MAX_DEPTH)


def _status(sent: Mapping[str, str]) -> str | None:
    status = sent.get("symbolStatus")
    if status == "":
        raise ApiError(-1105, "Parameter 'symbolStatus' was empty.")
    if status is not None and status not in REQUESTABLE_STATUSES:
        raise ApiError(-1122, "Invalid symbolStatus.")
    return status


def _permissions(sent: Mapping[str, str]) -> set[str]:
    """One name, or a JSON array of names."""
    text = sent.get("permissions")
    if text is None:
        return set(PERMISSIONS)
    if not text:
        raise ApiError(-1105, "Parameter 'permissions' was empty.")
    names = [text]
    if text.startswith("["):
        names = json.loads(text) if _SYMBOLS.fullmatch(text) and "\\" not in text else []
    if not names or not all(map(_PERMISSION.fullmatch, names)):
        raise ApiError(-1130, "Data sent for parameter 'permissions' is not valid.")  # chosen
    return set(names)


def _boolean(sent: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = sent.get(name)
    if text is None:
        return default
    if not text:
        raise ApiError(-1105, f"Parameter '{name}' was empty.")
    if text.lower() not in ("true", "false"):
        raise ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return text.lower() == "true"


def _time_unit(headers: Mapping[str, str]) -> int:
    """Units a millisecond, as ``X-MBX-TIME-UNIT`` asks for."""
    unit = headers.get("x-mbx-time-unit", "MILLISECOND")
    if unit not in _TIME_UNITS:
        raise ApiError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    return _TIME_UNITS[unit]


def _illegal(name: str, legal: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _rate_limit(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


def _failed(answer: Answer, fault: Fault) -> Answer:
    match fault.form:
        case "500":
            text = "An unknown error occurred while processing the request."
            return replace(answer, status=500, body=error_body(-1000, text))
        case "503":
            text = "Server is currently overloaded with other requests. Please try again in a few minutes."
            return replace(answer, status=503, body=error_body(-1008, text))
        case "html":
            page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            return replace(answer, status=502, body=page, headers=_content("text/html"))
        case "truncated":
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case "cut":
            return replace(answer, fate="cut")
        case _:
            return replace(answer, fate="never")


def _content(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type} if content_type else {}


def _dressed(answer: Answer) -> Answer:
    return replace(answer, headers={**_COMMON_HEADERS, **answer.headers})
