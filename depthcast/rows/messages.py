"""What a venue that keeps its book in a table says, as plain values: rows changed, or the whole table.

The words are BitMEX's. Prices are the texts of the wire, which are JSON numbers; rows are validated where
they enter a book (:mod:`depthcast.rows.book`). Pure: no I/O, no clock.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

Row = tuple[int, bool, int | None, str | None, str]
"""``(id, buy, size, price, time)``: the id is the row's within its side; ``buy`` tells the side; ``size`` is
in contracts, ``None`` where it is not told, as in a deletion; ``price`` is the exact text of the number,
``None`` where it is that of the row already; ``time`` is when the row was changed last, empty where that is
not told."""


class Action(Enum):
    """What is done with rows."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class RowsChanged(NamedTuple):
    """One message of the table: the same was done with all its rows.

    ``first`` and ``last`` are the venue's times, in ms since 1970, of the first and the last of its rows, and
    ``at_last`` says how many rows are of the last one, until whoever follows the stream numbers it
    (:mod:`depthcast.unsequenced`). From then on they are the update ids that it spans, and ``previous`` is
    the id that the book has before it: it is a diff like others.

    >>> RowsChanged("XBTUSD", 7, 9, 0, Action.DELETE, [(1, True, None, None, "")], previous=5).after
    5
    """

    symbol: str
    first: int
    last: int
    event_time_ms: int
    action: Action
    rows: Sequence[Row]
    at_last: int = 1
    previous: int = -1

    @property
    def after(self) -> int:
        """The id that a book has to be at, at least, for this one to lead on from it."""
        return self.first - 1 if self.previous < 0 else self.previous

    @property
    def pieces(self) -> int:
        """How many single changes it holds."""
        return len(self.rows)


class RowSnapshot(NamedTuple):
    """The whole table of one symbol, in any order. ``update_id`` is when it was made, in ms since 1970, until
    it is numbered.

    >>> RowSnapshot("XBTUSD", 7, [(1, True, 100, "8e-7", "")]).bids_complete
    True
    """

    symbol: str
    update_id: int
    rows: Sequence[Row]
    event_time_ms: int = 0
    complete: bool = True
    """Whether no other rows exist; a table of the best 25 a side does not say."""

    @property
    def bids(self) -> list[Row]:
        """The rows of buyers."""
        return [row for row in self.rows if row[1]]

    @property
    def asks(self) -> list[Row]:
        """The rows of sellers."""
        return [row for row in self.rows if not row[1]]

    @property
    def bids_complete(self) -> bool:
        """Whether there are no other bids."""
        return self.complete

    @property
    def asks_complete(self) -> bool:
        """Likewise."""
        return self.complete

    @property
    def transaction_time_ms(self) -> int:
        """Each row has its own."""
        return 0
