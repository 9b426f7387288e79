"""What a stream of any venue's book is asked for by: ``symbol=…&limit=…``, a limit of the venue's. Pure.

The first venue's streams are asked for as its books are (:func:`depthcast.venues.binance_rest.parse_depth`);
those of others all alike, whatever their own calls for books look like, in the same words where they are
refused.
"""

import re
from collections.abc import Callable
from typing import Final

from depthcast.scheme import Scheme
from depthcast.venues.binance_rest import LIMIT_NOT_VALID, SYMBOL_ILLEGAL, SYMBOL_MISSING, parameters
from depthcast.venues.requests import ApiError, DepthRequest

_LIMIT: Final = re.compile(r"[0-9]{1,9}")


def parse_stream(scheme: Scheme) -> Callable[[bytes], DepthRequest | ApiError]:
    """The parser of a venue's streams. Without a limit, what shows most is asked for.

    >>> from depthcast.venues.coinbase_files import COINBASE
    >>> parse_stream(COINBASE)(b"symbol=BTC-USD&limit=2")
    DepthRequest(symbol='BTC-USD', limit=2, symbol_status=None)
    """

    def parse(query: bytes) -> DepthRequest | ApiError:
        sent = parameters(query, ("symbol", "limit"))
        if isinstance(sent, ApiError):
            return sent
        symbol, limit = sent.get("symbol", ""), sent.get("limit")
        if not symbol:
            return SYMBOL_MISSING
        if not scheme.valid_symbol(symbol):
            return SYMBOL_ILLEGAL
        if limit is None:
            return DepthRequest(symbol, scheme.max_limit, None)
        if _LIMIT.fullmatch(limit) is None or scheme.refusal(int(limit)) is not None:
            return LIMIT_NOT_VALID
        return DepthRequest(symbol, int(limit), None)

    return parse
