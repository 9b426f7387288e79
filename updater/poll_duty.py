"""``PollDuty``: which replica asks the exchange what one answer settles for all. Sans-I/O, no clock.

Of the replicas that can ask it the first by rendezvous hashing does; the others stand by, and take its answer
from the store. A replica says with each heartbeat how many answers it got. One that stands by asks, too, when
all in front of it got none for as long as its rank asks: they live, and cannot reach the exchange. It stops
as soon as one of them gets an answer. Of one that dies or leaves the others know a moment later, and move up.

They need not agree: a wrong opinion costs a request. What is written of the answers is safe by the write
rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from depthcast.fleet import ranked
from depthcast.heartbeat import Heartbeat, State

HURRIED_PATIENCE_S: Final = 5.0
"""So long a replica waits that has no answer at all yet."""


@dataclass(slots=True)
class _Progress:
    answered: int
    since: float


class PollDuty:
    """One replica's duty for one kind of question. Times are the caller's monotonic clock, in seconds.

    ``patience_s``: how long the one in front may get no answer before the next one asks.
    """

    def __init__(self, kind: str, *, patience_s: float) -> None:
        self._kind = kind
        self._patience_s = patience_s
        self._before: list[str] = []
        self._progress: dict[str, _Progress] = {}
        self.leaves = False
        """Whether this replica was told to stop, and others can ask."""

    @property
    def rank(self) -> int:
        """0 for the one that is to ask."""
        return len(self._before)

    def read(self, living: Mapping[str, Heartbeat], own: Heartbeat, now: float) -> None:
        """These are the last heartbeats of those who live; ``own`` is this replica's."""
        able = [
            name
            for name, beat in living.items()
            if name != own.replica and beat.state is State.LIVE and self._kind in beat.polls
        ]
        order = ranked(f"poll {self._kind}", [*able, own.replica])
        self.leaves = own.state is not State.LIVE and bool(able)
        self._before = order[: order.index(own.replica)]
        former, self._progress = self._progress, {}
        for name in self._before:
            answered = living[name].polls[self._kind].answered
            known = former.get(name)
            same = known is not None and known.answered == answered
            self._progress[name] = known if known is not None and same else _Progress(answered, now)

    def mine(self, now: float, *, hurried: bool = False) -> bool:
        """Whether this replica is to ask when the next question is due. ``hurried``: it knows nothing yet."""
        if self.leaves:
            return False
        if not self._before:
            return True
        patience_s = min(self._patience_s, HURRIED_PATIENCE_S) if hurried else self._patience_s
        newest = max(self._progress[name].since for name in self._before)
        return now - newest >= self.rank * patience_s

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._progress.keys() == set(self._before), "progress of others than those in front"
