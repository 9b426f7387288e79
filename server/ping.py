"""``GET /api/v3/ping`` and ``/api/v3/time``: the endpoints without a book.

They check what Binance's do: the time unit, then that no parameter was sent.
"""

import time
from collections.abc import Callable
from typing import Final

from depthcast.venues.binance_rest import TimeUnit, refuse_parameters, time_body
from depthcast.venues.requests import ApiError
from server.answers import Answer, Asked, Endpoint, for_good, json_answer
from server.parsing import Parsing, time_unit

Refuse = Callable[[bytes], ApiError | None]
"""A venue's refusal of a query string sent to an endpoint without parameters, if any."""

_PONG: Final = for_good(json_answer(b"{}"))


def ping_endpoint(refuse: Refuse = refuse_parameters, *, units: bool = True) -> Endpoint:
    """``{}``."""
    parsing = Parsing[None](refuse, remembered=64, units=units)

    def answer(asked: Asked) -> Answer:
        return parsing.read(asked) or _PONG

    return answer


ping: Final = ping_endpoint()
"""The first venue's."""


def time_endpoint(
    wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    *,
    refuse: Refuse = refuse_parameters,
    body: Callable[[int, TimeUnit], bytes] = time_body,
    units: bool = True,
) -> Endpoint:
    """What the time is by a clock of microseconds since 1970, in a venue's words: ``body``. ``units``: they
    are sent in the unit asked for."""
    parsing = Parsing[None](refuse, remembered=64, units=units)

    def answer(asked: Asked) -> Answer:
        refused = parsing.read(asked)
        if refused is not None:
            return refused
        return json_answer(body(wall_us(), time_unit(asked) if units else "MILLISECOND"))

    return answer
