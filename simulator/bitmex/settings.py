"""What a simulated BitMEX is made of: instruments, pace, limits, faults. Plain values, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from simulator.faults import Kind
from simulator.hosting import HostSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(HostSettings):
    """``symbols``: how many instruments, or which (default: 8, or none where there is a capture). ``depth``
    rows rest on each side of each, about; ``changes`` of them happen in a tick, on average. ``old_rows``: as
    before July 2023; a capture tells that itself.

    ``speed`` plays a capture so many times as fast as it was recorded; 0: as fast as its readers take it. It
    waits for a subscription to each of its instruments, at most ``patience_s``.
    """

    RARER: ClassVar[Mapping[Kind, float]] = {
        **dict.fromkeys((Kind.GAP, Kind.STRAGGLER, Kind.DUPLICATE, Kind.REORDER), 0.05),
        Kind.MALFORMED: 0.01,
        **dict.fromkeys((Kind.DISCONNECT, Kind.HALF_OPEN, Kind.SHUTDOWN), 0.1),
    }
    """What others tell in one diff is some ten messages here, and each of these faults costs a subscription.
    The last four cost a connection, or may: usually the 60 of an hour would last minutes."""

    # The markets
    symbols: int | tuple[str, ...] | None = None
    depth: int = 1000
    changes: float = 12
    varied: bool = True
    old_rows: bool = False

    # Captures
    captures: tuple[Path, ...] = ()
    speed: float = 1
    patience_s: float = 5

    # What is remembered: steps of each instrument
    history: int = 200_000

    # The exchange's limits
    requests_a_minute: int = 30
    connections_an_hour: int = 60
    subscriptions_an_hour: int = 720

    def __post_init__(self) -> None:
        HostSettings.__post_init__(self)
        if self.depth < 2 or self.changes < 1:
            raise ValueError("depth is at least 2 and changes at least 1")
        if self.speed < 0:
            raise ValueError(f"speed is a factor, or 0 for as fast as readers take it, not {self.speed}")
        if self.symbols in (0, ()) and not self.captures:
            raise ValueError("an exchange needs symbols or a capture")
