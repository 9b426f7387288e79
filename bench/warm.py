"""``python -m bench.warm``: how long a replica takes to have all books, and what it asks of the exchange.

*Warm*: one replica keeps and writes every symbol; another one joins, and is timed from the start of its
process until all its books are live. It is to find them in the store, so that the exchange is asked for
nothing but the list of symbols. *Cold*: replicas start together with an empty store, under the exchange's
default limit of 6,000 weight a minute; the exchange, the store and all replicas share this machine. What was
asked is counted between the replicas and the exchange. The last line is one line of JSON.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
from rich.console import Console
from rich.table import Table

from bench.parties import EXCHANGE_INFO_WEIGHT, Relay, Replica, simulator
from depthcast.exit import run
from depthcast.store.embedded import SeaweedFS

BUCKET: Final = "depthcast"
WAITS: Final = "books wait for the exchange's request weight"
_NO_LIMIT: Final = 10**9
_STATUS_EVERY_S: Final = 0.2
_GIVE_UP_S: Final = 600.0


class Scale(NamedTuple):
    """How much is measured: ``symbols`` are warm; ``cold_symbols`` start under ``cold_limit`` a minute."""

    symbols: int
    depth: int
    rate: float
    cold_symbols: int
    cold_limit: int
    cold_replicas: int


FULL: Final = Scale(symbols=200, depth=2_000, rate=2, cold_symbols=40, cold_limit=6_000, cold_replicas=2)
QUICK: Final = Scale(symbols=6, depth=300, rate=5, cold_symbols=4, cold_limit=6_000, cold_replicas=2)


class Warm(NamedTuple):
    """``seconds`` until all books were live, and until nine of ten were; ``weight`` beyond the list."""

    seconds: float
    most_s: float
    weight: int
    from_files: int
    first_s: float
    """How long the replica that was there before took, from the exchange alone and without a limit."""
    loop_late_ms: float


class Cold(NamedTuple):
    """``said_s``: how long it was said to take, ``said_at_s`` after the start; ``None``: nothing was said."""

    seconds: float
    snapshots: int
    most_a_minute: int
    refused: int
    said_s: float | None
    said_at_s: float | None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.warm", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few symbols: a check that it runs, not a figure"
    )
    for name, kind in Scale.__annotations__.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N")
    parser.add_argument("--limits", default="20,1000", help="files of each symbol (%(default)s)")
    parser.add_argument("--only", choices=("warm", "cold"))
    given = vars(parser.parse_args(argv))
    scale = QUICK if given["quick"] else FULL
    scale = scale._replace(**{name: given[name] for name in scale._fields if given[name] is not None})
    figures = asyncio.run(_measure(scale, given["limits"], given["only"]))
    print(json.dumps({"bench": "warm"} | {name: round(value, 3) for name, value in figures.items()}))
    return 0


async def _measure(scale: Scale, limits: str, only: str | None) -> dict[str, float]:
    console = Console()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        server = SeaweedFS(Path(folder), bucket=BUCKET)
        await asyncio.to_thread(server.start)
        try:
            environment = {**os.environ, **server.aws.to_env()}
            if only != "cold":
                figures |= _tell_warm(console, scale, limits, await _warm(scale, limits, environment))
            if only != "warm":
                figures |= _tell_cold(console, scale, await _cold(scale, environment))
        finally:
            await asyncio.to_thread(server.stop)
    return figures


# What is measured


async def _warm(scale: Scale, limits: str, environment: dict[str, str]) -> Warm:
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(
            simulator(
                f"--symbols={scale.symbols}",
                f"--depth={scale.depth}",
                f"--rate={scale.rate}",
                f"--weight-limit={_NO_LIMIT}",
                "--changes=10",
                "--history=5",
                "--uniform",
            )
        )
        relay = await stack.enter_async_context(Relay(exchange.rest_url))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        options = (f"--store-url=s3://{BUCKET}/warm", f"--limits={limits}")
        first = await Replica.start(
            "first", exchange, *options, rest_url=exchange.rest_url, environment=environment
        )
        stack.push_async_callback(first.stop)
        first_s, _ = await _all_live(first, session, scale.symbols)
        while not (await first.status(session))["ready"]:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(_STATUS_EVERY_S)
        second = await Replica.start(
            "second", exchange, *options, rest_url=relay.url, environment=environment
        )
        stack.push_async_callback(second.stop)
        seconds, most_s = await _all_live(second, session, scale.symbols)
        status = await second.status(session)
        sources = Counter(symbol["source"] for symbol in status["symbols"])
        return Warm(
            seconds, most_s, relay.weight - EXCHANGE_INFO_WEIGHT, sources["file"], first_s, await _lateness()
        )


async def _cold(scale: Scale, environment: dict[str, str]) -> Cold:
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(
            simulator(
                f"--symbols={scale.cold_symbols}",
                f"--depth={scale.depth}",
                f"--rate={scale.rate}",
                f"--weight-limit={scale.cold_limit}",
                "--changes=10",
                "--history=5",
                "--uniform",
            )
        )
        relay = await stack.enter_async_context(Relay(exchange.rest_url))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        replicas = []
        # Snapshots of 5,000 levels are the heaviest, and what the default limits ask for.
        options = (f"--store-url=s3://{BUCKET}/cold", "--limits=20,5000")
        for number in range(scale.cold_replicas):
            replica = await Replica.start(
                f"cold{number}", exchange, *options, rest_url=relay.url, environment=environment
            )
            stack.push_async_callback(replica.stop)
            replicas.append(replica)
        times = await asyncio.gather(*(_all_live(each, session, scale.cold_symbols) for each in replicas))
        said = [each.said(WAITS)[0] for each in replicas if each.said(WAITS)]
        slowest = max(said, key=lambda each: float(each[1]["about_s"]), default=None)
        return Cold(
            max(seconds for seconds, _ in times),
            relay.snapshots,
            max(relay.used.values()),
            relay.statuses[429] + relay.statuses[418],
            None if slowest is None else float(slowest[1]["about_s"]),
            None if slowest is None else slowest[0],
        )


async def _all_live(replica: Replica, session: aiohttp.ClientSession, symbols: int) -> tuple[float, float]:
    """Seconds from the start of the process until all books were live, and until nine of ten were."""
    most_s: float | None = None
    while True:
        status = await replica.status(session)
        elapsed_s = time.monotonic() - replica.started_at
        live = sum(symbol["state"] == "live" for symbol in status["symbols"])
        if most_s is None and live >= 0.9 * symbols:
            most_s = elapsed_s
        if live == symbols:
            return elapsed_s, most_s or elapsed_s
        if elapsed_s > _GIVE_UP_S:
            raise RuntimeError(f"{live} of {symbols} books were live after {elapsed_s:.0f} s")
        await asyncio.sleep(_STATUS_EVERY_S)


async def _lateness() -> float:
    """By how much this process's own timers are late, in the median: how busy the machine is."""
    late = []
    for _ in range(20):
        due = time.monotonic() + 0.05
        await asyncio.sleep(0.05)
        late.append(time.monotonic() - due)
    return sorted(late)[10] * 1000


