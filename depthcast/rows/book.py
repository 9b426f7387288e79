"""``RowBook``: one symbol's table of rows, by id and by price.

What it promises:

* **Rows are known by their ids and ordered by their prices.** *"The ID … rows are now arbitrary and will no
  longer be translatable to a price level … Use price for sorting."* (BitMEX, July 2023.) A change that does
  not tell a price, as older ones do not, is of the row that has the id; one that tells another price moves
  it.
* **Exact numbers.** A price goes out as the characters of the JSON number that came in, ``8e-7`` included.
  Floats order prices, which is exact for 15 significant digits; a price of more is refused.
* **Nothing is guessed.** A change of a row that is not there, or a second insertion of one that is, shows
  that something was lost, and a change that is older than its row, by their own times, that something was
  told too late: :class:`~depthcast.errors.BookSpoiled`.
* **All or nothing.** A message that is refused changes nothing.

Rows of a side share no price at the venue. Where some do, they stand in the order of their ids, and as one
level whose size is their sum; that is borne while the engine's time stands, which may tell what comes before
what goes, and is a fault of the book beyond: most likely a deletion was lost.

What it leaves to others: which message may follow which (:mod:`depthcast.unsequenced`), and where files go.

Why it is fast: of each side the prices are one sorted list with the best at its *end*, where most changes
are, so that little has to be moved; and a row keeps its rendered bytes until it changes. Pure: no I/O, no
clock.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

import orjson

from depthcast.book import Audit, Certainty
from depthcast.errors import BadLevel, BookSpoiled
from depthcast.rows.messages import Action, Row, RowsChanged, RowSnapshot

if TYPE_CHECKING:
    from depthcast.side import Columns

WHOLE: Final = 0
"""The depth that means all rows: *"Orderbook depth per side. Send 0 for full depth."*"""

TOP: Final = 10
"""So many levels a side are watched for changes (:attr:`RowBook.touched`)."""

GONE: Final = 1024
"""So many deleted rows of a side are remembered, to know an insertion that is told too late."""

MAX_DIGITS: Final = 15
"""An IEEE double tells any two decimals of so many significant digits apart, and keeps their order."""

MAX_PRICE: Final = 64
"""The longest price accepted, in characters."""

_NUMBER: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
"""A JSON number without a sign."""

_MAX_NUMBER: Final = 2**63 - 1

# What stands for the time of a body in rendered rows: as long as the time itself.
_TIME: Final = b"0000-00-00T00:00:00.000Z"


class _Row:
    """A row as it stands."""

    __slots__ = ("id", "key", "newest", "price", "size", "text", "time")

    def __init__(self, row_id: int, key: float, price: str, size: int, time: str) -> None:
        self.id = row_id
        self.key = key
        self.price = price
        self.size = size
        self.time = time
        # What is older than this was told too late.
        self.newest = time
        # What files show of it, until it changes.
        self.text: bytes | None = None


class _Side:
    """One side: its rows by id, and their keys in order, the best one last.

    The key is the price, of asks with its sign turned round, so that the greatest is the best on both sides.
    """

    __slots__ = ("buy", "by_id", "doubles", "gone", "keys", "order")

    def __init__(self, *, buy: bool) -> None:
        self.buy = buy
        self.by_id: dict[int, _Row] = {}
        self.keys: list[float] = []
        self.order: list[_Row] = []
        self.gone: dict[int, str] = {}
        """When each row was told of last that was deleted and is not there, by id: :data:`GONE` at most."""
        self.doubles: int = 0
        """How many rows have the price of another one beside them."""

    def made(self, row: Row) -> _Row:
        """A row that is not there yet. Raises BadLevel."""
        row_id, _, size, price, time = row
        if price is None or size is None:
            raise BadLevel(row)
        return _Row(row_id, self.key(price), price, size, time)

    def key(self, price: str) -> float:
        """What a price is ordered by. Raises BadLevel."""
        # float() alone would let "1_0", " 1" and other alphabets' digits pass.
        if len(price) > MAX_PRICE or _NUMBER.fullmatch(price) is None:
            raise BadLevel(price)
        number = float(price)
        if not 0 < number < float("inf"):
            raise BadLevel(price)
        if len(price) > MAX_DIGITS and _significant(price) > MAX_DIGITS:
            raise BadLevel(price)
        return number if self.buy else -number

    def put(self, row: _Row) -> int:
        """Give a row its place; how many places from the best one."""
        self.by_id[row.id] = row
        at = bisect_left(self.keys, row.key)
        order = self.order
        if at < len(order) and self.keys[at] == row.key:
            self.doubles += 1
            while at < len(order) and self.keys[at] == row.key and order[at].id > row.id:
                at += 1
        self.keys.insert(at, row.key)
        order.insert(at, row)
        return len(order) - at

    def take(self, row: _Row) -> int:
        """Take a row away; how many places from the best one it was."""
        del self.by_id[row.id]
        at = bisect_left(self.keys, row.key)
        order = self.order
        while order[at] is not row:
            at += 1
        away = len(order) - at
        del self.keys[at], order[at]
        if self.doubles:
            self.doubles -= row.key in self.keys[max(0, at - 1) : at + 1]
        return away

    def forget(self, row_id: int, time: str) -> None:
        """Note when a row that is deleted was told of last."""
        self.gone.pop(row_id, None)
        self.gone[row_id] = time
        if len(self.gone) > GONE:
            del self.gone[next(iter(self.gone))]

    def load(self, rows: list[_Row]) -> None:
        """Take all of these, into a side without any."""
        rows.sort(key=lambda row: (row.key, -row.id))
        self.order = rows
        self.keys = [row.key for row in rows]
        self.by_id = {row.id: row for row in rows}
        self.doubles = len(rows) - len(set(self.keys))

    def top(self, count: int) -> list[tuple[float, int]]:
        """The best ``count`` levels, best first, as numbers: price and size."""
        found: list[tuple[float, int]] = []
        last = 0.0
        for row in reversed(self.order):
            key = row.key
            if key == last:
                price, size = found[-1]
                found[-1] = price, size + row.size
            elif len(found) == count:
                break
            else:
                found.append((abs(key), row.size))
                last = key
        return found

    def levels(self, count: int | None) -> list[tuple[str, int]]:
        """The best levels, best first: the text of the price, and the size."""
        found: list[tuple[str, int]] = []
        last = 0.0
        for row in reversed(self.order):
            if row.key == last:
                price, size = found[-1]
                found[-1] = price, size + row.size
            elif len(found) == count:
                break
            else:
                found.append((row.price, row.size))
                last = row.key
        return found

    def standing(self, key: float) -> int:
        """How much there is at a price; 0 where it has no row."""
        at, size = bisect_left(self.keys, key), 0
        while at < len(self.keys) and self.keys[at] == key:
            size += self.order[at].size
            at += 1
        return size

    def check(self) -> None:
        assert self.keys == [row.key for row in self.order], "a key is not its row's"
        assert self.keys == sorted(self.keys), "rows are not ordered by price"
        assert {row.id: row for row in self.order} == self.by_id, "a row is in one place and not in the other"
        assert len(self.order) == len(self.by_id), "a row stands twice"
        assert self.doubles == len(self.keys) - len(set(self.keys)), "rows that share a price are miscounted"
        for row in self.order:
            assert row.key == self.key(row.price), "a key is not its price"
            assert row.size > 0, "a row of nothing"


class RowBook:
    """One symbol's rows at one ``update_id``.

    >>> book = RowBook.of(RowSnapshot("X", 7, [(1, True, 5, "2.5", ""), (2, False, 3, "2.6", "")]))
    >>> book.apply(RowsChanged("X", 8, 9, 0, Action.INSERT, [(7, True, 4, "2.55", "")]))
    >>> book.apply(RowsChanged("X", 10, 10, 0, Action.UPDATE, [(2, False, 8, None, "")]))
    >>> book.strings()
    ([['2.55', '4'], ['2.5', '5']], [['2.6', '8']])
    """

    __slots__ = (
        "_asks",
        "_bids",
        "_complete",
        "_doubled_at_ms",
        "_told",
        "event_time_ms",
        "symbol",
        "touched",
        "update_id",
    )

    unsettled: Final = 0
    """Nothing of it waits to be written."""

    transaction_time_ms: Final = 0
    exhausted: Final = False

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.update_id: int = 0
        self.event_time_ms: int = 0
        """The venue's clock of the last change in it, in ms since 1970; 0 where that is not known."""
        self.touched: bool = True
        """Whether something among the best :data:`TOP` rows changed since somebody set it to false."""
        self._complete = True
        # The time at which rows came to share a price.
        self._doubled_at_ms: int | None = None
        # The keys and prices that the last message was about, of each side.
        self._told: list[tuple[_Side, float, str]] = []
        self._bids = _Side(buy=True)
        self._asks = _Side(buy=False)

    @classmethod
    def of(cls, snapshot: RowSnapshot) -> Self:
        """The book a whole table shows. O(rows x log rows).

        Raises :class:`~depthcast.errors.BadLevel` for a bad row and for an id that is there twice.
        """
        book = cls(snapshot.symbol)
        book.update_id = snapshot.update_id
        book.event_time_ms = snapshot.event_time_ms
        book._complete = snapshot.complete
        for side in (book._bids, book._asks):
            rows = [row for row in snapshot.rows if row[1] is side.buy]
            made = []
            for row in rows:
                _check_row(row)
                made.append(side.made(row))
            if snapshot.event_time_ms:
                # Where the venue's clock was set back, rows from before tell nothing of what is too late.
                now = iso(snapshot.event_time_ms)
                for each in made:
                    if each.time > now:
                        each.newest = ""
            side.load(made)
            if len(side.by_id) != len(rows):
                raise BadLevel(f"{snapshot.symbol}: an id that is there twice")
        return book

    # Changes

    def apply(self, change: RowsChanged) -> None:
        """Carry out a message. The book is then at ``change.last``. O(log rows) a row, and what is moved.

        Raises :class:`~depthcast.errors.BookSpoiled` and :class:`~depthcast.errors.BadLevel`, and leaves the
        book unchanged.
        """
        rows, action = change.rows, change.action
        self._told.clear()
        if len(rows) > 1 and len({row[:2] for row in rows}) != len(rows):
            raise BadLevel(f"{change.symbol}: an id that is there twice in one message")
        if action is Action.UPDATE:
            self._update(change.symbol, rows)
        elif action is Action.DELETE:
            self._delete(change.symbol, rows)
        else:
            self._insert(change.symbol, rows)
        self.update_id = change.last
        self.event_time_ms = change.event_time_ms
        if not (self._bids.doubles or self._asks.doubles):
            self._doubled_at_ms = None
        elif self._doubled_at_ms is None:
            self._doubled_at_ms = change.event_time_ms

    defer = apply
    """Nothing is gained by waiting."""

    def settle(self) -> None:
        """Nothing of it waits."""

    def _update(self, symbol: str, rows: Sequence[Row]) -> None:
        found: list[tuple[_Side, _Row, float]] = []
        for row in rows:
            row_id, buy, size, price, _ = row
            side = self._bids if buy else self._asks
            known = side.by_id.get(row_id)
            if known is None:
                raise BookSpoiled(symbol, ["an update of an unknown id"])
            if row[4] and row[4] < known.newest:
                raise BookSpoiled(symbol, ["an update that is older than its row"])
            if size is not None:
                _check_size(row, size)
            key = known.key
            if price is not None and price != known.price:
                key = side.key(price)
            found.append((side, known, key))
        for (side, known, key), (_, _, size, price, time) in zip(found, rows, strict=True):
            self._told.append((side, known.key, known.price))
            if key != known.key:
                self._told.append((side, key, price or known.price))
                away = side.take(known)
                known.key = key
                if min(side.put(known), away) <= TOP:
                    self.touched = True
            elif len(side.keys) <= TOP or key >= side.keys[-TOP]:
                self.touched = True
            if size is not None:
                known.size = size
            if price is not None:
                known.price = price
            if time:
                known.time = known.newest = time
            known.text = None

    def _delete(self, symbol: str, rows: Sequence[Row]) -> None:
        found: list[tuple[_Side, _Row]] = []
        for row in rows:
            side = self._bids if row[1] else self._asks
            known = side.by_id.get(row[0])
            if known is None:
                raise BookSpoiled(symbol, ["a deletion of an unknown id"])
            if row[4] and row[4] < known.newest:
                raise BookSpoiled(symbol, ["a deletion that is older than its row"])
            found.append((side, known))
        for (side, known), row in zip(found, rows, strict=True):
            self._told.append((side, known.key, known.price))
            if side.take(known) <= TOP:
                self.touched = True
            if latest := row[4] or known.newest:
                side.forget(known.id, latest)

    def _insert(self, symbol: str, rows: Sequence[Row]) -> None:
        made: list[tuple[_Side, _Row]] = []
        for row in rows:
            _check_row(row)
            side = self._bids if row[1] else self._asks
            if row[0] in side.by_id:
                raise BookSpoiled(symbol, ["an insertion of an id that is there"])
            if row[4] and row[4] < side.gone.get(row[0], ""):
                raise BookSpoiled(symbol, ["an insertion that is older than the deletion of its id"])
            made.append((side, side.made(row)))
        for side, new in made:
            self._told.append((side, new.key, new.price))
            side.gone.pop(new.id, None)
            if side.put(new) <= TOP:
                self.touched = True

    # Reading

    def told_levels(self) -> tuple[list[tuple[str, int, int, str]], list[tuple[str, int, int, str]]]:
        """What stands now, of each side, at the prices that the last message was about: of a row its price,
        size, id and time, zeros where there is none. Of rows that share a price, the last one."""
        found: dict[bool, dict[float, tuple[str, int, int, str]]] = {True: {}, False: {}}
        for side, key, price in self._told:
            at = bisect_left(side.keys, key)
            if at < len(side.keys) and side.keys[at] == key:
                row = side.order[at]
                found[side.buy][key] = (row.price, row.size, row.id, row.time)
            else:
                found[side.buy][key] = (price, 0, 0, "")
        return list(found[True].values()), list(found[False].values())

    def take_moved(self) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks that the last message changed: ``[price, size]`` as they stand now, size 0 where a
        level is gone. O(levels that changed x log rows)."""
        sides: dict[bool, dict[float, list[str]]] = {True: {}, False: {}}
        for side, key, price in self._told:
            sides[side.buy][key] = [price, str(side.standing(key))]
        return list(sides[True].values()), list(sides[False].values())

    @property
    def certainty(self) -> Certainty:
        """All of it may be published; where it is the whole table, nothing exists beyond."""
        complete = self._complete
        return Certainty(len(self._bids.order), len(self._asks.order), complete, complete)

    @property
    def best_bid(self) -> tuple[str, str] | None:
        """(price, size) of the highest bid."""
        return _best(self._bids)

    @property
    def best_ask(self) -> tuple[str, str] | None:
        """(price, size) of the lowest ask."""
        return _best(self._asks)

    @property
    def crossed(self) -> bool:
        """Whether the highest bid is not below the lowest ask, which no venue's book is."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids) and bool(asks) and bids[-1] >= -asks[-1]

    @property
    def fault(self) -> str | None:
        """Why it cannot be right: ``crossed``, ``doubled``; ``None``: it can."""
        if self.crossed:
            return "crossed"
        since = self._doubled_at_ms
        return "doubled" if since is not None and self.event_time_ms > since else None

    def top(self, count: int = TOP) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
        """The best bids and asks, best first, as numbers: price and size."""
        return self._bids.top(count), self._asks.top(count)

    def strings(self, limit: int | None = None) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks as levels ``[price, size]``, best first: the first ``limit``, or all of them."""
        bids, asks = (
            [[price, str(size)] for price, size in side.levels(limit)] for side in (self._bids, self._asks)
        )
        return bids, asks

    def numbers(self, limit: int | None = None) -> tuple[tuple[list[float], list[float]], ...]:
        """The same, each side as its prices and its sizes."""
        sides = []
        for side in (self._bids, self._asks):
            levels = side.top(len(side.order) if limit is None else limit)
            sides.append(([price for price, _ in levels], [float(size) for _, size in levels]))
        return tuple(sides)

    def columns(self, limit: int | None = None) -> "tuple[Columns, Columns]":
        """The same as arrays. Prices of bids are *negative*."""
        (bid_prices, bid_sizes), (ask_prices, ask_sizes) = self.numbers(limit)
        bids = array("d", [-price for price in bid_prices]), array("d", bid_sizes)
        return bids, (array("d", ask_prices), array("d", ask_sizes))

    def rows(self) -> list[Row]:
        """All rows, in the order of :meth:`bodies`."""
        asks, bids = self._asks.order, reversed(self._bids.order)
        shown: list[Row] = [(row.id, False, row.size, row.price, row.time) for row in asks]
        shown += [(row.id, True, row.size, row.price, row.time) for row in bids]
        return shown

    def body(self, depth: int) -> bytes:
        """What ``GET /api/v1/orderBook/L2?depth=…`` answers; see :meth:`bodies`."""
        return self.bodies((depth,))[0]

    def bodies(self, depths: Sequence[int]) -> list[bytes]:
        """The files for several depths, rows a side, in the order asked for; :data:`WHOLE`: all rows.

        ``[{"symbol":…,"id":…,"side":"Sell","size":…,"price":…,"timestamp":…,"transactTime":…},…]``, highest
        price first, as the exchange's own tables come: the worst ask begins, the worst bid ends it, and the
        best of both meet. ``timestamp`` is that of the book, in all rows, as in the exchange's own answers,
        where it tells when they were made. O(rows shown).
        """
        time = iso(self.event_time_ms).encode()
        name = orjson.dumps(self.symbol)
        made = []
        for depth in depths:
            asks, bids = self._asks.order, self._bids.order
            if depth != WHOLE:
                asks, bids = asks[-depth:], bids[-depth:]
            rows = [row.text or _rendered(row, name, b"Sell") for row in asks]
            rows += [row.text or _rendered(row, name, b"Buy") for row in reversed(bids)]
            made.append(b"[" + b",".join(rows).replace(_TIME, time) + b"]")
        return made

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._bids.order) + len(self._asks.order)

    # Comparing and refilling

    def audit(self, other: Self) -> Audit:
        """Compare the rows with another book's at the same id. O(rows)."""
        if self.update_id != other.update_id:
            raise ValueError(f"books at different ids: {self.update_id} and {other.update_id}")
        matching = different = ghost = missing = 0
        for mine, theirs in ((self._bids, other._bids), (self._asks, other._asks)):
            both = mine.by_id.keys() & theirs.by_id.keys()
            same = sum(_same(mine.by_id[row_id], theirs.by_id[row_id]) for row_id in both)
            matching += same
            different += len(both) - same
            ghost += len(mine.by_id) - len(both)
            missing += len(theirs.by_id) - len(both)
        return Audit(matching, different, ghost, missing)

    def compare(self, rows: Sequence[Row], *, besides: Set[tuple[int, bool]]) -> Audit:
        """Compare the book with all rows of a snapshot of it, but those ``besides``, by id and side. O(rows).

        A price counts as a number here, and a time where both tell one: another spelling shows no loss.
        """
        matching = different = missing = both = 0
        for row in rows:
            row_id, buy, size, price, time = row
            if (row_id, buy) in besides:
                continue
            mine = (self._bids if buy else self._asks).by_id.get(row_id)
            if mine is None:
                missing += 1
                continue
            both += 1
            same = mine.size == size and price is not None and float(mine.price) == float(price)
            if same and (mine.time == time or not mine.time or not time):
                matching += 1
            else:
                different += 1
        left_out = sum(row_id in (self._bids if buy else self._asks).by_id for row_id, buy in besides)
        return Audit(matching, different, len(self) - left_out - both, missing)

    def refill(self, fresh: Self) -> None:
        """Take over the rows of ``fresh``, a book of the same id, which is given up by it."""
        if self.update_id != fresh.update_id:
            raise ValueError(f"books at different ids: {self.update_id} and {fresh.update_id}")
        self._bids, self._asks = fresh._bids, fresh._asks
        self.touched = True

    # Checking

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant of the structure is broken. O(rows)."""
        name = orjson.dumps(self.symbol)
        for side, word in ((self._bids, b"Buy"), (self._asks, b"Sell")):
            side.check()
            for row in side.order:
                kept, row.text = row.text, None
                assert kept in (None, _rendered(row, name, word)), "a row is not as it is rendered"


def iso(ms: int) -> str:
    """A time as the venue writes it.

    >>> iso(1684486303911)
    '2023-05-19T08:51:43.911Z'
    """
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _rendered(row: _Row, name: bytes, side: bytes) -> bytes:
    told = b',"transactTime":%b' % orjson.dumps(row.time) if row.time else b""
    numbers = name, row.id, side, row.size, row.price.encode(), _TIME, told
    row.text = text = b'{"symbol":%b,"id":%d,"side":"%b","size":%d,"price":%b,"timestamp":"%b"%b}' % numbers
    return text


def _best(side: _Side) -> tuple[str, str] | None:
    levels: Iterable[tuple[str, int]] = side.levels(1)
    return next(((price, str(size)) for price, size in levels), None)


def _same(mine: _Row, theirs: _Row) -> bool:
    # A price that is spelled in another way makes other bytes.
    return mine.size == theirs.size and mine.price == theirs.price and mine.time == theirs.time


def _check_row(row: Row) -> None:
    row_id, _, size, _, time = row
    if type(row_id) is not int or not 0 <= row_id <= _MAX_NUMBER or type(time) is not str or len(time) > 64:
        raise BadLevel(row)
    _check_size(row, size)


def _check_size(row: Row, size: int | None) -> None:
    if type(size) is not int or not 0 < size <= _MAX_NUMBER:
        raise BadLevel(row)


def _significant(price: str) -> int:
    """How many significant digits a JSON number has, zeros at its end among them.

    >>> _significant("0.00000001"), _significant("98459.90"), _significant("8.25e-7"), _significant("1000")
    (1, 7, 3, 4)
    """
    digits = price.lower().partition("e")[0].replace(".", "").lstrip("-0")
    return len(digits)
