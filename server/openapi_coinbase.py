"""The calls of Coinbase Exchange in ``/openapi.json``."""

from typing import Final

from depthcast.files import Scheme
from depthcast.venues.coinbase_lists import worded
from depthcast.venues.coinbase_rest import NOT_FOUND, UNAVAILABLE, UNEXPECTED_LEVEL
from server import openapi_past
from server.openapi_components import BOOK, CHANGE, MARKET, NOT_MODIFIED, Json, named, operation, whole_answer

_ERROR: Final = "CoinbaseError"
_OF_TIME: Final = tuple(map(worded, openapi_past.OF_TIME))


def calls(scheme: Scheme) -> dict[str, Json]:
    """The operations by their paths."""
    return {
        "/products/{symbol}/book": _book(scheme),
        **_products(),
        "/time": operation(
            "time",
            "This server's clock.",
            "Parameters are passed over.",
            [],
            whole_answer(
                "The time since 1970, in seconds, and as a text.",
                "CoinbaseTime",
                {"iso": "2015-01-07T23:47:25.201Z", "epoch": 1420674445.201},
                MARKET,
            ),
            (),
            words=_ERROR,
        ),
    }


_PRODUCT: Final[Json] = {
    "name": "symbol",
    "in": "path",
    "required": True,
    "description": "The product's id.",
    "schema": {"type": "string", "pattern": "^[A-Z0-9._-]{1,50}$"},
    "example": "BTC-USD",
}

_LISTED: Final[Json] = {
    "id": "BTC-USD",
    "base_currency": "BTC",
    "quote_currency": "USD",
    "quote_increment": "0.01",
    "base_increment": "0.00000001",
    "status": "online",
    "trading_disabled": False,
}


def _products() -> dict[str, Json]:
    return {
        "/products": operation(
            "products",
            "The products that the exchange lists, and their rules.",
            "The exchange's own list as last published, or as it was at a time.",
            [named("at")],
            whole_answer("The products.", "CoinbaseProducts", [_LISTED], [*MARKET, *CHANGE]),
            (UNAVAILABLE, *_OF_TIME),
            words=_ERROR,
        ),
        "/products/{symbol}": operation(
            "product",
            "One product and its rules.",
            "As it stands in the list.",
            [_PRODUCT, named("at")],
            whole_answer("The product.", "CoinbaseProduct", _LISTED, [*MARKET, *CHANGE]),
            (NOT_FOUND, UNAVAILABLE, *_OF_TIME),
            words=_ERROR,
        ),
    }


def _book(scheme: Scheme) -> Json:
    level = {
        "name": "level",
        "in": "query",
        "description": "1: the best prices; 2: all prices; 3: all orders, in order of price and time.",
        "schema": {"enum": list(scheme.limits), "default": scheme.limits[0]},
        "example": 2,
    }
    book = {
        "bids": [["61837.63", "3.78826", 4]],
        "asks": [["61837.64", "0.3", 1]],
        "sequence": 99700000000,
        "auction_mode": False,
        "auction": None,
        "time": "2026-11-20T14:03:00.201000Z",
    }
    return operation(
        "book",
        "The order book of a product.",
        "A row is price, size, and how many orders there are; of level 3 the order's id.",
        [_PRODUCT, level, named("ifNoneMatch"), named("ifModifiedSince")],
        whole_answer("A book: best prices first.", "CoinbaseBook", book, BOOK),
        (UNEXPECTED_LEVEL, NOT_FOUND, UNAVAILABLE),
        NOT_MODIFIED,
        words=_ERROR,
    )
