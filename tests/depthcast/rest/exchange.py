"""A scripted exchange, and a time that passes only while somebody sleeps."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from depthcast.events import Snapshot
from depthcast.rest import Rest

BOOK = b'{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}'
SNAPSHOT = Snapshot(160, [["0.0024", "10"]], [["0.0026", "100"]], True, True)
MINUTE_MS = 60_000

Script = Callable[[web.Request], Awaitable[web.Response]]
OpenRest = Callable[..., Rest]


class Clock:
    """Time that passes only while somebody sleeps and ``runs`` is set; begins with a window of the budget."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self.runs = asyncio.Event()
        self.runs.set()

    def __call__(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return 7 * MINUTE_MS + 1000 + round(self.now_s * 1000)

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        await self.runs.wait()
        self.now_s += delay_s


def book(used: int | None = 5) -> web.Response:
    return web.Response(body=BOOK, headers={} if used is None else {"X-MBX-USED-WEIGHT-1M": str(used)})


class Exchange:
    """Answers what ``script`` returns, or the ``answers`` in turn and then a book; writes down who asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.answers: list[web.Response] = []
        self.script: Script = self.next_answer

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.raw_path)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.script(request)
        finally:
            self.at_once -= 1

    async def next_answer(self, _: web.Request) -> web.Response:
        return self.answers.pop(0) if self.answers else book()


def in_waves(size: int) -> Script:
    """Each answer waits until there are ``size`` requests at once, however slowly they come."""
    barrier = asyncio.Barrier(size)

    async def answer(_: web.Request) -> web.Response:
        async with asyncio.timeout(60):
            await barrier.wait()
        return book()

    return answer


def limited(status: int = 429, retry_after: str = "30") -> web.Response:
    return web.Response(status=status, headers={"Retry-After": retry_after})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the code under test
            await asyncio.sleep(0.001)
