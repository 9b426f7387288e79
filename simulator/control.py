"""Control messages of a stream connection: read, checked in Binance's order, refused in its words. Pure."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

_METHOD: Final = re.compile(r'"method"\s*:\s*"(?:[^"\\]|\\.)*"')


class Control(NamedTuple):
    """A request that can be carried out: ``params`` fit the method."""

    method: str
    params: Sequence[Any]
    id: int | str | None

    def result(self, result: object) -> str:
        """The answer ``{"result":…,"id":…}``."""
        return _compact({"result": result, "id": self.id})


class Failure(NamedTuple):
    """A request that is refused. Only an unknown property's refusal names the request's id."""

    code: int
    msg: str
    id: int | str | None = None

    def text(self) -> str:
        """The answer ``{"code":…,"msg":…}``."""
        answer: dict[str, object] = {"code": self.code, "msg": self.msg}
        if self.code == UNKNOWN_PROPERTY:
            answer["id"] = self.id
        return _compact(answer)


UNKNOWN_PROPERTY: Final = 0
WRONG_VALUE: Final = 1
INVALID_REQUEST: Final = 2
INVALID_JSON: Final = 3


def parse_control(text: str) -> Control | Failure:
    """The request in a text frame.

    >>> parse_control('{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":1}')
    Control(method='SUBSCRIBE', params=['btcusdt@depth'], id=1)
    >>> parse_control("{").text()
    '{"code":3,"msg":"Invalid JSON: expected value at line 1 column 2"}'
    """
    try:
        message = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        return Failure(INVALID_JSON, f"Invalid JSON: expected value at {where}")
    except RecursionError:
        return Failure(INVALID_JSON, "Invalid JSON: recursion limit exceeded at line 1 column 128")
    if not isinstance(message, dict) or "method" not in message:
        return _invalid(f"missing field `method` at {_place(text, len(text))}")
    method, request_id, params = message["method"], message.get("id"), message.get("params", [])
    if method not in METHODS:
        found = _METHOD.search(text)
        expected = ", ".join(f"`{name}`" for name in METHODS)
        place = _place(text, found.end() if found else len(text))
        return _invalid(f"unknown variant `{method}`, expected one of {expected} at {place}")
    if not _valid_id(request_id):
        return _invalid("request ID must be an unsigned integer")
    if not isinstance(params, list):
        return _invalid("params must be an array")
    return _check(Control(method, params, request_id))


def _check(request: Control) -> Control | Failure:
    params = request.params
    if request.method in ("SUBSCRIBE", "UNSUBSCRIBE"):
        names = all(isinstance(name, str) for name in params)
        return request if names else _invalid("stream name must be a string")
    most = {"LIST_SUBSCRIPTIONS": 0, "GET_PROPERTY": 1, "SET_PROPERTY": 2}[request.method]
    if len(params) > most:
        return _invalid("too many parameters")
    if most == 0:
        return request
    if not params or not isinstance(params[0], str):
        return _invalid("property name must be a string")
    if params[0] != "combined":
        return Failure(UNKNOWN_PROPERTY, "Unknown property", request.id)
    if most == 2 and (len(params) < 2 or not isinstance(params[1], bool)):
        return Failure(WRONG_VALUE, "Invalid value type: expected Boolean")
    return request


def _valid_id(request_id: object) -> bool:
    """*"64-bit signed integers, alphanumeric strings (max length 36), null"*; the refusal's text is older."""
    if isinstance(request_id, str):
        return request_id.isascii() and request_id.isalnum() and len(request_id) <= 36
    return request_id is None or (type(request_id) is int and -(2**63) <= request_id < 2**63)


def _invalid(why: str) -> Failure:
    return Failure(INVALID_REQUEST, f"Invalid request: {why}")


def _place(text: str, end: int) -> str:
    column = end - (text.rfind("\n", 0, end) + 1)
    return f"line {text.count(chr(10), 0, end) + 1} column {column}"


def _compact(message: dict[str, object]) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
