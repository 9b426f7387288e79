"""``python -m tests.fuzzing``: long campaigns, shown while they go on. Status 1: something was found.

``--minutes`` is divided among the targets chosen. A finding is told with its seed and its round, and the
command that makes the case again: ``--target NAME --seed S --first ROUND --rounds 1``.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from random import SystemRandom

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.fuzzing.campaign import Campaign, Report, Verdict, line
from tests.fuzzing.targets import TARGETS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaigns; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzzing", description="Fuzz what comes from outside."
    )
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only this one (repeatable)"
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="for all targets together (default: 3)")
    parser.add_argument("--seed", type=int, help="settles every case (default: drawn anew)")
    parser.add_argument("--rounds", type=int, help="so many rounds a target, instead of minutes")
    parser.add_argument("--first", type=int, default=0, help="the round to begin with (default: 0)")
    chosen = parser.parse_args(argv)
    names = chosen.target or list(TARGETS)
    seed = chosen.seed if chosen.seed is not None else SystemRandom().randrange(2**31)
    # What the server and its library log of malformed requests is their business.
    logging.getLogger().setLevel(logging.ERROR)
    console = Console(stderr=True)
    console.print(f"seed {seed}; what is found is told at the end, with how to see it again")
    reports: list[Report] = []
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        for name in names:
            seconds = chosen.minutes * 60 / len(names)
            bar = progress.add_task(name, total=chosen.rounds or seconds, told="")
            shown = _Shown(progress, bar, by_rounds=chosen.rounds is not None)
            campaign = Campaign(TARGETS[name](), seed, on_round=shown)
            if chosen.rounds is not None:
                work = campaign.run(chosen.rounds, first=chosen.first)
            else:
                work = campaign.run(first=chosen.first, seconds=seconds)
            reports.append(asyncio.run(work))
            shown.end(reports[-1])
    Console().print(_table(reports))
    for report in reports:
        for finding in report.findings:
            print(finding.told(), end="\n\n")
    print(line(reports))
    return 1 if any(report.findings for report in reports) else 0


class _Shown:
    """Moves one bar."""

    def __init__(self, progress: Progress, bar: TaskID, *, by_rounds: bool) -> None:
        self._progress = progress
        self._bar = bar
        self._by_rounds = by_rounds

    def __call__(self, report: Report) -> None:
        if report.rounds % 25 == 0:
            self._show(report)

    def end(self, report: Report) -> None:
        """The campaign is over."""
        self._show(report)
        self._progress.stop_task(self._bar)

    def _show(self, report: Report) -> None:
        done = report.rounds if self._by_rounds else report.seconds
        told = f"{report.rounds:,} rounds, {len(report.findings)} findings"
        self._progress.update(self._bar, completed=done, told=told)


def _table(reports: Sequence[Report]) -> Table:
    table = Table(title="fuzzing")
    for name in ("target", "rounds", "accepted", "rejected", "worst ms", "grown MiB", "findings"):
        table.add_column(name, justify="left" if name == "target" else "right")
    for report in reports:
        table.add_row(
            report.target,
            f"{report.rounds:,}",
            f"{report.counts[Verdict.ACCEPTED]:,}",
            f"{report.counts[Verdict.REJECTED]:,}",
            f"{report.worst_ms:,.0f}",
            f"{report.grown_bytes / 2**20:,.1f}",
            str(len(report.findings)),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
