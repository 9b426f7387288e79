"""What was in force at a time, and what changed between two; how many reads that takes."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any

import pytest

from depthcast.errors import BadFile, BadKey
from depthcast.metadata.history import MAX_PAGE, History, Page
from depthcast.metadata.kinds import EXCHANGE_INFO, SYSTEM_STATUS
from depthcast.metadata.record import MAX_TIME_MS, name_of
from depthcast.metadata.recorder import WIDE_SYMBOLS, Recorder
from depthcast.store import Entry, Outcome, StoredObject
from depthcast.store.memory import MemoryStore
from tests.depthcast.metadata.documents import listing, symbol, told
from tests.depthcast.metadata.test_recorder import NOW, Shelf, inline, recorder_on

STATUSES = ("TRADING", "HALT", "BREAK", "CANCEL_ONLY")


class Counting(MemoryStore):
    """Counts what is read, by call."""

    def __init__(self) -> None:
        super().__init__(content_etags=True)
        self.calls: Counter[str] = Counter()

    async def get(self, key: str) -> StoredObject | None:
        self.calls["get"] += 1
        return await super().get(key)

    async def peek(self, key: str, length: int) -> StoredObject | None:
        self.calls["peek"] += 1
        return await super().peek(key, length)

    async def list_after(self, folder: str, after: str, limit: int) -> Sequence[Entry]:
        self.calls["list"] += 1
        return await super().list_after(folder, after, limit)

    async def list(self, prefix: str) -> AsyncIterator[Entry]:
        async for entry in super().list(prefix):
            self.calls["whole listing"] += 1
            yield entry


def history_on(store: MemoryStore, **more: Any) -> History:
    return History(store, EXCHANGE_INFO, aside=inline, **more)


async def recorded(store: MemoryStore, times: Sequence[int], *, symbols: int = 3) -> list[bytes]:
    """Documents observed at ``times``, each with another status of one symbol."""
    recorder = recorder_on(store)
    rng = Random(5)
    statuses = ["TRADING"] * symbols
    bodies = []
    for time_ms in times:
        which = rng.randrange(symbols)
        statuses[which] = rng.choice([each for each in STATUSES if each != statuses[which]])
        body = listing(time_ms, *(symbol(f"S{n}USDT", status) for n, status in enumerate(statuses)))
        assert (await recorder.offer(body, time_ms)).record is not None
        bodies.append(body)
    return bodies


async def test_at_a_time_is_what_was_recorded_last_by_then() -> None:
    store = Counting()
    times = [NOW + 1000 * n * n for n in range(1, 40)]
    bodies = await recorded(store, times)
    rng = Random(7)
    asked = [
        *times,
        *(time - 1 for time in times),
        *(rng.randrange(NOW, times[-1] + 9999) for _ in range(300)),
    ]
    for time_ms in asked:
        store.calls.clear()
        history = history_on(store)
        found = await history.at(time_ms)
        by_then = [body for time, body in zip(times, bodies, strict=True) if time <= time_ms]
        assert (found and found.document) == (by_then[-1] if by_then else None)
        assert store.calls.total() == history.reads <= 3
        assert not store.calls["whole listing"]
        if found is not None:
            assert found.final == (len(by_then) < len(bodies))
            assert found.record.sequence == len(by_then)


async def test_before_anything_was_recorded_there_is_nothing() -> None:
    store = Counting()
    history = history_on(store)
    assert await history.at(NOW) is None
    assert await history.current() is None
    assert await history.log() == Page((), None)
    await recorded(store, [NOW])
    assert await history.at(NOW - 1) is None
    assert await history.at(-5) is None
    found = await history.at(MAX_TIME_MS + 5)
    assert found is not None
    assert found == await history.current()


async def test_the_log_is_read_page_by_page() -> None:
    store = Counting()
    times = [NOW + 10 * n for n in range(25)]
    await recorded(store, times)
    history = history_on(store)
    sequences, to_ms, pages = [], MAX_TIME_MS, 0
    while True:
        page = await history.log(NOW + 20, to_ms, limit=10)
        sequences += [record.sequence for record in page.records]
        pages += 1
        if page.more_to_ms is None:
            break
        to_ms = page.more_to_ms
    assert sequences == list(range(25, 2, -1))
    assert pages == 3
    assert [record.observed_ms for record in (await history.log(NOW + 30, NOW + 50)).records] == [
        NOW + 50,
        NOW + 40,
        NOW + 30,
    ]
    assert (await history.log(NOW + 50, NOW + 30)).records == ()


async def test_a_symbols_changes_are_found_without_those_of_others() -> None:
    store = Counting()
    await recorded(store, [NOW + 10 * n for n in range(200)], symbols=4)
    everything = (await history_on(store).log(limit=MAX_PAGE)).records
    assert len(everything) == 200
    history = history_on(store)
    page = await history.log(symbol="S1USDT", limit=MAX_PAGE)
    of_it = [record for record in everything if "S1USDT" in record.symbols]
    assert list(page.records) == of_it
    assert history.reads == 4 + len(of_it)
    history = history_on(store)
    assert (await history.log(symbol="NOTHERE")).records == ()
    assert history.reads == 4
    with pytest.raises(BadKey):
        await history.log(symbol="a/b")
    for limit in (0, MAX_PAGE + 1):
        with pytest.raises(ValueError, match="page"):
            await history.log(limit=limit)


async def test_a_wide_change_is_found_for_each_symbol_and_only_its_part_is_told() -> None:
    store = Counting()
    recorder = recorder_on(store)
    names = [f"A{n}USDT" for n in range(WIDE_SYMBOLS + 5)]
    await recorder.offer(listing(NOW, *map(symbol, names), symbol("OTHER")), NOW)
    halted = [symbol(name, "HALT") for name in names]
    await recorder.offer(listing(NOW + 1, *halted, symbol("OTHER")), NOW)
    await recorder.offer(listing(NOW + 2, symbol(names[0]), *halted[1:], symbol("OTHER")), NOW)
    history = history_on(store)
    page = await history.log(symbol=names[0])
    assert [told(record.changes) for record in page.records] == [
        [(f"symbols/{names[0]}/status", "changed", "HALT", "TRADING")],
        [(f"symbols/{names[0]}/status", "changed", "TRADING", "HALT")],
    ]
    assert (await history.log(symbol="OTHER")).records == ()
    # A record that does not fit into the first bytes is read whole.
    many = [symbol(f"B{n}USDT", odd="x" * 400) for n in range(200)]
    rng = Random(1)
    many = [{**each, "odd": f"{rng.getrandbits(800):x}"} for each in many]
    await recorder.offer(listing(NOW + 3, symbol("OTHER"), *halted, *many), NOW)
    assert len((await history.log()).records[0].changes) == len(many) + 1


async def test_a_head_that_is_not_in_the_history_yet_is_told_all_the_same() -> None:
    store = Shelf()
    await recorded(store, [NOW, NOW + 10])

    async def refused(key: str) -> Any:
        if key.startswith("history/"):
            raise ConnectionError
        return None

    store.hook = refused
    body = listing(NOW + 20, symbol("S0USDT", "END_OF_DAY"))
    with pytest.raises(ConnectionError):
        await Recorder(store, EXCHANGE_INFO, replica="b", aside=inline, wall_ms=lambda: NOW).offer(body, NOW)
    history = history_on(store)
    assert [record.sequence for record in (await history.log()).records] == [3, 2, 1]
    page = await history.log(limit=1)
    assert [record.sequence for record in page.records] == [3]
    assert page.more_to_ms == NOW + 19
    assert (await history.log(symbol="S0USDT")).records[0].sequence == 3
    assert [record.sequence for record in (await history.log(to_ms=NOW + 19)).records] == [2, 1]
    found = await history.at(NOW + 20)
    assert found is not None
    assert (found.document, found.final) == (body, False)
    found = await history.at(NOW + 19)
    assert found is not None
    assert (found.record.sequence, found.final) == (2, True)


async def test_a_head_that_is_replaced_while_it_is_read_is_no_answer_for_an_earlier_time() -> None:
    class Moving(Counting):
        news: bytes | None = None

        async def get(self, key: str) -> StoredObject | None:
            if key == EXCHANGE_INFO.head_key and self.news is not None:
                body, self.news = self.news, None
                await recorder_on(self).offer(body, NOW)
            return await super().get(key)

    store = Moving()
    [before] = await recorded(store, [NOW])
    store.news = listing(NOW + 10, symbol("NEWUSDT"))
    found = await history_on(store).at(NOW + 5)
    assert found is not None
    assert found.document == before


async def test_damage_is_told() -> None:
    store = Shelf()
    await recorded(store, [NOW, NOW + 10])
    key = f"{EXCHANGE_INFO.changes_folder}{name_of(NOW, 1)}"
    whole = await store.get(key)
    assert whole is not None
    for body in (b"", b"?", whole.body[:-1], whole.body + b"x", whole.body[:100]):
        await store.replace(key, body)
        with pytest.raises(BadFile):
            await history_on(store).at(NOW + 5)
    store.drop(key)
    assert await history_on(store).at(NOW + 5) is None
    await store.put_if(EXCHANGE_INFO.changes_folder + "9", b"", match=None)
    with pytest.raises(BadFile):
        await history_on(store).log()


async def test_kinds_do_not_mix() -> None:
    store = Counting()
    await recorded(store, [NOW])
    await recorder_on(store, SYSTEM_STATUS).offer(b'{"status":0,"msg":"normal"}', NOW)
    found = await History(store, SYSTEM_STATUS, aside=inline).at(NOW)
    assert found is not None
    assert found.document == b'{"status":0,"msg":"normal"}'
    result = await store.put_if("x", b"", match=None)
    assert result.outcome is Outcome.WON
