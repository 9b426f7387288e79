"""``Segment``: what is known of one interval of a symbol's diffs, what is not, and the union of two of them.

A segment is one or more *pieces*, oldest first. A piece is a keyframe, the certain book as it was just before
its first diff, and diffs that follow on each other without a gap. A diff belongs to the interval of the
greatest event time seen so far in its piece, by the exchange's clock, so that replicas agree on it.

A segment is *whole* where one piece was kept from before the interval's beginning to after its end. Then it
is final. What is missing of another one are its :class:`Hole`s. Two replicas' segments of one interval are
merged by update ids; the union holds every diff that either holds.

Pure: no I/O, no clock.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

from depthcast.events import CONSECUTIVE, Diff, Level, Snapshot
from depthcast.venues.taping import taping_of


class Keyframe(NamedTuple):
    """A certain book at one update id, best level first on both sides.

    ``event_time_ms`` is the exchange's clock of the last diff in it, 0 where that is not known (a book fresh
    from the exchange's own snapshot); ``local_time_us`` the recorder's own clock when that diff came.
    ``bids_complete``: no bid exists beyond the last one shown. ``transaction_time_ms`` is when its last
    change was made, 0 where the venue does not tell; ``time`` is the venue's own spelling of the time that
    the book tells, where it tells one. ``names`` are :attr:`depthcast.events.Snapshot.names`.
    """

    update_id: int
    event_time_ms: int
    local_time_us: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    bids_complete: bool
    asks_complete: bool
    transaction_time_ms: int = 0
    time: str = ""
    names: str = ""

    def snapshot(self) -> Snapshot:
        """As what a :class:`~depthcast.book.Book` begins from."""
        return Snapshot(
            self.update_id,
            self.bids,
            self.asks,
            self.bids_complete,
            self.asks_complete,
            self.event_time_ms,
            self.transaction_time_ms,
            self.names.encode(),
        )


class RecordedDiff(NamedTuple):
    """A diff as it came: update ids ``first`` to ``last``, levels of exact strings, zero removes.

    ``previous`` is the id before it where the venue's ids have holes, and ``transaction_time_ms`` when its
    last change was made, both as in :class:`~depthcast.events.Diff`; ``time`` is as a keyframe's. A level has
    behind its price and amount what the venue's tape holds of it (:mod:`depthcast.venues.taping`).
    """

    first: int
    last: int
    event_time_ms: int
    local_time_us: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    previous: int = CONSECUTIVE
    transaction_time_ms: int = 0
    time: str = ""

    @property
    def after(self) -> int:
        """The id that a book has to be at, at least, for it to lead on from there."""
        return self.first - 1 if self.previous < 0 else self.previous

    def diff(self, symbol: str) -> Diff:
        """As what a :class:`~depthcast.book.Book` applies."""
        return Diff(
            symbol,
            self.first,
            self.last,
            self.event_time_ms,
            self.bids,
            self.asks,
            self.previous,
            self.transaction_time_ms,
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """A keyframe and the diffs that lead on from it, without a gap. ``epoch`` is that of its ids."""

    epoch: int
    keyframe: Keyframe
    diffs: Sequence[RecordedDiff]

    @property
    def first_id(self) -> int:
        """The update id of the keyframe, the earliest book that it has."""
        return self.keyframe.update_id

    @property
    def last_id(self) -> int:
        """The update id of the latest book that it has."""
        return self.diffs[-1].last if self.diffs else self.keyframe.update_id

    @property
    def after(self) -> int:
        """The id behind which it holds every change: before that of its keyframe, where its first diff spans
        that."""
        return min(self.first_id, self.diffs[0].after) if self.diffs else self.first_id

    @property
    def from_ms(self) -> int:
        """The event time from which on it is known; 0 where it does not know."""
        if self.keyframe.event_time_ms:
            return self.keyframe.event_time_ms
        return self.diffs[0].event_time_ms if self.diffs else 0

    @property
    def to_ms(self) -> int:
        """The greatest event time in it; 0 where it does not know."""
        return max((diff.event_time_ms for diff in self.diffs), default=self.keyframe.event_time_ms)


class Hole(NamedTuple):
    """A stretch of which diffs may be missing: those after ``after_id`` that lead to ``before_id``.

    ``after_id`` is ``None`` where nothing is known from the interval's beginning on, ``before_id`` where
    nothing is known up to its end. Times are the exchange's, in ms, as near as they are known.
    """

    after_id: int | None
    before_id: int | None
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Segment:
    """All that somebody has of one interval. ``pieces`` by epoch and update id; ``holes`` in their order.

    Made by :meth:`of`, which finds the holes.
    """

    venue: str
    symbol: str
    start_ms: int
    length_s: int
    pieces: tuple[Piece, ...]
    holes: tuple[Hole, ...]

    @classmethod
    def of(
        cls,
        venue: str,
        symbol: str,
        start_ms: int,
        length_s: int,
        pieces: Iterable[Piece],
        *,
        from_start: bool,
        to_end: bool,
    ) -> Self:
        """The segment of these pieces. ``from_start``: the first was kept from before the interval's
        beginning; ``to_end``: the last was kept to after its end. Raises ``ValueError`` without a piece.
        """
        ordered = tuple(sorted(pieces, key=lambda piece: (piece.epoch, piece.first_id)))
        if not ordered:
            raise ValueError("a segment has a piece at least")
        end_ms = start_ms + length_s * 1000
        holes = [] if from_start else [_hole(None, ordered[0], start_ms, end_ms)]
        holes += [_hole(left, right, start_ms, end_ms) for left, right in pairwise(ordered)]
        if not to_end:
            holes.append(_hole(ordered[-1], None, start_ms, end_ms))
        return cls(venue, symbol, start_ms, length_s, ordered, tuple(holes))

    @property
    def end_ms(self) -> int:
        """The beginning of the interval that follows."""
        return self.start_ms + self.length_s * 1000

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, so that it is final."""
        return not self.holes

    @property
    def from_start(self) -> bool:
        """Whether it is known from the interval's beginning on."""
        return not (self.holes and self.holes[0].after_id is None)

    @property
    def to_end(self) -> bool:
        """Whether it is known up to the interval's end."""
        return not (self.holes and self.holes[-1].before_id is None)

    @property
    def epoch(self) -> int:
        """The latest epoch in it."""
        return self.pieces[-1].epoch

    @property
    def first_id(self) -> int:
        """The update id of the earliest book in it: that of its first keyframe."""
        return self.pieces[0].first_id

    @property
    def last_id(self) -> int:
        """The update id of the latest book in it."""
        return self.pieces[-1].last_id

    @property
    def diffs(self) -> Iterator[RecordedDiff]:
        """All diffs, oldest first."""
        return (diff for piece in self.pieces for diff in piece.diffs)

    def covers(self, other: Self) -> bool:
        """Whether ``other``, of the same interval, knows nothing that this one does not."""
        if self.whole:
            return True
        return (
            (self.from_start or not other.from_start)
            and (self.to_end or not other.to_end)
            and all(any(_within(theirs, ours) for ours in self.pieces) for theirs in other.pieces)
        )

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(levels)."""
        assert self.pieces, "a segment without a piece"
        assert self.start_ms % (self.length_s * 1000) == 0, "no interval begins then"
        more = len(taping_of(self.venue).members)
        for piece in self.pieces:
            at = piece.first_id
            for diff in piece.diffs:
                assert diff.after <= at < diff.last, f"{diff.first}…{diff.last} does not follow on {at}"
                at = diff.last
            for side in (piece.keyframe.bids, piece.keyframe.asks):
                assert all(len(level) == 2 + more for level in side), (
                    "a level is a price and an amount, and the members of its venue"
                )
        for left, right in pairwise(self.pieces):
            in_order = (left.epoch, left.last_id) < (right.epoch, right.first_id)
            assert in_order, "pieces overlap, or are out of order"
        again = Segment.of(
            self.venue,
            self.symbol,
            self.start_ms,
            self.length_s,
            self.pieces,
            from_start=self.from_start,
            to_end=self.to_end,
        )
        assert again.holes == self.holes, "the holes are not those between the pieces"


def merge(one: Segment, other: Segment) -> Segment:
    """The union of two segments of one interval: a whole one as it is, else all that either knows.

    Raises ``ValueError`` for segments of different intervals. O(levels).
    """
    if (one.venue, one.symbol, one.start_ms, one.length_s) != (
        other.venue,
        other.symbol,
        other.start_ms,
        other.length_s,
    ):
        raise ValueError("segments of different intervals have no union")
    if one.covers(other):
        return one
    if other.covers(one):
        return other
    return Segment.of(
        one.venue,
        one.symbol,
        one.start_ms,
        one.length_s,
        joined((*one.pieces, *other.pieces)),
        from_start=one.from_start or other.from_start,
        to_end=one.to_end or other.to_end,
    )


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces with those that overlap, or follow on each other, made one; by epoch and update id."""
    made: list[Piece] = []
    # Of two that begin with the same book, the one that shows more of it goes first.
    for piece in sorted(pieces, key=lambda each: (each.epoch, each.first_id, -_levels(each.keyframe))):
        last = made[-1] if made else None
        if last is None or last.epoch != piece.epoch or last.last_id < piece.after:
            made.append(piece)
        elif piece.last_id > last.last_id:
            # It is known from ``last.last_id`` on at least, so the first one kept here follows on that.
            later = [diff for diff in piece.diffs if diff.last > last.last_id]
            made[-1] = Piece(last.epoch, last.keyframe, (*last.diffs, *later))
    return made


def _within(theirs: Piece, ours: Piece) -> bool:
    return ours.epoch == theirs.epoch and ours.first_id <= theirs.first_id and theirs.last_id <= ours.last_id


def _levels(keyframe: Keyframe) -> int:
    return len(keyframe.bids) + len(keyframe.asks)


def _hole(left: Piece | None, right: Piece | None, start_ms: int, end_ms: int) -> Hole:
    """The hole between two pieces, or before the first, or behind the last; times within the interval."""
    from_ms = start_ms if left is None else min(max(left.to_ms, start_ms), end_ms)
    to_ms = end_ms if right is None else min(max(right.from_ms, from_ms), end_ms)
    return Hole(
        None if left is None else left.last_id, None if right is None else right.first_id, from_ms, to_ms
    )
