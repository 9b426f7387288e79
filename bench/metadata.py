"""``python -m bench.metadata``: what was in force at a time, looked up in a year of history.

A script of changes (status, tick and lot sizes, listings) over a year is written as history, as a recorder
writes it, and then asked for at random times; each answer is compared with the script. In memory the year has
50,000 changes; in SeaweedFS, where each change is a request, fewer by default (``--stored``). A *large*
document is as long as Binance's whole list of symbols.

A second table is about recording such a list: a change in every other answer, each symbol with a file of its
own. It tells how long the event loop, which keeps the books of the same process, was kept waiting at most.
The last line is one line of JSON.
"""

import argparse
import asyncio
import gc
import json
import math
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from depthcast.exit import run
from depthcast.metadata.changes import Change, What
from depthcast.metadata.document import write_json
from depthcast.metadata.history import History
from depthcast.metadata.kinds import EXCHANGE_INFO
from depthcast.metadata.record import CONTENT_TYPE, HeadInfo, Record, Recorded, digest_of
from depthcast.metadata.recorder import Recorder
from depthcast.store import Outcome, Store
from depthcast.store.embedded import SeaweedFS
from depthcast.store.memory import MemoryStore
from depthcast.store.reading import ReadingS3Store

START_MS: Final = 1_763_000_000_000
YEAR_MS: Final = 365 * 86_400_000
SYMBOLS: Final = 20
LARGE_SYMBOLS: Final = 3_700
AT_ONCE: Final = 32
STATUSES: Final = ("TRADING", "HALT", "BREAK")


class Script(NamedTuple):
    """When which document came into force."""

    times: Sequence[int]
    digests: Sequence[str]


class Figures(NamedTuple):
    """Milliseconds a look-up, the most reads of one, and how many answers were not the script's."""

    place: str
    changes: int
    document_kb: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    reads: int
    wrong: int


def symbol(rng: Random, name: str) -> dict[str, Any]:
    """One symbol as long as Binance's are."""
    step = f"0.{10 ** rng.randrange(8):08d}"
    sizes = {"minQty": step, "maxQty": "9000.00000000", "stepSize": step}
    return {
        "symbol": name,
        "status": "TRADING",
        "baseAsset": name[:-4],
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", **sizes},
            {"filterType": "MARKET_LOT_SIZE", **sizes},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
        ],
        "permissions": [],
        "permissionSets": [["SPOT", *(f"TRD_GRP_{n:03d}" for n in range(4, 60))]],
    }


async def write_year(store: Store, changes: int, *, symbols: int, seed: int = 7) -> Script:
    """Write the history of a year, as a recorder does."""
    rng = Random(seed)
    held = {f"S{n}USDT": symbol(rng, f"S{n}USDT") for n in range(symbols)}
    times = sorted(rng.sample(range(START_MS, START_MS + YEAR_MS), changes))
    digests, previous = [], None
    writing: set[asyncio.Task[None]] = set()
    for sequence, time_ms in enumerate(times, 1):
        name = rng.choice(list(held))
        before = held[name]["status"]
        after = rng.choice([each for each in STATUSES if each != before])
        held[name] = {**held[name], "status": after}
        told = (Change(f"symbols/{name}/status", What.CHANGED, before, after),) if previous else ()
        document = write_json(
            {"timezone": "UTC", "serverTime": time_ms, "rateLimits": [], "symbols": list(held.values())}
        )
        digest = digest_of(document)
        record = Record(
            EXCHANGE_INFO.name, sequence, time_ms, None, "bench", digest, len(document), previous, told
        )
        previous = digest
        digests.append(digest)
        writing.add(asyncio.create_task(write(store, Recorded(record, document), head=sequence == changes)))
        if len(writing) >= AT_ONCE:
            done, writing = await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    await asyncio.gather(*writing)
    return Script(times, digests)


async def write(store: Store, recorded: Recorded, *, head: bool) -> None:
    """One change; the last one is the head, too."""
    record, packed = recorded.record, recorded.to_bytes()
    told = HeadInfo(
        record.sequence, record.observed_ms, record.sha256, "0" * 64, record.replica
    ).to_metadata()
    for key in (EXCHANGE_INFO.changes_folder + record.name, *([EXCHANGE_INFO.head_key] if head else [])):
        result = await store.put_if(key, packed, match=None, metadata=told, content_type=CONTENT_TYPE)
        assert result.outcome is Outcome.WON, result


async def look_up(place: str, store: Store, script: Script, asked: int) -> Figures:
    """Ask for random times of the year and an hour more."""
    rng, took, most, wrong = Random(1), [], 0, 0
    document = b""
    for _ in range(asked):
        time_ms = rng.randrange(script.times[0], START_MS + YEAR_MS + 3_600_000)
        history = History(store, EXCHANGE_INFO)
        began = time.perf_counter()
        found = await history.at(time_ms)
        took.append((time.perf_counter() - began) * 1000)
        most = max(most, history.reads)
        assert found is not None
        document = found.document
        in_force = script.digests[bisect_right(script.times, time_ms) - 1]
        wrong += digest_of(found.document) != in_force
    took.sort()
    return Figures(
        place,
        len(script.times),
        math.ceil(len(document) / 1000),
        statistics.median(took),
        took[math.ceil(len(took) * 0.99) - 1],
        took[-1],
        most,
        wrong,
    )


class Recording(NamedTuple):
    """How long an offer takes until all of it is written, and how late the event loop was at most then: in
    the middle one of all offers, and in the worst."""

    what: str
    median_ms: float
    usually_late_ms: float
    late_ms: float


