"""A tile and its file."""

import gzip
import json
import math
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from depthcast.errors import BadFile
from depthcast.heat import tile as tiles
from depthcast.heat.tile import LARGEST, UNKNOWN, Tile, cells_of, exponent_for, joined, quantities
from depthcast.heat.zooms import DAY, HOUR, MINUTE, Zoom

START_MS = 1_723_161_600_000


def tile_of(zoom: Zoom = MINUTE, *, rows: int = 7, seed: int = 1, **more: Any) -> Tile:
    """A tile that chance thinks of."""
    chance = np.random.default_rng(seed)
    prices = chance.uniform(2600, 2700, zoom.columns).round(2)
    bid, ask = prices, prices + 0.01
    bid[3], ask[-1] = np.nan, np.nan
    cells = chance.integers(0, 256, (rows, zoom.columns)).astype(np.uint8)
    made = Tile(
        "binance", "ETHUSDT", zoom, START_MS, 0.2, 13_000, -37, cells, bid, ask, (), "+" * zoom.children
    )
    return replace(made, **more)


def assert_equal(one: Tile, other: Tile) -> None:
    assert one.encode() == other.encode()
    assert np.array_equal(one.cells, other.cells)
    assert np.array_equal(one.bid, other.bid, equal_nan=True)
    assert np.array_equal(one.ask, other.ask, equal_nan=True)


@pytest.mark.parametrize("zoom", [MINUTE, HOUR, DAY])
@pytest.mark.parametrize("rows", [0, 1, 300])
def test_a_tile_is_read_back_as_it_was(zoom: Zoom, rows: int) -> None:
    tile = tile_of(zoom, rows=rows, holes=((START_MS, START_MS + 5), (START_MS + 9, START_MS + 10)))
    tile.check()
    again = Tile.decode(tile.key, tile.encode())
    assert_equal(again, tile)
    assert np.array_equal(again.quantities(), quantities(tile.cells, -37), equal_nan=True)


def test_the_file_is_what_a_page_reads_without_a_library() -> None:
    tile = tile_of(symbol="币安人生USDT", holes=((START_MS + 1, START_MS + 5),))
    line, _, cells = gzip.decompress(tile.encode()).partition(b"\n")
    header = json.loads(line)
    assert {name: header[name] for name in header if name not in ("bid", "ask")} == {
        "format": 1,
        "venue": "binance",
        "symbol": "币安人生USDT",
        "zoom": 0,
        "start_ms": START_MS,
        "column_ms": 1000,
        "columns": 60,
        "step": 0.2,
        "first_row": 13_000,
        "rows": 7,
        "exponent": -37,
        "complete": False,
        "holes": [[START_MS + 1, START_MS + 5]],
        "children": "",
    }
    assert header["bid"][3] is None
    assert header["bid"][4] == tile.bid[4]
    assert header["ask"][-1] is None
    assert cells[5 * 60 + 17] == tile.cells[5, 17]
    assert len(cells) == 7 * 60


def test_the_same_tile_gives_the_same_bytes() -> None:
    assert tile_of().encode() == tile_of().encode()


def test_every_quantity_is_kept_to_three_hundredths_over_six_decades() -> None:
    amounts = np.geomspace(0.0021, 4200.0, 5000).reshape(50, 100)
    exponent = exponent_for(4200.0)
    cells = cells_of(amounts, exponent)
    assert cells.max() == LARGEST
    assert quantities(cells, exponent) == pytest.approx(amounts, rel=2 ** (0.5 / 12) - 1 + 1e-9)


def test_unknown_nothing_and_too_little_are_told_apart_from_something() -> None:
    cells = cells_of(np.array([[np.nan, 0.0, 1e-30, 1.0]]), exponent_for(1.0))
    assert cells.tolist() == [[UNKNOWN, 0, 0, LARGEST]]
    told = quantities(cells, exponent_for(1.0))[0]
    assert math.isnan(told[0])
    assert told[1:].tolist() == [0.0, 0.0, 1.0]
    assert exponent_for(0.0) == 0


