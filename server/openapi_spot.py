"""Binance's spot calls in ``/openapi.json``, of the first venue and of those that run the same engine."""

from typing import Final

from depthcast.files import BINANCE, LIMITS, MAX_LIMIT, Scheme
from depthcast.venues.binance_lists import (
    BAD_COMBINATION,
    SYMBOL_AND_SYMBOLS,
    SYMBOL_REPEATED,
    SYMBOLS_ILLEGAL,
)
from depthcast.venues.binance_rest import (
    BAD_TIME_UNIT,
    DEFAULT_LIMIT,
    LIMIT_ILLEGAL,
    LIMIT_NOT_VALID,
    LIMIT_OVERFLOWED,
    STATUS_MISMATCH,
    SYMBOL_ILLEGAL,
    SYMBOL_MISSING,
    UNKNOWN_STATUS,
    UNKNOWN_SYMBOL,
    empty,
    not_valid,
)
from depthcast.venues.requests import ApiError
from server import openapi_past, openapi_streams, openapi_travel
from server.openapi_components import (
    BOOK,
    CHANGE,
    FRESH,
    MARKET,
    NOT_MODIFIED,
    VERSION,
    Json,
    named,
    operation,
    whole_answer,
)

_DUPLICATE: Final = ApiError(400, -1101, "Duplicate values for parameter 'symbol'.")
_TOO_MANY: Final = ApiError(400, -1101, "Too many parameters; expected '3' and received '4'.")
_UNREAD: Final = ApiError(
    400, -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."
)
ANYWHERE: Final = (BAD_TIME_UNIT, _DUPLICATE, _TOO_MANY)
_OF_SYMBOL: Final = (empty("symbol"), SYMBOL_ILLEGAL, UNKNOWN_SYMBOL, _UNREAD)
_OF_STATUS: Final = (empty("symbolStatus"), UNKNOWN_STATUS)
OF_BOOKS: Final = (
    *ANYWHERE,
    SYMBOL_MISSING,
    *_OF_SYMBOL,
    empty("limit"),
    LIMIT_ILLEGAL,
    LIMIT_OVERFLOWED,
    LIMIT_NOT_VALID,
    *_OF_STATUS,
    STATUS_MISMATCH,
)
_AT_LIST: Final = " With `at` the list as it was then, `serverTime` and all."
_OF_LISTS: Final = (empty("symbols"), SYMBOLS_ILLEGAL, SYMBOL_AND_SYMBOLS, SYMBOL_REPEATED)


def calls(scheme: Scheme) -> dict[str, Json]:
    """The operations by their paths. The first venue's list has a history, and is asked ``at`` a time."""
    root = f"/{scheme.root}"
    return {
        f"{root}depth": _depth(),
        f"{root}ticker/bookTicker": _book_ticker(),
        f"{root}exchangeInfo": _exchange_info(past=scheme is BINANCE),
        f"{root}ping": _ping(),
        f"{root}time": _time(),
    }


def _depth() -> Json:
    book = {
        "lastUpdateId": 99700000000,
        "bids": [["61837.63000000", "3.78826000"]],
        "asks": [["61837.64000000", "0.30000000"]],
    }
    return operation(
        "depth",
        "The order book of a symbol.",
        "Request weight: 5 up to 100 levels, 25 up to 500, 50 up to 1000, 250 above."
        + openapi_travel.IN_WORDS,
        [
            *_book_parameters(),
            openapi_travel.AT,
            named("ifNoneMatch"),
            named("ifModifiedSince"),
        ],
        whole_answer(
            "A book: best levels first, prices and quantities as the exchange writes them.",
            "Book",
            book,
            BOOK,
        ),
        (*OF_BOOKS, *openapi_travel.OF_MOMENTS),
        {**NOT_MODIFIED, **openapi_travel.RESPONSES},
    )


