"""``Cuts``: a file of its own for each published symbol, cut from the list of symbols.

``api/v3/exchangeInfo?symbol=ETHUSDT`` holds what the exchange would answer that request, in its own bytes:
the whole list with one entry, or that entry alone. It is written by compare-and-swap where its entry, or what
stands around all entries, changed, and never over the cut of a later change. A symbol that is listed no more
is left with a list without entries, or with the exchange's refusal: keys are never deleted.
"""

import asyncio
from collections.abc import Callable, Mapping, Set
from typing import Final, NamedTuple

from depthcast.aside import Aside
from depthcast.errors import BadFile, StoreUnavailable
from depthcast.files import CONTENT_TYPE
from depthcast.metadata.kinds import Kind, keeps_by_itself
from depthcast.metadata.record import HeadInfo, Recorded, digest_of
from depthcast.store import Outcome, Store
from depthcast.symbol_list import LAYOUT, SymbolList
from depthcast.uncollected import uncollected

TRIES: Final = 3
AT_ONCE: Final = 8

Wanted = Callable[[], Set[str]]
"""The symbols that have a file of their own, as of now."""


class Cut(NamedTuple):
    """One symbol's file. ``only_if_there``: the symbol is not published, and a file it has is brought up to
    date."""

    symbol: str
    body: bytes
    sha256: str
    fingerprint: str
    only_if_there: bool


class Cuts:
    """The cuts of one kind. At most ``at_once`` are looked at together; ``aside`` does the dividing."""

    def __init__(
        self,
        store: Store,
        kind: Kind,
        wanted: Wanted,
        *,
        cache_control: str | None = None,
        aside: Aside = asyncio.to_thread,
        at_once: int = AT_ONCE,
        tries: int = TRIES,
    ) -> None:
        self._store = store
        self._kind = kind
        self._wanted = wanted
        self._cache_control = cache_control
        self._aside = aside
        self._at_once = asyncio.Semaphore(at_once)
        self._tries = tries
        self._sequence = 0
        self._seen: Set[str] | None = None
        self._keeps: frozenset[str] = frozenset()
        self._known: dict[str, str] = {}
        """The fingerprint of each cut that was seen in the store, or written."""

    def behind(self, sequence: int) -> bool:
        """Whether there is something to be done for the head of this sequence."""
        return self._sequence != sequence or not self._known.keys() >= self._kept()

    def _kept(self) -> frozenset[str]:
        """Those wanted that can have a file. Thousands of names are not looked at again while they are the
        same ones."""
        wanted = self._wanted()
        if wanted is not self._seen or not isinstance(wanted, frozenset):
            self._seen, self._keeps = wanted, frozenset(filter(keeps_by_itself, wanted))
        return self._keeps

    async def follow(self, recorded: Recorded, info: HeadInfo) -> None:
        """Bring the cuts to the document of a head.

        Raises :class:`~depthcast.errors.StoreError` where the store does not let it; what was done stays.
        """
        wanted = self._kept()
        # A list of 3,700 symbols takes 150 ms, for which nobody else is to wait.
        made = await self._aside(self._made, recorded, wanted, dict(self._known))
        if made is None:
            # It is a list, but not written compactly: its entries' bytes cannot be told apart.
            self._sequence, self._known = info.sequence, dict.fromkeys(wanted, "")
            return
        bringing = [self._bring(cut, info) for cut in made]
        for outcome in await asyncio.gather(*bringing, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        self._sequence = info.sequence

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert all(map(keeps_by_itself, self._known))
        assert self._sequence >= 0

    def _made(self, recorded: Recorded, wanted: Set[str], known: Mapping[str, str]) -> list[Cut] | None:
        """The cuts that are not ``known`` to be as they should; ``None`` where the list cannot be divided."""
        with uncollected():
            return self._divide(recorded, wanted, known)

    def _divide(self, recorded: Recorded, wanted: Set[str], known: Mapping[str, str]) -> list[Cut] | None:
        try:
            layout = self._kind.layout or LAYOUT
            listing = SymbolList.of(recorded.document, layout)
            divided = listing.divide()
        except BadFile:
            return None
        entries = {entry.symbol: entry.body for entry in divided.entries}
        before, behind = listing.beginning() + divided.between, divided.behind
        if layout.alone:
            before = behind = b""
        # What is not published (any more) may have a file from when it was: that is not left behind.
        touched = set(filter(keeps_by_itself, (*known, *recorded.record.symbols)))
        cuts = []
        for symbol in sorted(wanted | touched):
            body = b"".join((before, entries.get(symbol, layout.absent), behind))
            fingerprint = digest_of(body) if layout.alone else self._kind.read(body).fingerprint
            if known.get(symbol) != fingerprint:
                cuts.append(Cut(symbol, body, digest_of(body), fingerprint, symbol not in wanted))
        return cuts

    async def _bring(self, cut: Cut, info: HeadInfo) -> None:
        told = info._replace(sha256=cut.sha256, fingerprint=cut.fingerprint)
        async with self._at_once:
            await self._write(self._kind.cut_key(cut.symbol), cut.body, told, cut.only_if_there)
        self._known[cut.symbol] = cut.fingerprint

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
