"""The paths of :mod:`server.past` in ``/openapi.json``."""

from collections.abc import Sequence
from typing import Final

from depthcast.files import BINANCE, Scheme
from depthcast.metadata.history import MAX_PAGE
from depthcast.metadata.kinds import Kind, trading_status
from depthcast.venues.binance_rest import SYMBOL_ILLEGAL, empty, not_valid
from depthcast.venues.requests import ApiError
from server.openapi_components import CHANGE, MARKET, Json, named, operation, whole_answer
from server.past import (
    DEFAULT_LIMIT,
    IN_THE_FUTURE,
    NOTHING_BY_THEN,
    SYSTEM_STATUS_PATH,
    history_paths,
    illegal_time,
    trading_status_path,
)

OF_TIME: Final = (empty("at"), illegal_time("at"), IN_THE_FUTURE, NOTHING_BY_THEN)

_STATUS: Final = {"status": 0, "msg": "normal"}
_SYMBOLS: Final = {"symbols": [{"symbol": "BTCUSDT", "status": "TRADING"}]}
_CHANGES: Final[Json] = {"kind": "exchangeInfo", "changes": [], "nextTo": None}


def paths(anywhere: Sequence[ApiError], schemes: Sequence[Scheme] = (BINANCE,)) -> Json:
    """The paths, of the venues with these schemes; ``anywhere`` are the errors of all."""
    found: Json = {
        SYSTEM_STATUS_PATH: {
            "get": operation(
                "systemStatus",
                "Whether the exchange is in maintenance.",
                "Request weight: 1. The exchange's own answer as last published, or as it was then.",
                [named("at"), named("timeUnit")],
                whole_answer("The status.", "SystemStatus", _STATUS, [*MARKET, *CHANGE]),
                (*anywhere, *OF_TIME),
            )
        }
    }
    for scheme in schemes:
        first = scheme.venue == BINANCE.venue
        tag = "market" if first else scheme.venue
        found[trading_status_path(scheme)] = {
            "get": operation(
                _id_of(trading_status(scheme)),
                "What each symbol does, as the updaters derive it.",
                "Request weight: 1.",
                [named("at"), named("timeUnit")],
                whole_answer("The statuses.", "TradingStatus", _SYMBOLS, [*MARKET, *CHANGE]),
                (*anywhere, *OF_TIME),
                tag=tag,
            )
        }
        for path, kind in history_paths(scheme).items():
            found[path] = {"get": _history(kind, anywhere, tag)}
    return found


def _id_of(kind: Kind) -> str:
    first, *rest = kind.name.split("/")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _history(kind: Kind, anywhere: Sequence[ApiError], tag: str) -> Json:
    limit = {
        "name": "limit",
        "in": "query",
        "description": "So many changes at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_LIMIT},
    }
    return operation(
        f"{_id_of(kind)}History",
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
        tag=tag,
    )
