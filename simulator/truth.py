"""The true book of every symbol at every update id, within a bounded history.

A :class:`Journal` is one symbol over one unbroken run of ids: a book to begin with and every change since.
Where ids are re-based a new journal begins, the symbol's next *generation*. A journal of a synthetic market
is *divisible*: each id is exactly one change, so the book is known at every id. In a capture the book is
known only where a recorded diff ended.

Promises: :meth:`Truth.body` is exactly what REST would have answered at that id, from the recorded changes
alone. Kept plain on purpose: two sorted maps a book, changes applied one after the other.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from sortedcontainers import SortedDict

from simulator.scale import Scale

BID: Final = 0
ASK: Final = 1

MAX_DEPTH: Final = 5000
"""The most levels a side that ``GET /api/v3/depth`` shows."""


CURSORS_A_JOURNAL: Final = 3
"""How many askers can walk one journal at different places without replaying from keyframes."""


TIMES_KEPT: Final = 20_000
"""Of so many of a symbol's diffs the times are remembered: half an hour's."""


class Change(NamedTuple):
    """From now on ``quantity`` stands at ``price`` (units, :mod:`simulator.scale`); 0: nothing does."""

    side: int
    price: int
    quantity: int


class Times(NamedTuple):
    """When a futures message was put out (``E``) and its last change made (``T``), ms since 1970."""

    event_ms: int
    transaction_ms: int


class TruthError(LookupError):
    """There is no answer; ``str()`` says why: no such symbol, or its id is forgotten, ahead or in a diff."""


class TrueBook:
    """Two sides, price to quantity, both in units."""

    __slots__ = ("sides",)

    def __init__(self, bids: Iterable[tuple[int, int]] = (), asks: Iterable[tuple[int, int]] = ()) -> None:
        self.sides: tuple[SortedDict, SortedDict] = (SortedDict(bids), SortedDict(asks))

    def apply(self, change: Change) -> None:
        """O(log levels). Taking away a level that is not there changes nothing."""
        side, price, quantity = change
        if quantity:
            self.sides[side][price] = quantity
        else:
            self.sides[side].pop(price, None)

    def best(self, side: int) -> tuple[int, int] | None:
        """Price and quantity of the highest bid or the lowest ask."""
        levels = self.sides[side]
        if not levels:
            return None
        best: tuple[int, int] = levels.peekitem(-1 if side == BID else 0)
        return best

    def levels(self, side: int, limit: int | None = None) -> list[tuple[int, int]]:
        """The first ``limit`` levels (all for ``None``), best first."""
        book_side = self.sides[side]
        prices = reversed(book_side) if side == BID else iter(book_side)
        return [(price, book_side[price]) for price in islice(prices, limit)]

    def body(
        self, update_id: int, limit: int, scale: Scale, times: Times | None = None, names: str = ""
    ) -> bytes:
        """What ``GET /api/v3/depth`` answers for this book, with ``times`` ``GET /fapi/v1/depth``, and with
        ``names`` besides, JSON members, ``GET /dapi/v1/depth``.
        """
        bids = scale.levels(self.levels(BID, min(limit, MAX_DEPTH)))
        asks = scale.levels(self.levels(ASK, min(limit, MAX_DEPTH)))
        told = "" if times is None else f'"E":{times.event_ms},"T":{times.transaction_ms},'
        return f'{{"lastUpdateId":{update_id},{names}{told}"bids":{bids},"asks":{asks}}}'.encode()

    def check(self) -> None:
        """Raise AssertionError where a level has no quantity or the book is crossed. O(levels)."""
        for side in self.sides:
            for price, quantity in side.items():
                assert min(price, quantity) > 0, f"a level {quantity} at {price}"
        bid, ask = self.best(BID), self.best(ASK)
        assert bid is None or ask is None or bid[0] < ask[0], f"crossed: {bid} and {ask}"


class _Segment:
    """A whole book and the changes after it, as flat arrays of 64-bit numbers."""

    __slots__ = ("changes", "ends", "first_change", "ids", "keyframe", "start_id", "time_ms")

    def __init__(self, book: TrueBook, start_id: int, first_change: int, time_ms: int) -> None:
        self.keyframe = tuple(
            (array("q", levels.keys()), array("q", levels.values())) for levels in book.sides
        )
        self.start_id = start_id
        self.first_change = first_change
        self.time_ms = time_ms
        # Price (an ask's is negative) and quantity of each change in turn.
        self.changes = array("q")
        # Only where ids are not divisible: the id after which so many of the changes are in force.
        self.ids = array("q")
        self.ends = array("q")

    @property
    def count(self) -> int:
        return len(self.changes) // 2

    def book(self) -> TrueBook:
        bids, asks = self.keyframe
        return TrueBook(zip(*bids, strict=True), zip(*asks, strict=True))


class Journal:
    """One symbol's book from ``base_id`` on: the present one in ``head``, earlier ones by their id.

    ``update_id`` is the id of ``head``. ``generation`` counts the symbol's journals from 0.
    """

    def __init__(
        self,
        symbol: str,
        scale: Scale,
        generation: int,
        book: TrueBook,
        update_id: int,
        *,
        divisible: bool,
        time_ms: int,
        keyframe_changes: int,
    ) -> None:
        self.symbol = symbol
        self.scale = scale
        self.generation = generation
        self.base_id = update_id
        self.update_id = update_id
        self.divisible = divisible
        self.head = book
        self.times: Times | None = None
        """Of futures: those of the newest change; an earlier diff's are in :meth:`times_at`."""
        self.names = ""
        """Of COIN-M: the members of its bodies that name it."""
        self._told_times: dict[int, Times] = {}
        self._keyframe_changes = keyframe_changes
        self._segments = [_Segment(book, update_id, 0, time_ms)]

    def append(self, change: Change) -> None:
        """The next id of a divisible journal. ``O(log levels)``."""
        self.head.apply(change)
        self.update_id += 1
        side, price, quantity = change
        self._segments[-1].changes.extend((price if side == BID else -price, quantity))

    def append_diff(self, update_id: int, changes: Sequence[Change]) -> None:
        """The next recorded diff of an indivisible journal: the book is known again at ``update_id``."""
        if self.divisible or update_id <= self.update_id:
            raise ValueError(f"{self.symbol}: {update_id} cannot follow {self.update_id} as a whole diff")
        segment = self._segments[-1]
        for side, price, quantity in changes:
            self.head.apply(Change(side, price, quantity))
            segment.changes.extend((price if side == BID else -price, quantity))
        self.update_id = update_id
        segment.ids.append(update_id)
        segment.ends.append(segment.count)

    def tell_times(self, update_id: int, times: Times) -> None:
        """A futures diff that ended there had these times. The last :data:`TIMES_KEPT` are kept."""
        self._told_times[update_id] = times
        if len(self._told_times) > TIMES_KEPT:
            del self._told_times[next(iter(self._told_times))]

    def times_at(self, update_id: int) -> Times | None:
        """The times of the diff that ended there; ``None`` where none did, or none are told."""
        return self._told_times.get(update_id)

    def mark_time(self, time_ms: int) -> bool:
        """Note the time up to which changes came; true where a new keyframe was due and taken."""
        segment = self._segments[-1]
        segment.time_ms = time_ms
        if segment.count < self._keyframe_changes:
            return False
        self._segments.append(
            _Segment(self.head, self.update_id, segment.first_change + segment.count, time_ms)
        )
        return True

    def forget(self, *, before_ms: int, keep_changes: int) -> None:
        """Drop the oldest changes that are older than ``before_ms`` or more than ``keep_changes`` ago.

        Whole segments go, and the newest one stays, so somewhat more is kept than asked for.
        """
        segments = self._segments
        while len(segments) > 1:
            remaining = self.changes - (segments[1].first_change - segments[0].first_change)
            if segments[0].time_ms >= before_ms and remaining < keep_changes:
                break
            del segments[0]

    @property
    def changes(self) -> int:
        """How many changes are remembered."""
        last = self._segments[-1]
        return last.first_change + last.count - self._segments[0].first_change

    @property
    def oldest_id(self) -> int:
        """The smallest id whose book is still known."""
        return self._segments[0].start_id

    @property
    def time_ms(self) -> int:
        """Up to when changes came."""
        return self._segments[-1].time_ms

    def position(self, update_id: int) -> int:
        """How many changes of this generation had happened at ``update_id``. Raises :class:`TruthError`."""
        where = f"{self.symbol} generation {self.generation}"
        if update_id > self.update_id:
            raise TruthError(f"{where}: {update_id} is ahead of the present id {self.update_id}")
        if update_id < self.base_id:
            raise TruthError(f"{where}: {update_id} is before its first id {self.base_id}")
        if update_id < self.oldest_id:
            raise TruthError(f"{where}: {update_id} is forgotten, the history begins at {self.oldest_id}")
        segment = self._segments[bisect_right(self._segments, update_id, key=lambda s: s.start_id) - 1]
        if self.divisible or update_id == segment.start_id:
            return segment.first_change + update_id - segment.start_id
        index = bisect_right(segment.ids, update_id) - 1
        if index < 0 or segment.ids[index] != update_id:
            raise TruthError(f"{where}: {update_id} is inside a recorded diff")
        return segment.first_change + segment.ends[index]

    def latest_known(self, update_id: int) -> int:
        """The greatest id not above ``update_id`` (at least :attr:`oldest_id`) whose book is known."""
        if self.divisible:
            return min(update_id, self.update_id)
        segment = self._segments[bisect_right(self._segments, update_id, key=lambda s: s.start_id) - 1]
        index = bisect_right(segment.ids, update_id) - 1
        return segment.ids[index] if index >= 0 else segment.start_id

    def latest_told(self, update_id: int) -> int:
        """The same where a futures diff ended, so that its times are known; without those, as before."""
        known = self.latest_known(update_id)
        return max((each for each in self._told_times if self.oldest_id <= each <= known), default=known)

    def book_at(self, position: int, known: TrueBook | None = None, known_position: int = 0) -> TrueBook:
        """The book after ``position`` changes of this generation.

        ``known`` is the book after ``known_position`` changes, not later; it is moved on in place, unless a
        keyframe is nearer. O(levels) from a keyframe, O(changes in between) from a known book.
        """
        segments = self._segments
        index = self._segment_of(position)
        book, at = known, known_position
        if book is None or at < segments[index].first_change:
            book, at = segments[index].book(), segments[index].first_change
        if at < position:
            first_change = segments[index].first_change
            flat = segments[index].changes[2 * (at - first_change) : 2 * (position - first_change)]
            for price, quantity in zip(flat[::2], flat[1::2], strict=True):
                book.apply(Change(BID, price, quantity) if price > 0 else Change(ASK, -price, quantity))
        return book

    def _segment_of(self, position: int) -> int:
        return bisect_right(self._segments, position, key=lambda segment: segment.first_change) - 1


