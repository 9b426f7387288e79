"""``python -m bench.capacity``: how many symbols one replica carries on one core, and what bounds it.

A simulated exchange in a process of its own sends, for each symbol, ten diffs a second of 46 levels on
average, on books of 6,000 levels a side. This process is the replica, in four stages that each add one of its
parts; its CPU time (user and system, all threads, on one core) is divided by the diffs it took. In the last
stage it writes over HTTP to a sink that answers at once; what the embedded SeaweedFS takes on this machine is
measured in bursts of its own. Then a point is verified: :data:`HEADROOM` of the symbols that the figure
promises, all at once, as far as the exchange and the sink on the other core can follow. The last line is one
line of JSON.
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from bench.sink import started
from bench.stages import CountingStore, Exchange, Stage, Turn, feed_alone, measure, with_keeper, with_replica
from depthcast import logs
from depthcast.exit import run
from depthcast.store.aws import Aws
from depthcast.store.embedded import SeaweedFS
from depthcast.store.s3 import S3Store

RATE: Final = 10
"""Diffs a symbol and second."""

HEADROOM: Final = 0.8
"""The part of the promised symbols that is verified."""

BUCKET: Final = "depthcast"
WRITERS: Final = 16
SMALL: Final = 3_000
LARGE: Final = 300_000

_READY = re.compile(r"simulator ready: rest=(\S+) ws=(\S+) ")


class Scale(NamedTuple):
    """How much is measured. ``verified``: symbols of the verified point, where the figure does not say."""

    symbols: int
    depth: int
    settle_s: float
    seconds: float
    burst_s: float
    verified: int | None


FULL: Final = Scale(symbols=20, depth=6_000, settle_s=3.0, seconds=12.0, burst_s=4.0, verified=None)
QUICK: Final = Scale(symbols=2, depth=500, settle_s=0.2, seconds=0.8, burst_s=0.4, verified=3)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a check that it runs, not a figure")
    scale = QUICK if parser.parse_args(argv).quick else FULL
    logs.configure(level="warning")
    console = Console()
    with _one_core():
        turns, put_bytes = _stages(scale)
        console.print(_table(turns))
        whole = turns["+ S3 client"]
        one_core = 1e6 / RATE / whole.cpu_us
        point = _all_at_once(scale, scale.verified or max(1, int(HEADROOM * one_core)))
    small_rate, large_rate = _bursts(scale.burst_s)  # the store may use all cores, as it does in life
    one_store = _symbols_of_store(small_rate, large_rate, whole.puts_rate, put_bytes)
    console.print(
        f"A symbol costs {whole.puts_rate:.0f} writes and {whole.puts_rate * put_bytes / 1e6:.2f} MB a"
        f" second. One core carries {one_core:.0f} symbols; SeaweedFS on this machine takes {small_rate:,.0f}"
        f" writes a second of 3 kB or {large_rate:,.0f} of 300 kB, which is {one_store:.0f} symbols."
        f" {'The store' if one_store < one_core else 'The updater'} is the bound."
    )
    console.print(
        f"Verified: {point.symbols} symbols at once had {point.rate:.1f} updates and {point.puts_rate:.0f}"
        f" writes a second each, at {point.busy:.0%} of a core; timers were {point.lag_ms(0.5):.1f} ms late"
        f" in the median, {point.lag_ms(0.99):.0f} ms in 1 of 100"
        + ("." if point.rate > 0.97 * RATE else "; the other core, with exchange and sink, sent no more.")
    )
    costs = [turn.cpu_us for turn in turns.values()]
    shares = [(cost - before) / costs[-1] for before, cost in zip([0.0, *costs], costs, strict=False)]
    figures = {
        "symbols_one_core": one_core,
        "cpu_us_an_update": whole.cpu_us,
        **dict(zip(("feed_share", "keeper_share", "publisher_share", "client_share"), shares, strict=True)),
        "puts_a_symbol_second": whole.puts_rate,
        "mb_a_symbol_second": whole.puts_rate * put_bytes / 1e6,
        "seaweedfs_3kB_puts_a_second": small_rate,
        "seaweedfs_300kB_puts_a_second": large_rate,
        "symbols_one_seaweedfs": one_store,
        "verified_symbols": point.symbols,
        "verified_updates_a_symbol_second": point.rate,
        "verified_core_share": point.busy,
        "verified_lag_p99_ms": point.lag_ms(0.99),
    }
    print(json.dumps({"bench": "capacity"} | {name: round(value, 3) for name, value in figures.items()}))
    return 0


# What is measured


def _stages(scale: Scale) -> tuple[dict[str, Turn], float]:
    """The turn of each stage, by its name; and the mean size of a file, in bytes."""
    memory = CountingStore()
    with _exchange(scale.symbols, scale.depth) as exchange, started(_elsewhere) as aws:
        stages: dict[str, Callable[[], Stage]] = {
            "feed": lambda: feed_alone(exchange),
            "+ keeper": lambda: with_keeper(exchange),
            "+ publishers": lambda: with_replica(exchange, memory),
            "+ S3 client": lambda: with_replica(exchange, S3Store(BUCKET, aws=aws)),
        }
        turns = {
            name: measure(stage, scale.symbols, settle_s=scale.settle_s, seconds=scale.seconds)
            for name, stage in stages.items()
        }
    return turns, memory.bytes / memory.puts


def _all_at_once(scale: Scale, symbols: int) -> Turn:
    """The whole replica with so many symbols."""
    with _exchange(symbols, scale.depth) as exchange, started(_elsewhere) as aws:
        return measure(
            lambda: with_replica(exchange, S3Store(BUCKET, aws=aws)),
            symbols,
            settle_s=scale.settle_s,
            seconds=scale.seconds,
        )


def _bursts(seconds: float) -> tuple[float, float]:
    """How many small and large files an embedded SeaweedFS takes in a second."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SeaweedFS(Path(folder), bucket=BUCKET) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        small, large = (runner.run(_burst(server.aws, size, seconds)) for size in (SMALL, LARGE))
    return small, large


