"""What the operations of :mod:`server.openapi` refer to: schemas, parameters, headers, common answers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from depthcast.files import MAX_LIMIT
from depthcast.venues.binance_rest import UNAVAILABLE, too_much
from depthcast.venues.requests import ApiError

Json = dict[str, Any]

JSON: Final = "application/json"

# Binance's '^[\w\-._&&[^a-z]]{1,50}$', as ECMA 262 would have it, which JSON Schema speaks.
_SYMBOL: Final = r"^[^\x00-\x2c\x2f\x3a-\x40\x5b-\x5e\x60-\x7f]{1,50}$"
_LEVEL: Final = r"^[0-9]+(\.[0-9]+)?$"
_STATUSES: Final = ["TRADING", "HALT", "BREAK"]

_TEXT: Final[Json] = {"type": "string"}
_NUMBER: Final[Json] = {"type": "string", "pattern": "^[0-9]+$"}
_PAIR: Final[Json] = {"type": "string", "pattern": "^[0-9]+:[0-9]+$"}
_STATE: Final[Json] = {"enum": ["live", "stale", "halted", "proxied"]}

_COMMON: Final = ("Access-Control-Allow-Origin", "Cache-Control", "X-Content-Type-Options")
MARKET: Final = (*_COMMON, "Vary", "Content-Encoding", "X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M")
FRESH: Final = ("Depthcast-State", "Depthcast-Current-Time", "Depthcast-Evidence", "Age")
CHANGE: Final = ("Depthcast-Sequence", "Depthcast-Observed-Time")
VERSION: Final = (
    "Depthcast-Version",
    "Depthcast-Epoch",
    "Depthcast-Event-Time",
    "Depthcast-Publish-Time",
    "Depthcast-Status",
)
BOOK: Final = (*MARKET, *FRESH, "ETag", "Last-Modified", "Depthcast-Certain", *VERSION)
STREAM: Final = (*_COMMON, "X-Accel-Buffering", "X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M")
_HEADERS: Final[Sequence[tuple[str, str, Json]]] = (
    ("Access-Control-Allow-Origin", "Any web page may read.", {"const": "*"}),
    ("Cache-Control", "How a cache may keep the answer.", _TEXT),
    ("X-Content-Type-Options", "The content type is meant.", {"const": "nosniff"}),
    ("X-MBX-USED-WEIGHT", "As X-MBX-USED-WEIGHT-1M.", _NUMBER),
    ("X-MBX-USED-WEIGHT-1M", "This request's weight, or with a limit this client's in this minute.", _NUMBER),
    ("Retry-After", "Seconds until asking again makes sense.", _NUMBER),
    ("ETag", "Equal tags of one URL are equal bytes.", {"type": "string", "pattern": '^"[^"]+"$'}),
    ("Last-Modified", "When the file was written, to the second.", _TEXT),
    ("Vary", "The request headers that the answer depends on.", _TEXT),
    ("Content-Encoding", "The coding of the body, where it has one.", {"enum": ["gzip", "zstd"]}),
    ("Age", "Seconds since the store last confirmed the file; not sent below one.", _NUMBER),
    ("Depthcast-Sequence", "Which change of the exchange's metadata the answer is of.", _NUMBER),
    ("Depthcast-Observed-Time", "When that change was seen, in ms since 1970.", _NUMBER),
    ("Depthcast-Version", "Epoch and update id: the greater pair is newer.", _PAIR),
    ("Depthcast-Epoch", "The epoch of the update id.", _NUMBER),
    ("Depthcast-State", "How fresh the answer is; of a list, the worst.", _STATE),
    ("Depthcast-Current-Time", "When the answer was last known to be current, in ms since 1970.", _NUMBER),
    (
        "Depthcast-Evidence",
        "What speaks against the symbol's trading, and who says so; usually not sent.",
        _TEXT,
    ),
    ("Depthcast-Status", "What the symbol does, in the exchange's word, or DELISTED.", _TEXT),
    ("Depthcast-Certain", "Levels a side that are certain; `complete`: there are no others.", _TEXT),
    ("Depthcast-Event-Time", "The exchange's clock of the last change, in ms since 1970.", _NUMBER),
    ("X-Accel-Buffering", "A proxy is to pass events on as they come.", {"const": "no"}),
    ("Upgrade", "What the path is for.", {"const": "websocket"}),
    ("Connection", "As Upgrade.", {"const": "upgrade"}),
    ("Depthcast-Publish-Time", "The writer's clock when it wrote the file, in ms since 1970.", _NUMBER),
)


def components() -> Json:
    """All of them."""
    return {
        "schemas": _schemas(),
        "parameters": _parameters(),
        "headers": {name: {"description": text, "schema": schema} for name, text, schema in _HEADERS},
        "responses": _responses(),
    }


def named(name: str, *, needed: bool = False) -> Json:
    """A parameter, by the name it has here."""
    if needed:
        return {**_parameters()[name], "required": True}
    return {"$ref": f"#/components/parameters/{name}"}


def refer(kind: str, names: Sequence[str]) -> Json:
    """References to several components of one kind, by their names."""
    return {name: {"$ref": f"#/components/{kind}/{name}"} for name in names}


def whole_answer(text: str, schema: str, example: Json | Sequence[Json], headers: Sequence[str]) -> Json:
    """An answer with a JSON body."""
    found: Json = {
        "description": text,
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}},
    }
    if headers:
        found["headers"] = refer("headers", headers)
    return found


def operation(
    name: str,
    summary: str,
    description: str,
    parameters: Sequence[Json],
    whole: Json,
    errors: Sequence[ApiError],
    more: Mapping[str, Json] | None = None,
    *,
    tag: str = "market",
    words: str = "Error",
) -> Json:
    """A venue's call: what it takes, its answer, and its refusals by their statuses, each as an example.
    ``words`` is the schema of these."""
    refused: Json = {}
    for number, error in enumerate(errors, 1):
        status = str(error.status)
        if status not in refused:
            refused[status] = whole_answer("Refused, in the venue's words.", words, {}, MARKET)
            del refused[status]["content"][JSON]["example"]
            refused[status]["content"][JSON]["examples"] = {}
        example = {"value": json.loads(error.body())}
        refused[status]["content"][JSON]["examples"][f"{abs(error.code)} {number}"] = example
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "parameters": list(parameters),
        "responses": {
            "200": whole,
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in (414, 429, 503)},
            **refused,
            **(more or {}),
        },
    }


NOT_MODIFIED: Final[Json] = {
    "304": {
        "description": "The client has this version already.",
        "headers": refer("headers", [name for name in BOOK if name != "X-Content-Type-Options"]),
    }
}


def _responses() -> Json:
    limited, unavailable = too_much(6000, 60), UNAVAILABLE
    return {
        "414": {
            "description": "The query string is longer than 8192 bytes.",
            "headers": refer("headers", MARKET),
        },
        "429": whole_answer(
            "The client used more request weight in this minute than this server allows. By default there is "
            "no limit.",
            "Error",
            {"code": limited.code, "msg": limited.msg},
            [*MARKET, "Retry-After"],
        ),
        "503": whole_answer(
            "What was asked for is published, but cannot be had now.",
            "Error",
            {"code": unavailable.code, "msg": unavailable.msg},
            [*MARKET, "Retry-After"],
        ),
    }


def _parameters() -> dict[str, Json]:
    return {
        "symbol": {
            "name": "symbol",
            "in": "query",
            "description": "1 to 50 letters of any alphabet but lower-case ASCII, digits, '-', '.' and '_'.",
            "schema": {"type": "string", "pattern": _SYMBOL},
            "example": "BTCUSDT",
        },
        "symbols": {
            "name": "symbols",
            "in": "query",
            "description": "Symbols, as a JSON array without blanks. Not together with symbol.",
            "schema": {"type": "string", "pattern": r"^\[.*\]$"},
            "example": '["BTCUSDT","ETHUSDT"]',
        },
        "symbolStatus": {
            "name": "symbolStatus",
            "in": "query",
            "description": "Only symbols of this status.",
            "schema": {"enum": _STATUSES},
            "example": "TRADING",
        },
        "at": _moment("at", "What was in force at this time; not later than now."),
        "from": _moment("from", "Changes seen at this time or later."),
        "to": _moment("to", "Changes seen at this time or earlier."),
        "timeUnit": {
            "name": "X-MBX-TIME-UNIT",
            "in": "header",
            "description": "The unit of times in the body.",
            "schema": {
                "enum": ["MILLISECOND", "millisecond", "MICROSECOND", "microsecond"],
                "default": "MILLISECOND",
            },
        },
        "ifNoneMatch": {
            "name": "If-None-Match",
            "in": "header",
            "description": "Entity tags that the client has: 304 if one of them is the book's.",
            "schema": {"type": "string"},
        },
        "ifModifiedSince": {
            "name": "If-Modified-Since",
            "in": "header",
            "description": "Looked at only without If-None-Match.",
            "schema": {"type": "string"},
        },
    }


def _moment(name: str, text: str) -> Json:
    return {
        "name": name,
        "in": "query",
        "description": f"{text} Milliseconds since 1970, or ISO 8601, in UTC where it names no zone.",
        "schema": {"type": "string", "pattern": r"^([0-9]{1,13}|20[0-9]{2}-[0-9]{2}-[0-9]{2}(T.+)?)$"},
        "example": "2026-11-20T14:03:00Z",
    }


def _schemas() -> Json:
    price = {"type": "string", "pattern": _LEVEL}
    level = {"type": "array", "items": price, "minItems": 2, "maxItems": 2}
    side = {"type": "array", "items": level, "maxItems": MAX_LIMIT}
    ticker = {
        "symbol": {"type": "string"},
        "bidPrice": price,
        "bidQty": price,
        "askPrice": price,
        "askQty": price,
    }
    whole = {"type": "integer", "minimum": 0}
    listed = {"symbol": {"type": "string"}, "status": {"type": "string"}}
    product = {
        "type": "object",
        "required": ["id", "status"],
        "properties": {"id": _TEXT, "status": _TEXT},
    }
    return {
        "Error": _object({"code": {"type": "integer", "maximum": -1}, "msg": {"type": "string"}}),
        "Book": _object({"lastUpdateId": whole, "bids": side, "asks": side}),
        "FuturesBook": _object({"lastUpdateId": whole, "E": whole, "T": whole, "bids": side, "asks": side}),
        "BookTicker": _object(ticker),
        "CoinFuturesBook": _object(
            {
                "lastUpdateId": whole,
                "symbol": _TEXT,
                "pair": _TEXT,
                "E": whole,
                "T": whole,
                "bids": side,
                "asks": side,
            }
        ),
        "ContractInfo": {
            "type": "object",
            "required": ["serverTime", "symbols"],
            "properties": {
                "serverTime": whole,
                "symbols": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["symbol", "contractStatus"],
                        "properties": {"symbol": _TEXT, "contractStatus": _TEXT},
                    },
                },
            },
        },
        "BitmexError": _object({"error": _object({"message": _TEXT, "name": _TEXT})}),
        "BitmexRows": {"type": "array", "items": _bitmex_row()},
        "BitmexAbout": _object({"name": _TEXT, "version": _TEXT, "timestamp": whole}),
        "CoinbaseError": _object({"message": {"type": "string"}}),
        "CoinbaseBook": _object(
            {
                "bids": _rows({"type": ["integer", "string"]}),
                "asks": _rows({"type": ["integer", "string"]}),
                "sequence": whole,
                "auction_mode": {"const": False},
                "auction": {"type": "null"},
                "time": {"type": "string"},
            }
        ),
        "CoinbaseProduct": product,
        "CoinbaseProducts": {"type": "array", "items": product},
        "BitmexInstruments": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["symbol"],
                "properties": {"symbol": _TEXT, "state": _TEXT},
            },
        },
        "CoinbaseTime": _object({"iso": {"type": "string"}, "epoch": {"type": "number"}}),
        "FuturesTicker": _object(ticker | {"time": whole, "lastUpdateId": whole}),
        "BookTickers": _one_or_many("BookTicker"),
        "FuturesTickers": _one_or_many("FuturesTicker"),
        "CoinFuturesTickers": {
            "type": "array",
            "items": _object(ticker | {"pair": _TEXT, "time": whole, "lastUpdateId": whole}),
        },
        "ExchangeInfo": {
            "type": "object",
            "required": ["serverTime", "symbols"],
            "properties": {
                "timezone": {"type": "string"},
                "serverTime": whole,
                "rateLimits": {"type": "array", "items": {"type": "object"}},
                "exchangeFilters": {"type": "array"},
                "symbols": {
                    "type": "array",
                    "items": {"type": "object", "required": list(listed), "properties": listed},
                },
            },
        },
        "SystemStatus": {
            "type": "object",
            "required": ["status"],
            "properties": {"status": {"type": "integer"}, "msg": {"type": "string"}},
        },
        "TradingStatus": {
            "type": "object",
            "required": ["symbols"],
            "properties": {
                "symbols": {
                    "type": "array",
                    "items": {"type": "object", "required": list(listed), "properties": listed},
                }
            },
        },
        "Changes": _object(
            {
                "kind": {"type": "string"},
                "changes": {"type": "array", "items": _change_record(whole)},
                "nextTo": {"type": ["integer", "null"]},
            }
        ),
        "BookDiff": _object({"U": whole, "u": whole, "b": side, "a": side}),
        "StreamState": _object(
            {
                "state": {"enum": ["live", "stale", "halted"]},
                "status": {"type": "string"},
                "epoch": whole,
                "currentTime": {"type": ["integer", "null"]},
            }
        ),
        "StreamEvent": {
            "oneOf": [
                _event("snapshot", "Book", {"id": _NUMBER}),
                _event("diff", "BookDiff", {"id": _NUMBER}),
                _event("state", "StreamState", {}),
            ]
        },
        "Nothing": _object({}),
        "Time": _object({"serverTime": whole}),
        "Alive": _object({"alive": {"const": True}}),
        "Ready": _object({"ready": {"type": "boolean"}, "symbols": whole}),
    }


def _rows(third: Json) -> Json:
    """Price, size, and what else a row tells."""
    row = [{"type": "string", "pattern": _LEVEL}] * 2 + [third]
    return {
        "type": "array",
        "items": {"type": "array", "prefixItems": row, "minItems": len(row), "maxItems": len(row)},
    }


def _bitmex_row() -> Json:
    """A row; those of before July 2023 tell no ``transactTime``."""
    row = _object(
        {
            "symbol": _TEXT,
            "id": {"type": "integer"},
            "side": {"enum": ["Buy", "Sell"]},
            "size": {"type": "integer"},
            "price": {"type": "number"},
            "timestamp": _TEXT,
            "transactTime": _TEXT,
        }
    )
    row["required"].remove("transactTime")
    return row


def _one_or_many(name: str) -> Json:
    one = {"$ref": f"#/components/schemas/{name}"}
    return {"oneOf": [one, {"type": "array", "items": one}]}


def _change_record(whole: Json) -> Json:
    """One change of an exchange's metadata."""
    change = {"path": _TEXT, "what": _TEXT, "from": {}, "to": {}}
    return _object(
        {
            "kind": _TEXT,
            "sequence": whole,
            "observedMs": whole,
            "validMs": {"type": ["integer", "null"]},
            "replica": _TEXT,
            "sha256": _TEXT,
            "bytes": whole,
            "previous": {"type": ["string", "null"]},
            "changes": {"type": "array", "items": _object(change)},
        }
    )


def _event(name: str, data: str, more: Json) -> Json:
    """A server-sent event of this name. Its data are JSON, of which validators see the text."""
    content = {
        "contentMediaType": JSON,
        "contentSchema": {"$ref": f"#/components/schemas/{data}"},
    }
    return {
        "type": "object",
        "required": ["event", "data", *more],
        "properties": {"event": {"const": name}, "data": {"type": "string", **content}, **more},
    }


def _object(members: Json) -> Json:
    """Exactly these members."""
    return {
        "type": "object",
        "required": list(members),
        "properties": members,
        "additionalProperties": False,
    }
