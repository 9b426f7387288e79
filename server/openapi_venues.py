"""The venues beside the first in ``/openapi.json``: which describes its calls how, one row each.

Each call has its own path and once more one below the venue's name, as :mod:`server.mirror` answers them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from depthcast.files import BINANCE_US, BINANCE_USDM, COINBASE, SCHEMES, Scheme
from server import openapi_coinbase, openapi_futures, openapi_spot
from server.mirror import named_path
from server.openapi_components import Json

Calls = Callable[[Scheme], Mapping[str, Json]]
"""A venue's operations by their own paths."""

DESCRIBED: Final[Mapping[str, Calls]] = {
    BINANCE_US.venue: openapi_spot.calls,
    BINANCE_USDM.venue: openapi_futures.calls,
    COINBASE.venue: openapi_coinbase.calls,
}
"""By the venue's name."""


def paths(venues: Iterable[str]) -> Json:
    """The paths of these venues; those that have no row are answered by the document itself."""
    found: Json = {}
    for scheme in (SCHEMES[venue] for venue in venues if venue in DESCRIBED):
        for own, operation in DESCRIBED[scheme.venue](scheme).items():
            name = f"{scheme.venue}{operation['operationId'][:1].upper()}{operation['operationId'][1:]}"
            described = {**operation, "tags": [scheme.venue]}
            found[own] = {"get": {**described, "operationId": name}}
            if (below := named_path(scheme, own)) != own:
                found[below] = {"get": {**described, "operationId": f"{name}Named"}}
    return found


def tags(venues: Iterable[str]) -> list[Json]:
    """What the venues' operations are gathered under."""
    return [
        {"name": venue, "description": f"Calls of {venue}, at its own paths and below its name"}
        for venue in venues
        if venue in DESCRIBED
    ]
