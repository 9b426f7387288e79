"""``connect``: books that are started and ready, awaited or as a context manager."""

from collections.abc import Generator, Iterable
from typing import Any, Unpack

from depthcast.books.books import Books
from depthcast.books.options import Options


def connect(
    venue: str = "binance",
    symbols: Iterable[str] = (),
    *,
    timeout_s: float = 30.0,
    **options: Unpack[Options],
) -> "Connecting":
    """Books of ``symbols``, ready to be read.

    Either form; whoever awaits it closes the books::

        books = await depthcast.connect("binance", ["ETHUSDT"])
        async with depthcast.connect("binance", ["ETHUSDT"]) as books:

    ``options`` are those of :class:`~depthcast.books.Books`. Raises, and closes what was opened, as
    :meth:`~depthcast.books.Books.wait` does after ``timeout_s``.
    """
    return Connecting(Books(venue, symbols, **options), timeout_s)


class Connecting:
    """What :func:`connect` gives: to be awaited, or entered."""

    def __init__(self, books: Books, timeout_s: float) -> None:
        self._books = books
        self._timeout_s = timeout_s

    def __await__(self) -> Generator[Any, None, Books]:
        return self._connect().__await__()

    async def __aenter__(self) -> Books:
        return await self._connect()

    async def __aexit__(self, *_: object) -> None:
        await self._books.close()

    async def _connect(self) -> Books:
        try:
            await self._books.start()
            await self._books.wait(timeout_s=self._timeout_s)
        except BaseException:
            await self._books.close()
            raise
        return self._books
