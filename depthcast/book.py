"""``Book``: one symbol's two sides, kept so that an update and its files cost as little as possible.

What it promises:

* **Exact strings.** Prices and quantities go out as the characters that came in; nothing is reformatted.
* **Numeric order.** Never string order. Sort keys are floats while 15 significant digits are enough to tell
  every price from every other (checked for each price), and exact decimals from the first price that needs
  more.
* **Certainty.** A snapshot shows at most so many levels; what lies beyond is unknown until it changes. Each
  side knows the price down to which it is *certainly complete*. Levels beyond that price are kept and
  updated, but never rendered: a file is never wrong and may be shorter.
* **All or nothing.** A diff with a bad level raises :class:`~depthcast.errors.BadLevel` and changes nothing.

What it leaves to others: which diff may follow which (:mod:`depthcast.sync`), and when and where files are
written.

Why it is fast: a side (:mod:`depthcast.side`) keeps its levels rendered, in chunks; a body is one join of the
chunks' cached bytes, and every smaller limit is a slice of the largest one's.

Pure: no I/O, no clock.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from depthcast.events import Diff, Snapshot
from depthcast.side import Numbers, Side

if TYPE_CHECKING:
    from depthcast.side import Columns

_BETWEEN: Final = b'],"asks":['
_END: Final = b"]}"


class Certainty(NamedTuple):
    """How many levels of each side are certain, and whether nothing exists beyond them."""

    bids: int
    asks: int
    bids_complete: bool
    asks_complete: bool


class Audit(NamedTuple):
    """What a comparison of two books at one update id found, in levels, where both are certain.

    ``matching``: same price and quantity. ``different``: same price, another quantity. ``ghost``: only this
    book has it. ``missing``: only the other one has it.
    """

    matching: int
    different: int
    ghost: int
    missing: int

    @property
    def clean(self) -> bool:
        """Whether the books agree."""
        return not (self.different or self.ghost or self.missing)


class Book:
    """One symbol's order book at one update id.

    >>> book = Book.of(Snapshot(7, [["2.0", "5"], ["1.9", "1"]], [["2.1", "3"]], True, True))
    >>> book.apply(Diff("X", 8, 9, 0, [["2.0", "0.00"]], [["2.05", "4"]]))
    >>> book.body(5)
    b'{"lastUpdateId":9,"bids":[["1.9","1"]],"asks":[["2.05","4"],["2.1","3"]]}'
    """

    __slots__ = ("_asks", "_bids", "event_time_ms", "update_id")

    def __init__(self) -> None:
        self.update_id: int = 0
        self.event_time_ms: int = 0
        """The venue's clock of the last diff in it, in ms since 1970; 0 where that is not known."""
        self._bids = Side(descending=True)
        self._asks = Side(descending=False)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """The book a snapshot shows. O(levels).

        Raises :class:`~depthcast.errors.BadLevel` for a bad level, a zero quantity, or a side that is not
        strictly ordered, best first.
        """
        book = cls()
        book.update_id = snapshot.update_id
        book.event_time_ms = snapshot.event_time_ms
        book._bids.load(snapshot.bids, complete=snapshot.bids_complete)
        book._asks.load(snapshot.asks, complete=snapshot.asks_complete)
        return book

    def apply(self, diff: Diff) -> None:
        """Set the quantity of every level named: insert if new, remove if zero.

        The book is then at ``diff.last``. Removing an unknown level is normal and does nothing.
        O(log levels + chunk) a level. Raises
        :class:`~depthcast.errors.BadLevel` and leaves the book unchanged.
        """
        bids = self._bids.read(diff.bids)
        asks = self._asks.read(diff.asks)
        self._bids.apply(*bids)
        self._asks.apply(*asks)
        self.update_id = diff.last
        self.event_time_ms = diff.event_time_ms

    # Reading

    @property
    def certainty(self) -> Certainty:
        """What may be published of this book."""
        bids, asks = self._bids, self._asks
        return Certainty(bids.certain(), asks.certain(), bids.complete, asks.complete)

    @property
    def best_bid(self) -> tuple[str, str] | None:
        """(price, quantity) of the highest certain bid."""
        return self._bids.best()

    @property
    def best_ask(self) -> tuple[str, str] | None:
        """(price, quantity) of the lowest certain ask."""
        return self._asks.best()

    @property
    def crossed(self) -> bool:
        """Whether the highest bid is not below the lowest ask, which no venue's book is for long."""
        bid, ask = self._bids.best(), self._asks.best()
        if bid is None or ask is None:
            return False
        # The float decides but for prices that only exact decimals can tell apart.
        higher = float(bid[0]) - float(ask[0])
        return higher > 0 or (higher == 0 and Decimal(bid[0]) >= Decimal(ask[0]))

    @property
    def exhausted(self) -> bool:
        """Whether a side has levels beyond its certain price at most: nothing of it can be shown."""
        return any(not side.complete and side.best() is None for side in (self._bids, self._asks))

    def numbers(self, limit: int | None = None) -> tuple[Numbers, Numbers]:
        """Bids and asks, best first: the first ``limit`` certain levels, or all of them. O(levels given).

        Each side is its prices and its quantities; a number is the float nearest to its string.
        """
        return self._bids.numbers(limit), self._asks.numbers(limit)

    def strings(self, limit: int | None = None) -> tuple[list[list[str]], list[list[str]]]:
        """The same as levels ``[price, quantity]`` of the exact strings."""
        return self._bids.strings(limit), self._asks.strings(limit)

    def columns(self, limit: int | None = None) -> "tuple[Columns, Columns]":
        """The same as arrays: the prices of a side and its quantities. Prices of bids are *negative*."""
        return self._bids.columns(limit), self._asks.columns(limit)

    def body(self, limit: int) -> bytes:
        """The file for one limit; see :meth:`bodies`."""
        return self.bodies((limit,))[0]

    def bodies(self, limits: Sequence[int]) -> list[bytes]:
        """The files for several limits (each at least 1), in the order asked for.

        Each is exactly the venue's own body, ``{"lastUpdateId":N,"bids":[…],"asks":[…]}``, best levels
        first, of the certain levels only. One join makes the largest; the others are slices of it.
        """
        ordered = sorted(set(limits))
        bid_pieces, bid_ends = self._bids.pieces(ordered)
        ask_pieces, ask_ends = self._asks.pieces(ordered)
        head = b'{"lastUpdateId":%d,"bids":[' % self.update_id
        largest = b"".join((head, *bid_pieces, _BETWEEN, *ask_pieces, _END))
        if len(ordered) == 1:
            return [largest] * len(limits)
        view = memoryview(largest)
        # A smaller file: some bids, then from the end of the bids to some way into the asks, then the end.
        bids_start = len(head)
        bids_close = bids_start + bid_ends[-1]
        asks_start = bids_close + bool(bid_pieces) + len(_BETWEEN)
        close = b"]" + _END if ask_pieces else _END
        made = {
            limit: b"".join((view[: bids_start + bid_end], view[bids_close : asks_start + ask_end], close))
            for limit, bid_end, ask_end in zip(ordered[:-1], bid_ends, ask_ends, strict=False)
        }
        made[ordered[-1]] = largest
        return [made[limit] for limit in limits]

    # Comparing and refilling

    def audit(self, other: Self) -> Audit:
        """Compare with another book at the same update id, where both are certain. O(levels)."""
        if self.update_id != other.update_id:
            raise ValueError(f"books at different ids: {self.update_id} and {other.update_id}")
        counts = (self._bids.audit(other._bids), self._asks.audit(other._asks))
        return Audit(*map(sum, zip(*counts, strict=True)))

    def refill(self, fresh: Self) -> None:
        """Take over from ``fresh``, a book of the same id, all that it is certain of. O(levels).

        Beyond its certain price this book's own levels, and its own certainty, remain.
        """
        if self.update_id != fresh.update_id:
            raise ValueError(f"books at different ids: {self.update_id} and {fresh.update_id}")
        self._bids.refill(fresh._bids)
        self._asks.refill(fresh._asks)

    # Checking

    def __len__(self) -> int:
        """The number of levels kept on both sides, certain or not."""
        return len(self._bids) + len(self._asks)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant of the structure is broken. O(levels)."""
        self._bids.check()
        self._asks.check()
