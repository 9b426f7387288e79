"""A keeper among fakes: a feed, a venue, a published file; its clock runs only when somebody sleeps."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Any

from depthcast.book import Audit
from depthcast.events import Diff, Snapshot
from depthcast.keeper import Keeper, LiveBook, Observer, Source, WarmStart
from depthcast.rows import RowSnapshot
from depthcast.sync import Verdict


class Feed:
    def __init__(self) -> None:
        self.symbols: set[str] = set()
        self.dead: set[str] = set()
        self.renewed: list[str] = []
        self.heard_age = 0.0

    def subscribe(self, symbols: Iterable[str]) -> None:
        self.symbols |= set(symbols)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        self.symbols -= set(symbols)

    def renew(self, symbols: Iterable[str]) -> None:
        self.renewed.extend(symbols)

    def live(self, symbol: str) -> bool:
        return symbol in self.symbols and symbol not in self.dead

    def heard_age_s(self, symbol: str) -> float | None:
        return self.heard_age if self.live(symbol) else None


class Rest:
    """Answers with ``books[symbol]``: a snapshot, an error, or a function that gives one."""

    def __init__(self) -> None:
        self.books: dict[str, Any] = {}
        self.asked: list[tuple[str, bool]] = []

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot | RowSnapshot:
        self.asked.append((symbol, background))
        await asyncio.sleep(0)
        answer = self.books[symbol]
        answer = answer() if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Snapshot | RowSnapshot)
        return answer


class Log(Observer):
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.took_: list[tuple[str, Verdict]] = []
        self.broken: list[tuple[str, str]] = []
        self.broken_at: list[float] = []
        self.synced_: list[tuple[str, Source]] = []
        self.audits: list[Audit] = []
        self.audited_at: list[float] = []
        self.failures: list[Exception] = []

    def took(self, symbol: str, verdict: Verdict) -> None:
        self.took_.append((symbol, verdict))

    def broke(self, symbol: str, reason: str) -> None:
        self.broken.append((symbol, reason))
        self.broken_at.append(self._clock())

    def synced(self, symbol: str, source: Source, after_ms: float) -> None:
        self.synced_.append((symbol, source))

    def audited(self, symbol: str, audit: Audit) -> None:
        self.audits.append(audit)
        self.audited_at.append(self._clock())

    def failed(self, symbol: str, error: Exception) -> None:
        self.failures.append(error)


class World:
    """A keeper among fakes. Its clock runs only when somebody sleeps."""

    def __init__(
        self,
        warm: Callable[[str, int], Awaitable[WarmStart | None]] | None = None,
        *,
        rest: Rest | None = None,
        **settings: Any,
    ):
        self.rest, self.log = rest or Rest(), Log(lambda: self.now)
        self.changes: dict[str, list[int]] = defaultdict(list)
        self.now = 0.0

        self.held = False
        """Whether sleeping takes no time."""

        async def sleep(seconds: float) -> None:
            if not self.held:
                self.now += seconds
            await asyncio.sleep(0)

        self.feed = Feed()
        self.keeper = Keeper(
            lambda take, lost: self.feed,
            self.rest,
            on_change=self.changed,
            warm=warm,
            observer=self.log,
            clock=lambda: self.now,
            sleep=sleep,
            rng=Random(1),
            **({"warm_poll_s": 0.01} | settings),
        )

    def changed(self, live: LiveBook) -> None:
        assert live.book is not None
        live.book.check()
        self.changes[live.symbol].append(live.book.update_id)

    async def until(self, condition: Callable[[], object]) -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"it never came true; {self.log.broken} {self.log.failures}")

    async def live(self, symbol: str = "X") -> LiveBook:
        await self.until(lambda: self.keeper.books[symbol].live)
        return self.keeper.books[symbol]


def diff(
    first: int, last: int, *, symbol: str = "X", bid: str = "10", quantity: str = "1", time: int = 0
) -> Diff:
    return Diff(symbol, first, last, time or last, [[bid, quantity]], [])


def snapshot(update_id: int, *, depth: int = 1, complete: bool = True) -> Snapshot:
    bids = [[f"{10 - n * 0.001:.3f}", "1"] for n in range(depth)]
    asks = [[f"{11 + n * 0.001:.3f}", "1"] for n in range(depth)]
    return Snapshot(update_id, bids, asks, complete, complete)


class Shelf:
    """A published file, as the store shows it: a version, and its content where it is new enough."""

    def __init__(self) -> None:
        self.epoch, self.update_id = 0, 0
        self.content: Snapshot | None = None
        self.wanted: list[int] = []

    def put(self, epoch: int, content: Snapshot) -> None:
        self.epoch, self.update_id, self.content = epoch, content.update_id, content

    async def __call__(self, symbol: str, wanted_id: int) -> WarmStart | None:
        self.wanted.append(wanted_id)
        if self.content is None:
            return None
        return WarmStart(self.epoch, self.update_id, self.content if self.update_id >= wanted_id else None)
