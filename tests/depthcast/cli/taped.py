"""A tape for the verbs that read one: two symbols, three minutes, holes in one; in memory or in S3."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple

from moto.server import ThreadedMotoServer

from depthcast.book import Book
from depthcast.store import Store, open_store
from depthcast.store.aws import Aws
from depthcast.tape.segment import Segment
from tests.depthcast.tape.stored import store_segments
from tests.depthcast.tape.tapes import START_MS, SYMBOL, chain, part

OTHER = "BTCUSDT"
MINUTE_MS = 60_000
BUCKET = "taped"


def minutes(symbol: str, seed: int, *, torn: bool) -> list[Segment]:
    """Three minutes of a diff a second; of a torn second one only 10 and 10 diffs are known."""
    long = chain(Random(seed), 180, symbol=symbol, every_ms=1000)

    def segment(at: int, *spans: tuple[int, int], whole: bool = True) -> Segment:
        pieces = [part(long, 60 * at + start, 60 * at + stop) for start, stop in spans]
        start_ms = START_MS + MINUTE_MS * at
        return Segment.of("binance", symbol, start_ms, 60, pieces, from_start=True, to_end=whole)

    middle = segment(1, (0, 10), (30, 40), whole=False) if torn else segment(1, (0, 60))
    return [segment(0, (0, 60)), middle, segment(2, (0, 60))]


class Taped(NamedTuple):
    """What is on the tape, by symbol."""

    segments: dict[str, list[Segment]]

    def last_book(self, symbol: str) -> Book:
        """The book at the end."""
        [piece] = self.segments[symbol][-1].pieces
        book = Book.of(piece.keyframe.snapshot())
        for diff in piece.diffs:
            book.apply(diff.diff(symbol))
        return book


TAPED = Taped({SYMBOL: minutes(SYMBOL, 8, torn=True), OTHER: minutes(OTHER, 9, torn=False)})


async def write_tape(store: Store) -> None:
    """Put it into a store."""
    for segments in TAPED.segments.values():
        await store_segments(store, segments)


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """An S3 with an empty bucket; the environment that leads there."""
    import boto3

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    env = Aws(f"http://{host}:{port}", access_key_id="moto", secret_access_key="moto").to_env()
    boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="moto",
        aws_secret_access_key="moto",
    ).create_bucket(Bucket=BUCKET)
    try:
        yield env
    finally:
        server.stop()


async def write_to_s3(env: dict[str, str]) -> None:
    """Put the tape into the bucket."""
    store = open_store(f"s3://{BUCKET}", env)
    try:
        await write_tape(store)
    finally:
        await store.close()
