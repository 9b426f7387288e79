"""``Progress``: says how long the books that wait for the exchange will take; ``Bars``: on one display.

An exchange answers only so many snapshots a minute, so a start with an empty store takes minutes once there
are more than a few symbols. On a terminal a bar shows it; anywhere else a line in the log, repeated until
nothing waits any more. Waits that are over in a moment are passed over in silence. The venues of one process
have a bar each, one below the other, for a terminal has one line that bars are drawn on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from depthcast.logs import get_logger

_log = get_logger("updater")


class Kept(Protocol):
    """A book as far as it matters here; :class:`depthcast.keeper.LiveBook` is one."""

    @property
    def live(self) -> bool: ...


class Pace(Protocol):
    """The pace of the exchange; :class:`depthcast.rest.Rest` has it."""

    @property
    def waiting(self) -> int: ...

    def expected_wait_ms(self, weight: int, background: bool = False) -> int: ...


@dataclass(frozen=True, slots=True)
class Wait:
    """What waits at one moment: ``requests`` for their turn, about ``about_s`` seconds long, while ``live``
    of ``books`` are up to date."""

    requests: int
    about_s: int
    live: int
    books: int


class Bars:
    """One display for the waits of a process, a bar for each ``name``; shown while there is any.

    ``console`` is standard error by default. Without a terminal there are none (:attr:`shown`).
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._display: Bar | None = None
        self._tasks: dict[str, TaskID] = {}

    @property
    def shown(self) -> bool:
        """Whether there is a terminal to show them on."""
        return self._console.is_terminal

    def show(self, name: str, wait: Wait) -> None:
        """Draw the bar of ``name``, and those of the others."""
        if self._display is None:
            self._display = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
                console=self._console,
                auto_refresh=False,
                transient=True,
            )
            self._display.start()
        if name not in self._tasks:
            self._tasks[name] = self._display.add_task(f"{name} books live".strip(), left="")
        left = f"the exchange answers the rest within about {_duration(wait.about_s)}"
        self._display.update(
            self._tasks[name], completed=wait.live, total=wait.books, left=left, refresh=True
        )

    def clear(self, name: str) -> None:
        """Take the bar of ``name`` away; with the last one the display goes."""
        task = self._tasks.pop(name, None)
        if task is None or self._display is None:
            return
        if self._tasks:
            self._display.remove_task(task)
            self._display.refresh()
        else:
            self._display.stop()
            self._display = None


class Progress:
    """Watches ``books`` and ``rest`` and tells of long waits. :meth:`run` it until it is cancelled.

    A wait is told of if it takes ``least_s`` or longer, from its third look on, once it no longer grows (or
    has grown for ``settle_looks`` looks), and again every ``every_s``. ``name``: whose it is, where there are
    several on ``bars``.
    """

    def __init__(
        self,
        books: Mapping[str, Kept],
        rest: Pace,
        *,
        name: str = "",
        bars: Bars | None = None,
        log: structlog.typing.FilteringBoundLogger = _log,
        # Limits
        settle_looks: int = 5,
        # Times
        every_s: float = 15.0,
        look_every_s: float = 1.0,
        least_s: float = 5.0,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._books = books
        self._rest = rest
        self._name = name
        self._bars = bars or Bars()
        self._log = log.bind(venue=name) if name else log
        self._settle_looks = settle_looks
        self._every_s = every_s
        self._look_every_s = look_every_s
        self._least_s = least_s
        self._clock = clock
        self._sleep = sleep
        self._seen: Wait | None = None
        self._looks = 0
        self._began_at = 0.0
        self._told_at: float | None = None

    async def run(self) -> None:
        """Look once a second, until cancelled; takes the bar away at the end."""
        try:
            while True:
                self._look()
                await self._sleep(self._look_every_s)
        finally:
            self._bars.clear(self._name)

    def now(self) -> Wait | None:
        """What waits now; ``None`` where nothing does. O(books + requests that wait)."""
        waiting = self._rest.waiting
        if not waiting:
            return None
        live = sum(book.live for book in self._books.values())
        return Wait(waiting, -(-self._rest.expected_wait_ms(0) // 1000), live, len(self._books))

    def _look(self) -> None:
        wait, before = self.now(), self._seen
        self._seen = wait
        now = self._clock()
        if wait is None:
            if self._told_at is not None:
                self._bars.clear(self._name)
                self._log.info(
                    "books no longer wait for the exchange's request weight",
                    after_s=round(now - self._began_at),
                )
            self._looks, self._told_at = 0, None
            return
        if before is None:
            self._began_at = now
        self._looks += 1
        if self._told_at is None:
            # At a start all books ask within seconds, not at once, and some leave it to other replicas as
            # soon as those are heard of; what is said first shall hold.
            grows = self._looks < 3 or before is None or wait.requests > before.requests
            if wait.about_s < self._least_s or (grows and self._looks < self._settle_looks):
                return
        if self._bars.shown:
            self._told_at = now
            self._bars.show(self._name, wait)
        elif self._told_at is None or now - self._told_at >= self._every_s:
            self._told_at = now
            self._log.info(
                "books wait for the exchange's request weight",
                symbols=wait.requests,
                about_s=wait.about_s,
                live=wait.live,
                of=wait.books,
            )


def _duration(seconds: int) -> str:
    """A time for people.

    >>> [_duration(s) for s in (59, 60, 61, 599)]
    ['59 s', '1 min', '2 min', '10 min']
    """
    return f"{seconds} s" if seconds < 60 else f"{-(-seconds // 60)} min"
