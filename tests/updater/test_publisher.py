"""Publisher: one symbol's files on a store that is slow, loses answers, throttles or is shared."""

import asyncio
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from depthcast.errors import BadKey
from depthcast.files import CONTENT_TYPE, FileInfo, Version, depth_key
from depthcast.heartbeat import Role
from depthcast.store import Outcome, PutResult
from tests.updater.publishing import SYMBOL, FaultyStore, Replica, now, virtual, watch_until
from updater.cadence import Cadence
from updater.outage import Outage
from updater.publisher import CACHE_CONTROL
from updater.slots import Slots

# Files


@virtual
async def test_a_file_is_the_books_body_with_its_metadata() -> None:
    store = FaultyStore()
    replica = Replica(store, limits=(5, 20))
    await asyncio.sleep(1)
    replica.move()
    await asyncio.sleep(1)
    assert replica.live.book is not None
    for limit in (5, 20):
        held = await store.get(depth_key(SYMBOL, limit))
        assert held is not None
        assert held.body == replica.live.book.body(limit)
        assert held.content_type == CONTENT_TYPE
        assert held.cache_control == CACHE_CONTROL
        info = FileInfo.from_metadata("", held.metadata)
        assert info == FileInfo(0, 20, 1, True, True, 1_011, 6_000, "a")
    await replica.stop()


@virtual
async def test_nothing_is_written_before_there_is_a_book() -> None:
    store = FaultyStore()
    replica = Replica(store, update_id=None)
    await asyncio.sleep(5)
    assert not store.puts
    assert not store.peeks
    settled = [replica.publisher.settled]
    assert [each.version for each in replica.publisher.files()] == [None]
    replica.take(7)
    await asyncio.sleep(1)
    assert await store.stored(5) == (0, 7)
    assert [*settled, replica.publisher.settled] == [False, True]
    await replica.stop()


@virtual
async def test_a_symbol_without_a_key_is_refused_at_once() -> None:
    with pytest.raises(BadKey):
        Replica(FaultyStore(), limits=(0,))


# Cadence and slow stores


@virtual
async def test_each_limit_has_its_own_cadence() -> None:
    store = FaultyStore()
    replica = Replica(store, limits=(5, 500, 5000), cadence=Cadence())
    await replica.stream(4.05, 0.05)
    await asyncio.sleep(1.5)
    counts = {limit: len(store.won(limit)) for limit in (5, 500, 5000)}
    assert counts[5] == 82
    assert counts[500] in (17, 18)
    assert counts[5000] in (5, 6)
    gaps = [after - before for (before, _), (after, _) in pairwise(store.won(500))]
    assert min(gaps) >= 0.25 - 1e-9
    assert {await store.stored(limit) for limit in (5, 500, 5000)} == {(0, 91)}
    await replica.stop()


@virtual
async def test_the_stores_floor_holds_for_every_limit() -> None:
    store = FaultyStore()
    replica = Replica(store, limits=(5, 500), cadence=Cadence(floor_ms=1000))
    await replica.stream(5.0)
    for limit in (5, 500):
        times = [at for at, _ in store.won(limit)]
        assert 5 <= len(times) <= 6
        assert min(b - a for a, b in pairwise(times)) >= 1.0 - 1e-9
    await replica.stop()


@virtual
async def test_a_slow_store_makes_files_less_frequent_and_never_old() -> None:
    store = FaultyStore(latency_s=0.7)
    replica = Replica(store)
    await replica.stream(20.0)
    won = store.won(5)
    assert 25 <= len(won) <= 30
    # What was written when the answer came had been the newest book 0.7 s before.
    assert all(10 + round((at - 0.7) * 10) - 1 <= update_id for at, update_id in won[1:])
    assert store.most_at_once == 1
    await replica.stop()


@virtual
async def test_a_slow_large_file_does_not_hold_up_a_small_one() -> None:
    class SlowWhenLarge(FaultyStore):
        async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
            if key.endswith("=5000"):
                await asyncio.sleep(5)
            return await super().put_if(key, body, **more)

    store = SlowWhenLarge()
    replica = Replica(store, limits=(5, 5000))
    await replica.stream(4.0)
    assert len(store.won(5)) >= 38
    assert not store.won(5000)
    await asyncio.sleep(8)
    await replica.stop()


@virtual
async def test_the_same_levels_are_written_once_a_second_for_their_update_id() -> None:
    store = FaultyStore()
    replica = Replica(store, limits=(5, 5000), cadence=Cadence())
    await replica.stream(5.0, price=None)
    assert 5 <= len(store.won(5)) <= 7
    replica.move(price="100.0")
    await asyncio.sleep(0.01)
    assert await store.stored(5) == (0, 61)
    await replica.stop()


