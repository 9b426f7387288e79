"""The calls of BitMEX in ``/openapi.json``."""

from typing import Final

from depthcast.files import Scheme
from depthcast.venues.bitmex_files import DEFAULT_DEPTH, MAX_DEPTH
from depthcast.venues.bitmex_rest import BAD_DEPTH, NO_SYMBOL, NOT_FOUND, UNAVAILABLE
from server.openapi_components import BOOK, MARKET, NOT_MODIFIED, Json, named, operation, whole_answer

_ERROR: Final = "BitmexError"


def calls(scheme: Scheme) -> dict[str, Json]:
    """The operations by their paths."""
    return {
        f"/{scheme.root}L2": _book(scheme),
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
