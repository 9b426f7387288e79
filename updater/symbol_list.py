"""``SymbolListWriter``: publishes the exchange's list of symbols, and keeps its history.

A replica reads the list now and then anyway, for the symbols' status. Here that answer is offered to a
:class:`~depthcast.metadata.recorder.Recorder` until it is settled: it is written, as it is, only where it
says something else than the one in the store and was made later. Of several replicas that read the same news
one wins, and the others find nothing left to do. A list that says nothing new costs two small reads.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from depthcast.backoff import Backoff
from depthcast.errors import BadFile, MalformedAnswer, StoreError
from depthcast.logs import get_logger
from depthcast.metadata.kinds import EXCHANGE_INFO
from depthcast.metadata.recorder import Offering, Recorder
from depthcast.store import Store

_log: Final = get_logger("updater")


class SymbolListWriter:
    """Writes the newest list it was offered. :meth:`run` works until cancelled; ``ready`` is waited for.

    ``wall_ms`` is this machine's time in milliseconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        *,
        replica: str,
        cache_control: str | None = None,
        ready: Callable[[], Awaitable[object]],
        backoff: Callable[[], Backoff] = lambda: Backoff(1.0, minimum_s=0.5, maximum_s=15.0),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._recorder = Recorder(
            store, EXCHANGE_INFO, replica=replica, cache_control=cache_control, wall_ms=wall_ms
        )
        self._ready = ready
        self._backoff = backoff
        self._sleep = sleep
        self._wall_ms = wall_ms
        self._waiting: bytes | None = None
        self._offered = asyncio.Event()

    def offer(self, body: bytes) -> None:
        """What the exchange answered; takes the place of a list that waits."""
        if body:
            self._waiting = body
            self._offered.set()

    @property
    def waits(self) -> bool:
        """Whether a list is not settled yet."""
        return self._waiting is not None

    async def run(self) -> None:
        """Write what is offered, again and again where the store does not let it."""
        await self._ready()
        while True:
            await self._offered.wait()
            self._offered.clear()
            backoff = self._backoff()
            while self._waiting is not None:
                body = self._waiting
                try:
                    offering, record, why = await self._recorder.offer(body, self._wall_ms())
                except StoreError as error:
                    offering, record, why = Offering.UNSETTLED, None, str(error)
                except (BadFile, MalformedAnswer) as error:
                    _log.warning("the exchange's list is not published", why=str(error))
                    offering, record, why = Offering.UNCHANGED, None, ""
                if offering is not Offering.UNSETTLED:
                    if record is not None:
                        told = {"sequence": record.sequence, "changes": len(record.changes)}
                        _log.info("list of symbols written", bytes=len(body), **told)
                    if self._waiting is body:
                        self._waiting = None
                    continue
                _log.warning("the list of symbols is not written yet", why=why)
                await self._sleep(backoff.next_s())

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._waiting is not None or not self._offered.is_set(), "nothing waits, but was offered"
        self._recorder.check()
