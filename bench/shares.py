"""``python -m bench.shares``: what each of N replicas spends where two hold each symbol, and what moves.

Two replicas with ``redundancy`` 2 hold every symbol; then two more join, and each of the four should hold
half of the symbols and spend about half. Measured for each process: symbols held, processor time, memory, and
writes, with what an updater of a single symbol spends as the floor. Then one joins and one leaves while every
file is read all the time: which symbols moved, and how old files got. The exchange, the store and the
replicas share this machine. The last line is one line of JSON.
"""

import argparse
import asyncio
import json
import tempfile
import time
from asyncio import TaskGroup
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import mean
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from rich.console import Console
from rich.table import Table

from depthcast.exit import run
from simulator.app import Simulator
from simulator.settings import Settings as ExchangeSettings
from soak.ages import Marks, spread
from soak.auditor import Auditor, File
from soak.counters import rss_mb
from soak.fleet import Fleet
from soak.reader import Reader
from soak.run import BUCKET, Store, Told

REDUNDANCY: Final = 2
NAMES: Final = ("a", "b", "c", "d")
FLOOR: Final = "floor"
_SETTLED_WITHIN_S: Final = 180.0


class Scale(NamedTuple):
    """How much is measured; ``seconds`` a window."""

    symbols: int
    depth: int
    rate: float
    limits: tuple[int, ...]
    cadence: str
    seconds: float
    calm_s: float
    """After the last symbol moved, until what follows is measured."""


FULL: Final = Scale(24, 1_500, 10, (20, 1000), "20:500,1000:1000", 30, 5)
QUICK: Final = Scale(6, 300, 5, (5, 100), "100:500", 1, 0.5)


class Spent(NamedTuple):
    """What one process held and spent: ``cpu`` in percent of a core, ``puts`` a second."""

    held: int
    cpu: float
    rss_mb: float
    puts: float


class Move(NamedTuple):
    """A replica joined or left: how many places of a symbol at a replica came to be, how many had to, and
    the oldest that a file was seen meanwhile."""

    moved: int
    had_to: int
    oldest_s: float


class Bench:
    """One run: the parts that stay up all the time."""

    def __init__(self, scale: Scale, sim: Simulator, fleet: Fleet, auditor: Auditor) -> None:
        self.scale = scale
        self.sim = sim
        self.fleet = fleet
        self.auditor = auditor
        self.session: aiohttp.ClientSession

    async def held(self) -> dict[str, frozenset[str]]:
        """Who holds which symbols, of those that run."""
        found: dict[str, frozenset[str]] = {}
        for name, replica in self.fleet.replicas.items():
            status = await replica.status(self.session) if replica.pid is not None else None
            if status is not None and name != FLOOR:
                found[name] = frozenset(each["symbol"] for each in status["symbols"])
        return found

    async def settled(self, replicas: int) -> dict[str, frozenset[str]]:
        """Wait until so many replicas hold each symbol as often as wanted and no more."""
        end = time.monotonic() + _SETTLED_WITHIN_S
        wanted = self.scale.symbols * min(REDUNDANCY, replicas)
        while True:
            held = await self.held()
            if len(held) == replicas and sum(map(len, held.values())) == wanted:
                await asyncio.sleep(self.scale.calm_s)
                return held
            if time.monotonic() > end:
                raise RuntimeError(f"symbols did not settle: { ({n: len(s) for n, s in held.items()}) }")
            await asyncio.sleep(0.2)

    async def spent(self, names: Sequence[str]) -> dict[str, Spent]:
        """What each spends over one window."""
        cpu, puts = self.fleet.cpu_s(), self._puts()
        begun = time.monotonic()
        await asyncio.sleep(self.scale.seconds)
        took = time.monotonic() - begun
        cpu_now, puts_now, held = self.fleet.cpu_s(), self._puts(), await self.held()
        return {
            name: Spent(
                len(held.get(name, ())),
                100 * (cpu_now[name] - cpu[name]) / took,
                rss_mb(self.fleet.replicas[name].pid or 0),
                (puts_now[name] - puts[name]) / took,
            )
            for name in names
        }

    def _puts(self) -> dict[str, int]:
        return {name: each.store.counts["file_puts"] for name, each in self.fleet.replicas.items()}

    async def join(self, name: str, before: Mapping[str, frozenset[str]]) -> Move:
        begun = time.monotonic()
        await self.fleet.start([name])
        after = await self.settled(len(before) + 1)
        return self._move(before, after, len(after[name]), begun)

    async def leave(self, name: str, before: Mapping[str, frozenset[str]]) -> Move:
        begun = time.monotonic()
        if not await self.fleet.replicas[name].stop():
            raise RuntimeError(f"{name} did not stop in order")
        after = await self.settled(len(before) - 1)
        return self._move(before, after, len(before[name]), begun)

    def _move(
        self,
        before: Mapping[str, frozenset[str]],
        after: Mapping[str, frozenset[str]],
        had_to: int,
        begun: float,
    ) -> Move:
        moved = sum(len(symbols - before.get(name, frozenset())) for name, symbols in after.items())
        ages = [sample.age_s for sample in self.auditor.samples.between(begun, time.monotonic())]
        return Move(moved, had_to, spread(ages).most)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.shares", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few symbols: a check that it runs, not a figure"
    )
    parser.add_argument("--symbols", type=int, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="X", help="how long a window is")
    given = parser.parse_args(argv)
    scale = QUICK if given.quick else FULL
    scale = scale._replace(symbols=given.symbols or scale.symbols, seconds=given.seconds or scale.seconds)
    figures = asyncio.run(_measure(scale))
    print(json.dumps({"bench": "shares"} | {name: round(value, 3) for name, value in figures.items()}))
    return 0


