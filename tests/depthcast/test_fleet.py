"""Who comes first for a symbol, and who lives."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.fleet import (
    DEAD_AFTER_ROUNDS,
    DEAD_AFTER_S,
    Members,
    candidates,
    holders,
    ranked,
)
from depthcast.heartbeat import Heartbeat, State, SymbolBeat

names = st.text("abcdefghij-0123456789", min_size=1, max_size=12)
fleets = st.lists(names, min_size=1, max_size=8, unique=True)
symbols = st.text("ABCXYZ0123456789币安", min_size=1, max_size=12)
SYMBOLS = [f"COIN{number:04}USDT" for number in range(2000)]
ROUND_S = 0.5


def beat(replica: str = "a", count: int = 1, **members: object) -> Heartbeat:
    return Heartbeat.model_validate({"replica": replica, "beat": count, **members})


class TestRanked:
    @given(symbols, fleets, st.randoms())
    def test_everybody_gets_the_same_order(self, symbol: str, fleet: list[str], random: object) -> None:
        shuffled = sorted(fleet, key=lambda name: random.random())  # type: ignore[attr-defined]
        assert ranked(symbol, fleet) == ranked(symbol, shuffled)
        assert sorted(ranked(symbol, fleet)) == sorted(fleet)

    @given(symbols, fleets, names)
    def test_who_joins_or_leaves_changes_no_order_among_the_others(
        self, symbol: str, fleet: list[str], other: str
    ) -> None:
        with_it = ranked(symbol, {*fleet, other})
        assert [name for name in with_it if name != other] == ranked(symbol, set(fleet) - {other})

    @given(fleets, names, st.integers(1, 4))
    def test_a_join_moves_only_what_the_new_one_gets(
        self, fleet: list[str], new: str, redundancy: int
    ) -> None:
        for symbol in SYMBOLS[:40]:
            before = holders(symbol, set(fleet) - {new}, redundancy)
            after = holders(symbol, {*fleet, new}, redundancy)
            assert set(after) <= {*before, new}
            if new not in after:
                assert after == before
            else:
                # At most one holder makes room.
                assert len(set(before) - set(after)) == max(0, len(before) + 1 - redundancy)

    @pytest.mark.parametrize("replicas", [2, 3, 4, 7])
    def test_many_symbols_are_shared_evenly_on_each_rank(self, replicas: int) -> None:
        fleet = [f"updater-{number}" for number in range(replicas)]
        share = len(SYMBOLS) / replicas
        # Five standard deviations of a binomial count: one honest hash in a million fails.
        most = 5 * math.sqrt(share * (1 - 1 / replicas))
        for rank in range(replicas):
            counted = Counter(ranked(symbol, fleet)[rank] for symbol in SYMBOLS)
            assert all(abs(counted[name] - share) < most for name in fleet)

    def test_a_leaver_s_symbols_go_to_all_others_evenly(self) -> None:
        fleet = ["a", "b", "c", "d"]
        left = [symbol for symbol in SYMBOLS if ranked(symbol, fleet)[0] == "d"]
        heirs = Counter(ranked(symbol, "abc")[0] for symbol in left)
        assert all(abs(heirs[name] - len(left) / 3) < 5 * math.sqrt(len(left) * 2 / 9) for name in "abc")

    def test_the_order_is_the_same_in_every_version(self) -> None:
        # Replicas of two versions run side by side during an update: they have to agree.
        assert ranked("ETHUSDT", ["a", "b", "c", "d", "e"]) == list("acebd")
        assert ranked("币安人生USDT", ["a", "b", "c", "d", "e"]) == list("beacd")


class TestHolders:
    @given(symbols, fleets, st.integers(0, 9))
    def test_they_are_the_best_ones_and_all_where_none_is_asked_for(
        self, symbol: str, fleet: list[str], redundancy: int
    ) -> None:
        order = ranked(symbol, fleet)
        expected = order if redundancy == 0 else order[:redundancy]
        assert holders(symbol, fleet, redundancy) == expected
        assert len(expected) == min(redundancy or len(fleet), len(fleet))


class TestCandidates:
    def test_only_who_stays_and_is_set_to_the_same_symbols(self) -> None:
        living = {
            "same": beat("same", selection="x", limits=(5, 10)),
            "leaver": beat("leaver", selection="x", limits=(5, 10), state="leaving"),
            "other": beat("other", selection="y", limits=(5, 10)),
            "holder": beat("holder", selection="y", limits=(5, 10), symbols={"ETHUSDT": SymbolBeat()}),
        }
        assert candidates("ETHUSDT", living, living["same"]) == ["same", "holder"]
        assert candidates("BTCUSDT", living, living["same"]) == ["same"]

    def test_one_that_publishes_other_limits_cannot_take_over(self) -> None:
        living = {"a": beat("a", limits=(5, 10)), "b": beat("b", limits=(5,))}
        assert candidates("ETHUSDT", living, living["a"]) == ["a"]


class Watcher:
    """Reads one set of heartbeats after the other at its own times."""

    def __init__(self) -> None:
        self.members = Members()
        self.now = 100.0
        self.writes = 0

    def reads(self, *beats: Heartbeat, after_s: float = ROUND_S) -> set[str]:
        """One reading; who lives then."""
        self.now += after_s
        for each in beats:
            known = {member.heartbeat.replica: member.heartbeat for member in self.members}
            if known.get(each.replica) == each:
                self.members.saw(each.replica, self.members.etag(each.replica) or "", None, self.now)
            else:
                self.writes += 1
                self.members.saw(each.replica, f'"{self.writes}"', each, self.now)
        self.members.read_all()
        self.members.check()
        return set(self.members.living(self.now))

    def fails(self, *beats: Heartbeat, after_s: float = ROUND_S) -> set[str]:
        """A reading that breaks off after it saw these."""
        self.now += after_s
        for each in beats:
            self.members.saw(each.replica, self.members.etag(each.replica) or "", None, self.now)
        self.members.interrupted()
        self.members.check()
        return set(self.members.living(self.now))


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


class TestMembers:
    def test_one_lives_for_as_long_as_it_beats(self, watcher: Watcher) -> None:
        for count in range(1, 50):
            assert watcher.reads(beat(count=count), after_s=1.0) == {"a"}

    def test_one_that_stands_still_is_dead_within_three_seconds_and_not_before_it_missed_a_beat(
        self, watcher: Watcher
    ) -> None:
        watcher.reads(beat(count=1))
        began = watcher.now
        while watcher.reads(beat(count=1)):
            assert watcher.now - began < DEAD_AFTER_S + ROUND_S
        # One whose beat was a whole second late would have lived.
        assert watcher.now - began > 1.5
        assert watcher.now - began + ROUND_S < 3.0

    def test_it_lives_again_with_its_next_beat(self, watcher: Watcher) -> None:
        watcher.reads(beat(count=1))
        assert watcher.reads(*[beat(count=1)], after_s=60) == {"a"}, "the watcher slept, not the replica"
        for _ in range(DEAD_AFTER_ROUNDS):
            watcher.reads(beat(count=1))
        assert watcher.reads(beat(count=1)) == set()
        assert watcher.reads(beat(count=2)) == {"a"}

    def test_a_watcher_that_slept_calls_nobody_dead(self, watcher: Watcher) -> None:
        watcher.reads(beat(count=1), beat("b", 1))
        watcher.now += 3600
        assert set(watcher.members.living(watcher.now)) == {"a", "b"}
        assert watcher.reads(beat(count=1), beat("b", 1)) == {"a", "b"}

    def test_readings_that_failed_call_nobody_dead(self, watcher: Watcher) -> None:
        watcher.reads(beat(count=1))
        for _ in range(100):
            assert watcher.fails() == {"a"}
            assert watcher.fails(beat(count=1)) == {"a"}
        for _ in range(DEAD_AFTER_ROUNDS - 1):
            assert watcher.reads(beat(count=1)) == {"a"}

    def test_half_a_reading_removes_nobody_and_counts_for_none(self, watcher: Watcher) -> None:
        watcher.reads(beat(count=1), beat("b", 1))
        assert watcher.fails(beat(count=1)) == {"a", "b"}
        assert {member.heartbeat.replica for member in watcher.members} == {"a", "b"}
        # What the failed one had seen is not taken for seen by the next one.
        assert watcher.reads(beat("b", 2)) == {"b"}
        assert {member.heartbeat.replica for member in watcher.members} == {"b"}

    def test_one_that_said_good_bye_does_not_live(self, watcher: Watcher) -> None:
        assert watcher.reads(beat(count=1, state="leaving")) == {"a"}
        assert watcher.reads(beat(count=2, state=State.GONE)) == set()
        assert watcher.reads(beat(count=3)) == {"a"}

    def test_the_same_beat_written_again_is_no_sign_of_life(self, watcher: Watcher) -> None:
        watcher.reads(beat(count=5))
        for number in range(20):
            alive = watcher.reads(beat(count=5, time_ms=number))
        assert alive == set()
        (member,) = watcher.members
        assert member.heartbeat.time_ms == 19

    def test_a_count_that_goes_down_is_a_restart_and_lives(self, watcher: Watcher) -> None:
        watcher.reads(beat(count=50))
        for _ in range(6):
            watcher.reads(beat(count=50))
        assert watcher.reads(beat(count=1)) == {"a"}

    def test_what_the_living_hold_is_not_forgotten(self, watcher: Watcher) -> None:
        held = {"ETHUSDT": SymbolBeat()}
        watcher.reads(beat("a", 1, symbols=held), beat("b", 1, symbols=held), beat("c", 1))
        watcher.reads(beat("a", 2, symbols=held), beat("b", 2, symbols=held, state="gone"), beat("c", 2))
        watcher.members.forget_symbols(["a", "b", "c", "unheard of"], watcher.now)
        assert {member.heartbeat.replica: set(member.heartbeat.symbols) for member in watcher.members} == {
            "a": {"ETHUSDT"},
            "b": set(),
            "c": set(),
        }

    def test_the_missing_are_those_who_were_seen_to_live_and_died_of_late(self, watcher: Watcher) -> None:
        def missing(within_s: float = 10.0) -> set[str]:
            return set(watcher.members.missing(watcher.now, within_s))

        found = beat("found there", 9)
        watcher.reads(beat("a", 1), beat("b", 1), found)
        watcher.reads(beat("a", 2), beat("b", 2), found)
        gone = beat("b", 3, state="gone")
        assert missing() == set()
        for _ in range(DEAD_AFTER_ROUNDS + 2):
            watcher.reads(beat("a", 2), gone, found)
        # One said good-bye, and the other was never seen to change.
        assert set(watcher.members.living(watcher.now)) == set()
        assert missing() == {"a"}
        assert missing(within_s=0.0) == set()
        watcher.now += 10.0
        assert missing() == set()
        watcher.reads(beat("a", 3), gone, found)
        assert missing() == set()

    def test_what_was_never_read_cannot_be_unchanged(self, watcher: Watcher) -> None:
        with pytest.raises(ValueError, match="never read"):
            watcher.members.saw("a", '"1"', None, 0.0)

    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["beat", "still", "gone"])), max_size=60)
    )
    def test_whatever_happens_only_the_seen_are_known(self, steps: list[tuple[str, str]]) -> None:
        watcher, last = Watcher(), dict[str, Heartbeat]()
        for name, step in steps:
            count = last[name].beat if name in last else 0
            if step == "beat":
                last[name] = beat(name, count + 1)
            elif step == "gone":
                last[name] = beat(name, count + 1, state="gone")
            alive = watcher.reads(*last.values())
            assert {member.heartbeat.replica for member in watcher.members} == set(last)
            assert alive <= {n for n, each in last.items() if each.state is not State.GONE}
            if step == "beat":
                assert name in alive
