"""Retry delays, as values: exponential growth with full jitter. Pure; the caller sleeps.

*Full jitter* (Marc Brooker, "Exponential Backoff And Jitter", AWS 2015) draws each delay evenly between the
floor and the growing ceiling, so that many clients that failed together do not come back together.
"""

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Backoff:
    """Delays drawn evenly from ``minimum_s`` to a ceiling, which grows by ``factor`` with each draw.

    The ceiling begins at ``initial_s`` and ends at ``maximum_s``. Raises :class:`ValueError` for numbers
    that do not describe such a series.

    >>> backoff = Backoff(1.0, maximum_s=4.0)
    >>> [ceiling for _ in range(4) if 0 <= backoff.next_s() <= (ceiling := backoff.ceiling_s)]
    [2.0, 4.0, 4.0, 4.0]
    """

    initial_s: float = 0.5
    factor: float = 2.0
    maximum_s: float = 60.0
    minimum_s: float = 0.0
    rng: Random = field(default_factory=Random, repr=False)
    ceiling_s: float = field(init=False, repr=False)
    """The longest delay that the next draw can give."""

    def __post_init__(self) -> None:
        if not 0 <= self.minimum_s <= self.initial_s <= self.maximum_s or self.factor < 1:
            raise ValueError(f"not a growing series of delays: {self}")
        self.ceiling_s = self.initial_s

    def next_s(self) -> float:
        """The delay before the next attempt, in seconds; the one after it may be longer."""
        delay_s = self.rng.uniform(self.minimum_s, self.ceiling_s)
        self.ceiling_s = min(self.ceiling_s * self.factor, self.maximum_s)
        return delay_s

    def reset(self) -> None:
        """Begin anew: an attempt succeeded."""
        self.ceiling_s = self.initial_s
