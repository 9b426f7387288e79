"""``python -m bench.books``: books in one's own process, beside ccxt.pro's.

*Read*: the best 5, 100 and 5,000 levels as floats, copied, from a book of 5,300 levels a side that recorded
ETHUSDT diffs change in between (``read``), and read once more before the next change (``again``). ccxt.pro's
live book is copied in the two ways at hand: by slices, as its users do, and by the fastest loop there is.

*Messages*: recorded ETHUSDT frames, parsed and taken one by one into a book of 1,000 levels a side: from
memory, the book read at the end (``memory``) or its best five levels copied after each message (``reading``),
and through a websocket on the loopback interface from a process that has the next 50 ready (``socket``, read
at the end). Each party runs in a process of its own; how many a second one process sustains is by its CPU
time, through the socket also by the clock.

What both show is compared level by level first. The last line is one line of JSON; ratios above 1: ours is
faster. Without the capture beside the checkout, made-up diffs are used, and the output says so.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.book_reads import LIMITS, read_times
from bench.book_stream import Exchange, frames_of, load

PARTIES = ("depthcast", "ccxt")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.books", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: a check that it runs, not a figure")
    quick: bool = parser.parse_args(argv).quick
    console = Console()
    flow = load(quick=quick, levels=5_300)
    console.print(f"diffs: {flow.name}, {len(flow.diffs):,}")
    figures: dict[str, float] = {"recorded": float(flow.name == "recorded")}
    figures |= _reads(console, flow, rounds=20 if quick else 300)
    figures |= _messages(console, quick)
    print(json.dumps({"bench": "books"} | {name: round(figure, 2) for name, figure in figures.items()}))
    return 0


def _reads(console: Console, flow: Any, rounds: int) -> dict[str, float]:
    table = Table(title="read the best levels of both sides, copied, µs")
    for column in ("levels", "when", "depthcast", "ccxt.pro, fastest copy", "ccxt.pro, slices"):
        table.add_column(column, justify="left" if column == "when" else "right")
    figures = {}
    for limit in LIMITS:
        for when, times in read_times(flow, limit, rounds if limit < 1000 else max(3, rounds // 10)).items():
            middle = {party: statistics.median(measured) for party, measured in times.items()}
            table.add_row(
                str(limit), when, *(f"{middle[party]:.1f}" for party in ("depthcast", "fastest", "slices"))
            )
            figures[f"{when}_{limit}_us"] = middle["depthcast"]
            for way in ("fastest", "slices"):
                figures[f"{when}_{limit}_vs_ccxt_{way}"] = middle[way] / middle["depthcast"]
    console.print(table)
    return figures


def _messages(console: Console, quick: bool) -> dict[str, float]:
    rounds = 1 if quick else 5
    options = ["--quick"] if quick else []
    table = Table(title="messages a second in one process")
    for column in ("from", "depthcast", "ccxt.pro", "ratio"):
        table.add_column(column, justify="left" if column == "from" else "right")
    figures = {}
    for source in ("memory", "reading", "socket"):
        measured: dict[str, list[dict[str, float]]] = {party: [] for party in PARTIES}
        for _ in range(rounds):
            # They take turns, so that drift of the machine hits both alike.
            for party in PARTIES:
                measured[party].append(asyncio.run(_one(party, source, options)))
        for measure in ("clock", "cpu") if source == "socket" else ("cpu",):
            ours, theirs = ([each[measure] for each in measured[party]] for party in PARTIES)
            ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
            title = f"{source}, by {'the clock' if measure == 'clock' else 'CPU time'}"
            table.add_row(
                title, f"{statistics.median(ours):,.0f}", f"{statistics.median(theirs):,.0f}", f"{ratio:.2f}"
            )
            name = f"socket_{measure}" if source == "socket" else source
            figures[f"messages_{name}"] = statistics.median(ours)
            figures[f"messages_{name}_vs_ccxt"] = ratio
    console.print(table)
    return figures


async def _one(party: str, source: str, options: Sequence[str]) -> dict[str, float]:
    """One run of one party in a process of its own: messages a second, by the clock and by CPU time."""
    command = [sys.executable, "-m", "bench.book_parties", party, source, *options]
    if source != "socket":
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, timeout=300
        )
    else:
        flow = load(quick="--quick" in options, levels=1_000)
        async with Exchange(flow.snapshot, frames_of(flow)) as exchange:
            done = await asyncio.to_thread(
                subprocess.run,
                [*command, "--url", exchange.address],
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
    if done.returncode:
        sys.exit(f"{party} failed: {done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    sys.exit(main())
