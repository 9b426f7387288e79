"""``python -m bench.latency``: from a message of the exchange's to a file in the store, for each venue.

For each venue that can be published, one after the other: its simulator in a process of its own, an updater's
replica in this one, and an embedded SeaweedFS. The time runs from when a frame is read off its socket to when
the store has confirmed the smallest file that holds it; every change is to be written (``same_levels_ms`` 0).
A version that is overtaken while the one before it is written is not written, and does not count. What the
same replica needs to a store that takes everything at once is beside it: that part is the updater's own.

The last line is one line of JSON, in milliseconds.
"""

import argparse
import asyncio
import base64
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from depthcast import logs
from depthcast.errors import BadFile, BadKey, MalformedFrame
from depthcast.exit import run
from depthcast.feed import FeedLimits
from depthcast.feed.websocket import Connect, Socket, connector
from depthcast.files import parse_key, version_of
from depthcast.keeper import LiveBook
from depthcast.store import Outcome, PutResult, Store
from depthcast.store.embedded import SeaweedFS
from depthcast.store.memory import MemoryStore
from depthcast.store.s3 import S3Store
from depthcast.venues import Venue
from depthcast.venues.registry import VENUES
from updater.replica import Replica
from updater.settings import UpdaterSettings
from updater.stream_key import read_stream_key

LEFT_OUT: Final = frozenset({"binanceus"})
"""It runs Binance's engine, and is simulated by it."""

BUCKET: Final = "depthcast"
KEY: Final = f"0123456789abcdef\npassphrase\n{base64.b64encode(b'a secret of some length').decode()}\n"
WITHIN_S: Final = 60.0
REMEMBERED: Final = 100_000

_READY: Final = re.compile(r"simulator ready: rest=(\S+) ws=(\S+) ")


class Scale(NamedTuple):
    """How much is measured."""

    symbols: int
    settle_s: float
    seconds: float


FULL: Final = Scale(symbols=8, settle_s=2.0, seconds=10.0)
QUICK: Final = Scale(symbols=2, settle_s=0.2, seconds=1.0)


class Journey:
    """When messages came, when books had them, and how long it took until files did."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}
        """When the newest frame of a symbol was read."""
        self.versions: dict[tuple[str, int], float] = {}
        self.late_ms: list[float] = []
        self.counting = False

    def changed(self, live: LiveBook) -> None:
        came = self.came.get(live.symbol)
        if came is not None and live.book is not None and len(self.versions) < REMEMBERED:
            self.versions.setdefault((live.symbol, live.book.update_id), came)

    def stored(self, symbol: str, update_id: int) -> None:
        came = self.versions.get((symbol, update_id))
        if came is not None and self.counting:
            self.late_ms.append((time.perf_counter() - came) * 1000)


class Noting:
    """A socket that notes when each symbol's frame was read."""

    def __init__(self, inner: Socket, venue: Venue, journey: Journey) -> None:
        self._inner = inner
        self._venue = venue
        self._came = journey.came
        self.send = inner.send
        self.ping = inner.ping
        self.close = inner.close
        self.abort = inner.abort

    async def recv(self) -> bytes:
        frame = await self._inner.recv()
        now = time.perf_counter()
        try:
            symbol = getattr(self._venue.parse_frame(frame), "symbol", None)
        except MalformedFrame:
            symbol = None
        if symbol is not None:
            self._came[symbol] = now
        return frame


class Watching:
    """A store that tells when a symbol's smallest file was won."""

    def __init__(self, inner: Store, limit: int, journey: Journey) -> None:
        self._inner = inner
        self._limit = limit
        self._journey = journey

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def put_if(self, key: str, body: bytes, **more: Any) -> PutResult:
        result = await self._inner.put_if(key, body, **more)
        if result.outcome is Outcome.WON:
            try:
                symbol, limit = parse_key(key)
                version = version_of(key, body, more.get("metadata") or {})
            except (BadFile, BadKey):
                return result  # a document, not a book
            if limit == self._limit:
                self._journey.stored(symbol, version.update_id)
        return result


class Travelling(Replica):
    """A replica whose books' changes are noted."""

    def __init__(self, journey: Journey, *args: Any, **more: Any) -> None:
        self._journey = journey
        super().__init__(*args, **more)

    def _changed(self, live: LiveBook) -> None:
        self._journey.changed(live)
        super()._changed(live)


