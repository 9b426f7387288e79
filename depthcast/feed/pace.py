"""At most so many events in a period. Pure: the clock's reading is an argument."""

from collections import deque
from typing import Final

RESERVE: Final = 4
"""Below so many periods' connections the venue's allowance is used no faster than it comes back."""

FARTHEST: Final = 6
"""So many periods, half an hour, two connections are apart at most. With less the last ones are used up too
early where three share an address and all that was opened comes back an hour later: the pause gets longer."""


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


class ConnectPace(Pace):
    """The same of connections to a venue that may say how many more of them are left to this address.

    Once it has, that counts, for it knows of everybody on the address, and of earlier ones: connections are
    opened at once while there are many. From :data:`RESERVE` periods' worth on they are at least the time
    apart in which one comes back, and four times that where half as many are left, up to :data:`FARTHEST`
    periods. So those who share an address share the rest, and hardly ever meet its end.

    >>> pace = ConnectPace(5, 300.0)
    >>> waits = []
    >>> for left in (59, 20, 10, 0):
    ...     pace.take(0.0)
    ...     pace.told(left)
    ...     waits.append(pace.wait_s(0.0))
    >>> waits
    [0.0, 60.0, 240.0, 1800.0]
    """

    def __init__(self, count: int, period_s: float) -> None:
        super().__init__(count, period_s)
        self._count = count
        self._left: int | None = None

    def told(self, left: int) -> None:
        """The venue says that so many more may be opened."""
        self._left = left

    def take(self, now: float) -> None:
        """A connection is opened now."""
        super().take(now)
        if self._left is not None:
            self._left = max(0, self._left - 1)

    def wait_s(self, now: float) -> float:
        """How long the next connection has to wait; 0 where it may be opened now."""
        if self._left is None or not self._taken:
            return super().wait_s(now)
        reserve = RESERVE * self._count
        apart_s = 0.0
        if self._left <= reserve:
            back_s = self._period_s / self._count
            apart_s = min(back_s * (reserve / max(1, self._left)) ** 2, FARTHEST * self._period_s)
        return max(0.0, self._held_until - now, self._taken[-1] + apart_s - now)
