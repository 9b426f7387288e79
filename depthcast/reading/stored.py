"""``StoredFiles``: files read from a :class:`~depthcast.store.Store`.

Which limits are published is the updaters' setting. The usual ones are tried in turn, and only where none is
there the store is asked what it has of the symbol: its answer is remembered.
"""

from collections import OrderedDict
from typing import Final

from depthcast.errors import FileMissing, UnknownSymbol
from depthcast.files import BINANCE, Scheme, check_file, depth_key, parse_key
from depthcast.reading.file import About, DepthFile
from depthcast.store import Store

MAX_REMEMBERED: Final = 20_000
"""Of so many symbols at most the unusual limits are remembered."""


class StoredFiles:
    """What is published in ``store``, which stays the caller's to close, of the venue of ``scheme``."""

    def __init__(
        self, store: Store, scheme: Scheme = BINANCE, *, max_remembered: int = MAX_REMEMBERED
    ) -> None:
        self._store = store
        self._scheme = scheme
        self._max_remembered = max_remembered
        self._unusual: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    @property
    def where(self) -> str:
        """Where they are, for people."""
        return self._store.url

    async def file(self, symbol: str, limit: int) -> DepthFile:
        """The book of ``symbol`` that answers ``limit``, cut from the next larger file where that limit is
        not published.

        Raises :class:`~depthcast.errors.UnknownSymbol`, :class:`~depthcast.errors.FileMissing`,
        :class:`~depthcast.errors.BadFile` or what the store raises.
        """
        scheme = self._scheme
        wanted = depth_key(symbol, limit, scheme)
        known = self._unusual.get(symbol) or scheme.limits
        for candidate in (each for each in known if scheme.covering(limit, (each,)) == each):
            found = await self._one(symbol, candidate, limit)
            if found is not None:
                return found
        published = await self._published(symbol)
        if not published:
            raise UnknownSymbol(symbol, self.where)
        covering = scheme.covering(limit, published)
        found = None if covering is None else await self._one(symbol, covering, limit)
        if found is None:
            raise FileMissing(
                wanted,
                f"of {symbol} the limits {', '.join(map(str, published))} are published",
                hint=f"ask for {published[-1]} at most",
            )
        self._unusual[symbol] = published
        if len(self._unusual) > self._max_remembered:
            self._unusual.popitem(last=False)
        return found

    async def close(self) -> None:
        """There is nothing of its own to let go of."""

    def check(self) -> None:
        """Raise ``AssertionError`` where what is remembered is not in order."""
        assert len(self._unusual) <= self._max_remembered
        assert all(limits and limits == self._scheme.ordered(limits) for limits in self._unusual.values())

    async def _one(self, symbol: str, published: int, limit: int) -> DepthFile | None:
        """The file of a published limit, cut to ``limit``; ``None`` where it is not there."""
        scheme = self._scheme
        key = depth_key(symbol, published, scheme)
        found = await self._store.get(key)
        if found is None:
            return None
        check_file(key, found.body, found.metadata)
        body = scheme.layout(published).cut(found.body, limit)
        return DepthFile.of(symbol, limit, body, About.of_metadata(key, found.metadata), scheme)

    async def _published(self, symbol: str) -> tuple[int, ...]:
        """The limits that are published of a symbol, ascending."""
        return self._scheme.ordered(
            [
                parse_key(entry.key).limit
                for prefix in self._scheme.prefixes_of(symbol)
                async for entry in self._store.list(prefix)
            ]
        )
