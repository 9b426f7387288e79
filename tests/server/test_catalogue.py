"""Which symbols are published: taken as a whole from the store's listing, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from depthcast.errors import StoreUnavailable
from depthcast.store import Entry
from server.catalogue import AT_ONCE, Catalogue

if TYPE_CHECKING:
    from tests.server.conftest import StillClock, WatchedStore


async def test_nothing_is_known_before_the_first_listing(store: "WatchedStore") -> None:
    await store.publish("ETHUSDT", 5, 160)
    catalogue = Catalogue(store)
    assert (catalogue.known, len(catalogue), catalogue.limits("ETHUSDT")) == (False, 0, None)
    assert catalogue.published == ()


async def test_a_listing_says_which_limits_each_symbol_has(store: "WatchedStore") -> None:
    for symbol, limit in (("ETHUSDT", 100), ("ETHUSDT", 5), ("ETHUSDT", 1000), ("币安人生USDT", 20)):
        await store.publish(symbol, limit, 160, levels=1)
    catalogue = Catalogue(store)
    await catalogue.refresh()
    assert catalogue.known
    assert catalogue.limits("ETHUSDT") == (5, 100, 1000)
    assert catalogue.limits("币安人生USDT") == (20,)
    assert catalogue.limits("BTCUSDT") is None
    assert (len(catalogue), catalogue.published[-1]) == (2, 1000)


async def test_an_empty_store_is_known_to_be_empty(store: "WatchedStore") -> None:
    catalogue = Catalogue(store)
    await catalogue.refresh()
    assert (catalogue.known, len(catalogue)) == (True, 0)


async def test_a_new_symbol_is_known_after_the_next_listing(store: "WatchedStore") -> None:
    catalogue = Catalogue(store)
    await catalogue.refresh()
    await store.publish("ETHUSDT", 5, 160)
    assert catalogue.limits("ETHUSDT") is None
    await catalogue.refresh()
    assert catalogue.limits("ETHUSDT") == (5,)


async def test_a_failed_listing_leaves_what_was_known(store: "WatchedStore") -> None:
    await store.publish("ETHUSDT", 5, 160)
    catalogue = Catalogue(store)
    await catalogue.refresh()
    store.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await catalogue.refresh()
    assert catalogue.known
    assert catalogue.limits("ETHUSDT") == (5,)


async def test_a_listing_that_breaks_off_is_not_believed(
    store: "WatchedStore", monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish("ETHUSDT", 5, 160)
    catalogue = Catalogue(store)
    await catalogue.refresh()

    async def half(prefix: str) -> AsyncIterator[Entry]:
        yield Entry(prefix + "BTCUSDT&limit=5", '"x"', 1, 0)
        raise StoreUnavailable("cut")

    monkeypatch.setattr(store, "list", half)
    with pytest.raises(StoreUnavailable):
        await catalogue.refresh()
    assert catalogue.limits("ETHUSDT") == (5,)
    assert catalogue.limits("BTCUSDT") is None


async def test_a_listing_that_does_not_end_is_given_up(
    store: "WatchedStore", clock: "StillClock", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(prefix: str) -> AsyncIterator[Entry]:
        await clock.sleep(3600)
        yield Entry(prefix, '"x"', 1, 0)

    monkeypatch.setattr(store, "list", endless)
    catalogue = Catalogue(store, timeout_s=0.01)
    with pytest.raises(StoreUnavailable, match=r"within 0\.01 s"):
        await catalogue.refresh()
    assert not catalogue.known


async def test_a_long_listing_lets_others_have_their_turn(
    store: "WatchedStore", monkeypatch: pytest.MonkeyPatch
) -> None:
    symbols = 4 * AT_ONCE

    async def many(prefix: str) -> AsyncIterator[Entry]:
        for n in range(symbols):
            yield Entry(f"{prefix}S{n}&limit=5", '"x"', 1, 0)

    monkeypatch.setattr(store, "list", many)
    catalogue = Catalogue(store)
    refreshing = asyncio.create_task(catalogue.refresh())
    turns = 0
    while not refreshing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 4
    assert len(catalogue) == symbols


async def test_foreign_keys_are_passed_over_and_told(store: "WatchedStore") -> None:
    await store.publish("ETHUSDT", 5, 160)
    for n in range(12):
        await store.put(f"api/v3/depth?symbol=eth{n:02}&limit=5", b"", {})
    await store.put("fleet/r1.json", b"", {})
    catalogue = Catalogue(store)
    await catalogue.refresh()
    assert len(catalogue) == 1
    assert catalogue.foreign_keys == tuple(f"api/v3/depth?symbol=eth{n:02}&limit=5" for n in range(10))
