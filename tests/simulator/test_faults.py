"""Orders, chances and the record of faults."""

from random import Random
from typing import Any

import pytest

from simulator.faults import ALL_RATES, DIFF_KINDS, FORMS, TIMED_KINDS, Fault, Faults, Kind


def faults(seed: int = 1, acted: list[Fault] | None = None, **options: Any) -> Faults:
    def act(fault: Fault) -> int:
        if acted is not None:
            acted.append(fault)
        return 1

    return Faults(Random(seed), lambda: 42, act, **options)


def test_an_order_waits_for_its_opportunity_and_happens_as_often_as_it_says() -> None:
    ordered = faults()
    assert ordered.inject("gap", symbol="ABC", connection=3, count=2) == 0
    assert ordered.take(DIFF_KINDS, "XYZ", 3) is None
    assert ordered.take(DIFF_KINDS, "ABC", 4) is None
    assert ordered.take((Kind.SILENT,), "ABC", 3) is None
    for _ in range(2):
        taken = ordered.take(DIFF_KINDS, "ABC", 3)
        assert taken is not None
        assert taken.kind is Kind.GAP
    assert ordered.take(DIFF_KINDS, "ABC", 3) is None
    assert ordered.waiting == ()


def test_a_timed_fault_happens_at_once() -> None:
    acted: list[Fault] = []
    ordered = faults(acted=acted)
    for kind in TIMED_KINDS:
        assert ordered.inject(kind) == 1
    assert ordered.inject("silent", form="now") == 1
    assert [fault.kind for fault in acted] == [*TIMED_KINDS, Kind.SILENT]


def test_what_an_order_leaves_open_is_drawn_and_what_it_says_is_kept() -> None:
    ordered = faults()
    for _ in range(50):
        ordered.inject("stale_snapshot")
        ordered.inject("stale_snapshot", ids=7)
        drawn, said = ordered.take((Kind.STALE_SNAPSHOT,)), ordered.take((Kind.STALE_SNAPSHOT,))
        assert drawn is not None
        assert said is not None
        assert (50 <= drawn.ids <= 800, said.ids) == (True, 7)
    forms = set()
    for _ in range(200):
        ordered.inject("malformed")
        taken = ordered.take(DIFF_KINDS)
        assert taken is not None
        forms.add(taken.form)
    assert forms == set(FORMS[Kind.MALFORMED])


def test_chances_are_as_frequent_as_their_rate_and_repeat_with_the_seed() -> None:
    def run(seed: int) -> list[bool]:
        by_chance = faults(seed, rates={Kind.GAP: 0.1})
        return [by_chance.take(DIFF_KINDS, "ABC", 1) is not None for _ in range(2000)]

    assert 150 < sum(run(1)) < 250
    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_timed_kind_strikes_by_the_second() -> None:
    acted: list[Fault] = []
    by_chance = faults(acted=acted, rates={Kind.REBASE: 0.5})
    for _ in range(1000):
        by_chance.strike((Kind.REBASE, Kind.BAN), 0.1, symbol="ABC")
    assert 30 < len(acted) < 75
    assert {fault.symbol for fault in acted} == {"ABC"}


def test_what_happened_is_counted_and_listed_within_a_bound() -> None:
    recorded = faults(history=3)
    for index in range(5):
        recorded.record(Fault(Kind.GAP), "ABC", 2, f"number {index}")
    recorded.record(Fault(Kind.MALFORMED, form="json"), "ABC", 2)
    assert recorded.counts == {Kind.GAP: 5, Kind.MALFORMED: 1}
    assert [happened.detail for happened in recorded.happened] == ["number 3", "number 4", "json"]
    assert recorded.happened[0].as_json() == {
        "kind": "gap",
        "at_ms": 42,
        "symbol": "ABC",
        "connection": 2,
        "detail": "number 3",
    }


def test_clear_withdraws_orders_and_rates_and_keeps_the_record() -> None:
    ordered = faults(rates=ALL_RATES)
    ordered.inject("gap")
    ordered.record(Fault(Kind.GAP), None, None)
    ordered.clear()
    assert all(ordered.take(DIFF_KINDS) is None for _ in range(1000))
    assert ordered.counts[Kind.GAP] == 1


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"kind": "earthquake"}, "earthquake"),
        ({"kind": "gap", "form": "wide"}, "has no form 'wide'"),
        ({"kind": "malformed", "form": "wide"}, "one of json, missing"),
        ({"kind": "gap", "count": 0}, "count is at least 1"),
        ({"kind": "gap", "ids": 5}, "gap has no ids"),
        ({"kind": "rebase", "delay_s": 5}, "rebase has no delay_s"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_the_reason(order: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        faults().inject(**order)


def test_a_rate_that_is_no_chance_is_refused() -> None:
    with pytest.raises(ValueError, match="the rate of gap"):
        faults(rates={Kind.GAP: 1.5})


def test_all_rates_name_every_kind() -> None:
    assert set(ALL_RATES) == set(Kind)
