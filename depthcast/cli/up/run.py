"""From the command line to the exit status of ``depthcast up``: settings, folder, display, signals."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.console import Console

from depthcast.cli.settings import own_variables
from depthcast.cli.up.board import Board, Level
from depthcast.cli.up.display import Display, Lines, Terminal
from depthcast.cli.up.folder import DataFolder
from depthcast.cli.up.machine import Machine
from depthcast.cli.up.settings import UpSettings
from depthcast.logs import configure, get_logger

ABOUT: Final = (
    "Start everything on this machine: SeaweedFS as the store, updaters that keep order books and write "
    "their files, and a server that hands them out. Where the exchange cannot be reached, a simulator takes "
    "its place. Ctrl-C stops everything."
)
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: Sequence[str]) -> int:
    """Run until a signal; 0. Raises :class:`~depthcast.errors.DepthcastError`, with everything stopped."""
    env = os.environ
    settings = UpSettings.load(argv, own_variables(UpSettings, env), program="depthcast up", about=ABOUT)
    with DataFolder(settings.data) as folder, asyncio.Runner() as runner:
        runner.run(up(settings, folder, env))
    return 0


async def up(settings: UpSettings, folder: DataFolder, env: Mapping[str, str]) -> None:
    """Everything, shown on this process's standard output."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    console = Console(highlight=False)
    on_screen = sys.stdout.isatty() and not console.is_dumb_terminal
    # A log line would spoil the screen.
    stream = folder.log("up").open("w", encoding="utf-8", buffering=1) if on_screen else sys.stdout
    configure(settings.log_format, settings.log_level, stream=stream)
    board = Board(log=_logger(stop))
    display: Display = (
        Terminal(board, console) if on_screen else Lines(board, every_s=settings.summary_every_s)
    )
    machine = Machine(settings, folder, board, env)
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    # Under nohup the end of the terminal means nothing.
    signals = [number for number in _SIGNALS if number != signal.SIGHUP or not _ignored(number)]
    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        async with display:
            await machine.run(stop, hurry)
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
    board.log("info", "everything is stopped", {"data": str(folder.path)})
    if on_screen and sys.stdout.isatty():  # which it is no more after a SIGHUP
        console.print(f"depthcast: everything is stopped; the data stays in {folder.path}")


def _ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


def _logger(stop: asyncio.Event) -> Callable[[Level, str, Mapping[str, object]], None]:
    logger = get_logger("up")

    def log(level: Level, text: str, fields: Mapping[str, object]) -> None:
        try:
            getattr(logger, level)(text, **fields)
        except BrokenPipeError:
            stop.set()  # nobody reads any more, as after `depthcast up | head`
        except OSError:
            pass  # a full disk stops the log, not what it tells of

    return log
