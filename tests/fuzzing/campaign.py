"""A campaign: rounds of chance against one :class:`Target`, and what is noted of them.

Round ``n`` of seed ``s`` against a target makes one case out of ``Random(f"{target}/{s}/{n}")``, so any case
is made again by these three alone. A case is the bytes that come in, in the pieces in which they come. The
target's own oracle says what is allowed; beside that, everywhere:

* nothing is raised that the target does not expect, by a call, a task, a callback of the loop or in a log;
* a round ends within :data:`ROUND_S`;
* what is alive when all is quiet again does not grow with the rounds (:class:`Census`).
"""

import asyncio
import gc
import json
import logging
import time
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.fuzzing.mutation import Mutator

ROUND_S: Final = 30.0
"""No round takes as long, on any machine that is alive."""

GROWN_BYTES: Final = 64 * 2**20
"""Of memory, between the end of the first tenth of the rounds and the end of the last one."""

GROWN_OBJECTS: Final = 200
"""Of one type, in the same time, and not more than one in four rounds: caches fill, leaks go on."""

SHOWN_BYTES: Final = 2000

_LANGUAGE: Final = ("builtins", "_", "abc", "typing", "functools", "weakref", "rich.")

Case = tuple[bytes, ...]
"""The pieces in which bytes come."""


class Verdict(Enum):
    """What became of a case that was dealt with as it should be."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Target(ABC):
    """One thing that reads what comes from outside."""

    name: str
    rounds: int = 300
    """In a test run."""
    bounded: Mapping[str, int] = {}
    """Types of which so many more may be alive at the end than at the beginning: they fill a bounded
    cache."""

    async def open(self) -> None:  # noqa: B027 - most have nothing to open
        """Make ready."""

    async def close(self) -> None:  # noqa: B027
        """Let go of everything. May raise ``AssertionError`` for what only the end shows."""

    async def quiet(self) -> None:  # noqa: B027
        """Wait until nothing of the last rounds goes on, then check what has invariants."""

    @abstractmethod
    def draw(self, mutator: Mutator) -> Case:
        """A case, out of ``mutator`` alone."""

    @abstractmethod
    async def run(self, case: Case) -> Verdict:
        """Deal with it. Raises ``AssertionError`` where the oracle disagrees; anything else is a finding
        too."""


@dataclass(frozen=True)
class Finding:
    """Something that should not have happened, and how to see it again. ``round`` -1: only the end showed
    it."""

    target: str
    seed: int
    round: int
    case: Case
    what: str

    def told(self) -> str:
        """For people: bounded, and with the command that makes the case again."""
        pieces = "\n".join(f"    {shown(piece)}" for piece in self.case[:20])
        more = f"\n    … and {len(self.case) - 20} pieces more" if len(self.case) > 20 else ""
        again = f"python -m tests.fuzzing --target {self.target} --seed {self.seed}"
        again += f" --first {self.round} --rounds 1" if self.round >= 0 else ""
        place = f"{self.target}, seed {self.seed}, round {self.round}"
        return f"{place}\n  {self.what}\n  case:\n{pieces}{more}\n  again: {again}"


def shown(data: bytes) -> str:
    """Bytes as Python writes them, not too many."""
    if len(data) <= SHOWN_BYTES:
        return repr(data)
    half = SHOWN_BYTES // 2
    return f"{data[:half]!r} … {len(data) - 2 * half} bytes … {data[-half:]!r}"


@dataclass
class Report:
    """What a campaign came to."""

    target: str
    seed: int
    rounds: int = 0
    counts: Counter[Verdict] = field(default_factory=Counter)
    seconds: float = 0.0
    worst_ms: float = 0.0
    worst_round: int = 0
    grown_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As a line for machines holds it."""
        return {
            "target": self.target,
            "seed": self.seed,
            "rounds": self.rounds,
            "accepted": self.counts[Verdict.ACCEPTED],
            "rejected": self.counts[Verdict.REJECTED],
            "seconds": round(self.seconds, 1),
            "worst_ms": round(self.worst_ms, 1),
            "worst_round": self.worst_round,
            "grown_bytes": self.grown_bytes,
            "findings": len(self.findings),
        }