async def record_large(offers: int, symbols: int = LARGE_SYMBOLS) -> list[Recording]:
    """Offers of a large list to a recorder that keeps a file for each symbol."""
    rng = Random(7)
    held = {f"S{n}USDT": symbol(rng, f"S{n}USDT") for n in range(symbols)}
    names = frozenset(held)
    store, now_ms = MemoryStore(), START_MS
    # What is held here no updater holds: the collector is not to look at it.
    gc.collect()
    gc.freeze()
    recorder = Recorder(store, EXCHANGE_INFO, replica="bench", cuts=lambda: names, wall_ms=lambda: now_ms)
    lag = Lag()
    watching = asyncio.create_task(lag.watch())
    figures: dict[str, list[tuple[float, float]]] = {}
    for number in range(-1, offers):
        for what in ("changed", "unchanged"):
            now_ms += 60_000
            if what == "changed":
                name = f"S{number % symbols}USDT"
                held[name] = {**held[name], "status": STATUSES[1 + number // symbols % 2]}
            document = write_json(
                {"timezone": "UTC", "serverTime": now_ms, "rateLimits": [], "symbols": list(held.values())}
            )
            await asyncio.sleep(0.05)
            lag.most_s = 0.0
            began = time.perf_counter()
            await recorder.offer(document, now_ms)
            took_s = time.perf_counter() - began
            await asyncio.sleep(0.02)
            if number >= 0:  # the first one writes every symbol's file
                figures.setdefault(what, []).append((took_s * 1000, lag.most_s * 1000))
    watching.cancel()
    return [
        Recording(
            what,
            statistics.median(took for took, _ in each),
            statistics.median(late for _, late in each),
            max(late for _, late in each),
        )
        for what, each in figures.items()
    ]


class Lag:
    """How late a timer of this event loop was at most, in seconds, since ``most_s`` was set to 0."""

    def __init__(self) -> None:
        self.most_s = 0.0

    async def watch(self, every_s: float = 0.002) -> None:
        """Look until cancelled."""
        while True:
            due = time.perf_counter() + every_s
            await asyncio.sleep(every_s)
            self.most_s = max(self.most_s, time.perf_counter() - due)


async def measure(
    changes: int, asked: int, stored: int, folder: Path, large: int = LARGE_SYMBOLS
) -> list[Figures]:
    """All figures."""
    memory = MemoryStore()
    script = await write_year(memory, changes, symbols=SYMBOLS)
    figures = [await look_up("memory", memory, script, asked)]
    memory = MemoryStore()
    script = await write_year(memory, 20, symbols=large)
    figures.append(await look_up("memory_large", memory, script, min(asked, 100)))
    if stored:
        seaweedfs = SeaweedFS(folder)
        await asyncio.to_thread(seaweedfs.start)
        try:
            store = ReadingS3Store("depthcast", aws=seaweedfs.aws)
            script = await write_year(store, stored, symbols=SYMBOLS)
            figures.append(await look_up("seaweedfs", store, script, min(asked, 1000)))
            await store.close()
        finally:
            await asyncio.to_thread(seaweedfs.stop)
    return figures


def table(figures: Sequence[Figures]) -> Table:
    """For people."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("store", "changes", "document", "p50", "p99", "most", "reads", "wrong answers"):
        shown.add_column(heading, justify="left" if heading == "store" else "right")
    for each in figures:
        times = [f"{value:.2f} ms" for value in (each.p50_ms, each.p99_ms, each.most_ms)]
        shown.add_row(
            each.place, f"{each.changes}", f"{each.document_kb} kB", *times, f"{each.reads}", f"{each.wrong}"
        )
    return shown


def recording_table(figures: Sequence[Recording]) -> Table:
    """For people."""
    shown = Table(box=None, pad_edge=False)
    headings = ("a list of 3,700 symbols", "offered and settled", "event loop late at most", "in the worst")
    for heading in headings:
        shown.add_column(heading, justify="left" if not shown.columns else "right")
    for each in figures:
        times = (each.median_ms, each.usually_late_ms, each.late_ms)
        shown.add_row(each.what, *(f"{value:.1f} ms" for value in times))
    return shown


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.metadata", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--changes", type=int, default=50_000, help="changes of the year in memory")
    parser.add_argument("--asked", type=int, default=10_000, help="random times")
    parser.add_argument("--stored", type=int, default=5_000, help="changes in SeaweedFS; 0: not measured")
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything")
    parser.add_argument("--only", choices=("lookups", "recording"), help="one of the two tables alone")
    given = parser.parse_args()
    part = 100 if given.quick else 1
    large = LARGE_SYMBOLS // part
    figures: list[Figures] = []
    recordings: list[Recording] = []
    if given.only != "recording":
        with tempfile.TemporaryDirectory() as folder:
            figures = uvloop.run(
                measure(given.changes // part, given.asked // part, given.stored // part, Path(folder), large)
            )
    if given.only != "lookups":
        recordings = uvloop.run(record_large(max(2, 40 // part), large))
    console = Console(highlight=False)
    for shown in (
        *([table(figures)] if figures else ()),
        *([recording_table(recordings)] if recordings else ()),
    ):
        console.print(shown)
    told: dict[str, float | str] = {"bench": "metadata", "wrong": sum(each.wrong for each in figures)}
    for each in figures:
        told |= {
            f"{name}_{each.place}": getattr(each, name) for name in ("p50_ms", "p99_ms", "most_ms", "reads")
        }
    for recording in recordings:
        told |= {
            f"offer_ms_{recording.what}": recording.median_ms,
            f"usually_late_ms_{recording.what}": recording.usually_late_ms,
            f"late_ms_{recording.what}": recording.late_ms,
        }
    print(json.dumps(told))
    return int(told["wrong"] != 0)


if __name__ == "__main__":
    run(main)
