"""The start-up probe, on a good store and on stores with one fault each."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import pytest

from depthcast.errors import BucketMissing, ConditionsIgnored, StoreError, StoreUnavailable
from depthcast.store import Entry, Outcome, PutResult, StoredObject, Unchanged
from depthcast.store.memory import MemoryStore
from depthcast.store.probe import PREFIX, SLOTS, Report, examine, probe

STEPS = [
    "a missing object reads as missing",
    "an object is created",
    "a second create is refused",
    "the right ETag replaces",
    "a stale ETag is refused",
    "an ETag without an object is refused",
    "of 4 writers at once one wins",
    "an unchanged object is not sent again",
    "body, metadata and headers come back",
    "a key with ? & = * ~ and other alphabets comes back",
]


class Careless(MemoryStore):
    """A store that waits a little in each write, as real ones do. Its children each have a fault."""

    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        await asyncio.sleep(0)
        return await super().put_if(key, body, match=match, **options)

    async def forced(self, key: str, body: bytes, **options: Any) -> PutResult:
        """Write without a condition."""
        held = await super().peek(key, 0)
        return await super().put_if(key, body, match=None if held is None else held.etag, **options)


class CreatesTwice(Careless):
    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        if match is None:
            return await self.forced(key, body, **options)
        return await super().put_if(key, body, match=match, **options)


class IgnoresStaleness(Careless):
    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        if match is not None and await self.peek(key, 0) is not None:
            return await self.forced(key, body, **options)
        return await super().put_if(key, body, match=match, **options)


class WritesWhereNothingIs(Careless):
    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        if match is not None and await self.peek(key, 0) is None:
            return await self.forced(key, body, **options)
        return await super().put_if(key, body, match=match, **options)


class ChecksThenWrites(Careless):
    """Honours conditions one write at a time: what lies between check and write is not protected."""

    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        held = await self.peek(key, 0)
        if (None if held is None else held.etag) != match:
            return PutResult(Outcome.LOST)
        await asyncio.sleep(0.001)
        return await self.forced(key, body, **options)


class HoldsWhatNobodyWrote(Careless):
    async def get(self, key: str) -> StoredObject | None:
        return await super().get(key) or StoredObject(b"", '"e"')


class GivesAllTheSameETag(Careless):
    async def peek(self, key: str, length: int) -> StoredObject | None:
        held = await super().peek(key, length)
        return held and StoredObject(held.body, '"same"', held.metadata)

    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        if match is None and await self.peek(key, 0) is not None:
            return PutResult(Outcome.LOST)
        await self.forced(key, body, **options)
        return PutResult(Outcome.WON, '"same"')

    async def forced(self, key: str, body: bytes, **options: Any) -> PutResult:
        held = await MemoryStore.peek(self, key, 0)
        return await MemoryStore.put_if(self, key, body, match=None if held is None else held.etag, **options)


class LetsNobodyWinARace(Careless):
    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        if "race" in key and match is not None:
            return PutResult(Outcome.LOST)
        return await super().put_if(key, body, match=match, **options)


class ForgetsTheWinnerOfARace(Careless):
    def __init__(self) -> None:
        super().__init__()
        self._promised: set[str] = set()

    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        if "race" in key and match is not None:
            first = match not in self._promised
            self._promised.add(match)
            return PutResult(Outcome.WON, '"promised"') if first else PutResult(Outcome.LOST)
        return await super().put_if(key, body, match=match, **options)


class LosesObjects(Careless):
    async def get(self, key: str) -> StoredObject | None:
        return None if key.endswith("/object") else await super().get(key)


class NeverLetsAnyoneReplace(Careless):
    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        if match is not None:
            return PutResult(Outcome.LOST)
        return await super().put_if(key, body, match=match, **options)


class AlwaysSends(Careless):
    async def get_if_changed(self, key: str, etag: str) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        return await self.get(key)


class DropsMetadata(Careless):
    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        return await super().put_if(key, body, match=match, **options | {"metadata": None})


class DropsCacheControl(Careless):
    async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
        return await super().put_if(key, body, match=match, **options | {"cache_control": None})


class CutsKeysAtQuestionMarks(Careless):
    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        async for entry in super().list(prefix.partition("?")[0]):
            yield Entry(entry.key.partition("?")[0], entry.etag, entry.size, entry.last_modified_ms)


FAULTS: Mapping[type[Careless], str] = {
    HoldsWhatNobodyWrote: "a missing object reads as missing",
    CreatesTwice: "a second create is refused",
    GivesAllTheSameETag: "the right ETag replaces",
    NeverLetsAnyoneReplace: "the right ETag replaces",
    IgnoresStaleness: "a stale ETag is refused",
    WritesWhereNothingIs: "an ETag without an object is refused",
    ChecksThenWrites: "of 4 writers at once one wins",
    LetsNobodyWinARace: "of 4 writers at once one wins",
    ForgetsTheWinnerOfARace: "of 4 writers at once one wins",
    LosesObjects: "body, metadata and headers come back",
    AlwaysSends: "an unchanged object is not sent again",
    DropsMetadata: "body, metadata and headers come back",
    DropsCacheControl: "body, metadata and headers come back",
    CutsKeysAtQuestionMarks: "a key with ? & = * ~ and other alphabets comes back",
}


def names(report: Report) -> list[str]:
    return [step.name for step in report.steps]


@pytest.mark.parametrize("content_etags", [False, True])
async def test_a_good_store_passes_every_step_again_and_again(content_etags: bool) -> None:
    store = MemoryStore(content_etags=content_etags)
    for _ in range(3):
        report = await probe(store)
        assert (names(report), report.fault) == (STEPS, None)
        assert all(step.passed for step in report.steps)


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_careless_store_is_refused_at_the_step_that_shows_it(kind: type[Careless]) -> None:
    report = await examine(kind())
    assert isinstance(report.fault, ConditionsIgnored)
    assert "\n" not in str(report.fault)
    failed = [step.name for step in report.steps if not step.passed]
    assert failed == [names(report)[-1]] == [FAULTS[kind]]
    with pytest.raises(ConditionsIgnored):
        await probe(kind())


async def test_probes_at_the_same_time_do_not_refuse_a_good_store() -> None:
    store = Careless()
    reports = await asyncio.gather(*(examine(store, rng=random.Random(seed)) for seed in range(40)))
    assert [str(report.fault) for report in reports if report.fault] == []


async def test_probes_leave_objects_of_a_bounded_set_of_names_only() -> None:
    store = MemoryStore()
    for seed in range(40):
        assert (await examine(store, rng=random.Random(seed))).fault is None
    slot = re.compile(
        rf"{PREFIX}(?P<slot>[0-9]{{3}})/(object|race-[0-3]|depth\?symbol=币安人生USDT&limit=5\*~)"
    )
    left = [slot.fullmatch(entry.key) async for entry in store.list("")]
    assert left
    assert all(match is not None and int(match["slot"]) < SLOTS for match in left)


async def test_a_throttled_store_is_waited_for() -> None:
    class Slow(Careless):
        refusals = 3

        async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
            if self.refusals:
                self.refusals -= 1
                return PutResult(Outcome.THROTTLED, reason="429")
            return await super().put_if(key, body, match=match, **options)

    report = await examine(Slow(), throttle_pause_s=0.001)
    assert report.fault is None


async def test_a_store_that_hangs_is_given_up_in_time() -> None:
    class Hangs(Careless):
        async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
            await asyncio.Event().wait()
            raise AssertionError

    report = await examine(Hangs(), timeout_s=0.05)
    assert isinstance(report.fault, StoreUnavailable)
    assert "an object is created" in str(report.fault)
    assert names(report) == STEPS[:2]


@pytest.mark.parametrize("error", [BucketMissing("no bucket", hint="create it"), StoreError("strange")])
async def test_what_the_store_says_is_passed_on(error: StoreError) -> None:
    class Away(Careless):
        async def get(self, key: str) -> StoredObject | None:
            raise error

    with pytest.raises(type(error)) as raised:
        await probe(Away())
    assert raised.value is error


async def test_a_write_that_fails_is_passed_on() -> None:
    fault = StoreUnavailable("disk full")

    class Full(Careless):
        async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
            return PutResult(Outcome.UNKNOWN, reason="disk full", error=fault)

    with pytest.raises(StoreUnavailable, match="disk full") as raised:
        await probe(Full())
    assert raised.value is fault


async def test_a_race_whose_winner_is_unknown_is_no_fault() -> None:
    class Vague(Careless):
        async def put_if(self, key: str, body: bytes, *, match: str | None, **options: Any) -> PutResult:
            result = await super().put_if(key, body, match=match, **options)
            if "race" in key and match is not None and result.outcome is Outcome.WON:
                return PutResult(Outcome.UNKNOWN, reason="the answer was lost")
            return result

    assert (await examine(Vague())).fault is None
