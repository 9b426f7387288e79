"""Binance USD-M futures' REST scheme, from the side of who answers it: query strings to requests or refusals.

As :mod:`depthcast.venues.binance_rest`, whose errors are worded alike. What differs: a limit is one of seven,
symbols may be written in small letters, and parameters that an endpoint does not know are passed over (which
was not seen refused; ``docs/compatibility.md``). Pure: bytes in, values out.

The checks, the first that fails answers: duplicates (-1101); ``symbol`` (-1102, -1105, -1100); ``limit``
(-1105, -1100, -4021). Existence (-1121) is the caller's.
"""

from typing import Final

from depthcast.venues.binance_files import FUTURES_LIMITS
from depthcast.venues.binance_futures import BinanceFutures
from depthcast.venues.binance_lists import EVERYTHING, ExchangeInfoRequest, TickerRequest
from depthcast.venues.binance_rest import (
    LIMIT_ILLEGAL,
    LIMIT_SPELLING,
    SYMBOL_MISSING,
    empty,
    sent_once,
    symbol_of,
)
from depthcast.venues.requests import ApiError, DepthRequest

DEFAULT_LIMIT: Final = 500

PING_WEIGHT: Final = 1
EXCHANGE_INFO_WEIGHT: Final = 1
SYMBOL_TICKER_WEIGHT: Final = 2
TICKERS_WEIGHT: Final = 5

SYMBOL_AND_PAIR: Final = ApiError(400, -4084, "Method is not allowed currently. Coming soon.")
"""What COIN-M answers to a ticker of a symbol and a pair; which of its errors it is, no document says."""

_ASCII_UPPER: Final = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}
_DEPTH_WEIGHT: Final = BinanceFutures().depth_weight


def depth_limit_not_valid(text: str) -> ApiError:
    """-4021, in the exchange's words.

    >>> depth_limit_not_valid("7").body()
    b'{"code":-4021,"msg":"7 is not valid depth limit"}'
    """
    return ApiError(400, -4021, f"{text} is not valid depth limit")


def parse_depth(query: bytes) -> DepthRequest | ApiError:
    """The request that the raw query string of ``GET /fapi/v1/depth`` makes, or the exchange's refusal.

    >>> parse_depth(b"symbol=btcusdt")
    DepthRequest(symbol='BTCUSDT', limit=500, symbol_status=None)
    >>> parse_depth(b"symbol=BTCUSDT&limit=7").code
    -4021
    """
    sent = sent_once(query)
    if isinstance(sent, ApiError):
        return sent
    symbol = _symbol_of(sent)
    if symbol is None:
        return SYMBOL_MISSING
    if isinstance(symbol, ApiError):
        return symbol
    limit = _limit(sent.get("limit"))
    return limit if isinstance(limit, ApiError) else DepthRequest(symbol, limit, None)


def parse_book_ticker(query: bytes) -> TickerRequest | ApiError:
    """The request of ``GET /fapi/v1/ticker/bookTicker``: of one symbol, or of all where none is named.

    >>> parse_book_ticker(b"")
    TickerRequest(symbol=None, symbols=None, symbol_status=None, pair=None)
    """
    sent = sent_once(query)
    if isinstance(sent, ApiError):
        return sent
    symbol = _symbol_of(sent)
    return symbol if isinstance(symbol, ApiError) else TickerRequest(symbol, None, None)


def parse_coin_book_ticker(query: bytes) -> TickerRequest | ApiError:
    """The request of ``GET /dapi/v1/ticker/bookTicker``, whose answers are arrays always: *"If a pair is
    sent, tickers for all symbols of the pair will be returned"*, *"Symbol and pair cannot be sent together"*.

    >>> parse_coin_book_ticker(b"pair=btcusd")
    TickerRequest(symbol=None, symbols=None, symbol_status=None, pair='BTCUSD')
    >>> parse_coin_book_ticker(b"symbol=btcusd_perp")
    TickerRequest(symbol=None, symbols=('BTCUSD_PERP',), symbol_status=None, pair=None)
    """
    sent = sent_once(query)
    if isinstance(sent, ApiError):
        return sent
    if "symbol" in sent and "pair" in sent:
        return SYMBOL_AND_PAIR
    symbol = _symbol_of(sent)
    if isinstance(symbol, ApiError):
        return symbol
    pair = sent.get("pair")
    if pair is not None:
        pair = pair.translate(_ASCII_UPPER)
    return TickerRequest(None, None if symbol is None else (symbol,), None, pair)


def parse_exchange_info(query: bytes) -> ExchangeInfoRequest | ApiError:
    """The request of ``GET /fapi/v1/exchangeInfo``, which is for all there is.

    >>> parse_exchange_info(b"symbol=BTCUSDT").everything
    True
    """
    sent = sent_once(query)
    return sent if isinstance(sent, ApiError) else EVERYTHING


def refuse_parameters(query: bytes) -> ApiError | None:
    """The refusal of a query string sent to an endpoint without parameters (ping, time), if any.

    >>> refuse_parameters(b"a=1"), refuse_parameters(b"a=1&a=1").code
    (None, -1101)
    """
    sent = sent_once(query)
    return sent if isinstance(sent, ApiError) else None


def depth_weight(query: bytes) -> int:
    """What the exchange charges for a depth request; a refused one as for the default limit.

    >>> depth_weight(b"symbol=BTCUSDT&limit=1000"), depth_weight(b"limit=7")
    (20, 10)
    """
    request = parse_depth(query)
    return _DEPTH_WEIGHT(DEFAULT_LIMIT if isinstance(request, ApiError) else request.limit)


def book_ticker_weight(query: bytes) -> int:
    """*"2 for a single symbol; 5 when the symbol parameter is omitted"*

    >>> book_ticker_weight(b"symbol=BTCUSDT"), book_ticker_weight(b"")
    (2, 5)
    """
    request = parse_book_ticker(query)
    whole = isinstance(request, TickerRequest) and request.symbol is None
    return TICKERS_WEIGHT if whole else SYMBOL_TICKER_WEIGHT


def _symbol_of(sent: dict[str, str]) -> str | ApiError | None:
    symbol = sent.get("symbol")
    if symbol is not None:
        sent = {"symbol": symbol.translate(_ASCII_UPPER)}
    return symbol_of(sent)


def _limit(text: str | None) -> int | ApiError:
    if text is None:
        return DEFAULT_LIMIT
    if not text:
        return empty("limit")
    if LIMIT_SPELLING.fullmatch(text) is None:
        return LIMIT_ILLEGAL
    limit = int(text)
    return limit if limit in FUTURES_LIMITS else depth_limit_not_valid(text)
