"""``Garbage``: Python's cyclic garbage collector, run at times of our choosing.

Left to itself the collector comes when many more objects were made than freed, which is in the middle of a
burst of changed books, and its middle generation then takes some milliseconds. Next to nothing of
what a change leaves behind is circular (an edition that is let go is freed at once), so it suffices to look
at the youngest objects ten times a second, when they are few, at the middle ones every second, and at all of
them every minute. Looking at all takes the longest where the most streams are open; it is done so seldom that
it takes ``full_share`` of the time at most.

A look takes as long as there are objects to look at: 100 diffs of 1,000 levels that wait for a snapshot are a
hundred thousand, 15 ms in which no book goes on. So where more than :data:`LOOKED_AT` have come since the
last look, they are set aside (:func:`gc.freeze`, which takes no time) until all are looked at. Nothing is
lost by it but memory, and that only of what is circular: the rest is freed when it is let go, as ever.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Final

LOOKED_AT: Final = 20_000
"""Objects that may be looked at in passing, two milliseconds' work."""

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
        made: Callable[[], int] = lambda: gc.get_count()[0],
        set_aside: Callable[[], None] = gc.freeze,
        take_back: Callable[[], None] = gc.unfreeze,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._young_every_s = young_every_s
        self._middle_every = middle_every
        self._full_every_s = full_every_s
        self._full_share = full_share
        self._collect = collect
        self._made = made
        self._set_aside = set_aside
        self._take_back = take_back
        self._aside = False
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
            self._all_again()
            gc.enable()

    async def _run(self) -> None:
        full_at = self._clock() + self._full_every_s
        turn = since_middle = 0
        while True:
            await self._sleep(self._young_every_s)
            turn += 1
            began = self._clock()
            if began >= full_at:
                self._all_again()
                self._collect(_ALL)
                ended = self._clock()
                full_at = ended + max(self._full_every_s, (ended - began) / self._full_share)
                since_middle = 0
                continue
            middle = turn % self._middle_every == 0
            made = self._made()
            since_middle += made
            if (since_middle if middle else made) <= LOOKED_AT:
                self._collect(_MIDDLE if middle else _YOUNG)
            else:
                self._set_aside()
                self._aside = True
            if middle:
                since_middle = 0

    def _all_again(self) -> None:
        if self._aside:
            self._take_back()
            self._aside = False
