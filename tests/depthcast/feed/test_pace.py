"""Events are spread over their period."""

from random import Random

import pytest

from depthcast.feed.pace import Pace


def test_no_period_holds_more_events_than_allowed() -> None:
    rng, pace, now = Random(5), Pace(3, 10.0), 0.0
    taken: list[float] = []
    for _ in range(2000):
        now += rng.random()
        wait_s = pace.wait_s(now)
        if wait_s == 0:
            pace.take(now)
            taken.append(now)
            assert sum(at > now - 10.0 for at in taken) <= 3
    assert len(taken) > 200


def test_the_wait_named_is_the_wait_needed() -> None:
    pace = Pace(1, 0.35)
    pace.take(5.0)
    wait_s = pace.wait_s(5.0)
    assert wait_s == pytest.approx(0.35)
    assert pace.wait_s(5.0 + wait_s - 0.01) > 0
    assert pace.wait_s(5.0 + wait_s) == 0


def test_a_hold_outlasts_what_the_count_would_allow() -> None:
    pace = Pace(9, 1.0)
    pace.hold(20.0)
    pace.hold(10.0)
    assert pace.wait_s(15.0) == 5.0
    assert pace.wait_s(20.0) == 0
