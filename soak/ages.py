"""How old files are: when the exchange moved past what a file shows. Pure; times in s of one monotonic clock.

The age of a file is the time since the exchange first *told* (by a diff) an update id beyond the file's, and
0 while it has told none. So a file of a quiet symbol is current, and a cadence of one write a second makes
ages of up to a second.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

KEEP: Final = 20_000
"""Marks kept a symbol: more than an hour at five a second."""


class Marks:
    """When the exchange told which id of which symbol. Ids are (generation, id): those of a later generation,
    which begins where ids go down, come after all of an earlier one.

    ``keep`` bounds the marks of a symbol; a file older than all of them has the age of the oldest.
    """

    def __init__(self, *, keep: int = KEEP) -> None:
        self._keep = keep
        self._ids: dict[str, list[tuple[int, int]]] = {}
        self._times: dict[str, list[float]] = {}

    def told(self, symbol: str, generation: int, update_id: int, now: float) -> None:
        """A diff ended at ``update_id``. What is not beyond the last mark is passed over."""
        ids, times = self._ids.setdefault(symbol, []), self._times.setdefault(symbol, [])
        if ids and (generation, update_id) <= ids[-1]:
            return
        ids.append((generation, update_id))
        times.append(now)
        if len(ids) > self._keep + self._keep // 10:
            del ids[: -self._keep], times[: -self._keep]

    def age_s(self, symbol: str, generation: int, update_id: int, now: float) -> float:
        """For how long the exchange has been past ``update_id``. O(log marks)."""
        ids = self._ids.get(symbol, [])
        first = bisect_right(ids, (generation, update_id))
        return max(0.0, now - self._times[symbol][first]) if first < len(ids) else 0.0

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        for symbol, ids in self._ids.items():
            times = self._times[symbol]
            assert len(ids) == len(times)
            assert ids == sorted(set(ids)), f"{symbol}: marks out of order"
            assert times == sorted(times), f"{symbol}: times out of order"


class Sample(NamedTuple):
    """A file, by its number, was so old at that moment."""

    time: float
    file: int
    age_s: float


class Samples:
    """Every age ever measured, in the order of time: 14 bytes each."""

    def __init__(self) -> None:
        self._times = array("d")
        self._files = array("H")
        self._ages = array("f")

    def __len__(self) -> int:
        return len(self._times)

    def add(self, time: float, file: int, age_s: float) -> None:
        """``time`` is not before the last one's."""
        self._times.append(time)
        self._files.append(file)
        self._ages.append(age_s)

    def between(self, start: float, end: float) -> list[Sample]:
        """Those with ``start <= time < end``."""
        first, last = bisect_left(self._times, start), bisect_left(self._times, end)
        return [Sample(self._times[i], self._files[i], self._ages[i]) for i in range(first, last)]


class Spread(NamedTuple):
    """Percentiles of some ages, in seconds."""

    readings: int
    p50: float
    p99: float
    most: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of them do not exceed (nearest rank); 0 for none.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.99)
    (2.0, 4.0)
    """
    if not ordered:
        return 0.0
    rank = -int(-share * len(ordered) // 1)
    return ordered[min(len(ordered), max(1, rank)) - 1]


def spread(ages: Iterable[float]) -> Spread:
    """O(n log n)."""
    ordered = sorted(ages)
    return Spread(
        len(ordered), percentile(ordered, 0.5), percentile(ordered, 0.99), ordered[-1] if ordered else 0.0
    )


class Bucket(NamedTuple):
    """The spread of all files' ages over a short while that begins at ``time``."""

    time: float
    spread: Spread


def buckets(samples: Iterable[Sample], start: float, end: float, width_s: float) -> list[Bucket]:
    """The spread in each whole stretch of ``width_s`` between ``start`` and ``end``, but for those without
    samples."""
    by_index: dict[int, list[float]] = {}
    for sample in samples:
        by_index.setdefault(int((sample.time - start) // width_s), []).append(sample.age_s)
    return [
        Bucket(start + index * width_s, spread(ages))
        for index, ages in sorted(by_index.items())
        if start + (index + 1) * width_s <= end
    ]
