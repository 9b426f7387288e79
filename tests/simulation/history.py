"""What happened in a run, in order; and the error that shows the part of it that matters."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

SHOWN: Final = 40


class Event(NamedTuple):
    """``who`` did or met ``what``; ``about``: a key, a symbol, or empty where it concerns everybody."""

    at: float
    who: str
    what: str
    about: str
    detail: str

    def __str__(self) -> str:
        return f"{self.at:10.3f} {self.who:10} {self.what:16} {self.about.rpartition('/')[2]} {self.detail}"


class Broken(AssertionError):
    """A run broke a promise. ``invariant``: which one, in a word; ``events``: the history about it."""

    def __init__(self, seed: int, invariant: str, why: str, events: list[Event], replay: str) -> None:
        self.seed = seed
        self.invariant = invariant
        self.why = why
        self.events = events
        self.replay = replay
        lines = [f"seed {seed}: {invariant}: {why}", *map(str, events), f"replay: {replay}"]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type["Broken"], tuple[int, str, str, list[Event], str]]:
        # Errors cross from the processes that share a long run's seeds.
        return type(self), (self.seed, self.invariant, self.why, self.events, self.replay)


class History:
    """All events of one run. ``clock`` is the world's."""

    def __init__(self, seed: int, clock: Callable[[], float], replay: str) -> None:
        self.seed = seed
        self.events: list[Event] = []
        self.faults: Counter[str] = Counter()
        self._clock = clock
        self._replay = replay

    def note(self, who: str, what: str, about: str = "", detail: str = "") -> None:
        self.events.append(Event(self._clock(), who, what, about, detail))

    def fault(self, kind: str, who: str = "", about: str = "", detail: str = "") -> None:
        """Note something that was done to the system on purpose."""
        self.faults[kind] += 1
        self.note(who or "world", f"! {kind}", about, detail)

    def broken(self, invariant: str, why: str, about: str = "") -> Broken:
        """The error that says so, with the last events that concern ``about``."""
        shown = list(self._concerning(about))[-SHOWN:]
        return Broken(self.seed, invariant, why, shown, self._replay)

    def digest(self) -> str:
        """Equal for equal histories."""
        return hashlib.blake2b("\n".join(map(repr, self.events)).encode(), digest_size=16).hexdigest()

    def _concerning(self, about: str) -> Iterator[Event]:
        symbol = about.partition("symbol=")[2].partition("&")[0]
        for event in self.events:
            if event.about in ("", about, symbol) or not about or (about and about in event.about):
                yield event
