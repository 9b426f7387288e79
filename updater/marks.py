"""``Marks``: what the exchange says of each symbol's status, carried to the files of those that stand still.

A publisher writes the status with each book (:meth:`Marks.status`). A symbol that is halted or delisted sends
no diffs, so its files would never tell; here each of them is marked, by compare-and-swap and without touching
the book (:mod:`depthcast.marking` says why that is safe). Likewise what trades again is un-marked.

Every published symbol is looked after, held by a replica or not, so that one which was delisted while no
replica ran is marked too. The exchange's list is the authority: a published symbol that is not in it is
:data:`~depthcast.files.DELISTED`.

Of a symbol's files the *largest is marked last*: where it has the right status, the others have. So a look at
one file tells whether a round in between was cut short. What a round costs, beside one listing:

==========================================  ====================================================
a symbol whose status is                    costs
==========================================  ====================================================
known to have changed                       each of its files, read and written
not TRADING, for the first time here        a small read of each of its files
not TRADING, as before                      a small read of one: another's list may be behind
TRADING, for the first time here            a small read of one
TRADING, as before                          nothing
==========================================  ====================================================
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from depthcast.errors import BadFile, StoreError, StoreUnavailable
from depthcast.files import (
    BINANCE,
    DELISTED,
    PEEK_BYTES,
    TRADING,
    FileInfo,
    Scheme,
    depth_key,
    valid_status,
)
from depthcast.logs import get_logger
from depthcast.marking import Marking, mark
from depthcast.store import Store
from depthcast.venues import ExchangeInfo

OTHER: Final = "OTHER"
"""Stands for a venue's word that is not spelled like a status."""

DEFAULT_LIST_TIMEOUT_S: Final = 30.0

OnMarked = Callable[[str, int, str], None]
"""Told of each file that was marked: the symbol, the limit and the new status."""

_log = get_logger("updater")


class _Due(NamedTuple):
    """A symbol to be looked at. The largest file's limit is the last; ``one_will_do``: all is well if that
    file is."""

    symbol: str
    limits: Sequence[int]
    status: str
    one_will_do: bool


class Marks:
    """The known statuses, and the files marked with them.

    ``mine`` says whether this replica is the one to mark a symbol's files; where two think so, or none, the
    work is done twice or later. ``scheme`` is the venue's. At most ``reads_at_once`` symbols are worked on
    together.
    """

    def __init__(
        self,
        store: Store,
        *,
        mine: Callable[[str], bool],
        scheme: Scheme = BINANCE,
        on_marked: OnMarked = lambda *_: None,
        # Limits
        reads_at_once: int = 8,
        # Timeouts
        list_timeout_s: float = DEFAULT_LIST_TIMEOUT_S,
    ) -> None:
        self._store = store
        self._mine = mine
        self._scheme = scheme
        self._on_marked = on_marked
        self._reads_at_once = reads_at_once
        self._list_timeout_s = list_timeout_s
        self._statuses: dict[str, str] = {}
        self._done: dict[str, str] = {}
        """The status that all files of a symbol were seen to have, here, while it was this replica's."""

    @property
    def statuses(self) -> Mapping[str, str]:
        """What is known, by symbol: those that the exchange lists, and those that are delisted."""
        return MappingProxyType(self._statuses)

    def status(self, symbol: str) -> str:
        """What to write into the files of ``symbol``; TRADING as long as nothing is known."""
        return self._statuses.get(symbol, TRADING)

    def learn(self, info: ExchangeInfo) -> None:
        """Take the exchange's list over, for :meth:`status`; :meth:`update` begins with it.

        A list without any symbol is not believed.
        """
        if not info.symbols:
            return
        listed = {
            symbol: each.status if valid_status(each.status) else OTHER
            for symbol, each in info.symbols.items()
        }
        self._statuses = dict.fromkeys(self._statuses, DELISTED) | listed

    async def update(self, info: ExchangeInfo) -> None:
        """Learn, then see to it that the published files say the same. Never raises for what the store does.

        What could not be done is left to the next update. One at a time.
        """
        self.learn(info)
        if not info.symbols:
            _log.warning("the exchange's list is empty; the status of files stays as it is")
            return
        try:
            published = await self._published()
        except StoreError as error:
            _log.warning("files are not marked: the store cannot be listed", why=str(error))
            return
        for symbol in published.keys() - self._statuses.keys():
            self._statuses[symbol] = DELISTED
        waiting = self._due(published)
        failures: list[StoreError] = []

        async def work() -> None:
            while waiting and not failures:
                try:
                    await self._settle(waiting.pop())
                except StoreError as error:
                    failures.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._reads_at_once, len(waiting))):
                group.create_task(work())
        if failures:
            _log.warning("some files are not marked yet", why=str(failures[0]))

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert all(map(valid_status, self._statuses.values())), "a status that no file can carry"
        assert self._done.keys() <= self._statuses.keys(), "files of an unknown status"

    async def _published(self) -> dict[str, tuple[int, ...]]:
        """The symbols that have files, and their limits, the largest file's last."""
        found: dict[str, list[int]] = {}
        try:
            async with asyncio.timeout(self._list_timeout_s):
                for prefix in self._scheme.depth_prefixes:
                    async for entry in self._store.list(prefix):
                        request = self._scheme.parse(entry.key)
                        if request is not None:
                            found.setdefault(request.symbol, []).append(request.limit)
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._store.url} did not finish its listing within {self._list_timeout_s:g} s"
            ) from None
        return {symbol: self._scheme.ordered(limits) for symbol, limits in found.items()}

    def _due(self, published: Mapping[str, Sequence[int]]) -> list[_Due]:
        """What to look at, the most urgent last. Forgets what is not this replica's any more."""
        mine = {symbol: limits for symbol, limits in published.items() if self._mine(symbol)}
        self._done = {symbol: status for symbol, status in self._done.items() if symbol in mine}
        due = []
        for symbol, limits in mine.items():
            status, done = self._statuses[symbol], self._done.get(symbol)
            if status != TRADING or done != status:
                one_will_do = done == status if status != TRADING else done is None
                due.append(_Due(symbol, limits, status, one_will_do))
        due.sort(key=lambda each: not each.one_will_do)
        return due

    async def _settle(self, due: _Due) -> None:
        """Mark a symbol's files. Raises :class:`~depthcast.errors.StoreError`."""
        if due.one_will_do and await self._has(due.symbol, due.limits[-1], due.status):
            self._done[due.symbol] = due.status
            return
        marked, unsettled = 0, False
        for limit in due.limits:
            outcome = await mark(self._store, depth_key(due.symbol, limit, self._scheme), due.status)
            if outcome is Marking.MARKED:
                marked += 1
                self._on_marked(due.symbol, limit, due.status)
            elif outcome is Marking.UNSETTLED:
                # The largest one is not to say that all is well.
                unsettled = True
                break
        if marked:
            _log.info("files marked", symbol=due.symbol, status=due.status, files=marked)
        if unsettled:
            self._done.pop(due.symbol, None)
        else:
            self._done[due.symbol] = due.status

    async def _has(self, symbol: str, limit: int, status: str) -> bool:
        key = depth_key(symbol, limit, self._scheme)
        head = await self._store.peek(key, PEEK_BYTES)
        try:
            return head is not None and FileInfo.from_metadata(key, head.metadata).status == status
        except BadFile:
            return False
