"""``Cadence``: how often a file may be written, by its limit. Pure."""

import re
from dataclasses import dataclass
from typing import Self

from depthcast.venues.keeping import STEPS_MS

_STEP = re.compile(r"([1-9][0-9]{0,3}):([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Cadence:
    """``steps_ms``: pairs (limit, ms) of ascending limits; a file takes the first step that holds its limit.

    A limit beyond the last step takes the last one. ``floor_ms`` is the least for all of them: some stores
    allow one write a second to a key.
    """

    steps_ms: tuple[tuple[int, int], ...] = STEPS_MS
    floor_ms: int = 0

    def __post_init__(self) -> None:
        limits = [limit for limit, _ in self.steps_ms]
        if not limits or limits != sorted(set(limits)):
            raise ValueError("should be steps of ascending limits, such as 100:0,1000:250,5000:1000")

    @classmethod
    def parse(cls, text: str, *, floor_ms: int = 0) -> Self:
        """From ``limit:ms`` pairs. Raises ``ValueError``.

        >>> Cadence.parse("100:0, 5000:1000").every_s(500)
        1.0
        """
        steps = []
        for part in text.split(","):
            match = _STEP.fullmatch(part.strip())
            if match is None:
                raise ValueError(f"{part.strip()!r:.40} should be limit:ms, such as 1000:250")
            steps.append((int(match[1]), int(match[2])))
        return cls(tuple(steps), floor_ms)

    def every_s(self, limit: int) -> float:
        """The least time between two writes of a file of this limit, in seconds."""
        found = next((ms for upto, ms in self.steps_ms if limit <= upto), self.steps_ms[-1][1])
        return max(found, self.floor_ms) / 1000

    def __str__(self) -> str:
        return ",".join(f"{limit}:{ms}" for limit, ms in self.steps_ms)
