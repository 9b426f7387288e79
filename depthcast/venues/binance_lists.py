"""Binance's spot REST scheme for requests about several symbols: ``ticker/bookTicker`` and ``exchangeInfo``.

As :mod:`depthcast.venues.binance_rest`: raw query strings to requests or Binance's own refusals, and what a
request weighs. Pure: bytes in, values out.

Both endpoints make their checks in one order, the first that fails answers: duplicates and too many
parameters (-1101); each value by itself, in the order of Binance's tables (-1105, -1100, -1122, -1130);
parameters that exclude each other (-1128); unread parameters (-1104); a symbol listed twice (-1151).
Existence (-1121) and status (-1220) are the caller's.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from depthcast.scheme import valid_symbol
from depthcast.symbol_list import Parts, without_permission_sets
from depthcast.venues.binance import Binance
from depthcast.venues.binance_rest import (
    UNKNOWN_SYMBOL,
    empty,
    not_valid,
    parameters,
    parse_depth,
    status_of,
    symbol_of,
    unread,
)
from depthcast.venues.requests import ApiError, SymbolStatus

SYMBOLS_ILLEGAL: Final = ApiError(
    400,
    -1100,
    r"""Illegal characters found in parameter 'symbols'; legal range is """
    r"""'^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'.""",
)
"""As seen in 2026. The pattern allows no blank after a comma, and an empty list."""

BAD_COMBINATION: Final = ApiError(400, -1128, "Combination of optional parameters invalid.")
SYMBOL_AND_SYMBOLS: Final = ApiError(
    400,
    -1128,
    "Combination of optional parameters invalid. Recommendation: 'symbol' and 'symbols' cannot both be sent.",
)
SYMBOL_REPEATED: Final = ApiError(400, -1151, "Symbol is present multiple times in the list.")

DEFAULT_PERMISSIONS: Final = frozenset(("SPOT", "MARGIN", "LEVERAGED"))
"""*"If permissions parameter not provided, all symbols that have either SPOT, MARGIN, or LEVERAGED permission
will be exposed."*"""

PING_WEIGHT: Final = 1
SYMBOL_TICKER_WEIGHT: Final = 2
TICKERS_WEIGHT: Final = 4
EXCHANGE_INFO_WEIGHT: Final = 20

_TICKER: Final = ("symbol", "symbols", "symbolStatus")
_EXCHANGE_INFO: Final = ("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")

_NAME: Final = r"[A-Z0-9_]{1,50}"
_PERMISSIONS: Final = re.compile(rf'{_NAME}|\["{_NAME}"(?:,"{_NAME}")*\]')
_BOOLEANS: Final = {"true": True, "false": False}
_DEPTH_WEIGHT: Final = Binance().depth_weight
_DEFAULT_DEPTH_WEIGHT: Final = _DEPTH_WEIGHT(100)


class TickerRequest(NamedTuple):
    """A request for the best prices of one ``symbol``, of some ``symbols``, or of all (both ``None``); of one
    ``pair`` alone, where that is given. The answer to one ``symbol`` is an object, others are arrays."""

    symbol: str | None
    symbols: tuple[str, ...] | None
    symbol_status: SymbolStatus | None
    pair: str | None = None


class ExchangeInfoRequest(NamedTuple):
    """A request for the list of symbols, or for part of it.

    ``symbols`` is ``None`` where no symbol was named; ``permissions`` then says whose symbols are meant.
    """

    symbols: tuple[str, ...] | None
    permissions: frozenset[str]
    show_permission_sets: bool
    symbol_status: SymbolStatus | None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == EVERYTHING


EVERYTHING: Final = ExchangeInfoRequest(None, DEFAULT_PERMISSIONS, True, None)
"""The request that leaves nothing out."""


def parse_book_ticker(query: bytes) -> TickerRequest | ApiError:
    """The request that the raw query string of ``GET /api/v3/ticker/bookTicker`` makes, or the refusal.

    >>> parse_book_ticker(b"symbols=[%22BTCUSDT%22,%22BNBUSDT%22]").symbols
    ('BTCUSDT', 'BNBUSDT')
    >>> parse_book_ticker(b"symbol=BTCUSDT&symbols=[]").code
    -1128
    """
    asked = _asked(query, _TICKER)
    if isinstance(asked, ApiError):
        return asked
    sent, symbol, symbols = asked
    status = status_of(sent)
    if isinstance(status, ApiError):
        return status
    if symbol is not None and symbols is not None:
        return SYMBOL_AND_SYMBOLS
    return unread(sent, _TICKER) or _repeated(symbols) or TickerRequest(symbol, symbols, status)


