"""Readings of the heartbeats in a store: what is read, what is not read twice, what breaks off."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from depthcast.errors import BadFile, StoreError, StoreUnavailable
from depthcast.files import heartbeat_key
from depthcast.heartbeat import Heartbeat, SymbolBeat
from depthcast.roster import FORGET_AFTER_MS, Roster
from depthcast.store import Entry, StoredObject
from depthcast.store.memory import MemoryStore


class Shelf(MemoryStore):
    """A store that counts reads and fails when told to."""

    def __init__(self) -> None:
        self.wall = 1_000_000
        super().__init__(wall_ms=lambda: self.wall)
        self.got: list[str] = []
        self.broken: set[str] = set()
        self.at_once = self.most_at_once = 0
        self.gate: asyncio.Event | None = None
        self.reading = asyncio.Event()
        self.etags: dict[str, str | None] = {}

    async def get(self, key: str) -> StoredObject | None:
        self.got.append(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate is not None:
                self.reading.set()
                await self.gate.wait()
            await asyncio.sleep(0)
            if key in self.broken:
                raise StoreUnavailable("the store went away")
            return await super().get(key)
        finally:
            self.at_once -= 1

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        async for entry in super().list(prefix):
            if "list" in self.broken:
                raise StoreUnavailable("the store went away")
            yield entry

    async def puts(self, key: str, body: bytes) -> None:
        result = await self.put_if(key, body, match=self.etags.get(key))
        assert result.etag
        self.etags[key] = result.etag

    async def beats(self, replica: str, count: int, symbols: tuple[str, ...] = ()) -> None:
        held = {symbol: SymbolBeat() for symbol in symbols}
        body = Heartbeat(replica=replica, beat=count, symbols=held).to_body()
        await self.puts(heartbeat_key(replica), body)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def known(roster: Roster) -> dict[str, int]:
    roster.check()
    return {member.heartbeat.replica: member.heartbeat.beat for member in roster.members}


async def test_only_what_changed_is_read_again(shelf: Shelf) -> None:
    roster = Roster(shelf)
    for name in "abc":
        await shelf.beats(name, 1)
    await roster.read()
    assert known(roster) == {"a": 1, "b": 1, "c": 1}
    shelf.got.clear()
    await shelf.beats("b", 2)
    await roster.read()
    assert known(roster) == {"a": 1, "b": 2, "c": 1}
    assert shelf.got == ["fleet/b.json"]


async def test_who_beats_lives_and_who_stands_still_does_not(shelf: Shelf) -> None:
    now = 0.0
    roster = Roster(shelf, clock=lambda: now)
    await shelf.beats("still", 1)
    for count in range(1, 8):
        await shelf.beats("busy", count)
        await roster.read()
        now += 0.5
    assert set(roster.members.living(now)) == {"busy"}


async def test_its_own_heartbeat_is_dated_and_not_read(shelf: Shelf) -> None:
    roster = Roster(shelf, own="me")
    await shelf.beats("other", 1)
    shelf.wall += 700
    await shelf.beats("me", 1)
    await roster.read()
    assert known(roster) == {"other": 1}
    assert roster.modified_ms == {"other": 1_000_000, "me": 1_000_700}
    assert shelf.got == ["fleet/other.json"]


class Passing:
    """A roster's world as time passes, for the store as for its reader."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.now = 0.0
        self.roster = self.another()

    def another(self) -> Roster:
        return Roster(self.shelf, clock=lambda: self.now)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.shelf.wall += round(seconds * 1000)

    async def held(self, roster: Roster | None = None) -> dict[str, int]:
        """One reading: how many symbols each replica is known to hold."""
        roster = roster or self.roster
        await roster.read()
        roster.check()
        return {each.heartbeat.replica: len(each.heartbeat.symbols) for each in roster.members}


async def test_what_a_replica_held_is_forgotten_some_time_after_its_end(shelf: Shelf) -> None:
    world = Passing(shelf)
    await shelf.beats("ended", 1, ("A", "B"))
    await shelf.beats("lives", 1, ("A", "B"))
    for count in range(2, 8):
        world.passes(0.5)
        await shelf.beats("lives", count, ("A", "B"))
        assert await world.held() == {"ended": 2, "lives": 2}
    world.passes(FORGET_AFTER_MS / 1000)
    await shelf.beats("lives", 8, ("A", "B"))
    assert await world.held() == {"ended": 0, "lives": 2}
    assert shelf.got.count("fleet/ended.json") == 1
    await shelf.beats("ended", 2, ("A", "B"))
    assert await world.held() == {"ended": 2, "lives": 2}


async def test_what_a_replica_held_that_ended_long_ago_is_not_kept_at_all(shelf: Shelf) -> None:
    world = Passing(shelf)
    await shelf.beats("ended", 1, ("A", "B"))
    world.passes(1 + FORGET_AFTER_MS / 1000)
    await shelf.beats("lives", 1, ("A", "B"))
    roster = world.another()
    assert await world.held(roster) == {"ended": 0, "lives": 2}


async def test_a_replica_that_beats_is_known_whole_whatever_its_date(shelf: Shelf) -> None:
    world = Passing(shelf)
    for count in range(1, 10):
        world.passes(0.5)
        await shelf.beats("behind", count, ("A", "B"))
        # One part of the store has another clock than the other.
        shelf.wall += 2 * FORGET_AFTER_MS
        await shelf.beats("ahead", count, ("A", "B"))
        shelf.wall -= 2 * FORGET_AFTER_MS
        assert (await world.held())["behind"] == (2 if count > 1 else 0)


