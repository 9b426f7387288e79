"""``Wish``: what one call asks for, apart from what is the exchange's to read. Values only, checked.

``params`` of a call may hold ``source``, ``fallback``, ``max_age_ms`` and ``strings``; they never reach the
exchange. Everything else in it does, and then no book in this process can answer, unless the exchange's
dialect understands it: what ``symbolStatus`` asks for, or whatever the exchange may know next year, is for
those who know it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ccxt.base.errors import BadRequest

from depthcast.ccxt.options import (
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


def parse_wish(
    options: Options,
    params: Mapping[str, Any],
    *,
    local: bool = True,
    understood: frozenset[str] = frozenset(),
) -> Wish:
    """What ``params`` ask for under ``options``. ``local``: whether a book in this process might do, which
    can answer what is ``understood``.

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
    beyond = [name for name in passed if name not in understood]
    if ways[0] == "local" and (beyond or not local):
        ways = ways[1:]
        if not ways:
            what = f"with {beyond[0]!r:.40}" if beyond else "like this"
            raise BadRequest(f"depthcast: a call {what} is for the exchange, and fallback is off")
    return Wish(source, ways, max_age_ms, strings, passed)


def without_ours(params: Mapping[str, Any]) -> dict[str, Any]:
    """``params`` for a market that is the original's alone."""
    return {name: value for name, value in params.items() if name not in _OURS}
