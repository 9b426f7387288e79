"""``Options``: what the exchange object was told of us, in ``options["depthcast"]``. Values only, checked.

Leaves to others: what a single call may ask for (:mod:`depthcast.ccxt.wish`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, cast, get_args
from urllib.parse import urlsplit

from ccxt.base.errors import ArgumentsRequired, BadRequest

Source = Literal["local", "server", "rest"]
"""Who answers: a book in this process, a Depthcast server, or the exchange itself."""

SOURCES: Final = get_args(Source)

MAX_DEPTH: Final = 5000
"""The most levels a side that books may be asked to have; an exchange that shows fewer gives those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``source``: who is asked first. ``fallback``: whether others are asked where that one has no good book.

    ``max_age_ms``: no book is answered that was not known to be the exchange's within so many milliseconds;
    ``None``: however old. ``rest_url`` and ``ws_url`` are the exchange's for the books in this process, by
    default those that belong to the exchange object's own REST address. ``max_books`` bounds how many books
    calls may start to keep; a symbol beyond it is asked for elsewhere.
    """

    source: Source = "local"
    server: str | None = None
    fallback: bool = True
    max_age_ms: float | None = 5000.0
    rest_url: str | None = None
    ws_url: str | None = None
    depth: int = MAX_DEPTH
    weight_share: float | None = None
    max_books: int = 200

    def __post_init__(self) -> None:
        check_source(self.source)
        check_age(self.max_age_ms)
        check_flag("fallback", self.fallback)
        for name in ("server", "rest_url", "ws_url"):
            check_url(name, getattr(self, name))
        for name, highest in (("depth", MAX_DEPTH), ("max_books", 10_000)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= highest:
                raise BadRequest(f"depthcast: {name} is an integer from 1 to {highest}, not {value!r:.40}")
        share = self.weight_share
        if share is not None and not (type(share) in (int, float) and 0 < share <= 1):
            raise BadRequest(f"depthcast: weight_share is above 0 and at most 1, not {share!r:.40}")
        if self.source == "server" and self.server is None:
            raise _no_server()

    def ways(self, first: Source, fallback: bool) -> tuple[Source, ...]:
        """Who is asked, in this order, where a call or these options name ``first``."""
        if first == "server" and self.server is None:
            raise _no_server()
        if not fallback:
            return (first,)
        known: tuple[Source, ...] = ("local", "server", "rest") if self.server else ("local", "rest")
        return known[known.index(first) :]


def parse_options(given: Any) -> Options:
    """``exchange.options["depthcast"]``, which may be missing (``None``). Raises ccxt's ``BadRequest``."""
    if given is None:
        return Options()
    if not isinstance(given, Mapping):
        raise BadRequest(f'depthcast: options["depthcast"] is a dict of options, not {given!r:.40}')
    known = [field.name for field in fields(Options)]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise BadRequest(f"depthcast: there is no option {unknown[0]!r:.40}, only {', '.join(known)}")
    return Options(**given)


def check_source(given: Any) -> Source:
    """One of :data:`SOURCES`. Raises ``BadRequest``."""
    if given not in SOURCES:
        raise BadRequest(f"depthcast: source is one of {', '.join(SOURCES)}, not {given!r:.40}")
    return cast(Source, given)


def check_age(given: Any) -> float | None:
    """Milliseconds above 0, or ``None`` for no bound. Raises ``BadRequest``."""
    if given is None:
        return None
    if type(given) not in (int, float) or math.isnan(given) or given <= 0:
        raise BadRequest(
            f"depthcast: max_age_ms is a number above 0, or None for books of any age, not {given!r:.40}"
        )
    return float(given)


def check_flag(name: str, given: Any) -> bool:
    """True or False. Raises ``BadRequest``."""
    if type(given) is not bool:
        raise BadRequest(f"depthcast: {name} is True or False, not {given!r:.40}")
    return given


def check_url(name: str, given: Any) -> None:
    """A base url, or ``None``. Raises ``BadRequest``, without showing a password that may be in it."""
    if given is None:
        return
    schemes = ("ws", "wss") if name == "ws_url" else ("http", "https")
    try:
        parts = urlsplit(given) if isinstance(given, str) else None
        good = parts is not None and parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        good = good and parts is not None and "@" not in parts.netloc and not parts.query
    except ValueError:
        good = False
    if not good:
        raise BadRequest(
            f"depthcast: {name} is not a base url; write {' or '.join(schemes)}://host[:port], "
            "without a query or a password"
        )


def _no_server() -> ArgumentsRequired:
    return ArgumentsRequired(
        'depthcast: no server is known; set options["depthcast"]["server"] to its address'
    )
