"""How a board is shown: as a screen where there is a terminal, as log lines where there is none."""

import asyncio
import contextlib
from typing import Final, Protocol, Self

from rich.console import Console
from rich.live import Live

from depthcast.cli.up.board import Board
from depthcast.cli.up.figures import worst
from depthcast.cli.up.reading import rows, waiting_ms
from depthcast.cli.up.screen import Screen

_FRAMES_PER_S: Final = {"starting": 10, "live": 4, "stopping": 10}


class Display(Protocol):
    """Shows the board for as long as it is entered."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


class Terminal:
    """A screen of its own, which gives way to what was there before when it is left."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board = board
        self._screen = Screen(board)
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._drawing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._live.start()
        self._drawing = asyncio.create_task(self._draw())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._drawing is not None:
            await _end(self._drawing)
        with contextlib.suppress(OSError):
            self._live.stop()

    async def _draw(self) -> None:
        # A terminal that was closed is no reason to stop badly: its SIGHUP is on the way.
        with contextlib.suppress(OSError):
            while True:
                size = self._live.console.size
                self._live.update(self._screen.render(size.width, size.height), refresh=True)
                await asyncio.sleep(1 / _FRAMES_PER_S[self._board.phase])


class Lines:
    """A summary line every ``every_s``; what happens in between is logged by the board itself."""

    def __init__(self, board: Board, *, every_s: float = 10.0) -> None:
        self._board = board
        self._every_s = every_s
        self._summing_up: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._summing_up = asyncio.create_task(self._sum_up())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._summing_up is not None:
            await _end(self._summing_up)

    async def _sum_up(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            board = self._board
            if board.phase == "starting":
                working = (step for step in board.steps.values() if step.state == "working")
                board.log("info", "starting", {step.name: step.text for step in working})
            elif board.phase == "live":
                board.log("info", "live", summary(board))


def summary(board: Board) -> dict[str, object]:
    """The state of everything in a few figures; latencies are of the slowest updater."""
    measured = board.readings.values()
    every = rows(measured)
    figures: dict[str, object] = {
        "books_live": sum(row.state == "live" for row in every),
        "books": len(every),
        "updaters": len(measured),
        "files_per_s": round(sum(each.files_per_s for each in measured), 1),
        "lost": sum(each.reading.lost for each in measured),
        "write_p50_ms": worst(each.reading.p50_ms for each in measured),
        "write_p99_ms": worst(each.reading.p99_ms for each in measured),
        "takeovers": sum(each.reading.takeovers for each in measured),
        "resyncs": sum(row.resyncs for row in every),
        "oldest_book_ms": worst(row.age_ms for row in every),
        "server": board.server_url,
    }
    if waiting := waiting_ms(measured):
        figures["books_wait_ms"] = waiting
    if board.warning:
        figures["warning"] = board.warning
    return figures


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
