"""``SymbolListWriter``: publishes the exchange's list of symbols, so that the mirror answers it too.

A replica reads the list now and then anyway, for the symbols' status. Here that answer is written, as it is,
under :data:`~depthcast.files.EXCHANGE_INFO_KEY`: only where it says something else than the one in the store
and was made later, by compare-and-swap. Of several replicas that read the same news one wins, and the others
find nothing left to do. A list that says nothing new costs one small read.
"""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from depthcast.backoff import Backoff
from depthcast.errors import BadFile, StoreError
from depthcast.files import CONTENT_TYPE, EXCHANGE_INFO_KEY, PEEK_BYTES
from depthcast.logs import get_logger
from depthcast.store import Outcome, Store
from depthcast.symbol_list import ListInfo, SymbolList

TRIES: Final = 3
"""How often a list is written at most before a pause: the others were lost to somebody else."""

_log = get_logger("updater")


class Publishing(Enum):
    """What became of a list."""

    WRITTEN = "written"
    NO_NEWS = "no news"
    """The one in the store says the same."""
    OLDER = "older"
    """The one in the store was made later."""
    UNSETTLED = "unsettled"
    """Others wrote each time, or the store did not say what became of it: try again later."""


class SymbolListWriter:
    """Writes the newest list it was offered. :meth:`run` works until cancelled; ``ready`` is waited for."""

    def __init__(
        self,
        store: Store,
        *,
        replica: str,
        cache_control: str | None = None,
        ready: Callable[[], Awaitable[object]],
        backoff: Callable[[], Backoff] = lambda: Backoff(1.0, minimum_s=0.5, maximum_s=15.0),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._replica = replica
        self._cache_control = cache_control
        self._ready = ready
        self._backoff = backoff
        self._sleep = sleep
        self._waiting: bytes | None = None
        self._offered = asyncio.Event()

    def offer(self, body: bytes) -> None:
        """What the exchange answered; takes the place of a list that waits."""
        if body:
            self._waiting = body
            self._offered.set()

    async def run(self) -> None:
        """Write what is offered, again and again where the store does not let it."""
        await self._ready()
        while True:
            await self._offered.wait()
            self._offered.clear()
            backoff = self._backoff()
            while self._waiting is not None:
                body, why = self._waiting, "others write it, or the store did not say what became of it"
                try:
                    outcome = await self.publish(body)
                except StoreError as error:
                    outcome, why = Publishing.UNSETTLED, str(error)
                except BadFile as error:
                    _log.warning("the exchange's list is not published", why=str(error))
                    outcome = Publishing.NO_NEWS
                if outcome is not Publishing.UNSETTLED:
                    if self._waiting is body:
                        self._waiting = None
                    continue
                _log.warning("the list of symbols is not written yet", why=why)
                await self._sleep(backoff.next_s())

    async def publish(self, body: bytes) -> Publishing:
        """Write ``body`` where it is news.

        Raises :class:`~depthcast.errors.BadFile` for what is no list, and
        :class:`~depthcast.errors.StoreError` where the store cannot be read.
        """
        mine = SymbolList.of(body)
        info = ListInfo(mine.server_time_ms, mine.fingerprint, self._replica)
        for _ in range(TRIES):
            there = await self._store.peek(EXCHANGE_INFO_KEY, PEEK_BYTES)
            if there is not None:
                try:
                    stored = ListInfo.from_metadata(there.metadata)
                except BadFile:
                    stored = None  # not one of ours: nobody can read it as a list
                if stored is not None and stored.fingerprint == mine.fingerprint:
                    return Publishing.NO_NEWS
                if stored is not None and stored.server_time_ms >= mine.server_time_ms:
                    return Publishing.OLDER
            result = await self._store.put_if(
                EXCHANGE_INFO_KEY,
                body,
                match=there.etag if there is not None else None,
                metadata=info.to_metadata(),
                content_type=CONTENT_TYPE,
                cache_control=self._cache_control,
            )
            if result.outcome is Outcome.WON:
                _log.info("list of symbols written", bytes=len(body))
                return Publishing.WRITTEN
            if result.outcome is not Outcome.LOST:
                return Publishing.UNSETTLED
        return Publishing.UNSETTLED

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._waiting is not None or not self._offered.is_set(), "nothing waits, but was offered"
