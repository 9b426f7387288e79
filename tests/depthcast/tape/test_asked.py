"""A moment is a time or an update id, and which of the two is never a guess."""

import pytest

from depthcast.tape.asked import Asked, parse_asked


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("1723161253000", Asked(time_ms=1723161253000)),
        ("0000000000000", Asked(time_ms=0)),
        ("2024-08-08T23:54:13.5Z", Asked(time_ms=1723161253500)),
        ("2024-08-09T01:54:13 02:00", Asked(time_ms=1723161253000)),
        ("2024-08-08", Asked(time_ms=1723075200000)),
        ("0", Asked(update_id=0)),
        ("172316125300", Asked(update_id=172316125300)),
        ("17231612530000", Asked(update_id=17231612530000)),
        ("id:1723161253000", Asked(update_id=1723161253000)),
        ("3:1723161253000", Asked(update_id=1723161253000, epoch=3)),
        ("9223372036854775807", Asked(update_id=2**63 - 1)),
    ],
)
def test_what_names_a_moment(text: str, asked: Asked) -> None:
    assert parse_asked(text) == asked


@pytest.mark.parametrize(
    "text", ["", "now", "-1", "id:", "id:x", "1:2:3", "1:", ":1", "12e5", "2024-13-01", "٣", "1" * 20]
)
def test_what_does_not(text: str) -> None:
    with pytest.raises(ValueError, match="is none of: milliseconds since 1970"):
        parse_asked(text)


@pytest.mark.parametrize("text", ["9223372036854775808", "9223372036854775808:1"])
def test_an_id_that_no_exchange_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="as large as"):
        parse_asked(text)


def test_it_is_told_in_words() -> None:
    named = [str(parse_asked(text)) for text in ("1723161253000", "id:7", "2:7")]
    assert named == ["the time 1723161253000", "update id 7", "update id 2:7"]
