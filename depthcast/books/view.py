"""``BookView``: one book as it stands now, in the form that is wanted."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, overload
from weakref import WeakSet

from depthcast.book import Book, Certainty
from depthcast.books.changes import MAX_LEVELS, Changes, Number
from depthcast.errors import BookNotReady, DepthcastError, ExtraMissing, NotByOrder, NotDeepEnough
from depthcast.events import Diff, Level
from depthcast.files import BINANCE, Scheme
from depthcast.keeper import LiveBook, Source
from depthcast.orders.messages import AnyDiff
from depthcast.side import Numbers
from depthcast.sync import Guard

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray


class Top(NamedTuple, Generic[Number]):
    """The best levels of both sides at one update id: ``[price, quantity]``, best first.

    ``event_time_ms`` is the exchange's clock of the last diff in it, in ms since 1970; 0 before the first.
    The lists are the caller's own.
    """

    symbol: str
    update_id: int
    event_time_ms: int
    bids: list[list[Number]]
    asks: list[list[Number]]


class Orders(NamedTuple, Generic[Number]):
    """The best orders of both sides at one update id, in price-time priority: price, size and order id.

    Times as in :class:`Top`. The lists are the caller's own.
    """

    symbol: str
    update_id: int
    event_time_ms: int
    bids: list[tuple[Number, Number, str]]
    asks: list[tuple[Number, Number, str]]


class BookView:
    """One symbol's book, always its present state. :class:`~depthcast.books.Books` makes and feeds it.

    Everything that reads the book raises :class:`~depthcast.errors.BookNotReady` where there is no good book
    (or the reason why there will be none, such as :class:`~depthcast.errors.UnknownSymbol`). A book whose
    connection was lost stays readable, and true at its ``update_id``: :attr:`ready` and :attr:`age_ms` tell.

    ``scheme`` says what its exchange's limits are. ``guard`` is held while the book is read; ``heard_age_s``
    tells how long ago the connection that delivers a symbol was heard, ``None`` where none does; ``why`` what
    a book that is not there waits for.
    """

    def __init__(
        self,
        symbol: str,
        *,
        guard: Guard,
        clock: Callable[[], float],
        heard_age_s: Callable[[str], float | None],
        why: Callable[[str], str],
        scheme: Scheme = BINANCE,
    ) -> None:
        self.symbol = symbol
        self._guard = guard
        self._clock = clock
        self._heard_age_s = heard_age_s
        self._why = why
        self._scheme = scheme
        self._live: LiveBook | None = None
        self._ended: DepthcastError | None = None
        self._known_at = -math.inf
        # Since when it broke nothing was heard that would make it younger, whoever asks meanwhile.
        self._broken = False
        self._audit: object = None
        # The numbers given out last: of which update id and limit, and the two sides. Dropped at each change.
        self._numbers: tuple[tuple[int, int | None], Numbers, Numbers] | None = None
        self._readers: WeakSet[Changes[Any]] = WeakSet()

    # How it stands

    @property
    def ready(self) -> bool:
        """Whether there is a good book and it is kept up to date."""
        live = self._live
        if live is None or not live.live or live.suspect_at is not None:
            return False
        with self._guard:
            if live.readable() is None:
                return False
        return self._heard_age_s(self.symbol) is not None

    @property
    def age_ms(self) -> float:
        """How long ago the book was last known to be the exchange's, on our monotonic clock; ``inf``: never.

        About zero while its connection is heard, also where nothing changes: frames come in order, so what
        was sent before has arrived. It grows while the connection is lost and while the book is built anew.
        """
        with self._guard:
            self._note_heard()
            return max(0.0, self._clock() - self._known_at) * 1000

    def age_at_most_ms(self, enough_ms: float) -> float:
        """An upper bound of :attr:`age_ms`, at half the cost; :attr:`age_ms` itself where it is not within
        ``enough_ms``. Connections are looked at a few times a second, so it is some 250 ms more at most."""
        bound_ms = max(0.0, self._clock() - self._known_at) * 1000
        return bound_ms if bound_ms <= enough_ms else self.age_ms

    @property
    def update_id(self) -> int:
        """The exchange's id of the state shown."""
        return self._kept().update_id

    @property
    def event_time_ms(self) -> int:
        """The exchange's clock of the last diff in it, in ms since 1970; 0 before the first one."""
        return self._kept().event_time_ms

    @property
    def certainty(self) -> Certainty:
        """How many levels of each side are certain, and whether none exist beyond them. O(levels / 64)."""
        with self._guard:
            return self._book().certainty

    @property
    def epoch(self) -> int:
        """The epoch in which the ids count; 0 where the book came from the exchange."""
        return 0 if self._live is None else self._live.epoch

    @property
    def resyncs(self) -> int:
        """How often the book had to be built anew."""
        return 0 if self._live is None else self._live.resyncs

    @property
    def source(self) -> Source | None:
        """Where the present book's snapshot came from, ``None`` before the first."""
        return None if self._live is None else self._live.source

    # The best prices

    @property
    def best_bid(self) -> tuple[float, float] | None:
        """(price, quantity) of the highest bid; ``None`` where there are no bids. Raises
        :class:`~depthcast.errors.NotDeepEnough` where none is certain and there may be some."""
        return _as_floats(self.best_bid_strings)

    @property
    def best_ask(self) -> tuple[float, float] | None:
        """(price, quantity) of the lowest ask; ``None`` where there are no asks. Raises likewise."""
        return _as_floats(self.best_ask_strings)

    @property
    def best_bid_strings(self) -> tuple[str, str] | None:
        """The same as :attr:`best_bid`, as the exchange's exact strings."""
        with self._guard:
            return self._best_bid(self._book())

    @property
    def best_ask_strings(self) -> tuple[str, str] | None:
        """The same as :attr:`best_ask`, as the exchange's exact strings."""
        with self._guard:
            return self._best_ask(self._book())

    @property
    def spread(self) -> float | None:
        """Lowest ask less highest bid, computed in decimals; ``None`` where a side is empty."""
        prices = self._prices()
        return None if prices is None else float(prices[1] - prices[0])

    @property
    def mid(self) -> float | None:
        """The middle between highest bid and lowest ask, computed in decimals; ``None`` likewise."""
        prices = self._prices()
        return None if prices is None else float((prices[0] + prices[1]) / 2)

    # The levels

    @overload
    def top(self, limit: int | None = ..., *, strings: Literal[False] = ...) -> Top[float]: ...
    @overload
    def top(self, limit: int | None = ..., *, strings: Literal[True]) -> Top[str]: ...
    @overload
    def top(self, limit: int | None = ..., *, strings: bool = ...) -> Top[float] | Top[str]: ...
    def top(self, limit: int | None = None, *, strings: bool = False) -> Top[float] | Top[str]:
        """The best ``limit`` levels of each side, or all there are; ``None``: all that are certain.

        As floats, each the one nearest to its string, or as the exchange's exact strings. O(levels given);
        asked again before the book changed, floats take about two thirds of the time. Raises
        :class:`~depthcast.errors.NotDeepEnough` where fewer levels than asked for are certain and more may
        exist, :class:`~depthcast.errors.BookNotReady`, and :class:`ValueError` for a limit below 1.
        """
        return self.dated_top(limit, strings=strings)[0]

    def dated_top(self, limit: int | None = None, *, strings: bool = False) -> "tuple[Top[Any], int]":
        """The same, and when the last change in it was made, in ms since 1970, by the exchange's clock; 0
        where it does not tell, as Binance's spot does not."""
        if limit is not None and limit < 1:
            raise ValueError(f"limit is at least 1, not {limit}")
        with self._guard:
            book = self._book()
            update_id, event_time_ms = book.update_id, book.event_time_ms
            made_ms = book.transaction_time_ms
            if strings:
                texts = book.strings(limit)
                self._require(book, limit, len(texts[0]), len(texts[1]))
                return Top(self.symbol, update_id, event_time_ms, *texts), made_ms
            kept = self._numbers
            wanted = (update_id, limit)
            if kept is None or kept[0] != wanted:
                bids, asks = book.numbers(limit)
                if limit is not None and (len(bids[0]) < limit or len(asks[0]) < limit):
                    self._require(book, limit, len(bids[0]), len(asks[0]))
                self._numbers = kept = wanted, bids, asks
        top = Top(
            self.symbol,
            update_id,
            event_time_ms,
            [[price, quantity] for price, quantity in zip(*kept[1], strict=True)],
            [[price, quantity] for price, quantity in zip(*kept[2], strict=True)],
        )
        return top, made_ms

    @property
    def by_order(self) -> bool:
        """Whether the exchange tells of every order, and :meth:`orders` may be asked for."""
        return hasattr(self._kept(), "orders")

    @overload
    def orders(self, limit: int | None = ..., *, strings: Literal[False] = ...) -> Orders[float]: ...
    @overload
    def orders(self, limit: int | None = ..., *, strings: Literal[True]) -> Orders[str]: ...
    def orders(self, limit: int | None = None, *, strings: bool = False) -> Orders[float] | Orders[str]:
        """The best ``limit`` orders of each side, or all there are. O(orders given).

        Raises as :meth:`top`, and :class:`~depthcast.errors.NotByOrder` for a book by price.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"limit is at least 1, not {limit}")
        with self._guard:
            book: Any = self._book()
            if not hasattr(book, "orders"):
                raise NotByOrder(self.symbol)
            bids, asks = book.orders(limit)
            read: Any = str if strings else float
            return Orders(
                self.symbol,
                book.update_id,
                book.event_time_ms,
                [(read(price), read(size), order_id) for price, size, order_id in bids],
                [(read(price), read(size), order_id) for price, size, order_id in asks],
            )

    def body(self, limit: int) -> bytes:
        """What the exchange's REST interface would answer, byte for byte. Raises as :meth:`top` does.

        ``limit`` is what that call has: levels a side, at Coinbase a level of detail, at BitMEX a depth.
        """
        scheme = self._scheme
        if limit < 1 and scheme.refusal(limit) is not None:
            raise ValueError(f"limit is at least 1, not {limit}")
        levels = scheme.depth(limit)
        with self._guard:
            book = self._book()
            bids, asks, _, _ = book.certainty
            self._require(book, levels, min(bids, levels), min(asks, levels))
            return book.body(limit)

    def as_numpy(self, limit: int | None = None) -> "tuple[NDArray[float64], NDArray[float64]]":
        """Bids and asks of :meth:`top` as arrays of shape (levels, 2): price and quantity. Raises likewise.

        Without numpy :class:`~depthcast.errors.ExtraMissing`.
        """
        try:
            import numpy
        except ImportError:
            raise ExtraMissing("as_numpy()", "frames", "numpy") from None
        if limit is not None and limit < 1:
            raise ValueError(f"limit is at least 1, not {limit}")
        with self._guard:
            book = self._book()
            bids, asks = book.columns(limit)
            self._require(book, limit, len(bids[0]), len(asks[0]))
        return (
            numpy.column_stack((numpy.negative(bids[0]), bids[1])),
            numpy.column_stack(asks),
        )

    # What Books says

    def begin(self, live: LiveBook) -> None:
        """``live`` is this book from now on."""
        self._live = live
        self._choose()

    def end(self, error: DepthcastError) -> None:
        """The book is kept no longer; reading it raises ``error``."""
        with self._guard:
            self._ended, self._live, self._numbers = error, None, None
        for reader in list(self._readers):
            reader.end()

    def changed(self, live: LiveBook, diffs: Sequence[AnyDiff]) -> None:
        """The book changed: by those of ``diffs`` that it has reached, or as a whole where there are none."""
        with self._guard:
            self._numbers = None
            self._known_at, self._broken = live.changed_at, False
        # A diff may have brought the book to where a second snapshot waited for it.
        whole = not diffs or live.last_audit is not self._audit
        self._audit = live.last_audit
        if self._readers:
            book = live.sync.book
            assert book is not None
            if whole:
                self._choose()
                for reader in list(self._readers):
                    reader.rebuilt(book)
                return
            for diff in diffs:
                # Where the venue numbers nothing, a diff tells times, and its book the ids made of them.
                if diff.last <= book.update_id:
                    levels = _levels_of(diff, book)
                    for reader in list(self._readers):
                        reader.changed(book.update_id, book.event_time_ms, *levels)

    def broke(self, live: LiveBook) -> None:
        """The book has to be built anew: what showed it may have been missing since the last diff."""
        with self._guard:
            self._broken = True
            if live.suspect_at is None:
                self._known_at = min(self._known_at, live.changed_at)

    def note_heard(self) -> None:
        """Note that the connection which keeps the book up to date was heard."""
        with self._guard:
            self._note_heard()

    def _note_heard(self) -> None:
        live = self._live
        if live is None or not live.live or live.book is None or live.suspect_at is not None or self._broken:
            return
        self._choose()
        heard_age_s = self._heard_age_s(self.symbol)
        if heard_age_s is not None:
            self._known_at = max(self._known_at, self._clock() - heard_age_s)

    def read_changes(self, number: type[Number], max_levels: int = MAX_LEVELS) -> Changes[Number]:
        """A new reader of changes."""
        live = self._live
        changes = Changes(
            self.symbol, number, book=None if live is None else live.book, max_levels=max_levels
        )
        self._readers.add(changes)
        self._choose()
        if self._ended is not None:
            changes.end()
        return changes

    def not_ready(self) -> DepthcastError:
        """Why it cannot be read, or is not up to date."""
        return self._ended or BookNotReady({self.symbol: self._why(self.symbol)})

    @property
    def ended(self) -> DepthcastError | None:
        """Why there will be no book; ``None`` as long as there may be one."""
        return self._ended

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(levels)."""
        for reader in list(self._readers):
            reader.check()
        if self._live is None:
            return
        with self._guard:
            self._live.sync.check()
            kept, book = self._numbers, self._live.readable()
            if kept is not None and book is not None:
                assert kept[0][0] == book.update_id, "levels of another state are kept"
                assert (kept[1], kept[2]) == book.numbers(kept[0][1]), (
                    "levels that are kept are not the book's"
                )

    # Within

    def _choose(self) -> None:
        """Have each diff written as it comes where readers of changes look at each, and else when read; and
        have a book whose messages do not tell levels note which of them change."""
        if self._live is None:
            return
        readers = bool(self._readers)
        self._live.sync.deferring = not readers
        watch = getattr(self._live.sync.book, "watch", None)
        if watch is not None:
            watch(readers)

    def _kept(self) -> Book:
        """The book, whose levels may have to be written before they are read."""
        book = None if self._live is None else self._live.book
        if book is None:
            raise self.not_ready()
        return book

    # Within; the guard is held

    def _book(self) -> Book:
        book = None if self._live is None else self._live.readable()
        if book is None:
            raise self.not_ready()
        return book

    def _require(self, book: Book, limit: int | None, bids: int, asks: int) -> None:
        """Raise where a side is shorter than ``limit`` because no more of it is certain."""
        if limit is None or (bids >= limit and asks >= limit):
            return
        certain = book.certainty
        if (bids < limit and not certain.bids_complete) or (asks < limit and not certain.asks_complete):
            raise NotDeepEnough(self.symbol, limit, bids=certain.bids, asks=certain.asks)

    def _best_bid(self, book: Book) -> tuple[str, str] | None:
        best = book.best_bid
        if best is None and not (certain := book.certainty).bids_complete:
            raise NotDeepEnough(self.symbol, 1, bids=certain.bids, asks=certain.asks)
        return best

    def _best_ask(self, book: Book) -> tuple[str, str] | None:
        best = book.best_ask
        if best is None and not (certain := book.certainty).asks_complete:
            raise NotDeepEnough(self.symbol, 1, bids=certain.bids, asks=certain.asks)
        return best

    def _prices(self) -> tuple[Decimal, Decimal] | None:
        with self._guard:
            book = self._book()
            bid, ask = self._best_bid(book), self._best_ask(book)
        return None if bid is None or ask is None else (Decimal(bid[0]), Decimal(ask[0]))


def _levels_of(diff: AnyDiff, book: Any) -> tuple[Sequence[Level], Sequence[Level]]:
    """What stands now at the prices that a diff changed: bids and asks."""
    if isinstance(diff, Diff):
        return diff.bids, diff.asks
    # What a message about an order does to the level of its price, its book alone knows.
    bids, asks = book.take_moved()
    return bids, asks


def _as_floats(level: tuple[str, str] | None) -> tuple[float, float] | None:
    return None if level is None else (float(level[0]), float(level[1]))
