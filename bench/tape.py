"""``python -m bench.tape``: what recording costs beside publishing, and what the tape weighs.

The captured 650 s of ETHUSDT (a made-up market where the capture is not beside the checkout) go through a
keeper and are published as a replica publishes: each file when its cadence has it due, rendered from the book
and written under a condition over HTTP to a sink in another process. Turns with a recorder at its tap and
turns without one alternate; the difference of their CPU time, all threads included, is what recording
costs: the recorder's part in each diff, and Parquet made and written to the same sink. The publisher's own
waiting and deciding are left out, which makes recording's share look larger than it is.

Beside it: the bytes of the tape, of the same diffs as gzipped lines of JSON, and of the files published. The
last line is one line of JSON.
"""

import argparse
import asyncio
import gzip
import json
import statistics
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from bench.flow import Flow, recorded, synthetic
from bench.sink import started
from depthcast.events import Snapshot
from depthcast.exit import run
from depthcast.files import CONTENT_TYPE, LIMITS, FileInfo
from depthcast.keeper import Keeper
from depthcast.store import PutResult, Store
from depthcast.store.memory import MemoryStore
from depthcast.store.s3 import S3Store
from updater.cadence import Cadence
from updater.metrics import Metrics
from updater.tape.recorder import Recorder

METADATA: Final = FileInfo(
    1, 5000, 5000, False, False, 1_700_000_000_000, 1_700_000_000_000, "x"
).to_metadata()


class Turn(NamedTuple):
    """CPU microseconds a diff, and bytes written as files and as tape."""

    cpu_us: float
    files: int
    tape: int
    segments: int


class Counting(MemoryStore):
    """Keeps the tape's objects, and writes them where files are written, too."""

    def __init__(self, to: Store) -> None:
        super().__init__()
        self._to = to
        self.segments: dict[str, int] = {}

    async def put_if(self, key: str, body: bytes, **more: object) -> PutResult:
        if key.endswith(".parquet"):
            self.segments[key] = len(body)
        await self._to.put_if(f"{key}/{len(self.segments)}", body, match=None)
        return await super().put_if(key, body, **more)  # type: ignore[arg-type]


class Feed:
    """A subscription that is there."""

    def subscribe(self, symbols: object) -> None: ...
    def unsubscribe(self, symbols: object) -> None: ...
    def renew(self, symbols: object) -> None: ...
    def live(self, symbol: str) -> bool:
        return True

    def heard_age_s(self, symbol: str) -> float | None:
        return 0.0


