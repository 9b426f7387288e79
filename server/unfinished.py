"""``Unfinished``: cuts off connections whose request does not come.

uvicorn closes a connection that is idle after an answer, but waits for ever for the first request and for the
rest of any: whoever opens ``max_connections`` and says nothing would keep all others out. What does not come
*out* is not looked at here: the kernel (:func:`server.__main__.listen`) and the hub of streams see to that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

DEFAULT_WITHIN_S: Final = 30.0
SWEEP_EVERY_S: Final = 5.0


class Unfinished:
    """``connections`` are all of a server. A request has to come within ``within_s`` of its first byte, the
    first one of opening the connection; that it did not is noticed up to two sweeps later."""

    def __init__(
        self,
        connections: Collection[object],
        *,
        within_s: float = DEFAULT_WITHIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._within_s = within_s
        self._clock = clock
        self._waited_for: dict[HttpToolsProtocol, tuple[object, float]] = {}

    def sweep(self) -> None:
        """Cut off those that were waited for too long. O(connections)."""
        now = self._clock()
        before, self._waited_for = self._waited_for, {}
        for connection in list(self._connections):
            if not isinstance(connection, HttpToolsProtocol) or not _awaits_a_request(connection):
                continue
            # Each request that begins has a scope of its own.
            request = connection.scope
            known, since = before.get(connection, (None, now))
            if known is not request:
                since = now
            if now - since >= self._within_s:
                connection.transport.abort()
            else:
                self._waited_for[connection] = (request, since)

    async def run(
        self, *, every_s: float = SWEEP_EVERY_S, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """:meth:`sweep` until cancelled."""
        while True:
            await sleep(every_s)
            self.sweep()


def _awaits_a_request(connection: HttpToolsProtocol) -> bool:
    """No answer is under way, and the timer that ends an idle connection does not run: it is stopped by the
    first byte of a request, and not begun before the first answer."""
    cycle = connection.cycle
    return (
        (cycle is None or cycle.response_complete)
        and connection.timeout_keep_alive_task is None
        and not connection.transport.is_closing()
    )