@dataclass(slots=True)
class _Cursor:
    """A book kept at one place of a journal, so that asking for ids in order replays each change once."""

    journal: Journal
    position: int
    book: TrueBook


class Truth:
    """The journals of all symbols, and every book in them.

    ``history_s`` bounds how long changes are remembered, ``history_changes`` how many over all symbols (16
    bytes each). A whole book is kept every ``keyframe_changes``: the most that must be replayed to find one;
    ``max_cursors`` books more are kept ready for askers that walk forward.
    """

    def __init__(
        self,
        *,
        history_s: float = 600,
        history_changes: int = 16_000_000,
        keyframe_changes: int = 20_000,
        max_cursors: int = 64,
    ) -> None:
        self.history_s = history_s
        self.history_changes = history_changes
        self.keyframe_changes = keyframe_changes
        self.max_cursors = max_cursors
        self._journals: dict[str, list[Journal]] = {}
        self._cursors: list[_Cursor] = []  # the least recently used one first

    def begin(
        self, symbol: str, scale: Scale, book: TrueBook, update_id: int, *, divisible: bool, time_ms: int = 0
    ) -> Journal:
        """A symbol's next generation, which owns ``book`` from here on."""
        generations = self._journals.setdefault(symbol, [])
        journal = Journal(
            symbol,
            scale,
            generations[-1].generation + 1 if generations else 0,
            book,
            update_id,
            divisible=divisible,
            time_ms=time_ms,
            keyframe_changes=self.keyframe_changes,
        )
        if generations:
            journal.names = generations[-1].names
        generations.append(journal)
        self._forget(journal, time_ms)
        return journal

    def mark_time(self, journal: Journal, time_ms: int) -> None:
        """To be called after changes were appended: takes keyframes and forgets what is beyond the bounds."""
        if journal.mark_time(time_ms):
            self._forget(journal, time_ms)

    def _forget(self, journal: Journal, time_ms: int) -> None:
        before_ms = time_ms - int(self.history_s * 1000)
        generations = self._journals[journal.symbol]
        for old in generations:
            old.forget(before_ms=before_ms, keep_changes=self.history_changes // len(self._journals))
        generations[:] = [old for old in generations if old is journal or old.time_ms >= before_ms]
        self._cursors = [
            c for c in self._cursors if c.journal.symbol != journal.symbol or c.journal in generations
        ]

    def generations(self, symbol: str) -> Sequence[Journal]:
        """A symbol's journals, oldest first. Raises :class:`TruthError`."""
        try:
            return self._journals[symbol]
        except KeyError:
            raise TruthError(f"no symbol {symbol!r:.80}") from None

    def holding(self, symbol: str, update_id: int) -> list[Journal]:
        """The generations in which ``update_id`` has a known book, newest first; ids can come again."""
        return [j for j in reversed(self.generations(symbol)) if _knows(j, update_id)]

    def body(
        self,
        symbol: str,
        update_id: int,
        limit: int,
        generation: int | None = None,
        *,
        times: Times | None = None,
    ) -> bytes:
        """The REST body at an id; of the newest generation that has it, unless one is named.

        Of futures it has ``times``, by default those of the diff that ended there. Raises
        :class:`TruthError`.
        """
        journal = self._journal(symbol, update_id, generation)
        told = times or journal.times_at(update_id)
        return self._book(journal, update_id).body(update_id, limit, journal.scale, told, journal.names)

    def bodies(self, symbol: str, update_id: int, limit: int) -> list[bytes]:
        """The REST bodies of all generations that have the id, newest first; empty where none has."""
        return [
            self._book(journal, update_id).body(
                update_id, limit, journal.scale, journal.times_at(update_id), journal.names
            )
            for journal in self.holding(symbol, update_id)
        ]

    def levels(
        self, symbol: str, update_id: int, generation: int | None = None
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Bids and asks to their full depth, best first. Raises :class:`TruthError`."""
        journal = self._journal(symbol, update_id, generation)
        book, scale = self._book(journal, update_id), journal.scale
        bids, asks = (
            [(scale.price(price), scale.quantity(quantity)) for price, quantity in book.levels(side)]
            for side in (BID, ASK)
        )
        return bids, asks

    def _journal(self, symbol: str, update_id: int, generation: int | None) -> Journal:
        """The newest generation that has the id, and where none has it, the one that can say why."""
        known = self.generations(symbol)
        if generation is not None:
            known = [journal for journal in known if journal.generation == generation]
            if not known:
                raise TruthError(f"{symbol} has no generation {generation} in memory")
        return next((j for j in reversed(known) if _knows(j, update_id)), known[-1])

    def _book(self, journal: Journal, update_id: int) -> TrueBook:
        position = journal.position(update_id)
        if update_id == journal.update_id:
            return journal.head
        # Several askers may walk a journal at different places: each one's cursor is the nearest behind.
        behind = [c for c in self._cursors if c.journal is journal and c.position <= position]
        nearest = max(behind, key=lambda cursor: cursor.position, default=None)
        mine = [cursor for cursor in self._cursors if cursor.journal is journal]
        if nearest is None and len(mine) == CURSORS_A_JOURNAL:
            self._cursors.remove(mine[0])
        if nearest is None:
            nearest = _Cursor(journal, position, journal.book_at(position))
        else:
            self._cursors.remove(nearest)
            nearest.book = journal.book_at(position, nearest.book, nearest.position)
            nearest.position = position
        self._cursors.append(nearest)
        del self._cursors[: -self.max_cursors]
        return nearest.book


def _knows(journal: Journal, update_id: int) -> bool:
    try:
        journal.position(update_id)
    except TruthError:
        return False
    return True
