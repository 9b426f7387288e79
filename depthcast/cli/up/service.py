"""``Service``: a process that is to run until it is stopped: watched, and started again when it dies."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final, Literal

from depthcast.backoff import Backoff
from depthcast.cli.up.board import Board
from depthcast.cli.up.child import Child
from depthcast.cli.up.logfile import LogFile
from depthcast.errors import DepthcastError

State = Literal["waiting", "starting", "running", "died", "stopping", "stopped"]

WRONG_SETTINGS: Final = 2
"""The exit status of a service whose settings cannot be used; starting it again is of no use."""

_LOG_LINE = re.compile(r"^\S+Z? \[\w+ *\] +")
_WHO = re.compile(r"^depthcast [a-z]+: ")


class ServiceFailed(DepthcastError):
    """A service that ends each time it is started. ``status`` is how it ended last."""

    def __init__(self, name: str, status: int, times: int, last_words: str, log: Path) -> None:
        often = f"{times} times at once, " if times > 1 else ""
        words = f": {last_words}" if last_words else ""
        super().__init__(f"{name} ended {often}{_ending(status)}{words}", hint=f"its log is {log}")
        self.name = name
        self.status = status


class ServiceSilent(DepthcastError):
    """A service that runs and never said that it is ready."""

    def __init__(self, name: str, waited_s: float, log: Path) -> None:
        super().__init__(f"{name} was not ready within {waited_s:.0f} s", hint=f"its log is {log}")
        self.name = name


class Service:
    """``argv`` is asked for at each start. ``ready`` is looked for in what the process says; its group
    ``url`` is then known as :attr:`url`.

    A process that lived for less than ``quick_s`` died at once; ``quick_deaths`` of them in a row are given
    up, as is one that ends with :data:`WRONG_SETTINGS` before it ever was ready.
    """

    def __init__(
        self,
        name: str,
        argv: Callable[[], Sequence[str]],
        env: Mapping[str, str],
        log: Path,
        board: Board,
        *,
        ready: re.Pattern[str],
        ready_within_s: float = 60.0,
        stop_within_s: float = 5.0,
        quick_s: float = 10.0,
        quick_deaths: int = 3,
        retry_initial_s: float = 0.5,
        retry_maximum_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        rng: Random | None = None,
    ) -> None:
        self.name = name
        self.state: State = "waiting"
        self.url: str = ""
        """Where it answers; empty while that is not known."""
        self.restarts: int = 0
        self._argv = argv
        self._env = env
        self._log = LogFile(log)
        self._board = board
        self._ready_pattern = ready
        self._ready_within_s = ready_within_s
        self._stop_within_s = stop_within_s
        self._quick_s = quick_s
        self._quick_deaths = quick_deaths
        self._retry_s = (retry_initial_s, retry_maximum_s)
        self._clock = clock
        self._rng = rng or Random()
        self._ready = asyncio.Event()
        self._child: Child | None = None

    async def run(self) -> None:
        """Keep it running; raises :class:`ServiceFailed`. Cancelled, it leaves the process running."""
        initial_s, maximum_s = self._retry_s
        backoff = Backoff(initial_s, minimum_s=initial_s / 2, maximum_s=maximum_s, rng=self._rng)
        quick_deaths = 0
        while True:
            began = self._clock()
            status, last_words = await self._live()
            self.state, self.url = "died", ""
            if self._clock() - began < self._quick_s:
                quick_deaths += 1
            else:
                quick_deaths = 0
                backoff.reset()
            if status == WRONG_SETTINGS and not self._ready.is_set():
                raise ServiceFailed(self.name, status, 1, last_words, self._log.path)
            if quick_deaths >= self._quick_deaths:
                raise ServiceFailed(self.name, status, quick_deaths, last_words, self._log.path)
            pause_s = backoff.next_s()
            self._board.say(
                "error",
                f"{self.name} ended {_ending(status)} and is started again",
                in_s=round(pause_s, 1),
                last_words=last_words,
                log=str(self._log.path),
            )
            await asyncio.sleep(pause_s)
            self.restarts += 1

    async def ready(self) -> str:
        """Wait until it answers for the first time; returns :attr:`url`. Raises :class:`ServiceSilent`."""
        try:
            async with asyncio.timeout(self._ready_within_s):
                await self._ready.wait()
        except TimeoutError:
            raise ServiceSilent(self.name, self._ready_within_s, self._log.path) from None
        return self.url

    async def stop(self, hurry: asyncio.Event) -> None:
        """End the process: SIGTERM, and SIGKILL when it takes too long or ``hurry`` is set."""
        if self._child is not None:
            self.state = "stopping"
            await self._child.stop(hurry, within_s=self._stop_within_s)
        self.state = "stopped"
        self._log.close()

    async def _live(self) -> tuple[int, str]:
        """One life: exit status and last words."""
        self.state = "starting"
        self._child = child = Child(self._argv(), self._env, self._log, on_line=self._hear)
        try:
            await child.start()
        except OSError as error:
            raise ServiceFailed(self.name, 127, 1, error.strerror or str(error), self._log.path) from None
        return await child.wait(), _last_words(child.tail)

    def _hear(self, line: str) -> None:
        if not self.url and (found := self._ready_pattern.search(line)):
            self.url, self.state = found["url"], "running"
            self._ready.set()


def _ending(status: int) -> str:
    return f"with exit status {status}" if status >= 0 else f"by signal {-status}"


def _last_words(tail: Sequence[str]) -> str:
    """The last line, without the time, level and name that begin it."""
    return _WHO.sub("", _LOG_LINE.sub("", tail[-1])) if tail else ""
