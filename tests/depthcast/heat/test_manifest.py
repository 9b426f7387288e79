"""Which tiles there are."""

import json
from typing import Any

import pytest

from depthcast.errors import BadFile
from depthcast.heat.manifest import MAX_BYTES, MAX_DAYS, Manifest

HOUR_MS = 3_600_000
LAST_MS = 1_723_158_000_000  # 2024-08-08 23:00


def test_hours_are_added_and_read_back() -> None:
    empty = Manifest("binance", "币安人生USDT", {})
    manifest = empty.with_hour(LAST_MS + HOUR_MS).with_hour(LAST_MS).with_hour(LAST_MS)
    manifest.check()
    assert manifest.starts() == [LAST_MS, LAST_MS + HOUR_MS]
    assert manifest.has(LAST_MS)
    assert not manifest.has(LAST_MS - HOUR_MS)
    assert not empty.has(LAST_MS)
    assert Manifest.decode(manifest.key, manifest.encode()) == manifest


def test_the_file_says_what_a_page_has_to_know() -> None:
    told = json.loads(Manifest("binance", "ETHUSDT", {}).with_hour(LAST_MS).encode())
    assert told["hours"] == {"2024-08-08": "800000"}
    assert told["zooms"][1] == {"zoom": 1, "tile_ms": 3_600_000, "column_ms": 15_000, "columns": 240}
    assert (told["format"], told["venue"], told["symbol"]) == (1, "binance", "ETHUSDT")


def test_the_earliest_days_go_where_there_are_too_many() -> None:
    manifest = Manifest("binance", "ETHUSDT", {})
    for day in range(MAX_DAYS + 3):
        manifest = manifest.with_hour(LAST_MS + 24 * HOUR_MS * day)
    manifest.check()
    assert len(manifest.starts()) == MAX_DAYS
    assert manifest.starts()[0] == LAST_MS + 3 * 24 * HOUR_MS
    assert len(manifest.encode()) < MAX_BYTES
    assert Manifest.decode(manifest.key, manifest.encode()) == manifest


def changed(**change: Any) -> bytes:
    told = json.loads(Manifest("binance", "ETHUSDT", {}).with_hour(LAST_MS).encode())
    return json.dumps({**told, **change}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b" " * (MAX_BYTES + 1),
        changed(format=2),
        changed(symbol="BTCUSDT"),
        changed(hours=[]),
        changed(hours={"2024-02-30": "1"}),
        changed(hours={"2024-02-03": "1000000"}),
        changed(hours={"2024-02-03": "0"}),
        changed(hours={"2024-02-03": 5}),
    ],
)
def test_what_is_no_manifest_is_told_as_one_error(body: bytes) -> None:
    with pytest.raises(BadFile):
        Manifest.decode(Manifest("binance", "ETHUSDT", {}).key, body)
