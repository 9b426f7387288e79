"""``Upstream``: the exchange itself, asked for a book in place of a stale file.

All who want a symbol's book at the same time share one request to the exchange: of the largest limit that
weighs no more, from which the others are cut. What it answers is kept for ``keep_s``, a failure too, so that
the exchange is asked no oftener than once in ``keep_s`` for each symbol and weight, however many read.

Promises: the exchange's bytes are passed on as they are; requests keep to a share of the exchange's weight
limit and to its pauses (:mod:`depthcast.rest`); nobody waits longer than ``wait_s``; memory is bounded. The
caller asks for published symbols only.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, NamedTuple, Protocol

from depthcast.errors import BadFile, Refused, VenueError
from depthcast.files import MAX_LIMIT, covering_limit
from depthcast.logs import Seldom, get_logger
from depthcast.venues.binance_files import LAYOUT as _LAYOUT
from depthcast.venues.requests import ApiError

LIMITS: Final = (100, 500, 1000, MAX_LIMIT)
"""The largest limit of each request weight (5, 25, 50, 250)."""

DEFAULT_KEEP_S: Final = 1.0
DEFAULT_WAIT_S: Final = 2.0
DEFAULT_MAX_BYTES: Final = 64 * 2**20

_OVERHEAD_BYTES: Final = 1024
_LOG: Final = get_logger("server")


class Exchange(Protocol):
    """What is needed of :class:`depthcast.rest.Rest`."""

    async def snapshot_body(self, symbol: str, limit: int, background: bool = False) -> bytes: ...
    @property
    def silent_for_s(self) -> float: ...
    async def close(self) -> None: ...


class Failure(Enum):
    """The type of :data:`FAILED`: the exchange could not be asked, or not just now."""

    FAILED = "failed"


FAILED: Final = Failure.FAILED


class Given(NamedTuple):
    """The exchange's answer: ``body`` as it came, or cut. It was made after ``asked_ms``, ms since 1970."""

    body: bytes
    update_id: int
    asked_ms: int


Outcome = Given | ApiError | Literal[Failure.FAILED]
"""An :class:`ApiError` is the exchange's refusal of this very request."""


class Asking(Enum):
    """What became of one request to the exchange."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Kept:
    outcome: Outcome
    until: float

    @property
    def cost_bytes(self) -> int:
        return _OVERHEAD_BYTES + (len(self.outcome.body) if isinstance(self.outcome, Given) else 0)


class Upstream:
    """The books that the exchange was asked for a moment ago. ``on_asked`` is told of each request's end and
    the seconds it took. Closes ``exchange`` with itself."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        on_asked: Callable[[Asking, float], None] = lambda *_: None,
        # Times
        keep_s: float = DEFAULT_KEEP_S,
        wait_s: float = DEFAULT_WAIT_S,
        # Limits
        max_bytes: int = DEFAULT_MAX_BYTES,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._exchange = exchange
        self._on_asked = on_asked
        self._keep_s = keep_s
        self._wait_s = wait_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._wall_ms = wall_ms
        self._kept: OrderedDict[tuple[str, int], _Kept] = OrderedDict()
        self._bytes = 0
        self._asking: dict[tuple[str, int], asyncio.Task[Outcome]] = {}
        self._seldom = Seldom(clock=clock)

    def kept(self, symbol: str, limit: int) -> Outcome | None:
        """What the exchange said within ``keep_s``; ``None``: it is to be asked, by :meth:`ask`."""
        kept = self._kept.get((symbol, _asked_limit(limit)))
        if kept is None or self._clock() >= kept.until:
            return None
        return _cut(kept.outcome, limit)

    async def ask(self, symbol: str, limit: int) -> Outcome:
        """The exchange's book of a published symbol, ``limit`` levels a side, 1…5000."""
        known = self.kept(symbol, limit)
        if known is not None:
            return known
        key = (symbol, _asked_limit(limit))
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(*key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # A reader who leaves does not take the answer away from the others.
        return _cut(await asyncio.shield(task), limit)

    async def close(self) -> None:
        """End the requests under way and let go of the connections."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._exchange.close()

    def check(self) -> None:
        """Raise ``AssertionError`` where a bound is broken. O(kept)."""
        assert self._bytes == sum(kept.cost_bytes for kept in self._kept.values())
        assert self._bytes <= self._max_bytes or len(self._kept) <= 1

    async def _ask(self, symbol: str, limit: int) -> Outcome:
        began, asked_ms = self._clock(), self._wall_ms()
        outcome: Outcome = FAILED
        try:
            if self._exchange.silent_for_s > self._wait_s:
                raise VenueError(f"the exchange wants silence for {self._exchange.silent_for_s:.0f} s more")
            async with asyncio.timeout(self._wait_s):
                body = await self._exchange.snapshot_body(symbol, limit)
            outcome = Given(body, _LAYOUT.check(f"{symbol} of the exchange", body), asked_ms)
        except Refused as refused:
            if refused.code is not None and 400 <= refused.status < 500:
                outcome = ApiError(refused.status, refused.code, refused.text)
            else:
                self._tell(refused)
        except (VenueError, BadFile) as error:
            self._tell(error)
        except TimeoutError:
            self._tell(VenueError(f"the exchange gave no book of {symbol} within {self._wait_s:g} s"))
        self._keep((symbol, limit), _Kept(outcome, self._clock() + self._keep_s))
        self._on_asked(_asking(outcome), self._clock() - began)
        return outcome

    def _keep(self, key: tuple[str, int], kept: _Kept) -> None:
        """Keep in place of what is over, and of what was kept first where there is no room."""
        self._drop(key)
        self._kept[key] = kept
        self._bytes += kept.cost_bytes
        now = self._clock()
        # All are kept equally long, so the first is over first.
        while len(self._kept) > 1:
            first = next(iter(self._kept))
            if self._bytes <= self._max_bytes and now < self._kept[first].until:
                return
            self._drop(first)

    def _drop(self, key: tuple[str, int]) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.cost_bytes

    def _tell(self, error: Exception) -> None:
        if self._seldom.held_back("asking") is not None:
            _LOG.warning("cannot ask the exchange in place of a stale file", why=str(error))


def _asked_limit(limit: int) -> int:
    return covering_limit(limit, LIMITS) or MAX_LIMIT


def _cut(outcome: Outcome, limit: int) -> Outcome:
    return outcome._replace(body=_LAYOUT.cut(outcome.body, limit)) if isinstance(outcome, Given) else outcome


def _asking(outcome: Outcome) -> Asking:
    if isinstance(outcome, Given):
        return Asking.ANSWERED
    return Asking.REFUSED if isinstance(outcome, ApiError) else Asking.FAILED
