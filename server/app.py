"""The ASGI application: which path is answered by what, for which methods.

The exchange's endpoints are answered here with prepared answers; everything else (health, metrics, unknown
paths) is Starlette's to route. Unknown paths are 404 as Binance answers them: HTML only for who accepts it.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from depthcast.venues.binance_rest import (
    DEPTH_PATH,
    PING_PATH,
    TIME_PATH,
    ApiError,
    parse_time_unit,
    refuse_parameters,
)
from server.answers import METHOD_NOT_ALLOWED, PREFLIGHT, Answer, Asked, json_answer, refusal
from server.depth import Cold, Depth

NOT_FOUND_HTML: Final = "<html><body><h2>404 Not found</h2></body></html>"

OnAnswer = Callable[[str, int], None]
"""Told of each answer of the exchange's endpoints: the path and the HTTP status."""


class App:
    """The whole service as one ASGI callable. ``wall_us`` is microseconds since 1970."""

    def __init__(
        self,
        depth: Depth,
        routes: list[BaseRoute],
        *,
        on_answer: OnAnswer = lambda *_: None,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._depth = depth
        self._on_answer = on_answer
        self._wall_us = wall_us
        self._ping = json_answer(b"{}")
        self._endpoints: Mapping[str, Callable[[Asked], Answer | Cold]] = {
            DEPTH_PATH: depth.answer,
            PING_PATH: self._answer_ping,
            TIME_PATH: self._answer_time,
        }
        starlette = Starlette(routes=routes, exception_handlers={404: _not_found})
        starlette.router.redirect_slashes = False
        self._others: ASGIApp = starlette

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None:
            await self._others(scope, receive, send)
            return
        method = scope["method"]
        answer: Answer | Cold
        if method in ("GET", "HEAD"):
            answer = endpoint(_asked(scope))
            if isinstance(answer, Cold):
                answer = await self._depth.wait(answer)
        else:
            answer = PREFLIGHT if method == "OPTIONS" else METHOD_NOT_ALLOWED
        self._on_answer(scope["path"], answer.status)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})

    def _answer_ping(self, asked: Asked) -> Answer:
        return _refused(asked) or self._ping

    def _answer_time(self, asked: Asked) -> Answer:
        refused = _refused(asked)
        if refused is not None:
            return refused
        now_us = self._wall_us()
        micro = parse_time_unit(asked.time_unit) == "MICROSECOND"
        return json_answer(orjson.dumps({"serverTime": now_us if micro else now_us // 1000}))


def _asked(scope: Scope) -> Asked:
    if_none_match = time_unit = None
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            # A list may be sent as several lines (RFC 9110, 5.3).
            if_none_match = value if if_none_match is None else if_none_match + b", " + value
        elif name == b"x-mbx-time-unit":
            time_unit = value
    return Asked(scope["query_string"], if_none_match, time_unit)


def _refused(asked: Asked) -> Answer | None:
    """What ping and time check: the time unit, then that no parameter was sent."""
    unit = parse_time_unit(asked.time_unit)
    error = unit if isinstance(unit, ApiError) else refuse_parameters(asked.query)
    return refusal(error) if error is not None else None


def _not_found(request: Request, _error: Exception) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(NOT_FOUND_HTML, status_code=404)
    return Response(status_code=404)
