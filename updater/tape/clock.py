"""``ExchangeClock``: the present by the exchange's clock, as well as its diffs tell.

A diff says when the exchange sent it. The one that was on its way for the shortest time tells best how far
the exchange's clock is from this machine's; so quiet symbols' segments end when the exchange's minute does,
however wrong this machine's clock is. Pure.
"""

from typing import Final

WINDOW_S: Final = 600.0
"""Clocks drift: what was seen longer ago than twice this does not count."""


class ExchangeClock:
    """Times by the exchange in ms since 1970; ``now_s`` is any clock that only goes forward."""

    def __init__(self, *, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._since_s: float | None = None
        self._ahead_ms: float | None = None
        self._earlier_ms: float | None = None

    def saw(self, event_time_ms: int, now_s: float) -> None:
        """A diff of this time came."""
        ahead_ms = event_time_ms - now_s * 1000
        if self._since_s is None or now_s - self._since_s >= self._window_s:
            self._since_s, self._earlier_ms, self._ahead_ms = now_s, self._ahead_ms, ahead_ms
        elif self._ahead_ms is None or ahead_ms > self._ahead_ms:
            self._ahead_ms = ahead_ms

    def now_ms(self, now_s: float) -> int | None:
        """The present; ``None`` before the first diff."""
        known = [ahead for ahead in (self._ahead_ms, self._earlier_ms) if ahead is not None]
        return round(now_s * 1000 + max(known)) if known else None
