"""The calls of Binance's futures in ``/openapi.json``."""

from typing import Final

from depthcast.files import Scheme
from depthcast.venues.binance_futures_rest import (
    DEFAULT_LIMIT,
    SYMBOL_AND_PAIR,
    depth_limit_not_valid,
)
from depthcast.venues.binance_rest import (
    BAD_TIME_UNIT,
    LIMIT_ILLEGAL,
    SYMBOL_ILLEGAL,
    SYMBOL_MISSING,
    UNKNOWN_SYMBOL,
    empty,
)
from depthcast.venues.requests import ApiError
from server import openapi_travel
from server.openapi_components import (
    BOOK,
    FRESH,
    MARKET,
    NOT_MODIFIED,
    VERSION,
    Json,
    named,
    operation,
    whole_answer,
)

_ANYWHERE: Final = (BAD_TIME_UNIT, ApiError(400, -1101, "Duplicate values for parameter 'symbol'."))
_OF_SYMBOL: Final = (empty("symbol"), SYMBOL_ILLEGAL, UNKNOWN_SYMBOL)
_NO_PARAMETERS: Final = "Request weight: 1. Parameters are passed over."


def calls(scheme: Scheme) -> dict[str, Json]:
    """The operations by their paths."""
    root = f"/{scheme.root}"
    return {
        f"{root}depth": _depth(scheme),
        f"{root}ticker/bookTicker": _book_ticker(),
        **_others(root, "ExchangeInfo"),
    }


def coin_calls(scheme: Scheme) -> dict[str, Json]:
    """Those of COIN-M, whose books and best prices name the contract and its pair."""
    root = f"/{scheme.root}"
    return {
        f"{root}depth": _coin_depth(scheme),
        f"{root}ticker/bookTicker": _coin_book_ticker(),
        **_others(root, "ContractInfo"),
    }


def _others(root: str, listed: str) -> dict[str, Json]:
    return {
        f"{root}exchangeInfo": operation(
            "exchangeInfo",
            "The contracts that the exchange lists, and its rules.",
            f"{_NO_PARAMETERS} The exchange's own list as last published; `serverTime` is this server's.",
            [named("timeUnit")],
            whole_answer(
                "The list.",
                listed,
                {"timezone": "UTC", "serverTime": 1723161253000, "rateLimits": [], "symbols": []},
                MARKET,
            ),
            _ANYWHERE,
        ),
        f"{root}ping": operation(
            "ping",
            "Whether somebody answers.",
            _NO_PARAMETERS,
            [named("timeUnit")],
            whole_answer("Yes.", "Nothing", {}, MARKET),
            _ANYWHERE,
        ),
        f"{root}time": operation(
            "time",
            "This server's clock.",
            _NO_PARAMETERS,
            [named("timeUnit")],
            whole_answer("The time since 1970.", "Time", {"serverTime": 1723161253000}, MARKET),
            _ANYWHERE,
        ),
    }


_BOOK: Final = {
    "lastUpdateId": 99700000000,
    "E": 1723161253009,
    "T": 1723161253001,
    "bids": [["61837.60", "3.788"]],
    "asks": [["61837.70", "0.300"]],
}
_WEIGHTS: Final = (
    "Request weight: 2 up to 50 levels, 5 for 100, 10 for 500, 20 for 1000. Letters of the symbol may be "
    "small; parameters that are not known are passed over."
)
_OF_BOOKS: Final = (
    *_ANYWHERE,
    SYMBOL_MISSING,
    *_OF_SYMBOL,
    empty("limit"),
    LIMIT_ILLEGAL,
    depth_limit_not_valid("7"),
)


def _depth(scheme: Scheme) -> Json:
    return operation(
        "depth",
        "The order book of a contract.",
        _WEIGHTS + openapi_travel.IN_WORDS,
        [*_of_book(scheme), openapi_travel.AT],
        whole_answer(
            "A book: best levels first, prices and quantities as the exchange writes them; `E` and `T` are "
            "its last change's.",
            "FuturesBook",
            _BOOK,
            BOOK,
        ),
        (*_OF_BOOKS, *openapi_travel.OF_MOMENTS),
        {**NOT_MODIFIED, **openapi_travel.RESPONSES},
    )


def _coin_depth(scheme: Scheme) -> Json:
    book = {"lastUpdateId": 7, "symbol": "BTCUSD_PERP", "pair": "BTCUSD", **_BOOK}
    return operation(
        "depth",
        "The order book of a contract.",
        _WEIGHTS + openapi_travel.IN_WORDS,
        [*_of_book(scheme), openapi_travel.AT],
        whole_answer("A book, with the names of the contract and its pair.", "CoinFuturesBook", book, BOOK),
        (*_OF_BOOKS, *openapi_travel.OF_MOMENTS),
        {**NOT_MODIFIED, **openapi_travel.RESPONSES},
    )


def _of_book(scheme: Scheme) -> list[Json]:
    limit = {
        "name": "limit",
        "in": "query",
        "description": "Levels a side; there are no others.",
        "schema": {"enum": list(scheme.limits), "default": DEFAULT_LIMIT},
        "example": 5,
    }
    return [
        named("symbol", needed=True),
        limit,
        named("timeUnit"),
        named("ifNoneMatch"),
        named("ifModifiedSince"),
    ]


_PRICES: Final = {
    "bidPrice": "61837.60",
    "bidQty": "3.788",
    "askPrice": "61837.70",
    "askQty": "0.300",
    "time": 1723161253001,
    "lastUpdateId": 99700000000,
}


def _book_ticker() -> Json:
    return operation(
        "bookTicker",
        "The best bid and ask of one contract, or of all.",
        "Request weight: 2 for `symbol`, 5 otherwise.",
        [named("symbol"), named("timeUnit")],
        whole_answer(
            "The best prices: an object for `symbol`, else an array. A side without orders is zeros.",
            "FuturesTickers",
            {"symbol": "BTCUSDT", **_PRICES},
            [*MARKET, *FRESH, *VERSION],
        ),
        (*_ANYWHERE, *_OF_SYMBOL),
    )


def _coin_book_ticker() -> Json:
    pair = {
        "name": "pair",
        "in": "query",
        "description": "The contracts of one pair.",
        "schema": {"type": "string"},
        "example": "BTCUSD",
    }
    return operation(
        "bookTicker",
        "The best bid and ask of one contract, of those of a pair, or of all.",
        "Request weight: 2 for `symbol`, 5 otherwise. `symbol` and `pair` are not sent together.",
        [named("symbol"), pair, named("timeUnit")],
        whole_answer(
            "The best prices, an array always. A side without orders is zeros.",
            "CoinFuturesTickers",
            [{"symbol": "BTCUSD_PERP", "pair": "BTCUSD", **_PRICES}],
            [*MARKET, *FRESH, *VERSION],
        ),
        (*_ANYWHERE, *_OF_SYMBOL, SYMBOL_AND_PAIR),
    )
