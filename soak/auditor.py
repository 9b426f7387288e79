"""``Auditor``: every version that is read, held against the true book and against the versions before it.

What it knows of files it knows from their description: a key is the request it answers, the body is the
exchange's own answer at its ``lastUpdateId``, the metadata ``epoch`` and that id are its version, and a side
may end early only where ``certain-bids`` or ``certain-asks`` say so. The true book is the simulator's.

Readings of one key are handed over in the order in which they were made, each begun after the one before had
ended: so none may be of an older version. Pure: whoever reads calls :meth:`Auditor.saw` and the like.
"""

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from soak.ages import Marks, Samples

VIOLATIONS: Final = 1000
"""So many violations are kept; all are counted."""

METADATA: Final = "x-amz-meta-"

_HEAD: Final = re.compile(rb'\{"lastUpdateId":([0-9]+),')


class Generation(Protocol):
    """One unbroken run of a symbol's update ids."""

    @property
    def generation(self) -> int: ...


class TrueBooks(Protocol):
    """What the exchange would have answered (:class:`simulator.truth.Truth`)."""

    def holding(self, symbol: str, update_id: int) -> Sequence[Any]: ...

    def body(self, symbol: str, update_id: int, limit: int, generation: int | None = None) -> bytes: ...


class File(NamedTuple):
    """What is published once for each symbol and limit."""

    symbol: str
    limit: int

    @property
    def key(self) -> str:
        return f"api/v3/depth?symbol={self.symbol}&limit={self.limit}"


class Violation(NamedTuple):
    """A promise that was not kept. ``kind``: ``back``, ``wrong``, ``unknown``, ``rewritten``, ``damaged``."""

    kind: str
    time: float
    key: str
    text: str


class Certain(NamedTuple):
    """How many levels of a side are certain, and whether none exist beyond them."""

    levels: int
    complete: bool


@dataclass(slots=True)
class _Held:
    """The last version read of a file."""

    epoch: int
    update_id: int
    generation: int
    body: bytes
    writer: str


class Auditor:
    """``files``: all that is to be there; ``clock``: the one of ``marks``, in seconds."""

    def __init__(
        self, files: Sequence[File], truth: TrueBooks, marks: Marks, *, clock: Callable[[], float]
    ) -> None:
        self.files = tuple(files)
        self._number = {file: number for number, file in enumerate(self.files)}
        self._truth = truth
        self._marks = marks
        self._clock = clock
        self._held: dict[File, _Held] = {}
        self.samples = Samples()
        self.readings: Counter[str] = Counter()
        """Answers by what they were: ``changed``, ``unchanged``, ``absent``, ``failed``."""
        self.versions: Counter[int] = Counter()
        """Versions checked, by limit."""
        self.shorter = 0
        """Of them, those with fewer levels than the exchange's, which said so."""
        self.violated: Counter[str] = Counter()
        self.violations: deque[Violation] = deque(maxlen=VIOLATIONS)

    def saw(self, file: File, headers: Mapping[str, str], body: bytes) -> None:
        """A reading found an object that had changed. Header names in lower case."""
        now = self._clock()
        self.readings["changed"] += 1
        try:
            update_id = _update_id(body)
            epoch = int(headers[METADATA + "epoch"])
            certain = tuple(_certain(headers[f"{METADATA}certain-{side}"]) for side in ("bids", "asks"))
        except (KeyError, ValueError) as error:
            self._violation("damaged", file, f"{type(error).__name__}: {error}: {body[:80]!r}")
            return
        before, writer = self._held.get(file), headers.get(f"{METADATA}replica", "")
        version = (epoch, update_id)
        if before is not None:
            last = (before.epoch, before.update_id)
            if version < last:
                self._violation("back", file, f"from {last} by {before.writer} to {version} by {writer}")
            elif version == last and body != before.body:
                self._violation("rewritten", file, f"other bytes under the same version {version}")
        generation = self._check_body(file, update_id, body, certain)
        self.versions[file.limit] += 1
        if before is None or version >= (before.epoch, before.update_id):
            self._held[file] = _Held(epoch, update_id, generation, body, writer)
        self._sample(file, now)

    def unchanged(self, file: File) -> None:
        """A reading found what the one before had found."""
        self.readings["unchanged"] += 1
        self._sample(file, self._clock())

    def absent(self, file: File) -> None:
        """There is no such object. It never goes away once it was there."""
        self.readings["absent"] += 1
        if file in self._held:
            self._violation("back", file, "the object is gone")

    def failed(self, file: File) -> None:
        """A reading failed: a reader has nothing newer than before, and that ages."""
        self.readings["failed"] += 1
        self._sample(file, self._clock())

    def age_s(self, file: File) -> float | None:
        """How old the last version read is by now; ``None`` for a file never read."""
        held = self._held.get(file)
        if held is None:
            return None
        return self._marks.age_s(file.symbol, held.generation, held.update_id, self._clock())

    def writers(self) -> Counter[str]:
        """How many files each replica was the last to write, as their metadata say."""
        return Counter(held.writer for held in self._held.values())

    @property
    def complete(self) -> bool:
        """Whether every file was read at least once."""
        return len(self._held) == len(self.files)

    @property
    def violation_count(self) -> int:
        return self.violated.total()

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._held.keys() <= self._number.keys()
        assert self.versions.total() <= self.readings["changed"]
        assert len(self.violations) <= self.violation_count

    def _sample(self, file: File, now: float) -> None:
        held = self._held.get(file)
        if held is not None:
            age_s = self._marks.age_s(file.symbol, held.generation, held.update_id, now)
            self.samples.add(now, self._number[file], age_s)

    def _check_body(self, file: File, update_id: int, body: bytes, certain: Sequence[Certain]) -> int:
        """The generation of ids to which a true body belongs; the newest one for what is not true."""
        holding = self._truth.holding(file.symbol, update_id)
        if not holding:
            self._violation("unknown", file, f"{file.symbol} never was at {update_id}")
            return 0
        true_bodies = [
            (each.generation, self._truth.body(file.symbol, update_id, file.limit, each.generation))
            for each in holding
        ]
        for generation, true_body in true_bodies:
            if body == true_body:
                return int(generation)
        for generation, true_body in true_bodies:
            if is_shorter(body, true_body, certain):
                self.shorter += 1
                return int(generation)
        self._violation("wrong", file, f"at {update_id} it is not the true book: {body[:200]!r}")
        return int(true_bodies[0][0])

    def _violation(self, kind: str, file: File, text: str) -> None:
        self.violated[kind] += 1
        self.violations.append(Violation(kind, self._clock(), file.key, text))


def is_shorter(body: bytes, true_body: bytes, certain: Sequence[Certain]) -> bool:
    """Whether a file is the true book's beginning, and each side that ends early ends where ``certain``
    (bids, asks) says that certainty ends."""
    try:
        shown, true = json.loads(body), json.loads(true_body)
    except ValueError:
        return False
    if shown.keys() != true.keys() or shown["lastUpdateId"] != true["lastUpdateId"]:
        return False
    for side, (levels, complete) in zip(("bids", "asks"), certain, strict=True):
        count = len(shown[side])
        if shown[side] != true[side][:count]:
            return False
        if count < len(true[side]) and (complete or levels != count):
            return False
    return True


def _update_id(body: bytes) -> int:
    head = _HEAD.match(body)
    if head is None:
        raise ValueError("it does not begin with lastUpdateId")
    return int(head[1])


def _certain(text: str) -> Certain:
    return Certain(int(text.removesuffix("+")), text.endswith("+"))
