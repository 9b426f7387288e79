"""The object storage that all share, which loses, delays and repeats requests; and each process's way to it.

What a request does to the objects is a :class:`~depthcast.store.memory.MemoryStore`'s; everything around it
is drawn when the request is sent, so it goes the same way whatever the sender does meanwhile:

===========  ================================================================================
lost         never arrives; the answer is a time-out
unanswered   is done; the answer is a time-out
late         the answer is a time-out; it is done afterwards
twice        is done, and tried again a moment later; the answer is the first's or the second's
conflict     409: not done, lost
throttled    429 or 503 Slow Down: not done
refused      5xx at once, done or not: unknown
===========  ================================================================================

Readers behind a cache may get what an object was a moment ago; updaters never do.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal, NamedTuple

from depthcast.errors import StoreUnavailable
from depthcast.files import FLEET_PREFIX
from depthcast.store import UNCHANGED, Entry, Outcome, PutResult, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore
from tests.simulation.history import History
from tests.simulation.speech import DEPTHS
from tests.simulation.world import Process, World

FATES: Final = ("lost", "unanswered", "late", "twice", "conflict", "throttled", "refused")

CACHED_S: Final = 1.0
"""What a cache gives to readers is at most so old."""


@dataclass
class Put:
    """One write as it was sent."""

    who: str
    key: str
    body: bytes
    match: str | None
    metadata: dict[str, str]
    content: dict[str, str | None]
    sent_at: float
    fate: str = ""
    is_mark: bool = False
    """Whether it says something beside a book that stays as it is (:mod:`depthcast.marking`)."""


class Judge:
    """Told of everything that crosses, to find promises that are broken (:mod:`tests.simulation.rules`)."""

    def sends(self, put: Put) -> None: ...
    def sends_read(self, who: str, key: str) -> None: ...
    def told(self, put: Put, result: PutResult) -> None: ...
    def read(self, who: str, key: str, sent_at: float, etag: str | None) -> None: ...
    def applied(self, put: Put, result: PutResult) -> None: ...


class _Past(NamedTuple):
    until: float
    object: StoredObject | None


@dataclass
class Weather:
    """How the store is now. ``storm``: the share of requests that meet a fate."""

    storm: float = 0.0
    down_until: float = 0.0
    slow: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By key: until when each request takes how many seconds longer."""


class Bucket:
    """The objects, and the weather around them."""

    def __init__(
        self,
        world: World,
        history: History,
        judge: Judge,
        rng: Random,
        *,
        content_etags: bool,
        wall_ms: Callable[[], int],
    ) -> None:
        self.world = world
        self.history = history
        self.judge = judge
        self.rng = rng
        self.weather = Weather()
        self.store = MemoryStore(content_etags=content_etags, wall_ms=wall_ms)
        self._past: dict[str, deque[_Past]] = {}

    def delay_s(self, key: str, rng: Random) -> float:
        """How long one way takes."""
        until, more_s = self.weather.slow.get(key, (0.0, 0.0))
        slow_s = more_s / 2 if self.world.now < until else 0.0
        return 0.002 + rng.random() * 0.018 + slow_s

    @property
    def down(self) -> bool:
        return self.world.now < self.weather.down_until

    def apply(self, put: Put) -> PutResult:
        """Do a write, now."""
        before = at_once(self.store.get(put.key))
        result: PutResult = at_once(
            self.store.put_if(
                put.key,
                put.body,
                match=put.match,
                metadata=put.metadata,
                content_type=put.content["type"] or "",
                cache_control=put.content["cache"],
            )
        )
        if result.outcome is Outcome.WON:
            self._past.setdefault(put.key, deque(maxlen=8)).append(_Past(self.world.now, before))
        self.judge.applied(put, result)
        return result

    def lose(self, key: str) -> None:
        """Somebody deletes an object by hand, which nothing of ours can."""
        self.history.fault("deleted", "store", key)
        self.store._objects.pop(key, None)

    def cached(self, key: str, rng: Random) -> StoredObject | None:
        """What a cache may still have of an object."""
        since = self.world.now - CACHED_S
        kept = [past.object for past in self._past.get(key, ()) if past.until >= since]
        found: StoredObject | None = rng.choice(kept) if kept else at_once(self.store.get(key))
        return found


