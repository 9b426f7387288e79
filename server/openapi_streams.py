"""What :mod:`server.openapi` says of pushed books: the stream of events, and the paths of the websocket.

OpenAPI 3.1 has no words for what follows a websocket's handshake: the operation says what the handshake is
answered, and names the page for the rest.
"""

from typing import Final

from server.openapi_components import STREAM, Json, refer
from server.push.names import COMBINED_PATH, WEBSOCKET_PATH

BEST: Final = (
    "Names of streams with a slash between them, symbols in lower case: `@bookTicker` alone. Any other name "
    "is accepted, and silent."
)

TAG: Final[Json] = {"name": "push", "description": "books as they change; docs/push.md is the contract"}

NAMES: Final = (
    "Names of streams with a slash between them, symbols in lower case: `btcusdt@depth5`, `@depth10`, "
    "`@depth20`, each once a second or with `@100ms` behind it ten times, and `@bookTicker`. Any other name "
    "is accepted, and silent."
)


def events_answer() -> Json:
    """What ``GET /stream/depth`` answers who is let in."""
    return {
        "description": "Events, without end: a `snapshot`, then a `diff` for each change, and the `state` "
        "at the beginning and where it changes. The schema is that of one event.",
        "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/StreamEvent"}}},
        "headers": refer("headers", STREAM),
    }


def resuming() -> list[Json]:
    """The parameters that a stream has beside those of a book."""
    text = "The id of the last event that the reader has: where it can, the stream goes on there. "
    return [
        {
            "name": "lastEventId",
            "in": "query",
            "description": text + "For who cannot set headers; the header goes before it.",
            "schema": {"type": "string"},
            "example": "99700000042",
        },
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": text + "Sent by browsers that come back.",
            "schema": {"type": "string"},
            "example": "99700000042",
        },
    ]


def websocket_paths(
    venue: str = "", described: str = NAMES, example: str = "btcusdt@depth5@100ms"
) -> dict[str, Json]:
    """The websocket's paths, each with its operation; those of a ``venue`` below its name."""
    names = {"name": "streams", "description": described, "schema": {"type": "string"}}
    unit = {
        "name": "timeUnit",
        "in": "query",
        "description": "The unit of times, MICROSECOND or MILLISECOND, which anything else means, too. Of "
        "what is sent only *serverShutdown* has a time.",
        "schema": {"type": "string", "default": "MILLISECOND"},
    }
    prefix = f"/{venue}" if venue else ""
    return {
        prefix + WEBSOCKET_PATH: _websocket(
            venue, "websocket", "A websocket without a stream yet, raw payloads.", [unit]
        ),
        prefix + WEBSOCKET_PATH + "/{streams}": _websocket(
            venue,
            "websocketOfStreams",
            "A websocket with these streams, raw payloads.",
            [{**names, "in": "path", "required": True, "example": example}, unit],
        ),
        prefix + COMBINED_PATH: _websocket(
            venue,
            "combinedWebsocket",
            'A websocket with these streams, each payload as `{"stream":…,"data":…}`.',
            [{**names, "in": "query", "example": f"{example}/{example.partition('@')[0]}@bookTicker"}, unit],
        ),
    }


def _websocket(venue: str, name: str, summary: str, parameters: list[Json]) -> Json:
    return {
        "operationId": f"{venue}{name[:1].upper()}{name[1:]}" if venue else name,
        "tags": [venue or TAG["name"]],
        "summary": summary,
        "description": "To be asked with a websocket's handshake (RFC 6455). Messages are the exchange's.",
        "parameters": parameters,
        "responses": {
            "101": {"description": "The websocket is open."},
            "404": {"description": "The path holds a line break."},
            "426": {
                "description": "The request is no handshake.",
                "headers": refer("headers", ["Upgrade", "Connection", "Cache-Control"]),
            },
            "503": {
                "description": "There are as many streams as this server, or this client, may have.",
                "headers": refer("headers", ["Retry-After"]),
            },
        },
    }
