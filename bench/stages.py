"""The stages from a frame to a stored file, each made of the updater's own parts, and what they cost.

Each holds the one before it: :func:`feed_alone` reads and parses frames, :func:`with_keeper` applies them to
books, :func:`with_replica` renders and writes files, to whatever store it is given. :func:`measure` runs one.
"""

import asyncio
import gc
import time
from asyncio import Task
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import uvloop

from depthcast.events import Diff
from depthcast.feed import Feed
from depthcast.keeper import Keeper
from depthcast.rest import Rest
from depthcast.store import PutResult, Store
from depthcast.store.memory import MemoryStore
from depthcast.venues.binance import Binance
from updater.metrics import Metrics
from updater.replica import Replica
from updater.settings import UpdaterSettings

_BEGUN_WITHIN_S: Final = 180.0
_LAG_EVERY_S: Final = 0.02


class Exchange(NamedTuple):
    """A simulator that runs: its urls and its symbols."""

    rest_url: str
    ws_url: str
    symbols: tuple[str, ...]


class Counts(NamedTuple):
    """Diffs taken, and files written, since a stage began."""

    updates: float
    puts: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One stage over ``wall_s`` seconds. ``late_ms``, sorted: by how much the loop's timers were late."""

    symbols: int
    wall_s: float
    cpu_s: float
    updates: float
    puts: float
    late_ms: list[float]

    @property
    def cpu_us(self) -> float:
        """CPU microseconds an update."""
        return self.cpu_s / self.updates * 1e6

    @property
    def busy(self) -> float:
        """The share of a core that was used."""
        return self.cpu_s / self.wall_s

    @property
    def rate(self) -> float:
        """Updates a symbol and second."""
        return self.updates / self.symbols / self.wall_s

    @property
    def puts_rate(self) -> float:
        """Writes a symbol and second."""
        return self.puts / self.symbols / self.wall_s

    def lag_ms(self, share: float) -> float:
        """The loop's lag at this share (0.5: the median) of its samples."""
        return self.late_ms[min(len(self.late_ms) - 1, int(share * len(self.late_ms)))]


Stage = AbstractAsyncContextManager[Callable[[], Counts]]
"""Runs while it is open; yields what tells its counts."""


def measure(make: Callable[[], Stage], symbols: int, *, settle_s: float, seconds: float) -> Turn:
    """Run a stage on a loop of its own, as the updater's process does; measure it once it has settled."""

    async def turn() -> Turn:
        async with make() as counts:
            await asyncio.sleep(settle_s)
            gc.collect()
            begun, cpu, wall = counts(), time.process_time(), time.perf_counter()
            late_ms = await _lag(seconds)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            ended = counts()
        updates, puts = ended.updates - begun.updates, ended.puts - begun.puts
        return Turn(symbols, wall, cpu, updates, puts, late_ms)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(turn())


async def _lag(seconds: float) -> list[float]:
    """Wait so long; by how many ms each of many timers was late meanwhile, sorted."""
    late_ms = []
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(_LAG_EVERY_S)
        late_ms.append((time.perf_counter() - now - _LAG_EVERY_S) * 1000)
    return sorted(late_ms)


@asynccontextmanager
async def feed_alone(exchange: Exchange) -> AsyncIterator[Callable[[], Counts]]:
    """Frames are read and parsed."""
    taken = 0

    def take(_diff: Diff) -> None:
        nonlocal taken
        taken += 1

    feed = Feed(_venue(exchange), on_diff=take, on_error=Metrics().feed_error)
    feed.subscribe(exchange.symbols)
    async with _running(feed.run()) as task:
        await _until(lambda: all(map(feed.live, exchange.symbols)), task)
        yield lambda: Counts(taken, 0)


@asynccontextmanager
async def with_keeper(exchange: Exchange) -> AsyncIterator[Callable[[], Counts]]:
    """And books are kept, with the metrics of an updater."""
    venue, metrics = _venue(exchange), Metrics()

    def make_feed(take: Callable[[Diff], None], lost: Callable[[Iterable[str]], None]) -> Feed:
        return Feed(venue, on_diff=take, on_error=metrics.feed_error, on_connection_lost=lost)

    async with Rest(venue) as rest:
        await rest.exchange_info()
        keeper = Keeper(make_feed, rest, on_change=lambda _live: None, observer=metrics)
        feed = keeper.feed
        assert isinstance(feed, Feed)
        async with _running(feed.run()), _running(keeper.run()) as task:
            keeper.subscribe(exchange.symbols)
            await _until(lambda: all(live.live for live in keeper.books.values()), task)
            yield lambda: Counts(_applied(metrics), 0)


@asynccontextmanager
async def with_replica(exchange: Exchange, store: Store) -> AsyncIterator[Callable[[], Counts]]:
    """And files are rendered and written to ``store``: a whole replica, with the default settings."""
    settings = UpdaterSettings(
        symbols=exchange.symbols,
        rest_url=exchange.rest_url,
        ws_url=exchange.ws_url,
        replica="bench",
    )
    replica = Replica(settings, store, prove=_taken_on_trust)
    async with _running(replica.run()) as task:
        await _until(lambda: replica.report.ready, task)
        yield lambda: Counts(_applied(replica.metrics), replica.metrics.written.total())
        replica.stop()
        await task


class CountingStore(MemoryStore):
    """A store in this process, where every write wins at once; it counts them and their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0
        self.bytes = 0

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        self.puts += 1
        self.bytes += len(body)
        return await super().put_if(key, body, **more)


def _venue(exchange: Exchange) -> Binance:
    return Binance(exchange.rest_url, exchange.ws_url)


def _applied(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("depthcast_diffs_total", {"verdict": "applied"}) or 0


async def _taken_on_trust(_store: Store) -> None:
    """Neither store here is an S3."""


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(condition: Callable[[], bool], task: Task[None]) -> None:
    """Wait until something is true, which ``task`` brings about."""
    end = time.monotonic() + _BEGUN_WITHIN_S
    while not condition():
        if task.done():
            await task
        if task.done() or time.monotonic() > end:
            raise RuntimeError("the stage did not begin")
        await asyncio.sleep(0.05)
