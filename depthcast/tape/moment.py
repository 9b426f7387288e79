"""``Moments``: one segment of the tape, asked for the book at any moment within it.

A segment is keyframes and diffs, row after row (:mod:`depthcast.tape.parquet`). The book after so many rows
is, of each price, the last row told by then, without those whose quantity is zero. The rows are sorted by
price once; a moment then costs a few passes over arrays and never an ``apply``.

What it promises: **byte for byte** what a :class:`~depthcast.book.Book` that began with the piece's keyframe
and went on by its diffs would render, for every limit. So a body shows certain levels only: down to the price
to which the keyframe was complete.

A moment is told by an update id or by a time:

* At an **id** the book is the one after the last diff that ends at or before it: within a diff nobody knows
  the book, and the body says at which id it stands.
* At a **time** (the exchange's clock) it is the one after every diff with an event time up to it. Ids keep
  their order: a diff whose event time is less than an earlier one's counts as of the greater.

Pure: no I/O, no clock. Needs the extra ``tape``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from depthcast.book import Certainty
from depthcast.errors import NotOnTape
from depthcast.files import Version
from depthcast.tape.columns import SHORTEST, Columns, PieceRows
from depthcast.tape.segment import Hole
from depthcast.venues.taping import PAIR, Taping, Told, taping_of

# An IEEE double tells any two decimals of 15 significant digits apart and keeps their order.
_FLOAT_DIGITS = 15

_Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A book as it was. ``final``: its segment is whole, so the tape will always tell the same.

    ``event_time_ms`` is the exchange's clock of the last diff in it, ``transaction_time_ms`` when that made
    its last change, 0 where that is not known; ``time`` is a time in the venue's own spelling, where it shows
    one. ``names`` are the members with which a body names itself, where it does.
    """

    version: Version
    event_time_ms: int
    transaction_time_ms: int
    time: str
    names: str
    certainty: Certainty
    final: bool
    _taping: Taping
    _columns: Columns
    _bids: _Rows
    _asks: _Rows

    def body(self, limit: int) -> bytes:
        """The file of that moment for one limit, at least 1. O(levels shown).

        Raises ``ValueError`` for a limit that shows what is not on the tape.
        """
        levels = self.shown(limit)
        if levels is None:
            raise ValueError(f"what limit {limit} shows is not on the tape")
        told = Told(
            self.version.update_id, self.event_time_ms, self.transaction_time_ms, self.time, self.names
        )
        asked = self._asks[:levels][::-1] if self._taping.worst_ask_first else self._asks[:levels]
        bids, asks = self._rendered(self._bids[:levels], told), self._rendered(asked, told, ask=True)
        return self._taping.body(told, bids, asks).encode()

    def shown(self, limit: int) -> int | None:
        """How many levels a side a limit shows at most; ``None``: what it shows is not on the tape."""
        return self._taping.shown(limit)

    def levels(self, limit: int | None = None) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks, best first, as ``[price, quantity]`` of the exact strings: the certain ones."""
        bids, asks = (
            [[price, amount] for price, amount, *_ in self._strings(rows[:limit])]
            for rows in (self._bids, self._asks)
        )
        return bids, asks

    def _rendered(self, rows: _Rows, told: Told, *, ask: bool = False) -> str:
        held = self._columns
        level, whole_rows = self._taping.level, self._taping.rows
        if whole_rows is not None:
            return whole_rows(held.symbol, ask, told, self._strings(rows))
        if held.price_texts or held.amount_texts or level != PAIR or SHORTEST in _decimals(held):
            return ",".join(level.format(*strings) for strings in self._strings(rows))
        level = f'["%.{held.price_decimals}f","%.{held.amount_decimals}f"]'
        # One formatting of all levels costs half as much as one each.
        numbers = np.column_stack((held.price[rows], held.amount[rows])).ravel().tolist()
        return ",".join([level] * len(rows)) % tuple(numbers)

    def _strings(self, rows: _Rows) -> Iterable[tuple[str, ...]]:
        return self._columns.levels(rows.tolist())


def book_at(columns: Columns, *, update_id: int | None = None, time_ms: int | None = None) -> Moment:
    """The book of one moment; who asks a segment more than once keeps a :class:`Moments`.

    Raises ``ValueError`` unless exactly one of the two is given, and as the methods do.
    """
    if (update_id is None) == (time_ms is None):
        raise ValueError("a moment is an update id or a time")
    moments = Moments(columns)
    if update_id is not None:
        return moments.at_id(update_id)
    assert time_ms is not None
    return moments.at_time(time_ms)


class Moments:
    """The books of one segment. What a piece needs is prepared when it is first asked for. O(rows)."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._taping = taping_of(columns.venue)
        self._pieces = tuple(_Piece(columns, rows) for rows in columns.pieces)

    @property
    def cost_bytes(self) -> int:
        """The memory that it may come to take."""
        held = self.columns
        arrays = [held.event_time_ms, held.local_time_us, held.first, held.last, held.ask]
        if held.transaction_time_ms is not None:
            arrays.append(held.transaction_time_ms)
        rows = sum(array.nbytes for array in (*arrays, held.price, held.amount))
        texts = 120 * (len(held.price_texts) + len(held.amount_texts))
        # Of each row its key and its number, and of each diff at most four numbers.
        return rows + texts + 48 * len(held.price) + 4096

    def prepare(self) -> None:
        """Do now what the first question would have to wait for."""
        for piece in self._pieces:
            piece.prepare()

    def at_id(self, update_id: int, epoch: int | None = None) -> Moment:
        """The book after the last diff that ends at or before ``update_id``.

        ``epoch``: of that epoch's ids; ``None``: of the latest epoch in the segment that has come so far.
        Raises :class:`~depthcast.errors.NotOnTape` for an id before or after what the segment holds, or in
        one of its holes.
        """
        beyond: set[int] = set()
        for piece in reversed(self._pieces):
            of_epoch = piece.rows.epoch
            if epoch not in (None, of_epoch) or of_epoch in beyond or piece.rows.update_id > update_id:
                continue
            if update_id <= piece.last_id:
                return self._moment(piece, piece.after_id(update_id))
            beyond.add(of_epoch)
        where = f"update id {update_id}" if epoch is None else f"update id {epoch}:{update_id}"
        raise self._missing(
            where, next((hole for hole in self.columns.holes if _has_id(hole, update_id)), None)
        )

    def at_time(self, time_ms: int) -> Moment:
        """The book after every diff with an event time up to ``time_ms``.

        Raises :class:`~depthcast.errors.NotOnTape` for a time outside the segment's interval, or in one of
        its holes.
        """
        held = self.columns
        where = f"the time {time_ms}"
        if not held.start_ms <= time_ms < held.end_ms:
            raise self._missing(where, None)
        for hole in held.holes:
            if hole.from_ms <= time_ms < hole.to_ms:
                raise self._missing(where, hole)
        # The first one holds from the beginning of what is known, whatever its own clock says.
        begun = [piece for piece in self._pieces[1:] if piece.from_ms <= time_ms]
        piece = begun[-1] if begun else self._pieces[0]
        return self._moment(piece, piece.after_time(time_ms))

    def check(self) -> None:
        """Raise ``AssertionError`` where what was prepared is not in order. O(rows)."""
        for piece in self._pieces:
            piece.check()

    def _moment(self, piece: "_Piece", event: int) -> Moment:
        stop = int(piece.stops[event])
        bids, asks = (side.standing(stop) for side in piece.sides)
        rows = piece.rows
        return Moment(
            Version(rows.epoch, int(piece.ids[event])),
            int(piece.times[event]),
            int(piece.changed[event]),
            piece.time(event),
            rows.names,
            Certainty(len(bids), len(asks), rows.bids_complete, rows.asks_complete),
            self.columns.whole,
            self._taping,
            self.columns,
            bids,
            asks,
        )

    def _missing(self, where: str, hole: Hole | None) -> NotOnTape:
        if hole is None:
            return NotOnTape(self.columns.symbol, f"{where} is outside of what was recorded")
        return NotOnTape(self.columns.symbol, f"{where} is in {hole_text(hole)}", in_hole=True)


