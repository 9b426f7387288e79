"""What every exchange's settings have: where it listens, its pace, its faults, its waits. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from simulator.faults import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """``rate``: ticks a second. ``rates``: how often which fault happens (:mod:`simulator.faults`)."""

    RARER: ClassVar[Mapping[Kind, float]] = {}
    """The share of the usual rate at which a fault happens here, where all of them are asked for."""

    # Where
    host: str = "127.0.0.1"
    port: int = 0

    # The markets
    seed: int = 1
    rate: float = 10
    halted: tuple[str, ...] = ()

    # Faults
    rates: Mapping[Kind, float] = field(default_factory=dict)

    # Waits
    send_timeout_s: float = 30
    hang_s: float = 60

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1000:
            raise ValueError(f"rate is a number of ticks a second up to 1000, not {self.rate}")

    @property
    def tick_ms(self) -> int:
        """What one tick adds to the clock."""
        return max(1, round(1000 / self.rate))
