"""From the command line to the exit status of ``depthcast fleet``: once or live, for people or machines."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Final

import orjson
from rich.console import Console, Group
from rich.live import Live

from depthcast.cli.fleet.overview import Overview
from depthcast.cli.fleet.screen import Screen
from depthcast.cli.fleet.settings import FleetSettings
from depthcast.cli.fleet.watch import Watch
from depthcast.cli.settings import own_variables
from depthcast.errors import BadFile
from depthcast.files import SCHEMES
from depthcast.logs import get_logger

ABOUT: Final = (
    "Show the replicas that write to a store and the symbols they hold, live, as their heartbeats tell: who "
    "writes what, who stands by, lag, takeovers, certain depth, request weight. Only reads. Where standard "
    "output is no terminal it is shown once. One look takes two to four seconds: the living are told from "
    "the dead by their beats. Exit status with --once: 1 where no replica of a venue lives."
)
ONCE_EVERY_S: Final = 0.5
ONCE_LONGER_S: Final = 1.0
"""So much longer it looks once that is known: a beat, for what lasts no longer than that is no trouble."""
ONCE_WITHIN_S: Final = 10.0
"""How long ``--once`` looks at most, where replicas come faster than they can be judged."""
PIPED_CELLS: Final = 200
"""How wide a table is that goes to a file or a pipe."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_log = get_logger("fleet")


def main(argv: Sequence[str]) -> int:
    """Show it; the exit status. Raises :class:`~depthcast.errors.DepthcastError`."""
    env = own_variables(FleetSettings, os.environ)
    settings = FleetSettings.load(argv, env, program="depthcast fleet", about=ABOUT)
    settings.configure_logs()
    with suppress(BrokenPipeError):  # nobody reads any more, as after `depthcast fleet --json | head`
        return asyncio.run(show(settings))
    return 0


async def show(settings: FleetSettings) -> int:
    """Show it on this process's standard output until a signal, or once; the exit status."""
    console = Console(highlight=False)
    live = sys.stdout.isatty() and not console.is_dumb_terminal
    store = settings.open_store()
    watches = [
        Watch(
            store,
            scheme=SCHEMES[name],
            symbols=settings.symbols,
            timeout_s=settings.timeout_s,
            on_damaged=_ignore if live else _report,
        )
        for name in settings.venue
    ]
    try:
        if settings.once or not (live or settings.json):
            every_s = min(settings.every_ms / 1000, ONCE_EVERY_S)
            fleets = await asyncio.gather(*(once(watch, every_s=every_s) for watch in watches))
            width = console.width if sys.stdout.isatty() else max(console.width, PIPED_CELLS)
            for seen in fleets:
                if settings.json:
                    print(document(seen, indent=True))
                else:
                    _print(console, seen, width)
            return 0 if all(seen.living for seen in fleets) else 1
        await _until_signal(
            _lines(watches, settings.every_ms / 1000)
            if settings.json
            else _screen(watches, settings.every_ms / 1000, console)
        )
        return 0
    finally:
        await store.close()


async def once(
    watch: Watch,
    *,
    every_s: float = ONCE_EVERY_S,
    longer_s: float = ONCE_LONGER_S,
    within_s: float = ONCE_WITHIN_S,
    clock: Callable[[], float] = time.monotonic,
) -> Overview:
    """Read until the living are known from the dead, and a little longer; return the last reading."""
    until = clock() + within_s
    known = False
    while True:
        seen = await watch.read()
        if clock() >= until or not seen.replicas:
            return seen
        if seen.settled and not known:
            known, until = True, min(until, clock() + longer_s)
        await asyncio.sleep(every_s)


def document(seen: Overview, *, indent: bool = False) -> str:
    """An overview as JSON; its members are those of :class:`~depthcast.cli.fleet.overview.Overview`."""
    moment = {"time_ms": time.time_ns() // 1_000_000, "living": seen.living}
    return orjson.dumps(moment | asdict(seen), option=orjson.OPT_INDENT_2 if indent else 0).decode()


async def _readings(watches: Sequence[Watch], every_s: float) -> AsyncIterator[Sequence[Overview]]:
    # Where even the first reading fails the command ends with its error.
    yield [await watch.read() for watch in watches]
    while True:
        await asyncio.sleep(every_s)
        yield await asyncio.gather(*(watch.look() for watch in watches))


async def _lines(watches: Sequence[Watch], every_s: float) -> None:
    async for fleets in _readings(watches, every_s):
        for seen in fleets:
            print(document(seen), flush=True)


async def _screen(watches: Sequence[Watch], every_s: float, console: Console) -> None:
    screens = [Screen() for _ in watches]
    readings = _readings(watches, every_s)
    fleets = await anext(readings)
    live = Live(console=console, screen=True, auto_refresh=False)
    # A terminal that was closed is no reason to stop badly: its SIGHUP is on the way.
    with suppress(OSError), live:
        while True:
            size = console.size
            # Each fleet has its part of the screen; the last one has what is left over, and the foot.
            part = size.height // len(fleets)
            lines = [
                line
                for screen, seen in zip(screens[:-1], fleets[:-1], strict=True)
                for line in screen.render(seen, size.width, part)
            ]
            room = size.height - len(lines)
            foot = "Ctrl-C ends this view; nothing is stopped"
            lines += screens[-1].render(fleets[-1], size.width, room, foot=foot)
            live.update(Group(*lines), refresh=True)
            fleets = await anext(readings)


def _print(console: Console, seen: Overview, width: int) -> None:
    for line in Screen().render(seen, width):
        line.rstrip()
        console.print(line, width=width, crop=False, soft_wrap=True)


async def _until_signal(work: Coroutine[None, None, None]) -> None:
    """Do ``work`` until it is done or a signal wants the end."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    # Under nohup the end of the terminal means nothing.
    hung_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    signals = [number for number in _SIGNALS if number is not signal.SIGHUP or hung_up]
    for number in signals:
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _ignore(key: str, error: BadFile) -> None:
    """The screen shows it."""


def _report(key: str, error: BadFile) -> None:
    _log.warning("an object is no heartbeat", key=key, why=error.message)
