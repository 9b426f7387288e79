"""``GET /api/v3/ping`` and ``/api/v3/time``: the endpoints without a book.

They check what Binance's do: the time unit, then that no parameter was sent.
"""

import time
from collections.abc import Callable
from typing import Final

import orjson

from depthcast.venues.binance_rest import ApiError, refuse_parameters
from server.answers import Answer, Asked, Endpoint, for_good, json_answer
from server.parsing import Parsing, time_unit

Refuse = Callable[[bytes], ApiError | None]
"""A venue's refusal of a query string sent to an endpoint without parameters, if any."""

_PONG: Final = for_good(json_answer(b"{}"))


def ping_endpoint(refuse: Refuse = refuse_parameters) -> Endpoint:
    """``{}``."""
    parsing = Parsing[None](refuse, remembered=64)

    def answer(asked: Asked) -> Answer:
        return parsing.read(asked) or _PONG

    return answer


ping: Final = ping_endpoint()
"""The first venue's."""


def time_endpoint(
    wall_us: Callable[[], int] = lambda: time.time_ns() // 1000, *, refuse: Refuse = refuse_parameters
) -> Endpoint:
    """``{"serverTime":…}`` by a clock of microseconds since 1970, which are sent where they are asked for."""
    parsing = Parsing[None](refuse, remembered=64)

    def answer(asked: Asked) -> Answer:
        refused = parsing.read(asked)
        if refused is not None:
            return refused
        now_us = wall_us()
        micro = time_unit(asked) == "MICROSECOND"
        return json_answer(orjson.dumps({"serverTime": now_us if micro else now_us // 1000}))

    return answer
