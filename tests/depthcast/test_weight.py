"""The weight of a minute is never spent twice."""

from random import Random

import pytest

from depthcast.weight import MINUTE_MS, Reservation, WeightBudget

MINUTE_7 = 7 * MINUTE_MS + 1000
"""The first moment of a window: the minute and the margin."""


def budget(limit: int = 1000) -> WeightBudget:
    return WeightBudget(limit, share=0.8, background_share=0.4, margin_ms=1000)


def test_requests_in_flight_count_before_they_are_answered() -> None:
    weights = budget()
    for _ in range(3):
        assert weights.wait_ms(250, background=False, now_ms=MINUTE_7) == 0
        weights.reserve(250, MINUTE_7)
    assert weights.wait_ms(250, background=False, now_ms=MINUTE_7) == MINUTE_MS
    assert weights.wait_ms(50, background=False, now_ms=MINUTE_7) == 0


def test_what_others_used_counts() -> None:
    weights = budget()
    weights.settle(weights.reserve(5, MINUTE_7), 700, MINUTE_7)
    assert weights.used(MINUTE_7) == 700
    assert weights.wait_ms(100, background=False, now_ms=MINUTE_7) == 0
    assert weights.wait_ms(101, background=False, now_ms=MINUTE_7) > 0


def test_a_report_overtaken_by_a_newer_one_does_not_lower_the_sum() -> None:
    weights = budget()
    first, second = weights.reserve(5, MINUTE_7), weights.reserve(5, MINUTE_7)
    weights.settle(second, 300, MINUTE_7)
    weights.settle(first, 295, MINUTE_7)
    assert weights.used(MINUTE_7) == 300


def test_background_requests_leave_room_for_others() -> None:
    weights = budget()
    weights.settle(weights.reserve(5, MINUTE_7), 390, MINUTE_7)
    assert weights.wait_ms(50, background=True, now_ms=MINUTE_7) > 0
    assert weights.wait_ms(50, background=False, now_ms=MINUTE_7) == 0


def test_the_budget_is_whole_again_when_the_minute_and_the_margin_have_passed() -> None:
    weights = budget()
    weights.settle(weights.reserve(5, MINUTE_7), 800, MINUTE_7)
    wait_ms = weights.wait_ms(250, background=False, now_ms=MINUTE_7 + 10_000)
    assert wait_ms == MINUTE_MS - 10_000
    turned = MINUTE_7 + 10_000 + wait_ms
    assert weights.wait_ms(250, background=False, now_ms=turned - 1) == 1
    assert weights.wait_ms(250, background=False, now_ms=turned) == 0


def test_an_unanswered_request_counts_as_used() -> None:
    weights = budget()
    weights.settle(weights.reserve(250, MINUTE_7), None, MINUTE_7)
    assert weights.used(MINUTE_7) == 250


def test_an_answer_across_the_turn_of_a_minute_brings_no_old_report_with_it() -> None:
    weights = budget()
    sent = weights.reserve(250, MINUTE_7 + 59_999)
    weights.settle(sent, 800, MINUTE_7 + MINUTE_MS)
    assert weights.used(MINUTE_7 + MINUTE_MS) == 250


def test_a_withdrawn_reservation_leaves_nothing_behind() -> None:
    weights = budget()
    weights.withdraw(weights.reserve(800, MINUTE_7))
    assert weights.wait_ms(800, background=False, now_ms=MINUTE_7) == 0


def test_a_request_heavier_than_its_share_may_go_first() -> None:
    weights = budget(limit=200)
    assert weights.wait_ms(250, background=True, now_ms=MINUTE_7) == 0
    weights.reserve(250, MINUTE_7)
    assert weights.wait_ms(1, background=False, now_ms=MINUTE_7) > 0


def test_many_snapshots_take_as_many_minutes_as_their_weight_fills() -> None:
    weights = budget(limit=6000)
    expected = [(19 * 250, 0), (20 * 250, 60_000), (38 * 250, 60_000), (39 * 250, 120_000)]
    for weight, time_ms in expected:
        assert weights.time_for_ms(weight, background=False, now_ms=MINUTE_7) == time_ms


def test_shares_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="ordered"):
        WeightBudget(6000, share=0.4, background_share=0.8)


@pytest.mark.parametrize("seed", range(5))
def test_no_minute_of_the_venue_sees_more_than_the_share(seed: int) -> None:
    """A venue that counts for itself, requests answered in any order, another user on the address."""
    rng = Random(seed)
    weights = budget(limit=6000)
    now_ms, counted_minute, counted = MINUTE_7, 7, 0
    in_flight: list[tuple[Reservation, int]] = []
    sent = 0
    for _ in range(3000):
        now_ms += rng.randrange(400)
        if now_ms // MINUTE_MS != counted_minute:
            counted_minute, counted = now_ms // MINUTE_MS, 0
        weight = rng.choice((5, 25, 50, 250))
        if rng.random() < 0.6 and len(in_flight) < 4:
            if weights.wait_ms(weight, background=False, now_ms=now_ms) == 0:
                counted += weight
                sent += weight
                in_flight.append((weights.reserve(weight, now_ms), counted))
                assert counted <= 0.8 * 6000
        elif in_flight:
            reservation, reported = in_flight.pop(rng.randrange(len(in_flight)))
            weights.settle(reservation, None if rng.random() < 0.1 else reported, now_ms)
    assert sent > 5 * 4000
