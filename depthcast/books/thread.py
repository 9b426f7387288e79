"""``BooksThread``: live books for callers without an event loop.

A thread of its own runs the loop that keeps the books. Reading one is no round trip to it: a lock is held
around what changes a book and around what reads it, so a reader waits for one diff at most.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, Literal, Self, TypeVar, Unpack, overload

from depthcast.books.books import Books
from depthcast.books.changes import MAX_LEVELS, Change, Changes, Number
from depthcast.books.options import Options
from depthcast.books.view import BookView
from depthcast.errors import DepthcastError

_T = TypeVar("_T")

_ANSWER_S: Final = 10.0
"""How long the loop may take to answer: it is busy with other books for some milliseconds at most."""


class BooksThread:
    """The same books as :class:`~depthcast.books.Books`, which has the arguments, from any thread.

    A context manager; entering does not wait for books. The thread ends with :meth:`close`, and does not
    keep the interpreter from ending.
    """

    def __init__(
        self,
        venue: str = "binance",
        symbols: Iterable[str] = (),
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._lock = threading.Lock()
        self._books = Books(venue, symbols, guard=self._lock, **options)
        self._loop_factory = loop_factory
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Begin to keep the books, in the background. Again: does nothing. Raises as Books does."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="depthcast-books", daemon=True)
        self._thread.start()
        self._started.wait(_ANSWER_S)
        if self._failure is not None:
            raise self._failure

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Close all connections and end the thread. Again: does nothing."""
        loop, thread = self._loop, self._thread
        if thread is None or loop is None:
            return
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(self._stop.set)
        thread.join(timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Begin to keep these symbols' books too."""
        self._ask(self._subscribe(symbols), _ANSWER_S)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Stop keeping these symbols' books."""
        self._ask(self._unsubscribe(symbols), _ANSWER_S)

    def wait(self, symbols: Iterable[str] | None = None, *, timeout_s: float = 30.0) -> None:
        """Wait until these symbols' books (``None``: all) are ready; raises as Books does."""
        self._ask(self._books.wait(symbols, timeout_s=timeout_s), timeout_s + _ANSWER_S)

    def view(self, symbol: str) -> BookView:
        """A subscribed symbol's book, to be read from any thread. Raises ``KeyError`` for another one."""
        return self._books[symbol]

    def __getitem__(self, symbol: str) -> BookView:
        return self._books[symbol]

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._books

    @overload
    def changes(
        self,
        symbol: str,
        *,
        strings: Literal[False] = ...,
        max_levels: int = ...,
        timeout_s: float | None = ...,
    ) -> "ThreadChanges[float]": ...
    @overload
    def changes(
        self, symbol: str, *, strings: Literal[True], max_levels: int = ..., timeout_s: float | None = ...
    ) -> "ThreadChanges[str]": ...
    def changes(
        self,
        symbol: str,
        *,
        strings: bool = False,
        max_levels: int = MAX_LEVELS,
        timeout_s: float | None = None,
    ) -> "ThreadChanges[float] | ThreadChanges[str]":
        """What changes in a book from now on: ``for change in books.changes("ETHUSDT")``.

        As :meth:`depthcast.books.Books.changes`; each step waits for the next change, at most
        ``timeout_s`` (``None``: as long as the book is kept), and then raises ``TimeoutError``, after which
        it may be asked again. When a change is handed out the book itself may be at a later one.
        """
        made: Changes[Any] = self._ask(self._changes(symbol, strings, max_levels), _ANSWER_S)
        return ThreadChanges(made, self._wait_for, timeout_s)

    @property
    def silent_for_s(self) -> float:
        """How long no request will be sent, since the exchange asked for a pause; 0 where it did not."""
        return self._books.silent_for_s

    def silence(self, ms: int) -> None:
        """Send no request for ``ms`` milliseconds: the exchange asked another client here for a pause."""
        self._ask(self._silence(ms), _ANSWER_S)

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(levels of all books)."""
        self._ask(self._check(), _ANSWER_S)

    # In the thread

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._main())
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self._books:
            self._started.set()
            await self._stop.wait()

    async def _subscribe(self, symbols: Iterable[str]) -> None:
        self._books.subscribe(symbols)

    async def _unsubscribe(self, symbols: Iterable[str]) -> None:
        self._books.unsubscribe(symbols)

    async def _changes(self, symbol: str, strings: bool, max_levels: int) -> Changes[Any]:
        if strings:
            return self._books.changes(symbol, strings=True, max_levels=max_levels)
        return self._books.changes(symbol, max_levels=max_levels)

    async def _silence(self, ms: int) -> None:
        self._books.silence(ms)

    async def _check(self) -> None:
        self._books.check()

    # From other threads

    def _ask(self, work: Coroutine[Any, Any, _T], timeout_s: float) -> _T:
        """Have ``work`` done in the loop, and wait for its end."""
        try:
            return self._wait_for(work, timeout_s)
        except TimeoutError:
            raise DepthcastError(f"the books' thread did not answer within {timeout_s:g} s") from None

    def _wait_for(self, work: Coroutine[Any, Any, _T], timeout_s: float | None) -> _T:
        """The same; raises ``TimeoutError`` and gives ``work`` up where it takes longer."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            work.close()
            raise RuntimeError("these books are not running: start() them, or use them as a context manager")
        try:
            future = asyncio.run_coroutine_threadsafe(work, loop)
        except RuntimeError:  # the loop ended in this moment
            work.close()
            raise RuntimeError("these books were closed meanwhile") from None
        try:
            return future.result(timeout_s)
        except CancelledError:
            raise RuntimeError("these books were closed meanwhile") from None
        except BaseException:
            # A time-out, or an interruption of who waits.
            future.cancel()
            raise


class ThreadChanges(Iterator[Change[Number]]):
    """The changes of one book for one reader without an event loop; :meth:`BooksThread.changes` makes it.

    It ends when the book is kept no longer, and when the books are closed.
    """

    def __init__(
        self,
        changes: Changes[Number],
        wait_for: Callable[[Coroutine[Any, Any, Change[Number]], float | None], Change[Number]],
        timeout_s: float | None,
    ) -> None:
        self.symbol = changes.symbol
        self._changes: Changes[Number] = changes
        self._wait_for: Callable[[Coroutine[Any, Any, Change[Number]], float | None], Change[Number]] = (
            wait_for
        )
        self._timeout_s = timeout_s

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change[Number]:
        """The next change; waits for it."""
        try:
            return self._wait_for(self._changes.__anext__(), self._timeout_s)
        except (StopAsyncIteration, RuntimeError):  # the latter: the books were closed
            raise StopIteration from None
