"""The exchange's list of symbols on its way into the store."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from depthcast.errors import BadFile, StoreError, StoreUnavailable
from depthcast.files import EXCHANGE_INFO_KEY
from depthcast.store import Outcome, PutResult, StoredObject
from depthcast.store.memory import MemoryStore
from depthcast.symbol_list import ListInfo, SymbolList
from updater.symbol_list import Publishing, SymbolListWriter


def body_of(server_time: int, *symbols: str) -> bytes:
    entries = [{"symbol": symbol, "status": "TRADING"} for symbol in symbols]
    return json.dumps({"serverTime": server_time, "symbols": entries}, separators=(",", ":")).encode()


class Shelf(MemoryStore):
    """Counts reads and writes; ``outcomes`` are given to the next writes, which may have been ``applied``."""

    def __init__(self, *, content_etags: bool = False) -> None:
        super().__init__(content_etags=content_etags)
        self.peeks = 0
        self.puts = 0
        self.outcomes: list[Outcome] = []
        self.applied = False
        self.rival: bytes | None = None
        """Written by somebody else between a look and the write that follows it."""
        self.failure: StoreError | None = None

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self.peeks += 1
        if self.failure is not None:
            raise self.failure
        return await super().peek(key, length)

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
        self.puts += 1
        if self.rival is not None:
            rival, self.rival = self.rival, None
            mine = SymbolList.of(rival)
            info = ListInfo(mine.server_time_ms, mine.fingerprint, "rival")
            await super().put_if(key, rival, match=match, metadata=info.to_metadata())
        if self.outcomes and not self.applied:
            return PutResult(self.outcomes.pop(0))
        result = await super().put_if(
            key,
            body,
            match=match,
            metadata=metadata,
            content_type=content_type,
            cache_control=cache_control,
        )
        return PutResult(self.outcomes.pop(0)) if self.outcomes else result

    async def body(self) -> bytes | None:
        found = await self.get(EXCHANGE_INFO_KEY)
        return found.body if found is not None else None


async def at_once() -> None:
    """A store that is ready."""


async def no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


def writer_on(store: Shelf, replica: str = "a") -> SymbolListWriter:
    return SymbolListWriter(store, replica=replica, cache_control="no-cache", ready=at_once, sleep=no_pause)


@pytest.fixture(params=[False, True], ids=["etag a write", "etag a body"])
def store(request: pytest.FixtureRequest) -> Shelf:
    return Shelf(content_etags=request.param)


@pytest.fixture
async def working(store: Shelf) -> AsyncIterator[SymbolListWriter]:
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


async def test_the_first_list_is_written_as_it_is(store: Shelf) -> None:
    body = body_of(5, "ETHUSDT")
    assert await writer_on(store).publish(body) is Publishing.WRITTEN
    found = await store.get(EXCHANGE_INFO_KEY)
    assert found is not None
    assert (found.body, found.content_type, found.cache_control) == (body, "application/json", "no-cache")
    assert ListInfo.from_metadata(found.metadata) == ListInfo(5, SymbolList.of(body).fingerprint, "a")


async def test_a_list_that_says_nothing_new_costs_one_small_read(store: Shelf) -> None:
    await writer_on(store).publish(body_of(5, "ETHUSDT"))
    store.puts = store.peeks = 0
    for later in (5, 6, 700):
        assert await writer_on(store, "b").publish(body_of(later, "ETHUSDT")) is Publishing.NO_NEWS
    assert (store.puts, store.peeks) == (0, 3)
    assert await store.body() == body_of(5, "ETHUSDT")


async def test_only_a_list_made_later_takes_the_place_of_another(store: Shelf) -> None:
    await writer_on(store).publish(body_of(5, "ETHUSDT"))
    assert await writer_on(store, "b").publish(body_of(4, "BTCUSDT")) is Publishing.OLDER
    assert await writer_on(store, "b").publish(body_of(5, "BTCUSDT")) is Publishing.OLDER
    assert await store.body() == body_of(5, "ETHUSDT")
    assert await writer_on(store, "b").publish(body_of(6, "BTCUSDT")) is Publishing.WRITTEN
    assert await store.body() == body_of(6, "BTCUSDT")


@pytest.mark.parametrize(
    ("rival", "becomes"),
    [
        (body_of(6, "ETHUSDT"), Publishing.NO_NEWS),
        (body_of(9, "OTHER"), Publishing.OLDER),
        (body_of(4, "OTHER"), Publishing.WRITTEN),
    ],
)
async def test_who_loses_a_race_looks_again(store: Shelf, rival: bytes, becomes: Publishing) -> None:
    store.rival = rival
    assert await writer_on(store).publish(body_of(5, "ETHUSDT")) is becomes
    assert await store.body() == (body_of(5, "ETHUSDT") if becomes is Publishing.WRITTEN else rival)


async def test_an_object_that_is_no_list_is_replaced(store: Shelf) -> None:
    await store.put_if(EXCHANGE_INFO_KEY, b"?", match=None)
    assert await writer_on(store).publish(body_of(5, "ETHUSDT")) is Publishing.WRITTEN


async def test_what_is_no_list_is_not_written(store: Shelf) -> None:
    with pytest.raises(BadFile):
        await writer_on(store).publish(b'{"symbols":[]}')
    assert store.puts == 0


async def test_replicas_that_read_the_same_news_write_it_once(store: Shelf) -> None:
    await writer_on(store).publish(body_of(1, "ETHUSDT"))
    outcomes = await asyncio.gather(
        *(writer_on(store, name).publish(body_of(2 + n, "ETHUSDT", "NEW")) for n, name in enumerate("abc"))
    )
    assert outcomes.count(Publishing.WRITTEN) == 1
    assert await store.body() in [body_of(2 + n, "ETHUSDT", "NEW") for n in range(3)]


async def test_a_write_is_tried_until_it_is_settled(store: Shelf, working: SymbolListWriter) -> None:
    store.outcomes = [Outcome.THROTTLED, Outcome.UNKNOWN, Outcome.LOST, Outcome.LOST, Outcome.LOST]
    with capture_logs() as lines:
        working.offer(body_of(5, "ETHUSDT"))
        await until_there(store, body_of(5, "ETHUSDT"))
    assert [line["log_level"] for line in lines] == ["warning"] * 3 + ["info"]
    assert store.puts == 6


async def test_a_write_that_was_applied_unseen_is_found(store: Shelf, working: SymbolListWriter) -> None:
    store.outcomes, store.applied = [Outcome.UNKNOWN], True
    working.offer(body_of(5, "ETHUSDT"))
    await until_there(store, body_of(5, "ETHUSDT"))
    async with asyncio.timeout(10):
        while store.peeks < 2:  # noqa: ASYNC110 (the store's own counter is the point)
            await asyncio.sleep(0)
    assert store.puts == 1


async def test_after_an_outage_the_newest_list_is_written(store: Shelf, working: SymbolListWriter) -> None:
    store.failure = StoreUnavailable("away")
    working.offer(body_of(5, "ETHUSDT"))
    async with asyncio.timeout(10):
        while store.peeks < 3:  # noqa: ASYNC110 (the store's own counter is the point)
            await asyncio.sleep(0)
    working.offer(body_of(6, "ETHUSDT", "NEW"))
    store.failure = None
    await until_there(store, body_of(6, "ETHUSDT", "NEW"))
    assert store.puts == 1


async def test_a_list_that_cannot_be_read_does_not_stop_those_after_it(
    store: Shelf, working: SymbolListWriter
) -> None:
    working.offer(b"")
    working.offer(b"<html>")
    working.offer(body_of(5, "ETHUSDT"))
    await until_there(store, body_of(5, "ETHUSDT"))
