"""What replicas count of themselves, summed over all of them and over restarts; and processor time."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")

Name = tuple[str, tuple[tuple[str, str], ...]]
"""A metric's name and its labels in order."""


def parse(text: str) -> dict[Name, float]:
    """The counters (``…_total``) in a Prometheus text."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        if family.type == "counter"
        for sample in family.samples
        if sample.name.endswith("_total")
    }


class Counters:
    """Counters that begin at 0 with each start of a process, as if they had never been reset.

    What a process counts between its last reading and a kill is lost.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], dict[Name, float]] = {}
        self._totals: dict[Name, float] = defaultdict(float)

    def saw(self, replica: str, start: int, values: dict[Name, float]) -> None:
        """A reading of the process that is the replica's ``start``-th."""
        last = self._last.get((replica, start), {})
        for name, value in values.items():
            self._totals[name] += value - last.get(name, 0.0)
        self._last = {key: each for key, each in self._last.items() if key[0] != replica}
        self._last[replica, start] = values

    def total(self, name: str, **labels: str) -> float:
        """The sum of all counters of this name whose labels include ``labels``."""
        wanted = set(labels.items())
        return sum(
            value for (other, has), value in self._totals.items() if other == name and wanted <= set(has)
        )

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sums of a counter by one of its labels."""
        sums: dict[str, float] = defaultdict(float)
        for (other, has), value in self._totals.items():
            if other == name:
                sums[dict(has).get(label, "")] += value
        return dict(sums)


def cpu_s(pid: int) -> float:
    """Processor time (user and system) of a process so far; 0 where it is gone or cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def rss_mb(pid: int) -> float:
    """Memory of a process at this moment, in MB; 0 where it is gone or cannot be read."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
