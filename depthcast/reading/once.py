"""``read`` and its sisters: one call, with connections of its own. Who reads often keeps a
:class:`~depthcast.reading.reader.Reader`."""

import asyncio
import contextvars
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from depthcast.reading.file import DepthFile
from depthcast.reading.files import DepthFiles
from depthcast.reading.reader import DEFAULT_TIMEOUT_S, Reader

_T = TypeVar("_T")


def read(
    url: str,
    symbol: str,
    limit: int | None = None,
    *,
    venue: str = "binance",
    env: Mapping[str, str] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> DepthFile:
    """The published book of ``symbol`` at ``venue`` that answers ``limit``: levels a side (1 to 5,000), or
    what the venue has in their place; ``None``: what it takes where none is told, Binance 100.

    ``url`` is ``s3://BUCKET[/PREFIX]``, with the usual AWS variables in ``env`` (default: this process's),
    or ``http(s)://…`` of a server, an edge, or a bucket that anybody may read. Works in a notebook, too,
    where an event loop runs already. Errors: :meth:`depthcast.reading.Reader.read`.
    """
    return _run(read_async(url, symbol, limit, venue=venue, env=env, timeout_s=timeout_s))


async def read_async(
    url: str,
    symbol: str,
    limit: int | None = None,
    *,
    venue: str = "binance",
    env: Mapping[str, str] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> DepthFile:
    """As :func:`read`, for a program with an event loop."""
    async with Reader(url, venue=venue, env=env, timeout_s=timeout_s) as reader:
        return await reader.read(symbol, limit)


def read_many(
    url: str,
    symbols: Iterable[str],
    limit: int | None = None,
    *,
    venue: str = "binance",
    skip_missing: bool = False,
    env: Mapping[str, str] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> DepthFiles:
    """The published books of ``symbols``, 16 at a time; ``timeout_s`` holds for each. ``skip_missing``: those
    that are not published are left out rather than an error."""
    reading = read_many_async(
        url, symbols, limit, skip_missing=skip_missing, venue=venue, env=env, timeout_s=timeout_s
    )
    return _run(reading)


async def read_many_async(
    url: str,
    symbols: Iterable[str],
    limit: int | None = None,
    *,
    venue: str = "binance",
    skip_missing: bool = False,
    env: Mapping[str, str] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> DepthFiles:
    """As :func:`read_many`, for a program with an event loop."""
    async with Reader(url, venue=venue, env=env, timeout_s=timeout_s) as reader:
        return await reader.read_many(symbols, limit, skip_missing=skip_missing)


def _run(main: Coroutine[Any, Any, _T]) -> _T:
    """Wait for it: in an event loop of its own, in another thread where this one has one already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main)
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="depthcast-read") as thread:
        return thread.submit(context.run, asyncio.run, main).result()
