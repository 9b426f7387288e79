"""Files say what the exchange's list says: halted, delisted, trading again; at the cost of few reads."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from random import Random
from typing import Any

import pytest

from depthcast.errors import StoreError, StoreUnavailable
from depthcast.files import FileInfo, depth_key, parse_key, version_of
from depthcast.store import Entry, Outcome, PutResult, StoredObject
from depthcast.store.memory import MemoryStore
from depthcast.venues import ExchangeInfo, SymbolInfo
from updater.marks import OTHER, Marks

LIMITS = (5, 100, 5000)


def info_of(**statuses: str) -> ExchangeInfo:
    return ExchangeInfo(
        {symbol: SymbolInfo(symbol, status, symbol, "USDT", 8, 8) for symbol, status in statuses.items()},
        6000,
    )


class Counted(MemoryStore):
    """Counts what is asked of it; ``failing`` keys cannot be read, and ``moving`` ones were written just now
    whenever somebody writes them."""

    def __init__(self) -> None:
        super().__init__(content_etags=True)
        self.peeks: Counter[str] = Counter()
        self.puts: list[str] = []
        self.failing: set[str] = set()
        self.moving: set[str] = set()
        self.listing_failure: Exception | None = None
        self.under_way = self.most_under_way = 0

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self.peeks[parse_key(key).symbol] += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if key in self.failing:
            raise StoreUnavailable("away", hint="wait")
        return await super().peek(key, length)

    async def put_if(self, key: str, *args: Any, **kwargs: Any) -> PutResult:
        self.puts.append(key)
        if key in self.moving:
            return PutResult(Outcome.LOST)
        return await super().put_if(key, *args, **kwargs)

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        if self.listing_failure is not None:
            raise self.listing_failure
        async for entry in super().list(prefix):
            yield entry

    async def publish(
        self, symbol: str, *, limits: Iterable[int] = LIMITS, update_id: int = 160, status: str = "TRADING"
    ) -> None:
        for limit in limits:
            key = depth_key(symbol, limit)
            held = await self.get(key)
            await MemoryStore.put_if(
                self,
                key,
                b'{"lastUpdateId":%d,"bids":[["1.0","1.0"]],"asks":[]}' % update_id,
                match=held.etag if held else None,
                metadata=FileInfo(0, 1, 0, True, True, 1, 2, "a", status).to_metadata(),
            )

    async def statuses(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        async for entry in super().list(""):
            held = await self.get(entry.key)
            assert held is not None
            info = FileInfo.from_metadata(entry.key, held.metadata)
            found.setdefault(parse_key(entry.key).symbol, set()).add(info.status)
        return found

    def forget(self) -> None:
        self.peeks.clear()
        self.puts.clear()


@pytest.fixture
def store() -> Counted:
    return Counted()


def marks_of(store: Counted, mine: Callable[[str], bool] = lambda _: True, **more: Any) -> Marks:
    return Marks(store, mine=mine, **more)


async def test_files_of_halted_and_delisted_symbols_are_marked_and_come_back(store: Counted) -> None:
    for symbol in ("ETHUSDT", "BTCUSDT", "OLDUSDT"):
        await store.publish(symbol)
    told: list[tuple[str, int, str]] = []
    marks = marks_of(store, on_marked=lambda *mark: told.append(mark))
    await marks.update(info_of(ETHUSDT="TRADING", BTCUSDT="BREAK", NEWUSDT="HALT"))
    assert await store.statuses() == {"ETHUSDT": {"TRADING"}, "BTCUSDT": {"BREAK"}, "OLDUSDT": {"DELISTED"}}
    assert sorted(told) == [
        *(("BTCUSDT", limit, "BREAK") for limit in LIMITS),
        *(("OLDUSDT", limit, "DELISTED") for limit in LIMITS),
    ]
    await marks.update(info_of(ETHUSDT="TRADING", BTCUSDT="TRADING", OLDUSDT="TRADING"))
    assert await store.statuses() == {symbol: {"TRADING"} for symbol in ("ETHUSDT", "BTCUSDT", "OLDUSDT")}
    marks.check()


async def test_publishers_are_told_the_status_as_soon_as_it_is_known(store: Counted) -> None:
    marks = marks_of(store)
    assert marks.status("ETHUSDT") == "TRADING"
    marks.learn(info_of(ETHUSDT="CANCEL_ONLY", BTCUSDT="TRADING"))
    assert [marks.status(symbol) for symbol in ("ETHUSDT", "BTCUSDT")] == ["CANCEL_ONLY", "TRADING"]
    marks.learn(info_of(BTCUSDT="odd word"))
    assert dict(marks.statuses) == {"ETHUSDT": "DELISTED", "BTCUSDT": OTHER}
    await store.publish("GONEUSDT")
    await marks.update(info_of(BTCUSDT="TRADING"))
    assert marks.status("GONEUSDT") == "DELISTED"


async def test_an_empty_list_is_not_believed(store: Counted) -> None:
    await store.publish("ETHUSDT")
    marks = marks_of(store)
    await marks.update(info_of())
    assert marks.status("ETHUSDT") == "TRADING"
    assert await store.statuses() == {"ETHUSDT": {"TRADING"}}


async def test_only_the_first_replica_of_a_symbol_marks_it_and_a_new_first_one_looks(store: Counted) -> None:
    await store.publish("ETHUSDT")
    await store.publish("BTCUSDT")
    mine = {"ETHUSDT"}
    marks = marks_of(store, mine.__contains__)
    halted = info_of(ETHUSDT="HALT", BTCUSDT="HALT")
    await marks.update(halted)
    assert await store.statuses() == {"ETHUSDT": {"HALT"}, "BTCUSDT": {"TRADING"}}
    mine.add("BTCUSDT")
    await marks.update(halted)
    assert (await store.statuses())["BTCUSDT"] == {"HALT"}


async def test_rounds_in_which_nothing_changes_cost_next_to_nothing(store: Counted) -> None:
    for symbol in ("AUSDT", "BUSDT", "HALTUSDT"):
        await store.publish(symbol)
    marks = marks_of(store)
    info = info_of(AUSDT="TRADING", BUSDT="TRADING", HALTUSDT="HALT")
    await marks.update(info)
    assert store.peeks["AUSDT"] == store.peeks["BUSDT"] == 1
    assert len(store.puts) == len(LIMITS)
    store.forget()
    await marks.update(info)
    assert store.peeks == {"HALTUSDT": 1}
    assert store.puts == []


async def test_a_mark_that_another_one_s_older_list_undid_is_made_again(store: Counted) -> None:
    await store.publish("ETHUSDT")
    marks, other = marks_of(store), marks_of(store)
    await other.update(info_of(ETHUSDT="HALT"))
    await marks.update(info_of(ETHUSDT="HALT"))
    await other.update(info_of(ETHUSDT="TRADING"))
    assert await store.statuses() == {"ETHUSDT": {"TRADING"}}
    await marks.update(info_of(ETHUSDT="HALT"))
    assert await store.statuses() == {"ETHUSDT": {"HALT"}}


async def test_what_trades_again_is_un_marked_by_a_replica_that_never_saw_it_halted(store: Counted) -> None:
    await store.publish("ETHUSDT", status="BREAK")
    await marks_of(store).update(info_of(ETHUSDT="TRADING"))
    assert await store.statuses() == {"ETHUSDT": {"TRADING"}}


@pytest.mark.parametrize("cut_short_at", LIMITS)
@pytest.mark.parametrize(("before", "now"), [("TRADING", "HALT"), ("HALT", "TRADING")])
async def test_a_round_that_was_cut_short_is_finished_by_whoever_comes_next(
    store: Counted, before: str, now: str, cut_short_at: int
) -> None:
    await store.publish("ETHUSDT", status=before)
    store.failing = {depth_key("ETHUSDT", cut_short_at)}
    first = marks_of(store)
    await first.update(info_of(ETHUSDT=now))
    assert before in (await store.statuses())["ETHUSDT"]
    store.failing.clear()
    for marks in (marks_of(store), first):
        await marks.update(info_of(ETHUSDT=now))
        assert await store.statuses() == {"ETHUSDT": {now}}


async def test_a_file_that_moves_each_time_is_left_to_the_next_round(store: Counted) -> None:
    await store.publish("ETHUSDT")
    store.moving = {depth_key("ETHUSDT", 100)}
    marks = marks_of(store)
    await marks.update(info_of(ETHUSDT="HALT"))
    assert (await store.statuses())["ETHUSDT"] == {"HALT", "TRADING"}
    store.moving.clear()
    await marks.update(info_of(ETHUSDT="HALT"))
    assert await store.statuses() == {"ETHUSDT": {"HALT"}}
    marks.check()


async def test_a_store_that_is_away_stops_the_round_and_not_the_replica(store: Counted) -> None:
    for number in range(40):
        await store.publish(f"S{number}USDT")
    store.failing = {depth_key(f"S{number}USDT", limit) for number in range(40) for limit in LIMITS}
    marks = marks_of(store, reads_at_once=4)
    halted = info_of(**{f"S{number}USDT": "HALT" for number in range(40)})
    await marks.update(halted)
    assert store.peeks.total() <= 8
    store.failing.clear()
    store.listing_failure = StoreError("no listing")
    await marks.update(halted)
    assert store.puts == []
    store.listing_failure = None
    await marks.update(halted)
    assert set(map(frozenset, (await store.statuses()).values())) == {frozenset({"HALT"})}


async def test_reads_at_once_are_bounded(store: Counted) -> None:
    for number in range(40):
        await store.publish(f"S{number}USDT", limits=(5,))
    await marks_of(store, reads_at_once=4).update(info_of(OTHERUSDT="TRADING"))
    assert store.most_under_way == 4
    assert (await store.statuses())["S39USDT"] == {"DELISTED"}


async def test_foreign_and_damaged_objects_are_passed_over(store: Counted) -> None:
    await MemoryStore.put_if(store, "api/v3/depth?symbol=eth", b"x", match=None)
    await MemoryStore.put_if(store, depth_key("ETHUSDT", 5), b"<html>", match=None)
    await MemoryStore.put_if(store, "fleet/a.json", b"{}", match=None)
    marks = marks_of(store)
    await marks.update(info_of(ETHUSDT="TRADING"))
    await marks.update(info_of(ETHUSDT="HALT"))
    assert store.puts == []


@pytest.mark.parametrize("seed", range(20))
async def test_marks_never_change_a_book_whatever_publishers_and_lists_do(seed: int) -> None:
    """Two replicas with lists of different age, and a publisher beside them; in the end all agree."""
    rng = Random(seed)
    store = Counted()
    symbols = [f"S{number}USDT" for number in range(4)]
    ids: dict[str, int] = dict.fromkeys(symbols, 160)
    for symbol in symbols:
        await store.publish(symbol)
    replicas = [marks_of(store, reads_at_once=rng.randint(1, 4)) for _ in range(2)]

    def a_list() -> ExchangeInfo:
        words: Mapping[str, str] = {symbol: rng.choice(("TRADING", "HALT", "BREAK")) for symbol in symbols}
        return info_of(**{symbol: word for symbol, word in words.items() if rng.random() < 0.8}, X="HALT")

    async def publish() -> None:
        for _ in range(rng.randint(0, 20)):
            await asyncio.sleep(0)
            symbol = rng.choice(symbols)
            ids[symbol] += 1
            status = rng.choice(replicas).status(symbol)
            await store.publish(symbol, update_id=ids[symbol], status=status)

    for _ in range(5):
        await asyncio.gather(publish(), *(marks.update(a_list()) for marks in replicas))
        for symbol in symbols:
            for limit in LIMITS:
                key = depth_key(symbol, limit)
                held = await store.get(key)
                assert held is not None
                assert version_of(key, held.body, held.metadata) == (0, ids[symbol])
        for marks in replicas:
            marks.check()
    last = a_list()
    for _ in range(2):
        for marks in replicas:
            await marks.update(last)
    assert await store.statuses() == {
        symbol: {last.symbols[symbol].status if symbol in last.symbols else "DELISTED"} for symbol in symbols
    }
