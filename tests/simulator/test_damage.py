"""Damaged frames are no depth update, each in its way."""

import json
import re
from random import Random
from typing import Any

import pytest

from simulator.damage import damaged
from simulator.faults import FORMS, Kind

DATA = (
    '{"e":"depthUpdate","E":5,"s":"ABC","U":100,"u":104,'
    '"b":[["1.2","0.7"],["1.0","0.0"]],"a":[["2.0","0.3"],["2.1","0.1"]]}'
)
COMBINED = f'{{"stream":"abc@depth@100ms","data":{DATA}}}'


def is_update(frame: str | bytes) -> bool:
    """What a strict reader would say."""
    try:
        message: Any = json.loads(frame)
    except ValueError:
        return False
    data = message.get("data", message) if isinstance(message, dict) else {}
    return (
        isinstance(data, dict)
        and isinstance(data.get("s"), str)
        and all(type(data.get(name)) is int for name in "Uu")
        and all(isinstance(data.get(side), list) and all(map(is_level, data[side])) for side in "ba")
    )


def is_level(level: Any) -> bool:
    return (
        isinstance(level, list)
        and len(level) == 2
        and all(isinstance(n, str) and re.fullmatch(r"[0-9]+\.[0-9]+", n) for n in level)
    )


@pytest.mark.parametrize("frame", [DATA, COMBINED], ids=["raw", "combined"])
@pytest.mark.parametrize("form", FORMS[Kind.MALFORMED])
def test_a_damaged_frame_is_never_taken_for_an_update(form: str, frame: str) -> None:
    assert is_update(frame)
    rng = Random(1)
    results = {damaged(frame, form, rng) for _ in range(300)}
    assert not any(map(is_update, results))
    assert len(results) > 4
    assert all(isinstance(result, bytes) == (form == "binary") for result in results)
