"""What a simulated Coinbase Exchange is made of: products, pace, keys, faults. Plain values, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simulator.coinbase.exchange import FIRST_SEQUENCE
from simulator.faults import Kind


@dataclass(frozen=True, slots=True)
class Settings:
    """``products``: how many, or which. ``orders`` rest on each side of each, about; ``actions`` are what its
    traders do in a tick, on average. ``keys`` are files of three lines: an API key, its passphrase and its
    secret in base64.
    """

    # Where
    host: str = "127.0.0.1"
    port: int = 0

    # The markets
    seed: int = 1
    products: int | tuple[str, ...] = 6
    orders: int = 400
    actions: float = 5
    rate: float = 10
    first_sequence: int = FIRST_SEQUENCE
    halted: tuple[str, ...] = ()

    # Who may sign requests
    keys: tuple[Path, ...] = ()

    # What is remembered: messages of each product
    history: int = 500_000

    # The exchange's limits
    requests_a_second: int = 10
    connections_per_5min: int = 300

    # Faults
    rates: Mapping[Kind, float] = field(default_factory=dict)

    # Waits
    send_timeout_s: float = 30
    hang_s: float = 60

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1000:
            raise ValueError(f"rate is a number of ticks a second up to 1000, not {self.rate}")
        if self.orders < 1 or self.actions <= 0:
            raise ValueError("orders is at least 1 and actions more than 0")
        if self.products in (0, ()):
            raise ValueError("an exchange needs products")
        if self.first_sequence < 1:
            raise ValueError(f"first_sequence is at least 1, not {self.first_sequence}")

    @property
    def tick_ms(self) -> int:
        """What one tick adds to the clock."""
        return max(1, round(1000 / self.rate))
