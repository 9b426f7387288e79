"""A file for each published symbol, cut from the list."""

import asyncio
import json
import threading
from typing import Any

import pytest

from depthcast.errors import StoreError
from depthcast.files import COINBASE
from depthcast.metadata.cuts import Cuts
from depthcast.metadata.kinds import EXCHANGE_INFO, exchange_info
from depthcast.metadata.record import HeadInfo, Recorded
from depthcast.metadata.recorder import Offering, Recorder
from depthcast.store import Outcome, PutResult
from depthcast.store.memory import MemoryStore
from depthcast.symbol_list import Divided, SymbolList
from tests.depthcast.metadata.documents import compact, listing, symbol
from tests.depthcast.metadata.test_recorder import NOW, Shelf, offer, recorder_on

ETH, BTC, CHINESE = symbol("ETHUSDT"), symbol("BTCUSDT"), symbol("币安人生USDT")


async def cut_of(store: MemoryStore, name: str) -> Any:
    found = await store.get(f"api/v3/exchangeInfo?symbol={name}")
    return None if found is None else found.body


def cutting(store: MemoryStore, *names: str) -> Recorder:
    return recorder_on(store, cuts=lambda: set(names), cache_control="no-cache")


def cuts_in(keys: list[str]) -> list[str]:
    return [key.partition("symbol=")[2] for key in keys if "?symbol=" in key]


@pytest.fixture
def store() -> Shelf:
    return Shelf(content_etags=True)


async def test_a_cut_is_the_list_with_one_entry(store: Shelf) -> None:
    await offer(cutting(store, "ETHUSDT", "币安人生USDT"), listing(NOW, ETH, BTC, CHINESE, sors=[1]))
    assert await cut_of(store, "ETHUSDT") == listing(NOW, ETH, sors=[1])
    assert await cut_of(store, "币安人生USDT") == listing(NOW, CHINESE, sors=[1])
    assert await cut_of(store, "BTCUSDT") is None
    found = await store.get(EXCHANGE_INFO.cut_key("ETHUSDT"))
    assert found is not None
    assert (found.content_type, found.cache_control) == ("application/json", "no-cache")
    assert found.metadata["sequence"] == "1"


async def test_only_what_changed_is_written_anew(store: Shelf) -> None:
    recorder = cutting(store, "ETHUSDT", "BTCUSDT")
    await offer(recorder, listing(NOW, ETH, BTC))
    store.writes.clear()
    halted = symbol("ETHUSDT", "HALT")
    await offer(recorder, listing(NOW + 1, halted, BTC))
    assert cuts_in(store.writes) == ["ETHUSDT"]
    assert await cut_of(store, "ETHUSDT") == listing(NOW + 1, halted)
    assert await cut_of(store, "BTCUSDT") == listing(NOW, BTC)
    store.writes.clear()
    # What stands around the entries is in every cut.
    await offer(recorder, listing(NOW + 2, halted, BTC, sors=[1]))
    assert cuts_in(store.writes) == ["BTCUSDT", "ETHUSDT"]
    store.writes.clear()
    store.peeks = 0
    assert (await offer(recorder, listing(NOW + 3, halted, BTC, sors=[1]))).offering is Offering.UNCHANGED
    assert (store.writes, store.peeks) == ([], 2)


async def test_a_symbol_that_is_published_later_gets_its_cut_without_a_change(store: Shelf) -> None:
    wanted = {"ETHUSDT"}
    recorder = recorder_on(store, cuts=lambda: wanted)
    await offer(recorder, listing(NOW, ETH, BTC))
    wanted.add("BTCUSDT")
    assert (await offer(recorder, listing(NOW + 1, ETH, BTC))).offering is Offering.UNCHANGED
    assert await cut_of(store, "BTCUSDT") == listing(NOW, BTC)


async def test_of_a_symbol_that_is_delisted_an_empty_list_stays(store: Shelf) -> None:
    await offer(cutting(store, "ETHUSDT", "BTCUSDT"), listing(NOW, ETH, BTC))
    # Another process sees it; to this one the symbol is no longer one of the published.
    await offer(cutting(store, "BTCUSDT"), listing(NOW + 1, BTC, CHINESE))
    assert json.loads(await cut_of(store, "ETHUSDT"))["symbols"] == []
    assert await cut_of(store, "币安人生USDT") is None