async def _burst(aws: Aws, size: int, seconds: float) -> float:
    store = S3Store(BUCKET, aws=aws)
    body = os.urandom(size)
    begun = time.perf_counter()

    async def writer(number: int) -> int:
        etag: str | None = None
        for written in itertools.count(1):
            etag = (await store.put_if(f"burst/{size}/{number}", body, match=etag)).etag
            if etag is None:
                raise RuntimeError("a write was not won")
            if time.perf_counter() - begun > seconds:
                return written
        raise AssertionError("counting does not end")

    writes = await asyncio.gather(*map(writer, range(WRITERS)))
    took_s = time.perf_counter() - begun
    await store.close()
    return sum(writes) / took_s


def _symbols_of_store(small_rate: float, large_rate: float, puts: float, put_bytes: float) -> float:
    """How many symbols a store takes, if a write costs it a fixed time and some for each byte."""
    a_byte_s = max(0.0, (1 / large_rate - 1 / small_rate) / (LARGE - SMALL))
    fixed_s = 1 / small_rate - SMALL * a_byte_s
    return 1 / (puts * (fixed_s + put_bytes * a_byte_s))


# The other end, and the cores


@contextmanager
def _exchange(symbols: int, depth: int) -> Iterator[Exchange]:
    """A simulator as a child, with no limit to what one may ask of it."""
    command = ["-m", "simulator", "--listen=127.0.0.1:0", "--uniform", "--history=2"]
    names = tuple(f"BENCH{number}USDT" for number in range(symbols))
    command += [
        f"--symbols={','.join(names)}",
        f"--depth={depth}",
        f"--rate={RATE}",
        "--weight-limit=10000000",
    ]
    child = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        _elsewhere(child.pid)
        ready = _READY.match(child.stdout.readline())
        if ready is None:
            raise RuntimeError("the simulator did not start")
        yield Exchange(ready[1], ready[2], names)
    finally:
        child.terminate()
        child.wait(10)


@contextmanager
def _one_core() -> Iterator[None]:
    """This thread, and those that it starts, on the first core only, where the system can be told so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _elsewhere(pid: int) -> None:
    """Put a child on the other cores, where there are any."""
    if hasattr(os, "sched_setaffinity"):
        others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
        if others:
            os.sched_setaffinity(pid, others)


def _table(turns: Mapping[str, Turn]) -> Table:
    *_, whole = turns.values()
    table = Table(title=f"One replica on one core: {whole.symbols} symbols with {RATE} updates a second each")
    for column in (
        "stage",
        "µs an update",
        "share",
        "symbols a core",
        "PUTs a symbol",
        "lag p50/p99, ms",
    ):
        table.add_column(column, justify="left" if column == "stage" else "right")
    before_us = 0.0
    for name, turn in turns.items():
        table.add_row(
            name,
            f"{turn.cpu_us:,.0f}",
            f"{(turn.cpu_us - before_us) / whole.cpu_us:.0%}",
            f"{1e6 / RATE / turn.cpu_us:,.0f}",
            f"{turn.puts_rate:.1f}",
            f"{turn.lag_ms(0.5):.1f} / {turn.lag_ms(0.99):.1f}",
        )
        before_us = turn.cpu_us
    return table


if __name__ == "__main__":
    run(main)
