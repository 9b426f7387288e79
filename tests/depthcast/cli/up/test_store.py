"""Which store is used, what it has to show, and where simulated books may go."""

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from depthcast.cli.up.board import STORE, Board
from depthcast.cli.up.folder import DataFolder
from depthcast.cli.up.settings import UpSettings
from depthcast.cli.up.store import EmbeddedStore, OwnStore, open_part
from depthcast.errors import BucketMissing, SettingsError, StoreUnavailable
from depthcast.store.bucket import bucket_exists
from depthcast.store.embedded import SeaweedFS


@pytest.fixture
def planned(board: Board) -> Board:
    board.plan(STORE)
    return board


def own(url: str, board: Board, env: Mapping[str, str], *, create: bool = False) -> OwnStore:
    return OwnStore(url, create_bucket=create, board=board, env=env)


def part(board: Board, tmp_path: Path, *argv: str, **env: str) -> OwnStore | EmbeddedStore:
    return open_part(UpSettings.load(argv, {}), DataFolder(tmp_path), board, env)


def test_without_a_url_seaweedfs_is_meant_and_a_forgotten_url_is_pointed_out(
    board: Board, tmp_path: Path
) -> None:
    assert isinstance(part(board, tmp_path), EmbeddedStore)
    assert list(board.notes) == []
    assert isinstance(part(board, tmp_path, AWS_ENDPOINT_URL="http://x"), EmbeddedStore)
    assert "AWS_ENDPOINT_URL is set and not used" in board.notes[-1].text


def test_with_a_url_the_users_own_is_meant(board: Board, tmp_path: Path) -> None:
    store = part(board, tmp_path, "--store-url", "s3://books/here/", AWS_REGION="x")
    assert isinstance(store, OwnStore)
    assert store.url == "s3://books/here"
    assert store.child_env() == {"AWS_REGION": "x"}


@pytest.mark.parametrize("url", ["memory:", "http://books", "books"])
def test_a_store_that_processes_cannot_share_is_refused(board: Board, url: str) -> None:
    with pytest.raises(SettingsError, match="cannot be used by several processes"):
        own(url, board, {})


def test_simulated_books_never_go_where_real_ones_are(board: Board) -> None:
    asked_for, fallen_back = own("s3://books", board, {}), own("s3://books", board, {})
    asked_for.keep_apart("simulator", instead=False)
    fallen_back.keep_apart("simulator", instead=True)
    assert (asked_for.url, fallen_back.url) == ("s3://books", "s3://books/simulator")


async def test_a_fit_store_says_so(s3_bucket: Mapping[str, str], planned: Board) -> None:
    store = own(s3_bucket["DEPTHCAST_STORE_URL"], planned, s3_bucket)
    await store.start()
    assert planned.steps[STORE].state == "done"
    assert "honours conditions" in planned.steps[STORE].text


async def test_a_missing_bucket_is_created_where_that_was_asked_for(
    s3_bucket: Mapping[str, str], planned: Board
) -> None:
    url = f"s3://up-{uuid.uuid4().hex}"
    with pytest.raises(BucketMissing, match="say --create-bucket"):
        await own(url, planned, s3_bucket).start()
    assert not bucket_exists(url, s3_bucket)
    await own(url, planned, s3_bucket, create=True).start()
    assert bucket_exists(url, s3_bucket)
    assert "the bucket was created" in planned.notes[-1].text


async def test_a_store_that_is_not_there_is_an_error_at_once(planned: Board) -> None:
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await asyncio.wait_for(own("s3://books", planned, env).start(), 30)


def test_the_embedded_store_keeps_simulated_books_apart_and_credentials_to_itself(
    planned: Board, tmp_path: Path
) -> None:
    store = EmbeddedStore(DataFolder(tmp_path), planned, {"AWS_PROFILE": "mine", "PATH": "/bin"})
    with pytest.raises(RuntimeError, match="not started"):
        store.child_env()
    asyncio.run(store.stop())
    assert store.state == "stopped"


def test_a_full_disk_is_said_once_and_so_is_its_end(
    planned: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EmbeddedStore(DataFolder(tmp_path), planned, {})
    monkeypatch.setattr(store, "_seaweed", SeaweedFS(tmp_path, min_free_mb=10**9))
    for _ in range(3):
        store.watch_disk()
    assert [note.level for note in planned.notes] == ["error"]
    assert "is full" in planned.notes[0].text
    monkeypatch.setattr(store, "_seaweed", SeaweedFS(tmp_path, min_free_mb=0))
    for _ in range(3):
        store.watch_disk()
    assert [note.text for note in planned.notes][1:] == ["the disk has room again"]
