"""Epochs: ids that went down, claimed on one symbol's files; and files of later epochs, obeyed."""

import asyncio

import pytest

from depthcast.files import FileInfo, Version, depth_key
from depthcast.store import Outcome
from tests.updater.publishing import SYMBOL, FaultyStore, Replica, virtual, watch_until
from updater.claims import ClaimEvent
from updater.slots import Slots


@virtual
async def test_a_file_of_a_later_epoch_is_obeyed_once_and_nothing_is_written_until_the_book_is_new() -> None:
    store = FaultyStore()
    await store.place(5, Version(2, 3))
    replica = Replica(store, limits=(5, 20))
    await asyncio.sleep(0.01)
    store.puts.clear()
    await replica.stream(5.0)
    assert replica.newer == [(SYMBOL, 2)]
    assert not store.puts
    replica.take(40, epoch=2)
    await asyncio.sleep(1)
    assert await store.stored(5) == await store.stored(20) == (2, 40)
    await replica.stop()


@virtual
async def test_ids_that_went_down_claim_an_epoch_after_a_minute_on_the_largest_file_first() -> None:
    store = FaultyStore()
    for limit in (5, 5000):
        await store.place(limit, Version(0, 1_000_000))
    replica = Replica(store, limits=(5, 5000))

    async def confirm() -> int:
        await asyncio.sleep(0.2)
        assert replica.live.book is not None
        return replica.live.book.update_id

    replica.confirm = confirm
    await watch_until(lambda: bool(replica.newer), 90, replica)
    assert 60 <= replica.confirmations[0] <= 63
    assert len(replica.confirmations) == 1
    (claim,) = store.puts
    assert (claim.limit, claim.version.epoch, claim.outcome) == (5000, 1, Outcome.WON)
    assert replica.heard.claims == [ClaimEvent.ASKED, ClaimEvent.WON]
    assert replica.newer == [(SYMBOL, 1)]
    replica.take(2_000, epoch=1)
    await replica.stream(1.0)
    await asyncio.sleep(0.1)
    assert await store.stored(5) == (1, 2_010)
    assert await store.stored(5000) == (1, 2_010)
    await replica.stop()


@virtual
async def test_of_two_replicas_that_claim_one_wins_and_both_obey() -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    replicas = [Replica(store, name) for name in "ab"]
    for replica in replicas:
        replica.confirm = lambda: asyncio.sleep(0.1, 50)
    streams = [asyncio.ensure_future(replica.stream(70.0)) for replica in replicas]
    await asyncio.gather(*streams)
    assert [put.outcome for put in store.puts].count(Outcome.WON) == 1
    assert {replica.newer[0] for replica in replicas} == {(SYMBOL, 1)}
    assert [replica.heard.claims.count(ClaimEvent.ASKED) for replica in replicas] == [1, 1]
    assert (await store.stored(5) or Version(0, 0)).epoch == 1
    for replica in replicas:
        await replica.stop()


@pytest.mark.parametrize("fate", ["lost", "unanswered", "throttled", "late"])
@virtual
async def test_a_claim_whose_outcome_is_unknown_is_settled_by_what_is_seen(fate: str) -> None:
    store = FaultyStore([fate])
    await store.place(5, Version(0, 1_000_000))
    replica = Replica(store)
    replica.confirm = lambda: asyncio.sleep(0.1, 50)
    await watch_until(lambda: bool(replica.newer), 200, replica)
    assert (await store.stored(5) or Version(0, 0)).epoch == 1
    await replica.stop()


@virtual
async def test_no_epoch_is_claimed_while_the_exchange_does_not_confirm_it() -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    replica = Replica(store)
    await replica.stream(200.0)
    assert replica.heard.claims[:2] == [ClaimEvent.ASKED, ClaimEvent.UNCONFIRMED]
    assert 2 <= len(replica.confirmations) <= 3
    replica.confirm = lambda: asyncio.sleep(0.1, 1_000_000)
    await replica.stream(100.0)
    assert replica.heard.claims[-1] is ClaimEvent.REFUTED
    assert not store.puts
    await replica.stop()


@virtual
async def test_no_epoch_is_claimed_over_a_file_that_moves() -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    replica = Replica(store)
    replica.confirm = lambda: asyncio.sleep(0.1, 50)
    for n in range(10):
        await replica.stream(30.0)
        await store.place(5, Version(0, 1_000_001 + n))
    assert not replica.confirmations
    assert not store.puts
    await replica.stop()


