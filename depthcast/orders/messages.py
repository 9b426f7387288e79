"""What a venue that tells of every order says, as plain values: one message of its stream, or a whole book.

The words are Coinbase Exchange's, whose *full* channel this is modelled on. Prices and sizes are the strings
of the wire; they are validated where they enter a book (:mod:`depthcast.orders.book`).

Every message has a sequence one greater than the one before, of whatever kind it is. So each is a diff of one
change to whoever chains diffs (:mod:`depthcast.sync`): ``first``, ``last`` and ``after`` are what these are
there. Pure: no I/O, no clock.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from depthcast.events import Diff, Snapshot
from depthcast.rows.messages import RowsChanged, RowSnapshot

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Row = Sequence[str]
"""``[price, size, order id]``, the exact strings of the wire."""


class _Told(Protocol):
    """What every message tells."""

    @property
    def sequence(self) -> int: ...

    @property
    def time(self) -> str: ...


class _Chained:
    """How a message follows another one."""

    __slots__ = ()

    @property
    def first(self: _Told) -> int:
        """The first update id that it spans; it spans one."""
        return self.sequence

    @property
    def last(self: _Told) -> int:
        """The last one."""
        return self.sequence

    @property
    def after(self: _Told) -> int:
        """The id that a book has before it."""
        return self.sequence - 1

    @property
    def event_time_ms(self: _Told) -> int:
        """The venue's clock, in ms since 1970; 0 where the time cannot be read."""
        return time_ms(self.time)


class _Passed(NamedTuple):
    symbol: str
    sequence: int
    time: str


class Passed(_Chained, _Passed):
    """A message that changes no book, such as *received* or *activate*: it takes part in the chain alone."""

    __slots__ = ()


class _Opened(NamedTuple):
    symbol: str
    sequence: int
    time: str
    order_id: str
    buy: bool
    price: str
    size: str


class Opened(_Chained, _Opened):
    """*"The order is now open on the order book"*: ``size`` of it is left.

    >>> message = Opened("BTC-USD", 10, "2014-11-07T08:19:27.028459Z", "d50ec984", False, "200.2", "1.00")
    >>> message.after, message.last, message.event_time_ms
    (9, 10, 1415348367028)
    """

    __slots__ = ()


class _Matched(NamedTuple):
    symbol: str
    sequence: int
    time: str
    order_id: str
    buy: bool
    price: str
    size: str


class Matched(_Chained, _Matched):
    """*"A trade occurred between two orders"*: ``size`` of the resting one, ``order_id``, is gone.

    ``buy`` is the side of the resting order.
    """

    __slots__ = ()


class _Changed(NamedTuple):
    symbol: str
    sequence: int
    time: str
    order_id: str
    buy: bool
    price: str | None
    size: str | None
    old_size: str | None


class Changed(_Chained, _Changed):
    """*"An order has changed"*, by self-trade prevention or because its owner modified it.

    ``size`` is what is left of it now, ``None`` where its funds changed instead; ``price`` its new price,
    ``None`` where that stays.
    """

    __slots__ = ()


class _Done(NamedTuple):
    symbol: str
    sequence: int
    time: str
    order_id: str
    filled: bool
    remaining: str | None


class Done(_Chained, _Done):
    """*"The order is no longer on the order book."* ``remaining`` of it was not filled; ``None``: untold."""

    __slots__ = ()


Message = Passed | Opened | Matched | Changed | Done
"""One message of the stream."""

MESSAGES: Final = frozenset((Passed, Opened, Matched, Changed, Done))
"""Their types."""


class OrderSnapshot(NamedTuple):
    """A whole book by order at one sequence: of each side its orders, in time priority within a price.

    ``auction``: the venue holds an auction, in which the sides may cross.

    >>> OrderSnapshot(3, [["295.96", "4.39", "da863862"]], []).update_id
    3
    """

    update_id: int
    bids: Sequence[Row]
    asks: Sequence[Row]
    time: str = ""
    auction: bool = False

    @property
    def bids_complete(self) -> bool:
        """It is the whole book."""
        return True

    @property
    def asks_complete(self) -> bool:
        """Likewise."""
        return True

    @property
    def event_time_ms(self) -> int:
        """The venue's clock, in ms since 1970; 0 where it is not known."""
        return time_ms(self.time)


AnySnapshot = Snapshot | OrderSnapshot | RowSnapshot
"""A whole book, by price, by order or by row."""

AnyDiff = Diff | Message | RowsChanged
"""What leads a book on, by price, by order or by row."""


def time_us(text: str) -> int:
    """The microseconds since 1970 of an RFC 3339 time; 0 for what is none.

    >>> time_us("2014-11-07T08:19:27.028459Z")
    1415348367028459
    """
    try:
        # More digits than a microsecond's are no date to the standard library of 3.11.
        whole, dot, rest = text.partition(".")
        if dot:
            digits = len(rest) - len(rest.lstrip("0123456789"))
            text = f"{whole}.{rest[: min(digits, 6)]:0<6}{rest[digits:]}"
        moment = datetime.fromisoformat(text)
        return max(0, (moment - _EPOCH) // _MICROSECOND) if moment.tzinfo is not None else 0
    except (ValueError, OverflowError):
        return 0


def time_ms(text: str) -> int:
    """The same in milliseconds.

    >>> time_ms("2014-11-07T08:19:27.028459Z"), time_ms("2021-04-14T13:35:17.300223456Z"), time_ms("soon")
    (1415348367028, 1618407317300, 0)
    """
    return time_us(text) // 1000
