"""``python -m soak``: a run, shown while it goes on. Status 1: something did not hold; 2: wrong arguments."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from depthcast.errors import DepthcastError
from depthcast.exit import run as run_and_leave
from soak import plot, report
from soak.run import Run, Screen
from soak.settings import Settings, parse_arguments
from soak.verdict import Finding

REFRESH_S = 0.5


class Live(Screen):
    """A progress bar with what was found so far, and a line for each disturbance."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.run: Run | None = None
        self._progress = Progress(
            TextColumn("[bold]{task.description:<20}"),
            BarColumn(24),
            TextColumn("{task.fields[found]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task: TaskID | None = None
        self._begun = 0.0

    def __enter__(self) -> "Live":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def phase(self, name: str, seconds: float) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=seconds, found="")
        self._begun = asyncio.get_running_loop().time()
        if not self._console.is_terminal:
            self._console.print(f"{name} …")

    def line(self, text: str) -> None:
        self._console.print(text, highlight=False)

    async def keep_up(self) -> None:
        """Show how far it is until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(REFRESH_S)
            if self._task is not None and self.run is not None:
                self._progress.update(
                    self._task, completed=loop.time() - self._begun, found=self._found(self.run)
                )

    @staticmethod
    def _found(run: Run) -> str:
        auditor = run.auditor
        ages = [age for age in map(auditor.age_s, auditor.files) if age is not None]
        violations = auditor.violation_count
        color = "red" if violations else "green"
        oldest = f", oldest file {max(ages):.1f} s" if ages else ""
        return f"{auditor.versions.total():,} versions, [{color}]{violations} violations[/]{oldest}"


async def go(run: Run, live: Live) -> None:
    """The run; SIGTERM ends it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    showing = asyncio.ensure_future(live.keep_up())
    try:
        await run.go()
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        loop.remove_signal_handler(signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    settings = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    console = Console()
    live = Live(console)
    run = live.run = Run(settings, live)
    status = 0
    try:
        with live, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(go(run, live))
    except (KeyboardInterrupt, asyncio.CancelledError):
        run.record.interrupted, status = "interrupted", 130
    except (DepthcastError, OSError, RuntimeError, TimeoutError) as error:
        run.record.interrupted, status = f"{type(error).__name__}: {error}", 1
    findings = _report(run, settings, console)
    failed = [finding for finding in findings if not finding.holds]
    for finding in failed:
        kind = "an invariant was violated" if finding.invariant else "a bound was missed"
        console.print(
            f"soak: {kind}: {finding.what}: {finding.measured} (bound: {finding.bound})", highlight=False
        )
    return status or int(bool(failed))


def _report(run: Run, settings: Settings, console: Console) -> list[Finding]:
    findings = report.write(run.record, settings.out)
    try:
        plot.draw(run.record, settings.out / "ages.png")
    except ImportError:
        console.print("no plot: pip install '.[bench]' brings matplotlib")
    table = Table(title=f"Soak: {sum(run.record.versions.values()):,} versions checked")
    for column in ("", "what", "measured", "bound"):
        table.add_column(column)
    for finding in findings:
        mark = "[green]✓[/]" if finding.holds else "[red]✗[/]"
        table.add_row(mark, finding.what, finding.measured, finding.bound)
    console.print(table)
    console.print(f"The report is in {settings.out}/report.md", highlight=False)
    return findings


if __name__ == "__main__":
    run_and_leave(main)
