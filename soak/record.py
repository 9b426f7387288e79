"""What a run leaves behind, for verdict, report and plot. Plain values; times in s of a monotonic clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from soak.ages import Samples
from soak.auditor import File, Violation
from soak.disturb import Disturbance
from soak.settings import Settings


@dataclass(slots=True)
class Phase:
    """A stretch of a run, and what happened in it.

    ``wire``: requests seen by the proxies, by :data:`soak.fleet.MARKS`. ``writes``: the replicas' own count
    of conditional writes of files, by outcome; ``takeovers`` is theirs, too. ``writers``:
    how many files each was the last to write at the end. ``cpu``: processor seconds by process, of those that
    lived through it. ``busy``: the share of all cores that was in use, by whomever.
    """

    name: str
    start: float
    end: float
    wire: Mapping[str, int] = field(default_factory=dict)
    writes: Mapping[str, float] = field(default_factory=dict)
    takeovers: float = 0.0
    writers: Mapping[str, int] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=dict)
    busy: float = 0.0

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def puts_a_second(self) -> float:
        """Of files and heartbeats, as the proxies saw them."""
        return (self.wire.get("file_puts", 0) + self.wire.get("heartbeat_puts", 0)) / self.seconds


@dataclass(slots=True)
class Done:
    """A disturbance that was done, from ``start`` until it was taken back. ``written``: how many files its
    target was the last to write when it began."""

    disturbance: Disturbance
    start: float
    end: float
    written: int = 0


@dataclass(slots=True)
class Record:
    """A whole run. ``write_p99_ms``: of won writes in the undisturbed fleet. ``counts``: by metric and label,
    over the whole run and all replicas. ``current_after_s``: from the last disturbance's end until every file
    was current; ``None``: it never was."""

    settings: Settings
    files: Sequence[File]
    samples: Samples
    start: float
    phases: list[Phase] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    violations: Sequence[Violation] = ()
    violation_count: int = 0
    versions: Mapping[int, int] = field(default_factory=dict)
    readings: Mapping[str, int] = field(default_factory=dict)
    shorter: int = 0
    every_file_read: bool = False
    write_p99_ms: float = 0.0
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    ended_by_themselves: Sequence[str] = ()
    stopped_in_order: Mapping[str, bool] = field(default_factory=dict)
    current_after_s: float | None = None
    interrupted: str = ""
    """Why the run is not whole; empty where it is."""

    def phase(self, name: str) -> Phase | None:
        return next((phase for phase in self.phases if phase.name == name), None)
