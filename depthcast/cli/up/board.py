"""``Board``: everything ``up`` has to show, in one place. The parts write to it, the displays read it."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from depthcast.cli.up.reading import Measured
from depthcast.files import BINANCE

Level = Literal["info", "warning", "error"]

STORE: Final = "store"
EXCHANGE: Final = "exchange"
SERVER: Final = "server"


class Line(Protocol):
    """What is shown of a service."""

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str:
        """In a word: ``running``, ``died``, …"""
        ...

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        ...


@dataclass(slots=True)
class Step:
    """One part of the start. ``total`` is 0 where it is not known how much there is to do."""

    name: str
    text: str = ""
    state: Literal["waiting", "working", "done"] = "waiting"
    done: float = 0
    total: float = 0
    began_s: float | None = None
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened; ``at_s`` is on the board's clock."""

    at_s: float
    level: Level
    text: str


@dataclass(slots=True)
class Board:
    """``log`` takes what happens as a log line; ``notes`` keeps the last of it for a screen."""

    log: Callable[[Level, str, Mapping[str, object]], None]
    clock: Callable[[], float] = time.monotonic
    phase: Literal["starting", "live", "stopping"] = "starting"
    began_s: float = field(init=False)
    steps: dict[str, Step] = field(default_factory=dict)
    services: Sequence[Line] = ()
    readings: dict[str, Measured] = field(default_factory=dict)
    """By the name of the updater."""
    notes: deque[Note] = field(default_factory=lambda: deque(maxlen=50))

    venue: str = BINANCE.venue
    """The first one whose books these are."""
    exchange: str = ""
    """Whose books these are, in words."""
    warning: str = ""
    """What must not be overlooked for as long as it holds."""
    store: str = ""
    server_url: str = ""
    data: str = ""

    def __post_init__(self) -> None:
        self.began_s = self.clock()

    def say(self, level: Level, text: str, **fields: object) -> None:
        """Something happened: one line in the log, and on the screen."""
        details = " ".join(f"{name}={value}" for name, value in fields.items())
        self.notes.append(Note(self.clock(), level, f"{text}  {details}" if details else text))
        self.log(level, text, fields)

    # The start

    def plan(self, *names: str) -> None:
        """The steps there are, in the order in which they are shown."""
        self.steps = {name: Step(name) for name in names}

    def begin(self, name: str, text: str, *, total: float = 0) -> None:
        """A step is being worked at."""
        step = self.steps[name]
        step.state, step.text, step.total, step.began_s = "working", text, total, self.clock()
        self.log("info", f"{name}: {text}", {})

    def advance(self, name: str, done: float, total: float, text: str) -> None:
        """So much of a step is done."""
        step = self.steps[name]
        step.done, step.total, step.text = done, total, text

    def finish(self, name: str, text: str) -> None:
        """A step is done."""
        step = self.steps[name]
        step.took_s = self.clock() - (step.began_s if step.began_s is not None else self.clock())
        step.state, step.text, step.done, step.total = "done", text, 1, 1
        self.log("info", f"{name}: {text}", {"took_s": round(step.took_s, 1)})
