"""BitMEX's REST scheme, from the side of who answers it: requests for books, and its refusals. Pure.

``GET /api/v1/orderBook/L2?symbol=…&depth=…``, depth 25 where none is asked for. Errors are
``{"error":{"message":…,"name":…}}``. Parameters that are not known are passed over.

The exchange answers an empty array for a symbol that it does not know. Here that is 404: a symbol that exists
and is not published would look like one that nobody trades.
"""

import json
import re
from typing import Final

from depthcast.venues.bitmex_files import BITMEX, DEFAULT_DEPTH, MAX_DEPTH
from depthcast.venues.requests import ApiError, DepthRequest, decode

_DEPTH: Final = re.compile(r"[0-9]{1,10}")


class BitmexError(ApiError):
    """A refusal in BitMEX's words: its ``code`` is the status."""

    __slots__ = ()

    def body(self) -> bytes:
        """The JSON body.

        >>> NOT_FOUND.body()
        b'{"error":{"message":"Not Found","name":"HTTPError"}}'
        """
        name = "RateLimitError" if self.status == 429 else "HTTPError"
        error = {"error": {"message": self.msg, "name": name}}
        return json.dumps(error, separators=(",", ":"), ensure_ascii=False).encode()


NOT_FOUND: Final = BitmexError(404, 404, "Not Found")
NO_SYMBOL: Final = BitmexError(400, 400, "'symbol' is a required arg.")
BAD_DEPTH: Final = BitmexError(400, 400, "'depth' must be a non-negative integer.")
UNAVAILABLE: Final = BitmexError(503, 503, "The system is currently overloaded. Please try again later.")
"""The book exists but cannot be had right now; the words are those of the exchange's 503."""


def parse_depth(query: bytes) -> DepthRequest | ApiError:
    """The request of a raw query, or its refusal.

    >>> parse_depth(b"symbol=XBTUSD&depth=0")
    DepthRequest(symbol='XBTUSD', limit=0, symbol_status=None)
    >>> parse_depth(b"symbol=XBTUSD").limit, parse_depth(b"depth=5").msg
    (25, "'symbol' is a required arg.")
    """
    symbol, depth = "", DEFAULT_DEPTH
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        told = decode(name)
        if told == "symbol":
            symbol = decode(value)
        elif told == "depth":
            text = decode(value)
            if _DEPTH.fullmatch(text) is None or not text.isascii() or int(text) > MAX_DEPTH:
                return BAD_DEPTH
            depth = int(text)
    if not symbol:
        return NO_SYMBOL
    return DepthRequest(symbol, depth, None) if BITMEX.valid_symbol(symbol) else NOT_FOUND


def too_much(limit: int, left_s: int) -> ApiError:
    """For who asked more than ``limit`` times in this minute, of which so many seconds are left.

    >>> too_much(30, 12).body()
    b'{"error":{"message":"Rate limit exceeded, retry in 12 seconds.","name":"RateLimitError"}}'
    """
    return BitmexError(429, 429, f"Rate limit exceeded, retry in {left_s} seconds.")


def about_body(now_us: int, unit: str) -> bytes:
    """``GET /api/v1``, at a time in microseconds since 1970; there is one unit.

    >>> about_body(1_700_000_000_123_000, "MILLISECOND")
    b'{"name":"BitMEX API","version":"2.0.0","timestamp":1700000000123}'
    """
    return b'{"name":"BitMEX API","version":"2.0.0","timestamp":%d}' % (now_us // 1000)
