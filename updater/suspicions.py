"""``Suspicions``: symbols that look, by their feed, as if they stood still. Sans-I/O, no clock.

The exchange's list says what stands still, once it was asked. The feed shows it before: but a quiet symbol is
no halted one, and so what is found here is called by its own names, beside the exchange's word and never in
its place.

=============  ===========================================================================================
``SILENT``     no diff for ``silent_after_s``, and for ``factor`` times as long as the longest of its last
               X``ONE_SIDED``  the book has lost all bids, or all asks, and has the others
``EMPTY``      it has lost both
=============  ===========================================================================================

Nothing is said of a symbol whose connection is not heard or whose book is being built: that is our own
trouble. Each is taken back with the first diff that shows otherwise.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Final, NamedTuple

GAPS: Final = 32
LEAST_GAPS: Final = 8
"""Of a symbol with fewer pauses known nothing is said: its usual pace is not."""

AS_OFTEN: Final = 2.0
"""A neighbour whose longest pause is up to so many times as long changes about as often: of two alike, chance
says whose is the longer."""

HEARD_WITHIN_S: Final = 3.0
"""A connection is pinged after 1.2 s without a frame: one that was not heard for longer may be broken."""


class What(Enum):
    """The table above; the value is what is published."""

    SILENT = "SILENT"
    ONE_SIDED = "ONE_SIDED"
    EMPTY = "EMPTY"


class Suspicion(NamedTuple):
    """``since_ms``: the exchange's clock of the last diff, in ms since 1970, alike for all who heard it."""

    what: What
    since_ms: int


class Seen(NamedTuple):
    """One symbol as it is now. ``changed_at`` is the caller's clock when the last diff came; ``bids`` and
    ``asks`` count levels; ``heard``: its book is kept up to date, and its connection was heard just now."""

    symbol: str
    heard: bool
    changed_at: float
    event_time_ms: int
    bids: int
    asks: int


@dataclass(slots=True)
class _Pace:
    changed_at: float
    had_both: bool = False
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=GAPS))


class Suspicions:
    """What is suspected of the symbols held. Times are the caller's monotonic clock, in seconds.

    ``silent_after_s`` 0: nothing is ever called silent. ``on_suspected`` is told of each that is new.
    """

    def __init__(
        self,
        *,
        silent_after_s: float,
        factor: float = 5.0,
        on_suspected: Callable[[str, Suspicion], None] = lambda *_: None,
    ) -> None:
        self._silent_after_s = silent_after_s
        self._factor = factor
        self._on_suspected = on_suspected
        self._paces: dict[str, _Pace] = {}
        self._found: dict[str, Suspicion] = {}

    def of(self, symbol: str) -> Suspicion | None:
        """What is suspected of a symbol, as last looked at."""
        return self._found.get(symbol)

    def look(self, seen: Collection[Seen], now: float) -> None:
        """These are all symbols held. O(symbols)."""
        former, self._found = self._found, {}
        paces, self._paces = self._paces, {}
        for each in seen:
            pace = self._paces[each.symbol] = paces.get(each.symbol) or _Pace(each.changed_at)
            if each.changed_at > pace.changed_at:
                pace.gaps.append(each.changed_at - pace.changed_at)
                pace.changed_at = each.changed_at
            pace.had_both = pace.had_both or bool(each.bids and each.asks)
        heard = [each for each in seen if each.heard]
        # How many of those that are about to be due have changed lately: a neighbour goes on, or does not.
        lively = sorted(patience_s for patience_s in map(self._patience_s, heard) if patience_s != inf)
        moving = sorted(
            patience_s
            for each in heard
            if now - each.changed_at < (patience_s := self._patience_s(each)) != inf
        )
        for each in heard:
            what = self._suspect(each, now, lively, moving)
            if what is not None:
                self._found[each.symbol] = Suspicion(what, each.event_time_ms)
        for symbol, suspicion in self._found.items():
            if former.get(symbol) != suspicion:
                self._on_suspected(symbol, suspicion)

    def _suspect(self, each: Seen, now: float, lively: list[float], moving: list[float]) -> What | None:
        if self._paces[each.symbol].had_both and not (each.bids and each.asks):
            return What.ONE_SIDED if each.bids or each.asks else What.EMPTY
        patience_s = self._patience_s(each)
        if now - each.changed_at < patience_s:
            return None
        alike_s = AS_OFTEN * patience_s
        others = _up_to(lively, alike_s) - 1
        going_on = _up_to(moving, alike_s)
        return What.SILENT if others >= 1 and going_on * 2 >= others else None

    def _patience_s(self, each: Seen) -> float:
        """How long it may send nothing; for ever where its pace is not known."""
        gaps = self._paces[each.symbol].gaps
        if not self._silent_after_s or len(gaps) < LEAST_GAPS:
            return inf
        return max(self._silent_after_s, self._factor * max(gaps))

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._found.keys() <= self._paces.keys(), "a suspicion of what is not held"
        assert all(gap > 0 for pace in self._paces.values() for gap in pace.gaps)


def _up_to(ascending: list[float], most: float) -> int:
    """How many are at most ``most``."""
    return bisect_right(ascending, most)
