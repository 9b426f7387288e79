"""``Workload``: how many requests a fleet and its servers make of the store, from their settings. Pure.

Rates are for symbols whose updates come evenly, ``updates_per_s`` each; quiet symbols cost less. What the
formulas rest on:

* a file is written at most once per cadence, at each update that changes its levels, and otherwise once per
  ``same_levels_s`` (:mod:`updater.writing`);
* of the replicas that hold a symbol one writes, and each of the others looks at one file of it, the largest
  of those written most often (:mod:`updater.watch`);
* every replica writes its heartbeat once a second, lists all heartbeats twice a second and reads those that
  changed (:mod:`updater.fleet`); every server lists and reads them once per ``heartbeats_s``
  (:mod:`server.listener`);
* every server reads each file that is asked for once per ``refresh_s``, or a tenth earlier, whoever asks and
  however often (:mod:`server.hot`);
* one replica compares each answer about the exchange with the newest change, by two small reads
  (:mod:`depthcast.metadata.recorder`), and every replica looks at the stored list
  (:mod:`updater.listings`), as every server does while somebody asks for it;
* of a symbol that is taped one replica writes each segment and enters it into its day's index, each of the
  others looks once, and the heatmap's tiles are made of what was written (:mod:`depthcast.plan.recording`).

Left out, as less than a hundredth of the rest: lost writes and the looks that follow them, patrols, marks,
what a change of the exchange's rules makes of reads.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

from depthcast.plan.recording import KEYFRAME_BYTES, UPDATE_BYTES, Recording

BEAT_EVERY_S: Final = 1.0
FLEET_READ_EVERY_S: Final = 0.5
LOOK_EVERY_S: Final = 0.5
UNHURRIED: Final = 1.6
MARKS_EVERY: Final = 0.4
MARGIN: Final = 0.05
EARLIER: Final = 0.1
"""By this part of an interval a server refreshes a file earlier, for what the read takes."""

LIST_LOOKED_AT_EVERY_S: Final = 5.0
SERVER_READS_LIST_EVERY_S: Final = 10.0
SYMBOLS_LISTED_EVERY_S: Final = 300.0
SERVER_LISTS_EVERY_S: Final = 10.0
"""Those above are the services' own; a test holds them together."""

LISTED_AT_ONCE: Final = 1000
"""Objects in one answer of a listing, on any S3."""

LEVEL_BYTES: Final = 31.1
"""Bytes of a level in a file: the mean of ETHUSDT's, as recorded on 2024-08-08."""

FRAME_BYTES: Final = 48
"""Bytes of a file beside its levels."""

HEARTBEAT_BYTES: Final = (470, 195)
"""Bytes of a heartbeat: of one without symbols, and of each symbol in it."""

START_READS: Final = 2
"""Whole files that a starting replica reads of each symbol, until one reaches back to its stream."""

POLL_READS: Final = 2
"""Small reads of an answer that says nothing new: of the newest change, and of the current file."""

CHANGE_WRITES: Final = 5
"""Writes of a change of one symbol: the head, the change, its part for the symbol, the current file, the
symbol's cut."""

CHANGES: Final[Mapping[int, float]] = MappingProxyType(
    {5: 0.863, 10: 0.919, 20: 0.945, 50: 0.973, 100: 0.982, 500: 0.993, 1000: 0.993, 5000: 0.996}
)
"""The share of updates that change the levels of a file, by its limit: of 2,998 updates of ETHUSDT in 302 s
of 2024-08-08."""

DAY_S: Final = 86_400.0
MONTH_S: Final = 30 * DAY_S


class Kind(Enum):
    """Kinds of requests, as stores charge for them."""

    PUT = "PUT"
    LIST = "LIST"
    GET = "GET"


class Purpose(Enum):
    """What requests are for."""

    WRITES = "files written"
    LOOKS = "standbys look at files"
    BEATS = "heartbeats written"
    BEATS_LISTED = "heartbeats listed"
    BEATS_READ = "heartbeats read"
    REFRESHES = "servers refresh files"
    LISTINGS = "published files listed"
    LISTS = "list of symbols looked at"
    POLLS = "polls compared"
    CHANGES = "changes recorded"
    TAPE = "tape written"
    TAPE_READ = "tape looked at"
    HEAT = "heatmap written"
    HEAT_READ = "heatmap's tape and tiles read"
    STARTS = "replicas start"


