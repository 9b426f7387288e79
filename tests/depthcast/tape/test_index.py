"""Indexes of the tape: written, read back, searched, and what is refused."""

import json
from random import Random
from typing import Any

import pytest

from depthcast.errors import BadFile
from depthcast.tape.index import (
    Day,
    DayIndex,
    DaysIndex,
    Entry,
    entry_of,
    from_metadata,
    to_metadata,
)
from depthcast.tape.segment import Hole, Segment
from tests.depthcast.tape.tapes import START_MS, chain, part

DATE = "2024-08-08"
DAY_START_MS = 1_723_075_200_000
TORN = Entry(
    START_MS + 120_000,
    60,
    1,
    300,
    400,
    False,
    9,
    99,
    (Hole(None, 300, START_MS + 120_000, START_MS + 121_000),),
)


def day(*entries: Entry, date: str = DATE) -> DayIndex:
    index = DayIndex("binance", "币安人生USDT", date)
    for entry in entries:
        index = index.with_entry(entry)
    return index


def at(minute: int, first: int, last: int, *, epoch: int = 0, whole: bool = True) -> Entry:
    return Entry(START_MS + minute * 60_000, 60, epoch, first, last, whole, 9, 99)


def test_an_index_of_segments_is_read_back() -> None:
    index = day(at(1, 200, 300), TORN, at(0, 100, 200))
    assert [entry.first_id for entry in index.entries] == [100, 200, 300]
    assert DayIndex.parse("k", index.to_bytes()) == index
    assert DayIndex.parse("k", day().to_bytes()) == day()


def test_an_entry_takes_the_place_of_its_segment_s() -> None:
    index = day(at(0, 100, 200, whole=False)).with_entry(at(0, 90, 210))
    assert index.entries == (at(0, 90, 210),)


def test_an_id_is_in_the_segments_that_may_have_its_book() -> None:
    index = day(at(0, 100, 200), at(1, 200, 300), at(2, 150, 160, epoch=1))
    assert [entry.start_ms for entry in index.holding(200)] == [START_MS + 60_000, START_MS]
    assert index.holding(155) == [at(2, 150, 160, epoch=1), at(0, 100, 200)]
    assert index.holding(155, epoch=0) == [at(0, 100, 200)]
    assert index.holding(99) == index.holding(301) == []


def test_a_day_is_whole_when_its_intervals_are() -> None:
    hours = [Entry(DAY_START_MS + at * 3_600_000, 3600, 0, at, at + 1, True, 1, 1) for at in range(24)]
    assert day(*hours).whole
    assert not day(*hours[1:]).whole
    assert not day(*hours, at(0, 1, 2)).whole
    assert not day(*hours[1:], hours[0]._replace(whole=False)).whole
    assert not day().whole


def test_intervals_that_no_entry_is_of_are_found() -> None:
    index = day(at(0, 100, 200), at(2, 300, 400))
    assert index.missing(60, START_MS + 180_000, 4) == [START_MS - 60_000, START_MS + 60_000]
    # The day before has an index of its own.
    assert day().missing(60, DAY_START_MS + 60_000, 3) == [DAY_START_MS]


def test_an_entry_tells_its_segment_and_stands_beside_it() -> None:
    segment = chain(Random(1), 20)
    entry = entry_of(segment, rows=7, size=70)
    assert (entry.first_id, entry.last_id, entry.whole, entry.end_ms) == (
        1000,
        segment.last_id,
        True,
        segment.end_ms,
    )
    assert from_metadata("k", {name.title(): text for name, text in to_metadata(entry).items()}) == entry
    torn = Segment.of("binance", "X", START_MS, 60, [part(segment, 3, 9)], from_start=False, to_end=True)
    assert entry_of(torn, rows=7, size=70).holes == torn.holes
    assert not from_metadata("k", to_metadata(entry_of(torn, rows=7, size=70))).whole


@pytest.mark.parametrize(
    "changed", [{"epoch": "x"}, {"rows": "-1"}, {"bytes": "9" * 40}, {"whole": "yes"}, {"start": ""}]
)
def test_metadata_of_another_s_is_refused(changed: dict[str, str]) -> None:
    told = to_metadata(TORN)
    with pytest.raises(BadFile):
        from_metadata("k", told | changed)
    with pytest.raises(BadFile):
        from_metadata("k", {})


