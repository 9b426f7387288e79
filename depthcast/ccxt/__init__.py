"""``depthcast.ccxt``: ccxt's exchanges whose order books need no request.

Change the import, and leave the program as it is::

    import depthcast.ccxt

    exchange = depthcast.ccxt.binance()          # ccxt.binance() before
    book = exchange.fetch_order_book("ETH/USDT", 20)

The first call about a symbol is answered by the exchange, as before, and begins to keep the book in this
process, from the exchange's websocket. As soon as the book is there, calls read it, in microseconds and at no
request weight. What is no order book of that exchange is the original's, unchanged. ``binance``,
``binanceus``, ``binanceusdm``, ``binancecoinm``, ``coinbaseexchange`` and ``bitmex`` are there.
``docs/ccxt.md`` says what holds.

=============================  =======================================================================
``depthcast.ccxt``             the synchronous exchanges; their books live in a background thread
``depthcast.ccxt.aio``         the asynchronous ones; their books live in the running event loop
``depthcast.ccxt.dialects``    all that differs between the exchanges
``depthcast.ccxt.options``     what the exchange object was told: ``options["depthcast"]``
``depthcast.ccxt.wish``        what one call asks for: ``params``
``depthcast.ccxt.ladder``      who answers for an order book, step by step, in both of them
``depthcast.ccxt.prices``      the same for best bids and asks
``depthcast.ccxt.asking``      how they ask: the server, the exchange, and its pauses
``depthcast.ccxt.served``      what a Depthcast server's answer says of its age and depth
``depthcast.ccxt.restraint``   whether the exchange may be asked now
=============================  =======================================================================
"""

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from depthcast.errors import DepthcastError, ExtraMissing

try:
    import ccxt
except ImportError as error:
    raise ExtraMissing("depthcast.ccxt", "ccxt", "ccxt") from error

from depthcast.books import BooksThread
from depthcast.ccxt import dialects
from depthcast.ccxt.asking import Steps
from depthcast.ccxt.ladder import View
from depthcast.ccxt.prices import Prices

__all__ = ["binance", "binancecoinm", "binanceus", "binanceusdm", "bitmex", "coinbaseexchange"]


