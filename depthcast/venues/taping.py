"""What each venue's tape holds beside prices and amounts, and how a body is made of it. Pure.

The recorder and the readers of the tape know no venue: a :class:`Taping` says which members a level has
behind its price and its amount, which times a book tells, how a message changes levels, and how levels become
the venue's own body.

A book by order is taped **by price**: of each message the levels that it changed, as they are then. Messages
themselves would show single orders, too, at twice the size (an order's id alone is sixteen bytes that nothing
compresses, and a keyframe has all of them), and a book of a moment would be a replay of all messages before
it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from depthcast.book import Book
from depthcast.events import Level
from depthcast.orders.book import OrderBook
from depthcast.scheme import ALL
from depthcast.venues.binance_files import BINANCE, BINANCE_US, BINANCE_USDM
from depthcast.venues.coinbase_files import BEST, COINBASE, PRICES

PAIR: Final = '["{0}","{1}"]'
"""A level as Binance writes it."""

Sides = tuple[Sequence[Level], Sequence[Level]]
"""Bids and asks: ``[price, amount]`` and what else a level has, all of it text."""


class Told(NamedTuple):
    """What a book tells beside its levels. Times are ms since 1970, 0 where the venue does not tell them;
    ``time`` is the venue's own spelling of one, where bodies show it."""

    update_id: int
    event_time_ms: int
    transaction_time_ms: int = 0
    time: str = ""


def _binance_body(told: Told, bids: str, asks: str) -> str:
    """``{"lastUpdateId":N,"bids":[…],"asks":[…]}``, of futures with their times before the bids."""
    times = ""
    if told.transaction_time_ms:
        times = f'"E":{told.event_time_ms},"T":{told.transaction_time_ms},'
    return f'{{"lastUpdateId":{told.update_id},{times}"bids":[{bids}],"asks":[{asks}]}}'


def _coinbase_body(told: Told, bids: str, asks: str) -> str:
    """As :meth:`depthcast.orders.book.OrderBook.bodies`."""
    time = json.dumps(told.time, ensure_ascii=False)
    end = f'"sequence":{told.update_id},"auction_mode":false,"auction":null,"time":{time}'
    return f'{{"bids":[{bids}],"asks":[{asks}],{end}}}'


def _certain_body(book: Any) -> bytes:
    certain = book.certainty
    body: bytes = book.body(max(certain.bids, certain.asks, 1))
    return body


def _all_prices(book: Any) -> bytes:
    body: bytes = book.body(PRICES)
    return body


def _own_levels(_book: Any, diff: Any) -> Sides:
    return diff.bids, diff.asks


def _touched_levels(book: Any, _message: Any) -> Sides:
    bids, asks = book.touched
    return bids, asks


@dataclass(frozen=True, slots=True)
class Taping:
    """One venue's.

    What is held: ``members`` are what a level has behind its price and amount, whole numbers each;
    ``transaction_times``: a book tells when its last change was made; ``spelled_times``: it tells a time in
    the venue's own spelling, and spells amounts as short as can be.

    How it is recorded: ``frame`` gives a body with all levels of a book, ``changes`` the levels that a
    message changed, of the book that has it, ``book_of`` makes a book of a snapshot. ``by_price``: messages
    tell the levels themselves, so that no book is needed for it.

    How it is read: ``level`` is a level of a body, as :meth:`str.format` fills it: 0 the price, 1 the amount,
    then the members. ``body`` is made of what a book tells and of the levels of each side, joined by commas.
    ``shown`` is how many levels a side a limit shows; ``None``: what it shows is not on the tape.
    """

    members: tuple[str, ...] = ()
    transaction_times: bool = False
    spelled_times: bool = False
    frame: Callable[[Any], bytes] = _certain_body
    changes: Callable[[Any, Any], Sides] = _own_levels
    book_of: Callable[[Any], Any] = Book.of
    by_price: bool = True
    level: str = PAIR
    body: Callable[[Told, str, str], str] = _binance_body
    shown: Callable[[int], int | None] = lambda limit: limit

    @property
    def plain(self) -> bool:
        """Whether there is nothing but prices and amounts."""
        return not (self.members or self.transaction_times or self.spelled_times)


_SPOT: Final = Taping()

TAPINGS: Final[Mapping[str, Taping]] = {
    BINANCE.venue: _SPOT,
    BINANCE_US.venue: _SPOT,
    BINANCE_USDM.venue: Taping(transaction_times=True),
    COINBASE.venue: Taping(
        members=("orders",),
        spelled_times=True,
        frame=_all_prices,
        changes=_touched_levels,
        book_of=OrderBook.of,
        by_price=False,
        level='["{0}","{1}",{2}]',
        body=_coinbase_body,
        shown=lambda limit: {BEST: 1, PRICES: ALL}.get(limit),
    ),
}
"""By the venue's name."""


def taping_of(venue: str) -> Taping:
    """That of a venue; of one that is not known here, that of levels of a price and an amount."""
    return TAPINGS.get(venue, _SPOT)


def spelled(time_us: int) -> str:
    """A time as venues that tell microseconds spell it; what is spelled otherwise is kept as text.

    >>> spelled(1_415_348_367_028_459)
    '2014-11-07T08:19:27.028459Z'
    """
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{time_us % 1_000_000:06d}Z"