def _book_parameters() -> list[Json]:
    return [
        named("symbol", needed=True),
        {
            "name": "limit",
            "in": "query",
            "description": f"Levels a side; more than {MAX_LIMIT} means {MAX_LIMIT}. Published are, by "
            f"default, {', '.join(map(str, LIMITS))}; others are cut from the next larger.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1, "default": DEFAULT_LIMIT},
            "example": 5,
        },
        named("symbolStatus"),
        named("timeUnit"),
    ]


def stream() -> Json:
    return operation(
        "depthEvents",
        "An order book and its changes, as server-sent events.",
        "Refused as a book would be, in the same words, and with 503 where there are as many streams as may "
        "be. Request weight: that of the book, once.",
        [*_book_parameters(), *openapi_streams.resuming()],
        openapi_streams.events_answer(),
        OF_BOOKS,
        tag=openapi_streams.TAG["name"],
    )


def _book_ticker() -> Json:
    ticker = {
        "symbol": "BTCUSDT",
        "bidPrice": "61837.63000000",
        "bidQty": "3.78826000",
        "askPrice": "61837.64000000",
        "askQty": "0.30000000",
    }
    whole = whole_answer(
        "The best prices: an object for `symbol`, else an array. A side without orders is zeros.",
        "BookTickers",
        ticker,
        [*MARKET, *FRESH, *VERSION],
    )
    errors = (*ANYWHERE, *_OF_SYMBOL, *_OF_LISTS, *_OF_STATUS, STATUS_MISMATCH)
    parameters = [named("symbol"), named("symbols"), named("symbolStatus"), named("timeUnit")]
    return operation(
        "bookTicker",
        "The best bid and ask of one symbol, of some, or of all.",
        "Request weight: 2 for `symbol`, 4 otherwise. `symbolStatus` filters lists and is compared with one.",
        parameters,
        whole,
        errors,
    )


def _exchange_info(*, past: bool) -> Json:
    example = {
        "timezone": "UTC",
        "serverTime": 1723161253000,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [],
    }
    parameters = [
        named("symbol"),
        named("symbols"),
        {
            "name": "permissions",
            "in": "query",
            "description": "Symbols with one of these permissions: a name, or a JSON array of names without "
            "blanks. Not together with symbol or symbols.",
            "schema": {
                "type": "string",
                "pattern": r'^([A-Z0-9_]{1,50}|\["[A-Z0-9_]{1,50}"(,"[A-Z0-9_]{1,50}")*\])$',
            },
            "example": '["SPOT","MARGIN"]',
        },
        {
            "name": "showPermissionSets",
            "in": "query",
            "description": "Whether permissionSets are told.",
            "schema": {"type": "boolean", "default": True},
        },
        named("symbolStatus"),
        *([named("at")] if past else []),
        named("timeUnit"),
    ]
    errors = (
        *ANYWHERE,
        *(openapi_past.OF_TIME if past else ()),
        *_OF_SYMBOL,
        *_OF_LISTS,
        empty("permissions"),
        not_valid("permissions"),
        empty("showPermissionSets"),
        not_valid("showPermissionSets"),
        *_OF_STATUS,
        BAD_COMBINATION,
    )
    return operation(
        "exchangeInfo",
        "The symbols that the exchange lists, and its rules.",
        "Request weight: 20. The exchange's own list as last published; `serverTime` is this server's."
        + _AT_LIST * past,
        parameters,
        whole_answer("The list.", "ExchangeInfo", example, [*MARKET, *CHANGE]),
        errors,
    )


def _ping() -> Json:
    return operation(
        "ping",
        "Whether somebody answers.",
        "Request weight: 1.",
        [named("timeUnit")],
        whole_answer("Yes.", "Nothing", {}, MARKET),
        ANYWHERE,
    )


def _time() -> Json:
    return operation(
        "time",
        "This server's clock.",
        "Request weight: 1.",
        [named("timeUnit")],
        whole_answer(
            "The time since 1970, in the unit asked for.", "Time", {"serverTime": 1723161253000}, MARKET
        ),
        ANYWHERE,
    )