async def test_a_damaged_object_is_told_once_for_each_writing_and_stops_nobody(shelf: Shelf) -> None:
    told: list[tuple[str, BadFile]] = []
    roster = Roster(shelf, on_damaged=lambda key, error: told.append((key, error)))
    await shelf.beats("good", 1)
    await shelf.puts("fleet/bad.json", b"{")
    await shelf.puts("fleet/thief.json", Heartbeat(replica="good", beat=9).to_body())
    for _ in range(3):
        await roster.read()
    assert known(roster) == {"good": 1}
    assert [key for key, _ in told] == ["fleet/bad.json", "fleet/thief.json"]
    assert "it is the heartbeat of 'good'" in str(told[1][1])
    assert roster.damaged.keys() == {"bad", "thief"}
    await shelf.puts("fleet/bad.json", b"}")
    await roster.read()
    assert len(told) == 3
    await shelf.beats("bad", 1)
    await roster.read()
    assert known(roster) == {"good": 1, "bad": 1}
    assert roster.damaged.keys() == {"thief"}


async def test_a_heartbeat_that_gets_damaged_is_one_that_stands_still(shelf: Shelf) -> None:
    now = 0.0
    roster = Roster(shelf, clock=lambda: now)
    await shelf.beats("a", 1)
    await roster.read()
    await shelf.puts("fleet/a.json", b"{")
    for _ in range(6):
        now += 0.5
        await roster.read()
        assert known(roster) == {"a": 1}
    assert roster.members.living(now) == {}
    assert len(shelf.got) == 2


async def test_other_keys_are_passed_over(shelf: Shelf) -> None:
    for key in ("fleet/readme.txt", "fleet/a/b.json", "fleet/.json", "fleeting/a.json", "api/a.json"):
        await shelf.puts(key, b"?")
    roster = Roster(shelf, on_damaged=lambda key, error: pytest.fail(key))
    await roster.read()
    assert known(roster) == {}
    assert roster.modified_ms == {}


async def test_what_is_not_there_any_more_is_forgotten(shelf: Shelf) -> None:
    roster = Roster(shelf)
    await shelf.beats("a", 1)
    await shelf.beats("b", 1)
    await roster.read()
    shelf._objects.pop("fleet/a.json")
    await roster.read()
    assert known(roster) == {"b": 1}
    assert roster.modified_ms.keys() == {"b"}


@pytest.mark.parametrize("broken", ["list", "fleet/b.json"])
async def test_a_reading_that_fails_counts_for_nothing(shelf: Shelf, broken: str) -> None:
    now = 0.0
    roster = Roster(shelf, clock=lambda: now)
    for name in "abc":
        await shelf.beats(name, 1)
    await roster.read()
    await shelf.beats("b", 2)
    shelf.broken = {broken}
    for _ in range(50):
        now += 0.5
        with pytest.raises(StoreError, match="went away"):
            await roster.read()
    assert set(roster.members.living(now)) == {"a", "b", "c"}
    shelf.broken = set()
    await roster.read()
    assert known(roster)["b"] == 2
    assert set(roster.members.living(now)) == {"a", "b", "c"}


async def test_what_a_failed_reading_saw_is_not_taken_for_seen_by_the_next(shelf: Shelf) -> None:
    roster = Roster(shelf)
    await shelf.beats("a", 1)
    await shelf.beats("b", 1)
    await roster.read()
    await shelf.beats("b", 2)
    shelf.broken = {"fleet/b.json"}
    with pytest.raises(StoreError):
        await roster.read()
    shelf.broken = set()
    shelf._objects.pop("fleet/a.json")
    await roster.read()
    assert known(roster) == {"b": 2}


async def test_a_cancelled_reading_counts_for_nothing(shelf: Shelf) -> None:
    roster = Roster(shelf)
    await shelf.beats("a", 1)
    await roster.read()
    await shelf.beats("b", 1)
    shelf.gate = asyncio.Event()
    reading = asyncio.create_task(roster.read())
    await asyncio.wait_for(shelf.reading.wait(), 20)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert shelf.at_once == 0
    assert known(roster) == {"a": 1}


async def test_a_reading_that_fails_as_it_is_cancelled_is_cancelled() -> None:
    class Failing(Shelf):
        async def get(self, key: str) -> StoredObject | None:
            self.reading.set()
            assert self.gate is not None
            await self.gate.wait()
            raise StoreUnavailable("the store went away")

    shelf = Failing()
    await shelf.beats("a", 1)
    shelf.gate = asyncio.Event()
    reading = asyncio.create_task(Roster(shelf).read())
    await asyncio.wait_for(shelf.reading.wait(), 20)
    shelf.gate.set()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_no_more_than_so_many_are_read_at_once(shelf: Shelf) -> None:
    for number in range(50):
        await shelf.beats(f"r{number}", 1)
    await Roster(shelf).read()
    assert shelf.most_at_once == 8
    shelf.most_at_once = 0
    await Roster(shelf, reads_at_once=3).read()
    assert shelf.most_at_once == 3
    assert len(shelf.got) == 100
