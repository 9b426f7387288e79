"""``Reader``: reads published files for as long as it is open, over connections that it keeps."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random
from typing import Final, Protocol, Self

from depthcast.backoff import Backoff
from depthcast.errors import FileMissing, SettingsError, StoreUnavailable, UnknownSymbol
from depthcast.files import SCHEMES
from depthcast.reading.file import DepthFile
from depthcast.reading.files import DepthFiles
from depthcast.reading.stored import StoredFiles
from depthcast.scheme import Scheme
from depthcast.store import Store, open_store
from depthcast.venues.answering import default_limit

DEFAULT_TIMEOUT_S: Final = 30.0


class Files(Protocol):
    """Where files come from."""

    @property
    def where(self) -> str:
        """The place, for people."""
        ...

    async def file(self, symbol: str, limit: int) -> DepthFile:
        """One of them."""
        ...

    async def close(self) -> None:
        """Let go of what is held."""
        ...


class Reader:
    """Reads from ``url``: ``s3://BUCKET[/PREFIX]`` (the usual AWS variables of ``env`` say where that is and
    who we are), or ``http(s)://…`` of a server, an edge, or a bucket that anybody may read. ``venue`` names
    the exchange whose books are read there.

    An asynchronous context manager, for one event loop. A :class:`~depthcast.store.Store` may be given in
    place of a URL; it stays the caller's to close. A read is given ``timeout_s`` in all; where nobody answers
    it is tried ``attempts`` times.

    Raises :class:`~depthcast.errors.SettingsError` for a URL or a variable that cannot be used, and
    :class:`~depthcast.errors.ExtraMissing` for ``s3://`` without the packages for it.
    """

    def __init__(
        self,
        url: str | Store,
        *,
        venue: str = "binance",
        env: Mapping[str, str] | None = None,
        # Time-outs
        timeout_s: float = DEFAULT_TIMEOUT_S,
        # Limits
        attempts: int = 3,
        max_in_flight: int = 16,
        # Retries
        retry_initial_s: float = 0.2,
        retry_maximum_s: float = 2.0,
        # Time and chance
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        if attempts < 1 or max_in_flight < 1:
            raise ValueError("at least one attempt, and at least one request at a time")
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._retry_initial_s = retry_initial_s
        self._retry_maximum_s = retry_maximum_s
        self._sleep = sleep
        self._rng = rng or Random()
        self._slots = asyncio.Semaphore(max_in_flight)
        self._store: Store | None = None
        scheme = _scheme_of(venue)
        self._default_limit = default_limit(scheme.venue)
        self._files: Files
        if not isinstance(url, str):
            self._files = StoredFiles(url, scheme)
        elif url.startswith(("http://", "https://")):
            from depthcast.reading.web import WebFiles  # aiohttp takes 0.2 s to import

            self._files = WebFiles(url, scheme, max_in_flight=max_in_flight)
        else:
            # The reading client leaves no thread behind that could disturb the end of the process.
            self._store = open_store(url, os.environ if env is None else env, for_readers=True)
            self._files = StoredFiles(self._store, scheme)

    @property
    def where(self) -> str:
        """Where it reads from, for people; never holds a secret."""
        return self._files.where

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def read(self, symbol: str, limit: int | None = None) -> DepthFile:
        """The published book of ``symbol`` that answers ``limit``: levels a side, 1 to 5,000, or what the
        venue has in their place; ``None``: what it takes where none is told. Fewer levels where fewer are
        certain or there.

        Raises :class:`~depthcast.errors.UnknownSymbol` where nothing of the symbol is published,
        :class:`~depthcast.errors.FileMissing` where no file has so many levels,
        :class:`~depthcast.errors.BadKey` for a symbol or a limit that cannot be,
        :class:`~depthcast.errors.BadFile` for an object that is no file, and a
        :class:`~depthcast.errors.StoreError` (such as :class:`~depthcast.errors.AccessDenied`) for what the
        store or the server does.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._persistently(symbol, self._default_limit if limit is None else limit)
        except TimeoutError:
            raise StoreUnavailable(
                f"{self.where} gave no file within {self._timeout_s:g} s", hint="check the network"
            ) from None

    async def read_many(
        self, symbols: Iterable[str], limit: int | None = None, *, skip_missing: bool = False
    ) -> DepthFiles:
        """The books of ``symbols``, several at a time, in their order. The first error ends it.

        ``skip_missing``: symbols without such a file are left out instead.
        """
        wanted = list(dict.fromkeys(symbols))
        reads = [asyncio.ensure_future(self._one_of_many(symbol, limit, skip_missing)) for symbol in wanted]
        try:
            found = await asyncio.gather(*reads)
        finally:
            for each in reads:
                each.cancel()
            await asyncio.gather(*reads, return_exceptions=True)
        return DepthFiles(file for file in found if file is not None)

    async def close(self) -> None:
        """Let go of the connections. May be called again."""
        await self._files.close()
        if self._store is not None:
            await self._store.close()

    async def _one_of_many(self, symbol: str, limit: int | None, skip_missing: bool) -> DepthFile | None:
        async with self._slots:
            try:
                return await self.read(symbol, limit)
            except (UnknownSymbol, FileMissing):
                if not skip_missing:
                    raise
                return None

    async def _persistently(self, symbol: str, limit: int) -> DepthFile:
        pauses = Backoff(self._retry_initial_s, maximum_s=self._retry_maximum_s, rng=self._rng)
        for _ in range(self._attempts - 1):
            try:
                return await self._files.file(symbol, limit)
            except StoreUnavailable:
                await self._sleep(pauses.next_s())
        return await self._files.file(symbol, limit)


def _scheme_of(venue: str) -> Scheme:
    scheme = SCHEMES.get(venue)
    if scheme is None:
        raise SettingsError(
            f"no exchange is called {venue!r:.60} here", hint=f"known are {', '.join(SCHEMES)}"
        )
    return scheme