def test_bytes_stay_what_they_are_when_they_are_read_and_written_again() -> None:
    cells = np.arange(256, dtype=np.uint8).reshape(1, -1)
    for exponent in (-500, -37, 0, 411):
        assert np.array_equal(cells_of(quantities(cells, exponent), exponent), cells)


def test_a_tile_is_complete_without_holes_and_with_all_that_it_is_made_of() -> None:
    assert tile_of().complete
    assert not tile_of(holes=((START_MS, START_MS + 1),)).complete
    assert tile_of(HOUR).complete
    for mark in "-.":
        assert not tile_of(HOUR, children="+" * 59 + mark).complete


def test_known_time_is_what_is_neither_absent_nor_a_hole() -> None:
    assert tile_of().known_ms == 60_000
    holes = ((START_MS, START_MS + 500), (START_MS + 800, START_MS + 1000))
    assert tile_of(holes=holes).known_ms == 60_000 - 700
    assert tile_of(HOUR, children="." * 15 + "+" * 45, holes=holes).known_ms == 45 * 60_000 - 700


def test_holes_are_joined() -> None:
    assert joined([]) == ()
    assert joined([(5, 6), (1, 3)]) == ((1, 3), (5, 6))
    assert joined([(1, 3), (4, 6), (20, 21)], within_ms=1) == ((1, 6), (20, 21))
    assert joined([(1, 9), (2, 3)]) == ((1, 9),)


def file_of(change: dict[str, Any], cells: bytes | None = None) -> bytes:
    """A tile's file with another header."""
    line, _, own = gzip.decompress(tile_of().encode()).partition(b"\n")
    header = {**json.loads(line), **change}
    return gzip.compress(json.dumps(header).encode() + b"\n" + (own if cells is None else cells))


NO_TILES = [
    b"",
    b"no gzip",
    tile_of().encode()[:-9],
    tile_of().encode()[:40],
    gzip.compress(b""),
    gzip.compress(b"[]\n"),
    gzip.compress(b"{}\n"),
    gzip.compress(b"{" * 70_000 + b"\n"),
    gzip.compress(bytes(tiles.MAX_HEADER_BYTES + 2000 * 300)),
    file_of({"format": 2}),
    file_of({"zoom": 9}),
    file_of({"zoom": "0"}),
    file_of({"start_ms": START_MS + 1}),
    file_of({"start_ms": None}),
    file_of({"step": 0}),
    file_of({"step": "x"}),
    file_of({"step": float("inf")}),
    file_of({"first_row": 0.5}),
    file_of({"exponent": 10**9}),
    file_of({"exponent": None}),
    file_of({"rows": 8}),
    file_of({"bid": [1.0]}),
    file_of({"bid": 7}),
    file_of({"holes": [[START_MS + 5, START_MS + 4]]}),
    file_of({"holes": [[START_MS - 5, START_MS + 4]]}),
    file_of({"holes": [[START_MS, START_MS + 4], [START_MS + 4, START_MS + 5]]}),
    file_of({"holes": [[START_MS, START_MS + 60_001]]}),
    file_of({"holes": [1]}),
    file_of({"children": "+"}),
    file_of({"symbol": "BTCUSDT"}),
    file_of({}, b"too few"),
]


# Named by their number: a gzip file holds the time at which it was made.
@pytest.mark.parametrize("body", NO_TILES, ids=map(str, range(len(NO_TILES))))
def test_what_is_no_tile_is_told_as_one_error(body: bytes) -> None:
    with pytest.raises(BadFile):
        Tile.decode(tile_of().key, body)


def test_children_are_marked_with_nothing_else() -> None:
    tile = tile_of(HOUR)
    line, _, cells = gzip.decompress(tile.encode()).partition(b"\n")
    header = {**json.loads(line), "children": "?" * 60}
    with pytest.raises(BadFile, match="marks"):
        Tile.decode(tile.key, gzip.compress(json.dumps(header).encode() + b"\n" + cells))


def test_a_file_that_unpacks_to_more_than_any_tile_is_not_unpacked() -> None:
    bomb = zlib.compress(bytes(50_000_000), 9, wbits=zlib.MAX_WBITS | 16)
    with pytest.raises(BadFile, match="more than a tile"):
        Tile.decode(tile_of().key, bomb)