def test_the_days_say_where_each_ends_but_the_newest() -> None:
    index = DaysIndex("binance", "ETHUSDT").with_day(day(at(0, 100, 200), TORN))
    assert index.days == (Day(DATE, 60, 0, 100),)
    assert index.unfinished == []
    later = Entry(DAY_START_MS + 86_400_000, 60, 1, 400, 500, True, 1, 1)
    index = index.with_day(day(later, date="2024-08-09"))
    assert index.unfinished == [DATE]
    index = index.with_day(day(at(0, 100, 200), TORN))
    assert index.days == (Day(DATE, 60, 0, 100, 1, 400, False), Day("2024-08-09", 60, 1, 400))
    assert index.unfinished == []
    assert DaysIndex.parse("k", index.to_bytes()) == index
    assert index.with_day(day(at(0, 100, 200), TORN)) is index
    assert index.with_day(day()) is index
    assert index.day("2024-08-09") == Day("2024-08-09", 60, 1, 400)
    assert index.day("2024-08-10") is None


def test_an_id_is_in_the_days_that_may_have_it() -> None:
    days = (Day("2024-08-07", 60, 0, 100, 0, 200, True), Day("2024-08-08", 60, 0, 200, 1, 50, True))
    index = DaysIndex("binance", "ETHUSDT", (*days, Day("2024-08-09", 60, 1, 50)))
    assert [found.date for found in index.holding(150)] == ["2024-08-09", "2024-08-08", "2024-08-07"]
    assert [found.date for found in index.holding(900)] == ["2024-08-09", "2024-08-08"]


def changed(body: bytes, **more: Any) -> bytes:
    return json.dumps(json.loads(body) | more).encode()


@pytest.mark.parametrize(
    "more",
    [
        {"format": 2},
        {"columns": []},
        {"segments": {}},
        {"segments": [[1]]},
        {"segments": [[-1, 60, 0, 1, 2, True, 1, 1, []]]},
        {"segments": [[START_MS, 60, 0, 1, 2, 1, 1, 1, []]]},
        {"segments": [[START_MS + 1, 60, 0, 1, 2, True, 1, 1, []]]},
        {"segments": [[START_MS, 60, 0, 1, 2, True, 1, 1, [[1, 2, 3]]]]},
        {"segments": [[START_MS + at, 60, 0, 1, 2, True, 1, 1, []] for at in (60_000, 0)]},
        {"segments": [[DAY_START_MS + 86_400_000, 60, 0, 1, 2, True, 1, 1, []]]},
        {"venue": 1},
        {"symbol": "x"},
    ],
)
def test_what_is_no_index_of_segments_is_refused(more: dict[str, Any]) -> None:
    body = day(at(0, 1, 2)).to_bytes()
    assert DayIndex.parse("k", changed(body)) == day(at(0, 1, 2))
    told = {**json.loads(body), **more}
    if "segments" in more and isinstance(more["segments"], list):
        told["venue"] = "binance"
    with pytest.raises(BadFile):
        DayIndex.parse("tape/x", json.dumps(told).encode())


@pytest.mark.parametrize(
    "more",
    [
        {"days": [["2024-08-08", 60, 0, 1, 0, None, None], ["2024-08-09", 60, 0, 1, None, None, None]]},
        {"days": [["2024-8-08", 60, 0, 1, None, None, None]]},
        {"days": [["2024-08-09", 60, 0, 1, 0, 2, True], ["2024-08-08", 60, 0, 1, None, None, None]]},
        {"days": None},
    ],
)
def test_what_is_no_index_of_days_is_refused(more: dict[str, Any]) -> None:
    body = DaysIndex("binance", "ETHUSDT", (Day(DATE, 60, 0, 1),)).to_bytes()
    with pytest.raises(BadFile):
        DaysIndex.parse("tape/x", changed(body, **more))
    for damaged in (b"", b"[]", body[:-9], b"[" * 100_000, b"\xff"):
        with pytest.raises(BadFile):
            DaysIndex.parse("tape/x", damaged)
