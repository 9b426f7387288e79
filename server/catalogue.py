"""Which symbols are published, and with which limits: the listing of the store, taken anew now and then.

Promises: whether a symbol exists is answered from memory, so no request can make the store look for one
that does not. A listing replaces the former as a whole or not at all. Keys are never deleted, so what is
listed can be read.
"""

import asyncio
from collections.abc import KeysView
from typing import Final

from depthcast.errors import StoreUnavailable
from depthcast.files import BINANCE, Scheme
from depthcast.store import Store

DEFAULT_TIMEOUT_S: Final = 30.0
AT_ONCE: Final = 256
"""So many keys are read before others have their turn: half a millisecond, where an exchange has 30,000."""


class Catalogue:
    """A venue's published symbols; empty and not :attr:`known` until the first :meth:`refresh` succeeds."""

    def __init__(
        self, store: Store, *, scheme: Scheme = BINANCE, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self._store = store
        self._scheme = scheme
        self._timeout_s = timeout_s
        self._limits: dict[str, tuple[int, ...]] = {}
        self.known = False
        self.published: tuple[int, ...] = ()
        """The limits published for any symbol, the largest file's last."""
        self.foreign_keys: tuple[str, ...] = ()
        """Up to ten listed keys that are no keys of ours, for a warning."""

    def __len__(self) -> int:
        return len(self._limits)

    def limits(self, symbol: str) -> tuple[int, ...] | None:
        """The symbol's published limits, the largest file's last; ``None``: it is not published."""
        return self._limits.get(symbol)

    @property
    def symbols(self) -> KeysView[str]:
        """The published symbols, in the order of the store's keys."""
        return self._limits.keys()

    async def refresh(self) -> None:
        """List the store. Raises :class:`~depthcast.errors.StoreError`; what was known then stays."""
        found: dict[str, list[int]] = {}
        foreign: list[str] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                listed = 0
                for prefix in self._scheme.depth_prefixes:
                    async for entry in self._store.list(prefix):
                        listed += 1
                        if listed % AT_ONCE == 0:
                            await asyncio.sleep(0)
                        request = self._scheme.parse(entry.key)
                        if request is not None:
                            found.setdefault(request.symbol, []).append(request.limit)
                        elif len(foreign) < 10:
                            foreign.append(entry.key)
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._store.url} did not finish its listing within {self._timeout_s:g} s"
            ) from None
        self._limits = {symbol: self._scheme.ordered(limits) for symbol, limits in found.items()}
        self.published = self._scheme.ordered({limit for limits in found.values() for limit in limits})
        self.foreign_keys = tuple(foreign)
        self.known = True
