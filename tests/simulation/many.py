"""Many runs, shared among processes, and what they add up to: a table, and a line of JSON.

A seed that breaks a promise is shown with how to replay it, and the status is 1 then.
"""

import json
import multiprocessing
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.run import Broken, run
from tests.simulation.speech import SPEECHES


@dataclass
class Total:
    """What many runs add up to."""

    seeds: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    writes: int = 0
    reads: int = 0
    most_writes_a_second: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    broken: dict[str, list[int]] = field(default_factory=dict)
    """The seeds that broke a promise, by promise."""

    def add(self, other: "Total") -> None:
        self.seeds += other.seeds
        self.virtual_s += other.virtual_s
        self.cpu_s += other.cpu_s
        self.writes += other.writes
        self.reads += other.reads
        self.most_writes_a_second = max(self.most_writes_a_second, other.most_writes_a_second)
        self.faults += other.faults
        for invariant, seeds in other.broken.items():
            self.broken.setdefault(invariant, []).extend(seeds)

    def as_json(self) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "virtual_hours": round(self.virtual_s / 3600, 2),
            "cpu_s": round(self.cpu_s, 1),
            "writes_checked": self.writes,
            "reads_checked": self.reads,
            "most_writes_a_second": round(self.most_writes_a_second, 2),
            "faults": dict(sorted(self.faults.items())),
            "broken": self.broken,
        }


def one(seed: int, minutes: float, venue: str) -> tuple[Total, str]:
    """One run as part of a total, and the story of what it broke."""
    began = time.process_time()
    try:
        result = run(seed, minutes, speech=SPEECHES[venue])
    except Broken as broken:
        spent_s = time.process_time() - began
        return Total(seeds=1, cpu_s=spent_s, broken={broken.invariant: [seed]}), str(broken)
    except Exception:
        # The simulation's own mistake is not to end all the other runs.
        return Total(seeds=1, broken={"crash": [seed]}), f"seed {seed}: {traceback.format_exc()}"
    spent_s = time.process_time() - began
    rate = result.writes_a_second
    return (
        Total(1, result.virtual_s, spent_s, result.writes_checked, result.reads_checked, rate, result.faults),
        "",
    )


def many(first: int, count: int, minutes: float, processes: int, venue: str) -> Iterator[tuple[Total, str]]:
    """The runs of ``count`` seeds from ``first`` on, as they end."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(
            partial(one, minutes=minutes, venue=venue), range(first, first + count), chunksize=4
        )


def report(total: Total, console: Console) -> None:
    """A table of it."""
    table = Table(
        "what", "how many", title=f"{total.seeds} seeds, {total.virtual_s / 3600:.1f} virtual hours"
    )
    table.columns[1].justify = "right"
    table.add_row("writes checked", f"{total.writes:,}")
    table.add_row("reads checked", f"{total.reads:,}")
    table.add_row(
        "most writes a second of a file, at one update a second", f"{total.most_writes_a_second:.2f}"
    )
    table.add_row("processor time, s", f"{total.cpu_s:,.0f}", end_section=True)
    for kind, happened in sorted(total.faults.items()):
        table.add_row(kind, f"{happened:,}")
    table.add_section()
    for invariant, seeds in sorted(total.broken.items()):
        table.add_row(f"broken: {invariant}", f"{len(seeds)}: {seeds[:5]}")
    console.print(table)


def long_run(hours: float, first: int, minutes: float, processes: int, at_most_s: float, venue: str) -> int:
    """Run so many virtual hours, or those that ``at_most_s`` of real time let; returns the exit status.

    SIGINT and SIGTERM end it with the table so far, also where it was started to ignore the former, as
    shells do with what runs in the background.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    console, total, end = Console(), Total(), time.monotonic() + at_most_s
    count = max(1, round(hours * 60 / minutes))
    bar = Progress(
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar, suppress(KeyboardInterrupt):
        task = bar.add_task("", total=count)
        for part, story in many(first, count, minutes, processes, venue):
            total.add(part)
            bar.advance(task)
            if story:
                console.print(story, highlight=False, markup=False, soft_wrap=True)
            if time.monotonic() >= end:
                break
    report(total, console)
    print(json.dumps(total.as_json()))
    return 1 if total.broken else 0
