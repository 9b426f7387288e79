"""``python -m tests.simulation --seed N [--verbose]``: one run, or ``--seeds`` of them from there on."""

import argparse
import sys

from tests.simulation.run import Broken, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--minutes", type=float, default=2.0, help="virtual minutes of each")
    parser.add_argument("--verbose", action="store_true", help="show all that happened, and log lines")
    asked = parser.parse_args()
    broken = 0
    for seed in range(asked.seed, asked.seed + asked.seeds):
        try:
            result = run(seed, asked.minutes, verbose=asked.verbose)
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
