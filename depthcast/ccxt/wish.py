"""``Wish``: what one call asks for, apart from what is the exchange's to read. Values only, checked.

``params`` of a call may hold ``source``, ``fallback``, ``max_age_ms`` and ``strings``; they never reach the
exchange. Everything else in it does, and then no book in this process can answer: what ``symbolStatus`` asks
for, or whatever the exchange may know next year, is for those who know it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ccxt.base.errors import BadRequest

from depthcast.ccxt.options import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Options,
    Source,
    check_age,
    check_flag,
    check_source,
)

_OURS = frozenset({"source", "fallback", "max_age_ms", "strings"})


class Wish(NamedTuple):
    """``source``: who was named to be asked first; ``ways``: who is asked, in this order.

    ``strings``: levels as the exchange wrote them, not as floats. ``passed`` is the rest of the call's
    ``params``.
    """

    source: Source
    ways: tuple[Source, ...]
    max_age_ms: float | None
    strings: bool
    passed: dict[str, Any]


def levels_of(limit: Any) -> int | None:
    """How many levels a side a limit means, 100 where it is ``None``.

    The answer is ``None`` for what is no limit: who gave it is to hear so in the exchange's own words.

    >>> [levels_of(limit) for limit in (None, 1, 7, 5000, 9999, 0, -5, "5", 5.0, True)]
    [100, 1, 7, 5000, 5000, None, None, None, None, None]
    """
    if limit is None:
        return DEFAULT_LIMIT
    if type(limit) is not int or limit < 1:
        return None
    return min(limit, MAX_LIMIT)


def parse_wish(options: Options, params: Mapping[str, Any], *, local: bool = True) -> Wish:
    """What ``params`` ask for under ``options``. ``local``: whether a book in this process might do.

    Raises ccxt's ``BadRequest`` and ``ArgumentsRequired``.
    """
    source, fallback, max_age_ms, strings = options.source, options.fallback, options.max_age_ms, False
    passed: dict[str, Any] = {}
    if params:
        passed = {name: value for name, value in params.items() if name not in _OURS}
        source = check_source(params.get("source", source))
        fallback = check_flag("fallback", params.get("fallback", fallback))
        max_age_ms = check_age(params.get("max_age_ms", max_age_ms))
        strings = check_flag("strings", params.get("strings", False))
    ways = options.ways(source, fallback)
    if ways[0] == "local" and (passed or not local):
        ways = ways[1:]
        if not ways:
            what = f"with {next(iter(passed))!r:.40}" if passed else "like this"
            raise BadRequest(f"depthcast: a call {what} is for the exchange, and fallback is off")
    return Wish(source, ways, max_age_ms, strings, passed)


def without_ours(params: Mapping[str, Any]) -> dict[str, Any]:
    """``params`` for a market that is the original's alone."""
    return {name: value for name, value in params.items() if name not in _OURS}
