"""Events are spread over their period."""

from random import Random

import pytest

from depthcast.feed.pace import RESERVE, ConnectPace, Pace


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


def test_connections_keep_to_their_count_until_the_venue_says_what_is_left() -> None:
    pace = ConnectPace(2, 300.0)
    for now in (0.0, 1.0):
        assert pace.wait_s(now) == 0
        pace.take(now)
    assert pace.wait_s(2.0) == 298.0
    pace.told(50)
    assert pace.wait_s(2.0) == 0
    pace.hold(10.0)
    assert pace.wait_s(2.0) == 8.0


def test_those_who_share_an_address_hardly_ever_use_up_what_it_may_open_and_wait_little_at_first() -> None:
    """60 an hour, each of which comes back an hour later; three who lose each connection at once."""
    paces, opened, now = [ConnectPace(5, 300.0) for _ in range(3)], list[float](), 0.0
    begun = refused = 0
    while now < 4 * 3600:
        for pace in paces:
            if pace.wait_s(now) == 0:
                pace.take(now)
                left = 60 - sum(at > now - 3600 for at in opened)
                if left:
                    opened.append(now)
                    pace.told(left - 1)
                else:
                    refused += 1
                    pace.hold(now + 300)
        begun = len(opened) if now < 60 else begun
        now += 1.0
    assert begun >= 60 - RESERVE * 5
    # Most of what comes back is used.
    assert sum(at > now - 3600 for at in opened) > 45
    assert refused <= 5, "of two hundred"
