"""No reader is ever told of a moment at which the file was not the book.

A small world that shares no code with what it judges: the exchange's true version over time; replicas that
hear of it late, go deaf without noticing, and whose clocks are wrong; a writer that is slow and dies; a
server that reads files and heartbeats at its own pace. Whatever the server claims is compared with the truth.
Planted faults show that the comparison can fail.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

import pytest

from depthcast.files import FileInfo
from depthcast.heartbeat import Heartbeat, SymbolBeat
from depthcast.store import StoredObject
from server.edition import Edition
from server.freshness import Freshness, State
from server.hot import HotFile
from server.pulse import Pulse

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

SYMBOL: Final = "ETHUSDT"
KEY: Final = f"api/v3/depth?symbol={SYMBOL}&limit=5"
NOON_MS: Final = 1_790_000_000_000
STEP_MS: Final = 20
LASTS_MS: Final = 60_000
STALE_MS: Final = 5000
MOST_DELAY_MS: Final = 200
MOST_SKEW_MS: Final = 40
MOST_LATE_MS: Final = 1800
"""From a diff to its file's being read: the delay, the cadence, the write and the reading. Or from composing
a heartbeat to its being read."""
SEEDS: Final = range(24)

Twist = Callable[[Heartbeat], Heartbeat]


class Truth:
    """The exchange's version over time, busy and quiet by turns."""

    def __init__(self, rng: Random) -> None:
        self.times_ms: list[int] = [0]
        now = 0
        while now < LASTS_MS:
            quiet = rng.random() < 0.1
            now += rng.randrange(3000, 15_000) if quiet else rng.randrange(100, 900)
            self.times_ms.append(now)

    def version_at(self, ms: int) -> int:
        return bisect_right(self.times_ms, ms)

    def was(self, version: int, around_ms: int, error_ms: int) -> bool:
        """Whether ``version`` was the true one at a moment within ``error_ms`` of ``around_ms``."""
        return self.version_at(around_ms - error_ms) <= version <= self.version_at(around_ms + error_ms)


@dataclass
class Replica:
    """Hears all that was sent more than its delay ago, but what falls into its deaf time."""

    truth: Truth
    rng: Random
    name: str
    delay_ms: int = field(init=False)
    skew_ms: int = field(init=False)
    version: int = 1
    heard_ms: int = 0
    told_ms: int = 0
    deaf: tuple[int, int, int] = field(init=False)
    """From when on nothing arrives, when that is noticed, and when the book is rebuilt."""
    dies_ms: int = field(init=False)
    beats: int = 0

    def __post_init__(self) -> None:
        rng = self.rng
        self.delay_ms = rng.randrange(10, MOST_DELAY_MS)
        self.skew_ms = rng.randrange(-MOST_SKEW_MS, MOST_SKEW_MS)
        begins = rng.randrange(5000, 50_000)
        noticed = begins + rng.randrange(1000, 6000)
        self.deaf = (begins, noticed, noticed + rng.randrange(100, 5000))
        self.dies_ms = rng.choice([LASTS_MS, rng.randrange(10_000, LASTS_MS)])

    def step(self, now: int) -> None:
        begins, _, rebuilt = self.deaf
        if begins <= now < rebuilt:
            return
        sent = now - self.delay_ms
        version = self.truth.version_at(sent)
        if version > self.version or self.rng.random() < 0.02:  # or another symbol's frame
            self.heard_ms = now
        if version > self.version:
            self.version = version
            self.told_ms = self.truth.times_ms[version - 1]

    def beat(self, now: int) -> Heartbeat:
        self.beats += 1
        knows = not self.deaf[1] <= now < self.deaf[2]
        part = SymbolBeat(
            live=knows,
            epoch=1,
            id=self.version,
            heard_age_ms=now - self.heard_ms if knows else None,
        )
        return Heartbeat(
            replica=self.name,
            beat=self.beats,
            time_ms=NOON_MS + now + self.skew_ms,
            symbols={SYMBOL: part},
        )