@virtual
async def test_requests_in_flight_are_bounded_over_all_symbols_and_nobody_starves() -> None:
    store = FaultyStore(latency_s=0.05)
    slots = Slots(3)
    limits = (5, 10, 20, 50)
    replicas = [Replica(store, str(n), limits=limits, slots=slots) for n in range(6)]
    for n, replica in enumerate(replicas):
        replica.live.book = None
        replica.take(100 + n)
    await asyncio.sleep(5)
    assert store.most_at_once == 3
    assert slots.taken == 0
    assert {await store.stored(limit) for limit in limits} == {(0, 105)}
    assert all(replica.publisher.settled for replica in replicas)
    for replica in replicas:
        await replica.stop()


@virtual
async def test_no_limit_starves_where_the_store_is_too_slow_for_all_of_them() -> None:
    store = FaultyStore(latency_s=0.05)
    limits = (5, 10, 20, 50)
    replica = Replica(store, limits=limits, slots=Slots(1))
    await replica.stream(10)
    for limit in limits:
        times = [at for at, _ in store.won(limit)]
        assert max(later - at for at, later in pairwise([0.0, *times, now()])) < 0.6
    await replica.stop()


@pytest.mark.parametrize("how", ["its book is gone", "it is overtaken", "it ends"])
@virtual
async def test_who_no_longer_wants_a_slot_lets_others_in(how: str) -> None:
    store = FaultyStore()
    slots = Slots(1)
    assert slots.take(1, lambda: None)
    first, second = Replica(store, "a", slots=slots), Replica(store, "b", slots=slots, update_id=20)
    await asyncio.sleep(1)
    match how:
        case "its book is gone":
            first.live.book = None
        case "it is overtaken":
            first.publisher._claims.saw(Version(1, 0))
        case _:
            first.publisher.stop()
    slots.give()
    await asyncio.sleep(1)
    assert await store.stored(5) == (0, 20)
    first.publisher.stop()
    await second.stop()


# Outcomes


@pytest.mark.parametrize("fate", ["lost", "unanswered", "late", "throttled"])
@virtual
async def test_after_any_failure_it_looks_before_it_writes_again(fate: str) -> None:
    store = FaultyStore([fate])
    replica = Replica(store)
    await asyncio.sleep(0.0015)
    replica.move()
    await asyncio.sleep(1)
    failed, *after = store.puts
    assert failed.outcome in (Outcome.UNKNOWN, Outcome.THROTTLED)
    assert any(failed.at <= at <= after[0].at for at in store.peeks)
    assert await store.stored(5) == (0, 11)
    await asyncio.sleep(5)
    assert await store.stored(5) == (0, 11)
    await replica.stop()


@virtual
async def test_a_store_that_throttles_is_asked_less_and_less() -> None:
    store = FaultyStore(["throttled"] * 1000)
    replica = Replica(store)
    await replica.stream(60.0)
    assert len(store.puts) < 40
    await replica.stop()


@virtual
async def test_a_store_that_is_away_is_waited_for_and_then_gets_the_newest_book() -> None:
    store = FaultyStore()
    replica = Replica(store)
    await asyncio.sleep(1)
    store.down = True
    await replica.stream(30.0)
    attempts = len(store.puts) + len(store.peeks)
    assert attempts < 40
    store.down = False
    await asyncio.sleep(11)
    assert await store.stored(5) == (0, 310)
    assert ("look failed", 5) in replica.heard.events
    await replica.stop()


@virtual
async def test_after_an_outage_the_first_answer_ends_the_pauses_of_all_files_and_watches() -> None:
    store = FaultyStore(latency_s=0.005)
    symbols = [f"S{n}USDT" for n in range(20)]
    replicas: dict[int, list[Replica]] = {}
    for rank, name in enumerate("ab"):
        shared: dict[str, Any] = {"outage": Outage(clock=now), "slots": Slots(4), "limits": (5, 100)}
        # The name is the seed of the pauses.
        replicas[rank] = [Replica(store, name + each, symbol=each, rank=rank, **shared) for each in symbols]
    everybody = [*replicas[0], *replicas[1]]
    await asyncio.gather(*(each.stream(5.0) for each in everybody))
    store.down = True
    await asyncio.gather(*(each.stream(60.0) for each in everybody))
    store.down = False
    await asyncio.gather(*(each.stream(2.0) for each in everybody))
    # A standby knows its file's age from looks, two in 1.6 s.
    assert max(file.behind_s for each in everybody for file in each.publisher.files()) < 1.0
    assert {each.publisher.role for each in replicas[1]} == {Role.STANDBY}
    for replica in everybody:
        await replica.stop()


