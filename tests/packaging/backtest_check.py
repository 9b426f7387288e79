"""``make backtest``: hftbacktest, from the package index, reads what ``depthcast export`` wrote.

Two programs in one file, for hftbacktest wants other versions of packages than this project is developed
with. ``write FOLDER`` (here): the captured minutes are put on a tape and exported, with the book of the end
beside them. ``read FOLDER`` (there): its own converter reads the file, a depth is built from all its events,
and compared with that book.
"""

import asyncio
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def write(folder: Path) -> None:
    """The export, and the book of its end, reckoned without the project's own."""
    from depthcast.cli.export import main
    from depthcast.store import open_store
    from tests.depthcast.cli.taped import BUCKET, s3
    from tests.depthcast.tape.stored import store_segments
    from tests.depthcast.tape.tapes import SYMBOL, NaiveBook, captured

    segments = captured()
    with s3() as env:

        async def put() -> None:
            store = open_store(f"s3://{BUCKET}", env)
            await store_segments(store, segments)
            await store.close()

        asyncio.run(put())
        os.environ.update(env)
        main(
            [
                f"--store-url=s3://{BUCKET}",
                "--symbols",
                SYMBOL,
                "--to",
                "2024-08-09T01:00:00Z",
                "--output",
                str(folder),
            ]
        )
    frame = segments[0].pieces[0].keyframe
    book = NaiveBook(frame.update_id, frame.bids, frame.asks)
    for segment in segments:
        for diff in segment.diffs:
            book.apply(diff)
    (folder / "book.json").write_text(json.dumps(book.levels()))


def read(folder: Path) -> None:
    """Convert, build the depth, compare."""
    tardis: Any = import_module("hftbacktest.data.utils.tardis")
    types: Any = import_module("hftbacktest.types")

    [path] = folder.glob("*.csv.gz")
    data = tardis.convert([str(path)], buffer_size=1_000_000, ss_buffer_size=20_000)
    sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
    for event, price, quantity in zip(data["ev"], data["px"], data["qty"], strict=True):
        side = sides[0 if int(event) & types.BUY_EVENT else 1]
        if not int(event) & types.LOCAL_EVENT:
            continue
        if int(event) & 0xFF == types.DEPTH_CLEAR_EVENT:
            side.clear()
        elif quantity:
            side[float(price)] = float(quantity)
        else:
            side.pop(float(price), None)
    wanted = json.loads((folder / "book.json").read_text())
    for side, levels in zip(sides, wanted, strict=True):
        assert side == {float(price): float(amount) for price, amount in levels}
    print(f"hftbacktest read {len(data):,} events; its book of the end is the tape's")


if __name__ == "__main__":
    if sys.argv[1] == "read":
        read(Path(sys.argv[2]))
    else:
        write(Path(sys.argv[2]))
