"""``/openapi.json``: the server's own description of what it answers, as OpenAPI 3.1.

It says what ``docs/compatibility.md`` and ``docs/push.md`` say, for programs: every parameter, header, error
and status. Made once, at a server's start; a test asks the server whatever the description allows, and what
it does not.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

import depthcast
from depthcast.files import BINANCE, SCHEMES
from server import openapi_past, openapi_spot, openapi_streams, openapi_venues
from server.openapi_components import (
    JSON,
    Json,
    components,
    whole_answer,
)
from server.push.events import STREAM_PATH

PATH: Final = "/openapi.json"


def endpoint_for(venues: Sequence[str]) -> Callable[[Request], Awaitable[Response]]:
    """``GET /openapi.json`` of a server that answers for these venues."""
    body = json.dumps(document(venues), ensure_ascii=False, separators=(",", ":")).encode()

    async def endpoint(_request: Request) -> Response:
        return Response(body, media_type=JSON, headers={"access-control-allow-origin": "*"})

    return endpoint


def document(venues: Sequence[str] = ()) -> Json:
    """The whole description of a server that answers for the first venue and these ones."""
    schemes = [SCHEMES[venue] for venue in dict.fromkeys((BINANCE.venue, *venues))]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Depthcast",
            "version": depthcast.__version__,
            "summary": "Binance's market data endpoints, answered from published files.",
            "description": "A mirror of a part of Binance's spot REST interface, and of other venues' where "
            "they are served: paths, parameters, answers and errors are the venue's. What a mirror adds are "
            "the headers that say how fresh an answer is. "
            "HEAD is answered like GET, without the body; OPTIONS tells a browser what it may send.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "market", "description": "Binance's endpoints"},
            openapi_streams.TAG,
            *openapi_venues.tags(venues),
            {"name": "server", "description": "the server's own"},
        ],
        "paths": {
            **{path: {"get": each} for path, each in openapi_spot.calls(BINANCE).items()},
            **openapi_past.paths(openapi_spot.ANYWHERE, schemes),
            **openapi_venues.paths(venues),
            STREAM_PATH: {"get": openapi_spot.stream()},
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
