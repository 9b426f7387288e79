"""What is read of an answer, whichever venue's: its headers, its JSON, members of one type. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from depthcast.errors import MalformedAnswer
from depthcast.metadata.document import LONG_CHARACTERS, read_json


def header(headers: Mapping[str, str], name: str) -> str:
    """The header ``name``, which is in small letters, however it is spelled; empty where there is none.

    >>> header({"Retry-After": " 7 "}, "retry-after")
    '7'
    """
    for candidate, value in headers.items():
        if candidate.lower() == name:
            return value.strip()
    return ""


def json_object(url: str, body: bytes) -> dict[str, Any]:
    """The members of an answer of ``url``. Raises :class:`~depthcast.errors.MalformedAnswer`."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MalformedAnswer(url, f"not JSON: {body[:60]!r}") from None
    if not isinstance(answer, dict):
        raise MalformedAnswer(url, "not a JSON object")
    return answer


def listing_object(url: str, body: bytes) -> dict[str, Any]:
    """As :func:`json_object`; a long body in pieces, between which other threads have their turn."""
    if len(body) < LONG_CHARACTERS:
        return json_object(url, body)
    try:
        answer = read_json(body)
    except ValueError:
        raise MalformedAnswer(url, f"not JSON: {body[:60]!r}") from None
    if not isinstance(answer, dict):
        raise MalformedAnswer(url, "not a JSON object")
    return answer


def text_of(value: object) -> str:
    """A member that is a text. Raises TypeError for any other."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40}, which is no text")
    return value


def whole_of(value: object) -> int:
    """A count; of another type it would be reckoned with all the same, and come to infinity or to a text."""
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r:.40}, which is no count")
    return value


def one_line(text: object) -> str:
    """A venue's words as part of an error: in one line, not longer than 300 characters.

    >>> one_line("over\\n  loaded")
    'over loaded'
    """
    return " ".join(str(text).split())[:300]
