"""What a simulated BitMEX is made of: instruments, pace, limits, faults. Plain values, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.faults import Kind


@dataclass(frozen=True, slots=True)
class Settings:
    """``symbols``: how many instruments, or which. ``depth`` rows rest on each side of each, about;
    ``changes`` of them happen in a tick, on average. ``old_rows``: as before July 2023.
    """

    # Where
    host: str = "127.0.0.1"
    port: int = 0

    # The markets
    seed: int = 1
    symbols: int | tuple[str, ...] = 8
    depth: int = 1000
    changes: float = 12
    varied: bool = True
    rate: float = 10
    old_rows: bool = False
    halted: tuple[str, ...] = ()

    # What is remembered: steps of each instrument
    history: int = 200_000

    # The exchange's limits
    requests_a_minute: int = 30
    connections_an_hour: int = 60
    subscriptions_an_hour: int = 720

    # Faults
    rates: Mapping[Kind, float] = field(default_factory=dict)

    # Waits
    send_timeout_s: float = 30
    hang_s: float = 60

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1000:
            raise ValueError(f"rate is a number of ticks a second up to 1000, not {self.rate}")
        if self.depth < 2 or self.changes < 1:
            raise ValueError("depth is at least 2 and changes at least 1")
        if self.symbols in (0, ()):
            raise ValueError("an exchange needs symbols")

    @property
    def tick_ms(self) -> int:
        """What one tick adds to the clock."""
        return max(1, round(1000 / self.rate))
