"""An edge for tests: nginx with the project's configuration, a server behind it, and a name server."""

import http.server
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from depthcast.venues.binance_rest import parameters, symbol_of, unread
from depthcast.venues.requests import ApiError
from tests.programs import program

INFRA = Path(__file__).parents[2] / "infra"
NAME = "server"


def script(path: str) -> ModuleType:
    """One of infra's programs, which belong to no package."""
    name = "infra_" + re.sub(r"\W", "_", path)
    spec = importlib.util.spec_from_file_location(name, INFRA / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Said(NamedTuple):
    """What the server answers with."""

    status: int
    body: bytes
    headers: dict[str, str]


class Origin:
    """A server that answers as it is told, counts, and can go away and come back."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.takes_s = 0.0
        self.says = Said(200, b"{}", {})
        self.book(1)
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                origin.asked.append(f"{self.command} {self.path}")
                time.sleep(origin.takes_s)
                said = origin.says
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                self.wfile.write(said.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._handler = Handler
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._serve()

    def book(self, number: int, *, state: str = "live", max_age_s: int = 1) -> None:
        """From now on every answer is this book."""
        headers = {
            "Content-Type": "application/json;charset=UTF-8",
            "ETag": f'"{number}"',
            "Cache-Control": f"public, max-age=0, s-maxage={max_age_s}, stale-while-revalidate=1",
            "Depthcast-Version": f"0:{number}",
            "Depthcast-State": state,
        }
        self.says = Said(200, b'{"lastUpdateId":%d,"bids":[],"asks":[]}' % number, headers)

    def refuse(self, status: int, body: bytes) -> None:
        """From now on every answer is this error."""
        self.says = Said(status, body, {"Content-Type": "application/json", "Cache-Control": "no-store"})

    def go_away(self) -> None:
        """Nobody listens on its port any more."""
        self._server.shutdown()
        self._server.server_close()

    def come_back(self) -> None:
        """On the same port."""
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self._serve()

    def _serve(self) -> None:
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()


def private_paths() -> list[str]:
    """What lies below ``/private/``, as it may be spelled: a server would be asked for it as it was sent."""
    path = "/private/main/api/v3/account"
    odd = ["/%70rivate/main/api/v3/account", "/private%2Fmain/api/v3/account", "/private", "/private/?x"]
    # nginx takes these for paths that are passed on, and sends them on as they came.
    dots = [f"{path}/../../../../../api/v3/time", "/private/%2e%2e/api/v3/depth?symbol=A&limit=7"]
    return [path, *odd, *dots, f"/api/..{path}", f"/api/%2e%2e{path}", f"/sapi/v1/..%2F..{path}"]


def refused_part(query: bytes) -> ApiError | None:
    """What an edge without a server says to a request for a part of the list, where it reads no cut."""
    sent = parameters(query, ("symbol",))
    if isinstance(sent, ApiError):
        return sent
    symbol = symbol_of(sent)
    return symbol if isinstance(symbol, ApiError) else unread(sent, ("symbol",))


class Names:
    """A name server that knows one name; ``known`` False: none."""

    def __init__(self) -> None:
        self.known = True
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            try:
                query, sender = self._socket.recvfrom(512)
            except OSError:
                return
            # RFC 1035, 4.1: a header of six numbers, the question as it was asked, and perhaps one A record.
            end = query.index(b"\0", 12) + 5
            ours = query[12:end].startswith(bytes([len(NAME)]) + NAME.encode() + b"\0") and self.known
            header = (
                query[:2] + (b"\x81\x80" if ours else b"\x81\x83") + b"\0\1" + (b"\0\1" if ours else b"\0\0")
            )
            record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1" if ours else b""
            self._socket.sendto(header + b"\0\0\0\0" + query[12:end] + record, sender)

    def close(self) -> None:
        """It answers no more."""
        self._socket.close()


class Edge(NamedTuple):
    """A running nginx, what is behind it, and where it is."""

    url: str
    origin: Origin
    names: Names


def configure(folder: Path, env: dict[str, str]) -> Path:
    """The edge's configuration for this environment, with all it writes below ``folder``."""
    template = (INFRA / "edge/nginx.conf").read_text("utf-8")
    folders = {"tmp": str(folder), "cache": str(folder / "cache")}
    path = folder / "nginx.conf"
    # Started by root, nginx would work as somebody who may not enter a test's folder.
    user = "user root;\n" if os.getuid() == 0 else ""
    path.write_text(user + script("edge/start.py").filled(template, env, **folders), "utf-8")
    return path


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    """The edge in front of an :class:`Origin`; skipped where nginx is not installed."""
    nginx = program("nginx")
    origin, names = Origin(), Names()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    env = {
        "EDGE_SERVER": f"{NAME}:{origin.port}",
        "EDGE_LISTEN": f"127.0.0.1:{port}",
        "EDGE_RESOLVER": f"127.0.0.1:{names.port}",
    }
    configuration = configure(tmp_path, env)
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen([nginx, "-e", "stderr", "-c", configuration], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                ended = process.poll() is not None or time.monotonic() > deadline
                assert not ended, (tmp_path / "log").read_text()
                time.sleep(0.02)
        yield Edge(f"http://127.0.0.1:{port}", origin, names)
    finally:
        process.terminate()
        process.wait(10)
        origin.go_away()
        names.close()
        log.close()
