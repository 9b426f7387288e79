"""``depthcast.ccxt.aio``: the asynchronous exchanges, ccxt's of ``ccxt.async_support``.

Change the import, and leave the program as it is::

    import depthcast.ccxt.aio

    exchange = depthcast.ccxt.aio.binance()      # ccxt.async_support.binance() before
    book = await exchange.fetch_order_book("ETH/USDT", 20)
    …
    await exchange.close()

Its books live in the running event loop. What holds is said in :mod:`depthcast.ccxt`.
"""

import asyncio
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import ccxt.async_support

from depthcast.books import Books
from depthcast.ccxt import dialects
from depthcast.ccxt.asking import Steps
from depthcast.ccxt.ladder import View
from depthcast.ccxt.prices import Prices

__all__ = ["binance", "binancecoinm", "binanceus", "binanceusdm", "bitmex", "coinbaseexchange"]

_AT_ONCE: Final = 8
"""How many books of one ``fetch_order_books`` are asked for at a time where they are not kept yet."""


class _Asynchronous(Prices):
    """An exchange whose calls are awaited; its order books come from this process.

    Sockets are opened by the first call that needs one and closed by :meth:`close`. For use in one event
    loop; in another one books are opened anew.
    """

    _books: Books | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _closing: "weakref.finalize[Any, Any] | None" = None

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._opening: asyncio.Lock | None = None
        self._views: dict[str, View] = {}
        self._opened: tuple[Any, ...] = ()
        super().__init__(config)

    async def fetch_order_book(
        self, symbol: str, limit: int | None = None, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The order book of a market: ccxt's dict, from the book in this process where that is good.

        As the synchronous one (:meth:`depthcast.ccxt.binance.fetch_order_book`).
        """
        if not params:
            at_once = self._at_once(symbol, limit)
            if at_once is not None:
                return at_once
        if not self.markets:
            await self.load_markets()
        book: dict[str, Any] = await _drive(self._order_book(symbol, limit, params or {}))
        return book

    async def fetch_l2_order_book(
        self, symbol: str, limit: int | None = None, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The same, levels of equal price joined: there are none, so with ``strings`` it is the same."""
        if params and params.get("strings"):
            return await self.fetch_order_book(symbol, limit, params)
        book: dict[str, Any] = await super().fetch_l2_order_book(symbol, limit, params or {})
        return book

    async def fetch_order_books(
        self,
        symbols: list[str] | None = None,
        limit: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """The order books of several markets, by unified symbol. The symbols have to be named."""
        if symbols is None:
            raise ccxt.ArgumentsRequired(f"{self.id} fetchOrderBooks() requires a symbols argument")
        if not self.markets:
            await self.load_markets()
        await _drive(self._begin_all(symbols, limit, params or {}))
        turns = asyncio.Semaphore(_AT_ONCE)

        async def fetch(symbol: str) -> dict[str, Any]:
            async with turns:
                return await self.fetch_order_book(symbol, limit, params)

        names = [self.market(symbol)["symbol"] for symbol in symbols]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(fetch(symbol)) for symbol in symbols]
        except BaseExceptionGroup as errors:
            # The first one ended the others.
            raise errors.exceptions[0] from None
        return dict(zip(names, (task.result() for task in tasks), strict=True))

    async def fetch_bids_asks(
        self, symbols: list[str] | None = None, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Best bids and asks by unified symbol: ccxt's tickers, of the books in this process where all are
        good. Without ``symbols`` those of all markets, from the exchange or from a server."""
        if not self.markets:
            await self.load_markets()
        tickers: dict[str, Any] = await _drive(self._bids_asks(symbols, params or {}))
        return tickers

    async def depthcast_wait(self, symbols: list[str], timeout_s: float = 30.0) -> None:
        """Begin to keep these markets' books, and wait until all are ready.

        Raises ``ccxt.RequestTimeout`` at the time-out, with what is missing.
        """
        if not self.markets:
            await self.load_markets()
        await _drive(self._wait(symbols, timeout_s))

    async def close(self, clean_instance_data: bool = False) -> None:
        """Close the sockets of the books, and what the original closes. A later call opens them again."""
        books, self._books = self._books, None
        self._views = {}
        if self._closing is not None:
            self._closing.detach()
        if books is not None and self._loop is asyncio.get_running_loop():
            await books.close()
        await super().close(clean_instance_data)

    # What the ladder needs

    def _view(self, market_id: str) -> View | None:
        here = self._loop is asyncio.get_running_loop() and self._opened == self._place()
        return self._views.get(market_id) if here else None

    async def _begin(self, market_ids: list[str]) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._opening, self._books, self._views = loop, asyncio.Lock(), None, {}
        assert self._opening is not None
        async with self._opening:
            place = self._place()
            if self._books is None or self._opened != place:
                books, before = Books(**self._books_arguments()), self._books
                if before is not None:
                    self._views, self._books = {}, None
                    await before.close()
                await books.start()
                self._books, self._opened = books, place
                # For an object that is dropped unclosed: its tasks would go on as long as the loop.
                self._closing = weakref.finalize(self, _close_in, loop, books)
                self._closing.atexit = False
            room = self._chosen().max_books - len(self._views)
            new = [market_id for market_id in dict.fromkeys(market_ids) if market_id not in self._views]
            taken = new[: max(0, room)]
            if taken:
                self._books.subscribe(taken)
                self._views.update({market_id: self._books[market_id] for market_id in taken})

    async def _waiting(self, market_ids: list[str], timeout_s: float) -> None:
        assert self._books is not None
        await self._books.wait(market_ids, timeout_s=timeout_s)

    def _silence(self, ms: int | None = None) -> float:
        books = self._books
        if books is None:
            return 0.0
        if ms is not None:
            books.silence(ms)
        return books.silent_for_s


class binance(_Asynchronous, ccxt.async_support.binance):  # type: ignore[misc] # noqa: N801 - ccxt's own name
    """ccxt's ``binance``; order books of spot markets come from this process."""

    _dialect = dialects.BINANCE


class binanceus(_Asynchronous, ccxt.async_support.binanceus):  # type: ignore[misc] # noqa: N801 - likewise
    """ccxt's ``binanceus``, likewise."""

    _dialect = dialects.BINANCE_US


class binanceusdm(_Asynchronous, ccxt.async_support.binanceusdm):  # type: ignore[misc] # noqa: N801 - likewise
    """ccxt's ``binanceusdm``; order books of linear contracts come from this process."""

    _dialect = dialects.BINANCE_USDM


class binancecoinm(_Asynchronous, ccxt.async_support.binancecoinm):  # type: ignore[misc] # noqa: N801
    """ccxt's ``binancecoinm``; order books of inverse contracts come from this process."""

    _dialect = dialects.BINANCE_COINM


class bitmex(_Asynchronous, ccxt.async_support.bitmex):  # type: ignore[misc] # noqa: N801 - ccxt's own name
    """ccxt's ``bitmex``; order books come from this process."""

    _dialect = dialects.BITMEX


class coinbaseexchange(_Asynchronous, ccxt.async_support.coinbaseexchange):  # type: ignore[misc] # noqa: N801
    """ccxt's ``coinbaseexchange``; order books come from this process where an account's key is set."""

    _dialect = dialects.COINBASE


def _close_in(loop: asyncio.AbstractEventLoop, books: Books) -> None:
    """Close books in their loop, if it still runs."""
    if loop.is_running():
        # It may be closing at this moment.
        with suppress(RuntimeError):
            asyncio.run_coroutine_threadsafe(books.close(), loop)


async def _drive(steps: Steps) -> Any:
    """Do what the steps ask for, one after the other, and return what they come to."""
    call: Callable[[], Any]
    try:
        call = next(steps)
        while True:
            try:
                result = await call()
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(result)
    except StopIteration as stop:
        return stop.value
