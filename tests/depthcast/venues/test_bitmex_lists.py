"""BitMEX's time and its instruments."""

import pytest

from depthcast.errors import MalformedAnswer
from depthcast.venues.bitmex_lists import parse_time, row


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"timestamp":"5"}',
        b'{"timestamp":true}',
        b'{"timestamp":0}',
        b'{"timestamp":1.5}',
    ],
)
def test_what_is_no_time_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="/api/v1"):
        parse_time(body)


def test_a_perpetual_contract_has_no_end() -> None:
    entry = {"symbol": "XBTUSD", "state": "Open", "typ": "FFWCSX", "settlCurrency": "XBt", "expiry": None}
    assert row(entry)[:3] == ("XBTUSD", "Open", "FFWCSX XBt")
