"""Binance's spot REST scheme, from the side of who answers it: query strings to requests or its own errors.

Here is ``GET /api/v3/depth`` and what all endpoints share; those that take lists of symbols are
:mod:`depthcast.venues.binance_lists`.

Promises: parameters, defaults, clamping, order of checks, statuses, codes and texts as Binance documents
them and as they were seen, so that a client cannot tell a mirror from the exchange by them. Where neither
documents nor observations say anything, the choice is explained in ``docs/compatibility.md``.

Leaves to others: whether a symbol exists and trades (the server knows what is published) and everything of
HTTP but the status. Pure: bytes in, values out.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from depthcast.scheme import valid_symbol
from depthcast.venues.binance_files import MAX_LIMIT
from depthcast.venues.requests import ApiError, DepthRequest, SymbolStatus, decode

DEPTH_PATH: Final = "/api/v3/depth"
PING_PATH: Final = "/api/v3/ping"
TIME_PATH: Final = "/api/v3/time"
BOOK_TICKER_PATH: Final = "/api/v3/ticker/bookTicker"
EXCHANGE_INFO_PATH: Final = "/api/v3/exchangeInfo"

ERROR_CONTENT_TYPE: Final = "application/json;charset=UTF-8"
"""What Binance sends with every JSON answer, errors and successes alike."""

DEFAULT_LIMIT: Final = 100

_PARAMETERS: Final = ("symbol", "limit", "symbolStatus")
_STATUSES: Final[dict[str, SymbolStatus]] = {"TRADING": "TRADING", "HALT": "HALT", "BREAK": "BREAK"}
LIMIT_SPELLING: Final = re.compile(r"[0-9]{1,20}")
_INT_MAX: Final = 2**31 - 1

TimeUnit = Literal["MILLISECOND", "MICROSECOND"]
_TIME_UNITS: Final[dict[bytes, TimeUnit]] = {
    b"MILLISECOND": "MILLISECOND",
    b"millisecond": "MILLISECOND",
    b"MICROSECOND": "MICROSECOND",
    b"microsecond": "MICROSECOND",
}


SYMBOL_MISSING: Final = ApiError(
    400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
)
SYMBOL_ILLEGAL: Final = ApiError(
    400, -1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'."
)
LIMIT_ILLEGAL: Final = ApiError(
    400, -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."
)
LIMIT_OVERFLOWED: Final = ApiError(400, -1108, "Parameter 'limit' overflowed.")
LIMIT_NOT_VALID: Final = ApiError(400, -1130, "Data sent for parameter 'limit' is not valid.")
UNKNOWN_SYMBOL: Final = ApiError(400, -1121, "Invalid symbol.")
UNKNOWN_STATUS: Final = ApiError(400, -1122, "Invalid symbolStatus.")
STATUS_MISMATCH: Final = ApiError(
    400, -1220, "The symbol's status does not match the requested symbolStatus."
)
BAD_TIME_UNIT: Final = ApiError(
    400, -1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND."
)
UNAVAILABLE: Final = ApiError(503, -1001, "Internal error; unable to process your request. Please try again.")
"""The book exists but cannot be had right now. Clients know -1001 as "try again"."""


def parse_depth(query: bytes) -> DepthRequest | ApiError:
    """The request that the raw query string of ``GET /api/v3/depth`` makes, or Binance's refusal.

    Checks, first failure wins: duplicates (-1101), too many parameters (-1101), ``symbol`` (-1102, -1105,
    -1100), ``limit`` (-1105, -1100, -1108, -1130), ``symbolStatus`` (-1105, -1122), unread parameters
    (-1104). Existence (-1121) and status (-1220) come after all of these and are the caller's.

    >>> parse_depth(b"symbol=ETHUSDT&limit=7000")
    DepthRequest(symbol='ETHUSDT', limit=5000, symbol_status=None)
    >>> parse_depth(b"limit=5").code
    -1102
    """
    sent = parameters(query, _PARAMETERS)
    if isinstance(sent, ApiError):
        return sent
    symbol = symbol_of(sent)
    if symbol is None:
        return SYMBOL_MISSING
    if isinstance(symbol, ApiError):
        return symbol
    limit = _limit(sent.get("limit"))
    if isinstance(limit, ApiError):
        return limit
    status = status_of(sent)
    if isinstance(status, ApiError):
        return status
    return unread(sent, _PARAMETERS) or DepthRequest(symbol, limit, status)


def refuse_parameters(query: bytes) -> ApiError | None:
    """The refusal of a query string sent to an endpoint without parameters (ping, time), if any.

    >>> refuse_parameters(b"a=1").msg
    "Too many parameters; expected '0' and received '1'."
    """
    sent = parameters(query, ())
    return sent if isinstance(sent, ApiError) else None


def parse_time_unit(header: bytes | None) -> TimeUnit | ApiError:
    """What the request header ``X-MBX-TIME-UNIT`` asks for; milliseconds where it is not sent.

    >>> parse_time_unit(None), parse_time_unit(b"microsecond"), parse_time_unit(b"us").code
    ('MILLISECOND', 'MICROSECOND', -1194)
    """
    if header is None:
        return "MILLISECOND"
    return _TIME_UNITS.get(header, BAD_TIME_UNIT)


def _limit(text: str | None) -> int | ApiError:
    if text is None:
        return DEFAULT_LIMIT
    if not text:
        return empty("limit")
    if LIMIT_SPELLING.fullmatch(text) is None:
        return LIMIT_ILLEGAL
    limit = int(text)
    if limit > _INT_MAX:
        return LIMIT_OVERFLOWED
    if limit == 0:
        return LIMIT_NOT_VALID
    return min(limit, MAX_LIMIT)


def time_body(now_us: int, unit: TimeUnit) -> bytes:
    """The answer of ``GET /api/v3/time`` at a time in microseconds since 1970.

    >>> time_body(1_700_000_000_123_456, "MILLISECOND"), time_body(1_700_000_000_123_456, "MICROSECOND")
    (b'{"serverTime":1700000000123}', b'{"serverTime":1700000000123456}')
    """
    return b'{"serverTime":%d}' % (now_us if unit == "MICROSECOND" else now_us // 1000)


def symbol_of(sent: Mapping[str, str]) -> str | ApiError | None:
    """The parameter ``symbol``; ``None`` where it was not sent."""
    symbol = sent.get("symbol")
    if symbol is None:
        return None
    if not symbol:
        return empty("symbol")
    return symbol if valid_symbol(symbol) else SYMBOL_ILLEGAL


def status_of(sent: Mapping[str, str]) -> SymbolStatus | ApiError | None:
    """The parameter ``symbolStatus``; ``None`` where it was not sent."""
    text = sent.get("symbolStatus")
    if text is None:
        return None
    if not text:
        return empty("symbolStatus")
    return _STATUSES.get(text, UNKNOWN_STATUS)


def empty(name: str) -> ApiError:
    """-1105: the parameter was sent without a value."""
    return ApiError(400, -1105, f"Parameter '{name}' was empty.")


def not_valid(name: str) -> ApiError:
    """-1130: the parameter's value is none of those it may have."""
    return ApiError(400, -1130, f"Data sent for parameter '{name}' is not valid.")