class Way:
    """One process's way to the store: a :class:`depthcast.store.Store`. It can be cut, and may lead
    through a cache."""

    def __init__(self, bucket: Bucket, process: Process, *, cached: float = 0.0) -> None:
        self.url = "memory:"
        self.cut_until = 0.0
        self._bucket = bucket
        self._process = process
        self._cached = cached
        self._seed = bucket.rng.random()
        self._rngs: dict[str, Random] = {}

    # The store's interface

    async def get(self, key: str) -> StoredObject | None:
        found: StoredObject | None = await self._read(key, lambda: self._object(key))
        return found

    async def peek(self, key: str, length: int) -> StoredObject | None:
        def look() -> StoredObject | None:
            held: StoredObject | None = at_once(self._bucket.store.peek(key, length))
            return held

        found: StoredObject | None = await self._read(key, look)
        return found

    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        def look() -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
            held = self._object(key)
            return UNCHANGED if held is not None and held.etag == etag else held

        found: StoredObject | Literal[Unchanged.UNCHANGED] | None = await self._read(key, look)
        return found

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        entries: list[Entry] = await self._read(prefix, lambda: at_once(_all(self._bucket.store, prefix)))
        for entry in entries:
            yield entry

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        store = self._bucket.store
        found: Sequence[Entry] = await self._read(
            folder, lambda: at_once(store.list_after(folder, after, limit))
        )
        return found

    def _rng_of(self, key: str) -> Random:
        """Chance is a key's own: what is done with other objects changes nothing for this one."""
        kind = key if key.startswith((*DEPTHS, FLEET_PREFIX)) else "other"
        rng = self._rngs.get(kind)
        if rng is None:
            rng = self._rngs[kind] = Random(f"{self._seed} {kind}")
        return rng

    async def put_if(
        self,
        key: str,
        body: bytes,
        *,
        match: str | None,
        metadata: Any = None,
        content_type: str = "application/octet-stream",
        cache_control: str | None = None,
    ) -> PutResult:
        bucket, process, rng = self._bucket, self._process, self._rng_of(key)
        content = {"type": content_type, "cache": cache_control}
        put = Put(process.name, key, body, match, dict(metadata or {}), content, bucket.world.now)
        if rng.random() < bucket.weather.storm:
            put.fate = rng.choice(FATES)
            bucket.history.faults[f"write {put.fate}"] += 1
        bucket.judge.sends(put)
        answer = process.loop.create_future()
        self._send(put, answer)
        result: PutResult = await answer
        bucket.judge.told(put, result)
        return result

    async def close(self) -> None:
        return None

    # The way there and back

    def _send(self, put: Put, answer: Any) -> None:
        bucket, rng, world = self._bucket, self._rng_of(put.key), self._bucket.world
        there_s, back_s, timeout_s = (
            bucket.delay_s(put.key, rng),
            bucket.delay_s(put.key, rng),
            1 + rng.random() * 4,
        )
        fate, coin, late_s = put.fate, rng.random() < 0.5, rng.random() * 12
        unknown = PutResult(Outcome.UNKNOWN, reason=f"time-out ({fate or 'outage'})")

        def arrives() -> None:
            if bucket.down or world.now < self.cut_until:
                error = StoreUnavailable("the way is cut")
                away = PutResult(Outcome.UNKNOWN, reason="no way there", error=error)
                world.later(timeout_s if coin else back_s, self._answer, answer, away)
                return
            match fate:
                case "conflict":
                    result = PutResult(Outcome.LOST, reason="409")
                case "throttled":
                    result = PutResult(Outcome.THROTTLED, reason="slow down")
                case "refused":
                    if coin:
                        bucket.apply(put)
                    result = PutResult(Outcome.UNKNOWN, reason="500")
                case "twice":
                    result = bucket.apply(put)
                    again_s = late_s / 4
                    world.later(again_s, self._again, put, answer if coin else None, back_s)
                    if coin:
                        return
                case _:
                    result = bucket.apply(put)
                    if fate == "unanswered":
                        return
            world.later(back_s, self._answer, answer, result)

        if fate in ("lost", "late", "unanswered"):
            world.later(max(timeout_s, there_s), self._answer, answer, unknown)
        if fate == "late":
            world.later(timeout_s + late_s, bucket.apply, put)
        elif fate != "lost":
            world.later(there_s, arrives)

    def _again(self, put: Put, answer: Any, back_s: float) -> None:
        result = self._bucket.apply(put)
        if answer is not None:
            self._bucket.world.later(back_s, self._answer, answer, result)

    async def _read(self, key: str, look: Callable[[], Any]) -> Any:
        bucket, process, rng, world = self._bucket, self._process, self._rng_of(key), self._bucket.world
        sent_at = world.now
        fails = rng.random() < bucket.weather.storm / 2
        if fails:
            bucket.history.faults["read failed"] += 1
        there_s, back_s, timeout_s = bucket.delay_s(key, rng), bucket.delay_s(key, rng), rng.random() * 4
        coin = rng.random() < 0.5
        answer = process.loop.create_future()

        def arrives() -> None:
            if bucket.down or world.now < self.cut_until or fails:
                error = StoreUnavailable("the store did not answer")
                world.later(timeout_s if coin else back_s, self._answer, answer, error)
            else:
                world.later(back_s, self._answer, answer, look())

        bucket.judge.sends_read(process.name, key)
        world.later(there_s, arrives)
        found = await answer
        etag = found.etag if isinstance(found, StoredObject) else None
        bucket.judge.read(process.name, key, sent_at, etag)
        return found

    def _object(self, key: str) -> StoredObject | None:
        if self._cached and key.startswith("api/") and self._rng_of(key).random() < self._cached:
            self._bucket.history.faults["stale read"] += 1
            return self._bucket.cached(key, self._rng_of(key))
        found: StoredObject | None = at_once(self._bucket.store.get(key))
        return found

    def _answer(self, answer: Any, result: object) -> None:
        self._process.deliver(_settle, answer, result)


def _settle(answer: Any, result: object) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


async def _all(store: MemoryStore, prefix: str) -> list[Entry]:
    return [entry async for entry in store.list(prefix)]


def at_once(call: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waited")
