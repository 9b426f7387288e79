"""``GET /api/v3/ping`` and ``/api/v3/time``: the endpoints without a book.

They check what Binance's do: the time unit, then that no parameter was sent.
"""

import time
from collections.abc import Callable
from typing import Final

import orjson

from depthcast.venues.binance_rest import ApiError, parse_time_unit, refuse_parameters
from server.answers import Answer, Asked, Endpoint, for_good, json_answer, refusal

_PONG: Final = for_good(json_answer(b"{}"))


def ping(asked: Asked) -> Answer:
    """``{}``."""
    return _refused(asked) or _PONG


def time_endpoint(wall_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> Endpoint:
    """``{"serverTime":…}`` by a clock of microseconds since 1970, which are sent where they are asked for."""

    def answer(asked: Asked) -> Answer:
        refused = _refused(asked)
        if refused is not None:
            return refused
        now_us = wall_us()
        micro = parse_time_unit(asked.time_unit) == "MICROSECOND"
        return json_answer(orjson.dumps({"serverTime": now_us if micro else now_us // 1000}))

    return answer


def _refused(asked: Asked) -> Answer | None:
    unit = parse_time_unit(asked.time_unit)
    error = unit if isinstance(unit, ApiError) else refuse_parameters(asked.query)
    return refusal(error) if error is not None else None