def unread(sent: Mapping[str, str], known: Sequence[str]) -> ApiError | None:
    """-1104 where a parameter was sent that the endpoint does not know."""
    read = sum(name in sent for name in known)
    if read == len(sent):
        return None
    return ApiError(
        400,
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(sent)}'.",
    )


def parameters(query: bytes, known: Sequence[str]) -> dict[str, str] | ApiError:
    """The decoded parameters, or -1101 for a duplicate or for more of them than the endpoint knows.

    >>> parameters(b"symbol=ETH%55SDT&&limit=", ("symbol", "limit"))
    {'symbol': 'ETHUSDT', 'limit': ''}
    >>> parameters(b"limit=5&lim%69t=5", ("symbol", "limit")).msg
    "Duplicate values for parameter 'limit'."
    """
    sent = sent_once(query)
    if isinstance(sent, dict) and len(sent) > len(known):
        return ApiError(
            400, -1101, f"Too many parameters; expected '{len(known)}' and received '{len(sent)}'."
        )
    return sent


def sent_once(query: bytes) -> dict[str, str] | ApiError:
    """The decoded parameters, whichever they are, or -1101 for a duplicate.

    >>> sent_once(b"a=1&b=%32"), sent_once(b"a=1&a=1").code
    ({'a': '1', 'b': '2'}, -1101)
    """
    sent: dict[str, str] = {}
    for part in query.split(b"&"):
        raw_name, _, raw_value = part.partition(b"=")
        if not raw_name:
            continue  # "&&", a trailing "&" and "=5" hold no parameter
        name = decode(raw_name)
        if name in sent:
            return ApiError(400, -1101, f"Duplicate values for parameter '{name}'.")
        sent[name] = decode(raw_value)
    return sent


def too_much(limit: int, left_s: int) -> ApiError:
    """-1003, for who went over ``limit`` in this minute, of which so many seconds are left.

    >>> too_much(6000, 12).msg[:71]
    'Too much request weight used; current limit is 6000 request weight per '
    """
    return ApiError(
        429,
        -1003,
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
    )
