"""WarmFiles: a published file as a snapshot, and what is none."""

import pytest

from depthcast.book import Book
from depthcast.errors import BadFile
from depthcast.events import Snapshot
from depthcast.files import FileInfo, depth_key, layout_of
from depthcast.keeper import WarmStart
from depthcast.store.memory import MemoryStore
from updater.warm import WarmFiles

KEY = depth_key("ETHUSDT", 2)
BIDS = [["3.0", "1"], ["2.0", "1"], ["1.0", "1"]]
ASKS = [["4.0", "1"]]


async def stored(epoch: int = 3, **metadata: str) -> MemoryStore:
    """A store with the file of two levels of a book that is complete."""
    store = MemoryStore()
    book = Book.of(Snapshot(160, BIDS, ASKS, True, True))
    info = FileInfo(epoch, 3, 1, True, True, 1, 2, "r").to_metadata() | metadata
    await store.put_if(KEY, book.body(2), match=None, metadata=info)
    return store


def warm(store: MemoryStore) -> tuple[WarmFiles, list[tuple[str, int]]]:
    damaged: list[tuple[str, int]] = []
    return WarmFiles(store, 2, on_damaged=lambda symbol, limit, _: damaged.append((symbol, limit))), damaged


async def test_a_file_is_a_snapshot_whose_sides_are_complete_if_it_shows_all_of_them() -> None:
    files, damaged = warm(await stored())
    assert await files("ETHUSDT", 160) == WarmStart(3, 160, Snapshot(160, BIDS[:2], ASKS, False, True, 1))
    assert not damaged


async def test_a_file_that_is_too_old_is_a_version_alone() -> None:
    files, _ = warm(await stored())
    assert await files("ETHUSDT", 161) == WarmStart(3, 160, None)


async def test_no_file_is_no_start() -> None:
    files, damaged = warm(MemoryStore())
    assert await files("ETHUSDT", 0) is None
    assert not damaged


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"lastUpdateId":160,"bids":[["1","2"]],', b'{"lastUpdateId":160,"bids":[[]],"a":1}'],
)
async def test_a_damaged_file_is_reported_and_no_start(body: bytes) -> None:
    store = MemoryStore()
    info = FileInfo(3, 3, 1, True, True, 1, 2, "r").to_metadata()
    await store.put_if(KEY, body, match=None, metadata=info)
    files, damaged = warm(store)
    assert await files("ETHUSDT", 0) is None
    assert damaged == [("ETHUSDT", 2)]


async def test_a_file_with_unreadable_metadata_is_no_start() -> None:
    files, damaged = warm(await stored(epoch=1, **{"certain-bids": "many"}))
    assert await files("ETHUSDT", 0) is None
    assert damaged == [("ETHUSDT", 2)]


async def test_no_book_starts_in_an_epoch_before_one_that_was_seen() -> None:
    files, _ = warm(await stored(epoch=3))
    files.newer_epoch("ETHUSDT", 5)
    files.newer_epoch("ETHUSDT", 4)
    assert await files("ETHUSDT", 0) == WarmStart(5, 160, None)
    files.newer_epoch("BTCUSDT", 2)
    assert await files("BTCUSDT", 0) == WarmStart(2, 0, None)


async def test_a_file_of_the_epoch_that_was_seen_is_a_start() -> None:
    files, _ = warm(await stored(epoch=5))
    files.newer_epoch("ETHUSDT", 5)
    start = await files("ETHUSDT", 0)
    assert start is not None
    assert start.snapshot is not None


@pytest.mark.parametrize(
    "body",
    [
        b'{"lastUpdateId":"1","bids":[],"asks":[]}',
        b'{"lastUpdateId":1,"bids":{},"asks":[]}',
        b"[]",
        b"nil",
        b'{"lastUpdateId":160,"bids":[],"asks":[],"lastUpdateId":-160}',
    ],
)
def test_a_body_of_another_shape_is_no_snapshot(body: bytes) -> None:
    with pytest.raises(BadFile):
        layout_of(KEY).snapshot(KEY, body, FileInfo(0, 0, 0, True, True, 0, 0, "r"))
