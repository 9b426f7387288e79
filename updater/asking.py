"""``Asking``: who asks the exchange for a book that nobody has yet. Sans-I/O, no clock.

A snapshot of 5,000 levels weighs 250 of the 6,000 that an address may spend in a minute; a fleet in which
each replica asked for each book would take several times as long to start as one replica alone. So the first
in rank asks, and the others wait for its file, which costs no weight. They wait only while there is
something to wait for: a replica in front that lives, has not got the book, and gets on. One that waits for
its turn at the exchange may stand still for the rest of a minute; one that hears no stream, and so cannot
begin, for ``deaf_patience_s``; any other may for ``patience_s``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthcast.heartbeat import Heartbeat

PATIENCE_S = 15.0
PACED_PATIENCE_S = 90.0
DEAF_PATIENCE_S = 5.0


@dataclass(slots=True)
class _Progress:
    mark: tuple[int, int]
    since: float


class Asking:
    """Watches the progress of other replicas. Times are the caller's monotonic clock, in seconds."""

    def __init__(
        self,
        *,
        patience_s: float = PATIENCE_S,
        paced_patience_s: float = PACED_PATIENCE_S,
        deaf_patience_s: float = DEAF_PATIENCE_S,
    ) -> None:
        self._patience_s = patience_s
        self._paced_patience_s = paced_patience_s
        self._deaf_patience_s = deaf_patience_s
        self._progress: dict[str, _Progress] = {}

    def read(self, living: Mapping[str, Heartbeat], now: float) -> None:
        """These are the last heartbeats of those who live."""
        former, self._progress = self._progress, {}
        for name, beat in living.items():
            mark = (beat.rest.answered, sum(held.live for held in beat.symbols.values()))
            known = former.get(name)
            self._progress[name] = known if known is not None and known.mark == mark else _Progress(mark, now)

    def may_ask(
        self, symbol: str, before: Sequence[str], living: Mapping[str, Heartbeat], now: float
    ) -> bool:
        """Whether nobody of those ``before`` this replica is about to publish ``symbol``."""
        for name in before:
            beat, progress = living.get(name), self._progress.get(name)
            if beat is None or progress is None:
                continue
            held = beat.symbols.get(symbol)
            if held is not None and held.live:
                # It publishes the book; where its file does not do, no waiting will help.
                return True
            if now - progress.since < self._patience_with(beat):
                return False
        return True

    def _patience_with(self, beat: Heartbeat) -> float:
        if beat.rest.waiting:
            return self._paced_patience_s
        deaf = beat.feed.symbols > 0 and beat.feed.live == 0
        return self._deaf_patience_s if deaf else self._patience_s


def sharing(living: Mapping[str, Heartbeat], own: Heartbeat) -> int:
    """How many replicas ask the exchange from the address of ``own`` now, itself counted; at least 1."""
    others = (beat for name, beat in living.items() if name != own.replica)
    return 1 + sum(beat.rest.address == own.rest.address and beat.rest.waiting > 0 for beat in others)
