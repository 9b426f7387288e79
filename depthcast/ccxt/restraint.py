"""``Restraint``: whether the exchange may be asked now, by what its answers said of weight and of pauses.

All answers of the exchange that pass through the exchange object are heard, whoever asked, so a ban earned by
something else holds here too. Safe to use from several threads.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from ccxt.base.errors import BaseError, DDoSProtection, RateLimitExceeded

from depthcast.errors import RateLimited
from depthcast.venues import Venue
from depthcast.weight import WeightBudget

SHARE: Final = 0.9
"""Falling back stops here; what is left of the address's weight is for the program's own calls."""


class Restraint:
    """Of one exchange, ``venue``. ``clock`` is monotonic, in seconds; ``wall_ms`` is ms since 1970."""

    def __init__(
        self,
        venue: Venue,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._venue = venue
        self._budget = WeightBudget(venue.request_weight_per_minute, share=SHARE, background_share=SHARE)
        self._clock = clock
        self._wall_ms = wall_ms
        self._silent_until = -math.inf
        self._lock = threading.Lock()

    @property
    def silent_for_s(self) -> float:
        """How long the exchange is not to be asked; 0 where it did not ask for silence."""
        return max(0.0, self._silent_until - self._clock())

    @property
    def weight_used(self) -> int:
        """What this address used in the current minute, as last reported."""
        with self._lock:
            return self._budget.used(self._wall_ms())

    def hear(self, status: int, headers: Mapping[str, str], body: str) -> int:
        """Learn from an answer of the exchange; returns the ms of silence that it asks for, usually 0."""
        now_ms = self._wall_ms()
        used = self._venue.used_weight(headers)
        with self._lock:
            if used is not None:
                self._budget.settle(self._budget.reserve(0, now_ms), used, now_ms)
            if status not in (418, 429):
                return 0
            error = self._venue.refusal(
                status, headers, body.encode("utf-8", "replace"), url="", now_ms=now_ms
            )
            assert isinstance(error, RateLimited)
            self._silent_until = max(self._silent_until, self._clock() + error.retry_after_ms / 1000)
            return error.retry_after_ms

    def refusal(self, weight: int | None, *, silent_for_s: float = 0.0) -> BaseError | None:
        """Why a request of ``weight`` must not be sent now: the error that the original would end with.

        ``None``: whatever it weighs, only a pause counts. ``silent_for_s`` is what others who use this
        address know of one.
        """
        silent_s = max(self.silent_for_s, silent_for_s)
        name = self._venue.scheme.venue
        if silent_s > 0:
            return DDoSProtection(
                f"{name} asked this address for silence: {math.ceil(silent_s)} s are left, and no request "
                "is sent before"
            )
        if weight is None:
            return None
        now_ms = self._wall_ms()
        with self._lock:
            wait_ms = self._budget.wait_ms(weight, background=False, now_ms=now_ms)
            used = self._budget.used(now_ms)
        if wait_ms:
            return RateLimitExceeded(
                f"{name} counts {used} of {self._budget.limit} weight for this address in this minute, and "
                f"a request of {weight} more would come near its limit; wait {math.ceil(wait_ms / 1000)} s"
            )
        return None
