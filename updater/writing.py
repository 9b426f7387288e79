"""``KeyWriter``: what one replica knows of one key, and what it may do next. Sans-I/O, no clock.

This is the write rule of the system: *a write always carries a condition, and any outcome but "won" is
followed by a read and a comparison*. So

* a write is ``If-Match`` on the ETag of an object whose version was seen to be smaller, or
  ``If-None-Match: *`` where no object was seen;
* after LOST, THROTTLED and UNKNOWN nothing is known any more, and the next step is a look;
* an object that is not a file of ours is older than any file;
* a file of an earlier epoch at the book's own update id is that book already, and is not written before the
  next update: the same bytes have the same ETag where it is made of the body, and a writer that holds the
  file as it was could put the earlier epoch back.

Replicas that follow it never make a file older, whatever is lost, late or done twice, and need not know of
each other. Promises beside: one request in flight a key; no write more often than the cadence; a file whose
levels would stay as they are is written at most every ``same_levels_s``, though it is then, for the progress
of its update id tells readers that it is current.

Leaves to others: rendering, sending, and which of two epochs is right (:mod:`updater.publisher`).

============  ============================================  ==========================================
known         the caller's book is                          step
============  ============================================  ==========================================
unseen        anything                                      look
missing       anything                                      write, if there is none
held          newer than the object, or it is damaged       write, if it still is that one
held          the object's own version, or in a later       wait for the book; look every ``patrol_s``
              epoch at the object's own id
held          older than the object                         wait for the book; look every ``watch_s``
============  ============================================  ==========================================

A write waits for its cadence, and anything waits for the pause after a failure. The patrol finds out, where
no update does, that somebody deleted or damaged the object.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from depthcast.backoff import Backoff
from depthcast.errors import BadFile
from depthcast.files import Version, version_of
from depthcast.store import Outcome, PutResult, StoredObject
from depthcast.venues.binance_files import LAYOUT

UNWRITTEN: Final = 64
"""How many versions of the book newer than the file are remembered, to know how old the file is."""

NEVER: Final = math.inf
"""A time the clock does not reach: something else has to happen first."""


class Look(NamedTuple):
    """Read the head of the object."""


class Write(NamedTuple):
    """Write the newest book if the object's ETag is ``match``; ``None``: if there is no object."""

    match: str | None


class Wait(NamedTuple):
    """Do nothing before ``until``, unless the book changes or a request in flight ends."""

    until: float


Step = Look | Write | Wait


class Known(Enum):
    """What is known of an object that is not held: nothing, or that there is none."""

    UNSEEN = "unseen"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Held:
    """The object as last seen, first seen at ``since``; ``version`` is ``None`` where it is damaged."""

    etag: str
    version: Version | None
    since: float


class _Attempt(NamedTuple):
    """A write: of which version, with which levels (``None``: not kept)."""

    version: Version
    levels: bytes | None


