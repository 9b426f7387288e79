"""What happens to streams, counted by plain numbers: a change of one book may be sent ten thousand times."""

from collections import Counter
from enum import Enum


class Kind(Enum):
    """A kind of connection that books are pushed over; the value is the metrics' label."""

    EVENTS = "events"
    WEBSOCKET = "websocket"


class Begin(Enum):
    """How a stream of events began."""

    SNAPSHOT = "snapshot"
    RESUMED = "resumed"


class End(Enum):
    """Why a connection ended."""

    LEFT = "left"
    """The reader went, or its network did."""
    SLOW = "slow"
    """Its socket took nothing for too long."""
    SILENT = "silent"
    """It did not answer pings."""
    REFUSED = "refused"
    """It broke a limit or the protocol."""
    EXPIRED = "expired"
    """It had lasted as long as one may."""
    SHUTDOWN = "shutdown"


class Counts:
    """Counted since :meth:`take` was called last."""

    def __init__(self) -> None:
        self.sent: Counter[tuple[Kind, str]] = Counter()
        """Events by kind of connection and of event."""
        self.skipped: Counter[Kind] = Counter()
        """Versions that a reader was not given because it was slow."""
        self.begun: Counter[Begin] = Counter()
        self.ended: Counter[tuple[Kind, End]] = Counter()
        self.turned_away: Counter[Kind] = Counter()
        """Streams that were not begun, for there were as many as may be."""

    def take(self) -> "Counts":
        """What was counted; from now on it is counted from zero."""
        taken = Counts()
        for name, counter in vars(self).items():
            setattr(taken, name, counter)
            setattr(self, name, Counter())
        return taken
