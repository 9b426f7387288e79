"""``Outage``: ends the pauses after unanswered requests as soon as the store is seen to answer again.

Each file and each watch waits for itself after a request whose outcome is not known, for longer and longer:
while the store is away nothing else is due, and a processor that asks for nothing has time for the feeds. But
then the first answer after a while without any tells that it is back, whoever gets it, and everybody who
waits can go on; :class:`~updater.slots.Slots` keep them from coming all at once.

The store is taken to be away where reads, or writes, had no answer for ``after_s``. So a store that fails
now and then, or for one key alone, ends no pauses, and they are ended at most once in ``after_s`` for either.
A pause that the store asked for (THROTTLED) is none of this. For one event loop.
"""

import math
import time
from collections.abc import Callable

Resume = Callable[[], None]


class Outage:
    """Shared by all who send requests to one store. ``clock`` is in seconds."""

    def __init__(self, *, after_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._after_s = after_s
        self._clock = clock
        self._read_at = self._wrote_at = clock()
        """When a read, and a write, was answered last."""
        self._over_at = -math.inf
        self._waiting: dict[Resume, None] = {}

    @property
    def waiting(self) -> int:
        """How many wait for the store."""
        return len(self._waiting)

    def failed(self, begun: float, resume: Resume) -> None:
        """A request, ``begun`` at this time, had no answer: ``resume`` is called once the store is back.

        At once where it is back already and the request is from before.
        """
        if begun < self._over_at:
            resume()
        else:
            self._waiting[resume] = None

    def read(self) -> None:
        """A read was answered."""
        last, self._read_at = self._read_at, self._clock()
        if self._waiting:
            self._consider_over(last, self._read_at)

    def wrote(self) -> None:
        """A write was decided, won or lost."""
        last, self._wrote_at = self._wrote_at, self._clock()
        if self._waiting:
            self._consider_over(last, self._wrote_at)

    def withdraw(self, resume: Resume) -> None:
        """No longer wait; does nothing where ``resume`` does not."""
        self._waiting.pop(resume, None)

    def _consider_over(self, last: float, now: float) -> None:
        if now - last < self._after_s:
            return
        self._over_at = now
        waiting, self._waiting = self._waiting, {}
        for resume in waiting:
            resume()
