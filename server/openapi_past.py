"""The paths of :mod:`server.past` in ``/openapi.json``."""

from collections.abc import Sequence
from typing import Final

from depthcast.metadata.history import MAX_PAGE
from depthcast.venues.binance_rest import SYMBOL_ILLEGAL, ApiError, empty, not_valid
from server.openapi_components import CHANGE, MARKET, Json, named, operation, whole_answer
from server.past import (
    DEFAULT_LIMIT,
    HISTORY_PATHS,
    IN_THE_FUTURE,
    NOTHING_BY_THEN,
    SYSTEM_STATUS_PATH,
    TRADING_STATUS_PATH,
    illegal_time,
)

OF_TIME: Final = (empty("at"), illegal_time("at"), IN_THE_FUTURE, NOTHING_BY_THEN)

_STATUS: Final = {"status": 0, "msg": "normal"}
_SYMBOLS: Final = {"symbols": [{"symbol": "BTCUSDT", "status": "TRADING"}]}
_CHANGES: Final[Json] = {"kind": "exchangeInfo", "changes": [], "nextTo": None}


def paths(anywhere: Sequence[ApiError]) -> Json:
    """The paths; ``anywhere`` are the errors of all."""
    limit = {
        "name": "limit",
        "in": "query",
        "description": "So many changes at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_LIMIT},
    }
    return {
        SYSTEM_STATUS_PATH: {
            "get": operation(
                "systemStatus",
                "Whether the exchange is in maintenance.",
                "Request weight: 1. The exchange's own answer as last published, or as it was then.",
                [named("at"), named("timeUnit")],
                whole_answer("The status.", "SystemStatus", _STATUS, [*MARKET, *CHANGE]),
                (*anywhere, *OF_TIME),
            )
        },
        TRADING_STATUS_PATH: {
            "get": operation(
                "tradingStatus",
                "What each symbol does, as the updaters derive it.",
                "Request weight: 1.",
                [named("at"), named("timeUnit")],
                whole_answer("The statuses.", "TradingStatus", _SYMBOLS, [*MARKET, *CHANGE]),
                (*anywhere, *OF_TIME),
            )
        },
        **{
            path: {
                "get": operation(
                    f"{kind.name}History",
                    "What changed, the newest first.",
                    "Request weight: 20. Where `nextTo` is a number, it is the `to` of the next page.",
                    [named("symbol"), named("from"), named("to"), limit, named("timeUnit")],
                    whole_answer("The changes.", "Changes", {**_CHANGES, "kind": kind.name}, MARKET),
                    (
                        *anywhere,
                        empty("symbol"),
                        SYMBOL_ILLEGAL,
                        empty("from"),
                        illegal_time("from"),
                        empty("limit"),
                        not_valid("limit"),
                    ),
                )
            }
            for path, kind in HISTORY_PATHS.items()
        },
    }
