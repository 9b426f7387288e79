"""``Comparison``: whether a book of rows is what a snapshot shows that no number joins to its stream.

BitMEX's ``GET /api/v1/orderBook/L2`` tells no number, and neither do the messages of its stream. So the two
are compared row by row, and only rows that stand still meanwhile:

1. Rows that change are noted from here on, whatever changes of them (:meth:`Comparison.changed`).
2. Some seconds later the snapshot is asked for. All that changed before 1 is told in it, however far it lags.
3. What comes after it is noted until the stream has passed the newest time that it tells, by
   :data:`MARGIN_MS` (:meth:`Comparison.passed`), or until whoever compares knows in another way that it has.
4. A row that was not noted stood still from 1 to 3: it is the same in both, or something was lost.

Nothing depends on whose clock is right. A snapshot of a time before 1 proves nothing, and is refused. Rows
that do change are the concern of other signs, or of the next comparison. Pure: no I/O, no clock.
"""

from collections.abc import Sequence
from typing import Final

from depthcast.book import Audit
from depthcast.rows.book import RowBook
from depthcast.rows.messages import Row, RowSnapshot

MARGIN_MS: Final = 1000
"""So much the stream has to be beyond the snapshot's newest time: times may come a little out of order."""

MOST_CHANGED: Final = 100_000
"""So many rows may change meanwhile; XBTUSD has ten thousand. With more the comparison is given up."""


class Comparison:
    """One comparison of a book, from the time ``since_ms`` that its stream has reached.

    >>> book = RowBook.of(RowSnapshot("X", 7, [(1, True, 5, "2.5", ""), (2, True, 3, "2.4", "")]))
    >>> comparison = Comparison(1000)
    >>> comparison.changed([(1, True, 6, None, "")])
    >>> told = [(1, True, 9, "2.5", ""), (2, True, 4, "2.4", ""), (3, False, 1, "2.6", "")]
    >>> comparison.hear(RowSnapshot("X", 0, told, 2000))
    True
    >>> comparison.passed(2500), comparison.passed(3001)
    (False, True)
    >>> comparison.result(book)
    Audit(matching=0, different=1, ghost=0, missing=1)
    """

    __slots__ = ("_changed", "_since_ms", "_snapshot", "moved")

    def __init__(self, since_ms: int) -> None:
        self._since_ms = since_ms
        # Rows that changed, by id and side.
        self._changed: set[tuple[int, bool]] = set()
        self._snapshot: RowSnapshot | None = None
        self.moved: bool = False
        """Whether anything was told of the book since the beginning."""

    def changed(self, rows: Sequence[Row]) -> None:
        """Note rows that a message told of."""
        self.moved = True
        if len(self._changed) <= MOST_CHANGED:
            self._changed.update([(row[0], row[1]) for row in rows])

    def hear(self, snapshot: RowSnapshot) -> bool:
        """Take the snapshot; whether it can prove anything: not where it is of before the beginning."""
        if not snapshot.complete or snapshot.event_time_ms < self._since_ms:
            return False
        self._snapshot = snapshot
        return True

    def passed(self, time_ms: int) -> bool:
        """Whether a stream that has reached a time has told all that the snapshot shows."""
        return self._snapshot is not None and time_ms > self._snapshot.event_time_ms + MARGIN_MS

    def result(self, book: RowBook) -> Audit | None:
        """The rows that stood still, counted; ``None`` without a snapshot, and where too many changed."""
        if self._snapshot is None or len(self._changed) > MOST_CHANGED:
            return None
        return book.compare(self._snapshot.rows, besides=self._changed)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self.moved or not self._changed, "rows changed and nothing was told"
        snapshot = self._snapshot
        assert snapshot is None or snapshot.event_time_ms >= self._since_ms, "a snapshot of before"
