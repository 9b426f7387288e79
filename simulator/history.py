"""A dictionary at every step of its life, within a bounded history: what an oracle keeps.

Kept plain on purpose: what each step did to the dictionary, whole dictionaries in between, and nothing else.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

KEYFRAME: Final = 2000
"""So many steps, or as many as there are entries, lie between two whole dictionaries."""


class _Segment(Generic[K, V]):
    __slots__ = ("effects", "entries", "start", "times")

    def __init__(self, entries: dict[K, V], start: int, time: int) -> None:
        self.entries = entries
        self.start = start
        self.effects: list[Sequence[tuple[K, V | None]]] = []
        """Of each step after ``start``."""
        self.times = [time]


class History(Generic[K, V]):
    """``head`` is the dictionary at ``step``, the newest one. At least ``kept`` steps are remembered.

    Steps have times, which never go back. An entry that is set again keeps its place in the order; one that
    is taken away first gets the last.
    """

    def __init__(self, step: int, time: int, *, kept: int, entries: Mapping[K, V] | None = None) -> None:
        self.step = step
        self.head: dict[K, V] = dict(entries or {})
        self._kept = kept
        self._segments = [_Segment(dict(self.head), step, time)]

    def append(self, effects: Sequence[tuple[K, V | None]], time: int) -> None:
        """The next step: entries that were set, or with ``None`` taken away, in this order."""
        segment = self._segments[-1]
        if len(segment.effects) >= max(KEYFRAME, len(self.head)):
            segment = _Segment(dict(self.head), self.step, segment.times[-1])
            self._segments.append(segment)
            while len(self._segments) > 2 and self.step - self._segments[1].start > self._kept:
                del self._segments[0]
        _carry_out(self.head, effects)
        segment.effects.append(effects)
        segment.times.append(time)
        self.step += 1

    def successor(self, step: int, time: int) -> "History[K, V]":
        """A history that goes on with the same entries from another step or time."""
        return History(step, time, kept=self._kept, entries=self.head)

    @property
    def oldest(self) -> int:
        """The smallest step that is still known."""
        return self._segments[0].start

    def holds(self, step: int) -> bool:
        """Whether the dictionary at that step is known."""
        return self.oldest <= step <= self.step

    def at(self, step: int) -> dict[K, V]:
        """The dictionary at a step that :meth:`holds`. O(entries)."""
        segment = self._segment(step)
        entries = dict(segment.entries)
        for effects in segment.effects[: step - segment.start]:
            _carry_out(entries, effects)
        return entries

    def time_of(self, step: int) -> int:
        """When a step was that :meth:`holds`."""
        segment = self._segment(step)
        return segment.times[step - segment.start]

    def steps_of(self, time: int) -> range:
        """The steps of that time, which may be many or none."""
        return range(self._first(time, before=True), self._first(time, before=False))

    def last_step_at(self, time: int) -> int | None:
        """The newest step that was not later; ``None`` where that is no longer known."""
        first = self._first(time, before=False)
        return first - 1 if first > self.oldest else None

    def _first(self, time: int, *, before: bool) -> int:
        """The first step that is not before ``time``, or behind it."""
        search = bisect_left if before else bisect_right
        for segment in self._segments:
            # The first time of a segment is that of the step before it.
            if segment is self._segments[-1] or (
                segment.times[-1] >= time if before else segment.times[-1] > time
            ):
                return segment.start + search(segment.times, time)
        raise AssertionError("a history has a segment")

    def _segment(self, step: int) -> _Segment[K, V]:
        return self._segments[bisect_right(self._segments, step, key=lambda each: each.start) - 1]


def _carry_out(entries: dict[K, V], effects: Iterable[tuple[K, V | None]]) -> None:
    for key, value in effects:
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