class Census:
    """What is alive: objects of the project's and of the libraries' own types, tasks, and memory."""

    def __init__(self) -> None:
        # What a server or an updater has set aside is alive, too, whether it has taken it back by now or not.
        gc.unfreeze()
        gc.collect()
        self.objects: Counter[str] = Counter()
        for each in gc.get_objects():
            kind = type(each)
            home = kind.__module__
            if isinstance(each, asyncio.Handle) and each.cancelled():
                continue  # the loop throws them away together, once there are a hundred
            # Some types have a descriptor there; those of the language, and of the bars, say nothing.
            if isinstance(home, str) and not home.startswith(_LANGUAGE):
                self.objects[f"{home}.{kind.__qualname__}"] += 1
        self.tasks = len(asyncio.all_tasks())
        self.bytes = _resident_bytes()

    def grown(self, before: "Census", rounds: int, bounded: Mapping[str, int]) -> list[str]:
        """What there is more of than may be, after ``rounds`` more rounds."""
        allowed = min(GROWN_OBJECTS, max(20, rounds // 4))
        told = [
            f"{count - before.objects[name]} more objects of {name}"
            for name, count in self.objects.items()
            if count - before.objects[name] > max(allowed, bounded.get(name, 0))
        ]
        if self.tasks > before.tasks + 8:
            told.append(f"{self.tasks - before.tasks} more tasks")
        if self.bytes > before.bytes + GROWN_BYTES:
            told.append(f"{(self.bytes - before.bytes) / 2**20:.0f} MiB more memory")
        return told


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:  # not Linux: memory is not looked at
        return 0
    return pages * 4096


class _Ears(logging.Handler):
    """Hears what was logged with an exception, and what the event loop was left with."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.heard.append(f"logged: {record.getMessage()}: {_trace(record.exc_info[1])}")

    def loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.heard.append(f"the loop: {context['message']}: {_trace(error) if error else ''}")


def _trace(error: BaseException) -> str:
    lines = [line.rstrip() for line in traceback.format_exception(error, limit=-6)]
    return f"{type(error).__name__}: {error!s:.300}\n" + "\n".join(lines)[-3000:]


class Campaign:
    """Rounds against one target. ``on_round`` is told of each one; ``clock`` is in seconds."""

    def __init__(
        self,
        target: Target,
        seed: int,
        *,
        most_findings: int = 5,
        on_round: Callable[[Report], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._target = target
        self._most_findings = most_findings
        self._on_round = on_round
        self._clock = clock
        self._ears = _Ears()
        self._case: Case = ()
        self.report = Report(target.name, seed)

    async def run(self, rounds: int | None = None, *, first: int = 0, seconds: float | None = None) -> Report:
        """``rounds`` rounds from ``first`` on, or as many as ``seconds`` are enough for."""
        loop = asyncio.get_running_loop()
        root = logging.getLogger()
        before_handler = loop.get_exception_handler()
        loop.set_exception_handler(self._ears.loop)
        root.addHandler(self._ears)
        try:
            await self._target.open()
            try:
                await self._rounds(rounds, first, seconds)
            finally:
                await self._end(first)
        finally:
            root.removeHandler(self._ears)
            loop.set_exception_handler(before_handler)
        return self.report

    async def _rounds(self, rounds: int | None, first: int, seconds: float | None) -> None:
        report, target, begun = self.report, self._target, self._clock()
        census: Census | None = None
        census_at = 0
        number = first
        while len(report.findings) < self._most_findings:
            done = number - first
            report.seconds = self._clock() - begun
            share = done / rounds if rounds is not None else report.seconds / (seconds or 1.0)
            if share >= 1:
                break
            if census is None and done >= 20 and share >= 0.1 and await self._becomes_quiet(number):
                census, census_at = Census(), done
            await self._round(number)
            self._on_round(report)
            number += 1
        report.seconds = self._clock() - begun
        if census is not None and not report.findings and await self._becomes_quiet(-1):
            after = Census()
            report.grown_bytes = after.bytes - census.bytes
            for grown in after.grown(census, report.rounds - census_at, target.bounded):
                self._find(-1, f"it grows with the rounds: {grown}")

    async def _becomes_quiet(self, number: int) -> bool:
        try:
            await self._target.quiet()
        except AssertionError as error:
            self._find(number, _trace(error))
            return False
        return True

    async def _round(self, number: int) -> None:
        report, target = self.report, self._target
        mutator = Mutator(Random(f"{target.name}/{report.seed}/{number}"))
        begun = self._clock()
        self._case = ()
        try:
            self._case = target.draw(mutator)
            begun = self._clock()
            async with asyncio.timeout(ROUND_S):
                report.counts[await target.run(self._case)] += 1
        except TimeoutError as error:
            self._find(number, f"no end within {ROUND_S:g} s: {_trace(error)}")
        except Exception as error:
            self._find(number, _trace(error))
        took_ms = (self._clock() - begun) * 1000
        await asyncio.sleep(0)  # a turn for the loop, whose timers of ended rounds are in its way else
        report.rounds += 1
        if took_ms > report.worst_ms:
            report.worst_ms, report.worst_round = took_ms, number
        if took_ms > ROUND_S * 1000:
            self._find(number, f"it took {took_ms / 1000:.0f} s")
        self._listen(number)

    async def _end(self, first: int) -> None:
        self._case = ()
        try:
            await self._target.close()
        except AssertionError as error:
            self._find(-1, _trace(error))
        await asyncio.sleep(0)
        self._listen(-1)

    def _listen(self, number: int) -> None:
        for heard in self._ears.heard:
            self._find(number, heard)
        self._ears.heard.clear()

    def _find(self, number: int, what: str) -> None:
        report = self.report
        report.findings.append(Finding(report.target, report.seed, number, self._case, what))


def line(reports: Sequence[Report]) -> str:
    """All campaigns as one line of JSON."""
    return json.dumps(
        {
            "fuzzing": [report.to_json() for report in reports],
            "rounds": sum(report.rounds for report in reports),
            "findings": sum(len(report.findings) for report in reports),
        },
        separators=(",", ":"),
    )
