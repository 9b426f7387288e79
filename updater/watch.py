"""``Watch``: what a standby knows of the one file it watches, and whether that file lags. Sans-I/O, no clock.

A file lags if a look, *begun* at least ``patience_s`` after the own book had some version, still finds an
older one. That alone is no fault of the writer's: a file whose levels are as they were is rewritten only once
per ``same_levels_s``. So of some versions of the own book the watch remembers the levels too (a *mark*), and

* the file lags if its levels differ from those of a mark that old *and* from those of the newest mark;
* it lags whatever its levels if a mark is older by ``same_levels_s`` more;
* an object that is missing or no file of ours has no version and no levels: it lags as any old file does.

The patience is extended by the file's own cadence, and by twice the time that looks take: where the store is
slow for the watcher it is slow for the writer, whose files are then up to two requests old. After looks that
failed the patience begins with the first one that did not: an outage of the store makes no writer slow.

A file can also be *ahead* of the book: of a book that is late, or of one whose ids went down. Since when one
that does not move has been, the watch remembers; what follows is not its to say.

A look is begun when it may tell something: ``patience_s`` after the first version that the file was not seen
to have; no more than two in any ``2 * look_every_s``; after ``patrol_s`` where the own book did not change.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from depthcast.backoff import Backoff
from depthcast.files import Version
from updater.writing import NEVER, is_ahead, shows

MARKS: Final = 64
"""How many versions of the book newer than the file are remembered."""

MARKS_EVERY: Final = 0.4
"""The least time between two marks, as a part of ``look_every_s``: rendering is what a mark costs."""

UNHURRIED: Final = 1.6
"""The time between looks that find the file as new as the book, in ``look_every_s``. A writer that dies just
after a look is then found out as soon as one that dies just before the next, which is followed by another."""


MARGIN: Final = 0.05
"""How much later than it may tell something a look is begun, in ``look_every_s``: it may take longer than the
one before it, and then wants more patience."""


class _Mark(NamedTuple):
    """The own book came to ``version`` at ``since``; ``levels`` stands for the file it makes."""

    version: Version
    since: float
    levels: int


class Watch:
    """One file as a standby sees it. Times are readings of the caller's monotonic clock, in seconds.

    The caller tells each version of its book (:meth:`note`, also at :attr:`mark_at`), begins a look at
    :attr:`look_at` (:meth:`looking`) and tells what it showed (:meth:`saw`, :meth:`saw_nothing`). Levels are
    any number that is equal for equal levels. ``every_s`` is the file's cadence; ``backoff`` is for looks
    that fail.
    """

    def __init__(
        self,
        *,
        # Waits
        patience_s: float,
        every_s: float = 0.0,
        look_every_s: float = 0.5,
        same_levels_s: float = 1.0,
        ahead_s: float = 1.0,
        patrol_s: float = 300.0,
        # Retries
        backoff: Backoff | None = None,
    ) -> None:
        self.patience_s = patience_s
        self._every_s = every_s
        self._look_every_s = look_every_s
        self._same_levels_s = same_levels_s
        self._ahead_s = ahead_s
        self._patrol_s = patrol_s
        self._backoff = backoff or Backoff(0.1, maximum_s=10.0)

        self.stored: Version | None = None
        """The file's version at the last look; ``None`` where it was unseen, missing or damaged."""
        self.settled = False
        """Whether the file was seen to reach a version that the book had."""
        self.lag_s: float | None = None
        """By how much the last look showed the file to lag; ``None``: it did not."""
        self.ahead_since: float | None = None
        """Since when looks have shown one unmoved file ahead of the book, within its epoch."""
        self._levels: int | None = None
        self._mine: Version | None = None
        self._mine_since = -math.inf
        self._marks: deque[_Mark] = deque()
        self._unmarked: tuple[Version, float] | None = None
        """The newest version, and since when, if it has no mark yet and the file was not seen to have it."""
        self._marked_at = -math.inf

        self._looking = False
        self._asked: Version | None = None
        """The book's version when the last look was begun."""
        self._begun_at = -math.inf
        self._begun_before = -math.inf
        self._took_s = 0.0
        self._readable_since: float | None = None
        self._paused_until = -math.inf

    # The book

    def note(self, now: float, mine: Version, levels: Callable[[], int]) -> None:
        """The book's version is ``mine``; ``levels`` renders it. O(1).

        To be told whenever it changes, and at :attr:`mark_at`.
        """
        if mine == self._mine:
            if now >= self.mark_at:
                self._mark(now, levels)
            return
        if self._mine is not None and mine < self._mine:
            self._marks.clear()  # another book, built anew
            self._unmarked, self._asked = None, None
        self._mine, self._mine_since = mine, now
        if not is_ahead(self.stored, mine):
            self.ahead_since = None
        if self.stored is not None and shows(self.stored, mine):
            self._unmarked = None
            self.settled = True
            return
        self._unmarked = (mine, now)
        if now >= self.mark_at:
            self._mark(now, levels)

    @property
    def mark_at(self) -> float:
        """When the book's levels are to be remembered; :data:`~updater.writing.NEVER` where they are."""
        return NEVER if self._unmarked is None else self._marked_at + MARKS_EVERY * self._look_every_s

    def _mark(self, now: float, levels: Callable[[], int]) -> None:
        if self._unmarked is None:
            return
        self._marked_at = now
        if len(self._marks) == MARKS:
            self._marks.pop()  # the oldest one tells the age
        self._marks.append(_Mark(*self._unmarked, levels()))
        self._unmarked = None

    # When to look

    @property
    def look_at(self) -> float:
        """When the next look is to begin; :data:`~updater.writing.NEVER` while there is one. O(marks)."""
        if self._looking:
            return NEVER
        if self._begun_at == -math.inf:
            return self._paused_until
        earliest = max(self._paused_until, self._begun_before + 2 * self._look_every_s)
        if self._readable_since is None:
            return earliest
        unhurried = self._begun_at + UNHURRIED * self._look_every_s
        telling_at = self._telling_at()
        if telling_at == NEVER:
            is_ahead = self.stored is not None and self._mine is not None and self.stored > self._mine
            return max(earliest, unhurried, self._begun_at + (self._ahead_s if is_ahead else self._patrol_s))
        # What the last look found older than the book may be the last word of a writer that just died.
        hurried = self._asked is not None and (self.stored is None or not shows(self.stored, self._asked))
        if hurried and telling_at > self._begun_at:
            return max(earliest, telling_at + MARGIN * self._look_every_s)
        return max(earliest, unhurried, telling_at + MARGIN * self._look_every_s)

    def _telling_at(self) -> float:
        """When a look may begin to show that the file lags, for all that is known of the book."""
        patience_s, readable = self._whole_patience_s, self._readable_since or -math.inf
        at = NEVER
        if self._marks:
            at = max(self._marks[0].since, readable) + patience_s + self._same_levels_s
        for mark in self._marks:
            if mark.levels != self._levels:
                return min(at, max(mark.since, readable) + patience_s)
        if self._unmarked is not None:
            at = min(at, max(self._unmarked[1], readable) + patience_s)
        return at

    @property
    def _whole_patience_s(self) -> float:
        return self.patience_s + self._every_s + 2 * self._took_s

    def looking(self, now: float, levels: Callable[[], int]) -> None:
        """A look was begun. ``levels`` renders the version that was noted last."""
        self._mark(now, levels)
        self._looking = True
        self._asked = self._mine
        self._begun_before, self._begun_at = self._begun_at, now

    # What it showed

    def saw(self, stored: Version | None, levels: int | None, now: float) -> None:
        """The look found this version with these levels; ``None`` both: no object, or no file of ours."""
        self._ended(now)
        self._backoff.reset()
        if self._readable_since is None:
            self._readable_since = self._begun_at
        if self._mine is None or not is_ahead(stored, self._mine):
            self.ahead_since = None
        elif self.ahead_since is None or stored != self.stored:
            self.ahead_since = now
        self.stored, self._levels = stored, levels
        if stored is not None:
            self.settled = self.settled or self._reached_by(stored)
            while self._marks and shows(stored, self._marks[0].version):
                self._marks.popleft()
            if self._unmarked is not None and shows(stored, self._unmarked[0]):
                self._unmarked = None
        mine = self._mine
        if mine is not None and not self._marks and (stored is None or not shows(stored, mine)):
            # What was there is gone, damaged or older: the next look tells for how long.
            self._unmarked = (mine, self._mine_since)
        self.lag_s = self._lag_s()

    def saw_the_same(self, now: float) -> None:
        """The look found the object that the one before it found."""
        self.saw(self.stored, self._levels, now)

    def saw_nothing(self, now: float) -> None:
        """The look failed."""
        self._ended(now)
        self.lag_s = None
        self._readable_since = None
        self._paused_until = now + self._backoff.next_s()

    def resume(self) -> None:
        """The store answers again: end the pause after looks that failed."""
        self._paused_until = -math.inf

    def _ended(self, now: float) -> None:
        self._looking = False
        self._took_s = max(now - self._begun_at, self._took_s / 2)

    def _reached_by(self, stored: Version) -> bool:
        """Whether ``stored`` is as new as some version that the book is remembered to have had."""
        if self._asked is None:
            return False
        return shows(stored, min(self._asked, self._marks[0].version) if self._marks else self._asked)

    def _lag_s(self) -> float | None:
        readable = self._readable_since
        if not self._marks or readable is None:
            return None
        moved_on = self._marks[-1].levels != self._levels
        patience_s = self._whole_patience_s
        for mark in self._marks:
            waited_s = self._begun_at - max(mark.since, readable)
            if waited_s < patience_s:
                break
            if waited_s >= patience_s + self._same_levels_s or (moved_on and mark.levels != self._levels):
                return self._begun_at - self._marks[0].since
        return None

    def behind_s(self, now: float) -> float:
        """For how long the file has been older than the book, if the last look found it older; else 0."""
        if not self._marks or self._marks[0].since > self._begun_at:
            return 0.0
        return max(0.0, now - self._marks[0].since)

    # Beginning anew

    def restart(self, now: float, stored: Version | None, *, reached: bool = False) -> None:
        """Begin to watch a file that was just seen to be of this version, having written it until now.

        ``reached``: whether it was seen to be as new as some version that the book had.
        """
        self._marks.clear()
        self._unmarked = self._mine = self._levels = self._asked = None
        self._marked_at = -math.inf
        self.stored, self.lag_s, self.ahead_since = stored, None, None
        self.settled = self.settled or reached
        self._begun_at = self._readable_since = now
        self._paused_until = -math.inf

    # Checking

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        versions = [mark.version for mark in self._marks]
        if self._unmarked is not None:
            versions.append(self._unmarked[0])
        assert len(self._marks) <= MARKS, "too much is remembered"
        assert versions == sorted(set(versions)), "versions out of order"
        assert not versions or self.stored is None or self.stored < versions[0], "what is seen is marked"
        assert self._begun_before <= self._begun_at, "looks out of order"
        if self.ahead_since is not None and self._mine is not None:
            assert is_ahead(self.stored, self._mine), "what is not ahead is called so"
        times = [mark.since for mark in self._marks]
        assert times == sorted(times), "marks out of order"