async def measure(
    venue: str, rest_url: str, ws_url: str, key: Path, store: Store, scale: Scale
) -> list[float]:
    """How long messages of a venue took to ``store``, in ms, sorted."""
    argv = ["--venue", venue, "--symbols", "all", "--rest-url", rest_url, "--ws-url", ws_url]
    argv += ["--same-levels-ms", "0", "--replica", "bench"]
    if VENUES[venue].keys is not None:
        argv += ["--venue-key-file", str(key)]
    settings = UpdaterSettings.load(argv, {})
    journey = Journey()
    stream_key = read_stream_key(settings, {})
    made = settings.make_venue(key=stream_key, wall_ms=lambda: time.time_ns() // 1_000_000)
    connect = noting(connector(made, FeedLimits.of(made)), made, journey)
    replica = Travelling(
        journey,
        settings,
        Watching(store, settings.limits[0], journey),
        prove=_taken_on_trust,
        stream_key=stream_key,
        connect=connect,
    )
    running = asyncio.create_task(replica.run())
    try:
        async with asyncio.timeout(WITHIN_S):
            while not replica.report.ready:  # no event tells it
                await asyncio.sleep(0.05)
                if running.done():
                    await running
        await asyncio.sleep(scale.settle_s)
        journey.counting = True
        await asyncio.sleep(scale.seconds)
        journey.counting = False
    finally:
        replica.stop()
        await running
    return sorted(journey.late_ms)


def noting(connect: Connect, venue: Venue, journey: Journey) -> Connect:
    """Sockets that note when frames are read."""

    async def opened() -> Noting:
        return Noting(await connect(), venue, journey)

    return opened


async def _taken_on_trust(_store: Store) -> None:
    """Neither store is in question here."""


@contextmanager
def exchange(venue: str, key: Path, symbols: int) -> Iterator[tuple[str, str]]:
    """A venue's simulator as a child, with no limit to what one may ask of it; its urls."""
    command = [sys.executable, "-m", "simulator", "--listen=127.0.0.1:0", f"--venue={venue}"]
    command += [f"--symbols={symbols}", "--weight-limit=100000"]
    if VENUES[venue].keys is not None:
        command.append(f"--account={key}")
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        ready = _READY.match(child.stdout.readline())
        if ready is None:
            raise RuntimeError(f"the simulator of {venue} did not start")
        yield ready[1], ready[2]
    finally:
        child.terminate()
        child.wait(10)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a check that it runs, not a figure")
    parser.add_argument("--venue", action="append", choices=[*VENUES], help="these alone; may be repeated")
    options = parser.parse_args(argv)
    scale = QUICK if options.quick else FULL
    venues = options.venue or [venue for venue in VENUES if venue not in LEFT_OUT]
    logs.configure(level="error")
    table = Table(title=f"{scale.symbols} symbols: from a message to the smallest file, ms")
    for column in ("venue", "store", "files", "p50", "p99", "longest"):
        table.add_column(column, justify="left" if column in ("venue", "store") else "right")
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        SeaweedFS(Path(folder) / "store", bucket=BUCKET) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        key = Path(folder) / "key"
        key.write_text(KEY)
        for venue in venues:
            for name in ("seaweedfs", "memory"):
                store: Store = S3Store(BUCKET, aws=server.aws) if name == "seaweedfs" else MemoryStore()
                with exchange(venue, key, scale.symbols) as (rest_url, ws_url):
                    late_ms = runner.run(measure(venue, rest_url, ws_url, key, store, scale))
                runner.run(store.close())
                if not late_ms:
                    raise RuntimeError(f"no file of {venue} was written")
                shown = [quantile(late_ms, share) for share in (0.5, 0.99, 1.0)]
                table.add_row(venue, name, f"{len(late_ms):,}", *(f"{each:,.1f}" for each in shown))
                for share, each in zip(("p50", "p99", "longest"), shown, strict=True):
                    figures[f"{venue}_{name}_{share}_ms"] = round(each, 2)
    Console().print(table)
    print(json.dumps({"bench": "latency"} | figures))
    return 0


if __name__ == "__main__":
    run(main)
