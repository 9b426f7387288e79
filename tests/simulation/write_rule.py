"""An exhaustive model of the write rule: every order in which writers, requests and a store can act.

A few writers each follow a book whose update id only grows, and keep one object by the rule of
:mod:`updater.writing`: a write carries a condition, any answer but "won" is followed by a look, and what is
not newer than what was seen is not written. A write may be lost on its way to the store, its answer may be
lost, and a writer may give a write up that is still on its way. Such a *late* write may be carried out at any
time later, and again and again (never carried out is the same as lost).

What keeps it small: an answer is taken as soon as the store gives it, because a writer that is told later is
one that acts later; and writers are alike, so states that differ in who is who are one state.

The model shares no code with the updater. Its ETag is made of the body, as Amazon's and SeaweedFS's are, so
an id stands for both: that promises less than an ETag of its own for each write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

MISSING: Final = 0
"""In place of an id: there is no object."""

UNSEEN: Final = -1
"""In place of an id: nothing is known of the object."""

ANYTHING: Final = -2
"""In place of an id: whatever the object is. A write without a condition."""


class Put(NamedTuple):
    """A write of ``update_id``, if the object still is ``expected``."""

    expected: int
    update_id: int

    def __str__(self) -> str:
        if self.expected == ANYTHING:
            return f"id {self.update_id}"
        return f"id {self.update_id} over {self.expected or 'nothing'}"


class Writer(NamedTuple):
    """``book``: the id that its book has come to, 0 before the first. ``known``: the object's id as it was
    seen last. ``sent``: the write that it waits for."""

    book: int = 0
    known: int = UNSEEN
    sent: Put | None = None


@dataclass(frozen=True)
class Rule:
    """The write rule, or one from which a part is missing."""

    conditional: bool = True
    """A write carries a condition."""
    compares: bool = True
    """What is not newer than what was seen is not written."""
    deletes: bool = False
    """Somebody else may delete the object, once."""

    def write(self, book: int, known: int) -> Put | None:
        """What a writer that waits for nothing may write."""
        if not book or known in (UNSEEN, book) or (self.compares and known > book):
            return None
        return Put(known if self.conditional else ANYTHING, book)


class WentBack(Exception):
    """The object became older than it was. ``steps``: a shortest way there."""

    def __init__(self, steps: list[str]) -> None:
        super().__init__("; ".join(steps))
        self.steps = steps


def explore(rule: Rule, *, writers: int, ids: int) -> int:
    """Visit every state that can be reached; returns how many there are.

    Raises :class:`WentBack`. It takes a microsecond or two for each step from each state.
    """
    return _Search(rule, writers, ids).run()


class _Step(NamedTuple):
    """What one writer may do, perhaps with the store. ``late``: a write that is late from then on."""

    name: str
    writer: Writer
    stored: int
    late: Put | None = None


def _steps(rule: Rule, ids: int, writer: Writer, stored: int) -> Iterator[_Step]:
    book, known, sent = writer
    if book < ids:
        yield _Step(f"its book comes to {book + 1}", Writer(book + 1, known, sent), stored)
    if sent is None:
        yield _Step(f"sees {stored or 'nothing'}", Writer(book, stored), stored)
        put = rule.write(book, known)
        if put is not None:
            yield _Step(f"sends {put}", Writer(book, known, put), stored)
        return
    if sent.expected in (ANYTHING, stored):
        yield _Step(f"wins with {sent}", Writer(book, sent.update_id), sent.update_id)
        yield _Step(f"is not told that {sent} was done", Writer(book), sent.update_id)
    else:
        yield _Step(f"is refused {sent}", Writer(book), stored)
    yield _Step(f"loses {sent} on its way", Writer(book), stored)
    yield _Step(f"gives {sent} up, which stays on its way", Writer(book), stored, sent)


_State = tuple[int, int, bool, int, tuple[int, ...]]
"""The object's id; the greatest that it ever had; whether it was deleted; a bit for each late write; and the
writers, as places in the list of those found, in order."""


class _Search:
    """Breadth first, so that the first way back that is found is a shortest one.

    What a writer may do depends on itself and the object alone, so it is worked out once.
    """

    def __init__(self, rule: Rule, writers: int, ids: int) -> None:
        self._rule = rule
        self._ids = ids
        self._start: _State = (MISSING, MISSING, False, 0, (0,) * writers)
        self._writers = [Writer()]
        self._puts: list[Put] = []
        self._table: dict[tuple[int, int], list[tuple[int, int, int, str]]] = {}

    def run(self) -> int:
        came_from: dict[_State, _State | None] = {self._start: None}
        frontier = [self._start]
        while frontier:
            reached = []
            for state in frontier:
                for following, _ in self._following(state):
                    if following in came_from:
                        continue
                    came_from[following] = state
                    if MISSING < following[0] < following[1]:
                        raise WentBack(self._way(came_from, following))
                    reached.append(following)
            frontier = reached
        return len(came_from)

    def _following(self, state: _State) -> Iterator[tuple[_State, str]]:
        stored, newest, deleted, late, writers = state
        for place, number in enumerate(writers):
            if place and writers[place - 1] == number:
                continue  # it may do just what the one before may do
            before, behind = writers[:place], writers[place + 1 :]
            for after, now_stored, more_late, name in self._steps_of(number, stored):
                now = (now_stored, max(newest, now_stored), deleted, late | more_late)
                yield (*now, tuple(sorted((*before, after, *behind)))), name
        for bit, put in enumerate(self._puts):
            if late >> bit & 1 and put.expected in (ANYTHING, stored):
                now = (put.update_id, max(newest, put.update_id), deleted, late)
                yield (*now, writers), f"the late write of {put} is done"
        if self._rule.deletes and stored and not deleted:
            yield (MISSING, newest, True, late, writers), "the object is deleted"

    def _steps_of(self, number: int, stored: int) -> list[tuple[int, int, int, str]]:
        found = self._table.get((number, stored))
        if found is None:
            writer = self._writers[number]
            found = self._table[number, stored] = [
                (_place(self._writers, step.writer), step.stored, self._bit(step.late), step.name)
                for step in _steps(self._rule, self._ids, writer, stored)
            ]
        return found

    def _bit(self, late: Put | None) -> int:
        return 0 if late is None else 1 << _place(self._puts, late)

    def _way(self, came_from: Mapping[_State, _State | None], state: _State) -> list[str]:
        steps: list[str] = []
        before = came_from[state]
        while before is not None:
            steps.append(next(name for following, name in self._following(before) if following == state))
            state, before = before, came_from[before]
        return steps[::-1]


_Found = TypeVar("_Found", Writer, Put)


def _place(listed: list[_Found], each: _Found) -> int:
    if each not in listed:
        listed.append(each)
    return listed.index(each)
