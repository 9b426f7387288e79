"""JSON documents read and written without losing anything.

Numbers with a fraction are kept as :class:`~decimal.Decimal`, members in their order, text as it is. So what
is compact and spelled plainly, as exchanges write it, comes back byte for byte. Pure.
"""

import json
from decimal import Decimal
from typing import Any, NoReturn

Json = dict[str, Any]


def read_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ``ValueError`` for anything else, ``NaN`` included.

    >>> read_json(b'{"a":1.50,"b":[2]}')
    {'a': Decimal('1.50'), 'b': [2]}
    """
    try:
        return json.loads(body.decode(), parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


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
