"""Runs of the simulation: one that is shown (``--seed N --verbose``), or as many as fill ``--hours``.

``python -m tests.simulation --hours 200`` shares its seeds among ``--processes`` and ends with a table of
what was done and checked, and a line of JSON (:mod:`tests.simulation.many`).
"""

import argparse
import math
import sys

from tests.simulation.many import long_run
from tests.simulation.run import Broken, run
from tests.simulation.speech import SPEECHES, SPOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many are run one after the other")
    parser.add_argument("--hours", type=float, default=0.0, help="virtual hours to be filled with seeds")
    parser.add_argument("--minutes", type=float, default=2.0, help="virtual minutes of each")
    parser.add_argument("--processes", type=int, default=2, help="how many run beside each other")
    parser.add_argument("--at-most-s", type=float, default=math.inf, help="real seconds after which to end")
    parser.add_argument("--venue", choices=SPEECHES, default=SPOT.venue, help="the exchange (%(default)s)")
    parser.add_argument("--verbose", action="store_true", help="show all that happened, and log lines")
    asked = parser.parse_args()
    if asked.hours:
        return long_run(asked.hours, asked.seed, asked.minutes, asked.processes, asked.at_most_s, asked.venue)
    broken = 0
    speech = SPEECHES[asked.venue]
    for seed in range(asked.seed, asked.seed + asked.seeds):
        try:
            result = run(seed, asked.minutes, verbose=asked.verbose, speech=speech)
        except Broken as found:
            broken += 1
            print(found)
            continue
        if asked.verbose:
            print(*result.events, sep="\n")
        counts = f"{result.writes_checked} writes and {result.reads_checked} reads checked"
        print(f"seed {seed}: {result.faults.total()} faults, {counts}, digest {result.digest}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