# How it is told


def _tell_warm(console: Console, scale: Scale, limits: str, warm: Warm) -> dict[str, float]:
    table = Table(title=f"A replica joins one that writes {scale.symbols} symbols, files of {limits} levels")
    for column in ("all live", "9 of 10", "from files", "weight beyond the list", "the first replica took"):
        table.add_column(column, justify="right")
    table.add_row(
        f"{warm.seconds:.1f} s",
        f"{warm.most_s:.1f} s",
        f"{warm.from_files} of {scale.symbols}",
        str(warm.weight),
        f"{warm.first_s:.1f} s",
    )
    console.print(table)
    console.print(f"The list of symbols weighs {EXCHANGE_INFO_WEIGHT}.")
    return {
        "warm_symbols": scale.symbols,
        "warm_s": warm.seconds,
        "warm_9_of_10_s": warm.most_s,
        "warm_weight": warm.weight,
        "warm_from_files": warm.from_files,
        "first_s": warm.first_s,
        "timers_late_ms": warm.loop_late_ms,
    }


def _tell_cold(console: Console, scale: Scale, cold: Cold) -> dict[str, float]:
    table = Table(
        title=f"{scale.cold_replicas} replicas start with an empty store: {scale.cold_symbols} symbols,"
        f" {scale.cold_limit} weight a minute"
    )
    for column in ("all live", "said to take", "snapshots", "weight in the fullest minute", "refused"):
        table.add_column(column, justify="right")
    said = "nothing said"
    if cold.said_s is not None and cold.said_at_s is not None:
        said = f"{cold.said_s:.0f} s, after {cold.said_at_s:.0f} s"
    table.add_row(
        f"{cold.seconds:.1f} s", said, str(cold.snapshots), str(cold.most_a_minute), str(cold.refused)
    )
    console.print(table)
    figures: dict[str, float] = {
        "cold_symbols": scale.cold_symbols,
        "cold_replicas": scale.cold_replicas,
        "cold_s": cold.seconds,
        "cold_snapshots": cold.snapshots,
        "cold_most_weight_a_minute": cold.most_a_minute,
        "cold_refused": cold.refused,
    }
    if cold.said_s is not None and cold.said_at_s is not None:
        figures |= {"cold_said_s": cold.said_s, "cold_said_at_s": cold.said_at_s}
    return figures


if __name__ == "__main__":
    run(main)
