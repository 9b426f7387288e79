"""An HTTP answer as a value, and what faults do to answers on their way. Sans-I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from simulator.faults import Faults, Kind

SPOILED: Final = ("500", "503", "html", "page", "truncated", "shrunk", "cut", "hang")
"""How an answer may be damaged: an error, a web page in its place (with 200: ``page``), half of the body, a
list of no symbols or an object of no members, half of it and then the end, or nothing at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, to be sent after ``delay_s``.

    ``fate``: it arrives whole, is cut off in the middle of its body, or never comes.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    fate: Literal["whole", "cut", "never"] = "whole"


def troubled(
    answer: Answer, faults: Faults, symbol: str, *, number: int, errors: Mapping[str, Answer]
) -> Answer:
    """The answer that shows a symbol's book at ``number``, late or failed where a fault says so.

    ``errors`` are the exchange's own answers of status 500 and 503.
    """
    slow = faults.take((Kind.SLOW_SNAPSHOT,), symbol)
    if slow is not None:
        faults.record(slow, symbol, None, f"{number} after {slow.delay_s:.3f} s")
        answer = replace(answer, delay_s=slow.delay_s)
    failed = faults.take((Kind.FAILED_SNAPSHOT,), symbol)
    if failed is not None:
        faults.record(failed, symbol, None)
        answer = spoiled(answer, failed.form, errors)
    return answer


def spoiled(answer: Answer, form: str, errors: Mapping[str, Answer]) -> Answer:
    """The answer in a form of :data:`SPOILED`; ``errors`` by status, with their bodies and headers."""
    match form:
        case "500" | "503":
            error = errors[form]
            return replace(answer, status=error.status, body=error.body, headers=error.headers)
        case "html":
            page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            return replace(answer, status=502, body=page, headers={"Content-Type": "text/html"})
        case "page":
            page = b"<html><head><title>Maintenance</title></head><body>Back soon.</body></html>"
            return replace(answer, body=page, headers={"Content-Type": "text/html"})
        case "truncated":
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case "shrunk":
            return replace(answer, body=_shrunk(answer.body))
        case "cut":
            return replace(answer, fate="cut")
        case _:
            return replace(answer, fate="never")


def _shrunk(body: bytes) -> bytes:
    whole = json.loads(body)
    if isinstance(whole, list):
        return b"[]"
    none = {**whole, "symbols": []} if "symbols" in whole else {}
    return json.dumps(none, separators=(",", ":"), ensure_ascii=False).encode()
