"""How fresh a file in memory is: what an answer says of it beside the book. ``docs/freshness.md`` is the
contract with readers.

A file of version v was *current* at a moment if the exchange's stream had told nothing newer than v by then.
That is known

* at the exchange's own time of the diff that v ends with, which its writer put beside the file;
* at each moment at which a replica is known to have had its book at v and its stream alive
  (:class:`~server.pulse.Sighting`);
* by our own clock, and for the state alone: when the file was seen to be replaced by v, after the moment at
  which the store was last known to have an older one.

The state is judged by our own monotonic clock. Another clock's time is taken for a version first seen only,
and only where it is within ``stale_after_s`` of ours. Whatever is not known to have been current for longer
than that is ``stale``, and so is what the store has not confirmed for as long. A symbol that does not trade
sends no diffs and may be held by nobody: it is ``halted`` as long as the store confirms its file and the
fleet, which would tell of its return, is heard.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Final, NamedTuple

from depthcast.files import TRADING, Version, parse_key
from server.answers import Header
from server.edition import Edition
from server.hot import HotFile
from server.pulse import Pulse, Sighting

DEFAULT_STALE_AFTER_S: Final = 5.0
"""A quiet book's connection is pinged after 1.2 s, its replica beats each second, and we read each second. A
sighting is thus 2.3 s old when it is read, for certain, and up to 4.3 s when the next one is."""


class State(Enum):
    """What is known of how fresh a file is; the value is the header's."""

    LIVE = b"live"
    STALE = b"stale"
    HALTED = b"halted"
    PROXIED = b"proxied"
    """The exchange's own answer, in place of a stale file (:mod:`server.upstream`)."""


class Currency(NamedTuple):
    """How fresh one file is at one moment: what its answers are marked with.

    ``current_ms``: when it was last known to be current, in ms since 1970; ``None`` where that is not known.
    ``age_s``: whole seconds since the store last confirmed it. ``evidence``: what speaks against the symbol's
    trading, where something does.
    """

    state: State
    current_ms: int | None = None
    age_s: int = 0
    evidence: bytes = b""

    def headers(self) -> Iterator[Header]:
        """As headers of an answer."""
        yield b"depthcast-state", self.state.value
        if self.current_ms is not None:
            yield b"depthcast-current-time", b"%d" % self.current_ms
        if self.evidence:
            yield b"depthcast-evidence", self.evidence
        if self.age_s:
            # RFC 9111, 5.1: the time since the answer was generated or validated at the origin, here the
            # store. No Age stands for an answer that is as good as the store's own.
            yield b"age", b"%d" % self.age_s


class Judgement:
    """What is known of a file at one version. What is heard changes it; time that passes does not."""

    __slots__ = ("currency", "current_ms", "edition", "known_at", "sightings", "symbol")

    def __init__(self, symbol: str, edition: Edition, sightings: tuple[Sighting, ...]) -> None:
        self.symbol = symbol
        self.edition = edition
        self.sightings = sightings
        self.known_at = -math.inf
        """When the file was current, at least, by our monotonic clock."""
        self.current_ms: int | None = None
        self.currency = Currency(State.STALE)