async def test_who_comes_later_finds_what_was_left_undone(store: Shelf) -> None:
    async def refused(key: str) -> PutResult | None:
        return PutResult(Outcome.UNKNOWN) if "symbol=BTC" in key else None

    store.hook = refused
    recorder = cutting(store, "ETHUSDT", "BTCUSDT")
    for _ in range(2):
        with pytest.raises(StoreError):
            await offer(recorder, listing(NOW, ETH, BTC))
    store.hook = None
    assert (await offer(recorder, listing(NOW, ETH, BTC))).offering is Offering.UNCHANGED
    assert await cut_of(store, "BTCUSDT") == listing(NOW, BTC)


async def test_a_cut_of_a_later_change_is_not_replaced(store: Shelf) -> None:
    late = cutting(store, "ETHUSDT")
    await offer(late, listing(NOW, ETH))
    await offer(cutting(store, "ETHUSDT"), listing(NOW + 1, symbol("ETHUSDT", "HALT")))
    newer = await cut_of(store, "ETHUSDT")
    [first, _] = [
        (await store.get(f"history/exchangeInfo/changes/{name}"))
        for name in sorted(await store.names("history/exchangeInfo/changes/"), reverse=True)
    ]
    assert first is not None
    cuts = Cuts(store, EXCHANGE_INFO, lambda: {"ETHUSDT"})
    await cuts.follow(Recorded.parse("", first.body), HeadInfo.from_metadata("", first.metadata))
    cuts.check()
    assert await cut_of(store, "ETHUSDT") == newer


async def test_the_list_is_divided_beside_the_event_loop(
    store: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    divide, where = SymbolList.divide, []

    def divided(listing: SymbolList) -> Divided:
        where.append(threading.current_thread())
        return divide(listing)

    monkeypatch.setattr(SymbolList, "divide", divided)
    recorder = recorder_on(store, cuts=lambda: {"ETHUSDT"}, aside=asyncio.to_thread)
    await offer(recorder, listing(NOW, ETH, BTC))
    assert await cut_of(store, "ETHUSDT") == listing(NOW, ETH)
    assert len(where) == 1
    assert threading.main_thread() not in where


async def test_the_file_of_a_symbol_that_is_published_no_more_is_not_left_behind(store: Shelf) -> None:
    await offer(cutting(store, "ETHUSDT", "BTCUSDT"), listing(NOW, ETH, BTC, CHINESE))
    # Another replica, begun while it was halted, does not publish it.
    halted = symbol("ETHUSDT", "HALT")
    later = cutting(store, "BTCUSDT")
    await offer(later, listing(NOW + 1, halted, BTC, CHINESE))
    assert await cut_of(store, "ETHUSDT") == listing(NOW + 1, halted)
    await offer(later, listing(NOW + 2, halted, BTC, symbol("币安人生USDT", "HALT")))
    assert await cut_of(store, "币安人生USDT") is None


async def test_where_the_exchange_answers_an_entry_alone_the_file_is_that(store: Shelf) -> None:
    kind = exchange_info(COINBASE)
    btc, eth = ({"id": name, "status": "online", "base_increment": "0.1"} for name in ("BTC-USD", "ETH-USD"))
    recorder = recorder_on(store, kind, cuts=lambda: {"BTC-USD", "ETH-USD"})
    await offer(recorder, compact([btc, eth]))
    for entry in (btc, eth):
        found = await store.get(kind.cut_key(str(entry["id"])))
        assert found is not None
        assert found.body == compact(entry)
    assert (await recorder.offer(compact([eth, btc]), NOW + 1)).offering is Offering.UNCHANGED
    gone = await recorder.offer(compact([eth | {"base_increment": "0.01"}]), NOW + 2)
    assert gone.record is not None
    assert [change.path for change in gone.record.changes] == [
        "symbols/BTC-USD",
        "symbols/ETH-USD/base_increment",
    ]
    found = await store.get(kind.cut_key("BTC-USD"))
    assert found is not None
    assert found.body == b'{"message":"NotFound"}'
    assert [key for key in store.writes if "changes/" in key][-1].startswith(
        "history/coinbaseexchange/products/"
    )
