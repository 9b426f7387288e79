"""What a client of the exchange's websocket may say: read, and refused in the exchange's words. Pure.

The checks come in the order JSON, method, id, parameters, property, value; the first that fails answers.
"""

import json
import re
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

_ID_LENGTH: Final = 36
_HALF_CHARACTER: Final = re.compile(r"\\u[dD][89a-fA-F]")
_METHOD: Final = re.compile(r'"method"\s*:\s*"(?:[^"\\]|\\.)*"')


class Method(Enum):
    """What can be asked for."""

    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    LIST_SUBSCRIPTIONS = "LIST_SUBSCRIPTIONS"
    SET_PROPERTY = "SET_PROPERTY"
    GET_PROPERTY = "GET_PROPERTY"


class Request(NamedTuple):
    """A request that can be carried out: ``params`` fit the method, names of streams or a property."""

    method: Method
    params: Sequence[Any]
    id: int | str | None

    def result(self, result: object) -> str:
        """The answer to it."""
        return compact({"result": result, "id": self.id})


class Refusal(NamedTuple):
    """A request that is refused, with the whole answer."""

    answer: str


def refuse(code: int, msg: str, **members: object) -> Refusal:
    """A refusal with the exchange's code and words."""
    return Refusal(compact({"code": code, "msg": msg, **members}))


_NO_VALUE: Final = Refusal('{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}')


def parse_request(text: str) -> Request | Refusal:
    """The request that a text message makes.

    >>> parse_request('{"method":"SUBSCRIBE","params":["btcusdt@depth5"],"id":1}').params
    ['btcusdt@depth5']
    >>> parse_request('{"id":1}').answer
    '{"code":2,"msg":"Invalid request: missing field `method` at line 1 column 8"}'
    """
    try:
        return _parsed(text)
    except RecursionError:
        # Too deep to be read; or, just not as deep, too deep to be written again.
        return _NO_VALUE


def _parsed(text: str) -> Request | Refusal:
    try:
        message = json.loads(text)
    except json.JSONDecodeError as error:
        return refuse(3, f"Invalid JSON: expected value at line {error.lineno} column {error.colno}")
    except ValueError:  # a number of too many digits
        return _NO_VALUE
    if _HALF_CHARACTER.search(text) is not None and not _is_text(message):
        return _NO_VALUE
    if not isinstance(message, dict) or "method" not in message:
        return _invalid(f"missing field `method` at {_place(text, len(text))}")
    named, request_id, params = message["method"], message.get("id"), message.get("params", [])
    try:
        method = Method(named)
    except ValueError:
        found = _METHOD.search(text)
        variants = ", ".join(f"`{each.value}`" for each in Method)
        place = _place(text, found.end() if found else len(text))
        return _invalid(f"unknown variant `{named}`, expected one of {variants} at {place}")
    if not _valid_id(request_id):
        return _invalid("request ID must be an unsigned integer")
    if not isinstance(params, list):
        return _invalid("params must be an array")
    return _fitting(Request(method, params, request_id))


def _is_text(message: object) -> bool:
    """Whether all its characters are whole: JSON may escape half of a pair, which no UTF-8 has."""
    try:
        compact(message).encode()
    except UnicodeEncodeError:
        return False
    return True


def compact(message: object) -> str:
    """JSON without blanks, other alphabets as they are."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def _fitting(request: Request) -> Request | Refusal:
    method, params, _ = request
    if method in (Method.SUBSCRIBE, Method.UNSUBSCRIBE):
        if all(isinstance(name, str) for name in params):
            return request
        return _invalid("stream name must be a string")
    most = {Method.LIST_SUBSCRIPTIONS: 0, Method.GET_PROPERTY: 1, Method.SET_PROPERTY: 2}[method]
    if len(params) > most:
        return _invalid("too many parameters")
    if method is Method.LIST_SUBSCRIPTIONS:
        return request
    if not params or not isinstance(params[0], str):
        return _invalid("property name must be a string")
    if params[0] != "combined":
        return refuse(0, "Unknown property", id=request.id)
    if method is Method.SET_PROPERTY and (len(params) < 2 or not isinstance(params[1], bool)):
        return refuse(1, "Invalid value type: expected Boolean")
    return request


def _valid_id(request_id: object) -> bool:
    """*"64-bit signed integers; alphanumeric strings; max length 36; null"*."""
    if isinstance(request_id, str):
        return request_id.isascii() and request_id.isalnum() and len(request_id) <= _ID_LENGTH
    return request_id is None or (type(request_id) is int and -(2**63) <= request_id < 2**63)


def _invalid(why: str) -> Refusal:
    return refuse(2, f"Invalid request: {why}")


def _place(text: str, end: int) -> str:
    line_start = text.rfind("\n", 0, end) + 1
    return f"line {text.count(chr(10), 0, end) + 1} column {end - line_start}"
