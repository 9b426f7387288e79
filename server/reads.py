"""What became of a read of the store, and a read whose end is told and not raised."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from enum import Enum
from typing import Any, TypeVar

from depthcast.errors import BadFile, DepthcastError, StoreError, StoreUnavailable

T = TypeVar("T")


class ReadOutcome(Enum):
    """What became of one read of the store."""

    CHANGED = "changed"
    """A newer edition, or the first one."""
    UNCHANGED = "unchanged"
    """The store still has what is held."""
    OLDER = "older"
    """A lower version than the held one: ignored."""
    MISSING = "missing"
    DAMAGED = "damaged"
    FAILED = "failed"


OnRead = Callable[[str, ReadOutcome, float, DepthcastError | None], None]
"""Told of each read: the key, what became of it, the seconds it took, and the error if there was one."""


def no_answer(url: str, timeout_s: float) -> StoreUnavailable:
    """The error of a read that was given up.

    >>> str(no_answer("s3://books", 2.0))
    's3://books did not answer within 2 s'
    """
    return StoreUnavailable(f"{url} did not answer within {timeout_s:g} s")


async def read_or_tell(
    key: str,
    reading: Callable[[], Awaitable[T]],
    *,
    url: str,
    timeout_s: float,
    on_read: OnRead,
    clock: Callable[[], float],
    slots: AbstractAsyncContextManager[Any] | None = None,
) -> T | None:
    """What ``reading`` gives; ``None`` where the store is damaged, fails or takes too long.

    ``on_read`` is told of it either way, of what is called ``key``. ``slots`` bound how many read at a time;
    waiting for one counts for ``timeout_s``, too.
    """
    began = clock()
    error: DepthcastError | None = None
    outcome = ReadOutcome.CHANGED
    found: T | None = None
    try:
        async with asyncio.timeout(timeout_s), slots or nullcontext():
            found = await reading()
    except BadFile as bad:
        outcome, error = ReadOutcome.DAMAGED, bad
    except StoreError as failed:
        outcome, error = ReadOutcome.FAILED, failed
    except TimeoutError:
        outcome, error = ReadOutcome.FAILED, no_answer(url, timeout_s)
    on_read(key, outcome, clock() - began, error)
    return found
