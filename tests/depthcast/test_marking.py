"""Marks change what is said of a file and never the file, whoever else writes meanwhile."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from itertools import permutations

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import CONTENT_TYPE, FileInfo, depth_key, version_of
from depthcast.marking import TRIES, Marking, mark
from depthcast.store import Outcome, PutResult, StoredObject
from depthcast.store.memory import MemoryStore

KEY = depth_key("ETHUSDT", 5)


def body_of(update_id: int) -> bytes:
    members = {"lastUpdateId": update_id, "bids": [["1.0", f"{update_id}.0"]], "asks": [["2.0", "1.0"]]}
    return json.dumps(members, separators=(",", ":")).encode()


def metadata_of(epoch: int = 0, status: str = "TRADING") -> dict[str, str]:
    return FileInfo(epoch, 1, 1, True, True, 7, 8, "a", status).to_metadata()


class Door(MemoryStore):
    """A ``MemoryStore`` that lets something happen before each write, or answers in its place."""

    def __init__(self, *, content_etags: bool = False) -> None:
        super().__init__(content_etags=content_etags)
        self.before_write: Callable[[], Awaitable[None]] | None = None
        self.answers: list[tuple[Outcome, bool]] = []
        """What to answer to the next writes, and whether they are applied all the same."""
        self.writes = 0

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
        self.writes += 1
        if self.before_write is not None:
            await self.before_write()
        outcome, applied = self.answers.pop(0) if self.answers else (None, True)
        result = PutResult(Outcome.UNKNOWN)
        if applied:
            result = await super().put_if(
                key,
                body,
                match=match,
                metadata=metadata,
                content_type=content_type,
                cache_control=cache_control,
            )
        return result if outcome is None else PutResult(outcome)

    async def publish(self, update_id: int, epoch: int = 0, status: str = "TRADING") -> None:
        held = await self.get(KEY)
        result = await super().put_if(
            KEY,
            body_of(update_id),
            match=held.etag if held else None,
            metadata=metadata_of(epoch, status),
            content_type=CONTENT_TYPE,
            cache_control="public, max-age=0",
        )
        assert result.outcome is Outcome.WON


@pytest.fixture(params=[False, True], ids=["etags of writes", "etags of bodies"])
def store(request: pytest.FixtureRequest) -> Door:
    return Door(content_etags=request.param)


async def stored(store: MemoryStore) -> StoredObject:
    found = await store.get(KEY)
    assert found is not None
    return found


def status_of(found: StoredObject) -> str:
    return FileInfo.from_metadata(KEY, found.metadata).status


async def test_a_mark_changes_the_status_and_nothing_else(store: Door) -> None:
    await store.publish(160, epoch=3)
    before = await stored(store)
    assert await mark(store, KEY, "BREAK") is Marking.MARKED
    after = await stored(store)
    assert after.metadata == {**before.metadata, "status": "BREAK"}
    assert (after.body, after.content_type, after.cache_control) == (
        before.body,
        CONTENT_TYPE,
        "public, max-age=0",
    )
    assert version_of(KEY, after.body, after.metadata) == (3, 160)
    assert await mark(store, KEY, "TRADING") is Marking.MARKED
    assert (await stored(store)).metadata == before.metadata


async def test_what_later_versions_say_in_the_metadata_stays(store: Door) -> None:
    metadata = metadata_of() | {"later": "word"}
    await MemoryStore.put_if(store, KEY, body_of(1), match=None, metadata=metadata)
    await mark(store, KEY, "HALT")
    assert (await stored(store)).metadata == {**metadata, "status": "HALT"}


async def test_a_file_that_has_the_status_is_not_written(store: Door) -> None:
    await store.publish(160, status="HALT")
    assert await mark(store, KEY, "HALT") is Marking.ALREADY
    assert store.writes == 0


async def test_nothing_is_created_and_what_is_no_file_is_left_alone(store: Door) -> None:
    assert await mark(store, KEY, "HALT") is Marking.MISSING
    for body, metadata in ((b"<html>", {}), (b"<html>", metadata_of()), (body_of(1), {"epoch": "1"})):
        held = await store.get(KEY)
        await MemoryStore.put_if(store, KEY, body, match=held.etag if held else None, metadata=metadata)
        assert await mark(store, KEY, "HALT") is Marking.DAMAGED
    assert store.writes == 0


class Vanishing(Door):
    """Where an object was when one looked, there is none when one reads it."""

    async def get(self, key: str) -> StoredObject | None:
        return None


async def test_a_file_that_is_gone_before_it_is_read_is_not_there() -> None:
    store = Vanishing()
    await store.publish(160)
    assert await mark(store, KEY, "HALT") is Marking.MISSING
    assert store.writes == 0


async def test_a_newer_file_that_comes_between_stays_and_is_marked_in_its_turn(store: Door) -> None:
    await store.publish(160)
    newer = [161]

    async def write() -> None:
        if newer:
            await store.publish(newer.pop())

    store.before_write = write
    assert await mark(store, KEY, "HALT") is Marking.MARKED
    found = await stored(store)
    assert (found.body, status_of(found)) == (body_of(161), "HALT")
    assert store.writes == 2


async def test_of_a_file_that_moves_each_time_it_gives_up_after_so_many_tries(store: Door) -> None:
    await store.publish(160)
    ids = iter(range(161, 200))

    async def write() -> None:
        await store.publish(next(ids))

    store.before_write = write
    assert await mark(store, KEY, "HALT") is Marking.UNSETTLED
    assert store.writes == TRIES
    assert (await stored(store)).body == body_of(160 + TRIES)


@pytest.mark.parametrize(("applied", "became"), [(True, Marking.MARKED), (False, Marking.UNSETTLED)])
@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.THROTTLED])
async def test_a_write_of_unknown_outcome_is_looked_up_and_not_repeated(
    store: Door, outcome: Outcome, applied: bool, became: Marking
) -> None:
    await store.publish(160)
    store.answers = [(outcome, applied)]
    assert await mark(store, KEY, "HALT") is became
    assert store.writes == 1


async def test_a_mark_that_arrives_late_does_not_touch_a_newer_file(store: Door) -> None:
    await store.publish(160)
    arrives, asked = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        asked.set()
        await arrives.wait()

    store.before_write = hold
    marking = asyncio.ensure_future(mark(store, KEY, "HALT", tries=1))
    await asked.wait()
    await store.publish(161)
    arrives.set()
    assert await marking is Marking.UNSETTLED
    found = await stored(store)
    assert (found.body, status_of(found)) == (body_of(161), "TRADING")


@pytest.mark.parametrize("content_etags", [False, True], ids=["etags of writes", "etags of bodies"])
@pytest.mark.parametrize("order", list(permutations("wmwmc"))[::7])
async def test_no_interleaving_of_marks_writers_and_a_claim_makes_a_file_older(
    order: tuple[str, ...], content_etags: bool
) -> None:
    """Each actor has read the file at the start; their writes then arrive in any order."""
    store = MemoryStore(content_etags=content_etags)
    await store.put_if(KEY, body_of(160), match=None, metadata=metadata_of(1))
    start = await store.get(KEY)
    assert start is not None
    newest = (1, 160)
    ids = iter((161, 162))
    for actor in order:
        body, epoch, status = body_of(160), 1, "HALT"
        if actor == "w":
            body, status = body_of(next(ids)), "TRADING"
        elif actor == "c":
            body, epoch, status = body_of(7), 2, "TRADING"
        await store.put_if(KEY, body, match=start.etag, metadata=metadata_of(epoch, status))
        found = await store.get(KEY)
        assert found is not None
        version = version_of(KEY, found.body, found.metadata)
        assert version >= newest
        newest = version


@pytest.mark.parametrize("status", ["", "halt", "HALT\r\nx-evil: 1", "Ä" * 3, "A" * 33])
async def test_what_is_not_spelled_like_a_status_is_refused(store: Door, status: str) -> None:
    await store.publish(160)
    with pytest.raises(ValueError, match="not a status"):
        await mark(store, KEY, status)
    assert store.writes == 0


async def test_a_store_that_cannot_be_read_is_the_caller_s_to_hear_of(
    store: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(key: str, length: int) -> StoredObject | None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "peek", away)
    with pytest.raises(StoreUnavailable):
        await mark(store, KEY, "HALT")
