"""Messages: how they chain, and what their times are."""

import pytest

from depthcast.orders.messages import Changed, Done, Matched, Opened, OrderSnapshot, Passed, time_ms

TIME = "2026-11-21T10:00:00.123456Z"
EVERY = (
    Passed("X", 7, TIME),
    Opened("X", 7, TIME, "a", True, "1", "2"),
    Matched("X", 7, TIME, "a", True, "1", "2"),
    Changed("X", 7, TIME, "a", True, None, "1", "2"),
    Done("X", 7, TIME, "a", False, None),
)


@pytest.mark.parametrize("message", EVERY, ids=lambda message: type(message).__name__)
def test_a_message_spans_one_sequence_whatever_its_kind(message: Opened) -> None:
    assert (message.after, message.first, message.last) == (6, 7, 7)
    assert message.event_time_ms == 1_795_255_200_123


def test_a_snapshot_tells_its_time_where_the_venue_does() -> None:
    assert OrderSnapshot(7, [], [], TIME).event_time_ms == 1_795_255_200_123
    assert OrderSnapshot(7, [], []).event_time_ms == 0


def test_a_snapshot_by_order_is_the_whole_book() -> None:
    shown = OrderSnapshot(7, [], [])
    assert (shown.bids_complete, shown.asks_complete) == (True, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T10:00:00Z", 1_795_255_200_000),
        ("2026-11-21T10:00:00.5Z", 1_795_255_200_500),
        ("2026-11-21T10:00:00.123999999Z", 1_795_255_200_123),
        ("2026-11-21T11:00:00.1+01:00", 1_795_255_200_100),
    ],
)
def test_times_of_any_number_of_digits_are_read(text: str, expected: int) -> None:
    assert time_ms(text) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-11-21T10:00:00", "2026-13-21T10:00:00Z", "10.", "0001-01-01T00:00:00+23:00"]
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert time_ms(text) == 0
