"""The parts together, and the work in the background."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from depthcast.errors import AccessDenied, BucketMissing, StoreUnavailable
from depthcast.files import depth_key
from server.answers import Answer, Asked
from server.freshness import Currency, State
from server.service import Service
from server.settings import ServerSettings

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore

KEY = depth_key("ETHUSDT", 5)


@pytest.fixture
async def service(store: "WatchedStore", clock: "StillClock") -> AsyncIterator[Service]:
    await store.publish("ETHUSDT", 5, 160)
    service = Service(ServerSettings(refresh_ms=1), store, sleep=clock.sleep)
    yield service
    await service.close()


@pytest.fixture
async def running(service: Service, clock: "StillClock") -> AsyncIterator[Service]:
    """The service with its background work begun."""
    work = asyncio.create_task(service.run())
    await clock.settle()
    yield service
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def until_read(store: "WatchedStore", more: int) -> None:
    """Wait until the store was read so many times more."""
    reads = store.reads.total() + more
    async with asyncio.timeout(30):
        while store.reads.total() < reads:  # noqa: ASYNC110 (the store's own counter is the point)
            await asyncio.sleep(0.001)


async def test_symbols_are_listed_anew_every_so_often(
    running: Service, store: "WatchedStore", clock: "StillClock"
) -> None:
    assert (running.catalogue.known, store.listings) == (True, 1)
    await store.publish("BTCUSDT", 5, 1)
    await clock.advance(9.9)
    assert running.catalogue.limits("BTCUSDT") is None
    await clock.advance(0.2)
    assert running.catalogue.limits("BTCUSDT") == (5,)
    assert store.listings == 2


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), BucketMissing("no such bucket")])
async def test_a_store_that_is_not_there_yet_is_waited_for(
    service: Service, store: "WatchedStore", clock: "StillClock", failure: Exception
) -> None:
    store.failure = failure  # type: ignore[assignment]
    with capture_logs() as lines:
        work = asyncio.create_task(service.run())
        await clock.advance(4)
        assert store.listings > 1
        assert len(lines) == 1
        assert "waiting for the store" in lines[0]["event"]
        assert lines[0]["why"] == str(failure)
        store.failure = None
        await clock.advance(10)
    assert service.catalogue.known
    assert lines[-1]["event"] == "ready"
    work.cancel()


async def test_wrong_credentials_at_the_start_end_it(service: Service, store: "WatchedStore") -> None:
    store.failure = AccessDenied("wrong credentials")
    with pytest.raises(AccessDenied):
        await service.run()


@pytest.mark.parametrize("failure", [AccessDenied("revoked"), StoreUnavailable("away")])
async def test_a_store_that_fails_later_leaves_what_is_known(
    running: Service, store: "WatchedStore", clock: "StillClock", failure: Exception
) -> None:
    store.failure = failure  # type: ignore[assignment]
    with capture_logs() as lines:
        await clock.advance(11)
    assert any("serving what is known" in line["event"] for line in lines)
    assert running.catalogue.limits("ETHUSDT") == (5,)
    store.failure = None
    await store.publish("BTCUSDT", 5, 1)
    await clock.advance(11)
    assert running.catalogue.limits("BTCUSDT") == (5,)


async def test_foreign_keys_are_one_line_of_warning(
    service: Service, store: "WatchedStore", clock: "StillClock"
) -> None:
    await store.put("api/v3/depth?symbol=eth&limit=5", b"", {})
    with capture_logs() as lines:
        work = asyncio.create_task(service.run())
        await clock.advance(25)
    work.cancel()
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert [line["such_as"] for line in warnings] == ["api/v3/depth?symbol=eth&limit=5"]


async def test_a_damaged_file_is_one_line_and_one_metric(running: Service, store: "WatchedStore") -> None:
    await running.hot.read(KEY)
    with capture_logs() as lines:
        await store.put(KEY, b"no file", {})
        await until_read(store, 5)
    assert [line["event"] for line in lines] == ["a damaged file is not served"]
    assert "ETHUSDT" in lines[0]["why"]
    damaged = running.metrics.registry.get_sample_value(
        "depthcast_server_store_reads_total", {"outcome": "damaged"}
    )
    assert damaged is not None
    assert damaged >= 4


async def test_an_outage_is_one_line_and_its_end_another(running: Service, store: "WatchedStore") -> None:
    await running.hot.read(KEY)
    with capture_logs() as lines:
        store.failure = StoreUnavailable("away")
        await until_read(store, 3)
        store.failure = None
        await until_read(store, 3)
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert lines[0]["why"] == "away"
    assert lines[1]["event"] == "the store answers again"


async def test_memory_is_swept(store: "WatchedStore", clock: "StillClock") -> None:
    await store.publish("ETHUSDT", 5, 160)
    settings = ServerSettings(refresh_ms=1, hot_for_s=0.01, keep_for_s=0.02)
    service = Service(settings, store, sleep=clock.sleep)
    work = asyncio.create_task(service.run())
    await service.hot.read(KEY)
    await asyncio.sleep(0.03)
    await clock.advance(11)
    assert len(service.hot) == 0
    work.cancel()


async def test_settings_reach_the_answers(store: "WatchedStore") -> None:
    await store.publish("ETHUSDT", 5, 160)
    service = Service(ServerSettings(answer_cache_control="public, s-maxage=1"), store)
    file = await service.hot.read(KEY)
    assert file is not None
    assert file.edition is not None
    answer = file.edition.answer(5, Asked(), Currency(State.LIVE))
    assert isinstance(answer, Answer)
    assert (b"cache-control", b"public, s-maxage=1") in answer.headers
    await service.close()


async def test_books_and_lists_together_keep_to_the_memory_that_is_set(store: "WatchedStore") -> None:
    symbols = [f"A{number}USDT" for number in range(300)]
    for symbol in symbols:
        await store.publish(symbol, 5, 1)
    service = Service(ServerSettings(memory_mb=1), store)
    for kept in (service.hot, service.tops):
        for symbol in symbols:
            await kept.read(depth_key(symbol, 5))
        assert len(kept) >= 20
    assert 0.9 * 2**20 < service.hot.bytes_held + service.tops.bytes_held <= 2**20
    await service.close()