class KeyWriter:
    """One key's knowledge and cadence. Times are readings of the caller's monotonic clock, in seconds.

    The caller asks :meth:`next_step`, says what it began (:meth:`looking`, :meth:`writing`) and how it ended
    (:meth:`saw` or :meth:`saw_nothing`; :meth:`done`). ``every_s`` is the least time between two writes of
    the object, by whichever replica. ``unnumbered`` is that of the file's layout
    (:class:`~depthcast.scheme.Layout`), ``backoff`` belongs to this key alone.
    """

    def __init__(
        self,
        key: str,
        *,
        unnumbered: Callable[[bytes], bytes] = LAYOUT.unnumbered,
        # Cadence
        every_s: float = 0.0,
        same_levels_s: float = 1.0,
        watch_s: float = 1.0,
        patrol_s: float = 300.0,
        # Retries
        backoff: Backoff | None = None,
    ) -> None:
        self.key = key
        self._unnumbered = unnumbered
        self._every_s = every_s
        self._same_levels_s = same_levels_s
        self._watch_s = watch_s
        self._patrol_s = patrol_s
        self._backoff = backoff or Backoff(0.1, maximum_s=10.0)

        self.stored: Version | None = None
        """The version of the stored file; ``None`` where it is unseen, missing or damaged."""
        self.ahead_since: float | None = None
        """Since when one unmoved object has been ahead of the caller's book within its epoch.

        ``None`` where it is not, or unseen; where the next look shows the same object, it counts from before.
        """
        self.settled = False
        """Whether the stored file was as new as the caller's book at least once."""
        self._ahead: Held | None = None
        """The object that was ahead when it was seen last, ``since`` then; kept while it is unseen."""
        self._object: Held | Known = Known.UNSEEN
        self._seen_before = False
        self._looking = False
        self._writing: _Attempt | None = None
        self._last: _Attempt | None = None
        self._write_from = -math.inf
        self._known_at = -math.inf
        self._paused_until = -math.inf
        self._throttled = False
        """Whether the pause is one that the store asked for."""
        self._unwritten: deque[tuple[Version, float]] = deque()
        """Versions of the caller's book that are newer than the file, and when each was first heard of."""

    # What is known

    @property
    def in_flight(self) -> bool:
        """Whether a request was begun and its end not told yet."""
        return self._looking or self._writing is not None

    def behind_s(self, now: float, mine: Version) -> float:
        """For how long the stored file has been out of date: since the caller's book moved on from it.

        0 where the file is as new as the caller's book ``mine``. To be asked, or :meth:`next_step`, whenever
        ``mine`` changes: a version counts from the first such call.
        """
        self._compare(now, mine)
        return max(0.0, now - self.behind_since)

    @property
    def behind_since(self) -> float:
        """When the stored file became out of date; :data:`NEVER` where, as far as was asked, it did not."""
        return self._unwritten[0][1] if self._unwritten else NEVER

    def _compare(self, now: float, mine: Version) -> None:
        stored = self.stored
        if stored is None or (stored < mine and not shows(stored, mine)):
            self.ahead_since = None
            if self._ahead is not None and (stored is not None or not is_ahead(self._ahead.version, mine)):
                self._ahead = None
            self._note_unwritten(now, mine)
            return
        self._unwritten.clear()
        self.settled = True
        if stored == mine or not is_ahead(stored, mine):
            self.ahead_since = self._ahead = None
        elif self.ahead_since is None:
            self._note_ahead(now)

    def _note_ahead(self, now: float) -> None:
        held = self._object
        assert isinstance(held, Held)
        if self._ahead is None:
            self._ahead = Held(held.etag, held.version, now)
        self.ahead_since = self._ahead.since

    def _note_unwritten(self, now: float, mine: Version) -> None:
        versions = self._unwritten
        if versions and versions[-1][0] == mine:
            return
        if versions and versions[-1][0] > mine:
            versions.clear()  # another book, built anew
        elif len(versions) == UNWRITTEN:
            versions.pop()  # the oldest one tells the age
        versions.append((mine, now))

    def _hold(self, held: Held) -> None:
        self._object, self.stored = held, held.version
        self._known_at, self._seen_before, self.ahead_since = held.since, True, None
        if self._ahead is not None and (self._ahead.etag, self._ahead.version) != (held.etag, held.version):
            self._ahead = None
        while held.version is not None and self._unwritten and self._unwritten[0][0] <= held.version:
            self._unwritten.popleft()

    # What to do

    def next_step(self, now: float, mine: Version) -> Step:
        """The next step for a caller whose book is ``mine``."""
        self._compare(now, mine)
        if self.in_flight:
            return Wait(NEVER)
        if now < self._paused_until:
            return Wait(self._paused_until)
        if self._object is Known.UNSEEN:
            return Look()
        stored = self.stored
        if stored is not None and (stored == mine or shows(stored, mine)):
            every_s = self._watch_s if stored > mine else self._patrol_s
            return self._look_from(now, self._known_at + every_s)
        if now < self._write_from:
            return Wait(self._write_from)
        return Write(self._object.etag if isinstance(self._object, Held) else None)

    @staticmethod
    def _look_from(now: float, start: float) -> Step:
        return Look() if now >= start else Wait(start)

    def hold_until(self, now: float, mine: Version, body: bytes) -> float | None:
        """When ``body``, rendered for a :class:`Write`, will be worth writing; ``None``: it is now.

        It is not where the stored file has the same levels and is younger than ``same_levels_s``.
        """
        held, last = self._object, self._last
        if not isinstance(held, Held) or last is None or held.version != last.version:
            return None
        until = held.since + self._same_levels_s
        if now >= until or last.version.epoch != mine.epoch or last.levels != self._unnumbered(body):
            return None
        return until

    # What was begun, and how it ended

    def looking(self) -> None:
        """The :class:`Look` was begun."""
        self._looking = True

    def saw(self, found: StoredObject | None, now: float) -> BadFile | None:
        """The look found this object or none. Returns what is wrong with one that is no file of ours."""
        self._looking = False
        self._known_at = now
        if found is None:
            self._object, self.stored, self.ahead_since, self._ahead = Known.MISSING, None, None, None
            self._seen_before = True
            return None
        damage = None
        try:
            version = version_of(self.key, found.body, found.metadata)
        except BadFile as error:
            version, damage = None, error
        held = self._object
        # An ETag may be made of the body alone, and then does not change with the epoch.
        if isinstance(held, Held) and (held.etag, held.version) == (found.etag, version):
            return None
        if self._seen_before and version is not None:
            # Somebody wrote it just now: the cadence is the object's, not the writer's.
            self._write_from = max(self._write_from, now + self._every_s)
        if version is not None and self._last is not None and version >= self._last.version:
            # What was lost to is as new as what this replica had.
            self.settled = True
        self._hold(Held(found.etag, version, now))
        return damage

    def saw_nothing(self, now: float) -> None:
        """The look failed."""
        self._looking = False
        self._forget()
        self._pause(now, throttled=False)

    def writing(self, now: float, version: Version, body: bytes) -> None:
        """The :class:`Write` was begun: ``body`` is the file of ``version``."""
        keep = self._every_s < self._same_levels_s
        self._writing = _Attempt(version, self._unnumbered(body) if keep else None)
        self._write_from = now + self._every_s

    def done(self, result: PutResult, now: float) -> None:
        """The write ended like this."""
        attempt = self._writing
        if attempt is None:
            raise ValueError(f"no write of {self.key} was begun")
        self._writing, self._last = None, attempt
        if result.outcome is Outcome.WON and result.etag is not None:
            self._hold(Held(result.etag, attempt.version, now))
            self.settled = True
            self._backoff.reset()
            return
        self._forget()
        if result.outcome is Outcome.LOST:
            self._backoff.reset()
        else:
            self._pause(now, throttled=result.outcome is Outcome.THROTTLED)

    def doubt(self) -> None:
        """Others may have written for a while: look before the next write, and count ages from then.

        A request in flight goes on; its end tells what is known.
        """
        self._seen_before = False
        self._unwritten.clear()
        if not self.in_flight:
            self._forget()

    def was_ahead(self, etag: str, version: Version, since: float) -> None:
        """This object has been ahead of the caller's book since then, as was seen elsewhere."""
        held = self._object
        if not isinstance(held, Held) or (held.etag, held.version) == (etag, version):
            self._ahead, self.ahead_since = Held(etag, version, since), None

    def _forget(self) -> None:
        self._object, self.stored = Known.UNSEEN, None
        self.ahead_since = None

    def _pause(self, now: float, *, throttled: bool) -> None:
        self._paused_until, self._throttled = now + self._backoff.next_s(), throttled

    def resume(self) -> None:
        """The store answers again: end the pause, unless the store asked for it."""
        if not self._throttled:
            self._paused_until = -math.inf

    # Checking

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        held = self._object if isinstance(self._object, Held) else None
        assert self.stored == (held and held.version), "two opinions of what is stored"
        assert not (self._looking and self._writing), "two requests in flight"
        assert self.ahead_since is None or not self._unwritten, "both ahead and behind"
        assert len(self._unwritten) <= UNWRITTEN, "too much is remembered"
        newer = [version for version, _ in self._unwritten]
        assert newer == sorted(set(newer)), "versions out of order"
        assert not newer or self.stored is None or self.stored < newer[0], "what is written is not unwritten"
        if self._writing is not None:
            assert self._object is not Known.UNSEEN, "writing what was never seen"
            assert self.stored is None or self.stored < self._writing.version, "writing an older file"
        if self.ahead_since is not None:
            assert self.stored is not None, "nothing known is ahead of nothing"
            assert self.stored == (self._ahead and self._ahead.version), "another one was ahead"


def shows(stored: Version, mine: Version) -> bool:
    """Whether a stored file is as new as the book ``mine``: be it of an earlier epoch, at the same id.

    >>> [shows(Version(0, 10), mine) for mine in (Version(0, 9), Version(0, 11), Version(1, 10))]
    [True, False, True]
    """
    return stored >= mine or stored.update_id == mine.update_id


def is_ahead(stored: Version | None, mine: Version) -> bool:
    """Whether a stored file has a greater id than the book ``mine``, in the same epoch."""
    return stored is not None and stored.epoch == mine.epoch and stored.update_id > mine.update_id
