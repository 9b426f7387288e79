"""Times as people write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.metadata.moments import moment_text, parse_moment
from depthcast.metadata.record import MAX_TIME_MS

AT = 1_723_161_253_007


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        (str(AT), AT),
        ("0", 0),
        ("2024-08-08T23:54:13.007Z", AT),
        ("2024-08-08 23:54:13.007", AT),
        ("2024-08-09T01:54:13.007+02:00", AT),
        ("2024-08-09T01:54:13.007 02:00", AT),
        ("2024-08-08T19:54:13.007-04:00", AT),
        ("2024-08-08T23:54", AT - 13_007),
        ("2024-08-08", 1_723_075_200_000),
    ],
)
def test_a_time_is_milliseconds_or_iso_8601(text: str, time_ms: int) -> None:
    assert parse_moment(text) == time_ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "-5",
        "99999999999999",
        "2024-13-01",
        "2024-08-08T25:00",
        "1969-01-01",
        "2300-01-01",
        "２０24-01-01",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_moment(text)


@given(st.integers(0, MAX_TIME_MS))
def test_a_time_for_people_is_the_same_time(time_ms: int) -> None:
    text = moment_text(time_ms)
    assert parse_moment(text) == time_ms
    assert text.startswith(f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%d %H:%M:%S}")
