"""``Window``: the samples of the last while, for the percentiles people look at. Bounded; no clock."""

from collections import deque


class Window:
    """Samples younger than ``span_s``, and no more than ``capacity`` of them."""

    def __init__(self, span_s: float = 60.0, *, capacity: int = 4096) -> None:
        self._span_s = span_s
        self._samples: deque[tuple[float, float]] = deque(maxlen=capacity)

    def add(self, now: float, value: float) -> None:
        """Take a sample. ``now`` never goes backwards."""
        self._samples.append((now, value))

    def quantiles(self, now: float, *shares: float) -> list[float | None]:
        """The sample at each share (0.5: the median) of the sorted ones; ``None`` without any. O(n log n)."""
        while self._samples and self._samples[0][0] < now - self._span_s:
            self._samples.popleft()
        values = sorted(value for _, value in self._samples)
        if not values:
            return [None] * len(shares)
        last = len(values) - 1
        return [values[min(last, int(share * len(values)))] for share in shares]
