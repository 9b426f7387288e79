"""Replicas that record the captured ETHUSDT in virtual time: whole keepers and recorders, a store between.

The exchange is the capture: each replica is handed its diffs at their times, unless it is to miss some, and
asks for snapshots of a book kept apart. A replica is killed, told to stop and begun again as a process is.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

from depthcast.book import Book
from depthcast.errors import BadFile, StoreUnavailable
from depthcast.events import Snapshot
from depthcast.keeper import Keeper
from depthcast.store import Entry, Outcome, PutResult, StoredObject
from depthcast.store.memory import MemoryStore
from depthcast.tape.segment import RecordedDiff, Segment
from tests import virtual
from tests.depthcast.tape.tapes import SYMBOL, exact
from updater.tape.recorder import Recorder

T = TypeVar("T")


async def at_once(work: Any, *given: Any) -> Any:
    """Work done in the loop: virtual time knows no threads."""
    await asyncio.sleep(0)
    return work(*given)


class Observer:
    """Counts what a recorder tells."""

    def __init__(self) -> None:
        self.diffs = 0
        self.kept: Counter[str] = Counter()
        self.holes = 0
        self.dropped = 0
        self.failures: list[Exception] = []
        self.damaged: list[str] = []

    def taped(self) -> None:
        self.diffs += 1

    def segment_kept(self, result: str, *, holes: int, size: int) -> None:
        self.kept[result] += 1
        self.holes += holes

    def segment_failed(self, symbol: str, error: Exception) -> None:
        self.failures.append(error)

    def tape_dropped(self, symbol: str, diffs: int) -> None:
        self.dropped += diffs

    def tape_damaged(self, key: str, error: BadFile) -> None:
        self.damaged.append(key)


class CountingStore(MemoryStore):
    """Counts requests, and is away when it is told to be."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.won: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()

    async def get(self, key: str) -> StoredObject | None:
        self._ask(key)
        return await super().get(key)

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self._ask(key)
        return await super().peek(key, length)

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        await asyncio.sleep(0.01)
        if self.away:
            return PutResult(Outcome.UNKNOWN, error=StoreUnavailable("it is away"))
        result = await super().put_if(key, body, **more)
        self.won[key] += result.outcome is Outcome.WON
        return result

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        self._ask(prefix)
        async for entry in super().list(prefix):
            yield entry

    def _ask(self, key: str) -> None:
        if self.away:
            raise StoreUnavailable("it is away")
        self.reads[key] += 1


class Exchange:
    """The capture as it goes on: each diff at its time, and snapshots of the book as it is then."""

    def __init__(
        self, first: Segment, diffs: Iterable[RecordedDiff], *, symbol: str = SYMBOL, venue: str = "binance"
    ) -> None:
        frame = first.pieces[0].keyframe
        self.symbol, self.venue = symbol, venue
        self._book = Book.of(frame.snapshot())
        self._diffs = list(diffs)
        self._begins_ms = self._diffs[0].event_time_ms - 1000
        self.fleet: dict[str, Replica] = {}

    @property
    def now_ms(self) -> int:
        return self._begins_ms + round((virtual.clock() - 1000) * 1000)

    def snapshot(self, limit: int) -> Snapshot:
        bids, asks = self._book.strings(limit)
        book = self._book
        if not book.transaction_time_ms:
            return Snapshot(book.update_id, bids, asks, False, False)
        # Of futures it tells when it is given out.
        return Snapshot(
            book.update_id, bids, asks, False, False, book.event_time_ms + 20, book.transaction_time_ms
        )

    async def play(self) -> None:
        """Until the capture ends."""
        for at, each in enumerate(self._diffs):
            await asyncio.sleep(max(each.event_time_ms - self.now_ms, 0) / 1000)
            diff = each.diff(self.symbol)
            self._book.apply(diff)
            for replica in list(self.fleet.values()):
                replica.hear(at, diff)


class Feed:
    """A subscription that is there as long as nobody cuts it."""

    cut = False

    def subscribe(self, symbols: Iterable[str]) -> None: ...
    def unsubscribe(self, symbols: Iterable[str]) -> None: ...
    def renew(self, symbols: Iterable[str]) -> None: ...
    def live(self, symbol: str) -> bool:
        return not self.cut

    def heard_age_s(self, symbol: str) -> float | None:
        return 0.0


class Replica:
    """One process of the updater, as far as it records."""

    def __init__(
        self,
        name: str,
        exchange: Any,
        store: MemoryStore,
        *,
        misses: set[int],
        keeping: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self.misses = misses
        self.observer = Observer()
        self.feed = Feed()
        self._exchange = exchange
        self.recorder = Recorder(
            store,
            (exchange.symbol,),
            venue=exchange.venue,
            replica=name,
            observer=self.observer,
            rank=lambda symbol: sorted(exchange.fleet).index(name) if name in exchange.fleet else 0,
            streams=self.feed.live,
            books=lambda: self.keeper.books,
            begin=self._begin,
            aside=at_once,
            clock=virtual.clock,
            # Each machine's clock is wrong in another way.
            wall_ms=lambda: exchange.now_ms + 700 * len(name),
            rng=Random(1),
            **options,
        )
        self.keeper = Keeper(
            lambda take, lost: self.feed,
            self,
            on_change=lambda live: None,
            tap=self.recorder,
            clock=virtual.clock,
            rng=Random(2),
            **{"refill_below": 1, "snapshot_limit": 500, **(keeping or {})},
        )

    async def start(self) -> None:
        self._exchange.fleet[self.name] = self
        self.keeper.subscribe([self._exchange.symbol])
        self._tasks = [asyncio.ensure_future(work) for work in (self.keeper.run(), self.recorder.run())]

    async def kill(self) -> None:
        """As kill -9 does: nothing is written any more."""
        del self._exchange.fleet[self.name]
        self.recorder.give_up()
        await self._end()

    async def stop(self) -> None:
        """As SIGTERM does."""
        del self._exchange.fleet[self.name]
        await self._end()
        await self.recorder.finish(4.0)
        self.recorder.check()

    def hear(self, at: int, diff: Any) -> None:
        if at not in self.misses:
            self.keeper.take(diff)

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Any:
        """As the exchange's REST interface, which is a while behind."""
        told = self._exchange.snapshot(limit)
        await asyncio.sleep(0.3)
        return told

    async def _begin(self) -> None:
        await asyncio.sleep(0)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(asyncio.CancelledError):
            await self.keeper.close()


def stored(store: MemoryStore) -> Mapping[str, StoredObject]:
    """All that a store holds."""
    return {key: held.read() for key, held in store._objects.items()}


def known(segments: Sequence[Segment]) -> list[tuple[Any, ...]]:
    """All that segments say of diffs but when they came, which each replica knows otherwise."""
    return [
        (diff.first, diff.last, diff.event_time_ms, exact(diff.bids), exact(diff.asks))
        for segment in segments
        for diff in segment.diffs
    ]
