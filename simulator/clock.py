"""The exchange's clock: the machine's, or one that only ticks move."""

import time
from typing import Protocol


class Clock(Protocol):
    """Milliseconds since 1970."""

    def wall_ms(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """Stands still until it is advanced.

    It begins in September 2026: whoever compares the exchange's time with the machine's finds it behind, as
    of a list that was kept, and not ahead, which is taken for a clock that is wrong.
    """

    def __init__(self, start_ms: int = 1_790_000_000_000) -> None:
        self._now_ms = start_ms

    def wall_ms(self) -> int:
        return self._now_ms

    def advance(self, ms: int) -> None:
        if ms < 0:
            raise ValueError("a clock does not go back")
        self._now_ms += ms
