"""What the exchange says about itself on its way into the store: its list of symbols, for one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from depthcast.errors import MalformedAnswer, StoreError, StoreUnavailable
from depthcast.files import EXCHANGE_INFO_KEY
from depthcast.metadata.kinds import EXCHANGE_INFO
from depthcast.store import Outcome, PutResult, StoredObject
from depthcast.store.memory import MemoryStore
from updater.documents import DocumentWriter


def body_of(server_time: int, *symbols: str) -> bytes:
    entries = [{"symbol": symbol, "status": "TRADING"} for symbol in symbols]
    return json.dumps({"serverTime": server_time, "symbols": entries}, separators=(",", ":")).encode()


class Shelf(MemoryStore):
    """Counts reads and writes of the head; ``outcomes`` are given to its next writes."""

    def __init__(self, *, content_etags: bool = False) -> None:
        super().__init__(content_etags=content_etags)
        self.peeks = 0
        self.puts = 0
        self.outcomes: list[Outcome] = []
        self.applied = False
        """Whether writes are applied whatever their outcome."""
        self.failure: StoreError | None = None

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self.peeks += key == EXCHANGE_INFO.head_key
        if self.failure is not None:
            raise self.failure
        return await super().peek(key, length)

    async def put_if(self, key: str, body: bytes, *, match: str | None, **more: Any) -> PutResult:
        if key != EXCHANGE_INFO.head_key:
            return await super().put_if(key, body, match=match, **more)
        self.puts += 1
        if self.outcomes and not self.applied:
            return PutResult(self.outcomes.pop(0))
        result = await super().put_if(key, body, match=match, **more)
        return PutResult(self.outcomes.pop(0)) if self.outcomes else result

    async def body(self) -> bytes | None:
        found = await self.get(EXCHANGE_INFO_KEY)
        return found.body if found is not None else None


async def at_once() -> None:
    """A store that is ready."""


async def no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


def writer_on(store: Shelf, replica: str = "a") -> DocumentWriter:
    return DocumentWriter(
        store, EXCHANGE_INFO, replica=replica, cache_control="no-cache", ready=at_once, sleep=no_pause
    )


@pytest.fixture(params=[False, True], ids=["etag a write", "etag a body"])
def store(request: pytest.FixtureRequest) -> Shelf:
    return Shelf(content_etags=request.param)


@pytest.fixture
async def working(store: Shelf) -> AsyncIterator[DocumentWriter]:
    writer = writer_on(store)
    task = asyncio.create_task(writer.run())
    yield writer
    writer.check()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until_there(store: Shelf, body: bytes) -> None:
    async with asyncio.timeout(10):
        while await store.body() != body:  # noqa: ASYNC110 (what is in the store is the point)
            await asyncio.sleep(0)


async def test_a_write_is_tried_until_it_is_settled(store: Shelf, working: DocumentWriter) -> None:
    store.outcomes = [Outcome.THROTTLED, Outcome.UNKNOWN, Outcome.LOST, Outcome.LOST, Outcome.LOST]
    with capture_logs() as lines:
        working.offer(body_of(5, "ETHUSDT"))
        await until_there(store, body_of(5, "ETHUSDT"))
    assert [line["log_level"] for line in lines] == ["warning"] * 3 + ["info"]
    assert store.puts == 6


async def test_a_write_that_was_applied_unseen_is_found(store: Shelf, working: DocumentWriter) -> None:
    store.outcomes, store.applied = [Outcome.UNKNOWN], True
    working.offer(body_of(5, "ETHUSDT"))
    await until_there(store, body_of(5, "ETHUSDT"))
    async with asyncio.timeout(10):
        while store.peeks < 2:  # noqa: ASYNC110 (the store's own counter is the point)
            await asyncio.sleep(0)
    assert store.puts == 1


async def test_after_an_outage_all_that_was_answered_is_written_in_order(
    store: Shelf, working: DocumentWriter
) -> None:
    store.failure = StoreUnavailable("away")
    working.offer(body_of(5, "ETHUSDT"))
    async with asyncio.timeout(10):
        while store.peeks < 3:  # noqa: ASYNC110 (the store's own counter is the point)
            await asyncio.sleep(0)
    # A symbol that comes and goes meanwhile is in the history all the same.
    working.offer(body_of(6, "ETHUSDT", "NEW"))
    working.offer(body_of(7, "ETHUSDT", "NEW"))
    working.offer(body_of(8, "ETHUSDT"))
    store.failure = None
    await until_there(store, body_of(8, "ETHUSDT"))
    assert store.puts == 3


async def test_what_is_written_is_told_and_what_is_unchanged_is_not(
    store: Shelf, working: DocumentWriter
) -> None:
    with capture_logs() as lines:
        for time_ms, symbols in ((5, ["ETHUSDT"]), (6, ["ETHUSDT"]), (7, ["ETHUSDT", "NEW"])):
            working.offer(body_of(time_ms, *symbols))
            while working.waits:  # noqa: ASYNC110 (that nothing waits is the point)
                await asyncio.sleep(0.001)
    assert [(line["sequence"], line["changes"]) for line in lines] == [(1, 0), (2, 1)]


async def test_a_list_that_cannot_be_read_does_not_stop_those_after_it(
    store: Shelf, working: DocumentWriter
) -> None:
    for damaged in (b"", b"<html>"):
        with pytest.raises(MalformedAnswer):
            working.offer(damaged)
    working.offer(body_of(4))
    working.offer(body_of(5, "ETHUSDT"))
    await until_there(store, body_of(5, "ETHUSDT"))


async def test_what_is_of_another_day_by_this_clock_is_refused_at_once(store: Shelf) -> None:
    day_ms = 86_400_000
    writer = DocumentWriter(store, EXCHANGE_INFO, replica="a", ready=at_once, wall_ms=lambda: 5 * day_ms)
    with pytest.raises(MalformedAnswer, match=r"30 hours ahead of this machine; .*set it \(NTP\)"):
        writer.offer(body_of(5 * day_ms + 30 * 3_600_000, "ETHUSDT"))
    assert not writer.waits
    writer.offer(body_of(6 * day_ms, "ETHUSDT"))
    assert writer.waits


async def test_what_became_of_a_document_is_told(store: Shelf) -> None:
    told: list[str] = []
    writer = DocumentWriter(
        store, EXCHANGE_INFO, replica="a", ready=at_once, sleep=no_pause, on_outcome=told.append
    )
    task = asyncio.create_task(writer.run())
    store.outcomes = [Outcome.UNKNOWN]
    many = [f"S{number}" for number in range(20)]
    for number, symbols in enumerate((many, many[:5], many, many[:19])):
        writer.offer(body_of(number + 1, *symbols))
        async with asyncio.timeout(10):
            while writer.waits:  # noqa: ASYNC110 (that nothing waits is the point)
                await asyncio.sleep(0.001)
    # The second one lacks most symbols, the third is no news.
    assert told == ["unsettled", "recorded", "refused", "recorded"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_what_waits_is_bounded_and_the_newest_is_kept(store: Shelf) -> None:
    writer = writer_on(store)
    for number in range(40):
        writer.offer(body_of(number + 1, "ETHUSDT", f"NEW{number}"))
        writer.check()
    task = asyncio.create_task(writer.run())
    await until_there(store, body_of(40, "ETHUSDT", "NEW39"))
    assert store.puts == 16
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
