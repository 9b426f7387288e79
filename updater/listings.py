"""``Listings``: which symbols the settings mean, as the exchange lists new ones and drops old ones.

The list that counts is the stored one (:func:`depthcast.metadata.kinds.exchange_info`): one replica asks the
exchange and writes what is news, and all take it up from there, so that they agree. Where the store cannot be
read, or holds nothing yet, a replica's own answer counts until it can.

A list is taken up only where it is no older than the one before it. Symbols that it names no more are
dropped; those that stand still are kept, for their books are wanted again when they trade.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress

from depthcast.errors import BadFile, SettingsError, StoreError, VenueError
from depthcast.logs import Seldom, get_logger
from depthcast.metadata.kinds import EXCHANGE_INFO, Kind
from depthcast.metadata.record import HeadInfo
from depthcast.rest import parsed
from depthcast.store import UNCHANGED, Store
from depthcast.venues import ExchangeInfo
from depthcast.venues.selection import select_symbols

_log = get_logger("updater")

Take = Callable[[ExchangeInfo, set[str]], Awaitable[None]]
"""Told of each list that is news: the list, and the symbols that the settings mean in it."""


class Listings:
    """Follows the stored list until cancelled (:meth:`run`). ``parse`` reads a list's body.

    ``ask`` has the exchange asked at once: for the first list where the stored one will not do. ``kind`` is
    the venue's list.
    """

    def __init__(
        self,
        store: Store,
        patterns: Sequence[str],
        *,
        parse: Callable[[bytes], ExchangeInfo],
        take: Take,
        ask: Callable[[], None],
        kind: Kind = EXCHANGE_INFO,
        # Times
        look_every_s: float = 5.0,
        first_look_every_s: float = 0.5,
        read_timeout_s: float = 15.0,
        seldom: Seldom | None = None,
    ) -> None:
        self._store = store
        self._patterns = patterns
        self._parse = parse
        self._take = take
        self._ask = ask
        self._kind = kind
        self._look_every_s = look_every_s
        self._first_look_every_s = first_look_every_s
        self._read_timeout_s = read_timeout_s
        self._seldom = seldom or Seldom()
        self._turn = asyncio.Lock()
        self._etag: str | None = None
        self._seen: tuple[int, str] | None = None
        self._looked = asyncio.Event()
        self.selected: frozenset[str] = frozenset()
        """The symbols that the settings mean; empty until there was a list."""

    def look(self) -> None:
        """Look at the stored list now: it was written a moment ago."""
        self._looked.set()

    async def run(self) -> None:
        """Take up what is stored, again and again. Raises :class:`~depthcast.errors.SettingsError` as
        :meth:`offer` does."""
        while True:
            await self._follow()
            every_s = self._look_every_s if self.selected else self._first_look_every_s
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._looked.wait()
            self._looked.clear()

    async def _follow(self) -> None:
        try:
            async with asyncio.timeout(self._read_timeout_s):
                found = await (
                    self._store.get(self._kind.key)
                    if self._etag is None
                    else self._store.get_if_changed(self._kind.key, self._etag)
                )
        except (StoreError, TimeoutError) as error:
            if self._seldom.held_back("read") is not None:
                _log.warning(
                    "the stored list of symbols cannot be read", why=str(error) or "no answer in time"
                )
            return
        if found is None or found is UNCHANGED:
            return
        try:
            await self.offer(found.body, _observed_ms(self._kind.key, found.metadata))
        except VenueError as error:
            if self._seldom.held_back("damaged") is not None:
                _log.warning("the stored list of symbols cannot be read", why=str(error))
        except SettingsError:
            if self.selected:
                raise
            # It may be from before a symbol was listed that the settings name: the exchange knows.
            self._ask()
        self._etag = found.etag

    async def offer(self, body: bytes, observed_ms: int = 0) -> None:
        """A list, from the store or from the exchange. Nothing happens where it is older, or says the same.

        ``observed_ms`` is when it was answered, where the list itself does not tell.

        Raises :class:`~depthcast.errors.VenueError` for what is no list, and
        :class:`~depthcast.errors.SettingsError` where the first one does not name what the settings mean.
        """
        async with self._turn:
            read = self._kind.read(body)
            mark = (read.server_time_ms or observed_ms, read.fingerprint)
            if self._seen is not None and (mark[0] < self._seen[0] or mark[1] == self._seen[1]):
                return
            info = await parsed(self._parse, body)
            if not info.symbols:
                _log.warning("the exchange's list is empty; symbols stay as they are")
                return
            selected = self._select(info)
            self._seen, self.selected = mark, frozenset(selected)
            await self._take(info, selected)

    def _select(self, info: ExchangeInfo) -> set[str]:
        if not self.selected:
            return set(select_symbols(self._patterns, info))
        selected = still_meant(self._patterns, info, self.selected)
        if not selected:
            _log.warning("the exchange lists none of the symbols any more; they stay as they are")
            return set(self.selected)
        gone = sorted(self.selected - selected)
        if gone:
            _log.warning("symbols are not listed any more", gone=len(gone), symbols=", ".join(gone[:10]))
        return selected

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert (self._seen is None) == (not self.selected), "symbols of no list"


def _observed_ms(key: str, metadata: Mapping[str, str]) -> int:
    """When the stored list was answered; 0 where its writer did not say."""
    try:
        return HeadInfo.from_metadata(key, metadata).observed_ms
    except BadFile:
        return 0


def still_meant(patterns: Sequence[str], info: ExchangeInfo, before: Collection[str]) -> set[str]:
    """The symbols of a later list: those of ``before`` that it still names, and what the patterns select now.

    A name that is not listed any more, or a glob without a match, is passed over: others go on.
    """
    meant = {symbol for symbol in before if symbol in info.symbols}
    for pattern in patterns:
        with suppress(SettingsError):
            meant.update(select_symbols([pattern], info))
    return meant
