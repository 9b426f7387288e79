"""What a simulated exchange is made of: sizes, pace, captures, limits, faults. Plain values, checked."""

from dataclasses import dataclass
from pathlib import Path

from simulator.exchange import FIRST_ID
from simulator.hosting import HostSettings
from simulator.session import SessionLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(HostSettings):
    """``futures``: Binance's USD-M futures are spoken in place of spot; ``coin_margined``: COIN-M.
    ``symbols``: how many synthetic ones, or which (default: 20, or none where there is a capture).

    ``speed`` plays a capture so many times as fast as it was recorded; 0: as fast as its readers take it.
    ``accounts`` are files, each with an account's key (:meth:`simulator.accounts.Account.of`).
    A capture waits for a diff subscription to each of its symbols, at most ``patience_s`` after the first.
    ``first_id``: about where the update ids of synthetic symbols begin. An exchange that readers are to take
    for the one of an earlier run begins above the last id of that.
    """

    # What it speaks
    futures: bool = False
    coin_margined: bool = False

    # The synthetic market
    first_id: int = FIRST_ID
    symbols: int | tuple[str, ...] | None = None
    depth: int = 6000
    changes: float = 46
    varied: bool = True
    partial_share: float = 0.1

    # Who may sign requests
    accounts: tuple[Path, ...] = ()

    # Captures
    captures: tuple[Path, ...] = ()
    speed: float = 1
    patience_s: float = 5

    # What is remembered
    history_s: float = 600
    history_changes: int = 16_000_000

    # The exchange's limits
    weight_limit: int = 0
    """Request weight a minute and address; 0: as the exchange has it."""
    ban_after: int = 20
    ban_s: int = 120
    connections_per_5min: int = 300
    session: SessionLimits | None = None
    """``None``: the exchange's own."""

    def __post_init__(self) -> None:
        HostSettings.__post_init__(self)
        if self.coin_margined:
            object.__setattr__(self, "futures", True)
        if not self.weight_limit:
            object.__setattr__(self, "weight_limit", 2400 if self.futures else 6000)
        if self.first_id < 1:
            raise ValueError(f"first_id is at least 1, not {self.first_id}")
        if self.depth < 2 or self.changes < 1:
            raise ValueError("depth is at least 2 and changes at least 1")
        if self.speed < 0:
            raise ValueError(f"speed is a factor, or 0 for as fast as readers take it, not {self.speed}")
        if isinstance(self.symbols, int) and self.symbols < 0:
            raise ValueError(f"symbols is a number of them or their names, not {self.symbols}")
        if not 0 <= self.partial_share <= 1:
            raise ValueError(f"partial_share is a share between 0 and 1, not {self.partial_share}")
        if self.symbols == 0 and not self.captures:
            raise ValueError("an exchange needs symbols or a capture")
