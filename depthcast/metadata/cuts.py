"""``Cuts``: a file of its own for each published symbol, cut from the list of symbols.

``api/v3/exchangeInfo?symbol=ETHUSDT`` holds what the exchange would answer that request: the whole list with
one entry, the exchange's own bytes. It is written by compare-and-swap where its entry, or what stands around
all entries, changed, and never over the cut of a later change. A symbol that is listed no more is left with a
list without entries: keys are never deleted.
"""

import asyncio
from collections.abc import Callable, Set
from typing import Final

from depthcast.errors import BadFile, StoreUnavailable
from depthcast.files import CONTENT_TYPE
from depthcast.metadata.kinds import Kind, keeps_by_itself
from depthcast.metadata.record import HeadInfo, Recorded, digest_of
from depthcast.store import Outcome, Store
from depthcast.symbol_list import SymbolList

TRIES: Final = 3
AT_ONCE: Final = 8

Wanted = Callable[[], Set[str]]
"""The symbols that have a file of their own, as of now."""


class Cuts:
    """The cuts of one kind. At most ``at_once`` are looked at together."""

    def __init__(
        self,
        store: Store,
        kind: Kind,
        wanted: Wanted,
        *,
        cache_control: str | None = None,
        at_once: int = AT_ONCE,
        tries: int = TRIES,
    ) -> None:
        self._store = store
        self._kind = kind
        self._wanted = wanted
        self._cache_control = cache_control
        self._at_once = asyncio.Semaphore(at_once)
        self._tries = tries
        self._sequence = 0
        self._known: dict[str, str] = {}
        """The fingerprint of each cut that was seen in the store, or written."""

    def behind(self, sequence: int) -> bool:
        """Whether there is something to be done for the head of this sequence."""
        return self._sequence != sequence or not self._known.keys() >= set(
            filter(keeps_by_itself, self._wanted())
        )

    async def follow(self, recorded: Recorded, info: HeadInfo) -> None:
        """Bring the cuts to the document of a head.

        Raises :class:`~depthcast.errors.StoreError` where the store does not let it; what was done stays.
        """
        wanted = set(filter(keeps_by_itself, self._wanted()))
        try:
            listing = SymbolList.of(recorded.document)
            divided = listing.divide()
        except BadFile:
            # It is a list, but not written compactly: its entries' bytes cannot be told apart.
            self._sequence, self._known = info.sequence, dict.fromkeys(wanted, "")
            return
        entries = {entry.symbol: entry.body for entry in divided.entries}
        before = b"%s%d%s" % (listing.before, listing.server_time_ms, divided.between)
        gone = {symbol for symbol in (*self._known, *recorded.record.symbols) if symbol not in entries}
        bringing = [
            self._bring(
                symbol,
                b"".join((before, entries.get(symbol, b""), divided.behind)),
                info,
                only_if_there=symbol not in wanted,
            )
            for symbol in sorted(wanted | set(filter(keeps_by_itself, gone)))
        ]
        for outcome in await asyncio.gather(*bringing, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        self._sequence = info.sequence

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert all(map(keeps_by_itself, self._known))
        assert self._sequence >= 0

    async def _bring(self, symbol: str, body: bytes, info: HeadInfo, *, only_if_there: bool) -> None:
        fingerprint = self._kind.read(body).fingerprint
        if self._known.get(symbol) == fingerprint:
            return
        told = info._replace(sha256=digest_of(body), fingerprint=fingerprint)
        async with self._at_once:
            await self._write(self._kind.cut_key(symbol), body, told, only_if_there)
        self._known[symbol] = fingerprint

    async def _write(self, key: str, body: bytes, info: HeadInfo, only_if_there: bool) -> None:
        for _ in range(self._tries):
            found = await self._store.peek(key, 1)
            if found is None and only_if_there:
                return
            if found is not None:
                try:
                    there = HeadInfo.from_metadata(key, found.metadata)
                except BadFile:
                    pass  # somebody else's: it is replaced
                else:
                    if there.fingerprint == info.fingerprint or there.sequence > info.sequence:
                        return
            result = await self._store.put_if(
                key,
                body,
                match=None if found is None else found.etag,
                metadata=info.to_metadata(),
                content_type=CONTENT_TYPE,
                cache_control=self._cache_control,
            )
            if result.outcome is Outcome.WON:
                return
            if result.outcome is not Outcome.LOST:
                raise result.error or StoreUnavailable(f"{key} is not written: {result.outcome.value}")
        raise StoreUnavailable(f"{key} is not written: others write it")