async def _measure(scale: Scale) -> dict[str, float]:
    marks = Marks()
    sim = Simulator(
        ExchangeSettings(
            symbols=scale.symbols,
            varied=False,
            depth=scale.depth,
            rate=scale.rate,
            weight_limit=10_000_000,
            history_s=60,
        )
    )
    told = Told(marks, time.monotonic)
    for instrument in sim.exchange.instruments.values():
        instrument.listeners[told] = None
    files = [File(symbol, limit) for limit in scale.limits for symbol in sim.exchange.instruments]
    auditor = Auditor(files, sim.truth, marks, clock=time.monotonic)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        store = await stack.enter_async_context(Store(folder / "store"))
        await stack.enter_async_context(sim)
        fleet = await stack.enter_async_context(
            Fleet(
                NAMES,
                argv=_argv(scale, sim, "all"),
                env=store.server.aws.to_env(),
                bucket=BUCKET,
                store_port=store.port,
                feed_port=urlsplit(sim.ws_url).port or 0,
                logs=folder / "logs",
            )
        )
        bench = Bench(scale, sim, fleet, auditor)
        bench.session = await stack.enter_async_context(aiohttp.ClientSession())

        floor = await _floor(bench, store, folder)
        await fleet.start(NAMES[:2])
        group = await stack.enter_async_context(TaskGroup())
        reading = group.create_task(Reader(f"{store.server.aws.endpoint}/{BUCKET}", auditor).run())
        two_held = await bench.settled(2)
        two = await bench.spent(NAMES[:2])
        third = await bench.join(NAMES[2], two_held)
        three_held = await bench.held()
        fourth = await bench.join(NAMES[3], three_held)
        four = await bench.spent(NAMES)
        left = await bench.leave(NAMES[0], await bench.held())
        reading.cancel()
        if auditor.violation_count:
            raise RuntimeError(f"files were wrong: {list(auditor.violations)[:3]}")
    return _tell(scale, floor, two, four, (third, fourth, left))


def _argv(scale: Scale, sim: Simulator, symbols: str) -> list[str]:
    return [
        *("--store-url", f"s3://{BUCKET}", "--symbols", symbols, "--rest-url", sim.rest_url),
        *("--limits", ",".join(map(str, scale.limits)), "--cadence", scale.cadence),
        *("--redundancy", str(REDUNDANCY), "--same-levels-ms", "500"),
    ]


async def _floor(bench: Bench, store: Store, folder: Path) -> Spent:
    """What an updater of one symbol spends, in a place of its own."""
    symbol = next(iter(bench.sim.exchange.instruments))
    argv = [*_argv(bench.scale, bench.sim, symbol), "--store-url", f"s3://{BUCKET}/{FLOOR}"]
    async with Fleet(
        [FLOOR],
        argv=argv,
        env=store.server.aws.to_env(),
        bucket=BUCKET,
        store_port=store.port,
        feed_port=urlsplit(bench.sim.ws_url).port or 0,
        logs=folder / "logs",
    ) as fleet:
        await fleet.start([FLOOR])
        await asyncio.sleep(bench.scale.calm_s)
        lone = Bench(bench.scale._replace(seconds=bench.scale.seconds / 4), bench.sim, fleet, bench.auditor)
        lone.session = bench.session
        return (await lone.spent([FLOOR]))[FLOOR]


def _tell(
    scale: Scale, floor: Spent, two: Mapping[str, Spent], four: Mapping[str, Spent], moves: Sequence[Move]
) -> dict[str, float]:
    console = Console()
    table = Table(
        title=f"{scale.symbols} symbols at {scale.rate:g} updates a second, each held by two replicas"
    )
    for column in ("replica", "symbols", "CPU, % of a core", "memory, MB", "files/s"):
        table.add_column(column, justify="left" if column == "replica" else "right")
    rows = [("one symbol only", floor), *((f"{name} of 2", each) for name, each in two.items())]
    rows += [(f"{name} of 4", each) for name, each in four.items()]
    for title, each in rows:
        table.add_row(title, str(each.held or 1), f"{each.cpu:.1f}", f"{each.rss_mb:.0f}", f"{each.puts:.1f}")
    console.print(table)
    figures: dict[str, float] = {"symbols": scale.symbols}
    for member in ("held", "cpu", "rss_mb", "puts"):
        before, after = (mean(getattr(each, member) for each in spent.values()) for spent in (two, four))
        base = getattr(floor, member)
        figures |= {f"{member}_of_2": before, f"{member}_of_4": after, f"{member}_ratio": after / before}
        if member in ("cpu", "rss_mb"):
            figures[f"{member}_ratio_above_floor"] = (after - base) / (before - base)
    for title, move in zip(("third joins", "fourth joins", "one leaves"), moves, strict=True):
        console.print(
            f"{title}: {move.moved} places moved, {move.had_to} had to; the oldest file was"
            f" {move.oldest_s:.2f} s old"
        )
        name = title.replace(" ", "_")
        figures |= {
            f"{name}_moved": move.moved,
            f"{name}_had_to": move.had_to,
            f"{name}_oldest_s": move.oldest_s,
        }
    return figures


if __name__ == "__main__":
    run(main)
