"""What can be chosen for a run, and what follows from it."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Phases, in seconds
BASELINE_SHARE: Final = 0.2
BASELINE_S: Final = 40.0
FLEET_S: Final = 20.0
QUIET_S: Final = 10.0
DISTURBED_S: Final = 20.0
"""The least of each."""

SETTLE_S: Final = 5.0
"""Before a phase counts: starting costs reads, writes and processor time of its own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``minutes``: the four phases together, without starting and stopping. ``every_s``: bounds of the time
    between two disturbances. ``room_ms``: what a busy machine may add to any age."""

    minutes: float = 3.0
    seed: int = 1
    out: Path = Path("soak-report")

    # The fleet
    replicas: int = 3
    takeover_after_ms: int = 500
    limits: tuple[int, ...] = (5, 100, 1000)
    cadence: str = "5:250,100:500,1000:1000"
    same_levels_ms: int = 500
    epoch_after_ms: int = 5_000

    # The exchange
    symbols: int = 20
    rate: float = 5.0
    changes: float = 12.0
    depth: int = 1_500

    # The disturbances
    every_s: tuple[float, float] = (20.0, 40.0)

    # The auditor, and what it judges by
    reads_a_second: float = 2.0
    room_ms: int = 750
    put_ratio: float = 1.2
    lost_share: float = 0.01

    quick: bool = False
    extra: tuple[str, ...] = field(default=())
    """Further arguments for every updater."""

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.replicas < 2 or self.symbols < 1 or self.reads_a_second <= 0:
            raise ValueError("minutes and reads are above 0, replicas at least 2, symbols at least 1")
        if not 0 < self.every_s[0] <= self.every_s[1]:
            raise ValueError(f"every is two times, the shorter one first, not {self.every_s}")
        if not self.quick and self.disturbed_s < DISTURBED_S:
            least = BASELINE_S + FLEET_S + QUIET_S + DISTURBED_S
            raise ValueError(f"{self.minutes:g} minutes are too short: at least {least / 60:.1f}, or --quick")
        self.floor_ms(self.limits[0])

    @property
    def baseline_s(self) -> float:
        return 4.0 if self.quick else max(BASELINE_S, 60 * self.minutes * BASELINE_SHARE)

    @property
    def fleet_s(self) -> float:
        return 4.0 if self.quick else max(FLEET_S, 60 * self.minutes / 30)

    @property
    def quiet_s(self) -> float:
        return 2.0 if self.quick else QUIET_S

    @property
    def disturbed_s(self) -> float:
        if self.quick:
            return 12.0
        return 60 * self.minutes - self.baseline_s - self.fleet_s - self.quiet_s

    @property
    def settle_s(self) -> float:
        return 1.0 if self.quick else SETTLE_S

    def floor_ms(self, limit: int) -> int:
        """How old a file gets between two writes by the settings alone: its cadence, or the pace of files
        whose levels stay the same while the exchange goes on elsewhere."""
        steps = [tuple(map(int, step.split(":"))) for step in self.cadence.split(",")]
        found = next((ms for upto, ms in steps if limit <= upto), steps[-1][1])
        return max(found, self.same_levels_ms)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        names = (
            *("minutes", "seed", "replicas", "takeover_after_ms", "limits", "cadence", "same_levels_ms"),
            *("epoch_after_ms", "symbols", "rate", "changes", "depth", "every_s", "reads_a_second"),
            *("room_ms", "put_ratio", "lost_share"),
        )
        return {name: getattr(self, name) for name in names}


def parse_arguments(arguments: Sequence[str]) -> Settings:
    """The settings on a command line; exits with one clear line where they make no sense."""
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m soak",
        description="A fleet of updaters under disturbances, every file checked all the time.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=default.minutes, help="how long, without starting and stopping")
    add("--seed", type=int, default=default.seed, help="settles the market, its faults and the disturbances")
    add("--out", type=Path, default=default.out, help="where the report goes")
    add("--replicas", type=int, default=default.replicas, help="how many updaters")
    add("--takeover-after-ms", type=int, default=default.takeover_after_ms, help="as for an updater")
    add("--limits", default=",".join(map(str, default.limits)), help="levels a side, a file for each")
    add("--cadence", default=default.cadence, help="limit:ms pairs, as for an updater")
    add("--same-levels-ms", type=int, default=default.same_levels_ms, help="as for an updater")
    add("--symbols", type=int, default=default.symbols, help="how many")
    add("--rate", type=float, default=default.rate, help="diffs a second and symbol")
    add("--changes", type=float, default=default.changes, help="mean number of changes a diff")
    add("--depth", type=int, default=default.depth, help="levels a side at the exchange")
    add("--every", default="20,40", help="seconds between two disturbances: the least, the most")
    add("--reads-a-second", type=float, default=default.reads_a_second, help="readings of each file")
    add("--room-ms", type=int, default=default.room_ms, help="what a busy machine may add to any age")
    add("--quick", action="store_true", help="half a minute: a check that it runs, not a figure")
    add("extra", nargs="*", metavar="-- UPDATER ARGUMENTS", help="further arguments for every updater")
    given = parser.parse_args(arguments)
    try:
        shortest, _, longest = given.every.partition(",")
        return Settings(
            minutes=given.minutes,
            seed=given.seed,
            out=given.out,
            replicas=given.replicas,
            takeover_after_ms=given.takeover_after_ms,
            limits=tuple(sorted({int(limit) for limit in given.limits.split(",")})),
            cadence=given.cadence,
            same_levels_ms=given.same_levels_ms,
            symbols=given.symbols,
            rate=given.rate,
            changes=given.changes,
            depth=given.depth,
            every_s=(float(shortest), float(longest or shortest)),
            reads_a_second=given.reads_a_second,
            room_ms=given.room_ms,
            quick=given.quick,
            extra=tuple(given.extra),
        )
    except ValueError as error:
        parser.error(str(error))
