"""``python -m tests.simulation.planted``: does the simulation find the mistakes that are planted?

Each mutant (:mod:`tests.simulation.bugs`) is given to a process of its own, which runs the simulation seed by
seed until an invariant is broken, and the first one with other wall clocks too: its writes must be the same.
The table tells how many seeds that took; the last line is JSON. The status is 1 where a mutant was not found,
or where something other than an invariant gave it away.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.simulation.bugs import MUTANTS
from tests.simulation.mutants import Mutant, plant

SEEDS = 200
MINUTES = 2.0
SECONDS_A_SEED = 30.0
"""A mutant whose simulation takes longer than this for each seed is given up: it does not end."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """What came of running the simulation with a mutant.

    ``seeds``: how many were run; ``seed``: the last of them; ``found``: the invariant that was broken in it,
    ``None`` where none was; ``trouble``: what went wrong instead.
    """

    name: str
    seeds: int
    seed: int | None
    found: str | None
    message: str = ""
    trouble: str | None = None


def hunt(mutant: Mutant, *, seeds: int = SEEDS, minutes: float = MINUTES, first: int | None = None) -> Hunt:
    """Run the simulation with ``mutant`` in its own process: ``seeds`` seeds at most, ``first`` first."""
    command = [sys.executable, "-m", "tests.simulation.planted", "--in-this-process", mutant.name]
    command += ["--seeds", str(seeds), "--minutes", str(minutes)]
    command += ["--first", str(first)] if first else []
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_A_SEED * seeds, check=False
        )
    except subprocess.TimeoutExpired:
        return Hunt(mutant.name, 0, None, None, trouble="it did not end in time")
    last = ended.stdout.strip().rpartition("\n")[2]
    if ended.returncode != 0 or not last.startswith("{"):
        told = (ended.stderr.strip() or ended.stdout.strip()).rpartition("\n")[2]
        return Hunt(mutant.name, 0, None, None, trouble=told or f"status {ended.returncode}")
    return Hunt(**json.loads(last))


def hunt_here(name: str, *, seeds: int, minutes: float, first: int | None) -> Hunt:
    """The same in this process, which is spoiled for anything else."""
    (mutant,) = (each for each in MUTANTS if each.name == name)
    plant(mutant)
    # Only now: the simulation imports what was planted.
    from tests.simulation.run import Broken, run
    from tests.simulation.speech import SPEECHES

    speech = SPEECHES[mutant.venue]

    chosen = range(1, seeds + 1) if first is None else (first, *range(1, seeds))
    for count, seed in enumerate(chosen, 1):
        try:
            writes = run(seed, minutes=minutes, speech=speech).writes
            same = count > 1 or writes == run(seed, minutes=minutes, clocks=1, speech=speech).writes
        except Broken as broken:
            return Hunt(name, count, seed, broken.invariant, broken.why)
        if not same:
            return Hunt(name, count, seed, "wall clock", "other wall clocks make other writes")
    if mutant.module not in sys.modules:
        return Hunt(name, seeds, None, None, trouble=f"the simulation does not use {mutant.module}")
    return Hunt(name, seeds, None, None)


def _table(hunts: Sequence[Hunt]) -> str:
    """As Markdown, in the order of the mutants."""
    breaks = {mutant.name: mutant.breaks for mutant in MUTANTS}
    lines = ["| planted | what it does | seeds | found by |", "|---|---|---|---|"]
    for each in hunts:
        outcome = each.found or each.trouble or "**not found**"
        lines.append(f"| `{each.name}` | {breaks[each.name]} | {each.seeds} | {outcome} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants (default: all)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds at most for each (%(default)s)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="virtual, a seed (%(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="at once (%(default)s)")
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--in-this-process", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.in_this_process:
        found = hunt_here(
            options.in_this_process, seeds=options.seeds, minutes=options.minutes, first=options.first
        )
        print(json.dumps(asdict(found)))
        return 0
    names = set(options.names)
    if unknown := names - {mutant.name for mutant in MUTANTS}:
        parser.error(f"no mutant is called {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    began = monotonic()
    done: dict[str, Hunt] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        ThreadPoolExecutor(options.processes) as pool,
    ):
        task = progress.add_task("planted", total=len(chosen))
        hunts = {
            pool.submit(hunt, mutant, seeds=options.seeds, minutes=options.minutes): mutant
            for mutant in chosen
        }
        for ended in as_completed(hunts):
            result = ended.result()
            done[result.name] = result
            progress.update(task, advance=1, description=result.name)
    ordered = [done[mutant.name] for mutant in chosen]
    missed = [each.name for each in ordered if each.found is None]
    print(_table(ordered))
    print()
    summary = {
        "planted": len(ordered),
        "found": len(ordered) - len(missed),
        "seeds": sum(each.seeds for each in ordered),
        "most_seeds": max((each.seeds for each in ordered if each.found), default=0),
        "missed": missed,
        "seconds": round(monotonic() - began, 1),
    }
    print(json.dumps(summary))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
