"""The start-up probe: does this store keep the promises that the write rule rests on?

It writes a few small objects under ``probe/`` and tries what a careless store gets wrong: the second create,
the stale ETag, several writers at once, odd keys, metadata. Nothing is ever deleted in this system, so the
names come from a bounded set and are used again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from depthcast.errors import ConditionsIgnored, StoreError, StoreUnavailable
from depthcast.store import UNCHANGED, Outcome, PutResult, Store, StoredObject

PREFIX: Final = "probe/"

SLOTS: Final = 256
"""How many sets of names there are; each probe takes one at random."""

_ATTEMPTS: Final = 3
_NO_ETAG: Final = '"00000000000000000000000000000000"'
_CONTENT_TYPE: Final = "application/json"
_CACHE_CONTROL: Final = "public, max-age=1"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried, and whether the store did it right."""

    name: str
    passed: bool
    took_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """The steps in order; the last one failed if and only if there is a ``fault``."""

    store: str
    steps: tuple[Step, ...]
    fault: StoreError | None


async def probe(store: Store, *, timeout_s: float = 20.0) -> Report:
    """:func:`examine` the store, and raise what it finds.

    :class:`~depthcast.errors.ConditionsIgnored` names the step at which a condition was not honoured; any
    other :class:`~depthcast.errors.StoreError` says why the store cannot be used.
    """
    report = await examine(store, timeout_s=timeout_s)
    if report.fault is not None:
        raise report.fault
    return report


async def examine(
    store: Store,
    *,
    timeout_s: float = 20.0,
    writers: int = 4,
    races: int = 4,
    throttle_pause_s: float = 1.0,
    rng: random.Random | None = None,
    clock: Callable[[], float] = monotonic,
) -> Report:
    """Try the store and tell what was found; raises nothing for what the store does.

    On ``races`` objects ``writers`` write at once. A throttled write is repeated after
    ``throttle_pause_s``. The whole ends within ``timeout_s``, connections that hang included.
    """
    rng = rng or random.Random()
    deadline = clock() + timeout_s
    report = Report(store.url, (), None)
    # Two probes may meet in one slot, each the other's stale writer. Not three times running, but a store
    # that ignores conditions does so every time.
    for slot in rng.sample(range(SLOTS), _ATTEMPTS):
        attempt = _Attempt(store, f"{PREFIX}{slot:03}", writers, races, throttle_pause_s, rng)
        report = await _run(attempt, store.url, deadline, clock)
        if not isinstance(report.fault, _Unkept):
            return report
    return report


class _Unkept(ConditionsIgnored):
    """The store answered, and not as it should have."""


async def _run(attempt: "_Attempt", url: str, deadline: float, clock: Callable[[], float]) -> Report:
    done: list[Step] = []
    for name, step in attempt.steps:
        started = clock()
        fault: StoreError | None = None
        try:
            async with asyncio.timeout(max(0.0, deadline - started)):
                await step()
        except TimeoutError:
            fault = StoreUnavailable(
                f"the store {url} was too slow for the start-up probe, at {name!r}",
                hint="check the network and the store's load",
            )
        except StoreError as error:
            fault = error
        done.append(Step(name, fault is None, (clock() - started) * 1000))
        if fault is not None:
            return Report(url, tuple(done), fault)
    return Report(url, tuple(done), None)


