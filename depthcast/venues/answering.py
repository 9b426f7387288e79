"""How each venue's REST calls are answered in its place: what requests mean, their refusals, their weights.

The answering side of :mod:`depthcast.venues.registry`. Paths are the venue's own below
:attr:`depthcast.files.Scheme.root`. Pure.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from depthcast.files import BINANCE, BINANCE_US, BINANCE_USDM
from depthcast.venues import binance_futures_rest, binance_lists, binance_rest
from depthcast.venues.binance_lists import ExchangeInfoRequest, TickerRequest
from depthcast.venues.binance_rest import ApiError, DepthRequest


class Answering(NamedTuple):
    """One venue's words for market data: each parser takes a raw query string."""

    parse_depth: Callable[[bytes], DepthRequest | ApiError]
    parse_book_ticker: Callable[[bytes], TickerRequest | ApiError]
    parse_exchange_info: Callable[[bytes], ExchangeInfoRequest | ApiError]
    refuse_parameters: Callable[[bytes], ApiError | None]
    depth_weight: Callable[[bytes], int]
    book_ticker_weight: Callable[[bytes], int]
    exchange_info_weight: int
    ping_weight: int


_SPOT: Final = Answering(
    binance_rest.parse_depth,
    binance_lists.parse_book_ticker,
    binance_lists.parse_exchange_info,
    binance_rest.refuse_parameters,
    binance_lists.depth_weight,
    binance_lists.book_ticker_weight,
    binance_lists.EXCHANGE_INFO_WEIGHT,
    binance_lists.PING_WEIGHT,
)

ANSWERING: Final[Mapping[str, Answering]] = {
    BINANCE.venue: _SPOT,
    BINANCE_US.venue: _SPOT,
    BINANCE_USDM.venue: Answering(
        binance_futures_rest.parse_depth,
        binance_futures_rest.parse_book_ticker,
        binance_futures_rest.parse_exchange_info,
        binance_futures_rest.refuse_parameters,
        binance_futures_rest.depth_weight,
        binance_futures_rest.book_ticker_weight,
        binance_futures_rest.EXCHANGE_INFO_WEIGHT,
        binance_futures_rest.PING_WEIGHT,
    ),
}
"""By the venue's name."""
