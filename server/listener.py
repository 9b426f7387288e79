"""``Listener``: reads the fleet's heartbeats into a :class:`~server.pulse.Pulse`, about once a second.

One reading is one listing of ``fleet/`` and a GET of each heartbeat that changed
(:class:`depthcast.roster.Roster`), whatever clients ask for. Promises: a reading takes at most
``timeout_s``; a store that fails is asked less and less often; one that refuses the heartbeats to this
server's credentials is a warning, once, and is asked every ``denied_s``: then files are all that is known.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from random import Random
from typing import Final

from depthcast.backoff import Backoff
from depthcast.errors import AccessDenied, BadFile, StoreError
from depthcast.files import BINANCE, Scheme
from depthcast.fleet import Members
from depthcast.logs import Seldom, get_logger
from depthcast.roster import Roster
from depthcast.store import Store
from server.pulse import Pulse

DEFAULT_EVERY_S: Final = 1.0
_SLOWEST_RETRY_S: Final = 5.0
_FORGET_EVERY_S: Final = 60.0
_FAILURES_TOLD_OF: Final = 10

_LOG: Final = get_logger("server")


class Hearing(Enum):
    """What became of one reading of the heartbeats."""

    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"


class Listener:
    """Reads again and again, in :meth:`run`. ``scheme`` is the venue's whose fleet it is. ``on_reading`` is
    told what became of each reading."""

    def __init__(
        self,
        store: Store,
        pulse: Pulse,
        *,
        scheme: Scheme = BINANCE,
        on_reading: Callable[[Hearing], None] = lambda _: None,
        # Times
        every_s: float = DEFAULT_EVERY_S,
        timeout_s: float = 2.0,
        denied_s: float = 60.0,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        self._pulse = pulse
        self._on_reading = on_reading
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._denied_s = denied_s
        self._clock = clock
        self._wall_ms = wall_ms
        self._sleep = sleep
        self._rng = rng or Random()
        self._roster = Roster(store, scheme=scheme, on_damaged=self._damaged, clock=clock)
        self._forgot_at = clock()
        self._failures = 0
        """In a row."""
        self._denied = False
        self._seldom = Seldom()
        self.read_at: float | None = None
        """When the last reading that went well began."""

    @property
    def members(self) -> Members:
        """The replicas as last heard of."""
        return self._roster.members

    @property
    def denied(self) -> bool:
        """Whether the store refused the heartbeats when they were asked for last."""
        return self._denied

    async def run(self) -> None:
        """Read until cancelled."""
        retry = Backoff(
            self._every_s,
            minimum_s=self._every_s,
            maximum_s=max(self._every_s, _SLOWEST_RETRY_S),
            rng=self._rng,
        )
        while True:
            began = self._clock()
            hearing = await self._try_to_read()
            self._on_reading(hearing)
            if hearing is Hearing.DONE:
                retry.reset()
                pause_s = max(0.0, self._every_s - (self._clock() - began))
            else:
                pause_s = self._denied_s if hearing is Hearing.DENIED else retry.next_s()
            await self._sleep(pause_s)

    async def read(self) -> None:
        """Do one reading. Raises :class:`~depthcast.errors.StoreError`, or ``TimeoutError``; nothing that was
        heard is lost by it."""
        began = self._clock()
        async with asyncio.timeout(self._timeout_s):
            await self._roster.read()
        now = self._clock()
        changed = [member.heartbeat for member in self._roster.members if member.moved_at >= began]
        self._pulse.take(changed, began=began, now=now, wall_ms=self._wall_ms())
        self.read_at = began
        if now - self._forgot_at >= _FORGET_EVERY_S:
            self._forgot_at = now
            self._pulse.forget(now)

    async def _try_to_read(self) -> Hearing:
        try:
            await self.read()
        except AccessDenied as denied:
            if not self._denied:
                _LOG.warning(
                    "heartbeats may not be read; how current a book is shows in its file alone",
                    why=str(denied),
                )
            self._denied = True
            return Hearing.DENIED
        except (StoreError, TimeoutError) as error:
            # A store that is away has others to tell of it.
            self._failures += 1
            if self._failures == _FAILURES_TOLD_OF:
                why = str(error) or f"no answer within {self._timeout_s:g} s"
                _LOG.warning("cannot read the heartbeats", why=why)
            return Hearing.FAILED
        if self._failures >= _FAILURES_TOLD_OF or self._denied:
            _LOG.info("heartbeats are read again")
        self._failures, self._denied = 0, False
        return Hearing.DONE

    def _damaged(self, key: str, error: BadFile) -> None:
        if self._seldom.held_back(key) is not None:
            _LOG.warning("a damaged heartbeat is passed over", why=str(error))
