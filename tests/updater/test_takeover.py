"""Replicas of one symbol share the work by rank, take it over, and give it back."""

import asyncio
from collections import Counter

import pytest

from depthcast.files import Version
from depthcast.heartbeat import Role
from tests.updater.publishing import SYMBOL, FaultyStore, now, virtual
from tests.updater.racing import Fleet, most_in_a_window

WRITER, ACTING, STANDBY = Role.WRITER, Role.ACTING, Role.STANDBY
TAKEOVER_S = 0.5


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
