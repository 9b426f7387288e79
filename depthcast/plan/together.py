"""``Together``: several workloads of one store, counted as one. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from depthcast.plan.workload import Flow, Workload


@dataclass(frozen=True)
class Together:
    """Workloads of several venues at one store, each with a fleet of its own; the servers are the same."""

    parts: tuple[Workload, ...]

    def flows(self) -> Iterator[Flow]:
        """All requests of the store, by purpose, each once."""
        found = [flow for part in self.parts for flow in part.flows()]
        for purpose, kind in dict.fromkeys((flow.purpose, flow.kind) for flow in found):
            same = [flow for flow in found if (flow.purpose, flow.kind) == (purpose, kind)]
            per_s, bytes_per_s = sum(each.per_s for each in same), sum(each.bytes_per_s for each in same)
            yield Flow(purpose, kind, per_s, bytes_per_s)

    @property
    def stored_bytes(self) -> float:
        """What is kept but the tape and the heatmap."""
        return sum(part.stored_bytes for part in self.parts)

    @property
    def tape_bytes(self) -> float:
        """Bytes of the tape."""
        return sum(part.tape_bytes for part in self.parts)

    @property
    def heat_bytes(self) -> float:
        """Bytes of the heatmap."""
        return sum(part.heat_bytes for part in self.parts)

    @property
    def served_bytes_per_s(self) -> float:
        """Bytes a second that go to readers."""
        return sum(part.served_bytes_per_s for part in self.parts)
