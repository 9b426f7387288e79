"""Replicas of one symbol over one faulty store, in virtual time: they are cut off, frozen and killed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any, Literal, TypeVar

from depthcast.errors import StoreUnavailable
from depthcast.heartbeat import Role
from depthcast.store import Entry, Outcome, PutResult, StoredObject, Unchanged
from tests.updater.publishing import FaultyStore, Replica, now
from updater.cadence import Cadence

T = TypeVar("T")


class Way:
    """One replica's way to the store that all share: it can be cut, slow, or frozen with the replica."""

    def __init__(self, store: FaultyStore) -> None:
        self.store = store
        self.url = store.url
        self.cut = False
        self.slow_s = 0.0
        self.running = asyncio.Event()
        self.running.set()
        self.watched: list[float] = []
        """When whole files were asked for, which a standby does alone."""

    async def _through(self, call: Callable[[], Awaitable[T]]) -> T:
        await asyncio.sleep(self.slow_s)
        if self.cut:
            raise StoreUnavailable("the way is cut")
        answer = await call()
        await self.running.wait()
        return answer

    async def get(self, key: str) -> StoredObject | None:
        self.watched.append(now())
        return await self._through(lambda: self.store.get(key))

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        self.watched.append(now())
        return await self._through(lambda: self.store.get_if_changed(key, etag))

    async def peek(self, key: str, length: int) -> StoredObject | None:
        return await self._through(lambda: self.store.peek(key, length))

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        try:
            return await self._through(lambda: self.store.put_if(key, body, **more))
        except StoreUnavailable as error:
            return PutResult(Outcome.UNKNOWN, error=error)

    def list(self, prefix: str) -> AsyncIterator[Entry]:
        return self.store.list(prefix)

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        return await self._through(lambda: self.store.list_after(folder, after, limit))

    async def close(self) -> None:
        await self.store.close()


class Fleet:
    """Replicas of one symbol, whose books hear the same updates, each a little later or earlier."""

    def __init__(self, size: int, *, store: FaultyStore | None = None, seed: int = 1, **more: Any) -> None:
        self.rng = Random(seed)
        self.store = store or FaultyStore(latency_s=0.005)
        more.setdefault("limits", (5, 100, 5000))
        more.setdefault("cadence", Cadence())
        self._more = more
        self.replicas: list[Replica] = []
        self.ways: list[Way] = []
        self.alive: set[int] = set()
        self.frozen: set[int] = set()
        self.at = {10: now()}
        """When the exchange came to each update id."""
        self.id = 10
        for rank in range(size):
            self.join(rank)

    def join(self, rank: int) -> int:
        way = Way(self.store)
        name = "abcdefg"[len(self.replicas)]
        replica = Replica(way, name, update_id=self.id, rank=rank, **self._more)
        self.replicas.append(replica)
        self.ways.append(way)
        self.alive.add(len(self.replicas) - 1)
        return len(self.replicas) - 1

    def rank(self, *ranks: int) -> None:
        for who, rank in enumerate(ranks):
            if who in self.alive:
                self.replicas[who].publisher.set_rank(rank)

    async def stream(self, seconds: float, every_s: float = 0.1, *, price: str | None = "100.0") -> None:
        end = now() + seconds
        while now() < end:
            await asyncio.sleep(min(every_s * self.rng.uniform(0.8, 1.2), end - now() + 1e-6))
            self.tick(price)

    def tick(self, price: str | None = "100.0") -> None:
        self.id += 1
        self.at[self.id] = now()
        loop = asyncio.get_running_loop()
        for who in self.alive:
            loop.call_later(self.rng.uniform(0.0, 0.01), self._hear, who, self.id, price)

    def _hear(self, who: int, update_id: int, price: str | None) -> None:
        book = self.replicas[who].live.book
        if who in self.alive and who not in self.frozen and book is not None and book.update_id < update_id:
            self.replicas[who].move(update_id - book.update_id, price=price)

    async def kill(self, who: int) -> None:
        self.alive.discard(who)
        self.replicas[who].task.cancel()
        await asyncio.gather(self.replicas[who].task, return_exceptions=True)

    def freeze(self, who: int) -> None:
        self.frozen.add(who)
        self.ways[who].running.clear()

    def thaw(self, who: int) -> None:
        self.frozen.discard(who)
        self.ways[who].running.set()
        self._hear(who, self.id, "100.0")

    @property
    def roles(self) -> list[Role]:
        return [self.replicas[who].publisher.role for who in sorted(self.alive)]

    def takeovers(self, *whose: int) -> int:
        heard = [self.replicas[who].heard.events for who in whose or range(len(self.replicas))]
        return sum(event[0] == "took over" for events in heard for event in events)

    def writers(self, since: float, limit: int | None = None) -> Counter[str]:
        return Counter(
            put.replica
            for put in self.store.puts
            if put.at >= since and put.outcome is Outcome.WON and limit in (None, put.limit)
        )

    def lost(self, since: float = 0.0) -> int:
        return sum(put.at >= since and put.outcome is Outcome.LOST for put in self.store.puts)

    def oldest(self, since: float, limit: int = 100) -> float:
        """The greatest age of a file: the time from an update to the write of it or of a later one."""
        won = [(at, update_id) for at, update_id in self.store.won(limit)]
        won.append((now(), self.id))
        return max(
            after - self.at[update_id + 1]
            for (_, update_id), (after, _) in pairwise(won)
            if after >= since and update_id < self.id
        )

    async def stop(self) -> None:
        for who in sorted(self.alive):
            await self.replicas[who].stop()


def most_in_a_window(times: list[float], window_s: float) -> int:
    return max((sum(start <= at < start + window_s - 1e-9 for at in times) for start in times), default=0)
