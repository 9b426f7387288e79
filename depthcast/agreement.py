"""``Agreement``: whether a book's best levels are those that a second stream shows of it.

Where nothing numbers messages, a loss shows itself only by what it leads to. A second stream of the same
book, such as BitMEX's ``orderBook10``, is a witness: its view is held against the book's own.

The two are never told at the same moment: either stream may be ahead, and the second one may be throttled, so
that it shows some of the book's states and not others. So a view agrees with the book where the book looks so
now, or looked so when the view was made, give or take :data:`SLACK_MS`, or comes to look so later. What the
book looked like is kept for a while (:meth:`Agreement.book_shows`). A view with which the book never agrees
leaves a disagreement, until a later one agrees. How long it may last is for others to say: this has no clock.
So it is with a second stream that falls silent: the book changes, and no view shows it
(:attr:`Agreement.unseen`). Pure.
"""

from collections import deque
from typing import Final

from depthcast.events import TopLevels

SLACK_MS: Final = 500
"""So much the two streams' times of one state may differ: one is of the matching engine, one may be that of
the publication."""

KEPT: Final = 256
"""States of the best levels that are kept at most; a busy book has some tens in a second."""

Levels = list[tuple[float, int]]


class Agreement:
    """Compares one book with a second stream's view of it.

    >>> agreement = Agreement()
    >>> agreement.book_shows(1000, [(2.0, 5)], [(2.1, 3)])
    >>> agreement.hear(TopLevels("X", 1000, [(2.0, 5)], [(2.1, 3)], 10))
    True
    >>> agreement.hear(TopLevels("X", 1040, [(2.0, 4)], [(2.1, 3)], 10)), agreement.disagreement
    (False, 2)
    """

    __slots__ = ("_awaited", "_newest", "_states", "agreed", "depth", "disagreement", "heard")

    def __init__(self, depth: int = 0) -> None:
        self.depth: int = depth
        """How many levels a view has; 0 where no second stream is known of before its first view."""
        self.heard: int = 0
        """How many views were heard."""
        self.agreed: int = 0
        """With how many of them the book agreed."""
        self.disagreement: int | None = None
        """A number of the disagreement that there is, which no other one has; ``None``: they agree."""
        # The book's states, oldest first: since when each was seen, and its levels.
        self._states: deque[tuple[int, Levels, Levels]] = deque(maxlen=KEPT)
        # The newest view that the book did not agree with.
        self._awaited: TopLevels | None = None
        self._newest: TopLevels | None = None

    @property
    def attested(self) -> bool:
        """Whether a view was heard since the book began."""
        return self._newest is not None

    @property
    def unseen(self) -> bool:
        """Whether the book shows something else than the newest view did: another view is due."""
        if not self._states:
            return False
        _, bids, asks = self._states[-1]
        return self._newest is None or not _equal(self._newest, bids, asks)

    def restart(self) -> None:
        """The book is another one from now on: what was heard of the former does not count."""
        self._states.clear()
        self._awaited = self._newest = None
        self.disagreement = None

    def book_shows(self, time_ms: int, bids: Levels, asks: Levels) -> None:
        """The book's best :attr:`depth` levels are these since ``time_ms``, by the venue's clock."""
        self._states.append((time_ms, bids, asks))
        awaited = self._awaited
        if awaited is not None and _equal(awaited, bids, asks):
            self._agree()

    def hear(self, view: TopLevels) -> bool:
        """A view came; whether the book agrees with it so far."""
        self.depth = view.depth
        self.heard += 1
        self._newest = view
        if self._shown(view):
            self._agree()
            return True
        self._awaited = view
        if self.disagreement is None:
            self.disagreement = self.heard
        return False

    def _shown(self, view: TopLevels) -> bool:
        """Whether the book looks so, or looked so around the time of the view."""
        until: int | None = None
        for since, bids, asks in reversed(self._states):
            if until is not None and until < view.time_ms - SLACK_MS:
                return False
            if (until is None or since <= view.time_ms + SLACK_MS) and _equal(view, bids, asks):
                return True
            until = since
        return False

    def _agree(self) -> None:
        self.agreed += 1
        self._awaited = None
        self.disagreement = None

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert (self._awaited is None) == (self.disagreement is None), "a disagreement about nothing"
        assert self.agreed <= self.heard, "views agreed with that nobody heard"


def _equal(view: TopLevels, bids: Levels, asks: Levels) -> bool:
    return view.bids == bids and view.asks == asks
