"""The ASGI application: which path is answered by what, for which methods.

The exchange's endpoints are answered here with prepared answers; everything else (health, metrics, unknown
paths) is Starlette's to route. Unknown paths are 404 as Binance answers them: HTML only for who accepts it.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from server.answers import (
    CONNECTION_EXTENSION,
    METHOD_NOT_ALLOWED,
    NOT_STREAMED,
    PREFLIGHT,
    Answer,
    Asked,
    Endpoint,
)
from server.fast import HEAD_EXTENSION, FastAnswers

NOT_FOUND_HTML: Final = "<html><body><h2>404 Not found</h2></body></html>"

OnAnswer = Callable[[str, int], None]
"""Told of each answer of the exchange's endpoints: the path and the HTTP status."""

OnState = Callable[[bytes], None]
"""Told of each answer with a book how fresh it was (:class:`server.freshness.State`)."""


class _Template(NamedTuple):
    """An endpoint's path with a part in braces, and what stands before and behind it."""

    path: str
    endpoint: Endpoint
    before: str
    behind: str

    @classmethod
    def of(cls, path: str, endpoint: Endpoint) -> Self:
        before, _, rest = path.partition("{")
        return cls(path, endpoint, before, rest.partition("}")[2])

    def place_in(self, path: str) -> str:
        """What a request's path has in place of the braces; empty where it is no such path."""
        place = path[len(self.before) : len(path) - len(self.behind)]
        fits = path.startswith(self.before) and path.endswith(self.behind) and "/" not in place
        return place if fits else ""


class App:
    """The whole service as one ASGI callable: ``endpoints`` by their paths, and ``routes`` for the rest.

    An endpoint's path may have one part in braces, which stands for any text without a slash
    (:attr:`~server.answers.Asked.place`).
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        routes: list[BaseRoute],
        *,
        on_answer: OnAnswer = lambda *_: None,
        on_state: OnState = lambda _: None,
        fast_answers: FastAnswers | None = None,
    ) -> None:
        self._endpoints = {path: each for path, each in endpoints.items() if "{" not in path}
        self._templates = tuple(_Template.of(path, each) for path, each in endpoints.items() if "{" in path)
        self._on_answer = on_answer
        self._on_state = on_state
        self._fast_answers = fast_answers
        starlette = Starlette(routes=routes, exception_handlers={404: _not_found})
        starlette.router.redirect_slashes = False
        self._others: ASGIApp = starlette
        self.paths = frozenset((*endpoints, *(each.path for each in routes if isinstance(each, Route))))
        """All that is answered; in braces what stands for a part of any text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        endpoint = self._endpoints.get(path) if scope["type"] == "http" else None
        place = ""
        if endpoint is None and self._templates and scope["type"] == "http":
            for template in self._templates:
                place = template.place_in(path)
                if place:
                    path, endpoint = template.path, template.endpoint
                    break
        if endpoint is None:
            await self._others(scope, receive, send)
            return
        method = scope["method"]
        if method in ("GET", "HEAD"):
            asked = _asked(scope)
            if place:
                asked = asked._replace(place=place.encode())
            given = endpoint(asked)
            answer = given if isinstance(given, Answer) else await given
            if answer.hold is not None and self._fast_answers is not None:
                self._learn(self._fast_answers, scope, path, endpoint, asked)
        else:
            answer = PREFLIGHT if method == "OPTIONS" else METHOD_NOT_ALLOWED
        connection = scope.get("extensions", {}).get(CONNECTION_EXTENSION)
        if answer.stream is not None and connection is None:
            answer = NOT_STREAMED
        self._on_answer(path, answer.status)
        if answer.state:
            self._on_state(answer.state)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if answer.stream is not None and method == "GET":
            await answer.stream(connection)
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})

    @staticmethod
    def _learn(fast_answers: FastAnswers, scope: Scope, path: str, endpoint: Endpoint, asked: Asked) -> None:
        known = scope.get("extensions", {}).get(HEAD_EXTENSION)
        if known is not None:
            # Others will be answered by it, too: it must not be about this one client.
            asked = asked._replace(client="")
            only_head = scope["method"] == "HEAD"
            fast_answers.learn(known["bytes"], path, endpoint, asked, only_head=only_head)


def _asked(scope: Scope) -> Asked:
    if_none_match = time_unit = accept_encoding = if_modified_since = forwarded_for = last_event_id = None
    for name, value in scope["headers"]:
        # A list may be sent as several lines (RFC 9110, 5.3).
        if name == b"if-none-match":
            if_none_match = value if if_none_match is None else if_none_match + b", " + value
        elif name == b"accept-encoding":
            accept_encoding = value if accept_encoding is None else accept_encoding + b", " + value
        elif name == b"x-mbx-time-unit":
            time_unit = value
        elif name == b"if-modified-since":
            if_modified_since = value
        elif name == b"last-event-id":
            last_event_id = value
        elif name == b"x-forwarded-for":
            forwarded_for = value if forwarded_for is None else forwarded_for + b", " + value
    client = scope.get("client")
    return Asked(
        scope["query_string"],
        if_none_match,
        time_unit,
        accept_encoding,
        client[0] if client else "",
        if_modified_since,
        forwarded_for,
        last_event_id,
    )


def _not_found(request: Request, _error: Exception) -> Response:
    # A web page is told as much as any other client.
    headers = {"access-control-allow-origin": "*"}
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(NOT_FOUND_HTML, status_code=404, headers=headers)
    return Response(status_code=404, headers=headers)
