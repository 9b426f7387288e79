"""Metadata of several replicas in virtual time: their way to the store, how they hear of each other, and what
befalls them. What a test adds is the exchange and what it said.
"""

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from depthcast.errors import StoreUnavailable
from depthcast.heartbeat import Heartbeat
from depthcast.metadata.kinds import Kind
from depthcast.metadata.record import Recorded
from depthcast.store import Entry, Outcome, PutResult, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore
from depthcast.venues import ExchangeInfo
from tests import virtual
from updater.metadata import Metadata

START_MS: Final = 1_800_000_000_000

T = TypeVar("T")


class Scene(Protocol):
    """What a world has, whatever its exchange: the store's troubles, and who lives."""

    rng: Random
    store: MemoryStore
    away: bool
    lives: dict[str, Metadata]
    happened: Counter[str]


S = TypeVar("S", bound=Scene)


async def at_once(work: Callable[..., T], /, *given: Any) -> T:
    return work(*given)


async def nothing() -> None:
    """Does not wait."""


def now_ms() -> int:
    return START_MS + round((virtual.clock() - 1000) * 1000)


class Way:
    """One replica's way to the store: slow, now and then away, and answers get lost."""

    def __init__(self, world: Scene) -> None:
        self._world = world
        self.url = "memory:"

    async def _pass(self) -> None:
        await asyncio.sleep(self._world.rng.uniform(0.002, 0.05))
        if self._world.away:
            await asyncio.sleep(self._world.rng.uniform(0.1, 2.0))
            raise StoreUnavailable("the store is away")

    async def get(self, key: str) -> StoredObject | None:
        await self._pass()
        return await self._world.store.get(key)

    async def peek(self, key: str, length: int) -> StoredObject | None:
        await self._pass()
        return await self._world.store.peek(key, length)

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        await self._pass()
        return await self._world.store.get_if_changed(key, etag)

    async def list_after(self, folder: str, after: str, limit: int) -> Any:
        await self._pass()
        return await self._world.store.list_after(folder, after, limit)

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        await self._pass()
        async for entry in self._world.store.list(prefix):
            yield entry

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        rng, world = self._world.rng, self._world
        await asyncio.sleep(rng.uniform(0.002, 0.05))
        chance = rng.random()
        if chance < 0.03 or (world.away and chance < 0.7):
            world.happened["write lost"] += 1
            await asyncio.sleep(rng.uniform(0.1, 2.0))
            return PutResult(Outcome.UNKNOWN, reason="it never arrived")
        result = await world.store.put_if(key, body, **more)
        # Whoever is killed here has written, and never hears of it.
        await asyncio.sleep(rng.uniform(0.002, 0.05))
        if chance > 0.97 or world.away:
            world.happened["answer lost"] += 1
            return PutResult(Outcome.UNKNOWN, reason="its answer was lost")
        return result

    async def close(self) -> None:
        """Nothing is open."""


class Process(Generic[S]):
    """The process that one replica's metadata lives in. Its clock is off by ``skew_ms``."""

    metadata: Metadata

    def __init__(self, world: S, name: str, skew_ms: int) -> None:
        self.world, self.name, self.skew_ms = world, name, skew_ms
        self.task: asyncio.Task[None] | None = None

    @abstractmethod
    def start(self) -> None:
        """Make the metadata, and let it run."""

    async def _take(self, info: ExchangeInfo, symbols: set[str]) -> None:
        assert symbols <= info.symbols.keys()

    async def kill(self) -> None:
        """As kill -9: whatever it waits for is never gone on with."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        del self.world.lives[self.name]
        self.world.happened["killed"] += 1


async def hear(world: Scene) -> None:
    """What the fleet does: each hears of all who live, a moment late."""
    while True:
        beats = {
            name: Heartbeat(replica=name, beat=1, polls=metadata.polls.beats())
            for name, metadata in world.lives.items()
        }
        await asyncio.sleep(0.7)
        for name, metadata in world.lives.items():
            known = {each: beat for each, beat in beats.items() if each in world.lives}
            own = beats.get(name, Heartbeat(replica=name, beat=1))
            metadata.read({**known, name: own}, own)


async def kills(world: Scene, replicas: Sequence[Process[Any]]) -> None:
    """One after the other dies, and is started again."""
    rng = world.rng
    while True:
        await asyncio.sleep(rng.uniform(20, 160))
        one = rng.choice(replicas)
        await one.kill()
        await asyncio.sleep(rng.uniform(0.5, 12))
        one.start()


async def outages(world: Scene) -> None:
    """The store is away now and then."""
    rng = world.rng
    while True:
        await asyncio.sleep(rng.uniform(60, 240))
        world.away = True
        world.happened["outage"] += 1
        await asyncio.sleep(rng.uniform(1, 12))
        world.away = False


async def end(world: Scene, replicas: Sequence[Process[Any]], beside: Sequence[asyncio.Future[Any]]) -> None:
    """No more trouble, which is the last of what goes on ``beside``: all live, see what there is, and end."""
    beside[-1].cancel()
    await asyncio.gather(beside[-1], return_exceptions=True)
    world.away = False
    for replica in replicas:
        if replica.name not in world.lives:
            replica.start()
    await asyncio.sleep(120)
    for task in (*beside, *(replica.task for replica in replicas if replica.task)):
        assert not task.done() or task.cancelled(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for metadata in world.lives.values():
        metadata.check()


async def changes_of(world: Scene, kind: Kind) -> list[Recorded]:
    """What was recorded, in order."""
    found = []
    async for entry in world.store.list(kind.changes_folder):
        held = await world.store.get(entry.key)
        assert held is not None
        found.append(Recorded.parse(entry.key, held.body))
    return sorted(found, key=lambda each: each.record.sequence)
