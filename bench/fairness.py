"""``python -m bench.fairness``: how long 99 symbols wait for one that is very busy, in turns and without.

A feed, books and publishers as an updater has them are given frames by a clock. 99 symbols have ten diffs a
second of 30 changes each; the busy one has 100 diffs of 1,076 changes at once, every second, all on one
socket. Half way its book is built anew from a snapshot that 200 such diffs have to be applied to. A frame's
wait runs from when it was due to when its book had it (*applied*), and to when a round of its publisher had
rendered what was to be written (*rendered*), to a store that takes everything at once. So it holds what the
loop, the collector of garbage and the other symbols took.

The same is done with a dispatcher whose slices have no end, which does everything where it comes up, and with
Python's own times for collecting garbage. What a loop that does nothing else is late on this machine is told
beside it: of that much nobody but the machine is to blame. The last line is one line of JSON.
"""

import argparse
import asyncio
import gc
import json
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from bench.flow import Flow, synthetic
from depthcast import logs
from depthcast.dispatch import QUANTUM, Call, Dispatcher, Slices, Work
from depthcast.events import Diff, Snapshot
from depthcast.exit import run
from depthcast.feed import Feed
from depthcast.garbage import Garbage
from depthcast.keeper import Keeper, LiveBook
from depthcast.store.memory import MemoryStore
from depthcast.venues.binance import Binance
from updater.metrics import Metrics
from updater.publisher import Publisher

BUSY: Final = "BUSYUSDT"
RATE: Final = 10
BURST: Final = 100
LARGE: Final = 1_076
SMALL: Final = 30
FLOWS: Final = 5
BOUND_MS: Final = 20.0
"""What none of the others may wait behind the busy one."""

NEVER_ENDING: Final = Slices(float("inf"), float("inf"), float("inf"))


class Scale(NamedTuple):
    """How much is measured."""

    quiet: int
    burst: int
    seconds: int
    idle_s: float


FULL: Final = Scale(quiet=99, burst=BURST, seconds=12, idle_s=5.0)
QUICK: Final = Scale(quiet=4, burst=3, seconds=2, idle_s=0.1)


class Frame(NamedTuple):
    """A frame, due so many seconds after the beginning."""

    due_s: float
    symbol: str
    last: int
    payload: bytes


class Plan(NamedTuple):
    """What is sent, by time, and the snapshots that books begin from."""

    frames: list[Frame]
    snapshots: dict[str, Snapshot]
    resync_s: float


