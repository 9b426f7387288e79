from collections import Counter
from itertools import pairwise

from soak.disturb import ONE_REPLICA, ORDINARY, WAYS, Disturbance, Kind, plan

REPLICAS = ("r1", "r2", "r3")
SYMBOLS = ("A", "B")


def planned(seconds: float, seed: int = 1) -> list[Disturbance]:
    return plan(seconds, REPLICAS, SYMBOLS, every_s=(20.0, 40.0), seed=seed)


def test_the_same_seed_plans_the_same_and_another_one_does_not() -> None:
    assert planned(1000) == planned(1000)
    assert planned(1000) != planned(1000, seed=2)


def test_the_distances_are_within_bounds() -> None:
    times = [each.at_s for each in planned(10_000)]
    assert times[0] == 0
    assert all(20 <= later - earlier <= 40 for earlier, later in pairwise(times))
    assert times[-1] < 10_000


def test_a_short_time_has_each_ordinary_kind_once() -> None:
    for seed in range(20):
        found = planned(110, seed)
        assert sorted(each.kind for each in found) == sorted(ORDINARY)
        assert found[-1].at_s == 100


def test_a_long_time_has_every_kind_about_as_often_and_ids_that_go_down_rarely() -> None:
    counts = Counter(each.kind for each in planned(20_000))
    assert counts.keys() == set(Kind)
    ordinary = [counts[kind] for kind in ORDINARY]
    assert max(ordinary) - min(ordinary) <= 1
    assert counts[Kind.REBASE] <= max(ordinary) / 2 + 1


def test_each_replica_and_each_way_has_its_turn() -> None:
    found = planned(20_000)
    for kind in ONE_REPLICA:
        assert {each.target for each in found if each.kind is kind} == set(REPLICAS)
    for kind in (Kind.STORE_UNREACHABLE, Kind.FEED_CUT):
        ways = Counter(each.way for each in found if each.kind is kind)
        assert ways.keys() == set(WAYS)
        assert max(ways.values()) - min(ways.values()) <= 1


def test_a_disturbance_is_over_before_the_next() -> None:
    assert all(earlier.at_s + earlier.lasts_s < later.at_s for earlier, later in pairwise(planned(20_000)))
