"""``OrderBook``: one symbol's book by order (L3), and the same by price (L2), at every sequence.

What it promises:

* **Price-time priority.** ``sortedcontainers`` keeps a side's price levels, best first. Within a level orders
  stand in the order in which they got their place: nobody gets a place but the last one, so a ``dict`` keeps
  that order at O(1). A modification keeps its place only where it takes size away (*"amend size down will
  retain queue priority"*).
* **Exact sizes.** What remains of an order is an exact decimal. Sizes go out in their shortest spelling, for
  the stream and REST need not pad them alike; prices as they came in.
* **Levels are sums.** A level's size and number of orders change with its orders, never apart from them.
* **Contradictions are values.** A message that contradicts the book is carried out in its most likely meaning
  and reported (:mod:`depthcast.orders.anomalies`).
* **All or nothing.** A message with a number that is none raises :class:`~depthcast.errors.BadLevel` and
  changes nothing.

What it leaves to others: which message may follow which (:mod:`depthcast.sync`), and where files go.

A level keeps its rendered bytes until one of its orders changes. Pure: no I/O, no clock.
"""

from array import array
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, DecimalException, Inexact
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
from sortedcontainers import SortedDict

from depthcast.book import Audit, Certainty
from depthcast.building import Building, whole
from depthcast.errors import BadLevel, BookSpoiled
from depthcast.orders.anomalies import Anomaly, Slate, Tolerance
from depthcast.orders.messages import Changed, Done, Matched, Message, Opened, OrderSnapshot, time_ms
from depthcast.side import MAX_DIGITS, Numbers

if TYPE_CHECKING:
    from depthcast.side import Columns

LEVELS: Final = (1, 2, 3)
"""*"1: the best bid, ask and auction info; 2: full order book (aggregated); 3: full order book (non
aggregated)"*."""

MAX_ID: Final = 64
"""The longest order id accepted, in characters; a UUID has 36."""

PIECE: Final = 500
"""Orders of a snapshot that are put into a book in one piece, two milliseconds' work."""

# Sums of numbers of MAX_DIGITS characters fit, so nothing is ever rounded; if it were, it would raise.
_EXACT: Final = Context(prec=4 * MAX_DIGITS, traps=[Inexact])
_ZERO: Final = Decimal()
_NONE: Final[tuple[Anomaly, ...]] = ()


class _Level:
    """The orders at one price, in time priority, and what they add up to."""

    __slots__ = ("by_order", "by_price", "key", "orders", "price", "side", "total")

    def __init__(self, side: "_Side", key: Decimal, price: str) -> None:
        self.side = side
        self.key = key
        self.price = price
        self.orders: dict[str, _Order] = {}
        self.total = _ZERO
        # What files show of it, until it changes.
        self.by_price: bytes | None = None
        self.by_order: bytes | None = None


class _Order:
    """An order that rests on the book: where, and how much of it is left."""

    __slots__ = ("level", "size")

    def __init__(self, level: _Level, size: Decimal) -> None:
        self.level = level
        self.size = size


class _Side:
    """One side's levels: by price, best first, and by the price's spelling."""

    __slots__ = ("best", "buy", "levels", "spelled")

    def __init__(self, *, buy: bool) -> None:
        self.buy = buy
        # Keys of bids are negative, so that the best one comes first on both sides.
        self.levels: SortedDict = SortedDict()
        self.spelled: dict[str, _Level] = {}
        self.best: _Level | None = None

    def level(self, price: str) -> _Level:
        """The level at ``price``; a new one where there is none. Raises BadLevel."""
        number = _number(price)
        key = number.copy_negate() if self.buy else number
        found: _Level | None = self.levels.get(key)
        if found is None:
            # Another spelling of a price that is there finds it above, by its value.
            found = self.levels[key] = self.spelled[price] = _Level(self, key, price)
            if self.best is None or key < self.best.key:
                self.best = found
        return found

    def remove(self, level: _Level) -> None:
        del self.levels[level.key]
        del self.spelled[level.price]
        if level is self.best:
            self.best = self.levels.peekitem(0)[1] if self.levels else None


