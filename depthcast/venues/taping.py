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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from depthcast.book import Book
from depthcast.events import Level
from depthcast.orders.book import OrderBook
from depthcast.orders.messages import time_ms
from depthcast.rows.book import RowBook, iso
from depthcast.scheme import ALL
from depthcast.venues.binance_files import BINANCE, BINANCE_COINM, BINANCE_US, BINANCE_USDM
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.coinbase_files import BEST, COINBASE, PRICES

PAIR: Final = '["{0}","{1}"]'
"""A level as Binance writes it."""

Sides = tuple[Sequence[Level], Sequence[Level]]
"""Bids and asks: ``[price, amount]`` and what else a level has, all of it text."""


class Told(NamedTuple):
    """What a book tells beside its levels. Times are ms since 1970, 0 where the venue does not tell them;
    ``time`` is the venue's own spelling of one, where bodies show it; ``names`` are the members with which a
    body names itself, a comma behind each."""

    update_id: int
    event_time_ms: int
    transaction_time_ms: int = 0
    time: str = ""
    names: str = ""


def _binance_body(told: Told, bids: str, asks: str) -> str:
    """``{"lastUpdateId":N,"bids":[…],"asks":[…]}``, of futures with their times before the bids, and of
    COIN-M's with their names before the times."""
    times = ""
    if told.transaction_time_ms:
        times = f'{told.names}"E":{told.event_time_ms},"T":{told.transaction_time_ms},'
    return f'{{"lastUpdateId":{told.update_id},{times}"bids":[{bids}],"asks":[{asks}]}}'


def _coinbase_body(told: Told, bids: str, asks: str) -> str:
    """As :meth:`depthcast.orders.book.OrderBook.bodies`."""
    time = json.dumps(told.time, ensure_ascii=False)
    end = f'"sequence":{told.update_id},"auction_mode":false,"auction":null,"time":{time}'
    return f'{{"bids":[{bids}],"asks":[{asks}],{end}}}'


def _bitmex_body(_told: Told, bids: str, asks: str) -> str:
    """As :meth:`depthcast.rows.book.RowBook.bodies`."""
    return f"[{','.join(filter(None, (asks, bids)))}]"


def _bitmex_rows(symbol: str, ask: bool, told: Told, levels: Iterable[Sequence[str]]) -> str:
    name, side, time = (
        json.dumps(symbol, ensure_ascii=False),
        "Sell" if ask else "Buy",
        iso(told.event_time_ms),
    )
    rows = []
    for price, size, row_id, changed_ms in levels:
        numbers = f'"id":{row_id},"side":"{side}","size":{size},"price":{price},"timestamp":"{time}"'
        changed = f',"transactTime":"{iso(int(changed_ms))}"' if changed_ms != "0" else ""
        rows.append(f'{{"symbol":{name},{numbers}{changed}}}')
    return ",".join(rows)


def _whole_table(book: Any) -> bytes:
    bids: list[list[str]] = []
    asks: list[list[str]] = []
    for row_id, buy, size, price, time in book.rows():
        (bids if buy else asks).append([price, str(size), str(row_id), str(time_ms(time))])
    return json.dumps({"bids": bids, "asks": asks[::-1]}).encode()


def _told_rows(book: Any, _message: Any) -> Sides:
    bids, asks = (
        [[price, str(size), str(row_id), str(time_ms(time))] for price, size, row_id, time in side]
        for side in book.told_levels()
    )
    return bids, asks


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
    the venue's own spelling; ``named``: its bodies name it (:attr:`depthcast.book.Book.names`).
    ``short_prices``, ``short_amounts``: they are spelled as short as can be.

    How it is recorded: ``frame`` gives a body with all levels of a book, ``changes`` the levels that a
    message changed, of the book that has it, ``book_of`` makes a book of a snapshot. ``by_price``: messages
    tell the levels themselves, so that no book is needed for it. ``numbered_by_book``: the venue numbers
    nothing, so that the ids of a change are those of the book before and after it.

    How it is read: ``level`` is a level of a body, as :meth:`str.format` fills it: 0 the price, 1 the amount,
    then the members; ``rows`` writes those of a side at once where more is in them. ``body`` is made of what
    a book tells and of the levels of each side, joined by commas, asks from the worst where
    ``worst_ask_first``.
    ``shown`` is how many levels a side a limit shows; ``None``: what it shows is not on the tape.
    """

    members: tuple[str, ...] = ()
    transaction_times: bool = False
    spelled_times: bool = False
    named: bool = False
    short_prices: bool = False
    short_amounts: bool = False
    frame: Callable[[Any], bytes] = _certain_body
    changes: Callable[[Any, Any], Sides] = _own_levels
    book_of: Callable[[Any], Any] = Book.of
    by_price: bool = True
    numbered_by_book: bool = False
    level: str = PAIR
    rows: Callable[[str, bool, Told, Iterable[Sequence[str]]], str] | None = None
    worst_ask_first: bool = False
    body: Callable[[Told, str, str], str] = _binance_body
    shown: Callable[[int], int | None] = lambda limit: limit

    @property
    def plain(self) -> bool:
        """Whether there is nothing but prices and amounts."""
        return not (self.members or self.transaction_times or self.spelled_times or self.named)


_SPOT: Final = Taping()

TAPINGS: Final[Mapping[str, Taping]] = {
    BINANCE.venue: _SPOT,
    BINANCE_US.venue: _SPOT,
    BINANCE_USDM.venue: Taping(transaction_times=True),
    # Its bodies name the contract and its pair.
    BINANCE_COINM.venue: Taping(transaction_times=True, named=True),
    COINBASE.venue: Taping(
        members=("orders",),
        spelled_times=True,
        short_amounts=True,
        frame=_all_prices,
        changes=_touched_levels,
        book_of=OrderBook.of,
        by_price=False,
        level='["{0}","{1}",{2}]',
        body=_coinbase_body,
        shown=lambda limit: {BEST: 1, PRICES: ALL}.get(limit),
    ),
    BITMEX.venue: Taping(
        members=("row_id", "row_time"),
        short_prices=True,
        short_amounts=True,
        frame=_whole_table,
        changes=_told_rows,
        book_of=RowBook.of,
        by_price=False,
        numbered_by_book=True,
        rows=_bitmex_rows,
        worst_ask_first=True,
        body=_bitmex_body,
        shown=BITMEX.depth,
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
