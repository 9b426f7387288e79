"""What a simulated Coinbase Exchange is made of: products, pace, keys, faults. Plain values, checked."""

from dataclasses import dataclass
from pathlib import Path

from simulator.coinbase.exchange import FIRST_SEQUENCE
from simulator.hosting import HostSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(HostSettings):
    """``products``: how many, or which. ``orders`` rest on each side of each, about; ``actions`` are what its
    traders do in a tick, on average. ``keys`` are files of three lines: an API key, its passphrase and its
    secret in base64.
    """

    # The markets
    products: int | tuple[str, ...] = 6
    orders: int = 400
    actions: float = 5
    first_sequence: int = FIRST_SEQUENCE

    # Who may sign requests
    keys: tuple[Path, ...] = ()

    # What is remembered: messages of each product
    history: int = 500_000

    # The exchange's limits
    requests_a_second: int = 10
    connections_per_5min: int = 300

    def __post_init__(self) -> None:
        HostSettings.__post_init__(self)
        if self.orders < 1 or self.actions <= 0:
            raise ValueError("orders is at least 1 and actions more than 0")
        if self.products in (0, ()):
            raise ValueError("an exchange needs products")
        if self.first_sequence < 1:
            raise ValueError(f"first_sequence is at least 1, not {self.first_sequence}")