class Venue:
    """The book that the flow begins with."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot:
        return self._flow.snapshot


class Turns:
    """Plays a flow, recorded or not."""

    def __init__(self, flow: Flow, store: Store) -> None:
        self._flow = flow
        self._store = store
        self._turns = 0

    async def play(self, *, taped: bool) -> Turn:
        """Publish the whole flow as fast as it goes; its own times decide what is due."""
        self._turns += 1
        now_ms = self._flow.diffs[0].event_time_ms
        tape = Counting(self._store)
        recorder: Recorder | None = None

        async def begin() -> None: ...

        if taped:
            recorder = Recorder(
                tape,
                ("all",),
                venue="binance",
                replica="bench",
                observer=Metrics(),
                rank=lambda symbol: 0,
                streams=lambda symbol: True,
                books=lambda: keeper.books,
                begin=begin,
                clock=lambda: now_ms / 1000,
                wall_ms=lambda: now_ms,
            )
        keeper = Keeper(
            lambda take, lost: Feed(),
            Venue(self._flow),
            on_change=lambda live: None,
            tap=recorder,
            refill_below=1,
            clock=lambda: now_ms / 1000,
        )
        symbol = self._flow.diffs[0].symbol
        keeper.subscribe([symbol])
        live, cadence = keeper.books[symbol], Cadence()
        async with asyncio.timeout(30):
            while not live.live:  # noqa: ASYNC110 # a keeper tells nobody
                await asyncio.sleep(0.001)
        every_ms = {limit: cadence.every_s(limit) * 1000 for limit in LIMITS}
        wrote_at = dict.fromkeys(LIMITS, float("-inf"))
        etags: dict[int, str | None] = dict.fromkeys(LIMITS)
        files = 0

        async def write(limit: int, body: bytes) -> None:
            result = await self._store.put_if(
                f"turn{self._turns}/{limit}",
                body,
                match=etags[limit],
                metadata=METADATA,
                content_type=CONTENT_TYPE,
            )
            etags[limit] = result.etag

        began = time.process_time()
        for number, diff in enumerate(self._flow.diffs):
            now_ms = diff.event_time_ms
            keeper.take(diff)
            assert live.book is not None
            due = [limit for limit in LIMITS if now_ms - wrote_at[limit] >= every_ms[limit]]
            bodies = live.book.bodies(due)
            files += sum(map(len, bodies))
            wrote_at |= dict.fromkeys(due, now_ms)
            await asyncio.gather(*map(write, due, bodies))
            if recorder is not None and number % 10 == 0:
                recorder.tick()
        if recorder is not None:
            await recorder.finish(60)
        took = time.process_time() - began
        await keeper.close()
        sizes = tape.segments.values()
        return Turn(took * 1e6 / len(self._flow.diffs), files, sum(sizes), len(sizes))


def json_lines(flow: Flow) -> int:
    """Bytes of the diffs as the exchange sends them, a line each, gzipped a minute at a time."""
    minutes: dict[int, list[bytes]] = {}
    for diff in flow.diffs:
        frame = {"e": "depthUpdate", "E": diff.event_time_ms, "s": diff.symbol, "U": diff.first}
        line = orjson.dumps({**frame, "u": diff.last, "b": diff.bids, "a": diff.asks})
        minutes.setdefault(diff.event_time_ms // 60_000, []).append(line)
    return sum(len(gzip.compress(b"\n".join(lines), 6)) for lines in minutes.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.tape", description=str(__doc__).splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a short piece: a check that it runs, not a figure"
    )
    quick: bool = parser.parse_args(argv).quick
    diffs, pairs = (700, 1) if quick else (6_400, 3)
    flow = recorded(diffs=diffs) or synthetic(seed=1, diffs=diffs)
    # What a snapshot has already is no part of what follows it.
    flow = Flow(
        flow.name, flow.snapshot, [diff for diff in flow.diffs if diff.last > flow.snapshot.update_id]
    )
    plain, taped = [], []
    with started() as aws:

        async def all_turns() -> None:
            store = S3Store("depthcast", aws=aws, max_in_flight=16)
            turns = Turns(flow, store)
            await turns.play(taped=True)
            for _ in range(pairs):
                plain.append(await turns.play(taped=False))
                taped.append(await turns.play(taped=True))
            await store.close()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(all_turns())
    publishing = statistics.median(turn.cpu_us for turn in plain)
    recording = statistics.median(
        with_.cpu_us - without.cpu_us for without, with_ in zip(plain, taped, strict=True)
    )
    hours = (flow.diffs[-1].event_time_ms - flow.diffs[0].event_time_ms) / 3_600_000
    lines = json_lines(flow)
    figures = {
        "publishing_us_a_diff": round(publishing, 1),
        "recording_us_a_diff": round(recording, 1),
        "recording_share": round(recording / publishing, 4),
        "tape_mb_a_symbol_hour": round(taped[-1].tape / hours / 1e6, 2),
        "gzip_json_mb_a_symbol_hour": round(lines / hours / 1e6, 2),
        "tape_vs_gzip_json": round(taped[-1].tape / lines, 3),
        "tape_vs_files": round(taped[-1].tape / taped[-1].files, 5),
        "bytes_a_diff": round(taped[-1].tape / len(flow.diffs)),
    }
    table = Table(
        title=f"Recording {flow.name}: {len(flow.diffs)} diffs, {taped[-1].segments} segments", box=None
    )
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:g}")
    Console().print(table)
    print(json.dumps({"bench": "tape", **figures}))
    return 0


if __name__ == "__main__":
    run(main)
