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


def test_whole_requests_are_what_a_minute_takes() -> None:
    weights = budget(limit=1250)  # 1,000 to spend: three requests of 300
    times = [weights.time_for_ms(n * 300, background=False, now_ms=MINUTE_7, each=300) for n in (3, 4, 6, 7)]
    assert times == [0, 60_000, 60_000, 120_000]


def test_a_pause_before_it_is_part_of_the_time() -> None:
    weights = budget()
    weights.settle(weights.reserve(5, MINUTE_7), 800, MINUTE_7)
    assert weights.time_for_ms(800, background=False, now_ms=MINUTE_7, after_ms=10_000) == 60_000
    assert weights.time_for_ms(800, background=False, now_ms=MINUTE_7, after_ms=90_000) == 90_000
    assert weights.time_for_ms(801, background=False, now_ms=MINUTE_7, after_ms=90_000) == 120_000
    assert weights.time_for_ms(0, background=False, now_ms=MINUTE_7) == 0
    assert weights.used(MINUTE_7) == 800, "a look ahead turns no minute"


def test_peers_share_the_weight_before_any_report_could_tell() -> None:
    weights = budget()
    weights.peers = 4
    weights.reserve(150, MINUTE_7)
    assert weights.wait_ms(50, background=False, now_ms=MINUTE_7) == 0
    assert weights.wait_ms(51, background=False, now_ms=MINUTE_7) == MINUTE_MS
    assert weights.wait_ms(50, background=True, now_ms=MINUTE_7) == MINUTE_MS
    assert weights.time_for_ms(50, background=False, now_ms=MINUTE_7) == 0
    assert weights.time_for_ms(250, background=False, now_ms=MINUTE_7) == 60_000
    assert weights.time_for_ms(251, background=False, now_ms=MINUTE_7) == 120_000
    weights.check()


def test_what_peers_were_seen_to_use_counts_for_all_of_them() -> None:
    weights = budget()
    weights.peers = 2
    weights.settle(weights.reserve(5, MINUTE_7), 790, MINUTE_7)
    assert weights.wait_ms(10, background=False, now_ms=MINUTE_7) == 0
    assert weights.wait_ms(11, background=False, now_ms=MINUTE_7) > 0


def test_a_part_is_whole_again_in_the_next_minute_but_for_what_is_in_flight() -> None:
    weights = budget()
    weights.peers = 4
    answered, unanswered = weights.reserve(120, MINUTE_7), weights.reserve(80, MINUTE_7)
    weights.settle(answered, 120, MINUTE_7)
    turned = MINUTE_7 + MINUTE_MS
    assert weights.wait_ms(120, background=False, now_ms=turned) == 0
    assert weights.wait_ms(121, background=False, now_ms=turned) > 0
    weights.withdraw(unanswered)
    assert weights.wait_ms(200, background=False, now_ms=turned) == 0
    weights.check()


def test_a_request_heavier_than_a_part_is_paid_back_in_the_next_minutes() -> None:
    weights = budget()
    weights.peers = 8  # 100 a minute each
    sent = []
    for minute in range(12):
        now_ms = MINUTE_7 + minute * MINUTE_MS
        while weights.wait_ms(250, background=False, now_ms=now_ms) == 0:
            weights.settle(weights.reserve(250, now_ms), 250, now_ms)
            sent.append(minute)
            weights.check()
    assert sent == [0, 3, 6, 9]
    later = MINUTE_7 + 100 * MINUTE_MS
    assert weights.wait_ms(250, background=False, now_ms=later) == 0


def test_a_heavy_request_that_was_not_sent_is_not_paid() -> None:
    weights = budget()
    weights.peers = 8
    weights.withdraw(weights.reserve(250, MINUTE_7))
    assert weights.wait_ms(250, background=False, now_ms=MINUTE_7) == 0
    assert weights.wait_ms(100, background=False, now_ms=MINUTE_7 + MINUTE_MS) == 0


def test_a_replica_among_its_peers_counts_itself() -> None:
    shared = budget()
    assert shared.peers == 1
    shared.peers = 3
    with pytest.raises(ValueError, match="at least 1"):
        shared.peers = 0
    assert shared.peers == 3


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


@pytest.mark.parametrize("peers", [2, 3, 6])
def test_peers_that_begin_together_stay_below_the_share_together(peers: int) -> None:
    """Each hears of the others only when its own answers come, and all of them want to spend at once."""
    rng = Random(peers)
    replicas = [budget(limit=6000) for _ in range(peers)]
    for each in replicas:
        each.peers = peers
    now_ms, counted_minute, counted = MINUTE_7, 7, 0
    in_flight: list[tuple[WeightBudget, Reservation, int]] = []
    minutes: list[int] = []
    for _ in range(6000):
        now_ms += rng.randrange(80)
        if now_ms // MINUTE_MS != counted_minute:
            minutes.append(counted)
            counted_minute, counted = now_ms // MINUTE_MS, 0
        each = rng.choice(replicas)
        weight = rng.choice((5, 50, 250))
        background = rng.random() < 0.2
        if len(in_flight) < 4 * peers and each.wait_ms(weight, background=background, now_ms=now_ms) == 0:
            counted += weight
            in_flight.append((each, each.reserve(weight, now_ms), counted))
            assert counted <= 0.8 * 6000
        elif in_flight:
            sender, reservation, reported = in_flight.pop(rng.randrange(len(in_flight)))
            sender.settle(reservation, None if rng.random() < 0.1 else reported, now_ms)
        each.check()
    assert len(minutes) >= 2
    assert min(minutes) > 0.9 * 0.8 * 6000, "the share is used, too"
