"""Duty: each row of its table, and replicas of one symbol that share the work and take it over."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from random import Random
from typing import Any, Literal, TypeVar

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.files import Version
from depthcast.heartbeat import Role
from depthcast.store import Entry, Outcome, PutResult, StoredObject, Unchanged
from tests.updater.publishing import SYMBOL, FaultyStore, Replica, now, virtual
from updater.cadence import Cadence
from updater.claims import ClaimEvent
from updater.duty import Duty
from updater.slots import Slots

WRITER, ACTING, STANDBY = Role.WRITER, Role.ACTING, Role.STANDBY
TAKEOVER_S = 0.5

T = TypeVar("T")


# The table


def test_the_first_in_rank_writes_and_the_others_stand_by() -> None:
    assert Duty(takeover_after_s=0.5).role is WRITER
    assert Duty(takeover_after_s=0.5, rank=1).role is STANDBY
    assert [Duty(takeover_after_s=0.5, rank=rank).patience_s for rank in (0, 1, 3)] == [0.0, 0.5, 1.5]


def test_without_a_takeover_time_everybody_writes() -> None:
    duty = Duty(takeover_after_s=0.0, rank=2)
    assert (duty.role, duty.writes, duty.yielded) == (WRITER, True, False)
    duty.saw_another(Version(0, 9))
    assert (duty.role, duty.yielded) == (WRITER, True)
    duty.set_rank(0)
    assert not duty.yielded
    duty.check()


def test_who_is_no_longer_first_writes_on_until_another_one_was_seen_to() -> None:
    duty = Duty(takeover_after_s=0.5)
    duty.wrote(Version(0, 10))
    duty.set_rank(2)
    duty.check()
    assert (duty.role, duty.yielded) == (ACTING, False)
    duty.saw_another(Version(0, 9))
    assert duty.role is ACTING
    duty.saw_another(Version(0, 11))
    assert (duty.role, duty.yielded) == (STANDBY, True)
    duty.check()


def test_who_has_written_nothing_yet_leaves_it_to_a_better_one_at_once() -> None:
    duty = Duty(takeover_after_s=0.5)
    duty.set_rank(1)
    assert (duty.role, duty.yielded) == (STANDBY, True)
    duty.check()


def test_the_first_in_rank_never_stands_back_whatever_it_loses() -> None:
    duty = Duty(takeover_after_s=0.5)
    duty.saw_another(Version(3, 99))
    assert (duty.role, duty.yielded) == (WRITER, False)
    duty.wrote(Version(3, 100))
    duty.saw_another(Version(3, 101))
    assert (duty.role, duty.yielded) == (WRITER, False)
    duty.set_rank(1)
    assert (duty.role, duty.yielded) == (ACTING, False)


def test_a_standby_that_took_over_is_relieved_or_becomes_the_first() -> None:
    for rank, role in ((1, ACTING), (0, WRITER)):
        duty = Duty(takeover_after_s=0.5, rank=2)
        duty.take_over(Version(0, 20))
        assert duty.role is ACTING
        duty.saw_another(Version(0, 19))
        duty.set_rank(rank)
        assert duty.role is role
        duty.check()
        duty.saw_another(Version(0, 20))
        assert duty.role is (WRITER if rank == 0 else STANDBY)
        duty.check()


def test_who_took_over_a_file_that_is_ahead_is_relieved_by_a_newer_one_alone() -> None:
    duty = Duty(takeover_after_s=0.5, rank=1)
    duty.take_over(Version(0, 20), ahead=Version(0, 90))
    duty.saw_another(Version(0, 90))
    assert duty.role is ACTING
    duty.saw_another(Version(0, 91))
    assert duty.role is STANDBY
    duty.check()


def test_a_rank_among_those_who_stand_by_changes_the_patience_alone() -> None:
    duty = Duty(takeover_after_s=0.5, rank=1)
    duty.set_rank(4)
    assert (duty.role, duty.patience_s) == (STANDBY, 2.0)


def test_who_acts_hands_over_to_the_first_in_rank_and_nobody_else_does() -> None:
    duty = Duty(takeover_after_s=0.5, rank=1)
    with pytest.raises(ValueError, match="acts"):
        duty.hand_over()
    duty.take_over(Version(0, 20))
    duty.hand_over()
    assert (duty.role, duty.yielded) == (STANDBY, True)
    duty.check()


def test_nobody_takes_over_what_it_writes() -> None:
    with pytest.raises(ValueError, match="standby"):
        Duty(takeover_after_s=0.5).take_over(Version(0, 1))


# Replicas together


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


@virtual
async def test_while_the_writer_writes_the_others_cost_two_small_reads_a_second_and_nothing_else() -> None:
    fleet = Fleet(3)
    await fleet.stream(120.0)
    assert set(fleet.writers(0.0)) == {"a"}
    assert fleet.lost() == fleet.takeovers() == 0
    assert fleet.roles == [WRITER, STANDBY, STANDBY]
    for way in fleet.ways[1:]:
        assert most_in_a_window(way.watched, 1.0) <= 2
        assert len(way.watched) <= 200
    assert not fleet.ways[0].watched
    assert all(replica.publisher.settled for replica in fleet.replicas)
    assert all(replica.publisher.yielded is (n > 0) for n, replica in enumerate(fleet.replicas))
    await fleet.stop()


@pytest.mark.parametrize("every_s", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("seed", range(12))
@virtual
async def test_a_writer_that_dies_is_replaced_before_a_file_is_old(seed: int, every_s: float) -> None:
    fleet = Fleet(3, seed=seed)
    await fleet.stream(5.0 + fleet.rng.random(), every_s)
    await fleet.kill(0)
    killed = now()
    await fleet.stream(5.0, every_s)
    assert fleet.oldest(killed - 0.05) < 2 * TAKEOVER_S
    assert fleet.takeovers(1) == 1
    assert fleet.takeovers(2) == 0
    assert set(fleet.writers(killed + 0.1)) == {"b"}
    assert fleet.lost() == 0
    assert fleet.roles == [ACTING, STANDBY]
    await fleet.stop()


@virtual
async def test_the_third_takes_over_where_the_second_dies_with_the_first() -> None:
    fleet = Fleet(3)
    await fleet.stream(5.0)
    await fleet.kill(0)
    await fleet.kill(1)
    killed = now()
    await fleet.stream(5.0)
    assert fleet.oldest(killed - 0.05) < 2 * 2 * TAKEOVER_S
    assert fleet.roles == [ACTING]
    await fleet.stop()


@virtual
async def test_who_took_over_and_becomes_the_first_goes_on_without_a_lost_write() -> None:
    fleet = Fleet(3)
    await fleet.stream(5.0)
    await fleet.kill(0)
    await fleet.stream(3.0)
    fleet.rank(0, 0, 1)
    await fleet.stream(10.0)
    assert fleet.lost() == 0
    assert fleet.roles == [WRITER, STANDBY]
    assert fleet.takeovers() == 1
    await fleet.stop()


@virtual
async def test_a_standby_that_becomes_the_first_looks_before_it_writes() -> None:
    fleet = Fleet(2)
    await fleet.stream(30.0)
    await fleet.kill(0)
    fleet.rank(0, 0)
    await fleet.stream(5.0)
    assert fleet.lost() == 0
    assert fleet.oldest(0.0) < 0.25
    assert set(fleet.writers(30.1)) == {"b"}
    await fleet.stop()


@pytest.mark.parametrize("seed", range(5))
@virtual
async def test_a_better_one_that_joins_takes_over_at_the_cost_of_a_few_lost_writes(seed: int) -> None:
    fleet = Fleet(2, seed=seed)
    await fleet.stream(10.0)
    joined = fleet.join(0)
    fleet.rank(1, 2, 0)
    assert [fleet.replicas[who].publisher.role for who in (0, 1, joined)] == [ACTING, STANDBY, WRITER]
    await fleet.stream(10.0)
    assert fleet.roles == [STANDBY, STANDBY, WRITER]
    assert set(fleet.writers(now() - 8.0)) == {"c"}
    assert fleet.lost() <= 12
    assert fleet.takeovers() == 0
    assert fleet.oldest(1.0) < 0.25
    assert fleet.replicas[0].publisher.yielded
    assert ("yielded",) in fleet.replicas[0].heard.events
    await fleet.stop()


@virtual
async def test_a_quiet_symbol_changes_hands_when_the_first_says_that_it_writes() -> None:
    fleet = Fleet(1)
    await fleet.stream(5.0)
    fleet.join(0)
    fleet.rank(1, 0)
    await asyncio.sleep(60)
    assert fleet.roles == [ACTING, WRITER]
    fleet.replicas[0].publisher.hand_over()
    fleet.replicas[1].publisher.hand_over()
    assert fleet.roles == [STANDBY, WRITER]
    handed = now()
    await fleet.stream(5.0)
    assert set(fleet.writers(handed)) == {"b"}
    assert fleet.takeovers() == fleet.lost(handed) == 0
    await fleet.stop()


@virtual
async def test_a_first_that_says_it_writes_and_does_not_is_not_believed_again_and_again() -> None:
    fleet = Fleet(2, act_for_s=10.0)
    await fleet.stream(5.0)
    fleet.ways[0].cut = True
    cut = now()
    for _ in range(600):
        await fleet.stream(0.1)
        fleet.replicas[1].publisher.hand_over()
    assert fleet.takeovers() <= 7
    assert fleet.oldest(cut) < 2 * TAKEOVER_S
    await fleet.stop()


@virtual
async def test_a_store_that_is_slow_for_everybody_makes_nobody_take_over() -> None:
    fleet = Fleet(3, store=FaultyStore(latency_s=0.7))
    await fleet.stream(120.0)
    assert fleet.takeovers() == fleet.lost() == 0
    await fleet.stop()


@virtual
async def test_a_writer_that_is_slow_alone_is_replaced_for_as_long_as_it_is() -> None:
    fleet = Fleet(3)
    await fleet.stream(5.0)
    fleet.ways[0].slow_s = 3.0
    slow = now()
    await fleet.stream(30.0)
    assert fleet.oldest(slow) < 2 * TAKEOVER_S
    assert fleet.writers(slow + 1.0)["b"] > 200
    assert fleet.takeovers(2) == 0
    fleet.ways[0].slow_s = 0.0
    await fleet.stream(10.0)
    assert fleet.roles == [WRITER, STANDBY, STANDBY]
    assert set(fleet.writers(now() - 3.0)) == {"a"}
    await fleet.stop()


@virtual
async def test_levels_that_stay_as_they_are_make_nobody_take_over_until_the_writer_dies() -> None:
    fleet = Fleet(3, limits=(5,))
    await fleet.stream(60.0, price=None)
    assert fleet.takeovers() == fleet.lost() == 0
    for _ in range(30):
        await fleet.stream(fleet.rng.uniform(0.1, 1.5), price=None)
        fleet.tick()
    assert fleet.takeovers() == fleet.lost() == 0
    await fleet.kill(0)
    killed = now()
    await fleet.stream(10.0, price=None)
    assert fleet.takeovers(1) == 1
    assert fleet.oldest(killed, 5) < 1.0 + 2 * TAKEOVER_S
    await fleet.stop()


@virtual
async def test_a_file_with_a_slow_cadence_alone_makes_nobody_take_over() -> None:
    fleet = Fleet(3, limits=(5000,))
    await fleet.stream(120.0)
    assert fleet.takeovers() == fleet.lost() == 0
    await fleet.kill(0)
    killed = now()
    await fleet.stream(10.0)
    assert fleet.oldest(killed, 5000) < 1.0 + 2 * TAKEOVER_S
    await fleet.stop()


@pytest.mark.parametrize("seed", range(8))
@virtual
async def test_two_that_act_converge_to_one(seed: int) -> None:
    fleet = Fleet(3, seed=seed)
    fleet.rank(0, 1, 1)
    await fleet.stream(5.0)
    await fleet.kill(0)
    await fleet.stream(6.0)
    assert sorted(fleet.roles) == [ACTING, STANDBY]
    assert len(fleet.writers(now() - 3.0)) == 1
    assert fleet.lost() <= 20
    assert fleet.oldest(4.0) < 2 * TAKEOVER_S
    await fleet.stop()


@pytest.mark.parametrize("seed", range(4))
@virtual
async def test_ranks_that_flap_end_in_one_writer_and_never_in_an_old_file(seed: int) -> None:
    fleet = Fleet(4, seed=seed)

    async def flap() -> None:
        for _ in range(60):
            await asyncio.sleep(fleet.rng.uniform(0.1, 2.0))
            who = fleet.rng.randrange(4)
            fleet.replicas[who].publisher.set_rank(fleet.rng.randrange(4))
            for replica in fleet.replicas:
                replica.publisher.check()

    flapping = asyncio.ensure_future(flap())
    await fleet.stream(70.0)
    await flapping
    fleet.rank(3, 2, 0, 1)
    await fleet.stream(10.0)
    assert fleet.roles == [STANDBY, STANDBY, WRITER, STANDBY]
    assert set(fleet.writers(now() - 5.0)) == {"c"}
    assert fleet.oldest(1.0) < 3 * TAKEOVER_S * 2
    await fleet.stop()


@virtual
async def test_after_an_outage_of_the_store_there_is_no_storm() -> None:
    fleet = Fleet(5)
    await fleet.stream(10.0, 1.0)
    fleet.store.down = True
    await fleet.stream(30.0, 1.0)
    fleet.store.down = False
    back = now()
    await fleet.stream(30.0, 1.0)
    puts = Counter(put.limit for put in fleet.store.puts if put.at >= back)
    assert max(puts.values()) <= 1.5 * 30
    assert fleet.roles == [WRITER, *[STANDBY] * 4]
    assert set(fleet.writers(now() - 10.0)) == {"a"}
    assert fleet.oldest(now() - 15.0) < 0.1
    await fleet.stop()


@pytest.mark.parametrize("frozen_s", [2.0, 10.0])
@virtual
async def test_a_writer_that_was_stopped_and_wakes_goes_on_and_takes_nothing_back(frozen_s: float) -> None:
    fleet = Fleet(3)
    await fleet.stream(5.0)
    fleet.freeze(0)
    frozen = now()
    await fleet.stream(frozen_s)
    assert fleet.roles[1] is ACTING
    fleet.thaw(0)
    await fleet.stream(5.0)
    assert fleet.roles == [WRITER, STANDBY, STANDBY]
    assert fleet.takeovers() == 1
    assert fleet.oldest(frozen) < 2 * TAKEOVER_S
    assert set(fleet.writers(now() - 2.0)) == {"a"}
    await fleet.stop()


@virtual
async def test_a_writer_that_is_cut_off_from_the_store_is_replaced() -> None:
    fleet = Fleet(3)
    await fleet.stream(5.0)
    fleet.ways[0].cut = True
    cut = now()
    await fleet.stream(20.0)
    assert fleet.oldest(cut) < 2 * TAKEOVER_S
    assert fleet.roles == [WRITER, ACTING, STANDBY]
    await fleet.stop()


@virtual
async def test_a_standby_that_is_cut_off_from_the_store_takes_nothing_over_when_it_is_back() -> None:
    fleet = Fleet(2)
    await fleet.stream(5.0)
    fleet.ways[1].cut = True
    await fleet.stream(20.0)
    assert ("look failed", 100) in fleet.replicas[1].heard.events
    fleet.ways[1].cut = False
    await fleet.stream(20.0)
    assert fleet.takeovers() == fleet.lost() == 0
    await fleet.stop()


@virtual
async def test_a_quiet_symbol_is_hardly_read_until_its_book_changes() -> None:
    fleet = Fleet(3, patrol_s=60.0)
    await asyncio.sleep(5)
    before = len(fleet.ways[1].watched)
    await asyncio.sleep(240)
    assert len(fleet.ways[1].watched) - before <= 5
    await fleet.kill(0)
    fleet.tick()
    await asyncio.sleep(3)
    assert await fleet.store.stored(100) == (0, 11)
    assert fleet.oldest(200.0) < 2 * TAKEOVER_S
    await fleet.stop()


@virtual
async def test_a_file_that_somebody_damaged_while_the_writer_is_away_is_found_on_patrol() -> None:
    fleet = Fleet(2, patrol_s=30.0)
    await asyncio.sleep(5)
    await fleet.kill(0)
    await fleet.store.place(100, Version(7, 99), b"<html>")
    fleet.store.versions.clear()
    await asyncio.sleep(40)
    assert await fleet.store.stored(100) == (0, 10)
    assert ("damaged", 100) in fleet.replicas[1].heard.events
    await fleet.stop()


@virtual
async def test_where_nothing_is_stored_a_standby_waits_its_time_and_then_writes() -> None:
    fleet = Fleet(0)
    fleet.join(2)
    await asyncio.sleep(0.9)
    assert not fleet.store.puts
    await asyncio.sleep(1.5)
    assert {await fleet.store.stored(limit) for limit in (5, 100, 5000)} == {(0, 10)}
    assert fleet.roles == [ACTING]
    await fleet.stop()


@virtual
async def test_a_standby_obeys_a_later_epoch_and_writes_nothing_meanwhile() -> None:
    fleet = Fleet(1)
    joined = fleet.join(1)
    await fleet.stream(5.0)
    await fleet.kill(0)
    await fleet.store.place(100, Version(2, 3))
    await fleet.stream(10.0)
    assert fleet.replicas[joined].newer == [(SYMBOL, 2)]
    assert fleet.takeovers() == 0
    fleet.replicas[joined].take(2_000, epoch=2)
    await asyncio.sleep(3)
    assert await fleet.store.stored(100) == (2, 2_000)
    await fleet.stop()


# Files left ahead


async def ids_went_down(*ranks: int, event_time_ms: int = 1) -> tuple[FaultyStore, list[Replica]]:
    """Replicas of these ranks whose books count anew, below the files; one of rank 0 has a broken feed.

    The standbys watch the larger file.
    """
    store = FaultyStore()
    for limit in (5, 5000):
        metadata = {"event-time": str(event_time_ms)}
        await store.place(limit, Version(0, 1_000_000), None, **metadata)
    replicas = [Replica(store, f"r{rank}", limits=(5, 5000), rank=rank) for rank in ranks]
    for replica in replicas:
        replica.live.live = replica.publisher.rank > 0
        replica.confirm = lambda: asyncio.sleep(0.1, 50)
    return store, replicas


async def stream(replicas: list[Replica], seconds: float) -> None:
    await asyncio.gather(*(each.stream(seconds, 0.5) for each in replicas if each.live.live))


@virtual
async def test_files_left_ahead_by_a_first_whose_feed_is_broken_are_claimed_by_the_next_in_rank() -> None:
    store, replicas = await ids_went_down(0, 1, 2)
    await stream(replicas, 64.0)
    assert [each.publisher.role for each in replicas] == [WRITER, STANDBY, STANDBY]
    await stream(replicas, 4.0)
    assert [each.publisher.role for each in replicas] == [WRITER, ACTING, STANDBY]
    assert (await store.stored(5000) or Version(0, 0)).epoch == 1
    assert [len(each.confirmations) for each in replicas] == [0, 1, 0]
    assert ("took over", 1, None) in replicas[1].heard.events
    assert replicas[1].newer == [(SYMBOL, 1)]
    for replica in replicas[1:]:
        replica.take(2_000, epoch=1)
    await stream(replicas, 5.0)
    await asyncio.sleep(0.1)
    assert await store.stored(5) == await store.stored(5000) == (1, 2_010)
    assert [each.publisher.role for each in replicas] == [WRITER, ACTING, STANDBY]
    for replica in replicas:
        await replica.stop()


@pytest.mark.parametrize("how", ["late", "being built", "silent", "a file that moves"])
@virtual
async def test_a_standby_leaves_a_file_alone_that_is_ahead_of_a_book_that_is(how: str) -> None:
    store, replicas = await ids_went_down(1, event_time_ms=10_000_000 if how == "late" else 1)
    if how == "being built":
        replicas[0].live.live = False
    for n in range(10):
        if how == "a file that moves":
            await store.place(5000, Version(0, 1_000_001 + n))
        if how == "silent":
            await asyncio.sleep(30.0)
        else:
            await replicas[0].stream(30.0, 0.5)
    assert replicas[0].publisher.role is STANDBY
    assert not replicas[0].confirmations
    await replicas[0].stop()


@virtual
async def test_a_standby_that_the_exchange_refutes_writes_nothing_and_stands_back_when_the_file_moves() -> (
    None
):
    store, replicas = await ids_went_down(1)
    replicas[0].confirm = lambda: asyncio.sleep(0.1, 1_000_000)
    await stream(replicas, 80.0)
    assert replicas[0].heard.claims == [ClaimEvent.ASKED, ClaimEvent.REFUTED]
    assert (replicas[0].publisher.role, store.puts) == (ACTING, [])
    await store.place(5000, Version(0, 1_000_001))
    await stream(replicas, 50.0)
    assert (replicas[0].publisher.role, store.puts) == (STANDBY, [])
    assert len(replicas[0].confirmations) == 1
    await replicas[0].stop()


@virtual
async def test_a_standby_that_becomes_the_first_claims_what_it_has_seen_ahead_for_a_minute() -> None:
    store, replicas = await ids_went_down(1)
    await stream(replicas, 58.0)
    replicas[0].publisher.set_rank(0)
    await stream(replicas, 5.0)
    assert (await store.stored(5000) or Version(0, 0)).epoch == 1
    await replicas[0].stop()


@pytest.mark.parametrize(("writer", "role"), [("operator", ACTING), ("other", STANDBY)])
@virtual
async def test_who_acts_does_not_stand_back_for_an_operator_who_writes_once(writer: str, role: Role) -> None:
    store = FaultyStore()
    replica = Replica(store, rank=1)
    await stream([replica], 5.0)
    assert replica.publisher.role is ACTING
    await store.place(5, Version(1, 50), None, replica=writer)
    await stream([replica], 5.0)
    assert (replica.publisher.role, replica.newer) == (role, [(SYMBOL, 1)])
    await replica.stop()


@virtual
async def test_a_book_that_is_being_built_takes_nothing_over() -> None:
    fleet = Fleet(2)
    await fleet.stream(5.0)
    fleet.replicas[1].live.live = False
    await fleet.kill(0)
    await fleet.stream(10.0)
    assert fleet.takeovers() == 0
    fleet.replicas[1].live.live = True
    await fleet.stream(2.0)
    assert fleet.roles == [ACTING]
    await fleet.stop()


@virtual
async def test_where_everybody_races_nobody_stands_by() -> None:
    fleet = Fleet(3, takeover_after_s=0.0)
    await fleet.stream(20.0)
    assert fleet.roles == [WRITER] * 3
    assert len(fleet.writers(0.0, 100)) == 3
    assert [replica.publisher.yielded for replica in fleet.replicas] == [False, True, True]
    assert not any(way.watched for way in fleet.ways)
    await fleet.stop()


@virtual
async def test_a_standby_is_settled_once_the_file_has_reached_its_book() -> None:
    store = FaultyStore(latency_s=0.005)
    await store.place(100, Version(0, 5))
    fleet = Fleet(0, store=store)
    fleet.join(1)
    await fleet.stream(0.5)
    settled = [fleet.replicas[0].publisher.settled]
    await fleet.stream(3.0)
    assert [*settled, fleet.replicas[0].publisher.settled] == [False, True]
    await fleet.stop()


@virtual
async def test_a_fleet_that_joins_one_by_one_on_a_slow_store_is_settled_though_most_symbols_are_quiet() -> (
    None
):
    store = FaultyStore(latency_s=0.5)
    rng = Random(5)
    slots = [Slots(8) for _ in range(3)]
    books: list[list[Replica]] = [[] for _ in range(40)]
    for who in range(3):
        for n, symbol in enumerate(f"S{n}USDT" for n in range(len(books))):
            order = rng.sample(range(who + 1), who + 1)
            more: dict[str, Any] = {"limits": (5, 1000), "cadence": Cadence(), "slots": slots[who]}
            books[n].append(Replica(store, "abc"[who], symbol=symbol, rank=order[who], **more))
            for replica, rank in zip(books[n], order, strict=True):
                replica.publisher.set_rank(rank)
        for _ in range(20):
            await asyncio.sleep(0.1)
            for replicas in books[:5]:
                for replica in replicas:
                    replica.move()
        # The first in rank has the book, and says so.
        for replicas in books:
            for replica in replicas:
                replica.publisher.hand_over()
    await asyncio.sleep(15.0)
    unsettled = [each.live.symbol for replicas in books for each in replicas if not each.publisher.settled]
    assert not unsettled
    for replicas in books:
        for replica in replicas:
            await replica.stop()


@virtual
async def test_who_leaves_a_quiet_symbol_to_another_is_settled_by_the_file_it_leaves() -> None:
    store = FaultyStore()
    await store.place(5000, Version(0, 5))
    replica = Replica(store, limits=(5, 5000), cadence=Cadence(((5, 0), (5000, 100_000))))
    store.fates = ["", "lost", "lost", "lost", "lost", "lost"]
    await asyncio.sleep(0.2)
    settled = [replica.publisher.settled]
    replica.publisher.set_rank(1)
    replica.publisher.hand_over()
    await asyncio.sleep(0.1)
    assert [*settled, replica.publisher.settled] == [False, True]
    await replica.stop()


@virtual
async def test_a_standby_tells_how_old_the_file_is_that_it_watches_and_knows_nothing_of_the_others() -> None:
    fleet = Fleet(2)
    await fleet.stream(5.0)
    standby = fleet.replicas[1].publisher
    assert standby.behind_s() == 0.0
    files = {file.limit: file for file in standby.files()}
    assert [limit for limit, file in files.items() if file.version is not None] == [100]
    assert str(files[100].version) > "0:40"
    fleet.rank(0, 3)
    fleet.ways[0].cut = True
    await fleet.stream(1.4)
    assert fleet.roles == [WRITER, STANDBY]
    assert 1.0 < standby.behind_s() == {file.limit: file for file in standby.files()}[100].behind_s < 1.5
    await fleet.stop()
