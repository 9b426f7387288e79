"""Lists of which a part may be one venue's alone."""

import pytest

from depthcast.errors import SettingsError
from depthcast.venues.prefixes import Parts

BOTH = ("binance", "bitmex")


def test_a_part_without_a_venue_is_for_those_that_have_none_of_their_own() -> None:
    parts = Parts.of(["A", "bitmex:B", "C", "bitmex:D"])
    assert parts.for_venue("binance") == ["A", "C"]
    assert parts.for_venue("bitmex") == ["B", "D"]
    parts.check("symbols", BOTH)
    assert Parts.of(["A"]).for_venue("bitmex") == ["A"]
    assert Parts.of([]).for_venue("bitmex") == []


def test_what_is_no_venues_name_and_what_is_no_text_is_no_prefix() -> None:
    parts = Parts.of(["http://127.0.0.1:1", 5, "nowhere:X"])
    assert parts.general == ["http://127.0.0.1:1", 5, "nowhere:X"]
    assert not parts.own
    parts.check("symbols", BOTH)


def test_a_part_that_reaches_nobody_is_refused() -> None:
    with pytest.raises(
        SettingsError, match="symbols has something for bitmex, which is not among"
    ) as refused:
        Parts.of(["bitmex:B"]).check("symbols", ("binance",))
    assert "they are binance" in refused.value.hint
    with pytest.raises(SettingsError, match="symbols has 'A' without a venue, and each") as refused:
        Parts.of(["A", "binance:B", "bitmex:C"]).check("symbols", BOTH)
    assert "write binance:A" in refused.value.hint
