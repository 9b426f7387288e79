"""``/openapi.json``: the server's own description of what it answers, as OpenAPI 3.1.

It says what ``docs/compatibility.md`` and ``docs/push.md`` say, for programs: every parameter, header, error
and status. Made once, when the module is loaded; a test asks the server whatever the description allows, and
what it does not.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

import depthcast
from depthcast.files import LIMITS, MAX_LIMIT
from depthcast.venues.binance_lists import (
    BAD_COMBINATION,
    SYMBOL_AND_SYMBOLS,
    SYMBOL_REPEATED,
    SYMBOLS_ILLEGAL,
)
from depthcast.venues.binance_rest import (
    BAD_TIME_UNIT,
    BOOK_TICKER_PATH,
    DEFAULT_LIMIT,
    DEPTH_PATH,
    EXCHANGE_INFO_PATH,
    LIMIT_ILLEGAL,
    LIMIT_NOT_VALID,
    LIMIT_OVERFLOWED,
    PING_PATH,
    STATUS_MISMATCH,
    SYMBOL_ILLEGAL,
    SYMBOL_MISSING,
    TIME_PATH,
    UNKNOWN_STATUS,
    UNKNOWN_SYMBOL,
    ApiError,
    empty,
    not_valid,
)
from server import openapi_past, openapi_streams, openapi_travel
from server.openapi_components import (
    CHANGE,
    FRESH,
    JSON,
    MARKET,
    VERSION,
    Json,
    components,
    named,
    refer,
    whole_answer,
)
from server.push.events import STREAM_PATH

PATH: Final = "/openapi.json"


_DUPLICATE: Final = ApiError(400, -1101, "Duplicate values for parameter 'symbol'.")
_TOO_MANY: Final = ApiError(400, -1101, "Too many parameters; expected '3' and received '4'.")
_UNREAD: Final = ApiError(
    400, -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."
)
_ANYWHERE: Final = (BAD_TIME_UNIT, _DUPLICATE, _TOO_MANY)
_OF_SYMBOL: Final = (empty("symbol"), SYMBOL_ILLEGAL, UNKNOWN_SYMBOL, _UNREAD)
_OF_STATUS: Final = (empty("symbolStatus"), UNKNOWN_STATUS)
_OF_BOOKS: Final = (
    *_ANYWHERE,
    SYMBOL_MISSING,
    *_OF_SYMBOL,
    empty("limit"),
    LIMIT_ILLEGAL,
    LIMIT_OVERFLOWED,
    LIMIT_NOT_VALID,
    *_OF_STATUS,
    STATUS_MISMATCH,
)
_OF_LISTS: Final = (empty("symbols"), SYMBOLS_ILLEGAL, SYMBOL_AND_SYMBOLS, SYMBOL_REPEATED)


async def endpoint(_request: Request) -> Response:
    """``GET /openapi.json``."""
    return Response(_BODY, media_type=JSON, headers={"access-control-allow-origin": "*"})


def document() -> Json:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Depthcast",
            "version": depthcast.__version__,
            "summary": "Binance's market data endpoints, answered from published files.",
            "description": "A mirror of a part of Binance's spot REST interface: paths, parameters, answers "
            "and errors are Binance's. What a mirror adds are the headers that say how fresh an answer is. "
            "HEAD is answered like GET, without the body; OPTIONS tells a browser what it may send.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "market", "description": "Binance's endpoints"},
            openapi_streams.TAG,
            {"name": "server", "description": "the server's own"},
        ],
        "paths": {
            DEPTH_PATH: {"get": _depth()},
            BOOK_TICKER_PATH: {"get": _book_ticker()},
            EXCHANGE_INFO_PATH: {"get": _exchange_info()},
            PING_PATH: {"get": _ping()},
            TIME_PATH: {"get": _time()},
            **openapi_past.paths(_ANYWHERE, _operation),
            STREAM_PATH: {"get": _stream()},
            **{path: {"get": each} for path, each in openapi_streams.websocket_paths().items()},
            "/healthz": {"get": _own("alive", "The process answers.", "Alive", {"alive": True})},
            "/readyz": {
                "get": _own(
                    "ready",
                    "The store was reached and the published symbols are known.",
                    "Ready",
                    {"ready": True, "symbols": 400},
                    not_yet={"ready": False, "symbols": 0},
                )
            },
            "/metrics": {"get": _metrics()},
        },
        "components": components(),
    }


# Operations


def _depth() -> Json:
    fresh = [*MARKET, *FRESH, "ETag", "Last-Modified", "Depthcast-Certain", *VERSION]
    book = {
        "lastUpdateId": 99700000000,
        "bids": [["61837.63000000", "3.78826000"]],
        "asks": [["61837.64000000", "0.30000000"]],
    }
    return _operation(
        "depth",
        "The order book of a symbol.",
        "Request weight: 5 up to 100 levels, 25 up to 500, 50 up to 1000, 250 above. With `at` the book as "
        "it was; such an answer says nothing of freshness, and `ETag` and conditions do not apply.",
        [*_book_parameters(), openapi_travel.AT, named("ifNoneMatch"), named("ifModifiedSince")],
        whole_answer(
            "A book: best levels first, prices and quantities as the exchange writes them.",
            "Book",
            book,
            fresh,
        ),
        (*_OF_BOOKS, *openapi_travel.OF_MOMENTS),
        {
            "304": {
                "description": "The client has this version already.",
                "headers": refer("headers", [name for name in fresh if name != "X-Content-Type-Options"]),
            },
            **openapi_travel.RESPONSES,
        },
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


def _stream() -> Json:
    return _operation(
        "depthEvents",
        "An order book and its changes, as server-sent events.",
        "Refused as a book would be, in the same words, and with 503 where there are as many streams as may "
        "be. Request weight: that of the book, once.",
        [*_book_parameters(), *openapi_streams.resuming()],
        openapi_streams.events_answer(),
        _OF_BOOKS,
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
    errors = (*_ANYWHERE, *_OF_SYMBOL, *_OF_LISTS, *_OF_STATUS, STATUS_MISMATCH)
    parameters = [named("symbol"), named("symbols"), named("symbolStatus"), named("timeUnit")]
    return _operation(
        "bookTicker",
        "The best bid and ask of one symbol, of some, or of all.",
        "Request weight: 2 for `symbol`, 4 otherwise. `symbolStatus` filters lists and is compared with one.",
        parameters,
        whole,
        errors,
    )


def _exchange_info() -> Json:
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
        named("at"),
        named("timeUnit"),
    ]
    errors = (
        *_ANYWHERE,
        *openapi_past.OF_TIME,
        *_OF_SYMBOL,
        *_OF_LISTS,
        empty("permissions"),
        not_valid("permissions"),
        empty("showPermissionSets"),
        not_valid("showPermissionSets"),
        *_OF_STATUS,
        BAD_COMBINATION,
    )
    return _operation(
        "exchangeInfo",
        "The symbols that the exchange lists, and its rules.",
        "Request weight: 20. The exchange's own list as last published; `serverTime` is this server's. With "
        "`at` the list as it was then, `serverTime` and all.",
        parameters,
        whole_answer("The list.", "ExchangeInfo", example, [*MARKET, *CHANGE]),
        errors,
    )


def _ping() -> Json:
    return _operation(
        "ping",
        "Whether somebody answers.",
        "Request weight: 1.",
        [named("timeUnit")],
        whole_answer("Yes.", "Nothing", {}, MARKET),
        _ANYWHERE,
    )


def _time() -> Json:
    return _operation(
        "time",
        "This server's clock.",
        "Request weight: 1.",
        [named("timeUnit")],
        whole_answer(
            "The time since 1970, in the unit asked for.", "Time", {"serverTime": 1723161253000}, MARKET
        ),
        _ANYWHERE,
    )


def _operation(
    name: str,
    summary: str,
    description: str,
    parameters: Sequence[Json],
    whole: Json,
    errors: Sequence[ApiError],
    more: Mapping[str, Json] | None = None,
    *,
    tag: str = "market",
) -> Json:
    refused = whole_answer("The request is refused, in Binance's words.", "Error", {}, MARKET)
    content = refused["content"][JSON]
    del content["example"]
    content["examples"] = {
        f"{-error.code} {number}": {"value": {"code": error.code, "msg": error.msg}}
        for number, error in enumerate(errors, 1)
    }
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "parameters": list(parameters),
        "responses": {
            "200": whole,
            "400": refused,
            **(more or {}),
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in (414, 429, 503)},
        },
    }


def _own(name: str, text: str, schema: str, example: Json, *, not_yet: Json | None = None) -> Json:
    responses = {"200": whole_answer(text, schema, example, ())}
    if not_yet is not None:
        responses["503"] = whole_answer("Not yet.", schema, not_yet, ())
    return {"operationId": name, "tags": ["server"], "summary": text, "responses": responses}


def _metrics() -> Json:
    return {
        "operationId": "metrics",
        "tags": ["server"],
        "summary": "Prometheus metrics; docs/server-metrics.md explains them.",
        "responses": {
            "200": {
                "description": "Prometheus text.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
    }


_BODY: Final = json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()
