"""The symbols that the settings mean, from the stored list: alike for all who read it."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from depthcast.errors import SettingsError, StoreUnavailable, VenueError
from depthcast.files import EXCHANGE_INFO_KEY
from depthcast.store import StoredObject
from depthcast.store.memory import MemoryStore
from depthcast.venues import ExchangeInfo
from depthcast.venues.binance import Binance
from tests import virtual
from updater.listings import Listings, still_meant


def list_of(time_ms: int = 1, **statuses: str) -> bytes:
    precise = {"baseAsset": "B", "quoteAsset": "Q", "baseAssetPrecision": 8, "quoteAssetPrecision": 8}
    symbols = [{"symbol": symbol, "status": status} | precise for symbol, status in statuses.items()]
    return json.dumps(
        {"serverTime": time_ms, "rateLimits": [], "symbols": symbols}, separators=(",", ":")
    ).encode()


class Follower:
    """Listings, and what came of them."""

    def __init__(self, store: MemoryStore, patterns: Sequence[str] = ("*USDT",)) -> None:
        self.taken: list[set[str]] = []
        self.asked = 0
        self.listings = Listings(
            store, patterns, parse=Binance().parse_exchange_info, take=self._take, ask=self._ask
        )

    async def _take(self, info: ExchangeInfo, symbols: set[str]) -> None:
        self.taken.append(symbols)
        self.listings.check()

    def _ask(self) -> None:
        self.asked += 1


async def write(store: MemoryStore, body: bytes) -> None:
    held = await store.get(EXCHANGE_INFO_KEY)
    await store.put_if(EXCHANGE_INFO_KEY, body, match=held.etag if held else None)


def test_all_who_follow_take_up_the_stored_list_within_seconds() -> None:
    async def scene() -> None:
        store = MemoryStore()
        fleet = [Follower(store) for _ in range(3)]
        tasks = [asyncio.ensure_future(each.listings.run()) for each in fleet]
        await asyncio.sleep(3)
        assert [each.taken for each in fleet] == [[], [], []]
        await write(store, list_of(1, AUSDT="TRADING", BUSDT="TRADING", CBTC="TRADING"))
        await asyncio.sleep(1)
        assert [each.taken for each in fleet] == [[{"AUSDT", "BUSDT"}]] * 3
        await write(store, list_of(2, AUSDT="BREAK", NEWUSDT="TRADING", CBTC="TRADING", DUSDT="HALT"))
        await asyncio.sleep(6)
        # What stands still is kept where it was held, and not begun where it was not.
        assert [each.taken[1:] for each in fleet] == [[{"AUSDT", "NEWUSDT"}]] * 3
        await write(store, list_of(3, CBTC="TRADING"))
        await asyncio.sleep(6)
        assert [set(each.listings.selected) for each in fleet] == [{"AUSDT", "NEWUSDT"}] * 3, (
            "none would be left"
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual.run(scene())


def test_a_list_that_is_older_or_says_the_same_changes_nothing() -> None:
    async def scene() -> None:
        one = Follower(MemoryStore())
        await one.listings.offer(list_of(5, AUSDT="TRADING"))
        await one.listings.offer(list_of(6, AUSDT="TRADING"))
        await one.listings.offer(list_of(4, AUSDT="TRADING", BUSDT="TRADING"))
        assert one.taken == [{"AUSDT"}]
        await one.listings.offer(list_of(5, AUSDT="TRADING", BUSDT="TRADING"))
        assert one.taken == [{"AUSDT"}, {"AUSDT", "BUSDT"}]

    virtual.run(scene())


@pytest.mark.parametrize("body", [b"", b"<html></html>", list_of(9, AUSDT="TRADING")[:-10], b"[]"])
def test_what_is_no_list_changes_nothing(body: bytes) -> None:
    async def scene() -> None:
        store = MemoryStore()
        one = Follower(store)
        await one.listings.offer(list_of(5, AUSDT="TRADING"))
        with pytest.raises(VenueError):
            await one.listings.offer(body)
        await write(store, body)
        task = asyncio.ensure_future(one.listings.run())
        await asyncio.sleep(1)
        await write(store, list_of(6))
        await asyncio.sleep(6)
        assert one.taken == [{"AUSDT"}]
        await write(store, list_of(7, BUSDT="TRADING"))
        one.listings.look()
        await asyncio.sleep(0.1)
        assert one.taken == [{"AUSDT"}, {"BUSDT"}]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtual.run(scene())


def test_a_first_list_that_lacks_a_named_symbol_is_the_exchanges_to_confirm() -> None:
    async def scene() -> None:
        store = MemoryStore()
        await write(store, list_of(5, AUSDT="TRADING"))
        one = Follower(store, ["NEWUSDT"])
        task = asyncio.ensure_future(one.listings.run())
        await asyncio.sleep(3)
        assert (one.asked, one.taken) == (1, [])
        with pytest.raises(SettingsError, match="NEWUSDT"):
            await one.listings.offer(list_of(6, AUSDT="TRADING"))
        await one.listings.offer(list_of(7, AUSDT="TRADING", NEWUSDT="TRADING"))
        assert one.taken == [{"NEWUSDT"}]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtual.run(scene())


def test_a_store_that_is_away_is_asked_again() -> None:
    class Away(MemoryStore):
        reads = 0

        async def get(self, key: str) -> StoredObject | None:
            Away.reads += 1
            if Away.reads < 5:
                raise StoreUnavailable("nobody listens there")
            return await super().get(key)

    async def scene() -> None:
        store = Away()
        one = Follower(store)
        task = asyncio.ensure_future(one.listings.run())
        await asyncio.sleep(1.9)
        assert Away.reads == 4
        await store.put_if(EXCHANGE_INFO_KEY, list_of(1, AUSDT="TRADING"), match=None)
        await asyncio.sleep(1)
        assert one.taken == [{"AUSDT"}]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtual.run(scene())


def test_names_and_globs_that_mean_nothing_any_more_are_passed_over() -> None:
    info = Binance().parse_exchange_info(list_of(1, AUSDT="HALT", BUSDT="TRADING", CBTC="TRADING"))
    cases: list[tuple[list[str], set[str], set[str]]] = [
        (["AUSDT", "GONEUSDT"], {"AUSDT", "GONEUSDT"}, {"AUSDT"}),
        (["*ETH", "CBTC"], {"XETH"}, {"CBTC"}),
        (["all"], {"AUSDT"}, {"AUSDT", "BUSDT", "CBTC"}),
        (["GONEUSDT"], {"GONEUSDT"}, set()),
    ]
    for patterns, before, meant in cases:
        assert still_meant(patterns, info, before) == meant
