"""What :mod:`server.travel` adds to a path of ``/openapi.json``: the parameter ``at`` and its refusals."""

from typing import Final

from depthcast.venues.binance_lists import BAD_COMBINATION
from depthcast.venues.binance_rest import empty
from server.openapi_components import JSON, MARKET, Json, refer
from server.travel import MOMENT_ILLEGAL, NO_TAPE_READ

AT: Final[Json] = {
    "name": "at",
    "in": "query",
    "description": "The book as it was at this moment, where the symbol's diffs were recorded: milliseconds "
    "since 1970 (13 digits), ISO 8601, an update id (any other number), id:ID, or EPOCH:ID as "
    "Depthcast-Version has it. Not together with symbolStatus.",
    "schema": {
        "type": "string",
        "pattern": r"^((id:|[0-9]{1,18}:)?[0-9]{1,18}|20[0-9]{2}-[0-9]{2}-[0-9]{2}(T.+)?)$",
    },
    "example": "2026-11-20T14:03:00Z",
}

IN_WORDS: Final = (
    " With `at` the book as it was; such an answer says nothing of freshness, and `ETag` and conditions do "
    "not apply."
)

OF_MOMENTS: Final = (empty("at"), MOMENT_ILLEGAL, BAD_COMBINATION)

_TAPE: Final[Json] = {
    "type": ["object", "null"],
    "description": "What was recorded: times in ms since 1970, the last one exclusive, and versions.",
    "properties": {
        "from": {"type": "integer"},
        "to": {"type": "integer"},
        "first": {"type": "string", "pattern": "^[0-9]+:[0-9]+$"},
        "last": {"type": "string", "pattern": "^[0-9]+:[0-9]+$"},
    },
    "required": ["from", "to", "first", "last"],
    "additionalProperties": False,
}

RESPONSES: Final[Json] = {
    "404": {
        "description": "That moment was not recorded.",
        "headers": refer("headers", MARKET),
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "properties": {"code": {"const": -1130}, "msg": {"type": "string"}, "tape": _TAPE},
                    "required": ["code", "msg", "tape"],
                    "additionalProperties": False,
                },
                "example": {
                    "code": -1130,
                    "msg": "Data sent for parameter 'at' is not valid; update id 7 is outside of what was "
                    "recorded.",
                    "tape": {
                        "from": 1723161254099,
                        "to": 1723161904000,
                        "first": "0:35346513512",
                        "last": "0:35346921371",
                    },
                },
            }
        },
    },
    "501": {
        "description": "This server reads no tape.",
        "headers": refer("headers", MARKET),
        "content": {
            JSON: {
                "schema": {"$ref": "#/components/schemas/Error"},
                "example": {"code": NO_TAPE_READ.code, "msg": NO_TAPE_READ.msg},
            }
        },
    },
}
