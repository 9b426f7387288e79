"""``GET /heat/…``: the heatmap's tiles, as they are in the store.

They are static files, and an edge may read them from the bucket by the same path; a server without one in
front hands them out itself. What is complete never changes and stays in memory as long as there is room; what
may change, or is not there, is asked for again after ``hold_s``. Each file is read once at a time, however
many wait for it, and what names no file, or one of a symbol that is not published or of the future, never
reaches the store.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from depthcast.errors import BadKey, DepthcastError, StoreError
from depthcast.heat.keys import HEAT_PREFIX, TileName, parse_key
from depthcast.heat.manifest import CONTENT_TYPE as MANIFEST_TYPE
from depthcast.store import Store, StoredObject
from depthcast.venues.binance_rest import ERROR_CONTENT_TYPE, UNAVAILABLE
from server.catalogue import Catalogue
from server.reads import OnRead, ReadOutcome, no_answer

PATH: Final = f"/{HEAT_PREFIX}{{path:path}}"

DEFAULT_MEMORY_BYTES: Final = 32 * 2**20
DEFAULT_HOLD_S: Final = 2.0
DEFAULT_READ_TIMEOUT_S: Final = 10.0
DEFAULT_MAX_WAITING: Final = 256
READS_AT_ONCE: Final = 8

_COSTS: Final = 512
"""What is kept of a file beside its bytes, and of one that is not there."""

_OPEN: Final = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
_NO_STORE: Final = {**_OPEN, "Cache-Control": "no-store"}


class _Kept(NamedTuple):
    """A file as it was read, ``None`` where there is none; and until when, by the clock, it holds."""

    stored: StoredObject | None
    until: float

    @property
    def size(self) -> int:
        return _COSTS + (len(self.stored.body) if self.stored is not None else 0)


class HeatFiles:
    """The endpoint. ``catalogues`` are those of the venues that are served, by their names; ``clock`` is
    monotonic, in seconds, ``wall_ms`` milliseconds since 1970.

    At most ``max_waiting`` requests wait for the store; who is one too many is answered 503.
    """

    def __init__(
        self,
        store: Store,
        catalogues: Mapping[str, Catalogue],
        *,
        on_read: OnRead = lambda *_: None,
        hold_s: float = DEFAULT_HOLD_S,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
        max_waiting: int = DEFAULT_MAX_WAITING,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._catalogues = catalogues
        self._on_read = on_read
        self._hold_s = hold_s
        self._memory_bytes = memory_bytes
        self._read_timeout_s = read_timeout_s
        self._max_waiting = max_waiting
        self._clock = clock
        self._wall_ms = wall_ms
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._reading: dict[str, asyncio.Task[StoredObject | None]] = {}
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._waiting = 0

    @property
    def route(self) -> Route:
        """All that lies below ``/heat/``."""
        return Route(PATH, self.answer, methods=["GET"])

    async def answer(self, request: Request) -> Response:
        """One file."""
        key = HEAT_PREFIX + request.path_params["path"]
        if not self._named(key):
            return Response(status_code=404, headers=_NO_STORE)
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.until:
            self._kept.move_to_end(key)
            return _given(kept.stored, request)
        if self._waiting >= self._max_waiting:
            return _unavailable()
        self._waiting += 1
        try:
            return _given(await self._read(key), request)
        except StoreError:
            # What was there a moment ago is better than nothing.
            return _unavailable() if kept is None or kept.stored is None else _given(kept.stored, request)
        finally:
            self._waiting -= 1

    def _named(self, key: str) -> bool:
        """Whether there may be such a file."""
        try:
            name = parse_key(key)
        except BadKey:
            return False
        if isinstance(name, TileName) and name.start_ms > self._wall_ms():
            return False
        catalogue = self._catalogues.get(name.venue)
        return catalogue is not None and catalogue.limits(name.symbol) is not None

    async def _read(self, key: str) -> StoredObject | None:
        """The file, read once for all that wait for it. Raises :class:`~depthcast.errors.StoreError`."""
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._asked(key))
            task.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(task)

    async def _asked(self, key: str) -> StoredObject | None:
        began = self._clock()
        error: DepthcastError | None = None
        try:
            async with asyncio.timeout(self._read_timeout_s), self._reads:
                found = await self._store.get(key)
            self._keep(key, found)
            return found
        except StoreError as failed:
            error = failed
            raise
        except TimeoutError:
            error = no_answer(self._store.url, self._read_timeout_s)
            raise error from None
        finally:
            outcome = ReadOutcome.CHANGED if error is None else ReadOutcome.FAILED
            self._on_read(key, outcome, self._clock() - began, error)

    def _keep(self, key: str, stored: StoredObject | None) -> None:
        final = stored is not None and "immutable" in (stored.cache_control or "")
        before = self._kept.pop(key, None)
        kept = _Kept(stored, float("inf") if final else self._clock() + self._hold_s)
        self._kept[key] = kept
        self._bytes += kept.size - (before.size if before is not None else 0)
        while self._bytes > self._memory_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].size

    async def close(self) -> None:
        """End the reads that are under way."""
        reading = list(self._reading.values())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(files kept)."""
        assert self._bytes == sum(kept.size for kept in self._kept.values()) <= self._memory_bytes
        assert 0 <= self._waiting <= self._max_waiting


def _given(stored: StoredObject | None, request: Request) -> Response:
    if stored is None:
        return Response(status_code=404, headers=_NO_STORE)
    headers = {**_OPEN, "Cache-Control": stored.cache_control or "no-cache", "ETag": stored.etag}
    asked = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if stored.etag in asked or "*" in asked:
        return Response(status_code=304, headers=headers)
    media_type = MANIFEST_TYPE if request.url.path.endswith(".json") else "application/octet-stream"
    return Response(stored.body, headers=headers, media_type=media_type)


def _unavailable() -> Response:
    headers = {**_NO_STORE, "Retry-After": "1"}
    return Response(UNAVAILABLE.body(), 503, headers, media_type=ERROR_CONTENT_TYPE)
