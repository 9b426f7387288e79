"""JSON documents read and written without losing anything.

Numbers with a fraction are kept as :class:`~decimal.Decimal`, members in their order, text as it is. So what
is compact and spelled plainly, as exchanges write it, comes back byte for byte. Pure.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

Json = dict[str, Any]

LONG_CHARACTERS: Final = 256 * 1024
"""A longer text is read in pieces."""

_BLANKS: Final = re.compile(r"[ \t\n\r]*")


def read_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ``ValueError`` for anything else, ``NaN`` included.

    A long object is read member by member, and lists element by element, so that a thread that does it lets
    others have their turn: one call for megabytes would keep them all waiting until its end.

    >>> read_json(b'{"a":1.50,"b":[2]}')
    {'a': Decimal('1.50'), 'b': [2]}
    """
    text = body.decode()
    try:
        return _DECODER.decode(text) if len(text) < LONG_CHARACTERS else _read_in_pieces(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _read_in_pieces(text: str) -> Any:
    at = _after_blanks(text, 0)
    if text.startswith("[", at):
        elements, at = _read_list(text, at)
        _check_end(text, at)
        return elements
    if not text.startswith("{", at):
        return _DECODER.decode(text)
    members, at = {}, _after_blanks(text, at + 1)
    ended = text.startswith("}", at)
    while not ended:
        if not text.startswith('"', at):
            raise ValueError(f"a member has no name at {at}")
        name, at = _DECODER.raw_decode(text, at)
        at = _after_blanks(text, at)
        if not text.startswith(":", at):
            raise ValueError(f"a member has no value at {at}")
        at = _after_blanks(text, at + 1)
        members[name], at = (
            _read_list(text, at) if text.startswith("[", at) else _DECODER.raw_decode(text, at)
        )
        at, ended = _after_one(text, at, "}")
    _check_end(text, at + 1)
    return members


def _check_end(text: str, at: int) -> None:
    if _after_blanks(text, at) != len(text):
        raise ValueError(f"something follows at {at}")


def _read_list(text: str, at: int) -> tuple[list[Any], int]:
    """The list that begins at ``at``, and where it ends."""
    elements, at = [], _after_blanks(text, at + 1)
    ended = text.startswith("]", at)
    while not ended:
        element, at = _DECODER.raw_decode(text, at)
        elements.append(element)
        at, ended = _after_one(text, at, "]")
    return elements, at + 1


def _after_one(text: str, at: int, end: str) -> tuple[int, bool]:
    """Where the next one begins behind one that ends at ``at``, or where ``end`` is, and whether it is."""
    at = _after_blanks(text, at)
    if text.startswith(end, at):
        return at, True
    if not text.startswith(",", at):
        raise ValueError(f"neither a comma nor an end at {at}")
    return _after_blanks(text, at + 1), False


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found is not None
    return found.end()


def let_go(members: Mapping[str, Any]) -> None:
    """Empty the lists that are members of a document, element by element; what others hold of them stays.

    A list of thousands of symbols as Python values is a million objects. Where they end at once, that is one
    step of the interpreter: 25 ms of Binance's, for which no other thread runs.

    >>> members = {"symbols": [{"symbol": "A"}], "timezone": "UTC"}
    >>> let_go(members)
    >>> members
    {'symbols': [], 'timezone': 'UTC'}
    """
    for held in members.values():
        if isinstance(held, list):
            while held:
                held.pop()


def write_json(value: Any) -> bytes:
    """The reverse of :func:`read_json`, compact.

    >>> write_json(read_json('{"a":1.50,"b":["币",null]}'.encode())).decode()
    '{"a":1.50,"b":["币",null]}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except TypeError:
        text = _written(value)  # a Decimal, which the standard library cannot write as a number
    return text.encode()


def _written(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_written(str(name))}:{_written(held)}" for name, held in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_number)
