"""The page's own script reads a tile as the library wrote it."""

import gzip
import json
import subprocess
from pathlib import Path

import numpy as np

from depthcast.heat.tile import UNKNOWN, Tile
from depthcast.heat.zooms import MINUTE
from tests.programs import program

SCRIPT = Path(__file__).resolve().parents[3] / "server/page/static/tiles.js"
READ = """\
import { readFileSync } from "node:fs";
import { Tiles, readTile } from "./tiles.mjs";
globalThis.fetch = async () => new Response(readFileSync(process.argv[2]));
const tile = await readTile("/anywhere");
const url = new Tiles("binance", tile.symbol, () => {}).url(tile.zoom, tile.start_ms);
console.log(JSON.stringify({ ...tile, cells: [...tile.cells], url: decodeURIComponent(url) }));
"""


def test_a_tile_is_read_by_the_page_as_it_was_written(tmp_path: Path) -> None:
    node = program("node")
    chance = np.random.default_rng(5)
    prices = chance.uniform(2600, 2700, 60).round(2)
    prices[7] = np.nan
    cells = chance.integers(0, 256, (30, 60)).astype(np.uint8)
    cells[3, 4] = UNKNOWN
    start_ms = 1_723_161_240_000
    tile = Tile("binance", "币安人生USDT", MINUTE, start_ms, 0.2, 13_000, -37, cells, prices, prices + 0.01)
    (tmp_path / "tiles.mjs").write_bytes(SCRIPT.read_bytes())
    (tmp_path / "read.mjs").write_text(READ)
    (tmp_path / "tile").write_bytes(tile.encode())
    done = subprocess.run(
        [node, tmp_path / "read.mjs", tmp_path / "tile"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read.pop("cells") == cells.flatten().tolist()
    assert read.pop("url") == f"/{tile.key}"
    assert read == json.loads(gzip.decompress(tile.encode()).partition(b"\n")[0])
    assert read["bid"][7] is None
