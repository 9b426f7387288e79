"""``python -m bench.write``: what a conditional write costs the client, beside boto3.

The clients take turns, so that drift of the machine hits both alike: CPU time (user and system) of this
process with all its threads; ratios are taken within each pair of turns and their median is given. 16 writes
are under way at a time, each replaces what the one before wrote (``If-Match``), with the metadata of a
published file. Against a sink in a process of its own the time is the client's alone; against SeaweedFS its
waiting is in it, too. Both sign each request; boto3 also hashes each body, which it does over plain HTTP
whatever one tells it, while depthcast leaves that out on loopback and over TLS. The last line is one line of
JSON: our CPU time as a part of boto3's.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import uvloop
from botocore.config import Config
from rich.console import Console
from rich.table import Table

from bench.sink import started
from depthcast.exit import run
from depthcast.files import CONTENT_TYPE, FileInfo
from depthcast.store.aws import Aws
from depthcast.store.embedded import SeaweedFS
from depthcast.store.s3 import S3Store

CONCURRENCY = 16
BUCKET = "depthcast"
CACHE_CONTROL = "public, max-age=1"
METADATA = FileInfo(1, 5000, 5000, False, False, 1_700_000_000_000, 1_700_000_000_000, "bench").to_metadata()


class Turn(NamedTuple):
    """CPU milliseconds a write, and writes a second."""

    cpu_ms: float
    rate: float


class Ours:
    """S3Store on uvloop, as the updater runs it."""

    def __init__(self, aws: Aws) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._store = S3Store(BUCKET, aws=aws, max_in_flight=CONCURRENCY)
        self._etags: list[str | None] = [None] * CONCURRENCY

    def write(self, body: bytes, each: int) -> None:
        """``each`` writes of each of the concurrent writers, one after the other."""

        async def writer(number: int) -> None:
            for _ in range(each):
                result = await self._store.put_if(
                    f"ours/{number}",
                    body,
                    match=self._etags[number],
                    metadata=METADATA,
                    content_type=CONTENT_TYPE,
                    cache_control=CACHE_CONTROL,
                )
                if result.etag is None:
                    raise RuntimeError(f"a write was not won: {result}")
                self._etags[number] = result.etag

        async def all_writers() -> None:
            await asyncio.gather(*(writer(number) for number in range(CONCURRENCY)))

        self._runner.run(all_writers())


class Boto3:
    """boto3 in threads, with no more checksums than S3 demands."""

    def __init__(self, aws: Aws) -> None:
        self._threads = ThreadPoolExecutor(CONCURRENCY)
        self._client = boto3.client(
            "s3",
            endpoint_url=aws.endpoint,
            aws_access_key_id=aws.access_key_id,
            aws_secret_access_key=aws.secret_access_key,
            region_name=aws.region,
            config=Config(
                max_pool_connections=CONCURRENCY,
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path"},
            ),
        )
        self._etags: list[str | None] = [None] * CONCURRENCY

    def write(self, body: bytes, each: int) -> None:
        """As :meth:`Ours.write`."""

        def writer(number: int) -> None:
            for _ in range(each):
                etag = self._etags[number]
                condition: dict[str, Any] = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
                answer = self._client.put_object(
                    Bucket=BUCKET,
                    Key=f"boto3/{number}",
                    Body=body,
                    Metadata=METADATA,
                    ContentType=CONTENT_TYPE,
                    CacheControl=CACHE_CONTROL,
                    **condition,
                )
                self._etags[number] = answer["ETag"]

        for _ in self._threads.map(writer, range(CONCURRENCY)):
            pass


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.write", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few writes: a check that it runs, not a figure")
    quick: bool = parser.parse_args(argv).quick
    pairs = 2 if quick else 5
    ratios: dict[str, float] = {}
    table = Table(title=f"Conditional writes, {CONCURRENCY} at a time: client CPU, and writes a second")
    for column in ("store", "body", "depthcast", "boto3", "CPU ratio"):
        table.add_column(column, justify="left" if column in ("store", "body") else "right")
    for name, place in (("null", started), ("seaweedfs", _seaweedfs)):
        with place() as aws:
            ours, theirs = Ours(aws), Boto3(aws)
            for label, size, each in (("3kB", 3_000, 60), ("300kB", 300_000, 15)):
                # Bodies change as books do; random ones, for what a store may do to repeating bytes.
                bodies = [os.urandom(size) for _ in range(pairs + 1)]
                each = 4 if quick else each
                turns = _in_turn(ours.write, theirs.write, bodies, each)
                ratio = statistics.median(mine.cpu_ms / other.cpu_ms for mine, other in turns)
                ratios[f"cpu_{label}_vs_boto3_{name}"] = round(ratio, 3)
                cells = [_cell([pair[who] for pair in turns]) for who in (0, 1)]
                table.add_row(name, label, *cells, f"{ratio:.3f}")
    Console().print(table)
    print(json.dumps({"bench": "write", **ratios}))
    return 0


def _in_turn(
    ours: Callable[[bytes, int], None], theirs: Callable[[bytes, int], None], bodies: list[bytes], each: int
) -> list[tuple[Turn, Turn]]:
    """Pairs of turns, each client first in every other one; the first pair only warms up."""
    pairs = []
    for number, body in enumerate(bodies):
        if number % 2:
            mine = _timed(ours, body, each)
            other = _timed(theirs, body, each)
        else:
            other = _timed(theirs, body, each)
            mine = _timed(ours, body, each)
        pairs.append((mine, other))
    return pairs[1:]


def _timed(write: Callable[[bytes, int], None], body: bytes, each: int) -> Turn:
    cpu, wall = time.process_time(), time.perf_counter()
    write(body, each)
    writes = each * CONCURRENCY
    return Turn((time.process_time() - cpu) * 1000 / writes, writes / (time.perf_counter() - wall))


def _cell(turns: list[Turn]) -> str:
    cpu_ms = statistics.median(turn.cpu_ms for turn in turns)
    return f"{cpu_ms:.3f} ms, {statistics.median(turn.rate for turn in turns):,.0f}/s"


@contextmanager
def _seaweedfs() -> Iterator[Aws]:
    with tempfile.TemporaryDirectory() as folder, SeaweedFS(Path(folder), bucket=BUCKET) as server:
        yield server.aws


if __name__ == "__main__":
    run(main)
