"""The world of a publisher's tests: virtual time, a store that is slow, loses answers or is shared, and books
that the test moves.
"""

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple

from depthcast.book import Book
from depthcast.errors import BadFile, StoreError, StoreUnavailable, VenueUnavailable
from depthcast.events import Diff, Snapshot
from depthcast.files import FileInfo, Version, depth_key, version_of
from depthcast.store import Outcome, PutResult, Store, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore
from updater.cadence import Cadence
from updater.claims import ClaimEvent
from updater.publisher import Publisher

SYMBOL = "ETHUSDT"
AT_ONCE = Cadence(((5000, 0),))


# Virtual time: the loop's clock jumps to the next timer as soon as nothing else can happen.


class _Jumping(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing is going to happen any more"
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


# The world of a test


class Put(NamedTuple):
    """One write as the store saw it."""

    at: float
    limit: int
    match: str | None
    version: Version
    replica: str
    outcome: Outcome


class FaultyStore(MemoryStore):
    """A memory store that takes its time, loses answers, is late, throttles; and checks every write.

    ``fates`` are taken in turn, one a write: ``lost`` (never arrives), ``unanswered`` (arrives, and the
    writer does not hear of it), ``late`` (arrives 3 s after the writer gave it up), ``throttled``.
    """

    def __init__(self, fates: Iterable[str] = (), *, latency_s: float = 0.001, **more: Any) -> None:
        super().__init__(**more)
        self.fates = list(fates)
        self.latency_s = latency_s
        self.puts: list[Put] = []
        self.peeks: list[float] = []
        self.at_once = 0
        self.most_at_once = 0
        self.down = False
        self.versions: dict[str, Version] = {}
        self._late: set[asyncio.Task[PutResult]] = set()

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self.peeks.append(now())
        await self._take_time()
        if self.down:
            raise StoreUnavailable("the store is away")
        return await super().peek(key, length)

    async def get(self, key: str) -> StoredObject | None:
        await self._take_time()
        if self.down:
            raise StoreUnavailable("the store is away")
        return await super().get(key)

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        await self._take_time()
        if self.down:
            raise StoreUnavailable("the store is away")
        return await super().get_if_changed(key, etag)

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        fate = self.fates.pop(0) if self.fates else ""
        if fate == "throttled":
            result = PutResult(Outcome.THROTTLED)
            self._note(key, body, result, more)
            return result
        if fate == "late":
            task = asyncio.ensure_future(self._after(3.0, key, body, more))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        await self._take_time()
        if self.down or fate in ("lost", "late"):
            result = PutResult(Outcome.UNKNOWN, reason=fate)
            self._note(key, body, result, more)
            return result
        result = await self._apply(key, body, more)
        if fate == "unanswered":
            result = PutResult(Outcome.UNKNOWN)
        self._note(key, body, result, more)
        return result

    async def _take_time(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.latency_s)
        self.at_once -= 1

    async def _after(self, seconds: float, key: str, body: bytes, more: Mapping[str, Any]) -> PutResult:
        await asyncio.sleep(seconds)
        return await self._apply(key, body, more)

    async def _apply(self, key: str, body: bytes, more: Mapping[str, Any]) -> PutResult:
        result = await super().put_if(key, body, **more)
        if result.outcome is Outcome.WON:
            version = version_of(key, body, more["metadata"])
            assert version > self.versions.get(key, Version(-1, 0)), f"{key} went backwards"
            self.versions[key] = version
        return result

    def _note(self, key: str, body: bytes, result: PutResult, more: Mapping[str, Any]) -> None:
        info = FileInfo.from_metadata(key, more["metadata"])
        limit = int(key.rpartition("=")[2])
        version = version_of(key, body, more["metadata"])
        self.puts.append(Put(now(), limit, more["match"], version, info.replica, result.outcome))

    def won(self, limit: int) -> list[tuple[float, int]]:
        """When, and which update id, the won writes of a limit were."""
        return [
            (put.at, put.version.update_id)
            for put in self.puts
            if put.limit == limit and put.outcome is Outcome.WON
        ]

    async def place(self, limit: int, version: Version, body: bytes | None = None, **metadata: str) -> None:
        """What somebody else wrote before."""
        key = depth_key(SYMBOL, limit)
        held = await MemoryStore.get(self, key)
        info = FileInfo(version.epoch, 1, 1, False, False, 1, 1, "other").to_metadata() | metadata
        await MemoryStore.put_if(
            self,
            key,
            body if body is not None else b'{"lastUpdateId":%d,"bids":[],"asks":[]}' % version.update_id,
            match=held.etag if held else None,
            metadata=info,
        )
        self.versions[key] = version

    async def stored(self, limit: int) -> Version | None:
        held = await MemoryStore.get(self, depth_key(SYMBOL, limit))
        return None if held is None else version_of("", held.body, held.metadata)


@dataclass
class Live:
    """A book that the test moves."""

    symbol: str = SYMBOL
    book: Book | None = None
    epoch: int = 0
    live: bool = True
    changed_at: float = 0.0


@dataclass
class Heard:
    """Everything an observer is told."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def wrote(self, symbol: str, limit: int, result: PutResult, seconds: float) -> None:
        self.events.append(("wrote", limit, result.outcome, round(seconds, 6)))

    def looked(self, symbol: str, limit: int) -> None:
        self.events.append(("looked", limit))

    def look_failed(self, symbol: str, limit: int, error: StoreError) -> None:
        self.events.append(("look failed", limit))

    def damaged(self, symbol: str, limit: int, error: BadFile) -> None:
        self.events.append(("damaged", limit))

    def newer_epoch(self, symbol: str, mine: int, stored: int) -> None:
        self.events.append(("newer epoch", mine, stored))

    def claim(self, symbol: str, epoch: int, event: ClaimEvent) -> None:
        self.events.append(("claim", epoch, event))

    def took_over(self, symbol: str, rank: int, behind_s: float | None) -> None:
        self.events.append(("took over", rank, behind_s))

    def yielded(self, symbol: str) -> None:
        self.events.append(("yielded",))

    @property
    def claims(self) -> list[ClaimEvent]:
        return [event[2] for event in self.events if event[0] == "claim"]


class Replica:
    """A publisher with its book, under one name."""

    def __init__(
        self, store: Store, name: str = "a", *, symbol: str = SYMBOL, update_id: int | None = 10, **more: Any
    ) -> None:
        self.live = Live(symbol)
        self.heard = Heard()
        self.newer: list[tuple[str, int]] = []
        self.confirmations: list[float] = []
        self.confirm: Callable[[], Awaitable[int]] = self._unreachable
        more.setdefault("limits", (5,))
        more.setdefault("cadence", AT_ONCE)
        self.publisher = Publisher(
            self.live,
            store,
            replica=name,
            observer=self.heard,
            on_newer_epoch=lambda symbol, epoch: self.newer.append((symbol, epoch)),
            confirm=self._confirm,
            clock=now,
            wall_ms=lambda: round(now() * 1000) + 5_000,
            rng=Random(name),
            **more,
        )
        if update_id is not None:
            self.take(update_id)
        self.task = asyncio.ensure_future(self.publisher.run())

    async def _confirm(self, symbol: str) -> int:
        self.confirmations.append(now())
        return await self.confirm()

    async def _unreachable(self) -> int:
        raise VenueUnavailable("the exchange is away")

    def take(self, update_id: int, *, epoch: int | None = None) -> None:
        """A book anew."""
        bids = [[f"{100 - n}.0", f"{update_id}"] for n in range(20)]
        self.live.book = Book.of(Snapshot(update_id, bids, [["101.0", "1"]], True, True))
        self.live.epoch = self.live.epoch if epoch is None else epoch
        self.live.changed_at = now()
        self.publisher.wake()

    def move(self, by: int = 1, *, price: str | None = "100.0") -> None:
        """An update of one level, or (``None``) of one far below the files."""
        book = self.live.book
        assert book is not None
        last = book.update_id + by
        level = [price or "1.0", str(last)]
        book.apply(Diff(self.live.symbol, book.update_id + 1, last, 1_000 + last, [level], []))
        self.live.changed_at = now()
        self.publisher.wake()

    async def stream(self, seconds: float, every_s: float = 0.1, *, price: str | None = "100.0") -> None:
        """An update every ``every_s``."""
        for _ in range(round(seconds / every_s)):
            await asyncio.sleep(every_s)
            self.move(price=price)

    async def stop(self) -> None:
        self.publisher.check()
        self.publisher.stop()
        await self.task


async def watch_until(condition: Callable[[], bool], bound_s: float, replica: Replica) -> None:
    """Stream updates until something is true."""
    end = now() + bound_s
    while not condition():
        assert now() < end, "it did not happen"
        await replica.stream(0.1)