def hole_text(hole: Hole) -> str:
    """A hole, for people.

    >>> hole_text(Hole(17, None, 1723161250000, 1723161300000))
    'a hole from 1723161250000 to 1723161300000, after update id 17'
    """
    text = f"a hole from {hole.from_ms} to {hole.to_ms}"
    if hole.after_id is not None:
        text += f", after update id {hole.after_id}"
    if hole.before_id is not None:
        text += f", before update id {hole.before_id}"
    return text


class _Piece:
    """One piece: its events (the keyframe, then each diff) and its sides.

    ``ids`` and ``times`` are those of the events, ``changed`` when each made its last change, ``upto`` the
    greatest time by then; ``stops`` is the row behind each.
    """

    def __init__(self, columns: Columns, rows: PieceRows) -> None:
        self.rows = rows
        self._columns = columns
        last = columns.last[rows.diffs : rows.stop]
        # The last row of each diff: where the id of the next row is another one.
        ends = np.flatnonzero(np.append(last[1:] != last[:-1], True)) if len(last) else np.empty(0, np.int64)
        at = rows.diffs + ends
        ids = [np.array([rows.update_id], np.int64), columns.last[at]]
        times = [np.array([rows.event_time_ms], np.int64), columns.event_time_ms[at]]
        made = columns.transaction_time_ms
        changed = [
            np.array([rows.transaction_time_ms], np.int64),
            np.zeros(len(at), np.int64) if made is None else made[at],
        ]
        stops = [np.array([rows.diffs], np.int64), at + 1]
        if rows.empty:
            empty = np.array([each.last for each in rows.empty], np.int64)
            ids.append(empty)
            times.append(np.array([each.event_time_ms for each in rows.empty], np.int64))
            changed.append(np.array([each.transaction_time_ms for each in rows.empty], np.int64))
            # They change nothing: the rows in force are those of the diffs before.
            stops.append(rows.diffs + np.searchsorted(last, empty, "right"))
        rows_of = [np.array([-1], np.int64), at]
        if rows.empty:
            # Those without a row are told apart by what they are counted from.
            rows_of.append(-2 - np.arange(len(rows.empty)))
        order = np.argsort(np.concatenate(ids), kind="stable")
        self._row_of = np.concatenate(rows_of)[order]
        self.ids = np.concatenate(ids)[order]
        self.times = np.concatenate(times)[order]
        self.changed = np.concatenate(changed)[order]
        self.stops = np.concatenate(stops)[order]
        self.upto = np.maximum.accumulate(self.times)

    @property
    def last_id(self) -> int:
        return int(self.ids[-1])

    @property
    def from_ms(self) -> int:
        """As :attr:`depthcast.tape.segment.Piece.from_ms`."""
        return int(self.times[0]) or (int(self.times[1]) if len(self.times) > 1 else 0)

    def time(self, event: int) -> str:
        """The venue's own spelling of an event's time; empty where it is not told."""
        row = int(self._row_of[event])
        if row >= 0:
            return self._columns.time(row)
        return self.rows.time if row == -1 else self.rows.empty[-2 - row].time

    def after_id(self, update_id: int) -> int:
        return int(np.searchsorted(self.ids, update_id, "right")) - 1

    def after_time(self, time_ms: int) -> int:
        return max(int(np.searchsorted(self.upto, time_ms, "right")) - 1, 0)

    def prepare(self) -> None:
        _ = self.sides

    @cached_property
    def sides(self) -> "tuple[_Side, _Side]":
        rows, held = self.rows, self._columns
        every = np.arange(rows.start, rows.stop)
        keys = _sort_keys(held, rows.start, rows.stop)
        asks = held.ask[rows.start : rows.stop]
        return (
            _Side(held, rows.diffs, every[~asks], -keys[~asks], complete=rows.bids_complete),
            _Side(held, rows.diffs, every[asks], keys[asks], complete=rows.asks_complete),
        )

    def check(self) -> None:
        assert (self.ids[1:] > self.ids[:-1]).all(), "ids are not strictly ascending"
        assert (self.stops[1:] >= self.stops[:-1]).all(), "a diff ends before the one that it follows"
        assert self.stops[-1] == self.rows.stop, "rows that are of no diff"
        for side in self.sides:
            side.check()


