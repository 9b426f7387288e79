"""What a feed says about itself, as values."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["current", "successor"]


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One open websocket; ages in seconds, ``bytes`` of payload received."""

    line: int
    role: Role
    symbols: int
    acked: int
    age_s: float
    last_frame_age_s: float
    frames: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """A whole feed. The counts of events are totals since it was made.

    ``lost`` connections ended by a fault; ``rotations`` handed over to a successor before they did.
    """

    url: str
    symbols: int
    live: int
    connections: tuple[ConnectionStatus, ...]
    opening: int
    frames: int
    bytes: int
    malformed: int
    lost: int
    rotations: int
