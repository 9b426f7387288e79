"""Files that a replica finds ahead of its own book: left by another epoch, or by one that heard more."""

import asyncio
from random import Random
from typing import Any

import pytest

from depthcast.files import Version
from depthcast.heartbeat import Role
from tests.updater.publishing import SYMBOL, FaultyStore, Replica, virtual
from tests.updater.racing import Fleet
from updater.cadence import Cadence
from updater.claims import ClaimEvent
from updater.slots import Slots

WRITER, ACTING, STANDBY = Role.WRITER, Role.ACTING, Role.STANDBY


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