class Freshness:
    """Judges files in memory by what the store and the fleet were last heard to say. ``pulse`` is filled by
    somebody else; without one nothing is heard of the fleet. ``wall_ms`` is our clock, in ms since 1970."""

    def __init__(
        self,
        pulse: Pulse | None = None,
        *,
        stale_after_s: float = DEFAULT_STALE_AFTER_S,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._pulse = pulse or Pulse(trust_s=stale_after_s)
        self._stale_after_s = stale_after_s
        self._wall_ms = wall_ms

    def of(self, file: HotFile, now: float) -> Currency:
        """How fresh ``file``, which has been read, is at ``now``, by the clock of the files in memory.

        The same object for as long as it says the same. O(1), but for a version first seen.
        """
        judged = self._judged(file, now)
        store_age_s = now - file.confirmed_at
        stale = now - self._known_at(file, judged) > self._stale_after_s or store_age_s > self._stale_after_s
        state = State.STALE if stale else State.LIVE if _trades(judged) else State.HALTED
        age_s = int(store_age_s) if store_age_s >= 1 else 0
        # Where the exchange itself says that it does not trade, nothing is left to be shown.
        evidence = self._pulse.evidence(judged.symbol, now) if _trades(judged) else b""
        if judged.currency != (state, judged.current_ms, age_s, evidence):
            judged.currency = Currency(state, judged.current_ms, age_s, evidence)
        return judged.currency

    def holds_until(self, file: HotFile, now: float) -> float:
        """Until when what :meth:`of` says at ``now`` stays right if nothing more is heard. O(1)."""
        known_at = min(self._known_at(file, self._judged(file, now)), file.confirmed_at)
        turns_stale_at = known_at + self._stale_after_s
        next_second = file.confirmed_at + max(0, math.floor(now - file.confirmed_at)) + 1
        return next_second if now > turns_stale_at else min(turns_stale_at, next_second)

    def stale_symbols(self, files: Iterable[HotFile], now: float) -> int:
        """Of how many symbols one of ``files`` is stale. O(files)."""
        stale = (file for file in files if self.of(file, now).state is State.STALE)
        return len({parse_key(file.key).symbol for file in stale})

    def _judged(self, file: HotFile, now: float) -> Judgement:
        judged = file.judged
        if judged is None:
            return self._judge(file, parse_key(file.key).symbol, None, now)
        # What is judged by is compared by identity: it is replaced when there is something new.
        if judged.edition is file.edition and judged.sightings is self._pulse.sightings(judged.symbol):
            return judged
        return self._judge(file, judged.symbol, judged, now)

    def _judge(self, file: HotFile, symbol: str, before: Judgement | None, now: float) -> Judgement:
        edition = file.edition
        assert edition is not None  # what HotFiles hands out has been read
        sightings = self._pulse.sightings(symbol)
        judged = file.judged = Judgement(symbol, edition, sightings)
        if before is not None and before.edition.version == edition.version:
            judged.known_at, judged.current_ms = before.known_at, before.current_ms
            judged.currency = before.currency
        elif not self._take_at_its_word(judged, now):
            judged.known_at = _known_by_writing(edition.version, file.written_after, sightings)
        for sighting in reversed(sightings):
            if _shows(edition.version, sighting.version):
                judged.known_at = max(judged.known_at, sighting.known_at)
                judged.current_ms = max(judged.current_ms or 0, sighting.time_ms)
                break
        return judged

    def _take_at_its_word(self, judged: Judgement, now: float) -> bool:
        """Believe of a version first seen what its writer says, where our clocks agree; whether they do."""
        info, wall_ms = judged.edition.info, self._wall_ms()
        if info.event_time_ms:
            judged.current_ms = min(info.event_time_ms, wall_ms)
        age_s = (wall_ms - (info.event_time_ms or info.publish_time_ms)) / 1000
        if abs(age_s) > self._stale_after_s:
            return False
        judged.known_at = now - max(0.0, age_s)
        return True

    def _known_at(self, file: HotFile, judged: Judgement) -> float:
        if _trades(judged):
            return judged.known_at
        return self._pulse.heard_at if self._pulse.visible else file.confirmed_at


def _trades(judged: Judgement) -> bool:
    return judged.edition.info.status == TRADING


def _shows(file: Version, book: Version) -> bool:
    """Whether the file is the book's: at its update id, be it of an earlier epoch. Such a file has the
    book's levels, and its writer leaves it alone until the next update (:func:`updater.writing.shows`)."""
    return file == book or (file.update_id == book.update_id and file.epoch < book.epoch)


def _known_by_writing(version: Version, written_after: float, sightings: tuple[Sighting, ...]) -> float:
    """When a version was current that was seen to be written. One that a replica had before, or that was
    overtaken before, was written late: then it is as old as the last sighting that is not newer."""
    if not sightings or sightings[-1].version < version:
        return written_after
    known_at = max((each.known_at for each in sightings if each.version <= version), default=-math.inf)
    return min(written_after, known_at)
