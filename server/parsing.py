"""Requests read from what was asked: the checks that come first everywhere, and queries read before.

Most requests are repeated, and reading one costs more than all the rest, so what short queries mean is
remembered. Long ones are read each time: memory is bounded.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Generic, TypeVar

from depthcast.venues.binance_rest import TimeUnit, parse_time_unit
from depthcast.venues.requests import ApiError
from server.answers import QUERY_TOO_LONG, Answer, Asked, refusal

MAX_QUERY_BYTES: Final = 8192
DEFAULT_REMEMBERED: Final = 4096
REMEMBERED_QUERY_BYTES: Final = 128

T = TypeVar("T")


class Parsing(Generic[T]):
    """Reads one endpoint's queries by ``parse``; ``remembered`` of them are kept. ``units``: whether the time
    unit is looked at, as Binance does."""

    def __init__(
        self,
        parse: Callable[[bytes], T | ApiError],
        *,
        remembered: int = DEFAULT_REMEMBERED,
        units: bool = True,
    ) -> None:
        self._parse = parse
        self._units = units
        self._parse_cached = lru_cache(maxsize=remembered)(parse)

    def read(self, asked: Asked) -> T | Answer:
        """The request, or its refusal: too long a query (414), then the time unit, then the query's own."""
        query = b"%b?%b" % (asked.place, asked.query) if asked.place else asked.query
        if len(query) > MAX_QUERY_BYTES:
            return QUERY_TOO_LONG
        if self._units:
            unit = parse_time_unit(asked.time_unit)
            if isinstance(unit, ApiError):
                return refusal(unit)
        parse = self._parse_cached if len(query) <= REMEMBERED_QUERY_BYTES else self._parse
        request = parse(query)
        return refusal(request) if isinstance(request, ApiError) else request


def time_unit(asked: Asked) -> TimeUnit:
    """The unit asked for, by a request that was read."""
    unit = parse_time_unit(asked.time_unit)
    assert not isinstance(unit, ApiError)
    return unit