class _Side:
    """The rows of one side by price, best first, and of one price in the order told."""

    def __init__(
        self, columns: Columns, diffs: int, rows: _Rows, keys: NDArray[np.float64], *, complete: bool
    ) -> None:
        shown = keys[: int(np.searchsorted(rows, diffs))]
        # A side cut off before its first level is certain of nothing at all.
        worst = shown[-1] if len(shown) else -np.inf
        self._bound = None if complete else worst
        order = np.argsort(keys, kind="stable")
        self._rows, self._keys = rows[order], keys[order]
        self._amount = columns.amount

    def standing(self, stop: int) -> _Rows:
        """The rows of the certain levels in force before row ``stop``, best first."""
        told = np.flatnonzero(self._rows < stop)
        if not len(told):
            return told
        keys, rows = self._keys[told], self._rows[told]
        last = np.append(keys[1:] != keys[:-1], True)
        last &= self._amount[rows] != 0
        standing: _Rows = rows[last]
        if self._bound is None:
            return standing
        return standing[: int(np.searchsorted(keys[last], self._bound, "right"))]

    def check(self) -> None:
        assert (self._keys[1:] >= self._keys[:-1]).all(), "keys are not in order"
        same = self._keys[1:] == self._keys[:-1]
        assert (self._rows[1:][same] > self._rows[:-1][same]).all(), "rows of a price are not in order"


def _sort_keys(columns: Columns, start: int, stop: int) -> NDArray[np.float64]:
    """Numbers in the order of the prices: the prices, or their ranks where floats do not tell them apart."""
    if not any(start <= row < stop and _needs_exact(text) for row, text in columns.price_texts.items()):
        return columns.price[start:stop]
    exact = [Decimal(text) for text in columns.prices(range(start, stop))]
    ranks = {price: rank for rank, price in enumerate(sorted(set(exact)))}
    return np.array([ranks[price] for price in exact], np.float64)


def _decimals(columns: Columns) -> tuple[int, int]:
    return columns.price_decimals, columns.amount_decimals


def _needs_exact(price: str) -> bool:
    """Whether ``price`` has more significant digits than a float keeps."""
    digits = (price.rstrip("0") if "." in price else price).replace(".", "").lstrip("0")
    return len(digits) > _FLOAT_DIGITS


def _has_id(hole: Hole, update_id: int) -> bool:
    after, before = hole.after_id, hole.before_id
    return (after is None or after < update_id) and (before is None or update_id < before)