def parse_exchange_info(query: bytes) -> ExchangeInfoRequest | ApiError:
    """The request that the raw query string of ``GET /api/v3/exchangeInfo`` makes, or the refusal.

    >>> parse_exchange_info(b"").everything
    True
    >>> parse_exchange_info(b"permissions=MARGIN").permissions
    frozenset({'MARGIN'})
    """
    asked = _asked(query, _EXCHANGE_INFO)
    if isinstance(asked, ApiError):
        return asked
    sent, symbol, symbols = asked
    permissions = _permissions_of(sent)
    if isinstance(permissions, ApiError):
        return permissions
    show = _boolean_of(sent, "showPermissionSets", default=True)
    if isinstance(show, ApiError):
        return show
    status = status_of(sent)
    if isinstance(status, ApiError):
        return status
    if symbol is not None and symbols is not None:
        return SYMBOL_AND_SYMBOLS
    named = (symbol,) if symbol is not None else symbols
    if named is not None and (permissions is not None or status is not None):
        return BAD_COMBINATION
    return (
        unread(sent, _EXCHANGE_INFO)
        or _repeated(named)
        or ExchangeInfoRequest(named, permissions or DEFAULT_PERMISSIONS, show, status)
    )


def select(parts: Parts, request: ExchangeInfoRequest) -> bytes | ApiError:
    """What of a list answers a request, behind the digits of ``serverTime``; the refusal where a symbol is
    not listed."""
    if request.everything:
        return parts.whole
    if request.symbols is None:
        # The file is what the exchange lists where no permissions are asked for.
        some = request.permissions != DEFAULT_PERMISSIONS
        chosen = [
            entry
            for entry in parts.entries.values()
            if request.symbol_status in (None, entry.status)
            and not (some and request.permissions.isdisjoint(entry.permissions))
        ]
    else:
        if not parts.entries.keys() >= set(request.symbols):
            return UNKNOWN_SYMBOL
        chosen = [parts.entries[symbol] for symbol in request.symbols]
    if request.show_permission_sets:
        return parts.only(chosen)
    return parts.only(entry._replace(body=without_permission_sets(entry.body)) for entry in chosen)


def depth_weight(query: bytes) -> int:
    """What Binance charges for a depth request. One that is refused is charged too; as for the default limit.

    >>> depth_weight(b"symbol=ETHUSDT&limit=5000"), depth_weight(b"limit=x")
    (250, 5)
    """
    request = parse_depth(query)
    return _DEFAULT_DEPTH_WEIGHT if isinstance(request, ApiError) else _DEPTH_WEIGHT(request.limit)


def book_ticker_weight(query: bytes) -> int:
    """What Binance charges: 2 for a ``symbol``, 4 for ``symbols`` or all.

    >>> book_ticker_weight(b"symbol=ETHUSDT"), book_ticker_weight(b"")
    (2, 4)
    """
    request = parse_book_ticker(query)
    one = isinstance(request, TickerRequest) and request.symbol is not None
    return SYMBOL_TICKER_WEIGHT if one else TICKERS_WEIGHT


class _Asked(NamedTuple):
    """The parameters of a request, and the two that both endpoints read first."""

    sent: Mapping[str, str]
    symbol: str | None
    symbols: tuple[str, ...] | None


def _asked(query: bytes, known: tuple[str, ...]) -> _Asked | ApiError:
    sent = parameters(query, known)
    if isinstance(sent, ApiError):
        return sent
    symbol = symbol_of(sent)
    if isinstance(symbol, ApiError):
        return symbol
    symbols = _symbols_of(sent)
    return symbols if isinstance(symbols, ApiError) else _Asked(sent, symbol, symbols)


def _symbols_of(sent: Mapping[str, str]) -> tuple[str, ...] | ApiError | None:
    """``["BTCUSDT","BNBUSDT"]``, without blanks."""
    text = sent.get("symbols")
    if text is None:
        return None
    if not text:
        return empty("symbols")
    if text == "[]":
        return ()
    if not (text.startswith('["') and text.endswith('"]')) or len(text) < 4:
        return SYMBOLS_ILLEGAL
    # No symbol holds a quotation mark, so cutting at them needs no parser.
    symbols = tuple(text[2:-2].split('","'))
    return symbols if all(map(valid_symbol, symbols)) else SYMBOLS_ILLEGAL


def _repeated(symbols: tuple[str, ...] | None) -> ApiError | None:
    return SYMBOL_REPEATED if symbols is not None and len(set(symbols)) < len(symbols) else None


def _permissions_of(sent: Mapping[str, str]) -> frozenset[str] | ApiError | None:
    """``SPOT`` or ``["MARGIN","LEVERAGED"]``."""
    text = sent.get("permissions")
    if text is None:
        return None
    if not text:
        return empty("permissions")
    if _PERMISSIONS.fullmatch(text) is None:
        return not_valid("permissions")
    return frozenset(text.strip('["]').split('","'))


def _boolean_of(sent: Mapping[str, str], name: str, *, default: bool) -> bool | ApiError:
    text = sent.get(name)
    if text is None:
        return default
    if not text:
        return empty(name)
    found = _BOOLEANS.get(text.lower())
    return not_valid(name) if found is None else found
