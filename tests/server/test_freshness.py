"""How fresh a file in memory is said to be: what counts as evidence, for how long, and by which clock."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from depthcast.files import FileInfo, Version
from depthcast.heartbeat import Heartbeat, Role, SymbolBeat
from depthcast.heartbeat import State as ReplicaState
from depthcast.store import StoredObject
from server.edition import Edition
from server.freshness import Currency, Freshness, State
from server.hot import HotFile
from server.pulse import Pulse

if TYPE_CHECKING:
    from tests.server.conftest import WatchedStore

KEY = "api/v3/depth?symbol=ETHUSDT&limit=5"
NOON_MS = 1_790_000_000_000
"""What the wall clocks say when the monotonic one says 1000."""


class Scene:
    """A file, a fleet and a clock, each of which the test moves."""

    def __init__(self, store: "WatchedStore") -> None:
        self.now = 1000.0
        self.pulse = Pulse(trust_s=5.0)
        self.freshness = Freshness(self.pulse, stale_after_s=5.0, wall_ms=lambda: self.wall_ms)
        self.file = HotFile(KEY)
        self._store = store
        self._beats = 0

    @property
    def wall_ms(self) -> int:
        return NOON_MS + round((self.now - 1000) * 1000)

    def read(self, update_id: int, *, told_s_ago: float, epoch: int = 1, status: str = "TRADING") -> None:
        """The store is read now, and has this version, whose last diff the exchange told so long ago."""
        told_ms = self.wall_ms - round(told_s_ago * 1000)
        info = FileInfo(epoch, 5, 5, False, False, told_ms, told_ms + 20, "r1", status)
        etag = f'"{epoch}-{update_id}-{status}"'
        self.file.take(StoredObject(self._store.body(update_id, 5), etag, info.to_metadata()), Edition.of)
        self.confirm()

    def confirm(self) -> None:
        """The store says now that the file has not changed."""
        self.file.confirmed_at = self.now

    def beat(self, update_id: int, *, epoch: int = 1, heard_s: float = 0.0, skew_s: float = 0.0) -> None:
        """A replica whose clock is wrong by ``skew_s`` beats, and its heartbeat is read at once."""
        self._beats += 1
        part = SymbolBeat(live=True, epoch=epoch, id=update_id, heard_age_ms=round(heard_s * 1000))
        self.take([self.heartbeat({"ETHUSDT": part}, skew_s)])

    def heartbeat(self, symbols: dict[str, SymbolBeat], skew_s: float = 0.0) -> Heartbeat:
        time_ms = self.wall_ms + round(skew_s * 1000)
        return Heartbeat(replica="r1", beat=self._beats, time_ms=time_ms, symbols=symbols)

    def take(self, beats: Iterable[Heartbeat]) -> None:
        self.pulse.take(beats, began=self.now, now=self.now, wall_ms=self.wall_ms)

    def pass_s(self, seconds: float, *, confirming: bool = True) -> None:
        self.now += seconds
        if confirming:
            self.confirm()

    def currency(self) -> Currency:
        return self.freshness.of(self.file, self.now)

    def state(self) -> State:
        return self.currency().state

    def current_s_ago(self) -> float | None:
        """How long ago the file was last known to be current, as readers are told."""
        current_ms = self.currency().current_ms
        return None if current_ms is None else (self.wall_ms - current_ms) / 1000


@pytest.fixture
def scene(store: "WatchedStore") -> Scene:
    return Scene(store)


def test_a_file_just_written_is_current_at_the_exchange_s_time_of_its_last_diff(scene: Scene) -> None:
    scene.read(160, told_s_ago=0.3)
    assert (scene.state(), scene.current_s_ago()) == (State.LIVE, 0.3)
    scene.pass_s(4.69)
    assert (scene.state(), scene.current_s_ago()) == (State.LIVE, 4.99)
    scene.pass_s(0.02)
    assert scene.state() is State.STALE


def test_with_every_updater_dead_a_file_turns_stale_though_the_store_confirms_it(scene: Scene) -> None:
    scene.take([])
    for second in range(10):
        scene.pass_s(1.0)
        scene.read(160 + second, told_s_ago=0.1)
        scene.beat(160 + second)
        assert scene.state() is State.LIVE
    scene.pass_s(5.0)
    assert scene.state() is State.LIVE
    scene.pass_s(0.1)
    assert scene.state() is State.STALE
    assert scene.currency().age_s == 0


def test_a_quiet_file_stays_live_as_long_as_a_replica_listens(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=3600.0)
    assert (scene.state(), scene.current_s_ago()) == (State.STALE, 3600.0)
    for _ in range(60):
        scene.pass_s(1.0)
        scene.beat(160, heard_s=0.5)
        assert (scene.state(), scene.current_s_ago()) == (State.LIVE, 0.5)
    scene.pass_s(4.4)
    assert scene.state() is State.LIVE
    scene.pass_s(0.2)
    assert scene.state() is State.STALE


def test_a_heartbeat_ahead_of_the_file_vouches_for_nothing(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=10.0)
    scene.beat(160)
    for update_id in range(161, 167):
        scene.pass_s(1.0)
        scene.beat(update_id)
    assert (scene.state(), scene.current_s_ago()) == (State.STALE, 6.0)


def test_a_heartbeat_behind_the_file_vouches_for_nothing(scene: Scene) -> None:
    # Ids went down and nobody has claimed an epoch yet: every replica is live, below the file.
    scene.take([])
    scene.read(160, told_s_ago=10.0)
    for update_id in range(1, 100):
        scene.pass_s(1.0)
        scene.beat(update_id)
        assert (scene.state(), scene.current_s_ago()) == (State.STALE, 10.0 + update_id)


def test_what_was_known_of_a_version_outlives_the_heartbeats_that_told_it(scene: Scene) -> None:
    scene.take([])
    scene.pass_s(1.0)
    scene.read(160, told_s_ago=3.0)
    scene.beat(160)
    assert scene.current_s_ago() == 0.0
    for update_id in range(161, 261):
        scene.pass_s(0.01)
        scene.beat(update_id)
    assert scene.current_s_ago() == pytest.approx(1.0)


def test_a_file_of_the_epoch_before_is_current_at_the_book_s_own_id(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=100.0, epoch=1)
    scene.pass_s(1.0)
    scene.beat(160, epoch=2)
    assert (scene.state(), scene.current_s_ago()) == (State.LIVE, 0.0)
    scene.beat(161, epoch=2)
    scene.pass_s(6.0)
    assert scene.state() is State.STALE


def test_a_file_of_a_later_epoch_is_not_vouched_for_by_an_earlier_one(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=100.0, epoch=2)
    scene.pass_s(1.0)
    scene.beat(160, epoch=1)
    assert scene.state() is State.STALE


@pytest.mark.parametrize("skew_s", [-3600.0, -4.0, 4.0, 3600.0])
def test_the_state_does_not_depend_on_the_replicas_clocks(scene: Scene, skew_s: float) -> None:
    scene.take([])
    scene.read(160, told_s_ago=3600.0)
    for _ in range(5):
        scene.pass_s(1.0)
        scene.beat(160, skew_s=skew_s)
        assert scene.state() is State.LIVE
    scene.pass_s(3.9)
    assert scene.state() is State.LIVE
    scene.pass_s(1.2)
    assert scene.state() is State.STALE


def test_readers_are_never_told_of_a_time_to_come(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=-2.0)
    assert scene.current_s_ago() == 0.0
    scene.pass_s(1.0)
    scene.beat(160, skew_s=3600.0)
    assert scene.current_s_ago() == 0.0


def test_a_fleet_found_dead_is_not_taken_for_alive(scene: Scene) -> None:
    scene.read(160, told_s_ago=3600.0)
    scene.beat(160, skew_s=-3600.0)  # read for the first time, as old as it says
    assert scene.state() is State.STALE


def test_heartbeats_missed_while_the_store_was_away_are_as_old_as_they_may_be(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=3600.0)
    scene.pass_s(60.0)
    # Written at any time within the minute, says our clock; an hour ago, says its own.
    scene.beat(160, skew_s=-3600.0)
    assert scene.state() is State.STALE
    scene.pass_s(1.0)
    scene.beat(160, skew_s=-3600.0)
    assert scene.state() is State.LIVE


def test_a_version_seen_to_replace_another_was_written_meanwhile(scene: Scene) -> None:
    scene.read(160, told_s_ago=3600.0)
    scene.pass_s(0.1, confirming=True)
    scene.read(161, told_s_ago=3600.0)  # by a clock that is an hour late
    assert scene.state() is State.LIVE
    scene.pass_s(4.9)
    assert scene.state() is State.LIVE
    scene.pass_s(0.2)
    assert scene.state() is State.STALE


def test_a_version_that_came_during_an_outage_is_as_old_as_it_may_be(scene: Scene) -> None:
    scene.read(160, told_s_ago=3600.0)
    scene.pass_s(60.0, confirming=False)
    scene.read(161, told_s_ago=50.0)
    assert scene.state() is State.STALE


def test_a_mark_is_no_new_version(scene: Scene) -> None:
    scene.read(160, told_s_ago=3600.0)
    scene.pass_s(0.1)
    scene.read(160, told_s_ago=3600.1, status="HALT")
    scene.pass_s(0.1)
    scene.read(160, told_s_ago=3600.2)
    assert (scene.state(), scene.current_s_ago()) == (State.STALE, 3600.2)


def test_what_the_store_does_not_confirm_is_stale_and_has_an_age(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=0.0)
    for _ in range(5):
        scene.pass_s(0.999, confirming=False)
        scene.beat(160)
    assert (scene.state(), scene.currency().age_s) == (State.LIVE, 4)
    scene.pass_s(0.006, confirming=False)
    assert (scene.state(), scene.currency().age_s) == (State.STALE, 5)
    scene.confirm()
    assert (scene.state(), scene.currency().age_s) == (State.LIVE, 0)


def test_halted_is_not_stale_as_long_as_the_fleet_is_heard(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=3600.0, status="DELISTED")
    assert scene.state() is State.HALTED, "there is no fleet to hear"
    for _ in range(10):
        scene.pass_s(1.0)
        scene._beats += 1
        scene.take([scene.heartbeat({})])  # nobody holds the symbol any more
        assert scene.state() is State.HALTED
    scene.pass_s(5.1)
    assert scene.state() is State.STALE


def test_a_halted_file_that_the_store_does_not_confirm_is_stale(scene: Scene) -> None:
    scene.read(160, told_s_ago=3600.0, status="HALT")
    scene.pass_s(5.1, confirming=False)
    assert scene.state() is State.STALE


@pytest.mark.parametrize(
    "part",
    [
        SymbolBeat(live=False, epoch=1, id=160, heard_age_ms=0),
        SymbolBeat(live=True, epoch=1, id=160, heard_age_ms=None),
        SymbolBeat(live=True, epoch=1, id=None, heard_age_ms=0),
    ],
)
def test_a_book_that_may_lack_a_diff_vouches_for_nothing(scene: Scene, part: SymbolBeat) -> None:
    scene.take([])
    scene.read(160, told_s_ago=10.0)
    scene.pass_s(1.0)
    scene.take([scene.heartbeat({"ETHUSDT": part})])
    assert (scene.state(), scene.current_s_ago()) == (State.STALE, 11.0)


def test_a_replica_s_good_bye_vouches_for_nothing(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=10.0)
    scene.pass_s(1.0)
    part = SymbolBeat(live=True, epoch=1, id=160, heard_age_ms=0)
    gone = scene.heartbeat({"ETHUSDT": part}).model_copy(update={"state": ReplicaState.GONE})
    scene.take([gone])
    assert scene.state() is State.STALE


def test_nothing_is_claimed_of_a_book_without_a_diff_and_without_a_witness(
    scene: Scene, store: "WatchedStore"
) -> None:
    info = FileInfo(1, 5, 5, False, False, 0, scene.wall_ms, "r1")
    scene.file.take(StoredObject(store.body(160, 5), '"x"', info.to_metadata()), Edition.of)
    scene.confirm()
    assert (scene.state(), scene.currency().current_ms) == (State.LIVE, None)
    scene.beat(160, heard_s=0.2)
    assert scene.current_s_ago() == 0.2


def test_the_same_object_says_the_same(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=0.0)
    first = scene.currency()
    scene.pass_s(1.0)
    assert scene.currency() is first
    scene.beat(160)
    second = scene.currency()
    assert second is not first
    assert second.current_ms == scene.wall_ms
    scene.beat(7)  # a lagging replica's: nothing new
    assert scene.currency() is second


def test_until_when_it_holds_is_said(scene: Scene) -> None:
    scene.take([])
    scene.read(160, told_s_ago=0.3)
    for _ in range(40):
        until = scene.freshness.holds_until(scene.file, scene.now)
        assert until > scene.now
        said = scene.currency()
        assert scene.freshness.of(scene.file, until - 1e-6) == said
        scene.pass_s(0.25, confirming=False)
    assert scene.state() is State.STALE


def test_the_marks_are_headers() -> None:
    assert dict(Currency(State.LIVE).headers()) == {b"depthcast-state": b"live"}
    assert dict(Currency(State.STALE, 1_790_000_000_000, 7).headers()) == {
        b"depthcast-state": b"stale",
        b"depthcast-current-time": b"1790000000000",
        b"age": b"7",
    }


def test_versions_are_pairs(scene: Scene) -> None:
    scene.take([])
    scene.pass_s(1.0)
    scene.beat(160)
    assert [each.version for each in scene.pulse.sightings("ETHUSDT")] == [Version(1, 160)]
    scene.pulse.check()


def evidence(scene: Scene) -> bytes | None:
    return dict(scene.currency().headers()).get(b"depthcast-evidence")


def test_what_a_writer_suspects_is_said_at_once_and_changes_nothing_else(scene: Scene) -> None:
    scene.read(7, told_s_ago=0.1)
    plain = SymbolBeat(live=True, epoch=1, id=7, heard_age_ms=0, role=Role.WRITER)
    scene.take([scene.heartbeat({"ETHUSDT": plain})])
    assert evidence(scene) is None
    scene.pass_s(1)
    suspected = plain.model_copy(update={"suspicion": "SILENT", "suspected_since_ms": 42})
    scene.take([scene.heartbeat({"ETHUSDT": suspected, "BTCUSDT": plain})])
    assert evidence(scene) == b"SILENT; source=feed; since=42"
    assert scene.state() is State.LIVE
    standby = plain.model_copy(update={"role": Role.STANDBY})
    scene.take([scene.heartbeat({"ETHUSDT": standby})])
    assert evidence(scene) is not None, "who does not write has no say"
    scene.take([scene.heartbeat({"ETHUSDT": plain})])
    assert evidence(scene) is None


def test_evidence_is_forgotten_with_who_told_it_and_gives_way_to_the_exchanges_word(scene: Scene) -> None:
    scene.read(7, told_s_ago=0.1)
    suspected = SymbolBeat(
        live=True,
        epoch=1,
        id=7,
        heard_age_ms=0,
        role=Role.ACTING,
        suspicion="ONE_SIDED",
        suspected_since_ms=42,
    )
    scene.take([scene.heartbeat({"ETHUSDT": suspected})])
    assert evidence(scene) == b"ONE_SIDED; source=feed; since=42"
    scene.pass_s(11)
    assert evidence(scene) is None
    scene.take([scene.heartbeat({"ETHUSDT": suspected})])
    scene.read(8, told_s_ago=0.1, status="HALT")
    assert evidence(scene) is None
    assert scene.state() is State.HALTED
    odd = suspected.model_copy(update={"suspicion": "no\r\nheader: x"})
    scene.read(9, told_s_ago=0.1)
    scene.take([scene.heartbeat({"ETHUSDT": odd})])
    assert evidence(scene) is None


def test_maintenance_concerns_every_symbol_until_it_is_over(scene: Scene) -> None:
    scene.read(7, told_s_ago=0.1)
    beat = scene.heartbeat({})
    scene.take([beat.model_copy(update={"maintenance": True})])
    assert evidence(scene) == b"MAINTENANCE; source=systemStatus"
    scene.take([beat])
    assert evidence(scene) is None
