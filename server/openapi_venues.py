"""The venues beside the first in ``/openapi.json``: which describes its calls how, one row each.

Each call has its own path and once more one below the venue's name, as :mod:`server.mirror` answers them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from depthcast.files import BINANCE_US, BINANCE_USDM, COINBASE, SCHEMES, Scheme
from depthcast.venues.answering import ANSWERING
from depthcast.venues.binance_files import BINANCE_COINM
from depthcast.venues.binance_rest import (
    BAD_TIME_UNIT,
    LIMIT_NOT_VALID,
    SYMBOL_ILLEGAL,
    SYMBOL_MISSING,
    UNKNOWN_SYMBOL,
)
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.registry import VENUES
from depthcast.venues.requests import ApiError
from server import openapi_bitmex, openapi_coinbase, openapi_futures, openapi_spot, openapi_streams
from server.mirror import named_path
from server.openapi_components import Json, named, operation
from server.page.markets import stream_path

Calls = Callable[[Scheme], Mapping[str, Json]]
"""A venue's operations by their own paths."""

DESCRIBED: Final[Mapping[str, Calls]] = {
    BINANCE_US.venue: openapi_spot.calls,
    BINANCE_USDM.venue: openapi_futures.calls,
    BINANCE_COINM.venue: openapi_futures.coin_calls,
    COINBASE.venue: openapi_coinbase.calls,
    BITMEX.venue: openapi_bitmex.calls,
}
"""By the venue's name."""


def paths(venues: Iterable[str]) -> Json:
    """The paths of these venues; those that have no row are answered by the document itself."""
    found: Json = {}
    for scheme in (SCHEMES[venue] for venue in venues if venue in DESCRIBED):
        for own, call in DESCRIBED[scheme.venue](scheme).items():
            name = f"{scheme.venue}{call['operationId'][:1].upper()}{call['operationId'][1:]}"
            described = {**call, "tags": [scheme.venue]}
            found[own] = {"get": {**described, "operationId": name}}
            if (below := named_path(scheme, own)) != own:
                found[below] = {"get": {**described, "operationId": f"{name}Named"}}
        found[stream_path(scheme.venue)] = {"get": _stream(scheme)}
        found |= {path: {"get": call} for path, call in _websocket(scheme).items()}
    return found


def _stream(scheme: Scheme) -> Json:
    limit = {
        "name": "limit",
        "in": "query",
        "description": f"One of the venue's; published by default are {', '.join(map(str, scheme.limits))}.",
        "schema": {"type": "integer", "minimum": 0, "default": scheme.max_limit},
        "example": scheme.limits[0],
    }
    symbol = {
        "name": "symbol",
        "in": "query",
        "required": True,
        "description": "As the venue spells it.",
        "schema": {"type": "string"},
        "example": VENUES[scheme.venue].lively[0] if scheme.venue in VENUES else "BTC-USD",
    }
    return operation(
        f"{scheme.venue}DepthEvents",
        "A book of this venue's and its changes, as server-sent events.",
        "As /stream/depth for the first venue.",
        [symbol, limit, named("timeUnit"), *openapi_streams.resuming()],
        openapi_streams.events_answer(),
        (
            BAD_TIME_UNIT,
            ApiError(400, -1101, "Duplicate values for parameter 'symbol'."),
            SYMBOL_MISSING,
            SYMBOL_ILLEGAL,
            UNKNOWN_SYMBOL,
            LIMIT_NOT_VALID,
        ),
        tag=scheme.venue,
    )


def _websocket(scheme: Scheme) -> Mapping[str, Json]:
    streams = ANSWERING[scheme.venue].streams
    if streams is None:
        return {}
    symbol = VENUES[scheme.venue].lively[0].lower()
    partial = f"{symbol}@depth5@100ms"
    if streams.parse(partial) is not None:
        return openapi_streams.websocket_paths(scheme.venue, openapi_streams.NAMES, partial)
    return openapi_streams.websocket_paths(scheme.venue, openapi_streams.BEST, f"{symbol}@bookTicker")


def tags(venues: Iterable[str]) -> list[Json]:
    """What the venues' operations are gathered under."""
    return [
        {"name": venue, "description": f"Calls of {venue}, at its own paths and below its name"}
        for venue in venues
        if venue in DESCRIBED
    ]
