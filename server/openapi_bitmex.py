"""The calls of BitMEX in ``/openapi.json``."""

from typing import Final

from depthcast.files import Scheme
from depthcast.venues.bitmex_files import DEFAULT_DEPTH, MAX_DEPTH
from depthcast.venues.bitmex_lists import BAD_COUNT, worded
from depthcast.venues.bitmex_rest import BAD_DEPTH, NO_SYMBOL, NOT_FOUND, UNAVAILABLE
from server import openapi_past
from server.openapi_components import BOOK, CHANGE, MARKET, NOT_MODIFIED, Json, named, operation, whole_answer

_ERROR: Final = "BitmexError"
_OF_TIME: Final = tuple(map(worded, openapi_past.OF_TIME))


def calls(scheme: Scheme) -> dict[str, Json]:
    """The operations by their paths."""
    return {
        f"/{scheme.root}L2": _book(scheme),
        **_instruments(),
        "/api/v1": operation(
            "about",
            "Who answers, and the time.",
            "Parameters are passed over.",
            [],
            whole_answer(
                "The time in ms since 1970.",
                "BitmexAbout",
                {"name": "BitMEX API", "version": "2.0.0", "timestamp": 1700000000123},
                MARKET,
            ),
            (),
            words=_ERROR,
        ),
    }


_LISTED: Final[Json] = {
    "symbol": "XBTUSD",
    "state": "Open",
    "typ": "FFWCSX",
    "lotSize": 100,
    "tickSize": 0.5,
    "settlCurrency": "XBt",
    "makerFee": -0.0001,
    "takerFee": 0.0005,
}


def _instruments() -> dict[str, Json]:
    def parameter(name: str, text: str, schema: Json, example: object) -> Json:
        return {"name": name, "in": "query", "description": text, "schema": schema, "example": example}

    text = {"type": "string"}
    answer = whole_answer("The instruments.", "BitmexInstruments", [_LISTED], [*MARKET, *CHANGE])
    return {
        "/api/v1/instrument/active": operation(
            "instrumentActive",
            "The instruments that are traded, and their rules.",
            "The exchange's own list as last published, or as it was at a time, without what moves with the "
            "market: prices, volumes, funding.",
            [named("at")],
            answer,
            (UNAVAILABLE, *_OF_TIME),
            words=_ERROR,
        ),
        "/api/v1/instrument": operation(
            "instrument",
            "Some of them.",
            "Instruments that are not active are not there, and times are passed over.",
            [
                named("symbol"),
                parameter("filter", "JSON, members and their values.", text, '{"state":"Open"}'),
                parameter("columns", "Names of members.", text, "tickSize,lotSize"),
                parameter(
                    "count", "So many at most.", {"type": "integer", "minimum": 1, "maximum": 500}, 100
                ),
                parameter("start", "From this one on.", {"type": "integer", "minimum": 0}, 0),
                parameter("reverse", "The last one first.", {"type": "boolean"}, False),
                named("at"),
            ],
            answer,
            (BAD_COUNT, UNAVAILABLE, *_OF_TIME),
            words=_ERROR,
        ),
    }


def _book(scheme: Scheme) -> Json:
    depth = {
        "name": "depth",
        "in": "query",
        "description": "Rows a side; 0: all of them. Published by default are "
        f"{', '.join(map(str, scheme.limits))}; others are cut from the next larger.",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_DEPTH, "default": DEFAULT_DEPTH},
        "example": 10,
    }
    row = {
        "symbol": "XBTUSD",
        "id": 62400580205,
        "side": "Sell",
        "size": 33000,
        "price": 98459.9,
        "timestamp": "2026-11-20T14:03:00.281Z",
        "transactTime": "2026-11-20T14:03:00.200Z",
    }
    return operation(
        "orderBookL2",
        "The order book of a contract.",
        "Rows from the highest price to the lowest, asks first. A symbol that is not published is 404, where "
        "the exchange answers an empty array.",
        [named("symbol", needed=True), depth, named("ifNoneMatch"), named("ifModifiedSince")],
        whole_answer("The rows.", "BitmexRows", [row], BOOK),
        (NO_SYMBOL, BAD_DEPTH, NOT_FOUND, UNAVAILABLE),
        NOT_MODIFIED,
        words=_ERROR,
    )
