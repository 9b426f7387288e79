"""COIN-M futures from a running exchange to the server: bodies that name the contract and its pair."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import Any

from depthcast.files import SCHEMES, depth_key
from simulator.app import Simulator
from simulator.settings import Settings
from tests.conformance.world import ask, serving
from tests.system.test_mirror import Kept, proven, until
from updater.replica import Replica
from updater.settings import UpdaterSettings

SYMBOLS = ("BTCUSD_PERP", "ETHUSD_PERP")
LIMITS = (5, 100)
TIMES = re.compile(rb'"E":[0-9]+,"T":[0-9]+,')
COINM = SCHEMES["binancecoinm"]


@asynccontextmanager
async def updating(exchange: Simulator, store: Kept, name: str) -> Any:
    settings = UpdaterSettings(
        venue="binancecoinm",
        symbols=SYMBOLS,
        limits=LIMITS,
        replica=name,
        rest_url=exchange.rest_url,
        ws_url=exchange.ws_url,
    )
    replica = Replica(settings, store, prove=proven)
    task = asyncio.create_task(replica.run())
    try:
        yield replica
        replica.stop()
        await asyncio.wait_for(task, 30)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_file_is_the_exchanges_body_and_a_start_from_a_file_goes_on_with_it() -> None:
    store, seen = Kept(), dict[str, set[int]]()

    async def true_files(exchange: Simulator, more: int) -> None:
        for symbol in SYMBOLS:
            for limit in LIMITS:
                key = depth_key(symbol, limit, COINM)
                known = seen.setdefault(key, set())
                enough = len(known) + more

                async def checked(
                    key: str = key, symbol: str = symbol, limit: int = limit, enough: int = enough
                ) -> bool:
                    held = await store.get(key)
                    if held is not None:
                        update_id = json.loads(held.body)["lastUpdateId"]
                        true = exchange.truth.body(symbol, update_id, limit)
                        # A file that is fresh from a snapshot tells when that was put out, and at the very
                        # beginning nothing has changed yet.
                        assert TIMES.sub(b"", held.body) == TIMES.sub(b"", true)
                        seen[key].add(update_id)
                    return len(seen[key]) >= enough

                await until(checked)

    async with Simulator(Settings(coin_margined=True, symbols=SYMBOLS, depth=300, varied=False)) as exchange:
        async with updating(exchange, store, "a"):
            await true_files(exchange, 3)
        async with updating(exchange, store, "b"):
            await true_files(exchange, 3)
            async with serving(store, venues=("binancecoinm",)) as port:
                for path in ("/dapi/v1/depth", "/binancecoinm/dapi/v1/depth"):
                    got = await asyncio.to_thread(ask, port, f"GET {path}?symbol=btcusd_perp&limit=100")
                    assert list(json.loads(got.body)) == [
                        *("lastUpdateId", "symbol", "pair", "E", "T", "bids", "asks")
                    ]
                refused = await asyncio.to_thread(ask, port, "GET /dapi/v1/depth?symbol=BTCUSD_PERP&limit=7")
                assert json.loads(refused.body)["code"] == -4021
                listed = await asyncio.to_thread(ask, port, "GET /dapi/v1/exchangeInfo")
                assert {each["symbol"] for each in json.loads(listed.body)["symbols"]} == set(SYMBOLS)
