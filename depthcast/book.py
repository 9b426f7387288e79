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

from depthcast.events import Diff, PlainLevels, Snapshot
from depthcast.side import Numbers, Side

if TYPE_CHECKING:
    from depthcast.side import Columns

DEFERRED_LEVELS: Final = 4096
"""Levels of both sides that wait to be written at most: three milliseconds' work."""

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

    __slots__ = (
        "_asks",
        "_bids",
        "_first",
        "_later_asks",
        "_later_bids",
        "event_time_ms",
        "names",
        "transaction_time_ms",
        "unsettled",
        "update_id",
    )

    def __init__(self) -> None:
        self.update_id: int = 0
        self.event_time_ms: int = 0
        """The venue's clock of the last diff in it, in ms since 1970; 0 where that is not known."""
        self.transaction_time_ms: int = 0
        """When the last change in it was made, likewise; 0 where the venue does not tell."""
        self.names: bytes = b""
        """What the venue's bodies have between the update id and the times."""
        self.unsettled: int = 0
        """How many diffs were taken by :meth:`defer` and are not written yet."""
        self._bids = Side(descending=True)
        self._asks = Side(descending=False)
        # The first unsettled diff, until there is another; then of each price what stands there now.
        self._first: Diff | None = None
        self._later_bids: dict[str, str] = {}
        self._later_asks: dict[str, str] = {}

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """The book a snapshot shows. O(levels).

        Raises :class:`~depthcast.errors.BadLevel` for a bad level, a zero quantity, or a side that is not
        strictly ordered, best first.
        """
        book = cls()
        book.update_id = snapshot.update_id
        book.event_time_ms = snapshot.event_time_ms
        book.transaction_time_ms = snapshot.transaction_time_ms
        book.names = snapshot.names
        book._bids.load(snapshot.bids, complete=snapshot.bids_complete)
        book._asks.load(snapshot.asks, complete=snapshot.asks_complete)
        return book

    def apply(self, diff: Diff) -> None:
        """Set the quantity of every level named: insert if new, remove if zero.

        The book is then at ``diff.last``. Removing an unknown level is normal and does nothing.
        O(log levels + chunk) a level. Raises
        :class:`~depthcast.errors.BadLevel` and leaves the book unchanged.
        """
        if self.unsettled:
            self.settle()
        bids = self._bids.read(diff.bids)
        asks = self._asks.read(diff.asks)
        self._bids.apply(*bids)
        self._asks.apply(*asks)
        self.update_id = diff.last
        self.event_time_ms = diff.event_time_ms
        self.transaction_time_ms = diff.transaction_time_ms

    def defer(self, diff: Diff) -> None:
        """Take a diff as :meth:`apply` does, and write its levels when somebody looks, or many wait.

        Quantities are absolute, so of each price only the last one told has to be written: a book that is
        read less often than it changes costs a fraction. The book is at ``diff.last`` either way, and every
        method that reads it settles first; so reading a book that has unsettled diffs is a change of it.

        Only where the diff's levels are :class:`~depthcast.events.PlainLevels`; another one is applied.
        Raises as :meth:`apply` and :meth:`settle` do.
        """
        bids, asks = diff.bids, diff.asks
        if type(bids) is not PlainLevels or type(asks) is not PlainLevels:
            self.apply(diff)
            return
        if not self.unsettled:
            self._first = diff
        else:
            first, self._first = self._first, None
            for each in (diff,) if first is None else (first, diff):
                # They are pairs, of which each takes the place of the one before at its price.
                self._later_bids.update(each.bids)  # type: ignore[arg-type]
                self._later_asks.update(each.asks)  # type: ignore[arg-type]
        self.unsettled += 1
        self.update_id = diff.last
        self.event_time_ms = diff.event_time_ms
        self.transaction_time_ms = diff.transaction_time_ms
        if len(self._later_bids) + len(self._later_asks) > DEFERRED_LEVELS:
            self.settle()

    def settle(self) -> None:
        """Write what was deferred. O(levels deferred x (log levels + chunk)); again: does nothing.

        Raises :class:`~depthcast.errors.BadLevel` for what only shows now: a number without a digit or with
        too many, or a price told in two spellings since, of which nobody knows the last one. The book cannot
        be read any more then; each attempt raises the same.
        """
        if not self.unsettled:
            return
        if self._first is not None:
            bids, asks = self._bids.read(self._first.bids), self._asks.read(self._first.asks)
        else:
            bids = self._bids.read_standing(self._later_bids)
            asks = self._asks.read_standing(self._later_asks)
        self._bids.apply(*bids)
        self._asks.apply(*asks)
        self._first = None
        self._later_bids.clear()
        self._later_asks.clear()
        # Last: who sees none may read without asking whether another thread is at it.
        self.unsettled = 0

    # Reading

    @property
    def certainty(self) -> Certainty:
        """What may be published of this book."""
        bids, asks = self._sides()
        return Certainty(bids.certain(), asks.certain(), bids.complete, asks.complete)

    @property
    def best_bid(self) -> tuple[str, str] | None:
        """(price, quantity) of the highest certain bid."""
        return self._sides()[0].best()

    @property
    def best_ask(self) -> tuple[str, str] | None:
        """(price, quantity) of the lowest certain ask."""
        return self._sides()[1].best()

    @property
    def crossed(self) -> bool:
        """Whether the highest bid is not below the lowest ask, which no venue's book is for long."""
        bids, asks = self._sides()
        bid, ask = bids.best_key, asks.best_key
        if bid is None or ask is None:
            return False
        if type(bid) is type(ask) is float:
            return -bid >= ask
        # Floats of one side and exact decimals of the other are told apart by what they were read from.
        strings = bids.best(), asks.best()
        assert strings[0] is not None
        assert strings[1] is not None
        return Decimal(strings[0][0]) >= Decimal(strings[1][0])

    @property
    def fault(self) -> str | None:
        """Why it cannot be right, or cannot be shown: ``crossed``, ``exhausted``; ``None``: it can."""
        return "crossed" if self.crossed else "exhausted" if self.exhausted else None

    @property
    def exhausted(self) -> bool:
        """Whether a side has levels beyond its certain price at most: nothing of it can be shown."""
        return any(not side.complete and side.best_key is None for side in self._sides())

    def numbers(self, limit: int | None = None) -> tuple[Numbers, Numbers]:
        """Bids and asks, best first: the first ``limit`` certain levels, or all of them. O(levels given).

        Each side is its prices and its quantities; a number is the float nearest to its string.
        """
        bids, asks = self._sides()
        return bids.numbers(limit), asks.numbers(limit)

    def strings(self, limit: int | None = None) -> tuple[list[list[str]], list[list[str]]]:
        """The same as levels ``[price, quantity]`` of the exact strings."""
        bids, asks = self._sides()
        return bids.strings(limit), asks.strings(limit)

    def columns(self, limit: int | None = None) -> "tuple[Columns, Columns]":
        """The same as arrays: the prices of a side and its quantities. Prices of bids are *negative*."""
        bids, asks = self._sides()
        return bids.columns(limit), asks.columns(limit)

    def body(self, limit: int) -> bytes:
        """The file for one limit; see :meth:`bodies`."""
        return self.bodies((limit,))[0]

    def bodies(self, limits: Sequence[int]) -> list[bytes]:
        """The files for several limits (each at least 1), in the order asked for.

        Each is exactly the venue's own body, ``{"lastUpdateId":N,"bids":[…],"asks":[…]}``, best levels
        first, of the certain levels only; a venue that tells when changes were made has its times before the
        bids, ``"E":…,"T":…``. One join makes the largest; the others are slices of it.
        """
        bids, asks = self._sides()
        ordered = sorted(set(limits))
        bid_pieces, bid_ends = bids.pieces(ordered)
        ask_pieces, ask_ends = asks.pieces(ordered)
        head = self._head()
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

    def _head(self) -> bytes:
        if self.transaction_time_ms:
            times = (self.update_id, self.names, self.event_time_ms, self.transaction_time_ms)
            return b'{"lastUpdateId":%d,%b"E":%d,"T":%d,"bids":[' % times
        return b'{"lastUpdateId":%d,"bids":[' % self.update_id

    # Comparing and refilling

    def audit(self, other: Self) -> Audit:
        """Compare with another book at the same update id, where both are certain. O(levels).

        >>> ours = Book.of(Snapshot(7, [["2.0", "5"], ["1.9", "1"]], [], True, True))
        >>> ours.audit(Book.of(Snapshot(7, [["2.0", "4"]], [], True, True)))
        Audit(matching=0, different=1, ghost=1, missing=0)
        """
        if self.update_id != other.update_id:
            raise ValueError(f"books at different ids: {self.update_id} and {other.update_id}")
        pairs = zip(self._sides(), other._sides(), strict=True)
        counts = (mine.audit(theirs) for mine, theirs in pairs)
        return Audit(*map(sum, zip(*counts, strict=True)))

    def refill(self, fresh: Self) -> None:
        """Take over from ``fresh``, a book of the same id, all that it is certain of. O(levels).

        Beyond its certain price this book's own levels, and its own certainty, remain.

        >>> shallow = Book.of(Snapshot(7, [["2.0", "5"]], [], False, True))
        >>> shallow.refill(Book.of(Snapshot(7, [["2.0", "5"], ["1.9", "1"]], [], False, True)))
        >>> shallow.certainty
        Certainty(bids=2, asks=0, bids_complete=False, asks_complete=True)
        """
        if self.update_id != fresh.update_id:
            raise ValueError(f"books at different ids: {self.update_id} and {fresh.update_id}")
        for mine, theirs in zip(self._sides(), fresh._sides(), strict=True):
            mine.refill(theirs)

    def _sides(self) -> tuple[Side, Side]:
        """Bids and asks as they stand now."""
        if self.unsettled:
            self.settle()
        return self._bids, self._asks

    # Checking

    def __len__(self) -> int:
        """The number of levels kept on both sides, certain or not."""
        bids, asks = self._sides()
        return len(bids) + len(asks)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant of the structure is broken. O(levels)."""
        later = len(self._later_bids) + len(self._later_asks)
        assert not later or self.unsettled > 1, "levels wait that nobody will write"
        assert (self._first is not None) == (self.unsettled == 1), "one diff waits, or more do"
        self._bids.check()
        self._asks.check()
