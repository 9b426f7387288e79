"""Readings of a store made into overviews: rates, and how the living are told from the dead."""

import pytest

from depthcast.cli.fleet.run import once
from depthcast.cli.fleet.watch import Pace, Watch
from depthcast.errors import StoreUnavailable
from depthcast.files import heartbeat_key
from depthcast.heartbeat import Heartbeat
from depthcast.store import StoredObject
from depthcast.store.memory import MemoryStore
from tests.depthcast.cli.fleet.conftest import MakeBeat


class Shelf(MemoryStore):
    """A store that can be away, with a clock that the watcher shares."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        super().__init__(wall_ms=lambda: round(self.now_s * 1000))
        self.away = False
        self.etags: dict[str, str | None] = {}

    async def get(self, key: str) -> StoredObject | None:
        if self.away:
            raise StoreUnavailable("nothing listens there")
        return await super().get(key)

    async def puts(self, beat: Heartbeat) -> None:
        key = heartbeat_key(beat.replica)
        self.etags[key] = (await self.put_if(key, beat.to_body(), match=self.etags.get(key))).etag


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def watch(shelf: Shelf) -> Watch:
    return Watch(shelf, clock=lambda: shelf.now_s)


class TestPace:
    def at(self, beat: int, time_ms: int, written: int, started_ms: int = 0) -> Heartbeat:
        return Heartbeat.model_validate(
            {
                "replica": "a",
                "beat": beat,
                "time_ms": time_ms,
                "started_ms": started_ms,
                "writes": {"written": written},
            }
        )

    def test_it_is_the_difference_of_beats_over_the_window(self) -> None:
        pace = Pace(window_ms=4000)
        assert pace.take(self.at(1, 1000, 500)) is None
        assert pace.take(self.at(1, 1000, 500)) is None
        assert pace.take(self.at(2, 2000, 550)) == 50.0
        assert pace.take(self.at(3, 3000, 750)) == 125.0
        # 550 at second 2, 1,150 at second 6.
        assert pace.take(self.at(6, 6000, 1150)) == 150.0

    def test_another_process_begins_anew(self) -> None:
        pace = Pace()
        pace.take(self.at(1, 1000, 500))
        assert pace.take(self.at(1, 2000, 10, started_ms=1500)) is None
        assert pace.take(self.at(2, 3000, 30, started_ms=1500)) == 20.0

    def test_a_clock_that_was_set_back_makes_no_rate(self) -> None:
        pace = Pace()
        pace.take(self.at(1, 9000, 500))
        assert pace.take(self.at(2, 8000, 600)) is None


async def test_one_reading_does_not_tell_the_living_from_the_dead(
    shelf: Shelf, watch: Watch, make_beat: MakeBeat
) -> None:
    await shelf.puts(make_beat("dead", {"ETHUSDT": "writer"}))
    await shelf.puts(make_beat("gone", state="gone"))
    shelf.now_s += 60
    lives = []
    for count in range(1, 7):
        await shelf.puts(make_beat("busy", beat=count))
        seen = await watch.read()
        lives.append((seen.settled, {line.replica: line.life for line in seen.replicas}))
        shelf.now_s += 0.5
    assert lives[0] == (False, {"busy": "live", "dead": "live", "gone": "gone"})
    assert lives[-1] == (True, {"busy": "live", "dead": "dead", "gone": "gone"})
    assert "no living replica holds ETHUSDT" in seen.warnings
    # How long it has been dead tells the store's own clock.
    dead = next(line for line in seen.replicas if line.replica == "dead")
    assert dead.beat_age_ms == 62_500


async def test_a_store_that_is_away_leaves_what_was_known(
    shelf: Shelf, watch: Watch, make_beat: MakeBeat
) -> None:
    await shelf.puts(make_beat("a", {"ETHUSDT": "writer"}))
    before = await watch.look()
    assert before.fault == ""
    shelf.away = True
    await shelf.puts(make_beat("a", beat=2))
    after = await watch.look()
    assert "nothing listens there" in after.fault
    assert after.symbols == before.symbols
    with pytest.raises(StoreUnavailable):
        await watch.read()
    shelf.away = False
    assert (await watch.look()).fault == ""


async def test_damaged_heartbeats_are_warned_of(shelf: Shelf, watch: Watch, make_beat: MakeBeat) -> None:
    await shelf.put_if("fleet/x.json", b"?", match=None)
    assert "fleet/x.json is no heartbeat" in (await watch.read()).warnings


async def test_all_means_all_as_it_does_for_the_updaters(shelf: Shelf, make_beat: MakeBeat) -> None:
    await shelf.puts(make_beat("a", {"ETHUSDT": "writer"}))
    assert len((await Watch(shelf, symbols=("all",)).read()).symbols) == 1
    assert len((await Watch(shelf, symbols=("BTC*",)).read()).symbols) == 0


async def test_once_looks_until_it_knows(shelf: Shelf, make_beat: MakeBeat) -> None:
    await shelf.puts(make_beat("dead", {"ETHUSDT": "writer"}))
    seen = await once(Watch(shelf), every_s=0.05, longer_s=0.1)
    assert [line.life for line in seen.replicas] == ["dead"]
    assert seen.settled


async def test_once_does_not_look_for_ever(shelf: Shelf, make_beat: MakeBeat) -> None:
    await shelf.puts(make_beat("a"))
    seen = await once(Watch(shelf), every_s=0.01, within_s=0.05)
    assert not seen.settled


async def test_once_ends_at_once_where_there_is_nobody(shelf: Shelf) -> None:
    seen = await once(Watch(shelf), every_s=3600)
    assert seen.living == 0
