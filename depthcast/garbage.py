"""``Garbage``: Python's cyclic garbage collector, run at times of our choosing.

Left to itself the collector comes when many more objects were made than freed, which is in the middle of a
burst of changed books, and its middle generation then takes some milliseconds. Next to nothing of
what a change leaves behind is circular (an edition that is let go is freed at once), so it suffices to look
at the youngest objects ten times a second, when they are few, at the middle ones every second, and at all of
them every minute. Looking at all takes the longest where the most streams are open; it is done so seldom that
it takes ``full_share`` of the time at most.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Final

_YOUNG: Final = 0
_MIDDLE: Final = 1
_ALL: Final = 2


class Garbage:
    """Collects in :meth:`run`, and leaves the collector as it was found."""

    def __init__(
        self,
        *,
        # Times
        young_every_s: float = 0.1,
        middle_every: int = 10,
        full_every_s: float = 60.0,
        full_share: float = 0.002,
        # Surroundings
        collect: Callable[[int], int] = gc.collect,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._young_every_s = young_every_s
        self._middle_every = middle_every
        self._full_every_s = full_every_s
        self._full_share = full_share
        self._collect = collect
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Collect until cancelled."""
        if not gc.isenabled():
            return  # Somebody decided otherwise.
        gc.disable()
        try:
            await self._run()
        finally:
            gc.enable()

    async def _run(self) -> None:
        full_at = self._clock() + self._full_every_s
        turn = 0
        while True:
            await self._sleep(self._young_every_s)
            turn += 1
            began = self._clock()
            if began >= full_at:
                self._collect(_ALL)
                ended = self._clock()
                full_at = ended + max(self._full_every_s, (ended - began) / self._full_share)
            else:
                self._collect(_YOUNG if turn % self._middle_every else _MIDDLE)
