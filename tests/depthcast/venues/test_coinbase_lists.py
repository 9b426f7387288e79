"""Coinbase's time and its products' restrictions."""

import pytest

from depthcast.errors import MalformedAnswer
from depthcast.venues.coinbase_lists import parse_time, row


def test_the_time_is_read_in_seconds_or_parts_of_them() -> None:
    assert parse_time(b'{"iso":"2024-08-08T23:54:13Z","epoch":1723161253}') == 1_723_161_253_000
    assert parse_time(b'{"epoch":1723161253.007}') == 1_723_161_253_007


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"epoch":"5"}', b'{"epoch":true}', b'{"epoch":0}', b'{"epoch":1e99}']
)
def test_what_is_no_time_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="/time"):
        parse_time(body)


def test_what_is_restricted_is_a_note() -> None:
    flags = {"cancel_only": True, "auction_mode": True, "post_only": False, "limit_only": "yes"}
    assert row({"id": "A-B", "status": "online", **flags}).note == "cancel_only auction_mode"
