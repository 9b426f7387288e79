"""``python -m bench.read``: what a read costs the client, beside obstore and boto3.

The clients take turns, so that drift of the machine hits all alike: CPU time (user and system) of this
process with all its threads; ratios are taken within each round of turns and their median is given. 16 reads
are under way at a time. Against :mod:`bench.shelf` in a process of its own, which answers as fast as Python
can, the time is the client's alone; against SeaweedFS its waiting is in it, too. *unchanged* is a conditional
read answered 304. The last line is one line of JSON: our CPU time as a part of each other's.
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
from typing import Final, NamedTuple

import boto3
import uvloop
from botocore.config import Config
from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table

from bench import shelf
from depthcast.exit import run
from depthcast.files import CONTENT_TYPE, FileInfo, depth_key
from depthcast.store import UNCHANGED
from depthcast.store.aws import Aws
from depthcast.store.embedded import SeaweedFS
from depthcast.store.reading import ReadingS3Store
from depthcast.store.s3 import S3Store

CONCURRENCY: Final = 16
METADATA: Final = FileInfo(
    1, 5000, 5000, False, False, 1_700_000_000_000, 1_700_000_000_000, "bench"
).to_metadata()
OURS, OBSTORE, BOTO3 = "depthcast", "obstore", "boto3"


class Turn(NamedTuple):
    """CPU milliseconds a read, and reads a second."""

    cpu_ms: float
    rate: float


class Client(NamedTuple):
    """Reads ``key`` so many times in each of the concurrent readers; ``etag``: unless it is that."""

    read: Callable[[str, str | None, int], None]


def on_loop(store: S3Store, runner: asyncio.Runner) -> Client:
    """A store of ours on uvloop, as the server runs it."""

    async def reader(key: str, etag: str | None, each: int) -> None:
        for _ in range(each):
            if etag is None:
                assert await store.get(key) is not None
            else:
                assert await store.get_if_changed(key, etag) is UNCHANGED

    async def readers(key: str, etag: str | None, each: int) -> None:
        await asyncio.gather(*(reader(key, etag, each) for _ in range(CONCURRENCY)))

    return Client(lambda key, etag, each: runner.run(readers(key, etag, each)))


def in_threads(aws: Aws, bucket: str) -> Client:
    """boto3 in threads, with no more checksums than S3 demands."""
    threads = ThreadPoolExecutor(CONCURRENCY)
    client = boto3.client(
        "s3",
        endpoint_url=aws.endpoint,
        aws_access_key_id=aws.access_key_id,
        aws_secret_access_key=aws.secret_access_key,
        region_name=aws.region,
        config=Config(
            max_pool_connections=CONCURRENCY,
            retries={"total_max_attempts": 1},
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        ),
    )

    def read(key: str, etag: str | None, each: int) -> None:
        def reader(_: int) -> None:
            for _ in range(each):
                if etag is None:
                    client.get_object(Bucket=bucket, Key=key)["Body"].read()
                    continue
                try:
                    client.get_object(Bucket=bucket, Key=key, IfNoneMatch=etag)
                except ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 304:
                        raise
                else:
                    raise RuntimeError("the object changed")

        for _ in threads.map(reader, range(CONCURRENCY)):
            pass

    return Client(read)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.read", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few reads: a check that it runs, not a figure")
    quick: bool = parser.parse_args(argv).quick
    rounds = 1 if quick else 5
    figures: dict[str, float] = {}
    table = Table(title=f"Reads, {CONCURRENCY} at a time: client CPU, and reads a second")
    for column in ("store", "body", OURS, OBSTORE, BOTO3, "CPU by obstore", "CPU by boto3"):
        table.add_column(column, justify="left" if column in ("store", "body") else "right")
    for name, place in (("shelf", _shelf), ("seaweedfs", _seaweedfs)):
        with place() as (aws, bucket, keys), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            # Stores belong to the loop they are used in.
            clients = {
                OURS: on_loop(ReadingS3Store(bucket, aws=aws, max_in_flight=CONCURRENCY), runner),
                OBSTORE: on_loop(S3Store(bucket, aws=aws, max_in_flight=CONCURRENCY), runner),
                BOTO3: in_threads(aws, bucket),
            }
            etags = {label: _etag(aws, bucket, key, runner) for label, key in keys.items()}
            kinds = [(label, key, None) for label, key in keys.items()]
            kinds += [("unchanged", keys["6kB"], etags["6kB"])]  # type: ignore[list-item]
            for label, key, etag in kinds:
                each = 2 if quick else 15 if label == "300kB" else 60
                turns = _in_turn(clients, key, etag, each, rounds)
                ratios = [
                    statistics.median(
                        ours.cpu_ms / other.cpu_ms
                        for ours, other in zip(turns[OURS], turns[who], strict=True)
                    )
                    for who in (OBSTORE, BOTO3)
                ]
                for who, ratio in zip((OBSTORE, BOTO3), ratios, strict=True):
                    figures[f"cpu_{label}_vs_{who}_{name}"] = round(ratio, 3)
                figures[f"cpu_ms_{label}_{name}"] = round(statistics.median(t.cpu_ms for t in turns[OURS]), 4)
                cells = [_cell(turns[who]) for who in (OURS, OBSTORE, BOTO3)]
                table.add_row(name, label, *cells, *(f"{ratio:.3f}" for ratio in ratios))
    Console(width=140).print(table)
    print(json.dumps({"bench": "read", **figures}))
    return 0


def _in_turn(
    clients: dict[str, Client], key: str, etag: str | None, each: int, rounds: int
) -> dict[str, list[Turn]]:
    """The turns of each client, in one order and the other; a first round only warms up."""
    turns: dict[str, list[Turn]] = {who: [] for who in clients}
    for number in range(rounds + 1):
        for who in list(clients) if number % 2 else list(clients)[::-1]:
            cpu, wall = time.process_time(), time.perf_counter()
            clients[who].read(key, etag, each)
            reads = each * CONCURRENCY
            turns[who].append(
                Turn((time.process_time() - cpu) * 1000 / reads, reads / (time.perf_counter() - wall))
            )
    return {who: each[1:] for who, each in turns.items()}


def _etag(aws: Aws, bucket: str, key: str, runner: asyncio.Runner) -> str:
    held = runner.run(S3Store(bucket, aws=aws).get(key))
    if held is None:
        raise RuntimeError(f"there is no object {key}")
    return held.etag


def _cell(turns: list[Turn]) -> str:
    cpu_ms = statistics.median(turn.cpu_ms for turn in turns)
    return f"{cpu_ms:.3f} ms, {statistics.median(turn.rate for turn in turns):,.0f}/s"


@contextmanager
def _shelf() -> Iterator[tuple[Aws, str, dict[str, str]]]:
    with shelf.started(1) as running:
        # The still book of 100 levels is 6 kB, that of 5,000 is 300 kB.
        keys = {"6kB": depth_key(shelf.STILL, shelf.MOVING_LIMIT), "300kB": depth_key(shelf.STILL, 5000)}
        yield running.aws, shelf.BUCKET, keys


@contextmanager
def _seaweedfs() -> Iterator[tuple[Aws, str, dict[str, str]]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        SeaweedFS(Path(folder), bucket="depthcast") as server,
        asyncio.Runner() as runner,
    ):
        store = S3Store("depthcast", aws=server.aws)
        for label, size in (("6kB", 6_000), ("300kB", 300_000)):
            put = runner.run(
                store.put_if(
                    label, os.urandom(size), match=None, metadata=METADATA, content_type=CONTENT_TYPE
                )
            )
            if put.etag is None:
                raise RuntimeError(f"a write was not won: {put}")
        yield server.aws, "depthcast", {"6kB": "6kB", "300kB": "300kB"}


if __name__ == "__main__":
    run(main)
