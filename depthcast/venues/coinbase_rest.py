"""Coinbase Exchange's REST scheme, from the side of who answers it: requests for books, and its refusals.

``GET /products/<id>/book?level=…``, level 1 where none is asked for. Errors are ``{"message":…}``; those that
were seen are quoted, the others worded alike. Parameters that are not known are passed over. Pure.

The checks, the first that fails answers: the level (400), the spelling of the id (404). Whether a product
exists is the caller's to say.
"""

import json
import re
from datetime import UTC, datetime
from typing import Final

from depthcast.venues.coinbase_files import BEST, COINBASE, DETAILS
from depthcast.venues.requests import ApiError, DepthRequest, decode

_LEVEL: Final = re.compile(r"[0-9]{1,9}")


class CoinbaseError(ApiError):
    """A refusal in Coinbase's words: its ``code`` is the status."""

    __slots__ = ()

    def body(self) -> bytes:
        """The JSON body.

        >>> NOT_FOUND.body()
        b'{"message":"NotFound"}'
        """
        return json.dumps({"message": self.msg}, separators=(",", ":"), ensure_ascii=False).encode()


NOT_FOUND: Final = CoinbaseError(404, 404, "NotFound")
UNEXPECTED_LEVEL: Final = CoinbaseError(400, 400, "unexpected level: _")
"""As it was seen for ``level=4``, underscore and all."""
UNAVAILABLE: Final = CoinbaseError(503, 503, "Service Unavailable")
"""The book exists but cannot be had right now."""


def parse_book(text: bytes) -> DepthRequest | ApiError:
    """The request of an id, ``?`` and the raw query, or its refusal.

    >>> parse_book(b"BTC-USD?level=2")
    DepthRequest(symbol='BTC-USD', limit=2, symbol_status=None)
    >>> parse_book(b"BTC-USD?level=4").body(), parse_book(b"btc?").body()
    (b'{"message":"unexpected level: _"}', b'{"message":"NotFound"}')
    """
    place, _, query = text.partition(b"?")
    level = BEST
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if decode(name) != "level":
            continue
        told = decode(value)
        if _LEVEL.fullmatch(told) is None or int(told) not in DETAILS:
            return UNEXPECTED_LEVEL
        level = int(told)
    symbol = place.decode("utf-8", errors="replace")
    return DepthRequest(symbol, level, None) if COINBASE.valid_symbol(symbol) else NOT_FOUND


def too_much(limit: int, left_s: int) -> ApiError:
    """For who asked more than ``limit`` times in this minute, of which so many seconds are left.

    >>> too_much(600, 12).body()
    b'{"message":"Public rate limit exceeded"}'
    """
    return CoinbaseError(429, 429, "Public rate limit exceeded")


def time_body(now_us: int, unit: str) -> bytes:
    """``GET /time``, at a time in microseconds since 1970; there is one unit.

    >>> time_body(1_420_674_445_201_000, "MILLISECOND")
    b'{"iso":"2015-01-07T23:47:25.201Z","epoch":1420674445.201}'
    """
    seconds, milliseconds = divmod(now_us // 1000, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return b'{"iso":"%s.%03dZ","epoch":%d.%03d}' % (
        f"{moment:%Y-%m-%dT%H:%M:%S}".encode(),
        milliseconds,
        seconds,
        milliseconds,
    )
