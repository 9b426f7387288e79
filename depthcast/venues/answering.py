"""How each venue's REST calls are answered in its place: where, what requests mean, refusals, weights.

The answering side of :mod:`depthcast.venues.registry`. Pure.

A path may have one part in braces, such as ``/products/{symbol}/book``: any text but ``/``. What such a
call's parser is given is that text, a question mark and the query; of other calls, the raw query alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from depthcast.scheme import Scheme
from depthcast.symbol_list import Parts
from depthcast.venues import (
    binance_futures_rest,
    binance_lists,
    binance_rest,
    bitmex_lists,
    bitmex_rest,
    coinbase_lists,
    coinbase_rest,
)
from depthcast.venues.binance_files import BINANCE, BINANCE_COINM, BINANCE_US, BINANCE_USDM
from depthcast.venues.binance_lists import TickerRequest
from depthcast.venues.binance_streams import FUTURES_STREAMS, SPOT_STREAMS, Streams
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.coinbase_files import COINBASE
from depthcast.venues.requests import ApiError, DepthRequest, refuse_nothing

Weight = Callable[[bytes], int]
"""What the venue charges for a request with this query."""


class BookCall(NamedTuple):
    """A call for a book: what it wants is one of the scheme's limits. ``at_times``: where there is a tape, it
    may be asked for a past moment, too, ``at=…``."""

    path: str
    parse: Callable[[bytes], DepthRequest | ApiError]
    weight: Weight
    at_times: bool = False


class TickerCall(NamedTuple):
    """A call for the best prices of one symbol, of some or of all."""

    path: str
    parse: Callable[[bytes], TickerRequest | ApiError]
    weight: Weight


class ListCall(NamedTuple):
    """A call for the list of symbols, or for part of it. ``select`` makes the answer to what ``parse`` read;
    of a list that tells the time, what stands behind that."""

    path: str
    parse: Callable[[bytes], Any]
    weight: Weight
    select: Callable[[Parts, Any], bytes | ApiError] = binance_lists.select


class PlainCall(NamedTuple):
    """A call about the venue itself. ``refuse``: a query it does not take. ``body`` is the answer at a time
    in microseconds since 1970, in the unit asked for; ``None``: ``{}``, always."""

    path: str
    refuse: Callable[[bytes], ApiError | None]
    weight: Weight
    body: Callable[[int, Literal["MILLISECOND", "MICROSECOND"]], bytes] | None = None


class Refusals(NamedTuple):
    """A venue's words for what only the one who answers knows."""

    unknown_symbol: ApiError
    status_mismatch: ApiError
    unavailable: ApiError
    """The book exists but cannot be had right now."""
    no_such_file: ApiError
    """No file that is published shows so much."""


class Meter(NamedTuple):
    """How a venue speaks of what a client used. ``told``: the headers that tell the weight of this minute;
    ``too_much``: the refusal of who went over a limit, given that and the seconds left."""

    told: Sequence[bytes]
    too_much: Callable[[int, int], ApiError]


def _as_it_is(refusal: ApiError) -> ApiError:
    return refusal


class Answering(NamedTuple):
    """One venue's calls for market data. ``units``: the header ``X-MBX-TIME-UNIT`` is looked at. ``worded``
    puts a refusal of a parameter that is ours, such as ``at``, into the venue's form. ``streams`` are those
    of its own websocket that files are enough for. ``content_type`` is what its answers are called, refusals
    too."""

    refusals: Refusals
    meter: Meter
    books: Sequence[BookCall]
    plain: Sequence[PlainCall] = ()
    ticker: TickerCall | None = None
    lists: Sequence[ListCall] = ()
    units: bool = False
    worded: Callable[[ApiError], ApiError] = _as_it_is
    streams: Streams | None = None
    content_type: str = binance_rest.ERROR_CONTENT_TYPE


BINANCE_REFUSALS: Final = Refusals(
    binance_rest.UNKNOWN_SYMBOL,
    binance_rest.STATUS_MISMATCH,
    binance_rest.UNAVAILABLE,
    binance_rest.LIMIT_NOT_VALID,
)

BINANCE_METER: Final = Meter((b"x-mbx-used-weight", b"x-mbx-used-weight-1m"), binance_rest.too_much)


BITMEX_CONTENT_TYPE: Final = "application/json; charset=utf-8"
"""As an answer of August 2018 had it (github.com/ccxt/ccxt/issues/3616)."""


def _always(weight: int) -> Weight:
    return lambda _: weight