@virtual
async def test_no_epoch_is_claimed_where_the_file_moves_while_the_exchange_is_asked() -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    replica = Replica(store)

    async def confirm() -> int:
        await asyncio.sleep(1)
        await store.place(5, Version(0, 1_000_001))
        await asyncio.sleep(3)
        return 50

    replica.confirm = confirm
    await replica.stream(80.0)
    assert replica.heard.claims == [ClaimEvent.ASKED, ClaimEvent.REFUTED]
    assert not store.puts
    await replica.stop()


@pytest.mark.parametrize("how", ["silent", "being built"])
@virtual
async def test_no_epoch_is_claimed_for_a_book_that_is_not_alive(how: str) -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    replica = Replica(store)
    replica.confirm = lambda: asyncio.sleep(0.1, 50)
    if how == "silent":
        await asyncio.sleep(200)
    else:
        replica.live.live = False
        await replica.stream(200.0)
    assert not replica.confirmations
    await replica.stop()


@virtual
async def test_a_small_file_alone_that_is_ahead_frees_itself_by_a_claim_on_the_largest() -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    await store.place(5000, Version(0, 5))
    replica = Replica(store, limits=(5, 5000))
    replica.confirm = lambda: asyncio.sleep(0.1, 50)
    await watch_until(lambda: bool(replica.newer), 90, replica)
    assert {put.limit for put in store.puts} == {5000}
    assert (await store.stored(5000) or Version(0, 0)).epoch == 1
    await replica.stop()


@virtual
async def test_a_claim_changes_the_body_so_an_etag_of_the_body_refuses_who_holds_the_old_epoch() -> None:
    store = FaultyStore(content_etags=True)
    await store.place(5, Version(0, 1_000_000))
    replica = Replica(store, limits=(5, 5000))
    known: list[str] = []

    async def confirm() -> int:
        held = await store.get(depth_key(SYMBOL, 5000))
        assert held is not None
        known.append(held.etag)
        return 50

    replica.confirm = confirm
    await watch_until(lambda: bool(replica.newer), 90, replica)
    claimed = await store.stored(5000)
    assert claimed is not None
    assert claimed.epoch == 1
    # Another writer that still holds the file as it was before.
    body = b'{"lastUpdateId":%d,"bids":[],"asks":[]}' % (claimed.update_id + 1)
    info = FileInfo(0, 1, 1, False, False, 1, 1, "other")
    late = await store.put_if(depth_key(SYMBOL, 5000), body, match=known[0], metadata=info.to_metadata())
    assert late.outcome is Outcome.LOST
    await replica.stop()


@pytest.mark.parametrize("what", ["ranks that change", "looks that fail"])
@virtual
async def test_an_epoch_is_claimed_though_the_view_of_the_file_is_interrupted_twice_a_minute(
    what: str,
) -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    await store.place(5000, Version(0, 1_000_000))
    replica = Replica(store, limits=(5, 5000))
    replica.confirm = lambda: asyncio.sleep(0.1, 50)

    async def interrupt() -> None:
        while True:
            await asyncio.sleep(25.0)
            if what == "looks that fail":
                store.down = True
            else:
                replica.publisher.set_rank(1)
            await asyncio.sleep(5.0)
            replica.publisher.set_rank(0)
            store.down = False

    interrupting = asyncio.ensure_future(interrupt())
    await watch_until(lambda: bool(replica.newer), 75, replica)
    interrupting.cancel()
    assert replica.heard.claims[-1] is ClaimEvent.WON
    await replica.stop()


@virtual
async def test_a_claim_is_dropped_where_the_book_itself_comes_to_the_new_epoch() -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    replica = Replica(store)

    async def confirm() -> int:
        replica.take(60, epoch=1)
        return 50

    replica.confirm = confirm
    await watch_until(lambda: bool(replica.confirmations), 90, replica)
    await replica.stream(1.0)
    assert replica.heard.claims == [ClaimEvent.ASKED, ClaimEvent.REFUTED]
    assert (await store.stored(5) or Version(0, 0)).epoch == 1
    await replica.stop()


@virtual
async def test_a_claim_that_could_not_be_written_yet_is_dropped_where_the_book_comes_to_its_epoch() -> None:
    store = FaultyStore()
    await store.place(5, Version(0, 1_000_000))
    slots = Slots(1)
    replica = Replica(store, slots=slots, watch_s=100.0)

    async def confirm() -> int:
        assert slots.take(1, lambda: None)
        return 50

    replica.confirm = confirm
    await watch_until(lambda: bool(replica.confirmations), 90, replica)
    await replica.stream(1.0)
    replica.take(60, epoch=1)
    await replica.stream(1.0)
    slots.give()
    await replica.stream(1.0)
    assert replica.heard.claims == [ClaimEvent.ASKED]
    assert (await store.stored(5) or Version(0, 0)).epoch == 1
    await replica.stop()
