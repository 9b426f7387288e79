"""``Watch``: asks the updaters for ``/status`` again and again, and works out rates from the counts."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import aiohttp
import orjson

from depthcast.cli.up.board import Board
from depthcast.cli.up.reading import Measured, Reading
from depthcast.cli.up.service import Service


class Meter:
    """Files a second out of one updater's counts, over the last ``window_s``. Pure.

    A replica with another name is another process: its counts begin anew.
    """

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._past: deque[tuple[float, Reading]] = deque()

    def measure(self, now_s: float, reading: Reading) -> Measured:
        """Take in a reading of the moment ``now_s``, and return it with its rates."""
        past = self._past
        if past and past[-1][1].replica != reading.replica:
            past.clear()
        past.append((now_s, reading))
        while len(past) > 2 and past[1][0] <= now_s - self._window_s:
            past.popleft()
        began_s, first = past[0]
        if now_s <= began_s:
            return Measured(reading, now_s, 0.0, MappingProxyType({}))
        before = {book.symbol: book.written for book in first.books}
        return Measured(
            reading,
            now_s,
            (reading.written - first.written) / (now_s - began_s),
            {
                book.symbol: (book.written - before.get(book.symbol, 0)) / (now_s - began_s)
                for book in reading.books
            },
        )


class Watch:
    """Puts what the updaters say of themselves on the board.

    What one said last stays there while it does not answer, and is taken off when its process has ended.
    ``prefix``: what symbols are called with.
    """

    def __init__(
        self,
        updaters: Sequence[Service],
        board: Board,
        *,
        prefix: str = "",
        every_s: float = 1.0,
        timeout_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meters: Mapping[Service, Meter] = {updater: Meter() for updater in updaters}
        self._board = board
        self._prefix = prefix
        self._every_s = every_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._clock = clock

    async def run(self) -> None:
        """Ask until cancelled."""
        async with aiohttp.ClientSession(timeout=self._timeout) as session:
            while True:
                await asyncio.gather(*(self._ask(session, *each) for each in self._meters.items()))
                await asyncio.sleep(self._every_s)

    async def _ask(self, session: aiohttp.ClientSession, updater: Service, meter: Meter) -> None:
        if not updater.url:
            self._board.readings.pop(updater.name, None)
            return
        try:
            async with session.get(f"{updater.url}/status") as answer:
                reading = Reading.of(orjson.loads(await answer.read()), self._prefix)
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, IndexError):
            return
        self._board.readings[updater.name] = meter.measure(self._clock(), reading)