def _spot(scheme: Scheme) -> Answering:
    root, refuse, ping = f"/{scheme.root}", binance_rest.refuse_parameters, _always(binance_lists.PING_WEIGHT)
    return Answering(
        BINANCE_REFUSALS,
        BINANCE_METER,
        [BookCall(f"{root}depth", binance_rest.parse_depth, binance_lists.depth_weight, at_times=True)],
        [
            PlainCall(f"{root}ping", refuse, ping),
            PlainCall(f"{root}time", refuse, ping, binance_rest.time_body),
        ],
        TickerCall(
            f"{root}ticker/bookTicker", binance_lists.parse_book_ticker, binance_lists.book_ticker_weight
        ),
        [
            ListCall(
                f"{root}exchangeInfo",
                binance_lists.parse_exchange_info,
                _always(binance_lists.EXCHANGE_INFO_WEIGHT),
            )
        ],
        units=True,
        streams=SPOT_STREAMS,
    )


def _coin_futures(scheme: Scheme) -> Answering:
    """As those of USD-M, but that the best prices are asked for by pair, too."""
    usd = _futures(scheme)
    assert usd.ticker is not None
    return usd._replace(ticker=usd.ticker._replace(parse=binance_futures_rest.parse_coin_book_ticker))


def _futures(scheme: Scheme) -> Answering:
    rest = binance_futures_rest
    root, refuse, ping = f"/{scheme.root}", rest.refuse_parameters, _always(rest.PING_WEIGHT)
    return Answering(
        BINANCE_REFUSALS,
        BINANCE_METER,
        [BookCall(f"{root}depth", rest.parse_depth, rest.depth_weight, at_times=True)],
        [
            PlainCall(f"{root}ping", refuse, ping),
            PlainCall(f"{root}time", refuse, ping, binance_rest.time_body),
        ],
        TickerCall(f"{root}ticker/bookTicker", rest.parse_book_ticker, rest.book_ticker_weight),
        [ListCall(f"{root}exchangeInfo", rest.parse_exchange_info, _always(rest.EXCHANGE_INFO_WEIGHT))],
        units=True,
        streams=FUTURES_STREAMS,
    )


_COINBASE: Final = Answering(
    Refusals(
        coinbase_rest.NOT_FOUND, coinbase_rest.NOT_FOUND, coinbase_rest.UNAVAILABLE, coinbase_rest.UNAVAILABLE
    ),
    Meter((), coinbase_rest.too_much),
    [BookCall("/products/{symbol}/book", coinbase_rest.parse_book, _always(1), at_times=True)],
    [PlainCall("/time", refuse_nothing, _always(1), coinbase_rest.time_body)],
    lists=[
        ListCall("/products", coinbase_lists.parse_products, _always(1), coinbase_lists.select),
        ListCall("/products/{symbol}", coinbase_lists.parse_product, _always(1), coinbase_lists.select),
    ],
    worded=coinbase_lists.worded,
)

_BITMEX: Final = Answering(
    Refusals(bitmex_rest.NOT_FOUND, bitmex_rest.NOT_FOUND, bitmex_rest.UNAVAILABLE, bitmex_rest.UNAVAILABLE),
    Meter((), bitmex_rest.too_much),
    [BookCall(f"/{BITMEX.root}L2", bitmex_rest.parse_depth, _always(1), at_times=True)],
    [PlainCall("/api/v1", refuse_nothing, _always(1), bitmex_rest.about_body)],
    lists=[
        ListCall("/api/v1/instrument/active", bitmex_lists.parse_active, _always(1), bitmex_lists.select),
        ListCall("/api/v1/instrument", bitmex_lists.parse_instrument, _always(1), bitmex_lists.select),
    ],
    worded=bitmex_lists.worded,
    content_type=BITMEX_CONTENT_TYPE,
)


def default_limit(venue: str) -> int:
    """What a venue's call for a book means where no limit is told.

    >>> [default_limit(venue) for venue in ("binance", "binanceusdm", "coinbaseexchange")]
    [100, 500, 1]
    """
    call = ANSWERING[venue].books[0]
    request = call.parse(b"X?" if "{" in call.path else b"symbol=X")
    assert isinstance(request, DepthRequest)
    return request.limit


ANSWERING: Final[Mapping[str, Answering]] = {
    BINANCE.venue: _spot(BINANCE),
    BINANCE_US.venue: _spot(BINANCE_US),
    BINANCE_USDM.venue: _futures(BINANCE_USDM),
    BINANCE_COINM.venue: _coin_futures(BINANCE_COINM),
    COINBASE.venue: _COINBASE,
    BITMEX.venue: _BITMEX,
}
"""By the venue's name."""
