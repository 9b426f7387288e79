"""Keys of the tape: built and parsed, and what is refused."""

from datetime import UTC, datetime

import pytest

from depthcast.errors import BadKey
from depthcast.store.key import check_key
from depthcast.tape.keys import (
    DAY_S,
    IndexName,
    SegmentName,
    date_of,
    day_folder,
    day_index_key,
    index_key,
    parse_index_key,
    parse_segment_key,
    segment_key,
    start_of,
    valid_length,
)

START_MS = int(datetime(2024, 8, 8, 23, 54, tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize("symbol", ["ETHUSDT", "币安人生USDT", "BTC-PERP_1.X"])
@pytest.mark.parametrize("length_s", [1, 10, 60, 300, DAY_S])
def test_a_segment_s_key_is_read_back(symbol: str, length_s: int) -> None:
    name = SegmentName("binance", symbol, start_of(START_MS, length_s), length_s)
    key = segment_key(*name)
    assert check_key(key) == key
    assert parse_segment_key(key) == name
    assert name.end_ms - name.start_ms == length_s * 1000


def test_keys_are_partitions_by_name_as_hive_spells_them() -> None:
    key = segment_key("binance", "ETHUSDT", START_MS)
    assert key == "tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-00.parquet"
    assert segment_key("binance", "ETHUSDT", START_MS, 10).endswith("/23-54-00_10s.parquet")
    assert key.startswith(day_folder("binance", "ETHUSDT", date_of(START_MS)))


def test_keys_of_one_day_are_in_the_order_of_time() -> None:
    keys = [segment_key("binance", "X", START_MS + at * 60_000) for at in range(-600, 6)]
    assert keys == sorted(keys)


@pytest.mark.parametrize("day", [None, "2024-08-08"])
def test_an_index_s_key_is_read_back(day: str | None) -> None:
    key = index_key("binance", "ETHUSDT") if day is None else day_index_key("binance", "ETHUSDT", day)
    assert parse_index_key(key) == IndexName("binance", "ETHUSDT", day)


def test_each_time_belongs_to_the_interval_that_begins_at_or_before_it() -> None:
    assert start_of(START_MS) == start_of(START_MS + 59_999) == START_MS
    assert start_of(START_MS + 60_000) == START_MS + 60_000


def test_lengths_divide_a_day() -> None:
    assert [length for length in (0, -60, 1, 7, 60, 3600, DAY_S, 2 * DAY_S) if valid_length(length)] == [
        1,
        60,
        3600,
        DAY_S,
    ]


@pytest.mark.parametrize(
    ("venue", "symbol", "start_ms", "length_s"),
    [
        ("Binance", "ETHUSDT", START_MS, 60),
        ("", "ETHUSDT", START_MS, 60),
        ("binance", "ethusdt", START_MS, 60),
        ("binance", "A/B", START_MS, 60),
        ("binance", "ETHUSDT", START_MS + 1, 60),
        ("binance", "ETHUSDT", START_MS, 7),
        ("binance", "ETHUSDT", -60_000, 60),
        ("binance", "ETHUSDT", 2**63 // 60_000 * 60_000, 60),
    ],
)
def test_what_no_segment_has_is_refused(venue: str, symbol: str, start_ms: int, length_s: int) -> None:
    with pytest.raises(BadKey):
        segment_key(venue, symbol, start_ms, length_s)


@pytest.mark.parametrize(
    "key",
    [
        "tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-00",
        "tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-00_60s.parquet",
        "tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-00_010s.parquet",
        "tape/venue=binance/symbol=ETHUSDT/date=2024-02-30/23-54-00.parquet",
        "tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/24-00-00.parquet",
        "tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-10.parquet",
        "tape/venue=binance/symbol=ethusdt/date=2024-08-08/23-54-00.parquet",
        "api/v3/depth?symbol=ETHUSDT&limit=5",
    ],
)
def test_other_spellings_of_a_segment_s_key_are_refused(key: str) -> None:
    with pytest.raises(BadKey):
        parse_segment_key(key)


@pytest.mark.parametrize(
    "key",
    [
        "tape/venue=binance/symbol=ETHUSDT/date=2024-02-30/index.json",
        "tape/venue=binance/symbol=ETHUSDT/date=20240208/index.json",
        "tape/venue=binance/symbol=ethusdt/index.json",
        "tape/venue=binance/index.json",
    ],
)
def test_other_spellings_of_an_index_s_key_are_refused(key: str) -> None:
    with pytest.raises(BadKey):
        parse_index_key(key)


def test_a_day_is_spelled_in_one_way() -> None:
    with pytest.raises(BadKey, match="no date such as 2024-08-08"):
        day_index_key("binance", "ETHUSDT", "20240808")
