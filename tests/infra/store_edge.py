"""The edge that reads the store itself, for tests: nginx, a counter in front of the store, and SeaweedFS."""

import http.client
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from depthcast.files import BINANCE, CONTENT_TYPE, FileInfo, Scheme, depth_key
from depthcast.metadata.kinds import EXCHANGE_INFO, Kind
from depthcast.metadata.record import HeadInfo, digest_of
from depthcast.store.aws import Aws
from depthcast.store.embedded import SeaweedFS
from depthcast.store.s3 import S3Store
from tests.infra.conftest import INFRA, script
from tests.programs import program

BUCKET = "books"
DEPTH = "/api/v3/depth"
LIST = "/api/v3/exchangeInfo"


class Counter:
    """Passes connections on to the store and counts the requests; it can hold them back, and go away."""

    def __init__(self, port: int) -> None:
        self.to_port = port
        self.delay_s = 0.0
        self.asked: list[str] = []
        """The request target of each read of the store."""
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def go_away(self) -> None:
        """Nobody listens there any more."""
        # Not closed at once: accept() in the other thread would keep the port.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def come_back(self) -> None:
        """On the same port."""
        self._listener = self._listen(self.port)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(65536)
                if not piece:
                    return
                head += piece
            self.asked.append(head.split(b" ")[1].decode("latin-1"))
            time.sleep(self.delay_s)  # what is simulated is a slow store
            with socket.create_connection(("127.0.0.1", self.to_port), timeout=5) as store:
                # One request a connection, so that each is counted.
                store.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                while piece := store.recv(65536):
                    client.sendall(piece)


class Got(NamedTuple):
    """An answer of the edge."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def state(self) -> str | None:
        return self.headers["Depthcast-State"]


class StoreEdge(NamedTuple):
    """A running edge, and what is behind it."""

    port: int
    counter: Counter
    store: S3Store
    log: Path

    def get(self, target: str | bytes, method: str = "GET", **headers: str) -> Got:
        """The answer to one request, whose target is sent as it is."""
        sent = target.encode() if isinstance(target, str) else target
        lines = [b"%s %s HTTP/1.1" % (method.encode(), sent), b"Host: edge", b"Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            return Got(answer.status, answer.headers, answer.read())

    def depth(self, query: str, **headers: str) -> Got:
        """The answer to a request for a book."""
        return self.get(f"{DEPTH}?{query}", **headers)

    async def publish(
        self,
        symbol: str,
        limit: int,
        update_id: int,
        *,
        status: str = "TRADING",
        scheme: Scheme = BINANCE,
    ) -> bytes:
        """Write a file as an updater does, over whatever is there; returns its body, of as many levels (the
        edge reads none of it)."""
        key = depth_key(symbol, limit, scheme)
        level = b'["1.00000000","2.00000000"]'
        body = b'{"lastUpdateId":%d,"bids":[%s],"asks":[%s]}' % (update_id, b",".join([level] * limit), level)
        info = FileInfo(
            epoch=3,
            bids=4870,
            asks=113,
            bids_complete=False,
            asks_complete=True,
            event_time_ms=1_723_161_253_000,
            publish_time_ms=1_723_161_253_021,
            replica="host-1",
            status=status,
        )
        held = await self.store.get(key)
        done = await self.store.put_if(
            key,
            body,
            match=held.etag if held is not None else None,
            metadata=info.to_metadata(),
            content_type=CONTENT_TYPE,
            cache_control="public, max-age=0, s-maxage=1",
        )
        assert done.etag is not None, done
        return body

    async def publish_list(self, server_time_ms: int, *symbols: str, cut: str | None = None) -> bytes:
        """Write a list of symbols, or the ``cut`` of it for a symbol, as updaters do; returns its body."""
        entries = ",".join(f'{{"symbol":"{symbol}","status":"TRADING"}}' for symbol in symbols)
        body = f'{{"timezone":"UTC","serverTime":{server_time_ms},"rateLimits":[],"symbols":[{entries}]}}'
        key = EXCHANGE_INFO.key if cut is None else EXCHANGE_INFO.cut_key(cut)
        return await self.publish_document(EXCHANGE_INFO, key, body.encode(), server_time_ms)

    async def publish_document(self, kind: Kind, key: str, body: bytes, observed_ms: int) -> bytes:
        """Write a document as an updater does, over whatever is there; returns its body."""
        reading = kind.read(body)
        info = HeadInfo(
            1, observed_ms, digest_of(body), reading.fingerprint, "host-1", reading.server_time_ms
        )
        held = await self.store.get(key)
        done = await self.store.put_if(
            key,
            body,
            match=held.etag if held is not None else None,
            metadata=info.to_metadata(),
            content_type=CONTENT_TYPE,
            cache_control="public, max-age=0, s-maxage=1",
        )
        assert done.etag is not None, done
        return body


@contextmanager
def running_edge(folder: Path, seaweedfs: SeaweedFS, **env: str) -> Iterator[StoreEdge]:
    """The edge of ``store.conf``, reading from SeaweedFS; skipped where nginx is not installed."""
    nginx = program("nginx")
    aws = seaweedfs.aws
    assert aws.endpoint is not None
    counter = Counter(int(aws.endpoint.rpartition(":")[2]))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    settings = {
        "EDGE_STORE": f"http://127.0.0.1:{counter.port}/{BUCKET}",
        "EDGE_LISTEN": f"127.0.0.1:{port}",
        "EDGE_RESOLVER": "127.0.0.1",
        **env,
    }
    configuration = configure_store(folder, settings)
    log = folder / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [nginx, "-e", "stderr", "-c", configuration], stdout=written, stderr=written
        )
    store = S3Store(BUCKET, "", aws=Aws.from_env(aws.to_env()))
    try:
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            ended = process.poll() is not None or time.monotonic() > deadline
            assert not ended, log.read_text()
            time.sleep(0.02)
        yield StoreEdge(port, counter, store, log)
    finally:
        process.terminate()
        process.wait(10)
        counter.go_away()


def configure_store(folder: Path, env: dict[str, str]) -> Path:
    """``store.conf`` for this environment, with all it writes below ``folder``."""
    template = (INFRA / "edge/store.conf").read_text("utf-8")
    folders = {"tmp": str(folder), "cache": str(folder / "cache")}
    # Started by root, nginx would work as somebody who may not enter a test's folder.
    user = "user root;\n" if os.getuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(user + script("edge/start.py").filled(template, env, **folders), "utf-8")
    return path


def store_names(text: str) -> list[str]:
    """Whatever in ``text`` would tell of the store."""
    return re.findall(r"(?i)x-amz[a-z-]*|seaweed\w*|fingerprint|127\.0\.0\.1\S*|host-1|bucket", text)
