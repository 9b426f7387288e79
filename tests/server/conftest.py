"""A store that counts and misbehaves on request, and a clock that stands still until it is told to go on."""

import asyncio
import heapq
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import pytest

from depthcast.errors import StoreError
from depthcast.files import CONTENT_TYPE, FLEET_PREFIX, FileInfo, depth_key
from depthcast.store import Entry, Outcome, PutResult, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore

WROTE_MS = 1_723_161_253_021
"""When files are published, by their writer's clock."""


class WatchedStore:
    """A ``MemoryStore`` behind a door: counts what passes, and can be shut, slow or wrong.

    ``failure``: every read and listing raises it. ``gate``: reads wait for it. ``instead``: what is read of a
    key in place of the truth, as from a cache in between. ``content_etags``: an ETag is the MD5 of the body.
    """

    def __init__(self, *, content_etags: bool = False) -> None:
        self.inner = MemoryStore(content_etags=content_etags)
        self.reads: Counter[str] = Counter()
        self.conditional: Counter[str] = Counter()
        self.peeks: Counter[str] = Counter()
        self.listings = 0
        self.fleet_listings = 0
        self.failure: StoreError | None = None
        self.gate: asyncio.Event | None = None
        self.instead: dict[str, StoredObject | None] = {}
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0
        self.most_of_one_key = 0
        self.closed = False
        self.reading = asyncio.Event()
        """Set by the first read, when it begins."""

    @property
    def url(self) -> str:
        return self.inner.url

    async def get(self, key: str) -> StoredObject | None:
        await self._pass(key)
        return self.instead[key] if key in self.instead else await self.inner.get(key)

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self.peeks[key] += 1
        await self._pass(key)
        found = self.instead[key] if key in self.instead else await self.inner.get(key)
        return found and replace(found, body=found.body[:length])

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        self.conditional[key] += 1
        await self._pass(key)
        if key in self.instead:
            found = self.instead[key]
            return Unchanged.UNCHANGED if found is not None and found.etag == etag else found
        return await self.inner.get_if_changed(key, etag)

    async def put_if(
        self,
        key: str,
        body: bytes,
        *,
        match: str | None,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
        cache_control: str | None = None,
    ) -> PutResult:
        return await self.inner.put_if(
            key,
            body,
            match=match,
            metadata=metadata,
            content_type=content_type,
            cache_control=cache_control,
        )

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        if prefix == FLEET_PREFIX:
            self.fleet_listings += 1
        else:
            self.listings += 1
        if self.failure is not None:
            raise self.failure
        async for entry in self.inner.list(prefix):
            yield entry

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        self.listings += 1
        if self.failure is not None:
            raise self.failure
        return await self.inner.list_after(folder, after, limit)

    async def close(self) -> None:
        self.closed = True

    async def _pass(self, key: str) -> None:
        self.reads[key] += 1
        self.reading.set()
        self.at_once[key] += 1
        self.most_of_one_key = max(self.most_of_one_key, self.at_once[key])
        self.most_at_once = max(self.most_at_once, self.at_once.total())
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.at_once[key] -= 1

    @staticmethod
    def body(update_id: int, levels: int) -> bytes:
        """A file as a writer makes it, here for a book whose prices and quantities tell the update id."""
        bids = [[f"{1000 - n}.50000000", f"{update_id}.00000000"] for n in range(levels)]
        asks = [[f"{1001 + n}.50000000", f"{update_id}.00000000"] for n in range(levels)]
        members = {"lastUpdateId": update_id, "bids": bids, "asks": asks}
        return json.dumps(members, separators=(",", ":")).encode()

    @staticmethod
    def metadata(epoch: int = 1, levels: int = 5000, status: str = "TRADING") -> dict[str, str]:
        info = FileInfo(
            epoch=epoch,
            bids=levels,
            asks=levels,
            bids_complete=False,
            asks_complete=True,
            event_time_ms=WROTE_MS - 21,
            publish_time_ms=WROTE_MS,
            replica="r1",
            status=status,
        )
        return info.to_metadata()

    async def publish(
        self,
        symbol: str,
        limit: int,
        update_id: int,
        *,
        epoch: int = 1,
        levels: int | None = None,
        status: str = "TRADING",
    ) -> bytes:
        """Put a file in place of whatever is there; returns its body."""
        body = self.body(update_id, limit if levels is None else levels)
        await self.put(depth_key(symbol, limit), body, self.metadata(epoch, status=status))
        return body

    async def put(self, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        held = await self.inner.get(key)
        match = held.etag if held is not None else None
        result = await self.inner.put_if(key, body, match=match, metadata=metadata, content_type=CONTENT_TYPE)
        assert result.outcome is Outcome.WON


class StillClock:
    """Seconds that pass only in :meth:`advance`, which wakes every sleeper in its turn."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def __call__(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        """The same as a time of day: :data:`WROTE_MS` at the beginning."""
        return WROTE_MS + round((self.now - 1000) * 1000)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        until = self.now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            self.now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await self.settle()
        self.now = until

    @staticmethod
    async def settle() -> None:
        """Let everything that can go on without the clock go on."""
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore()


@pytest.fixture
def body_etag_store() -> WatchedStore:
    """One whose ETags are made of the bodies alone, as Amazon's S3 and SeaweedFS make them."""
    return WatchedStore(content_etags=True)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def body_of() -> Callable[[int, int], bytes]:
    """A book by its update id and levels, as every file of these tests is made."""
    return WatchedStore.body