class World:
    """One run; ``twist`` spoils heartbeats, ``told`` the files' times."""

    def __init__(
        self, store: "WatchedStore", seed: int, *, twist: Twist = lambda beat: beat, told: int = 0
    ) -> None:
        self.rng = Random(seed)
        self.truth = Truth(self.rng)
        self.replicas = [Replica(self.truth, self.rng, name) for name in ("a", "b")]
        self.pulse = Pulse(trust_s=STALE_MS / 1000)
        self.now = 0
        self.freshness = Freshness(
            self.pulse, stale_after_s=STALE_MS / 1000, wall_ms=lambda: NOON_MS + self.now
        )
        self.file = HotFile(KEY)
        self.states: set[State] = set()
        self.vouched = 0
        self._store = store
        self._twist = twist
        self._told = told
        self._stored: tuple[int, int] = (0, 0)

    def run(self) -> None:
        """Go through the minute, and compare what is claimed at each moment."""
        cadence_ms = self.rng.choice([0, 250, 1000])
        writes_at, beats_at = 0, [500, 900]
        coming_files: list[tuple[int, int, int]] = []
        coming_beats: list[tuple[int, Heartbeat]] = []
        for now in range(0, LASTS_MS, STEP_MS):
            self.now = now
            alive = [each for each in self.replicas if now < each.dies_ms]
            for number, replica in enumerate(self.replicas):
                if replica not in alive:
                    continue
                replica.step(now)
                if now >= beats_at[number]:
                    beats_at[number] = now + 1000
                    lands = now + self.rng.randrange(10, 400)
                    coming_beats.append((lands, self._twist(replica.beat(now))))
            if alive and now >= writes_at and alive[0].version > self._stored[0]:
                writer = alive[0]
                writes_at = now + max(cadence_ms, 50)
                told = writer.told_ms + (now - writer.told_ms) * self._told
                coming_files.append((now + self.rng.randrange(10, 300), writer.version, told))
            for landed in [each for each in coming_files if each[0] <= now]:
                coming_files.remove(landed)
                self._stored = max(self._stored, landed[1:])
            if now % 100 == 0 and self._stored[0]:
                self._read_file()
            if now % 1000 == 700:
                landed_beats = [beat for lands, beat in coming_beats if lands <= now]
                coming_beats = [each for each in coming_beats if each[0] > now]
                newest = {beat.replica: beat for beat in landed_beats}
                self.pulse.take(newest.values(), began=now / 1000, now=now / 1000, wall_ms=NOON_MS + now)
                self.pulse.check()
            if self.file.edition is not None and now % 50 == 0:
                self._compare()

    def _read_file(self) -> None:
        version, told_ms = self._stored
        info = FileInfo(1, 5, 5, False, False, NOON_MS + told_ms, NOON_MS + self.now, "a")
        found = StoredObject(self._store.body(version, 5), f'"{version}"', info.to_metadata())
        self.file.take(found, Edition.of)
        self.file.confirmed_at = self.now / 1000

    def _compare(self) -> None:
        edition = self.file.edition
        assert edition is not None
        version = edition.version.update_id
        currency = self.freshness.of(self.file, self.now / 1000)
        self.states.add(currency.state)
        if currency.current_ms is not None:
            claimed = currency.current_ms - NOON_MS
            assert claimed <= self.now
            self.vouched += claimed > edition.info.event_time_ms - NOON_MS
            assert self.truth.was(version, claimed, MOST_DELAY_MS + MOST_SKEW_MS), (
                f"{version} is said to have been current at {claimed}, "
                f"when {self.truth.version_at(claimed)} was"
            )
        if currency.state is State.LIVE:
            ended = self.truth.times_ms[version] if version < len(self.truth.times_ms) else LASTS_MS
            since_ms = self.now - ended
            assert since_ms <= STALE_MS + MOST_LATE_MS, f"live {since_ms} ms after it was last current"


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_claimed_was_true(store: "WatchedStore", seed: int) -> None:
    world = World(store, seed)
    world.run()
    assert State.LIVE in world.states


def test_the_worlds_show_what_there_is_to_show(store: "WatchedStore") -> None:
    worlds = [World(store, seed) for seed in range(6)]
    run_all(worlds)
    assert any(State.STALE in world.states for world in worlds)
    assert sum(world.vouched for world in worlds) > 1000, "heartbeats told more than the files did"


def run_all(worlds: Iterable[World]) -> None:
    for world in worlds:
        world.run()


def without_heard_age(beat: Heartbeat) -> Heartbeat:
    """A replica that does not know that it is deaf."""
    symbols = {name: part.model_copy(update={"heard_age_ms": 0}) for name, part in beat.symbols.items()}
    return beat.model_copy(update={"symbols": symbols})


def an_update_behind(beat: Heartbeat) -> Heartbeat:
    """A replica that says it has the version before the one it has."""
    symbols = {
        name: part.model_copy(update={"id": max(1, (part.id or 0) - 1)})
        for name, part in beat.symbols.items()
    }
    return beat.model_copy(update={"symbols": symbols})


@pytest.mark.parametrize("twist", [without_heard_age, an_update_behind])
def test_false_heartbeats_are_found_out(store: "WatchedStore", twist: Twist) -> None:
    with pytest.raises(AssertionError, match="is said to have been current"):
        run_all(World(store, seed, twist=twist) for seed in SEEDS)


def test_taking_the_time_of_writing_would_be_found_out(store: "WatchedStore") -> None:
    with pytest.raises(AssertionError, match="is said to have been current"):
        run_all(World(store, seed, told=1) for seed in SEEDS)