def plan(scale: Scale) -> Plan:
    """The frames of all symbols: the quiet ones' spread over a tenth of a second, the busy one's at once."""
    small = [synthetic(seed=seed, diffs=scale.seconds * RATE, changes=SMALL) for seed in range(FLOWS)]
    large = synthetic(seed=99, diffs=scale.seconds * scale.burst, changes=LARGE)
    frames: list[Frame] = []
    snapshots = {BUSY: large.snapshot}
    for number in range(scale.quiet):
        symbol, flow = f"QUIET{number}USDT", small[number % FLOWS]
        snapshots[symbol] = flow.snapshot
        offset_s = number / scale.quiet / RATE
        frames += _frames(symbol, flow, _evenly(offset_s))
    # Between two frames of a quiet symbol's, and not on the second.
    frames += _frames(BUSY, large, lambda at: at // scale.burst + 0.513)
    # A little before a burst; the snapshot comes three bursts later.
    return Plan(sorted(frames), snapshots, scale.seconds // 2 + 0.45)


def _evenly(offset_s: float) -> Callable[[int], float]:
    return lambda at: at / RATE + offset_s


def _frames(symbol: str, flow: Flow, due_s: Callable[[int], float]) -> Iterable[Frame]:
    for at, diff in enumerate(flow.diffs):
        data = {
            "e": "depthUpdate",
            "E": diff.event_time_ms,
            "s": symbol,
            "U": diff.first,
            "u": diff.last,
            "b": diff.bids,
            "a": diff.asks,
        }
        stream = f"{symbol.lower()}@depth@100ms"
        yield Frame(due_s(at), symbol, diff.last, orjson.dumps({"stream": stream, "data": data}))


class Wire:
    """A socket whose frames come by the clock, however late the loop is."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._arrival = asyncio.Event()

    def push(self, payload: bytes) -> None:
        self._frames.append(payload)
        self._arrival.set()

    async def recv(self) -> bytes:
        while not self._frames:
            self._arrival.clear()
            await self._arrival.wait()
        return self._frames.popleft()

    async def send(self, text: str) -> None:
        self.push(orjson.dumps({"result": None, "id": orjson.loads(text)["id"]}))

    async def ping(self) -> None:
        """The other end is there."""

    async def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nothing is open."""


class Snapshots:
    """The exchange's REST interface, as far as books are begun from it."""

    def __init__(self, snapshots: dict[str, Snapshot], bursts_s: float) -> None:
        self._snapshots = snapshots
        self._bursts_s = bursts_s
        self._keeper: Keeper | None = None
        self._given: set[str] = set()

    def of(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> Snapshot:
        """The first one at once; a later one when much was buffered, of where that begins."""
        if symbol not in self._given:
            self._given.add(symbol)
            return self._snapshots[symbol]
        await asyncio.sleep(self._bursts_s)
        assert self._keeper is not None
        return self._snapshots[symbol]._replace(update_id=self._keeper.books[symbol].sync.wanted_id)


@dataclass
class Waits:
    """By how many ms frames were late, of the quiet symbols and of the busy one."""

    due: dict[tuple[str, int], float]
    applied: list[float] = field(default_factory=list)
    rendered: list[float] = field(default_factory=list)
    of_busy: list[float] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)

    def changed(self, live: LiveBook) -> None:
        """A book has a diff more."""
        late_ms = self._late_ms(live)
        if late_ms is not None:
            (self.of_busy if live.symbol == BUSY else self.applied).append(late_ms)

    def began(self, live: LiveBook) -> None:
        """A round of its publisher has begun what is due."""
        late_ms = self._late_ms(live)
        if late_ms is None or live.symbol == BUSY or live.book is None:
            return
        newest = live.symbol, live.book.update_id
        if newest not in self.seen:
            self.seen.add(newest)
            self.rendered.append(late_ms)

    def _late_ms(self, live: LiveBook) -> float | None:
        due = self.due.get((live.symbol, live.book.update_id)) if live.book is not None else None
        return None if due is None else (time.perf_counter() - due) * 1000


class Watched(Dispatcher):
    """Notes when the first round of a publisher's has come that has a book's newest diff."""

    def __init__(self, waits: Waits, slices: Slices) -> None:
        super().__init__(slices=slices)
        self._waits = waits
        self.keeper: Keeper | None = None

    async def run(self, work: Work, key: Hashable, call: Call, what: Any, *, cost: int = QUANTUM) -> None:
        def done(what: Any) -> None:
            call(what)
            assert isinstance(key, Publisher)
            assert self.keeper is not None
            self._waits.began(self.keeper.books[key.symbol])

        await super().run(work, key, done, what, cost=cost)


async def measure(plan: Plan, slices: Slices, *, collecting: bool) -> Waits:
    """Send all of ``plan``; how long its frames waited. ``collecting``: garbage, at chosen times."""
    waits = Waits({})
    dispatcher, metrics = Watched(waits, slices), Metrics()
    wire, shelf = Wire(), MemoryStore()
    rest = Snapshots(plan.snapshots, 2.2)

    async def connect() -> Wire:
        return wire

    def make_feed(take: Callable[[Diff], None], lost: Callable[[Sequence[str]], None]) -> Feed:
        return Feed(
            Binance(),
            on_diff=take,
            on_error=metrics.feed_error,
            on_connection_lost=lost,
            connect=connect,
            dispatcher=dispatcher,
        )

    publishers: dict[str, Publisher] = {}

    def changed(live: LiveBook) -> None:
        waits.changed(live)
        if live.symbol in publishers:
            publishers[live.symbol].wake()

    keeper = Keeper(make_feed, rest, on_change=changed, observer=metrics, dispatcher=dispatcher)
    rest.of(keeper)
    dispatcher.keeper = keeper
    assert isinstance(keeper.feed, Feed)
    keeper.subscribe(plan.snapshots)

    async def confirm(symbol: str) -> int:
        raise AssertionError(f"{symbol}: nobody else writes")

    for symbol, live in keeper.books.items():
        publishers[symbol] = Publisher(
            live,
            shelf,
            replica="bench",
            observer=metrics,
            on_newer_epoch=lambda _symbol, _epoch: None,
            confirm=confirm,
            dispatcher=dispatcher,
        )
    working = [
        asyncio.create_task(work)
        for work in (
            keeper.feed.run(),
            keeper.run(),
            *([Garbage(full_every_s=3600.0).run()] if collecting else []),
            *(publisher.run() for publisher in publishers.values()),
        )
    ]
    try:
        async with asyncio.timeout(60.0):
            while not all(live.live for live in keeper.books.values()):  # noqa: ASYNC110 # no event tells it
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        gc.collect()
        begin = time.perf_counter() + 0.2
        waits.due.update({(frame.symbol, frame.last): begin + frame.due_s for frame in plan.frames})
        resync_at: float | None = begin + plan.resync_s
        frames = deque(plan.frames)
        while frames:
            now = time.perf_counter()
            while frames and begin + frames[0].due_s <= now:
                wire.push(frames.popleft().payload)
            if resync_at is not None and now >= resync_at:
                keeper.resync(BUSY, "bench", rest_only=False)
                resync_at = None
            await asyncio.sleep(0.0005)
        await asyncio.sleep(0.5)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    return waits


async def idle(seconds: float) -> list[float]:
    """By how many ms a loop is late that does nothing but look at the clock every other millisecond."""
    late_ms: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await asyncio.sleep(0.002)
        # The loop's timers may be early by as much as they are coarse.
        late_ms.append(max(0.0, (time.perf_counter() - began - 0.002) * 1000))
    return late_ms


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a check that it runs, not a figure")
    scale = QUICK if parser.parse_args(argv).quick else FULL
    logs.configure(level="error")
    planned = plan(scale)
    console = Console()
    table = Table(
        title=f"{scale.quiet} symbols beside one with {scale.burst} diffs of {LARGE:,} changes at once:"
        " how long a frame waits, ms"
    )
    for column in ("way", "until", "p50", "p99", "p99.9", "longest"):
        table.add_column(column, justify="left" if column in ("way", "until") else "right")
    figures: dict[str, float] = {}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        late_ms = runner.run(idle(scale.idle_s))
    figures["idle_p99_ms"] = round(quantile(late_ms, 0.99), 2)
    figures["idle_longest_ms"] = round(max(late_ms), 2)
    for way, slices, collecting in (("at once", NEVER_ENDING, False), ("in turns", Slices(), True)):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            waits = runner.run(measure(planned, slices, collecting=collecting))
        beyond = sum(each > BOUND_MS for each in waits.applied)
        figures[f"{way}_applied_beyond_bound".replace(" ", "_")] = beyond
        for name, late_ms in (
            ("applied", waits.applied),
            ("rendered", waits.rendered),
            ("applied, busy", waits.of_busy),
        ):
            shown = [quantile(late_ms, share) for share in (0.5, 0.99, 0.999, 1.0)]
            table.add_row(way, name, *(f"{each:,.1f}" for each in shown))
            key = f"{way}_{name}".replace(", ", "_").replace(" ", "_")
            for share, each in zip(("p50", "p99", "p999", "longest"), shown, strict=True):
                figures[f"{key}_{share}_ms"] = round(each, 2)
    for name in ("applied", "rendered"):
        figures[f"{name}_longest_times_shorter"] = round(
            figures[f"at_once_{name}_longest_ms"] / figures[f"in_turns_{name}_longest_ms"], 1
        )
    console.print(table)
    console.print(
        f"A loop with nothing to do is late by {figures['idle_p99_ms']:.1f} ms here (p99), and by"
        f" {figures['idle_longest_ms']:.1f} ms at most."
    )
    longest_ms = figures["in_turns_applied_longest_ms"]
    console.print(
        f"In turns no frame of the others waited longer than {longest_ms:.1f} ms until it was applied;"
        f" the bound is {BOUND_MS:.0f} ms."
    )
    print(json.dumps({"bench": "fairness"} | figures))
    return 0


def quantile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    run(main)
