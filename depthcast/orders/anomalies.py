"""What shows that a book by order is not the venue's, and how much of it is borne before it is rebuilt.

Messages that contradict the book do not stop it: each has one most likely meaning, which is carried out, and
is reported as an :class:`Anomaly` with a weight. Rebuilding costs availability (the file stands still until a
new snapshot has come, 3 MB for a busy product), bearing costs consistency (an order or two may be wrong). How
the two are weighed is a :class:`Tolerance`: so much weight within so many messages. Pure: no I/O, no clock.
"""

from collections import Counter, deque
from collections.abc import Iterable
from enum import Enum
from typing import Final

BEARS: Final = 9
"""The weight that a book bears by default: nine orders whose sizes differ, or one that was missing."""

WITHIN: Final = 100_000
"""Messages after which an anomaly is forgiven by default: some minutes of a busy product."""


class Anomaly(Enum):
    """What a message contradicts, and its weight: 1 where the message itself mends the book, 5 where an order
    was or is missing, 10 where what is published cannot be right."""

    WRONG_SIZE = "wrong size"
    """A change or an end tells another size before it than the book has."""
    WRONG_PRICE = "wrong price"
    """A match at another price, or on the other side, than the resting order's."""
    LEFT_OVER = "left over"
    """A filled order of which the book still has some."""
    UNKNOWN_MAKER = "unknown maker"
    """A match with an order that does not rest on the book."""
    OVERMATCHED = "overmatched"
    """A match of more than is left of the order."""
    REOPENED = "reopened"
    """An order that is opened although it rests on the book."""
    CROSSED = "crossed"
    """An order that rests at or beyond the best price of the other side."""

    @property
    def weight(self) -> int:
        """How much of what a book bears it takes."""
        return _WEIGHTS[self]


_WEIGHTS: Final = {
    Anomaly.WRONG_SIZE: 1,
    Anomaly.WRONG_PRICE: 1,
    Anomaly.LEFT_OVER: 1,
    Anomaly.UNKNOWN_MAKER: 5,
    Anomaly.OVERMATCHED: 5,
    Anomaly.REOPENED: 5,
    Anomaly.CROSSED: 10,
}


class Tolerance:
    """What the books of one symbol bear: a weight of ``bears`` within ``within`` messages, and no more.

    0 bears nothing. :attr:`counts` is of all anomalies that any of them suffered; each has its own
    :class:`Slate`.
    """

    __slots__ = ("bears", "counts", "within")

    def __init__(self, *, bears: int = BEARS, within: int = WITHIN) -> None:
        if bears < 0 or within < 1:
            raise ValueError(f"a weight of 0 or more within 1 message or more, not {bears} within {within}")
        self.bears = bears
        self.within = within
        self.counts: Counter[Anomaly] = Counter()


class Slate:
    """What one book has suffered and is not forgiven yet.

    >>> slate = Slate(Tolerance(bears=5))
    >>> [slate.exceeded_by(n, [Anomaly.UNKNOWN_MAKER]) for n in (1, 200_000, 200_001)]
    [False, False, True]
    """

    __slots__ = ("_borne", "_recent", "_tolerance")

    def __init__(self, tolerance: Tolerance) -> None:
        self._tolerance = tolerance
        # Sequence and weight. Each weighs 1 at least, so there are few.
        self._recent: deque[tuple[int, int]] = deque()
        self._borne = 0

    @property
    def borne(self) -> int:
        """The weight borne at present."""
        return self._borne

    def exceeded_by(self, sequence: int, anomalies: Iterable[Anomaly]) -> bool:
        """Note what the message with this sequence showed; whether that is more than is borne.

        The book is given up then, and the slate with it.
        """
        tolerance = self._tolerance
        for anomaly in anomalies:
            tolerance.counts[anomaly] += 1
            self._recent.append((sequence, anomaly.weight))
            self._borne += anomaly.weight
        while self._recent and self._recent[0][0] <= sequence - tolerance.within:
            self._borne -= self._recent.popleft()[1]
        return self._borne > tolerance.bears

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._borne == sum(weight for _, weight in self._recent), "the weight borne is not its sum"
        sequences = [sequence for sequence, _ in self._recent]
        assert sequences == sorted(sequences), "messages out of order"
