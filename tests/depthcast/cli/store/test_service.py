"""The store service as a process: who may do what, and what is left after each kind of death."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from depthcast.store import Store, open_store
from depthcast.store.bucket import bucket_exists

KEY = "api/v3/depth?symbol=ETHUSDT&limit=5"


class Service:
    """A ``depthcast store`` process, its two addresses and its folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port, self.health_port = free_port(), free_port()
        self.log = data.with_suffix(".log")

    @contextmanager
    def running(self, *argv: str) -> Iterator["subprocess.Popen[bytes]"]:
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DEPTHCAST_"))
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "depthcast", "store", "--data", str(self.data)),
                    *(
                        "--listen",
                        f"127.0.0.1:{self.port}",
                        "--health-listen",
                        f"127.0.0.1:{self.health_port}",
                    ),
                    *("--bucket", "books", "--write-every-s", "0.5", *argv),
                ],
                env=env,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def health(self) -> tuple[int, str]:
        return fetch(f"http://127.0.0.1:{self.health_port}/healthz")

    def until_healthy(self) -> None:
        until(lambda: self.health()[0] == 200)

    def weed(self) -> int:
        return int((self.data / "pid").read_text())

    def opened(self, who: str, monkeypatch: pytest.MonkeyPatch) -> Store:
        """The store as ``who`` sees it, whose credentials nothing but the file says."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        path = self.data / "credentials" / who / "credentials"
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
        return open_store("s3://books", self.env())

    def env(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_REGION": "us-east-1"}


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def until(done: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


@pytest.mark.store_process
async def test_a_life_as_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(tmp_path / "data")
    s3 = f"http://127.0.0.1:{service.port}/books"
    with service.running("--anonymous-read") as process:
        await asyncio.to_thread(service.until_healthy)
        writer, reader = service.opened("writer", monkeypatch), service.opened("reader", monkeypatch)
        # boto3, which looks at buckets, finds the credentials in the same place.
        assert await asyncio.to_thread(bucket_exists, "s3://books", service.env())

        # The writer writes, the reader reads, and others read what is published and nothing else.
        assert (await writer.put_if(KEY, b"book", match=None)).etag
        assert (await writer.put_if("fleet/a.json", b"beat", match=None)).etag
        held = await reader.get(KEY)
        assert held is not None
        assert held.body == b"book"
        assert (await reader.put_if(KEY, b"forged", match=held.etag)).etag is None
        assert fetch(f"{s3}/api/v3/depth%3Fsymbol=ETHUSDT&limit=5") == (200, "book")
        assert fetch(f"{s3}/fleet/a.json")[0] == 403
        assert fetch(f"{s3}/?list-type=2")[0] == 403

        # SeaweedFS dies: it is missed at once, and started again with what it had.
        weed = service.weed()
        os.kill(weed, signal.SIGKILL)
        await asyncio.to_thread(until, lambda: service.health()[0] == 503)
        await asyncio.to_thread(service.until_healthy)
        assert service.weed() != weed
        held = await reader.get(KEY)
        assert held is not None
        assert held.body == b"book"
        newest = await writer.put_if(KEY, b"newer book", match=held.etag)
        assert newest.etag
        await writer.close()
        await reader.close()

        # The service dies: SeaweedFS goes with it, so the folder is free.
        process.kill()
        process.wait()
    with service.running() as process:
        await asyncio.to_thread(service.until_healthy)
        reader = service.opened("reader", monkeypatch)
        held = await reader.get(KEY)
        assert held is not None
        assert (held.body, held.etag) == (b"newer book", newest.etag)
        await reader.close()
        # Nobody reads without credentials unless that was asked for.
        assert fetch(f"{s3}/api/v3/depth%3Fsymbol=ETHUSDT&limit=5")[0] == 403

        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 15) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(service.weed(), 0)
    said = service.log.read_text()
    assert "SeaweedFS is started again" in said
    for who in ("writer", "reader"):
        secret = (service.data / "credentials" / who / "credentials").read_text().split()[-1]
        assert secret not in said


@pytest.mark.parametrize(
    ("option", "hint"), [("--listen", "--listen"), ("--health-listen", "--health-listen")]
)
def test_an_address_in_use_is_one_line_and_status_2(tmp_path: Path, option: str, hint: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, contextlib.suppress(subprocess.TimeoutExpired):
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = "--health-listen" if option == "--listen" else "--listen"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "depthcast", "store", "--data", str(tmp_path / "data")),
                *(option, address, other, "127.0.0.1:0"),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert f"cannot listen on {address}" in done.stderr.splitlines()[-1]
        assert f"choose another {hint}" in done.stderr.splitlines()[-1]
        return
    raise AssertionError("it went on")
