"""Waiting for what comes true: polled, and bounded."""

import asyncio
from collections.abc import Callable


async def until(
    condition: Callable[[], object],
    bound_s: float = 60.0,
    *,
    what: Callable[[], object] = lambda: "it never came true",
    step_s: float = 0.005,
) -> None:
    """Wait for ``condition``; fails after ``bound_s``, and says ``what``."""
    loop = asyncio.get_running_loop()
    end = loop.time() + bound_s
    while not condition():
        assert loop.time() < end, what()
        await asyncio.sleep(step_s)
