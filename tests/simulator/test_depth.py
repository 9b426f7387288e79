"""Depth updates: written, joined, cut."""

import json

import pytest

from simulator.depth import DepthUpdate, joined
from simulator.scale import Scale
from simulator.truth import ASK, BID, Change


def update(first: int, *changes: Change, time_ms: int = 5, generation: int = 0) -> DepthUpdate:
    last = first + len(changes) - 1
    return DepthUpdate("ABC", Scale(1, 1), generation, first, last, time_ms, changes, divisible=True)


def test_the_payload_is_binances_compact_json_with_the_last_quantity_of_each_level() -> None:
    changes = [
        Change(BID, 10, 5),
        Change(ASK, 21, 1),
        Change(BID, 12, 7),
        Change(BID, 10, 0),
        Change(ASK, 20, 3),
    ]
    assert update(100, *changes).data() == (
        '{"e":"depthUpdate","E":5,"s":"ABC","U":100,"u":104,'
        '"b":[["1.2","0.7"],["1.0","0.0"]],"a":[["2.0","0.3"],["2.1","0.1"]]}'
    )


def test_times_can_be_told_in_microseconds() -> None:
    one = update(1, Change(BID, 10, 5), time_ms=1_700_000_000_123)
    assert json.loads(one.data(microseconds=True))["E"] == 1_700_000_000_123_000
    assert json.loads(one.data())["E"] == 1_700_000_000_123


def test_cut_anywhere_and_joined_again_an_update_is_what_it_was() -> None:
    whole = update(100, *(Change(BID, price, 1) for price in range(1, 8)))
    for last in range(100, 106):
        head, tail = whole.cut(last)
        assert (head.last, tail.first) == (last, last + 1)
        assert joined([head, tail]).data() == whole.data()
    assert joined([whole]) is whole


def test_a_cut_outside_or_inside_what_has_no_ids_of_its_own_is_refused() -> None:
    whole = update(100, Change(BID, 1, 1), Change(BID, 2, 1))
    for last in (99, 101):
        with pytest.raises(ValueError, match="cannot cut"):
            whole.cut(last)
    recorded = DepthUpdate("ABC", Scale(1, 1), 0, 1, 9, 5, [Change(BID, 1, 1)], divisible=False)
    with pytest.raises(ValueError, match="cannot cut"):
        recorded.cut(4)


@pytest.mark.parametrize(
    "second", [update(103, Change(BID, 1, 1)), update(102, Change(BID, 1, 1), generation=1)]
)
def test_updates_that_do_not_follow_each_other_are_not_joined(second: DepthUpdate) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        joined([update(100, Change(BID, 1, 1), Change(BID, 1, 2)), second])


def test_an_update_without_changes_or_with_more_than_its_ids_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be the ids"):
        update(100)
    with pytest.raises(ValueError, match="cannot be the ids"):
        DepthUpdate("ABC", Scale(1, 1), 0, 1, 3, 5, [Change(BID, 1, 1)], divisible=True)
