"""Diff frames as no exchange should send them: whole ones, damaged on purpose."""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

_BAD_NUMBERS: Final = ("abc", "-1.50000000", "NaN", "Infinity", "", "1e5", "1,5", "0x10", " 1.0", "１.0")
_EMPTY: Final = ("", "{}", "[]", "null", '""', "0")


def damaged(frame: str, form: str, rng: Random) -> str | bytes:
    """A frame that no reader may take for the depth update in ``frame``.

    ==========  ====================================================================
    json        broken off in the middle
    missing     one of the update's ids, its symbol or a side is not there
    number      a price or a quantity is no plain decimal number
    type        an id is text, or a side or level is not the array it should be
    binary      random bytes in a binary frame
    empty       nothing, or JSON that says nothing
    ==========  ====================================================================
    """
    broken = unreadable(frame, form, rng)
    return _FORMS[form](frame, rng) if broken is None else broken


def unreadable(frame: str, form: str, rng: Random) -> str | bytes | None:
    """The same for the forms that need not know the protocol; ``None`` for the others."""
    match form:
        case "json":
            return frame[: rng.randrange(1, len(frame))]
        case "binary":
            return b"\xff" + rng.randbytes(rng.randrange(1, 200))
        case "empty":
            return rng.choice(_EMPTY)
    return None


def _missing(frame: str, rng: Random) -> str:
    message, data = _parsed(frame)
    del data[rng.choice([name for name in ("s", "U", "u", "pu", "b", "a") if name in data])]
    return _written(message)


def _number(frame: str, rng: Random) -> str:
    message, data = _parsed(frame)
    level = rng.choice([*data["b"], *data["a"]])
    level[rng.randrange(2)] = rng.choice(_BAD_NUMBERS)
    return _written(message)


def _type(frame: str, rng: Random) -> str:
    message, data = _parsed(frame)
    member = rng.choice(("U", "u", "b", "a", "level"))
    match member:
        case "U" | "u":
            data[member] = rng.choice((str(data[member]), None, 1.5, []))
        case "b" | "a":
            data[member] = rng.choice((None, "", {}, 0))
        case _:
            side = data["b"] or data["a"]
            side[0] = rng.choice((None, [], [side[0][0]], [*side[0], "1"], {"price": side[0][0]}, 7))
    return _written(message)


_FORMS: Final[Mapping[str, Callable[[str, Random], str | bytes]]] = {
    "missing": _missing,
    "number": _number,
    "type": _type,
}


def _parsed(frame: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The message, and within it the update itself (a combined stream wraps it)."""
    message: dict[str, Any] = json.loads(frame)
    return message, message.get("data", message)


def _written(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
