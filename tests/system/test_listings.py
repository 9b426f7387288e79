"""Products of a venue come, stand still and go while its updater and its server run: nothing begins anew."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from depthcast.files import COINBASE, FileInfo
from depthcast.metadata.kinds import trading_status
from simulator.coinbase.products import Product
from tests.system.test_coinbase_files import Audited, replica_of, running, serving, simulated, until

pytestmark = pytest.mark.timeout(120)


async def status_of(store: Audited, symbol: str) -> set[str]:
    """What the files of a product say that it does; empty where one is missing."""
    found = set()
    for level in COINBASE.limits:
        key = COINBASE.key(symbol, level)
        stored = await store.get(key)
        if stored is None:
            return set()
        found.add(FileInfo.from_metadata(key, stored.metadata).status)
    return found


async def says(store: Audited, symbol: str, status: str) -> None:
    """Wait until all files of a product say so, with a bound."""
    end = asyncio.get_running_loop().time() + 30
    while await status_of(store, symbol) != {status}:
        assert asyncio.get_running_loop().time() < end, await status_of(store, symbol)
        await asyncio.sleep(0.05)


async def told(client: httpx.AsyncClient, path: str) -> int:
    return (await client.get(path)).status_code


async def test_a_product_is_listed_stands_still_and_goes_without_a_restart(tmp_path: Path) -> None:
    async with simulated(tmp_path) as sim:
        store = Audited(sim)
        replica = replica_of(sim, store, "a", symbols="all")
        async with running(replica), serving(store) as client:
            await until(lambda: replica.report.ready)
            await says(store, "BTC-USD", "TRADING")
            sim.exchange.add(Product("NEW-USD", 2, 4))
            await says(store, "NEW-USD", "TRADING")
            sim.exchange.set_status("BTC-USD", "offline")
            await says(store, "BTC-USD", "OFFLINE")
            assert await status_of(store, "ETH-USD") == {"TRADING"}
            sim.exchange.set_status("BTC-USD", "online")
            await says(store, "BTC-USD", "TRADING")
            sim.exchange.set_status("NEW-USD", "delisted")
            await says(store, "NEW-USD", "DELISTED")
            derived = await store.get(trading_status(COINBASE).key)
            assert derived is not None
            statuses = {each["symbol"]: each for each in json.loads(derived.body)["symbols"]}
            assert statuses["BTC-USD"]["source"] == "products"
            assert {"SKL-BTC", "NEW-USD"} <= statuses.keys()
            for path in (
                "/products",
                "/products/NEW-USD",
                "/history/coinbaseexchange/products?symbol=NEW-USD",
            ):
                assert await told(client, path) == 200, path
            log = (await client.get("/history/coinbaseexchange/products?symbol=BTC-USD")).json()["changes"]
            went = [
                (each["from"], each["to"])
                for record in reversed(log)
                for each in record["changes"]
                if each["path"] == "symbols/BTC-USD/status"
            ]
            assert went == [("online", "offline"), ("offline", "online")]
