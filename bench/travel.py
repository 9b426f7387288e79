"""``python -m bench.travel``: how long the book of a past moment takes, from a real store.

The captured 650 s of ETHUSDT are put on a tape in SeaweedFS on this machine, and random ids and times of
them asked of the server's endpoint, one after the other: *kept* by a server with its usual memory, which
reads each segment once; *cold* by one that holds nothing, so that each answer costs all its reads, a
segment's decoding and its sorting. The last line is one line of JSON.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any, Final

from depthcast.exit import run
from depthcast.files import depth_key
from depthcast.store import open_store
from depthcast.store.embedded import SeaweedFS
from server.answers import Asked
from server.catalogue import Catalogue
from server.travel import Travel
from tests.depthcast.tape.stored import store_segments
from tests.depthcast.tape.tapes import DATA, SYMBOL, captured

BUCKET: Final = "depthcast"
LIMITS: Final = (5, 100, 1000)


async def measure(count: int, folder: Path) -> dict[str, Any]:
    """The figures, in milliseconds."""
    with SeaweedFS(folder, bucket=BUCKET) as server:
        store = open_store(server.store_url, {**os.environ, **server.aws.to_env()}, for_readers=True)
        segments = captured()
        await store_segments(store, segments)
        await store.put_if(depth_key(SYMBOL, 5), b"", match=None)
        catalogue = Catalogue(store)
        await catalogue.refresh()
        diffs = [diff for segment in segments for diff in segment.diffs]
        rng = Random(1)
        queries = []
        for number in range(count):
            if number % 2:
                at = f"id:{rng.randint(diffs[0].last, diffs[-1].last)}"
            else:
                at = str(rng.randrange(diffs[0].event_time_ms, diffs[-1].event_time_ms))
            queries.append(f"symbol={SYMBOL}&limit={rng.choice(LIMITS)}&at={at}".encode())
        kept = Travel(store, catalogue)
        figures: dict[str, Any] = {"kept": _shown([await _ask(kept, query) for query in queries])}
        cold = []
        for query in queries:
            fresh = Travel(store, catalogue)
            # What reads the tape is imported once; here it is only opened.
            await fresh._opened()
            cold.append(await _ask(fresh, query))
        figures["cold"] = _shown(cold)
        await store.close()
    return figures


async def _ask(travel: Travel, query: bytes) -> float:
    began = time.perf_counter()
    given = travel.depth(_never)(Asked(query))
    answer = await given if isinstance(given, Awaitable) else given
    took_ms = (time.perf_counter() - began) * 1000
    assert answer.status == 200, answer.body
    return took_ms


def _never(_: Asked) -> Any:
    raise AssertionError("a book of now was not asked for")


def _shown(took_ms: Sequence[float]) -> dict[str, float]:
    parts = quantiles(took_ms, n=100)
    return {
        "p50_ms": round(parts[49], 2),
        "p99_ms": round(parts[98], 2),
        "max_ms": round(max(took_ms), 2),
        "asked": len(took_ms),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="the book of a past moment, timed")
    parser.add_argument("--count", type=int, default=2000, help="how many moments (default: 2000)")
    parser.add_argument("--quick", action="store_true", help="few of them: whether it runs at all")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(json.dumps({"bench": "travel", "skipped": f"no captured exchange data in {DATA}"}))
        return 0
    count = 40 if arguments.quick else arguments.count
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(count, Path(folder)))
    for name, each in figures.items():
        print(f"{name}: p50 {each['p50_ms']} ms, p99 {each['p99_ms']} ms, at most {each['max_ms']} ms")
    print(json.dumps({"bench": "travel", **figures}))
    return 0


if __name__ == "__main__":
    run(main)
