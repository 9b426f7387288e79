"""Files in memory: one read for all, refreshed behind the reader, never backwards, bounded."""

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import pytest

from depthcast.errors import BadFile, DepthcastError, StoreUnavailable
from depthcast.files import Version, depth_key
from depthcast.store import StoredObject
from server.answers import Answer, Asked
from server.freshness import Currency, State
from server.hot import HotFile, HotFiles
from server.reads import ReadOutcome

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore

KEY = depth_key("ETHUSDT", 5)

Make = Callable[..., HotFiles]
Seen = list[tuple[str, ReadOutcome, DepthcastError | None]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
async def make(store: "WatchedStore", clock: "StillClock", seen: Seen) -> AsyncIterator[Make]:
    """Makes ``HotFiles`` over the store and the clock, and checks and closes them at the end."""
    made: list[HotFiles] = []

    def make(**settings: float) -> HotFiles:
        hot = HotFiles(
            store,
            clock=clock,
            sleep=clock.sleep,
            on_read=lambda key, outcome, _seconds, error: seen.append((key, outcome, error)),
            **settings,  # type: ignore[arg-type]
        )
        made.append(hot)
        return hot

    yield make
    for hot in made:
        hot.check()
        await hot.close()


def version(file: HotFile | None) -> Version:
    assert file is not None
    assert file.edition is not None
    return file.edition.version


def current(file: HotFile) -> object:
    return file.current


async def test_readers_who_come_together_share_one_read(make: Make, store: "WatchedStore") -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make()
    files = await asyncio.gather(*(hot.read(KEY) for _ in range(500)))
    assert {version(file) for file in files} == {(1, 160)}
    assert store.reads == {KEY: 1}


async def test_a_hot_file_is_had_without_a_read(make: Make, store: "WatchedStore") -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make()
    assert hot.get(KEY) is None
    await hot.read(KEY)
    assert version(hot.get(KEY)) == version(await hot.read(KEY)) == (1, 160)
    assert store.reads.total() == 1


async def test_a_new_version_is_seen_within_refresh_s(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1)
    await hot.read(KEY)
    for update_id in range(161, 170):
        await store.publish("ETHUSDT", 5, update_id)
        await clock.advance(0.1)
        assert version(hot.get(KEY)) == (1, update_id)
    assert store.reads.total() == 10


async def test_refreshes_are_conditional_and_confirm(
    make: Make, store: "WatchedStore", clock: "StillClock", seen: Seen
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1)
    await hot.read(KEY)
    await clock.advance(0.55)
    file = hot.get(KEY)
    assert file is not None
    assert file.confirmed_at == pytest.approx(clock.now - 0.05)
    assert store.conditional[KEY] == 5
    assert [outcome for _, outcome, _ in seen] == [ReadOutcome.CHANGED] + [ReadOutcome.UNCHANGED] * 5


async def test_a_greater_epoch_replaces_a_greater_id(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make()
    await hot.read(KEY)
    await store.publish("ETHUSDT", 5, 7, epoch=2)
    await clock.advance(0.1)
    assert version(hot.get(KEY)) == (2, 7)


async def test_a_lower_version_never_replaces_a_higher_one(
    make: Make, store: "WatchedStore", clock: "StillClock", seen: Seen
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1)
    confirmed_at = (await hot.read(KEY) or HotFile(KEY)).confirmed_at
    store.instead[KEY] = StoredObject(store.body(159, 5), '"old"', store.metadata())
    await clock.advance(0.35)
    file = hot.get(KEY)
    assert version(file) == (1, 160)
    assert file is not None
    assert file.confirmed_at == confirmed_at
    assert [outcome for _, outcome, _ in seen[1:]] == [ReadOutcome.OLDER] * 3
    del store.instead[KEY]
    await store.publish("ETHUSDT", 5, 161)
    await clock.advance(0.1)
    assert version(hot.get(KEY)) == (1, 161)


async def test_a_damaged_object_is_reported_once_and_the_last_good_one_stays(
    make: Make, store: "WatchedStore", clock: "StillClock", seen: Seen
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1)
    await hot.read(KEY)
    await store.put(KEY, b"no file", store.metadata())
    await clock.advance(0.35)
    assert version(hot.get(KEY)) == (1, 160)
    assert [outcome for _, outcome, _ in seen[1:]] == [ReadOutcome.DAMAGED] * 3
    assert [isinstance(error, BadFile) for _, _, error in seen[1:]] == [True, False, False]
    await store.publish("ETHUSDT", 5, 161)
    await clock.advance(0.1)
    assert version(hot.get(KEY)) == (1, 161)


async def test_a_key_that_vanishes_keeps_its_last_good_file(
    make: Make, store: "WatchedStore", clock: "StillClock", seen: Seen
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make()
    await hot.read(KEY)
    store.instead[KEY] = None
    await clock.advance(0.1)
    assert version(hot.get(KEY)) == (1, 160)
    assert seen[-1][1] is ReadOutcome.MISSING


async def test_an_absent_store_is_asked_less_and_less_and_the_file_stays(
    make: Make, store: "WatchedStore", clock: "StillClock", seen: Seen
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1)
    await hot.read(KEY)
    read_at = clock.now
    store.failure = StoreUnavailable("away")
    await clock.advance(20)
    file = hot.get(KEY)
    assert version(file) == (1, 160)
    assert file is not None
    assert file.confirmed_at == read_at
    assert 10 <= store.reads.total() <= 60  # every 0.1 s would be 200
    assert seen[-1][1] is ReadOutcome.FAILED
    store.failure = None
    await store.publish("ETHUSDT", 5, 161)
    await clock.advance(2.1)
    assert version(hot.get(KEY)) == (1, 161)
    before = store.reads.total()
    await clock.advance(1.0)
    assert store.reads.total() - before >= 9  # and at the old pace again


async def test_a_file_nobody_asks_for_is_not_refreshed_for_long(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1, hot_for_s=3.0)
    await hot.read(KEY)
    await clock.advance(2.0)
    assert hot.get(KEY) is not None
    assert hot.hot_count() == 1
    await clock.advance(3.5)
    assert hot.hot_count() == 0
    reads = store.reads.total()
    assert reads == pytest.approx(51, abs=2)
    await clock.advance(60)
    assert store.reads.total() == reads


async def test_a_cooled_file_is_confirmed_by_the_store_before_it_is_had_again(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(hot_for_s=1.0)
    await hot.read(KEY)
    await clock.advance(60)
    assert hot.get(KEY) is None
    reads = store.reads.total()
    await store.publish("ETHUSDT", 5, 161)
    assert version(await hot.read(KEY)) == (1, 161)
    assert store.reads.total() == reads + 1
    assert hot.get(KEY) is not None


async def test_a_cooled_file_is_better_than_none_when_the_store_is_away(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(hot_for_s=1.0)
    confirmed_at = clock.now
    await hot.read(KEY)
    await clock.advance(60)
    store.failure = StoreUnavailable("away")
    file = await hot.read(KEY)
    assert version(file) == (1, 160)
    assert file is not None
    assert file.confirmed_at < confirmed_at + 1.5


async def test_a_first_read_that_fails_fails_for_all_and_is_not_repeated_at_once(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    hot = make(refresh_s=0.1)
    store.failure = StoreUnavailable("away")
    results = await asyncio.gather(*(hot.read(KEY) for _ in range(100)), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    store.failure = None
    await store.publish("ETHUSDT", 5, 160)
    await clock.advance(0.09)
    with pytest.raises(StoreUnavailable):
        await hot.read(KEY)
    assert store.reads.total() == 1
    await clock.advance(0.02)
    assert version(await hot.read(KEY)) == (1, 160)
    assert store.reads.total() == 2


async def test_a_missing_object_is_none(make: Make) -> None:
    assert await make().read(KEY) is None


async def test_a_damaged_object_is_an_error_where_nothing_is_held(make: Make, store: "WatchedStore") -> None:
    await store.put(KEY, b"no file", store.metadata())
    hot = make()
    with pytest.raises(BadFile):
        await hot.read(KEY)
    assert len(hot) == 0


async def test_nobody_waits_longer_than_the_time_out(make: Make, store: "WatchedStore") -> None:
    store.gate = asyncio.Event()
    hot = make(read_timeout_s=0.02)
    with pytest.raises(StoreUnavailable, match=r"within 0\.02 s"):
        await hot.read(KEY)


async def test_a_reader_who_leaves_does_not_end_the_read_of_the_others(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    store.gate = asyncio.Event()
    hot = make()
    first = asyncio.create_task(hot.read(KEY))
    second = asyncio.create_task(hot.read(KEY))
    await clock.settle()
    first.cancel()
    await clock.settle()
    store.gate.set()
    assert version(await second) == (1, 160)
    assert store.reads.total() == 1


async def test_a_slow_store_gets_one_request_at_a_time_for_a_key(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1)
    await hot.read(KEY)
    store.gate = asyncio.Event()
    await clock.advance(5)
    assert store.at_once[KEY] == 1
    store.gate.set()
    await clock.advance(5)
    assert store.most_of_one_key == 1
    assert store.reads.total() > 40


async def test_parallel_reads_are_bounded(make: Make, store: "WatchedStore", clock: "StillClock") -> None:
    hot = make(max_reads=3)
    for n in range(20):
        await store.publish(f"S{n}", 5, 160)
    store.gate = asyncio.Event()
    readers = [asyncio.create_task(hot.read(depth_key(f"S{n}", 5))) for n in range(20)]
    await clock.settle()
    assert store.at_once.total() == 3
    store.gate.set()
    assert {version(file) for file in await asyncio.gather(*readers)} == {(1, 160)}
    assert store.most_at_once == 3


async def test_a_first_read_does_not_wait_behind_refreshes(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    hot = make(max_reads=1, refresh_s=0.1)
    await store.publish("SLOW", 5, 160)
    await store.publish("ETHUSDT", 5, 160)
    await hot.read(depth_key("SLOW", 5))
    store.gate = shut = asyncio.Event()
    await clock.advance(0.1)
    assert store.at_once[depth_key("SLOW", 5)] == 1
    store.gate = None
    assert version(await hot.read(KEY)) == (1, 160)
    shut.set()


async def test_memory_is_bounded_and_the_longest_unasked_goes_first(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    keys = [depth_key(f"S{n}", 100) for n in range(4)]
    for n in range(4):
        await store.publish(f"S{n}", 100, 160)
    one = make()
    await one.read(keys[0])
    hot = make(max_bytes=3 * one.bytes_held)
    for key in keys[:3]:
        await hot.read(key)
    assert hot.get(keys[0]) is not None
    await hot.read(keys[3])
    hot.check()
    assert len(hot) == 3
    assert hot.get(keys[1]) is None
    assert hot.get(keys[0]) is not None
    reads = store.reads[keys[1]]
    await clock.advance(1)
    assert store.reads[keys[1]] == reads  # what is dropped is not refreshed either


async def test_files_that_do_not_fit_into_memory_are_read_once_an_interval_however_many_ask(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    keys = [depth_key(f"S{n}", 100) for n in range(4)]
    for n in range(4):
        await store.publish(f"S{n}", 100, 160)
    one = make()
    await one.read(keys[0])
    await one.close()
    store.reads.clear()
    hot = make(refresh_s=10.0, max_bytes=2 * one.bytes_held)
    for interval in range(1, 4):
        for _ in range(50):
            for key in keys:
                assert version(await hot.read(key)) == (1, 160)
        hot.check()
        assert len(hot) == 2
        assert max(store.reads[key] for key in keys) <= 2 * interval, "refreshed, and read again"
        await clock.advance(10)


async def test_a_file_that_grows_makes_room_too(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    keys = [depth_key(f"S{n}", 1000) for n in range(3)]
    for n in range(3):
        await store.publish(f"S{n}", 1000, 160, levels=10)
    hot = make(max_bytes=100_000)
    for key in keys:
        await hot.read(key)
    await store.publish("S2", 1000, 161, levels=900)
    await clock.advance(0.1)
    hot.check()
    assert version(hot.get(keys[2])) == (1, 161)
    assert len(hot) == 1


async def test_what_nobody_asks_for_leaves_memory(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    hot = make(hot_for_s=1.0, keep_for_s=10.0)
    other = depth_key("BTCUSDT", 5)
    await store.publish("ETHUSDT", 5, 160)
    await store.publish("BTCUSDT", 5, 160)
    await hot.read(KEY)
    await clock.advance(6)
    await hot.read(other)
    hot.sweep()
    assert len(hot) == 2
    await clock.advance(5)
    hot.sweep()
    assert len(hot) == 1
    hot.check()
    await clock.advance(10)
    hot.sweep()
    assert (len(hot), hot.bytes_held) == (0, 0)


async def test_closing_ends_every_read(make: Make, store: "WatchedStore", clock: "StillClock") -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make()
    await hot.read(KEY)
    store.gate = asyncio.Event()
    await clock.advance(0.1)
    waiting = asyncio.create_task(hot.read(depth_key("BTCUSDT", 5)))
    await clock.settle()
    assert store.at_once.total() == 2
    await hot.close()
    assert store.at_once.total() == 0
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_the_store_does_no_reader_ever_sees_an_older_version(
    make: Make, store: "WatchedStore", clock: "StillClock", seed: int
) -> None:
    rng = random.Random(seed)
    symbols = ["A", "B", "C", "D"]
    hot = make(refresh_s=0.1, hot_for_s=0.5, keep_for_s=1000.0)
    last = dict.fromkeys(symbols, Version(0, 0))
    written = dict.fromkeys(symbols, Version(1, 1))
    older: dict[str, StoredObject] = {}
    for _ in range(400):
        symbol = rng.choice(symbols)
        key = depth_key(symbol, 20)
        match rng.randrange(7):
            case 0 | 1:
                epoch, update_id = written[symbol]
                written[symbol] = rng.choice((Version(epoch, update_id + 1), Version(epoch + 1, 1)))
                if (held := await store.inner.get(key)) is not None:
                    older[key] = held
                await store.publish(symbol, 20, written[symbol].update_id, epoch=written[symbol].epoch)
            case 2:
                store.failure = rng.choice((None, None, StoreUnavailable("away")))
            case 3 if key in older:
                store.instead[key] = older[key]
            case 4:
                store.instead.clear()
            case 5:
                store.instead[key] = StoredObject(b"{}", f'"{rng.random()}"', {})
            case _:
                await clock.advance(rng.random())
        try:
            file = hot.get(key) or await hot.read(key)
        except (StoreUnavailable, BadFile):
            continue
        if file is not None:
            assert version(file) >= last[symbol]
            last[symbol] = version(file)
        hot.check()
    assert min(last.values()) > (1, 1)


async def test_a_mark_is_seen_in_time_where_etags_are_made_of_the_body_alone(
    clock: "StillClock", body_etag_store: "WatchedStore"
) -> None:
    same = body_etag_store
    hot = HotFiles(same, clock=clock, sleep=clock.sleep, refresh_s=0.1, describe_s=10.0)
    await same.publish("ETHUSDT", 5, 160)
    file = await hot.read(KEY)
    assert file is not None
    for status in ("BREAK", "TRADING"):
        await same.publish("ETHUSDT", 5, 160, status=status)
        assert hot.get(KEY) is file
        await clock.advance(10.2)
        assert file.edition is not None
        assert (file.edition.version, file.edition.info.status) == ((1, 160), status)
    hot.check()
    await hot.close()


async def test_the_head_is_read_once_in_describe_s_in_place_of_a_conditional_read(
    make: Make, store: "WatchedStore", clock: "StillClock", seen: Seen
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1, describe_s=1.0, hot_for_s=60.0)
    await hot.read(KEY)
    await clock.advance(10.05)
    assert 9 <= store.peeks[KEY] <= 10
    assert store.peeks[KEY] + store.conditional[KEY] + 1 == store.reads[KEY] == len(seen)
    assert {outcome for _, outcome, _ in seen[1:]} == {ReadOutcome.UNCHANGED}


async def test_a_version_that_came_with_the_mark_is_read_whole(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1, describe_s=0.05)
    await hot.read(KEY)
    for update_id in range(161, 165):
        await store.publish("ETHUSDT", 5, update_id)
        await clock.advance(0.1)
        assert version(hot.get(KEY)) == (1, update_id)
    store.instead[KEY] = None
    await clock.advance(0.3)
    assert version(hot.get(KEY)) == (1, 164)


async def test_a_file_that_cooled_is_not_had_again_with_an_old_mark(
    clock: "StillClock", body_etag_store: "WatchedStore"
) -> None:
    same = body_etag_store
    hot = HotFiles(same, clock=clock, sleep=clock.sleep, hot_for_s=1.0)
    await same.publish("ETHUSDT", 5, 160)
    await hot.read(KEY)
    await clock.advance(60)
    await same.publish("ETHUSDT", 5, 160, status="BREAK")
    file = await hot.read(KEY)
    assert file is not None
    assert file.edition is not None
    assert file.edition.info.status == "BREAK"
    await hot.close()


async def test_a_change_is_seen_within_an_interval_though_reading_takes_time(
    make: Make, store: "WatchedStore", clock: "StillClock", monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(5)
    real = store.get_if_changed

    async def slow(key: str, etag: str) -> object:
        # The store looks at once and takes a while to say what it saw.
        found = await real(key, etag)
        await clock.sleep(draw.uniform(0.004, 0.008))
        return found

    monkeypatch.setattr(store, "get_if_changed", slow)
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1, describe_s=3600.0)
    await hot.read(KEY)
    waits = []
    for update_id in range(161, 261):
        await clock.advance(draw.uniform(0.0, 0.1))
        await store.publish("ETHUSDT", 5, update_id)
        began = clock.now
        while version(hot.get(KEY)).update_id < update_id:
            await clock.advance(0.001)
        waits.append(clock.now - began)
    # The first intervals are needed to learn how long reading takes.
    assert max(waits[5:]) <= 0.101
    assert max(waits) > 0.08
    assert store.reads[KEY] <= (clock.now - 1000.0) / (0.9 * 0.1) + 2


async def test_a_slow_store_is_read_a_tenth_oftener_at_most(
    make: Make, store: "WatchedStore", clock: "StillClock", monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.get_if_changed

    async def slow(key: str, etag: str) -> object:
        await clock.sleep(0.05)
        return await real(key, etag)

    monkeypatch.setattr(store, "get_if_changed", slow)
    await store.publish("ETHUSDT", 5, 160)
    hot = make(refresh_s=0.1, hot_for_s=60.0, describe_s=3600.0)
    await hot.read(KEY)
    await clock.advance(30)
    assert 300 < store.reads[KEY] <= 30 / 0.09 + 2


async def test_files_that_become_hot_together_are_not_refreshed_together(
    store: "WatchedStore", clock: "StillClock"
) -> None:
    draw = random.Random(6)
    hot = HotFiles(store, clock=clock, sleep=clock.sleep, spread=draw.random)
    for n in range(50):
        await store.publish(f"S{n}", 5, 160)
        await hot.read(depth_key(f"S{n}", 5))
    for _ in range(20):
        before = store.reads.total()
        await clock.advance(0.01)
        assert 0 <= store.reads.total() - before <= 20
    await hot.close()


async def test_a_hot_file_is_current_until_it_cools_or_leaves(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    hot = make(hot_for_s=1.0)
    file = await hot.read(KEY)
    assert file is not None
    assert file.current is file.edition is not None
    await store.publish("ETHUSDT", 5, 161)
    await clock.advance(0.2)
    assert file.current is file.edition
    assert version(file) == (1, 161)
    await clock.advance(2)
    assert current(file) is None
    again = await hot.read(KEY)
    assert again is file
    assert file.current is file.edition
    hot._drop(KEY)
    assert current(file) is None
    await clock.settle()


async def test_readers_of_a_coding_find_it_ready_when_a_new_version_is_shown(
    make: Make, store: "WatchedStore", clock: "StillClock"
) -> None:
    key = depth_key("ETHUSDT", 5000)
    await store.publish("ETHUSDT", 5000, 160, levels=2000)
    hot = make(refresh_s=0.1)
    file = await hot.read(key)
    assert file is not None
    assert file.edition is not None
    asked, live = Asked(accept_encoding=b"gzip"), Currency(State.LIVE)
    first = file.edition.answer(5000, asked, live)
    assert not isinstance(first, Answer)
    await first
    await store.publish("ETHUSDT", 5000, 161, levels=2000)
    await clock.advance(0.1)
    # Encoding goes on in a thread, which is waited for by the loop's own clock.
    async with asyncio.timeout(30):
        while version(file).update_id == 160:
            assert file.current is file.edition
            await asyncio.sleep(0.001)
    edition = file.edition
    async with asyncio.timeout(30):
        given = edition.answer(5000, asked, live)
        answer = given if isinstance(given, Answer) else await given
    assert gzip.decompress(answer.body) == store.body(161, 2000)