class _Attempt:
    """The steps on one set of names. Each builds on the ones before."""

    def __init__(
        self,
        store: Store,
        slot: str,
        writers: int,
        races: int,
        throttle_pause_s: float,
        rng: random.Random,
    ) -> None:
        self._store = store
        self._slot = slot
        self._object = f"{slot}/object"
        # Random, for a careless store writes it.
        self._never = f"{slot}/never-written-{rng.getrandbits(64):016x}"
        self._odd = f"{slot}/depth?symbol=币安人生USDT&limit=5*~"
        self._writers = writers
        self._races = races
        self._pause_s = throttle_pause_s
        self._rng = rng
        self._metadata = {"epoch": "0", "probe": self._token().decode()}
        self._body = b""
        self._etag = ""
        self._stale = ""
        self.steps: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("a missing object reads as missing", self._reads_missing),
            ("an object is created", self._creates),
            ("a second create is refused", self._refuses_second_create),
            ("the right ETag replaces", self._replaces),
            ("a stale ETag is refused", self._refuses_stale),
            ("an ETag without an object is refused", self._refuses_absent),
            (f"of {self._writers} writers at once one wins", self._one_wins),
            ("an unchanged object is not sent again", self._says_unchanged),
            ("body, metadata and headers come back", self._gives_back),
            ("a key with ? & = * ~ and other alphabets comes back", self._keeps_odd_key),
        )

    async def _reads_missing(self) -> None:
        if await self._store.get(self._never) is not None:
            raise self._unkept("has an object that nobody wrote")

    async def _creates(self) -> None:
        held = await self._store.peek(self._object, 64)
        if held is None:
            self._won(await self._put(None), "did not create an object where there was none")
        else:
            self._etag = held.etag

    async def _refuses_second_create(self) -> None:
        result = await self._put(None)
        self._lost(result, "created an object twice: If-None-Match is not honoured")

    async def _replaces(self) -> None:
        self._stale = self._etag
        self._won(await self._put(self._stale), "did not replace an object whose ETag was right")
        if self._etag == self._stale:
            raise self._unkept("gave two different bodies one ETag")

    async def _refuses_stale(self) -> None:
        result = await self._put(self._stale)
        self._lost(result, "replaced an object whose ETag was stale: If-Match is not honoured")

    async def _refuses_absent(self) -> None:
        result = await self._store.put_if(self._never, b"x", match=_NO_ETAG)
        self._lost(result, "wrote an object that was not there: If-Match is not honoured")

    async def _one_wins(self) -> None:
        # At once, not in turn: SeaweedFS lets a loser wait for whole seconds while its object is contended.
        await asyncio.gather(*(self._race(f"{self._slot}/race-{number}") for number in range(self._races)))

    async def _race(self, key: str) -> None:
        held = await self._store.get(key)
        if held is None:
            self._won(await self._write(key, b"start", None), "did not create an object where there was none")
            held = await self._held(key)
        start = held.etag
        bodies = [self._token() for _ in range(self._writers)]
        results = await asyncio.gather(*(self._store.put_if(key, body, match=start) for body in bodies))
        won = [(result.etag, body) for result, body in zip(results, bodies, strict=True) if result.etag]
        held = await self._held(key)
        if len(won) > 1:
            raise self._unkept(f"let {len(won)} of {self._writers} concurrent writers win")
        if won and won[0] != (held.etag, held.body):
            raise self._unkept("does not hold what the winner of a race wrote")
        if all(result.outcome is Outcome.LOST for result in results) and held.etag == start:
            raise self._unkept("let no writer win who had the right ETag")

    async def _says_unchanged(self) -> None:
        if await self._store.get_if_changed(self._object, self._etag) is not UNCHANGED:
            raise self._unkept("sent an unchanged object again: If-None-Match is not honoured on reading")

    async def _gives_back(self) -> None:
        self._won(await self._put(self._etag), "did not replace an object whose ETag was right")
        held = await self._held(self._object)
        kept = (held.body, held.etag, dict(held.metadata), held.content_type, held.cache_control)
        if kept != (self._body, self._etag, self._metadata, _CONTENT_TYPE, _CACHE_CONTROL):
            raise self._unkept(f"changed an object: it gave back {kept!r:.300}")

    async def _keeps_odd_key(self) -> None:
        body = self._token()
        held = await self._store.get(self._odd)
        result = await self._write(self._odd, body, None if held is None else held.etag)
        listed = [entry.key async for entry in self._store.list(self._odd[:-1])]
        read = await self._store.get(self._odd)
        if result.outcome is not Outcome.WON or listed != [self._odd] or read is None or read.body != body:
            raise self._unkept("does not keep keys with ?, &, =, *, ~ and other alphabets")

    def _token(self) -> bytes:
        return b"%016x" % self._rng.getrandbits(64)

    async def _put(self, match: str | None) -> PutResult:
        """Write something new to the main object, and remember it where it was won."""
        body = self._token()
        result = await self._write(self._object, body, match)
        if result.etag is not None:
            self._body, self._etag = body, result.etag
        return result

    async def _write(self, key: str, body: bytes, match: str | None) -> PutResult:
        """Write until the outcome is won or lost; the time-out of the step bounds it."""
        while True:
            result = await self._store.put_if(
                key,
                body,
                match=match,
                metadata=self._metadata,
                content_type=_CONTENT_TYPE,
                cache_control=_CACHE_CONTROL,
            )
            if result.outcome is Outcome.UNKNOWN:
                raise result.error or StoreUnavailable(
                    f"a write to {self._store.url} failed: {result.reason}"
                )
            if result.outcome is not Outcome.THROTTLED:
                return result
            await asyncio.sleep(self._pause_s)

    async def _held(self, key: str) -> StoredObject:
        held = await self._store.get(key)
        if held is None:
            raise self._unkept("lost an object")
        return held

    def _won(self, result: PutResult, otherwise: str) -> None:
        if result.outcome is not Outcome.WON:
            raise self._unkept(otherwise)

    def _lost(self, result: PutResult, otherwise: str) -> None:
        if result.outcome is Outcome.WON:
            raise self._unkept(otherwise)

    def _unkept(self, what: str) -> _Unkept:
        return _Unkept(
            f"the store {self._store.url} {what}",
            hint="books would go backwards on it; use a store with conditional writes (see docs/stores.md)",
        )