class Flow(NamedTuple):
    """Requests of one kind: how many a second, and the bytes of bodies that go in or come out with them."""

    purpose: Purpose
    kind: Kind
    per_s: float
    bytes_per_s: float


@dataclass(frozen=True)
class Workload:
    """A fleet, its servers and its readers. ``every_s`` is the cadence by published limit; ``sizes`` are how
    many levels a side the files of a limit have and how many bytes each, where that is not the limit and
    ``level_bytes``.

    ``redundancy`` 0 means all replicas. ``hot_files`` are those that each server is asked for all the time,
    ``None``: all; ``starts`` are those of each replica in a month. ``readers`` ask ``reads_per_s`` times a
    second for ``read_limit`` levels and are on the internet. ``symbols_every_s`` 0 means that the exchange's
    list is not followed, ``system_status_every_s`` 0 that its status is not asked for; ``taped`` symbols are
    recorded, in segments of ``segment_s``, with a heatmap or not; ``changes_per_day``
    are those of all documents together, of ``change_bytes`` each as they are kept, and of ``list_bytes`` as
    a whole. Raises ``ValueError`` for what makes no sense.
    """

    symbols: int
    every_s: Mapping[int, float]
    # The market
    updates_per_s: float = 10.0
    changes: Mapping[int, float] = field(default_factory=lambda: CHANGES)
    level_bytes: float = LEVEL_BYTES
    sizes: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    # The fleet
    replicas: int = 3
    redundancy: int = 0
    takeover_after_s: float = 0.5
    same_levels_s: float = 1.0
    starts: float = 4.0
    # The servers
    servers: int = 2
    hot_files: int | None = None
    refresh_s: float = 0.1
    heartbeats_s: float = 1.0
    # What the exchange says of itself
    symbols_every_s: float = 60.0
    system_status_every_s: float = 0.0
    changes_per_day: float = 20.0
    change_bytes: float = 150_000.0
    list_bytes: float = 4_000_000.0
    history_days: float = 400.0
    # The tape
    taped: int = 0
    segment_s: float = 60.0
    keyframe_bytes: float = KEYFRAME_BYTES
    update_bytes: float = UPDATE_BYTES
    heatmap: bool = True
    tape_days: float = 30.0
    heat_days: float = 30.0
    # The readers
    readers: int = 0
    reads_per_s: float = 1.0
    read_limit: int = 100

    def __post_init__(self) -> None:
        if self.symbols < 1 or self.replicas < 1 or not self.every_s or not self.changes:
            raise ValueError("a plan needs a symbol, a replica and a limit at least")
        if (
            self.updates_per_s <= 0
            or self.refresh_s <= 0
            or self.heartbeats_s <= 0
            or self.takeover_after_s <= 0
        ):
            raise ValueError("rates and times should be greater than 0")
        kept = (self.symbols_every_s, self.system_status_every_s, self.changes_per_day, self.history_days)
        if min(*kept, self.change_bytes, self.list_bytes) < 0:
            raise ValueError("what the exchange says of itself should not be less than 0")
        if not 0 <= self.taped <= self.symbols or self.segment_s <= 0:
            raise ValueError("no more symbols are taped than there are, in segments that have a length")
        if min(self.tape_days, self.heat_days, self.keyframe_bytes, self.update_bytes) < 0:
            raise ValueError("what is taped should not be less than 0")
        if not all(0 < share <= 1 for share in self.changes.values()):
            raise ValueError("shares of updates should be greater than 0 and at most 1")

    # Sizes

    def file_bytes(self, limit: int) -> float:
        """Bytes of a file of ``limit``."""
        levels, each = self.sizes.get(limit, (limit, self.level_bytes))
        return FRAME_BYTES + 2 * levels * each

    def levels(self, limit: int) -> float:
        """How many levels a side a file of ``limit`` has."""
        return self.sizes[limit][0] if limit in self.sizes else limit

    @property
    def largest(self) -> int:
        """The limit of the largest file."""
        return max(self.every_s, key=self.file_bytes)

    @property
    def files(self) -> int:
        """How many files are published."""
        return self.symbols * len(self.every_s)

    @property
    def stored_bytes(self) -> float:
        """What is kept: every file once, the heartbeats, and the history of as many days as it is kept."""
        files = self.symbols * sum(map(self.file_bytes, self.every_s)) + self.replicas * self._beat_bytes
        return files + self.history_bytes

    @property
    def recording(self) -> Recording:
        """What is recorded of one symbol."""
        return Recording(self.updates_per_s, self.segment_s, self.keyframe_bytes, self.update_bytes)

    @property
    def tape_bytes(self) -> float:
        """Bytes of the tape, of as many days as it is kept."""
        return self.taped * self.tape_days * self.recording.day_bytes

    @property
    def heat_bytes(self) -> float:
        """Bytes of the heatmap, of as many days as it is kept."""
        return self.taped * self.heat_days * self.recording.heat_day_bytes if self.heatmap else 0.0

    @property
    def history_bytes(self) -> float:
        """Bytes of all changes that are kept, the current document and the newest change besides."""
        if not self.changes_per_day:
            return 0.0
        return (self.changes_per_day * self.history_days + 1) * self.change_bytes + self.list_bytes

    @property
    def holders(self) -> int:
        """How many replicas hold each symbol."""
        return min(self.redundancy or self.replicas, self.replicas)

    @property
    def _beat_bytes(self) -> float:
        bare, each = HEARTBEAT_BYTES
        return bare + each * self.symbols * self.holders / self.replicas

    # Rates

    def change(self, limit: int) -> float:
        """The share of updates that change a file's levels; between the known sizes by their logarithm."""
        known, levels = sorted(self.changes), self.levels(limit)
        if levels <= known[0]:
            return self.changes[known[0]]
        for lower, upper in pairwise(known):
            if levels <= upper:
                part = math.log(levels / lower) / math.log(upper / lower)
                return self.changes[lower] + part * (self.changes[upper] - self.changes[lower])
        return self.changes[known[-1]]

    def write_interval_s(self, limit: int) -> float:
        """The mean time between two writes of a file.

        With updates every d seconds, the g-th of which is the first to change the file's levels, the next
        write comes after max(cadence, d, min(g d, same levels)); g is geometric.
        """
        every_s, step_s, same_s = self.every_s[limit], 1 / self.updates_per_s, self.same_levels_s
        share = self.change(limit)
        least_s = max(every_s, step_s)
        if share == 1 or same_s <= least_s:
            return least_s
        mean_s, left = 0.0, 1.0
        for count in range(1, math.ceil(same_s / step_s)):
            mean_s += left * share * max(least_s, count * step_s)
            left *= 1 - share
        return mean_s + left * max(least_s, same_s)

    def writes_per_s(self, limit: int) -> float:
        """Writes a second of one file."""
        return 1 / self.write_interval_s(limit)

    @property
    def watched(self) -> int:
        """The limit of the file that standbys look at."""
        return min(self.every_s, key=lambda limit: (self.every_s[limit], -self.levels(limit)))

    def look_interval_s(self, rank: int) -> float:
        """The mean time between two looks of the standby of ``rank`` (from 1) at one symbol's file.

        A look is of no use before its book has been ahead of the file for as long as the rank asks, and is
        not hurried where the file was as new as the book.
        """
        look_s = max(LOOK_EVERY_S, self.takeover_after_s)
        ahead_s = max(self.write_interval_s(self.watched), MARKS_EVERY * look_s)
        patience_s = rank * self.takeover_after_s + self.every_s[self.watched]
        return max(UNHURRIED * look_s, ahead_s + patience_s + MARGIN * look_s)

    # Requests

    def flows(self) -> Iterator[Flow]:
        """All requests of the store, by purpose."""
        yield self._writes()
        yield self._looks()
        beats_per_s = self.replicas / BEAT_EVERY_S
        yield Flow(Purpose.BEATS, Kind.PUT, beats_per_s, beats_per_s * self._beat_bytes)
        pages = math.ceil(self.replicas / LISTED_AT_ONCE)
        servers_per_s = self.servers / self.heartbeats_s
        listed_per_s = self.replicas / FLEET_READ_EVERY_S + servers_per_s
        yield Flow(Purpose.BEATS_LISTED, Kind.LIST, pages * listed_per_s, 0.0)
        read_per_s = beats_per_s * (self.replicas - 1) + min(servers_per_s, self.servers) * self.replicas
        yield Flow(Purpose.BEATS_READ, Kind.GET, read_per_s, read_per_s * self._beat_bytes)
        yield self._refreshes()
        pages = math.ceil(self.files / LISTED_AT_ONCE)
        listed_per_s = self.replicas / SYMBOLS_LISTED_EVERY_S + self.servers / SERVER_LISTS_EVERY_S
        yield Flow(Purpose.LISTINGS, Kind.LIST, pages * listed_per_s, 0.0)
        yield from self._metadata()
        if self.taped:
            yield from self._tape()
        yield self._starts()

    def _writes(self) -> Flow:
        per_s = {limit: self.symbols * self.writes_per_s(limit) for limit in self.every_s}
        moved = sum(rate * self.file_bytes(limit) for limit, rate in per_s.items())
        return Flow(Purpose.WRITES, Kind.PUT, sum(per_s.values()), moved)

    def _looks(self) -> Flow:
        written_per_s = self.writes_per_s(self.watched)
        per_s = [1 / self.look_interval_s(rank) for rank in range(1, self.holders)]
        changed = self.symbols * sum(min(rate, written_per_s) for rate in per_s)
        return Flow(
            Purpose.LOOKS, Kind.GET, self.symbols * sum(per_s), changed * self.file_bytes(self.watched)
        )

    def _refreshes(self) -> Flow:
        files = self.files if self.hot_files is None else min(self.hot_files, self.files)
        per_s = self.servers * files / (self.refresh_s * (1 - EARLIER))
        # Where only some are hot, they are taken to be spread over all limits.
        each = self.servers * files / len(self.every_s)
        moved = sum(
            each * min(1 / self.refresh_s, self.writes_per_s(limit)) * self.file_bytes(limit)
            for limit in self.every_s
        )
        return Flow(Purpose.REFRESHES, Kind.GET, per_s, moved)

    def _metadata(self) -> Iterator[Flow]:
        changes_per_s = self.changes_per_day / DAY_S
        looked_per_s = 0.0
        if self.symbols_every_s:
            looked_per_s = self.replicas / min(LIST_LOOKED_AT_EVERY_S, self.symbols_every_s)
        looked_per_s += self.servers / SERVER_READS_LIST_EVERY_S
        # Who looks reads the whole of it where it changed.
        moved = changes_per_s * (self.replicas + self.servers) * self.list_bytes
        yield Flow(Purpose.LISTS, Kind.GET, looked_per_s, moved)
        polls_per_s = sum(
            1 / every_s for every_s in (self.symbols_every_s, self.system_status_every_s) if every_s
        )
        yield Flow(Purpose.POLLS, Kind.GET, POLL_READS * polls_per_s, POLL_READS * polls_per_s)
        yield Flow(
            Purpose.CHANGES,
            Kind.PUT,
            CHANGE_WRITES * changes_per_s,
            changes_per_s * (2 * self.change_bytes + self.list_bytes),
        )

    def _tape(self) -> Iterator[Flow]:
        each = self.recording
        puts, gets = self.taped * each.puts_per_s, self.taped * each.gets_per_s
        looks = self.taped * (self.holders - 1) / self.segment_s
        yield Flow(Purpose.TAPE, Kind.PUT, puts, self.taped * each.written_per_s)
        yield Flow(Purpose.TAPE_READ, Kind.GET, gets + looks, self.taped * each.read_per_s + looks)
        if self.heatmap:
            puts, gets = self.taped * each.heat_puts_per_s, self.taped * each.heat_gets_per_s
            yield Flow(Purpose.HEAT, Kind.PUT, puts, self.taped * each.heat_written_per_s)
            yield Flow(Purpose.HEAT_READ, Kind.GET, gets, self.taped * each.heat_read_per_s)

    def _starts(self) -> Flow:
        starts_per_s = self.replicas * self.starts / MONTH_S
        held, written = self.symbols * self.holders / self.replicas, self.symbols / self.replicas
        reads = starts_per_s * held * START_READS
        looks = starts_per_s * written * len(self.every_s)
        return Flow(Purpose.STARTS, Kind.GET, reads + looks, reads * self.file_bytes(self.largest))

    @property
    def served_bytes_per_s(self) -> float:
        """Bytes a second that go to readers."""
        return self.readers * self.reads_per_s * self.file_bytes(self.read_limit)