@virtual
async def test_a_pause_that_the_store_asked_for_is_not_ended_by_an_answer_to_somebody_else() -> None:
    store = FaultyStore(["throttled"] * 100)
    outage = Outage(clock=now)
    replica = Replica(store, outage=outage)
    await replica.stream(30.0)
    puts = len(store.puts)
    outage.failed(now(), replica.publisher.resume)
    outage.wrote()
    await asyncio.sleep(0.01)
    assert len(store.puts) == puts
    await replica.stop()


@pytest.mark.parametrize(("body", "metadata"), [(b"<html>", {}), (None, {"epoch": "?"})])
@virtual
async def test_a_damaged_object_is_reported_and_replaced(
    body: bytes | None, metadata: dict[str, str]
) -> None:
    store = FaultyStore()
    await store.place(5, Version(7, 99), body, **metadata)
    store.versions.clear()
    replica = Replica(store)
    await asyncio.sleep(1)
    assert replica.heard.events.count(("damaged", 5)) == 1
    assert await store.stored(5) == (0, 10)
    await replica.stop()


@virtual
async def test_a_quiet_symbols_file_that_was_damaged_is_found_on_patrol() -> None:
    store = FaultyStore()
    replica = Replica(store, patrol_s=30.0)
    await asyncio.sleep(1)
    await store.place(5, Version(7, 99), b"<html>")
    store.versions.clear()
    await asyncio.sleep(30)
    assert await store.stored(5) == (0, 10)
    await replica.stop()


# Several replicas


@virtual
async def test_replicas_that_race_never_make_a_file_older_and_each_write_is_the_newest() -> None:
    rng = Random(7)
    fates = [rng.choice(["", "", "", "lost", "unanswered", "late", "throttled"]) for _ in range(300)]
    store = FaultyStore(fates)
    replicas = [Replica(store, name, limits=(5, 100)) for name in "abc"]

    async def stream(replica: Replica) -> None:
        for _ in range(200):
            await asyncio.sleep(rng.uniform(0.02, 0.18))
            replica.move(rng.randint(1, 3))

    await asyncio.gather(*map(stream, replicas))
    await asyncio.sleep(12)
    newest = max(replica.live.book.update_id for replica in replicas if replica.live.book)
    assert await store.stored(5) == await store.stored(100) == (0, newest)
    assert {put.replica for put in store.puts if put.outcome is Outcome.WON} == {"a", "b", "c"}
    for replica in replicas:
        await replica.stop()


@virtual
async def test_losing_a_race_costs_one_look_and_no_second_write() -> None:
    store = FaultyStore()
    first, second = Replica(store, "a"), Replica(store, "b")
    await asyncio.sleep(1)
    store.puts.clear()
    store.peeks.clear()
    first.move()
    second.move()
    await asyncio.sleep(0.9)
    assert sorted(put.outcome.value for put in store.puts) == ["lost", "won"]
    assert len(store.peeks) == 1
    await first.stop()
    await second.stop()


# Ending


@virtual
async def test_stopping_finishes_what_is_in_flight_and_begins_nothing() -> None:
    store = FaultyStore(latency_s=0.5)
    replica = Replica(store)
    await asyncio.sleep(0.7)
    replica.publisher.stop()
    replica.move()
    await asyncio.wait_for(replica.task, 1.0)
    assert [put.version.update_id for put in store.puts] == [10]
    assert now() == pytest.approx(1.0)


@virtual
async def test_stopping_does_not_wait_for_a_confirmation() -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    replica = Replica(store)
    replica.confirm = lambda: asyncio.sleep(1000, 50)
    await watch_until(lambda: bool(replica.confirmations), 90, replica)
    before = now()
    await replica.stop()
    assert now() - before < 1


@virtual
async def test_cancelled_it_gives_its_slots_back() -> None:
    store = FaultyStore(latency_s=100.0)
    slots = Slots(1)
    replica = Replica(store, slots=slots)
    await asyncio.sleep(1)
    assert slots.taken == 1
    replica.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await replica.task
    assert slots.taken == 0


@virtual
async def test_a_mistake_in_the_program_is_not_swallowed() -> None:
    class Broken(FaultyStore):
        async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
            raise TypeError("a bug")

    replica = Replica(Broken())
    with pytest.raises(ExceptionGroup) as caught:
        await replica.task
    assert isinstance(caught.value.exceptions[0], TypeError)


@virtual
async def test_a_stalled_file_shows_its_age() -> None:
    store = FaultyStore()
    replica = Replica(store)
    await asyncio.sleep(1)
    (file,) = replica.publisher.files()
    assert file == (5, (0, 10), 0.0)
    store.down = True
    replica.move()
    await asyncio.sleep(3)
    (file,) = replica.publisher.files()
    assert file.behind_s == pytest.approx(3.0, abs=0.01)
    await replica.stop()
