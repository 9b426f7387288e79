"""``GET /api/v3/depth``: a query string to a prepared answer, without waiting where the file is in memory.

:meth:`Depth.answer` is synchronous: it reads the request, looks the symbol up in the catalogue and the file
up in memory. Only where a file has to be read first is the answer to be awaited. Which answer a request gets
depends on nothing but the request and the published files.
"""

import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final

from depthcast.errors import BadFile, StoreError
from depthcast.files import covering_limit, depth_key
from depthcast.venues.binance_rest import (
    LIMIT_NOT_VALID,
    STATUS_MISMATCH,
    UNAVAILABLE,
    UNKNOWN_SYMBOL,
    ApiError,
    DepthRequest,
    parse_depth,
    parse_time_unit,
)
from server.answers import QUERY_TOO_LONG, Answer, Asked, refusal
from server.catalogue import Catalogue
from server.freshness import Freshness
from server.hot import HotFile, HotFiles

MAX_QUERY_BYTES: Final = 8192

_CACHED_QUERIES: Final = 4096
_CACHED_QUERY_BYTES: Final = 128


class Depth:
    """The depth endpoint over what is published and what is in memory. ``clock`` is the one of ``hot``."""

    def __init__(
        self,
        catalogue: Catalogue,
        hot: HotFiles,
        freshness: Freshness,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._hot = hot
        self._freshness = freshness
        self._clock = clock
        self._parse_cached = lru_cache(maxsize=_CACHED_QUERIES)(parse_depth)
        self._unknown_symbol = refusal(UNKNOWN_SYMBOL)
        self._status_mismatch = refusal(STATUS_MISMATCH)
        self._unavailable = refusal(UNAVAILABLE)

    def answer(self, asked: Asked) -> Answer | Awaitable[Answer]:
        """The answer: to be awaited only where the file has to be read first."""
        if len(asked.query) > MAX_QUERY_BYTES:
            return QUERY_TOO_LONG
        unit = parse_time_unit(asked.time_unit)
        if isinstance(unit, ApiError):
            return refusal(unit)
        # Most requests are repeated, and reading one costs more than all the rest.
        parse = self._parse_cached if len(asked.query) <= _CACHED_QUERY_BYTES else parse_depth
        request = parse(asked.query)
        if isinstance(request, ApiError):
            return refusal(request)
        key = self._key(request)
        if not isinstance(key, str):
            return key
        file = self._hot.get(key)
        return self._read(key, request, asked) if file is None else self._from(file, request, asked)

    async def _read(self, key: str, request: DepthRequest, asked: Asked) -> Answer:
        """The answer after reading the file: 503 where neither the store nor memory has it."""
        try:
            file = await self._hot.read(key)
        except (StoreError, BadFile):
            return self._unavailable
        return self._unavailable if file is None else self._from(file, request, asked)

    def _key(self, request: DepthRequest) -> str | Answer:
        """The key of the file that holds the answer, or the refusal where there is none."""
        limits = self._catalogue.limits(request.symbol)
        if limits is None:
            # Before the first listing nobody can say that a symbol does not exist.
            return self._unknown_symbol if self._catalogue.known else self._unavailable
        covering = covering_limit(request.limit, limits)
        if covering is None:
            # Fewer levels than asked for would look like a thin book. Where other symbols have such a file,
            # this one's is still to come.
            coming = request.limit <= self._catalogue.largest_limit
            return self._unavailable if coming else refusal(LIMIT_NOT_VALID)
        return depth_key(request.symbol, covering)

    def _from(self, file: HotFile, request: DepthRequest, asked: Asked) -> Answer:
        assert file.edition is not None  # what HotFiles hands out has been read
        if request.symbol_status not in (None, file.edition.info.status):
            return self._status_mismatch
        currency = self._freshness.of(file, self._clock())
        return file.edition.answer(request.limit, asked, currency)
