"""At most so many events in a period. Pure: the clock's reading is an argument."""

from collections import deque


class Pace:
    """At most ``count`` events in any ``period_s`` seconds.

    >>> pace = Pace(2, 10.0)
    >>> [(pace.take(now), pace.wait_s(now))[1] for now in (0.0, 1.0)]
    [0.0, 9.0]
    """

    def __init__(self, count: int, period_s: float) -> None:
        self._period_s = period_s
        self._taken: deque[float] = deque(maxlen=count)
        self._held_until = float("-inf")

    def wait_s(self, now: float) -> float:
        """How long the next event has to wait; 0 where it may happen now."""
        due = self._held_until
        if len(self._taken) == self._taken.maxlen:
            due = max(due, self._taken[0] + self._period_s)
        return max(0.0, due - now)

    def take(self, now: float) -> None:
        """An event happens now."""
        self._taken.append(now)

    def hold(self, until: float) -> None:
        """Nothing may happen before ``until``."""
        self._held_until = max(self._held_until, until)