class _Synchronous(Prices):
    """An exchange whose calls wait for their answers; its order books come from this process.

    Sockets are opened by the first call that needs one, in a background thread, and closed by :meth:`close`,
    when the object is no longer used, and when the interpreter ends. Safe to use from several threads as far
    as ccxt is.
    """

    _books: BooksThread | None = None
    _closing: Callable[[], object] | None = None

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._opening = threading.Lock()
        self._views: dict[str, View] = {}
        self._opened: tuple[Any, ...] = ()
        super().__init__(config)

    def fetch_order_book(
        self, symbol: str, limit: int | None = None, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The order book of a market: ccxt's dict, from the book in this process where that is good.

        ``params`` may hold ``source`` (``"local"``, ``"server"``, ``"rest"``), ``fallback``, ``max_age_ms``
        and ``strings``, see ``docs/ccxt.md``; the rest goes to the exchange. ``timestamp`` is the exchange's
        time of the last change. Raises ccxt's errors.
        """
        if not params:
            at_once = self._at_once(symbol, limit)
            if at_once is not None:
                return at_once
        self.load_markets()
        book: dict[str, Any] = _drive(self._order_book(symbol, limit, params or {}))
        return book

    def fetch_l2_order_book(
        self, symbol: str, limit: int | None = None, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The same, levels of equal price joined: there are none, so with ``strings`` it is the same."""
        if params and params.get("strings"):
            return self.fetch_order_book(symbol, limit, params)
        book: dict[str, Any] = super().fetch_l2_order_book(symbol, limit, params or {})
        return book

    def fetch_order_books(
        self,
        symbols: list[str] | None = None,
        limit: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """The order books of several markets, by unified symbol. The symbols have to be named."""
        if symbols is None:
            raise ccxt.ArgumentsRequired(f"{self.id} fetchOrderBooks() requires a symbols argument")
        self.load_markets()
        _drive(self._begin_all(symbols, limit, params or {}))
        return {
            self.market(symbol)["symbol"]: self.fetch_order_book(symbol, limit, params) for symbol in symbols
        }

    def fetch_bids_asks(
        self, symbols: list[str] | None = None, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Best bids and asks by unified symbol: ccxt's tickers, of the books in this process where all are
        good. Without ``symbols`` those of all markets, from the exchange or from a server."""
        self.load_markets()
        tickers: dict[str, Any] = _drive(self._bids_asks(symbols, params or {}))
        return tickers

    def depthcast_wait(self, symbols: list[str], timeout_s: float = 30.0) -> None:
        """Begin to keep these markets' books, and wait until all are ready.

        Raises ``ccxt.RequestTimeout`` at the time-out, with what is missing.
        """
        self.load_markets()
        _drive(self._wait(symbols, timeout_s))

    def close(self, clean_instance_data: bool = False) -> None:
        """Close the sockets of the books, and what the original closes. A later call opens them again."""
        closing, self._closing = self._closing, None
        self._books = None
        if closing is not None:
            self._views.clear()
            closing()
        super().close(clean_instance_data)

    # What the ladder needs

    def _view(self, market_id: str) -> View | None:
        return self._views.get(market_id) if self._opened == self._here() else None

    def _here(self) -> tuple[Any, ...]:
        """What books are opened for. A forked process has the memory of their thread, but not the thread."""
        return os.getpid(), *self._place()

    def _begin(self, market_ids: list[str]) -> None:
        with self._opening:
            if self._books is None or self._opened != self._here():
                self._open()
            books = self._books
            assert books is not None
            room = self._chosen().max_books - len(self._views)
            new = [market_id for market_id in dict.fromkeys(market_ids) if market_id not in self._views]
            taken = new[: max(0, room)]
            if taken:
                books.subscribe(taken)
                self._views.update({market_id: books.view(market_id) for market_id in taken})

    def _open(self) -> None:
        books = BooksThread(**self._books_arguments())
        if self._closing is not None:
            self._closing()
        self._views, self._opened = {}, self._here()
        self._books = books
        books.start()
        # Called once: by close(), when this object is collected, or when the interpreter ends.
        self._closing = weakref.finalize(self, _close_in, os.getpid(), books)

    def _waiting(self, market_ids: list[str], timeout_s: float) -> None:
        assert self._books is not None
        self._books.wait(market_ids, timeout_s=timeout_s)

    def _silence(self, ms: int | None = None) -> float:
        books = self._books
        if books is None:
            return 0.0
        if ms is not None:
            with suppress(RuntimeError, DepthcastError):  # closed meanwhile
                books.silence(ms)
        return books.silent_for_s


class binance(_Synchronous, ccxt.binance):  # type: ignore[misc] # noqa: N801 - ccxt's own name
    """ccxt's ``binance``; order books of spot markets come from this process."""

    _dialect = dialects.BINANCE


class binanceus(_Synchronous, ccxt.binanceus):  # type: ignore[misc] # noqa: N801 - ccxt's own name
    """ccxt's ``binanceus``, likewise."""

    _dialect = dialects.BINANCE_US


class binanceusdm(_Synchronous, ccxt.binanceusdm):  # type: ignore[misc] # noqa: N801 - ccxt's own name
    """ccxt's ``binanceusdm``; order books of linear contracts come from this process."""

    _dialect = dialects.BINANCE_USDM


class binancecoinm(_Synchronous, ccxt.binancecoinm):  # type: ignore[misc] # noqa: N801
    """ccxt's ``binancecoinm``; order books of inverse contracts come from this process."""

    _dialect = dialects.BINANCE_COINM


class bitmex(_Synchronous, ccxt.bitmex):  # type: ignore[misc] # noqa: N801 - ccxt's own name
    """ccxt's ``bitmex``; order books come from this process."""

    _dialect = dialects.BITMEX


class coinbaseexchange(_Synchronous, ccxt.coinbaseexchange):  # type: ignore[misc] # noqa: N801 - ccxt's own
    """ccxt's ``coinbaseexchange``; order books come from this process where an account's key is set."""

    _dialect = dialects.COINBASE


def _close_in(process: int, books: BooksThread) -> None:
    """Close books in the process that opened them: in a forked one there is nothing to wait for."""
    if os.getpid() == process:
        # An object may be collected in any thread, in that of the books too, which cannot wait for itself.
        with suppress(RuntimeError):
            books.close()


def _drive(steps: Steps) -> Any:
    """Do what the steps ask for, one after the other, and return what they come to."""
    try:
        call = next(steps)
        while True:
            try:
                result = call()
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(result)
    except StopIteration as stop:
        return stop.value