class OrderBook:
    """One symbol's orders at one sequence, ``update_id``; ``time`` is that of the last message in it.

    >>> book = OrderBook.of(OrderSnapshot(7, [["2.0", "5", "a"]], [["2.1", "3", "b"]]))
    >>> book.take(Opened("X", 8, "", "c", True, "2.0", "0.50"))
    ()
    >>> book.take(Matched("X", 9, "", "a", True, "2.0", "4.9"))
    ()
    >>> book.body(2)[:60]
    b'{"bids":[["2.0","0.6",2]],"asks":[["2.1","3",1]],"sequence":'
    """

    __slots__ = ("_asks", "_bids", "_moved", "_orders", "_slate", "_touched", "time", "update_id")

    unsettled: Final = 0
    """Nothing of it waits to be written."""

    transaction_time_ms: Final = 0

    def __init__(self, tolerance: Tolerance | None = None) -> None:
        self.update_id: int = 0
        self.time: str = ""
        # The levels of the last message, as often as it touched them.
        self._touched: list[_Level] = []
        self._slate = Slate(tolerance or Tolerance())
        self._bids = _Side(buy=True)
        self._asks = _Side(buy=False)
        self._orders: dict[str, _Order] = {}
        # While it is watched, the levels that changed: their sides and prices.
        self._moved: dict[tuple[bool, str], None] | None = None

    @classmethod
    def of(cls, snapshot: OrderSnapshot, tolerance: Tolerance | None = None) -> Self:
        """The book a snapshot shows. O(orders x log levels).

        Raises :class:`~depthcast.errors.BadLevel` for a bad row, an order that is there twice, and sides that
        cross: those of an auction do, and no continuous book can begin from them.
        """
        return whole(cls.building(snapshot, tolerance))

    @classmethod
    def building(
        cls, snapshot: OrderSnapshot, tolerance: Tolerance | None = None, *, rendered: bool = False
    ) -> Building[Self]:
        """As :meth:`of`, in pieces of :data:`PIECE` orders, between which other work may be done.

        ``rendered``: its levels are rendered, too, which else the first of its bodies takes the time for.
        """
        book = cls(tolerance)
        book.update_id = snapshot.update_id
        book.time = snapshot.time
        for side, rows in ((book._bids, snapshot.bids), (book._asks, snapshot.asks)):
            for number, row in enumerate(rows, 1):
                if not number % PIECE:
                    yield
                try:
                    price, size, order_id = row
                    left = _size(size)
                    _check_id(order_id)
                    level = side.spelled.get(price) or side.level(price)
                    book._put(order_id, level, left)
                except (ValueError, TypeError, AttributeError, DecimalException):
                    raise BadLevel(row) from None
                if not left:
                    raise BadLevel(row)
        book._touched.clear()
        if book.crossed:
            bid, ask = book.best_bid, book.best_ask
            raise BadLevel(f"bid {bid}, ask {ask}: the sides cross")
        orders = 0
        for level in (*book._bids.levels.values(), *book._asks.levels.values()) if rendered else ():
            level.by_price, level.by_order = _by_price(level), _by_order(level)
            orders += len(level.orders)
            if orders >= PIECE:
                orders = 0
                yield
        return book

    # Changes

    def apply(self, message: Message) -> None:
        """Take a message, and judge what it showed.

        Raises :class:`~depthcast.errors.BookSpoiled` where that is more than the book bears, and
        :class:`~depthcast.errors.BadLevel`, both of them :class:`~depthcast.errors.BookError`: the book is to
        be built anew.
        """
        anomalies = self.take(message)
        if anomalies and self._slate.exceeded_by(message.sequence, anomalies):
            raise BookSpoiled(message.symbol, [anomaly.value for anomaly in anomalies])

    defer = apply
    """Nothing is gained by waiting."""

    def settle(self) -> None:
        """Nothing of it waits."""

    def take(self, message: Message) -> tuple[Anomaly, ...]:
        """Carry out a message; what it contradicts. The book is then at its sequence.

        O(1) where its price is known already, else O(log levels). Raises
        :class:`~depthcast.errors.BadLevel` and leaves the book unchanged.
        """
        anomalies = _NONE
        kind = type(message)
        if self._touched:
            self._touched.clear()
        try:
            if kind is Opened:
                anomalies = self._open(message)  # type: ignore[arg-type]
            elif kind is Done:
                anomalies = self._done(message)  # type: ignore[arg-type]
            elif kind is Matched:
                anomalies = self._match(message)  # type: ignore[arg-type]
            elif kind is Changed:
                anomalies = self._change(message)  # type: ignore[arg-type]
        except (ValueError, TypeError, AttributeError, DecimalException):
            raise BadLevel(message[3:]) from None
        self.update_id = message.sequence
        self.time = message.time
        return anomalies

    def _open(self, message: Opened) -> tuple[Anomaly, ...]:
        order_id, price = message.order_id, message.price
        size = _size(message.size)
        if not size:
            raise ValueError("an order of nothing")
        _check_id(order_id)
        side = self._bids if message.buy else self._asks
        known = side.spelled.get(price)
        if known is None:
            _number(price)
        anomalies = _NONE
        if order_id in self._orders:
            anomalies += (Anomaly.REOPENED,)
            self._remove(order_id, self._orders[order_id])
            known = side.spelled.get(price)
        level = known or side.level(price)
        self._put(order_id, level, size)
        if known is None and level is side.best and self.crossed:
            anomalies += (Anomaly.CROSSED,)
        return anomalies

    def _match(self, message: Matched) -> tuple[Anomaly, ...]:
        size = _size(message.size)
        order = self._orders.get(message.order_id)
        if order is None:
            return (Anomaly.UNKNOWN_MAKER,)
        level = order.level
        anomalies = _NONE
        if message.price != level.price or message.buy is not level.side.buy:
            number = _number(message.price)
            if number != abs(level.key) or message.buy is not level.side.buy:
                anomalies += (Anomaly.WRONG_PRICE,)
        if size < order.size:
            self._resize(order, _EXACT.subtract(order.size, size))
        else:
            if size > order.size:
                anomalies += (Anomaly.OVERMATCHED,)
            # A done message follows, and finds it gone.
            self._remove(message.order_id, order)
        return anomalies

    def _change(self, message: Changed) -> tuple[Anomaly, ...]:
        order_id = message.order_id
        order = self._orders.get(order_id)
        if order is None or message.size is None:
            # "change messages for received but not yet open orders can be ignored"; only market orders have
            # funds that change.
            return _NONE
        size = _size(message.size)
        old = order.size if message.old_size is None else _size(message.old_size)
        level = order.level
        moved = message.price is not None and message.price != level.price
        if moved:
            assert message.price is not None
            moved = _number(message.price) != abs(level.key)
        anomalies = _NONE
        if old != order.size:
            anomalies += (Anomaly.WRONG_SIZE,)
        if not size:
            self._remove(order_id, order)
        elif moved or size > order.size:
            assert message.price is not None or not moved
            side, price = level.side, message.price if moved else level.price
            assert price is not None
            self._remove(order_id, order)
            known = side.spelled.get(price)
            level = known or side.level(price)
            self._put(order_id, level, size)
            if known is None and level is side.best and self.crossed:
                anomalies += (Anomaly.CROSSED,)
        else:
            self._resize(order, size)
        return anomalies

    def _done(self, message: Done) -> tuple[Anomaly, ...]:
        order = self._orders.get(message.order_id)
        if order is None:
            # "done messages for orders which are not on the book should be ignored"
            return _NONE
        remaining = None if message.remaining is None else _size(message.remaining)
        self._remove(message.order_id, order)
        if message.filled:
            return (Anomaly.LEFT_OVER,)
        return _NONE if remaining is None or remaining == order.size else (Anomaly.WRONG_SIZE,)

    # Steps

    def _put(self, order_id: str, level: _Level, size: Decimal) -> None:
        """Give an order the last place of its level."""
        if order_id in self._orders:
            raise ValueError(f"{order_id} is there twice")
        order = _Order(level, size)
        self._orders[order_id] = level.orders[order_id] = order
        level.total = _EXACT.add(level.total, size)
        level.by_price = level.by_order = None
        self._touched.append(level)
        if self._moved is not None:
            self._note(level)

    def _resize(self, order: _Order, size: Decimal) -> None:
        level = order.level
        level.total = _EXACT.add(_EXACT.subtract(level.total, order.size), size)
        order.size = size
        level.by_price = level.by_order = None
        self._touched.append(level)
        if self._moved is not None:
            self._note(level)

    def _remove(self, order_id: str, order: _Order) -> None:
        level = order.level
        self._touched.append(level)
        del self._orders[order_id], level.orders[order_id]
        if self._moved is not None:
            self._note(level)
        if level.orders:
            level.total = _EXACT.subtract(level.total, order.size)
            level.by_price = level.by_order = None
        else:
            level.side.remove(level)

    def _note(self, level: _Level) -> None:
        """Note that a level changed, behind all others: a price may have had another spelling meanwhile."""
        assert self._moved is not None
        moved = level.side.buy, level.price
        self._moved.pop(moved, None)
        self._moved[moved] = None

    # Reading

    @property
    def event_time_ms(self) -> int:
        """The venue's clock of the last message in it, in ms since 1970; 0 where that is not known."""
        return time_ms(self.time)

    @property
    def certainty(self) -> Certainty:
        """A snapshot by order is the whole book: all of it may be published, and nothing exists beyond."""
        return Certainty(len(self._bids.levels), len(self._asks.levels), True, True)

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
        """Whether the highest bid is not below the lowest ask."""
        bid, ask = self._bids.best, self._asks.best
        return bid is not None and ask is not None and bid.key.copy_negate() >= ask.key

    @property
    def fault(self) -> str | None:
        """Why it cannot be shown: never. What is wrong with it is an anomaly, and borne or not."""
        return None

    def levels(self, limit: int | None = None) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks by price, best first: ``[price, size]``, at most ``limit`` of each side."""
        bids, asks = (
            [[level.price, _plain(level.total)] for level in side.levels.values()[:limit]]
            for side in (self._bids, self._asks)
        )
        return bids, asks

    strings = levels
    """What books by price call it."""

    def numbers(self, limit: int | None = None) -> tuple[Numbers, Numbers]:
        """The same as numbers: the prices of a side and its sizes, each the float nearest to its string."""
        bids, asks = (
            (
                [float(level.price) for level in levels],
                [float(level.total) for level in levels],
            )
            for levels in (side.levels.values()[:limit] for side in (self._bids, self._asks))
        )
        return bids, asks

    def columns(self, limit: int | None = None) -> "tuple[Columns, Columns]":
        """The same as arrays: the prices of a side and its sizes. Prices of bids are *negative*."""
        (bid_prices, bid_sizes), (ask_prices, ask_sizes) = self.numbers(limit)
        bids = array("d", [-price for price in bid_prices]), array("d", bid_sizes)
        return bids, (array("d", ask_prices), array("d", ask_sizes))

    def orders(self, limit: int | None = None) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks by order, in price-time priority: ``[price, size, order id]``, at most ``limit`` of
        each side."""
        bids, asks = (
            [
                [level.price, _plain(order.size), order_id]
                for level, order_id, order in islice(
                    (
                        (level, order_id, order)
                        for level in side.levels.values()
                        for order_id, order in level.orders.items()
                    ),
                    limit,
                )
            ]
            for side in (self._bids, self._asks)
        )
        return bids, asks

    def watch(self, watched: bool) -> None:
        """Note from now on which levels change, or do not."""
        if not watched:
            self._moved = None
        elif self._moved is None:
            self._moved = {}

    def take_moved(self) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks that changed while they were watched, and were not taken yet: ``[price, size]`` as
        they stand now, size 0 where a level is gone. O(levels that changed)."""
        moved = self._moved or {}
        if self._moved is not None:
            self._moved = {}
        sides: dict[bool, list[list[str]]] = {True: [], False: []}
        for buy, price in moved:
            level = (self._bids if buy else self._asks).spelled.get(price)
            sides[buy].append([price, _plain(_ZERO if level is None else level.total)])
        return sides[True], sides[False]

    @property
    def touched(self) -> tuple[list[list[str]], list[list[str]]]:
        """The levels of each side that the last message changed, as they are now: ``[price, size, number of
        orders]``, with zeros where nothing is left. Each once; O(levels changed).

        >>> book = OrderBook.of(OrderSnapshot(7, [["2.0", "5", "a"]], []))
        >>> book.take(Matched("X", 8, "", "a", True, "2.0", "4.50"))
        ()
        >>> book.touched
        ([['2.0', '0.5', '1']], [])
        """
        bids: dict[str, list[str]] = {}
        asks: dict[str, list[str]] = {}
        for level in self._touched:
            side = level.side
            # It may have gone, and one of the same price may have come.
            now = side.spelled.get(level.price)
            told = ["0", "0"] if now is None else [_plain(now.total), str(len(now.orders))]
            (bids if side.buy else asks)[level.price] = [level.price, *told]
        return list(bids.values()), list(asks.values())

    def body(self, level: int) -> bytes:
        """What ``GET /products/<id>/book?level=…`` answers; see :meth:`bodies`."""
        return self.bodies((level,))[0]

    def bodies(self, levels: Sequence[int]) -> list[bytes]:
        """The files for several of :data:`LEVELS`, in the order asked for.

        ``{"bids":[…],"asks":[…],"sequence":N,"auction_mode":false,"auction":null,"time":"…"}``. A row of
        levels 1 and 2 is ``[price, size, number of orders]``, one of level 3 ``[price, size, order id]``.
        O(levels), and O(orders) of the levels that changed since.
        """
        # The time came unread from the wire.
        numbers = self.update_id, orjson.dumps(self.time)
        end = b'],"sequence":%d,"auction_mode":false,"auction":null,"time":%s}' % numbers
        made = []
        for level in levels:
            bids, asks = _rows(self._bids, level), _rows(self._asks, level)
            made.append(b"".join((b'{"bids":[', bids, b'],"asks":[', asks, end)))
        return made

    def __len__(self) -> int:
        """The number of orders."""
        return len(self._orders)

    # Comparing and refilling

    def audit(self, other: Self) -> Audit:
        """Compare the orders with another book's at the same sequence. O(orders)."""
        if self.update_id != other.update_id:
            raise ValueError(f"books at different ids: {self.update_id} and {other.update_id}")
        both = self._orders.keys() & other._orders.keys()
        matching = sum(_same(self._orders[order_id], other._orders[order_id]) for order_id in both)
        return Audit(
            matching,
            len(both) - matching,
            len(self._orders) - len(both),
            len(other._orders) - len(both),
        )

    def refill(self, fresh: Self) -> None:
        """Take over the orders of ``fresh``, a book of the same sequence, which is given up by it."""
        if self.update_id != fresh.update_id:
            raise ValueError(f"books at different ids: {self.update_id} and {fresh.update_id}")
        self._bids, self._asks, self._orders = fresh._bids, fresh._asks, fresh._orders

    # Checking

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant of the structure is broken. O(orders)."""
        self._slate.check()
        seen = 0
        for side in (self._bids, self._asks):
            levels = list(side.levels.values())
            assert list(side.levels) == [level.key for level in levels], "a level is not at its price"
            assert side.best is (levels[0] if levels else None), "the best level is not the first one"
            assert side.spelled == {level.price: level for level in levels}, "a price is not its level's"
            for level in levels:
                assert level.side is side, "a level of the other side"
                assert Decimal(level.price) == abs(level.key), "a key is not its price"
                assert level.orders, "an empty level"
                assert all(order.level is level for order in level.orders.values()), "an order elsewhere"
                sizes = [order.size for order in level.orders.values()]
                assert min(sizes) > 0, "an order of nothing"
                assert sum(sizes) == level.total, "a level is not the sum of its orders"
                assert all(self._orders.get(i) is o for i, o in level.orders.items()), "an order is lost"
                seen += len(sizes)
                assert level.by_price in (None, _by_price(level)), "a level is not as it is rendered"
                assert level.by_order in (None, _by_order(level)), "orders are not as they are rendered"
        assert seen == len(self._orders), "an order rests nowhere"


def books_of(tolerance: Tolerance) -> Callable[[OrderSnapshot], Any]:
    """Makes books of snapshots, piece by piece as :class:`~depthcast.sync.Sync` wants it, that all bear this
    much."""
    return lambda snapshot: OrderBook.building(snapshot, tolerance, rendered=True)


def _rows(side: _Side, level: int) -> bytes:
    if level == 1:
        return b"" if side.best is None else side.best.by_price or _by_price(side.best)
    rendered: list[bytes] = []
    add = rendered.append
    if level == 2:
        for each in side.levels.values():
            text = each.by_price
            if text is None:
                text = each.by_price = _by_price(each)
            add(text)
    elif level == 3:
        for each in side.levels.values():
            text = each.by_order
            if text is None:
                text = each.by_order = _by_order(each)
            add(text)
    else:
        raise ValueError(f"level {level} is none of {LEVELS}")
    return b",".join(rendered)


def _by_price(level: _Level) -> bytes:
    return f'["{level.price}","{_plain(level.total)}",{len(level.orders)}]'.encode()


def _by_order(level: _Level) -> bytes:
    price = level.price
    return ",".join(
        [f'["{price}","{_plain(order.size)}","{order_id}"]' for order_id, order in level.orders.items()]
    ).encode()


def _best(side: _Side) -> tuple[str, str] | None:
    best = side.best
    return None if best is None else (best.price, _plain(best.total))


def _same(mine: _Order, theirs: _Order) -> bool:
    return (
        mine.size == theirs.size
        and mine.level.key == theirs.level.key
        and mine.level.side.buy is theirs.level.side.buy
    )


def _number(text: str) -> Decimal:
    """A plain decimal number without a sign. Raises what is no BadLevel yet."""
    if len(text) > MAX_DIGITS or not text.isascii() or not text.replace(".", "", 1).isdigit():
        raise ValueError(f"{text!r:.80} is no number")
    return Decimal(text)


_size: Final[Callable[[str], Decimal]] = _number


def _check_id(text: str) -> None:
    if len(text) > MAX_ID or not text.isascii() or not text.replace("-", "").isalnum():
        raise ValueError(f"{text!r:.80} is no order id")


def _plain(number: Decimal) -> str:
    """Its shortest spelling without an exponent.

    >>> [_plain(Decimal(text)) for text in ("0.50", "100", "1.000", "0.00000001")]
    ['0.5', '100', '1', '0.00000001']
    """
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
