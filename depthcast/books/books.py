"""``Books``: many live books in one event loop: a feed, a REST interface and a keeper, put together."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Final, Literal, Self, overload

from depthcast.book import Audit
from depthcast.books.changes import MAX_LEVELS, Changes
from depthcast.books.exchanges import exchange
from depthcast.books.snapshots import Snapshots
from depthcast.books.view import BookView
from depthcast.errors import BookNotReady, UnknownSymbol
from depthcast.events import Diff
from depthcast.feed import Feed, FeedLimits
from depthcast.http_client import AiohttpClient
from depthcast.keeper import Keeper, LiveBook, Observer, Source
from depthcast.orders import Tolerance
from depthcast.orders.messages import AnyDiff
from depthcast.rest import Rest
from depthcast.sync import Guard
from depthcast.venues.keeping import StreamKey

_log = logging.getLogger(__name__)

WEIGHT_SHARE: Final = 0.5
"""Of what an address may ask of the exchange in a minute; the rest is for other calls of the program."""


class Books:
    """Live books of one exchange. For use in one event loop, as a context manager; entering does not wait.

    ``venue`` names the exchange (:data:`depthcast.venues.registry.VENUES`); ``rest_url`` and ``ws_url``
    lead to another place that speaks like it. ``key`` is an account's, where the exchange's stream wants one:
    a value, or its file; ``None``: that of the environment; ``by_price``: the books that such an exchange
    tells who has none. ``symbols`` are spelled as the exchange does.
    ``depth``: levels a side asked of the exchange, where it has as many, and kept certain as far as its
    snapshots go; books begin with fewer where many are asked for at once (:mod:`depthcast.books.snapshots`).
    ``weight_share``: of the exchange's request weight a minute, how much may be used up when a request is
    sent, by whomever on this address. ``rest_proxy`` and ``ws_proxy``: urls of proxies that requests and
    sockets go through; ``None``: those of the environment.

    Nothing else is asked of the exchange than snapshots. ``tolerance``: what a book by order bears, of all
    symbols alike (:mod:`depthcast.orders.anomalies`).
    """

    def __init__(
        self,
        venue: str = "binance",
        symbols: Iterable[str] = (),
        *,
        rest_url: str | None = None,
        ws_url: str | None = None,
        key: StreamKey | str | Path | None = None,
        by_price: bool = False,
        # Limits
        depth: int = 5000,
        weight_share: float = WEIGHT_SHARE,
        feed_limits: FeedLimits | None = None,
        tolerance: Tolerance | None = None,
        # Ways
        rest_proxy: str | None = None,
        ws_proxy: str | None = None,
        # Times
        heard_every_s: float = 0.25,
        poll_s: float = 0.02,
        audit_every_s: float = 3600.0,
        retry_initial_s: float = 0.2,
        retry_maximum_s: float = 15.0,
        suspect_after_s: float = 10.0,
        # Surroundings
        guard: Guard | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth is at least 1, not {depth}")
        if not 0 < weight_share <= 1:
            raise ValueError(f"weight_share is a share: more than 0, at most 1, not {weight_share}")
        self._exchange = exchange(
            venue, rest_url=rest_url, ws_url=ws_url, key=key, wall_ms=wall_ms, by_price=by_price
        )
        keeping = self._exchange.keeping
        book_of = keeping.book_of(Tolerance() if tolerance is None else tolerance)
        depth = min(depth, self._exchange.venue.scheme.max_limit)
        self._feed_limits = feed_limits
        self._ws_proxy = ws_proxy
        self._heard_every_s = heard_every_s
        self._poll_s = poll_s
        self._guard: Guard = nullcontext() if guard is None else guard
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or Random()
        self._rest = Rest(
            self._exchange.venue,
            share=weight_share,
            background_share=weight_share / 2,
            http=None if rest_proxy is None else AiohttpClient(proxy=rest_proxy),
            clock=clock,
            wall_ms=wall_ms,
            sleep=sleep,
            rng=self._rng,
        )
        self._snapshots = Snapshots(self._rest, self._exchange.venue, unbuilt=self._unbuilt)
        self._keeper = Keeper(
            self._make_feed,
            self._snapshots,
            on_change=self._changed,
            observer=_Listener(self),
            snapshot_limit=depth,
            # A snapshot that was deep enough for a while is not asked for again at every small move.
            refill_below=depth * 9 // 10 if keeping.refills else 0,
            refill_urgent_below=depth // 2 if keeping.refills else 0,
            buffer=keeping.buffer,
            book_of=lambda _: book_of,
            sync_of=keeping.sync_of,
            audit_every_s=audit_every_s,
            retry_initial_s=retry_initial_s,
            retry_maximum_s=retry_maximum_s,
            suspect_after_s=suspect_after_s,
            guard=self._guard,
            deferring=True,
            clock=clock,
            sleep=sleep,
            rng=self._rng,
        )
        self._views: dict[str, BookView] = {}
        self._failures: dict[str, Exception] = {}
        self._feed_failure: Exception | None = None
        self._diffs: Sequence[AnyDiff] = ()
        self._state: Literal["new", "running", "closed"] = "new"
        self._tasks: list[asyncio.Task[None]] = []
        self.subscribe(symbols)

    def _make_feed(self, _: Callable[[Diff], None], lost: Callable[[Iterable[str]], None]) -> Feed:
        self._feed = Feed(
            self._exchange.venue,
            on_diff=self._take,
            on_error=self._feed_failed,
            on_connection_lost=lost,
            on_reached=lambda symbol, update_id: self._keeper.reached(symbol, update_id),
            limits=self._feed_limits,
            proxy=self._ws_proxy,
            clock=self._clock,
            sleep=self._sleep,
            rng=self._rng,
        )
        return self._feed

    # Life

    async def start(self) -> None:
        """Begin to keep the books, in the background. Again: does nothing.

        Raises RuntimeError for books that were closed.
        """
        if self._state == "closed":
            raise RuntimeError("these books were closed; make new ones")
        if self._state == "running":
            return
        self._state = "running"
        self._begin(self._views)
        for work in (self._feed.run(), self._keeper.run(), self._listen()):
            task = asyncio.create_task(work)
            task.add_done_callback(_tell_defect)
            self._tasks.append(task)

    async def close(self) -> None:
        """Close all connections and end all tasks, within two seconds by default. Again: does nothing."""
        self._state = "closed"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._keeper.close()
        await self._rest.close()
        for view in self._views.values():
            view.end(BookNotReady({view.symbol: "the books were closed"}))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Which books

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Begin to keep these symbols' books; those kept already are left alone.

        A symbol that the exchange was found not to list is asked for again. From outside the event loop only
        before :meth:`start`.
        """
        new = []
        for symbol in _names(symbols):
            view = self._views.get(symbol)
            if view is None or view.ended is not None:
                new.append(symbol)
                self._views[symbol] = BookView(
                    symbol,
                    guard=self._guard,
                    clock=self._clock,
                    heard_age_s=self._feed.heard_age_s,
                    why=self._why,
                    scheme=self._exchange.venue.scheme,
                )
        if self._state == "running":
            self._begin(new)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop keeping these symbols' books; their views cannot be read any more."""
        for symbol in _names(symbols):
            view = self._views.pop(symbol, None)
            if view is not None:
                self._keeper.unsubscribe([symbol])
                self._failures.pop(symbol, None)
                view.end(BookNotReady({symbol: "it is not subscribed any more"}))

    def __getitem__(self, symbol: str) -> BookView:
        """The view of a subscribed symbol's book. Raises ``KeyError`` for another one."""
        view = self._views.get(symbol)
        if view is None:
            raise KeyError(f"{symbol!r:.60} is not subscribed; subscribed are {_some(self._views)}")
        return view

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._views

    def __iter__(self) -> Iterator[str]:
        """The symbols."""
        return iter(tuple(self._views))

    def __len__(self) -> int:
        return len(self._views)

    @property
    def views(self) -> Mapping[str, BookView]:
        """All views, by symbol."""
        return MappingProxyType(self._views)

    # Waiting

    async def wait(self, symbols: Iterable[str] | None = None, *, timeout_s: float = 30.0) -> None:
        """Wait until these symbols' books (``None``: all) are ready.

        Raises :class:`~depthcast.errors.BookNotReady` at the time-out, with which are not and why;
        :class:`~depthcast.errors.UnknownSymbol` as soon as the exchange says that it does not list one;
        ``KeyError`` for a symbol that is not subscribed.
        """
        views = [self[symbol] for symbol in (tuple(self) if symbols is None else _names(symbols))]
        end = self._clock() + timeout_s
        while True:
            pending = [view for view in views if not view.ready]
            for view in pending:
                if view.ended is not None:
                    raise view.ended
            if not pending:
                return
            for task in self._tasks:
                if task.done() and not task.cancelled():
                    task.result()
            left_s = end - self._clock()
            if left_s <= 0:
                raise BookNotReady({view.symbol: self._why(view.symbol) for view in pending})
            await self._sleep(min(left_s, self._poll_s))

    # The exchange's limits

    @property
    def silent_for_s(self) -> float:
        """How long no request will be sent, since the exchange asked for a pause; 0 where it did not."""
        return self._rest.silent_for_s

    def silence(self, ms: int) -> None:
        """Send no request for ``ms`` milliseconds: the exchange asked another client here for a pause."""
        self._rest.silence(ms)

    # Changes

    @overload
    def changes(
        self, symbol: str, *, strings: Literal[False] = ..., max_levels: int = ...
    ) -> Changes[float]: ...
    @overload
    def changes(self, symbol: str, *, strings: Literal[True], max_levels: int = ...) -> Changes[str]: ...
    def changes(
        self, symbol: str, *, strings: bool = False, max_levels: int = MAX_LEVELS
    ) -> Changes[float] | Changes[str]:
        """What changes in a book from now on: ``async for change in books.changes("ETHUSDT")``.

        See :class:`~depthcast.books.Change`. A slow reader gets merged changes; of at most ``max_levels``
        levels, beyond which it is told to read the book. Ends when the book is kept no longer. Raises
        ``KeyError`` for a symbol that is not subscribed.
        """
        view = self[symbol]
        return view.read_changes(str, max_levels) if strings else view.read_changes(float, max_levels)

    # Checking

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(levels of all books)."""
        self._snapshots.check()
        kept = self._keeper.books
        assert self._state != "new" or not kept, "a book is kept before the start"
        assert kept.keys() <= self._views.keys(), "a book is kept that nobody asked for"
        for symbol, view in self._views.items():
            assert self._state != "running" or (symbol in kept) == (view.ended is None), "a book is not kept"
            view.check()

    # Within

    def _begin(self, symbols: Iterable[str]) -> None:
        chosen = []
        for symbol in symbols:
            if self._exchange.could_list(symbol):
                chosen.append(symbol)
            else:
                hint = f"did you mean {symbol.upper()}?"
                self._views[symbol].end(UnknownSymbol(symbol, self._exchange.name, hint=hint))
        self._keeper.subscribe(chosen)
        for symbol in chosen:
            self._failures.pop(symbol, None)
            self._views[symbol].begin(self._keeper.books[symbol])

    def _unbuilt(self) -> int:
        return sum(not live.live for live in self._keeper.books.values())

    def _take(self, diff: Diff) -> None:
        self._diffs = (diff,)
        try:
            self._keeper.take(diff)
        finally:
            self._diffs = ()

    def _changed(self, live: LiveBook) -> None:
        view = self._views.get(live.symbol)
        if view is not None:
            view.changed(live, self._diffs)

    async def _listen(self) -> None:
        """Note from time to time how long ago connections were heard: once one is lost it does not say."""
        while True:
            await self._sleep(self._heard_every_s)
            for view in self._views.values():
                view.note_heard()

    # What the keeper and the feed tell

    def _broke(self, symbol: str, reason: str) -> None:
        live, view = self._keeper.books.get(symbol), self._views.get(symbol)
        if live is not None and view is not None:
            _log.info("%s: %s; the book is built anew", symbol, reason)
            view.broke(live)

    def _synced(self, symbol: str) -> None:
        self._failures.pop(symbol, None)

    def _failed(self, symbol: str, error: Exception) -> None:
        _log.info("%s: no snapshot: %s", symbol, error)
        view = self._views.get(symbol)
        if view is None:
            return
        if self._exchange.lacks_symbol(error):
            self._keeper.unsubscribe([symbol])
            view.end(UnknownSymbol(symbol, self._exchange.name))
        else:
            self._failures[symbol] = error

    def _feed_failed(self, symbol: str | None, error: Exception) -> None:
        _log.info("%s: %s", symbol or "the feed", error)
        self._feed_failure = error

    def _why(self, symbol: str) -> str:
        """What a symbol's book waits for, in words."""
        live = self._keeper.books.get(symbol)
        if live is None:
            return "the books were closed" if self._state == "closed" else "the books were not started"
        failure = self._failures.get(symbol)
        if self._rest.silent_for_s > 0 and not live.live:
            return f"the exchange asked for silence, {self._rest.silent_for_s:.0f} s of it are left"
        if failure is not None:
            return f"no snapshot: {failure}"
        if self._feed.heard_age_s(symbol) is None:
            cause = f": {self._feed_failure}" if self._feed_failure is not None else ""
            return f"its stream does not come{cause}"
        if live.live and live.fault is None:
            return "its connection was lost, and nothing came of it since"
        if live.fault is not None:
            return f"the exchange's messages led to a book that is {live.fault}; it is built anew"
        if live.book is None:
            return "its snapshot has not come"
        return "it is built anew"


class _Listener(Observer):
    def __init__(self, books: Books) -> None:
        self._books = books

    def broke(self, symbol: str, reason: str) -> None:
        self._books._broke(symbol, reason)

    def synced(self, symbol: str, source: Source, after_ms: float) -> None:
        self._books._synced(symbol)

    def audited(self, symbol: str, audit: Audit) -> None:
        if not audit.clean:
            _log.warning("%s: the book differed from a second snapshot and was corrected: %s", symbol, audit)

    def failed(self, symbol: str, error: Exception) -> None:
        self._books._failed(symbol, error)


def _tell_defect(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("the books are kept no longer", exc_info=task.exception())


def _names(symbols: Iterable[str]) -> list[str]:
    """Symbols, each once; a single name is one, and not its letters."""
    return [symbols] if isinstance(symbols, str) else list(dict.fromkeys(symbols))


def _some(symbols: Iterable[str]) -> str:
    names = list(symbols)
    shown = ", ".join(names[:5]) or "none"
    return f"{shown}, …" if len(names) > 5 else shown
