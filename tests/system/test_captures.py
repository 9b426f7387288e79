"""Real input: captured messages of Binance and Binance.US, from the simulated sockets to the answers.

Each diff is let through only when the one before it is in the store, so that there is a file at every id at
which a captured ``bookTicker`` can be compared with its top.
"""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from depthcast.store import Store, open_store
from simulator.app import Simulator
from simulator.settings import Settings
from tests.system.audit import Audited, Auditor, auditor_of
from tests.system.replicas import running_replica
from tests.system.servers import running_server
from tests.system.waiting import until
from updater.replica import Replica

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TOP = 5

pytestmark = [
    pytest.mark.captures,
    pytest.mark.store_process,
    pytest.mark.timeout(280),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no captured exchange data beside the checkout ({DATA})"),
]


class Capture(NamedTuple):
    """Files of one stretch, its symbols, how many bookTickers have the id of a diff after the snapshot."""

    files: tuple[str, ...]
    symbols: int
    tickers: int


CAPTURES = {
    "ETHUSDT": Capture(
        (
            "binance_spot/hftbacktest_spot_ethusdt_20240808.gz",
            "binance_spot/hftbacktest_spot_ethusdt_20240809.gz",
        ),
        1,
        1056,
    ),
    "Binance April 2021": Capture(
        ("binance_spot/cf_20210417_ws.txt.gz", "binance_spot/cf_20210417_rest_depth.txt.gz"), 10, 199
    ),
    "Binance August 2021": Capture(
        ("binance_spot/cf_20210814_ws.txt.gz", "binance_spot/cf_20210814_rest_depth.txt.gz"), 4, 96
    ),
    "USD-M futures April 2021": Capture(
        ("binance_usdm/cf_20210417_ws.txt.gz", "binance_usdm/cf_20210417_rest_depth.txt.gz"), 4, 86
    ),
    "Binance.US April 2021": Capture(
        ("binance_us/cf_20210417_ws.txt.gz", "binance_us/cf_20210417_rest_depth.txt.gz"), 10, 174
    ),
}


def tickers(files: tuple[str, ...]) -> Iterator[tuple[str, int, list[str], list[str]]]:
    """(symbol, id, best bid, best ask) of every captured bookTicker, read without the simulator."""
    for name in files:
        with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                if "@bookTicker" in line and '"data"' in line:
                    data = json.loads(line[line.index("{") :])["data"]
                    yield data["s"], data["u"], [data["b"], data["B"]], [data["a"], data["A"]]


def diff_ids(files: tuple[str, ...]) -> set[tuple[str, int]]:
    """(symbol, ``u``) of every captured diff."""
    found = set()
    for name in files:
        with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                if '"depthUpdate"' in line:
                    data = json.loads(line[line.index("{") :])["data"]
                    found.add((data["s"], data["u"]))
    return found


@pytest.mark.parametrize("name", CAPTURES)
async def test_every_file_of_a_capture_is_the_true_book(name: str, s3_bucket: Mapping[str, str]) -> None:
    capture = CAPTURES[name]
    futures = "usdm" in capture.files[0]
    settings = Settings(captures=tuple(DATA / file for file in capture.files), history_s=1e9, futures=futures)
    store = open_store(s3_bucket["DEPTHCAST_STORE_URL"], s3_bucket)
    async with Simulator(settings, manual=True) as sim:
        auditor = auditor_of(sim)
        auditor.keep_limit = TOP
        async with (
            replica_of(sim, Audited(store, auditor)) as replica,
            running_server(s3_bucket, "--symbols-refresh-s", "0.5", "--venues", auditor.scheme.venue) as url,
        ):
            symbols = sorted(sim.exchange.instruments)
            assert len(symbols) == capture.symbols
            reading = asyncio.ensure_future(read_answers(url, symbols, auditor))
            await play(sim, auditor)
            await until(lambda: auditor.answers > 100 or reading.done(), 60)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            books = replica.report.status()["symbols"]
            assert [(book["state"], book["resyncs"]) for book in books] == [("live", 0)] * capture.symbols
    await store.close()

    compared = 0
    ends = diff_ids(capture.files)
    first = {symbol: min(key[2] for key in auditor.bodies if key[0] == symbol) for symbol in symbols}
    for symbol, update_id, bid, ask in tickers(capture.files):
        if (symbol, update_id) not in ends or update_id <= first[symbol]:
            continue
        file = json.loads(auditor.bodies[symbol, TOP, update_id])
        assert (file["bids"][0], file["asks"][0]) == (bid, ask), (symbol, update_id)
        compared += 1
    print(f"{name}: {auditor.checked.total()} files and answers, {auditor.answers} answers, {compared} tops")
    assert compared == capture.tickers
    assert auditor.shorter == 0
    assert auditor.answers > 100


@contextlib.asynccontextmanager
async def replica_of(sim: Simulator, store: Store) -> AsyncIterator[Replica]:
    """A replica of all symbols of ``sim``, subscribed."""
    urls = ("--rest-url", sim.rest_url, "--ws-url", sim.ws_url)
    # A file for each id, also where the top did not change.
    # Of futures a snapshot has as many levels as the largest file, which then gets shorter as they go.
    largest = "500" if sim.exchange.futures else "5000"
    pace = ("--limits", f"5,100,{largest}", "--same-levels-ms", "0")
    venue = ("--venue", "binanceusdm") if sim.exchange.futures else ()
    async with running_replica(store, "--symbols", "all", *urls, *pace, *venue) as replica:
        symbols = set(sim.exchange.instruments)
        await until(
            lambda: any(
                all(connection.listens_to(symbol) for symbol in symbols)
                for connection in sim.exchange.connections.values()
            )
        )
        yield replica


async def play(sim: Simulator, auditor: Auditor) -> None:
    """Play the capture to its end, each message when the files of the one before are written."""
    instruments = sim.exchange.instruments
    while not sim.captures_done:
        before = {symbol: instrument.sent_id for symbol, instrument in instruments.items()}
        await sim.play_next()
        for symbol, instrument in instruments.items():
            if instrument.sent_id != before[symbol]:
                await auditor.reached(symbol, TOP, instrument.sent_id)


async def read_answers(url: str, symbols: list[str], auditor: Auditor) -> None:
    """Ask the server for any symbol and limit, over and over: its answers too are true, and never go back."""
    seen: dict[tuple[str, int], int] = {}
    async with aiohttp.ClientSession() as session:
        while True:
            for symbol in symbols:
                for limit in (
                    TOP,
                    10 if auditor.scheme.refusal(7) else 7,
                    100,
                    1000,
                    auditor.scheme.max_limit,
                ):
                    async with session.get(
                        f"{url}/{auditor.scheme.root}depth", params={"symbol": symbol, "limit": limit}
                    ) as answer:
                        body = await answer.read()
                    if answer.status != 200:
                        # Not yet published: the symbol, the file that the limit is cut from, or any so large.
                        refusal = (answer.status, json.loads(body)["code"])
                        assert refusal in ((400, -1121), (503, -1001), (400, -1130)), body
                        assert (symbol, limit) not in seen
                        continue
                    update_id = json.loads(body)["lastUpdateId"]
                    auditor.check_body(symbol, limit, update_id, body)
                    auditor.answers += 1
                    assert update_id >= seen.get((symbol, limit), 0), "the server went back"
                    seen[symbol, limit] = update_id
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.02)
