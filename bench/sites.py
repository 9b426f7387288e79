"""Who else serves the books: nginx with files, and uvicorn with Starlette from memory, each as a child.

Both give the very bodies that our server gave, zipped ones too. nginx is set up for speed: one worker,
``sendfile``, ``open_file_cache``, no log, ``gzip_static``. Starlette answers from a dict, 304 and gzip
included.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Place = Callable[[int], None]
"""Told a process id: chooses its cores."""

_NGINX: Final = """
daemon off; worker_processes 1; worker_rlimit_nofile 20000; {user}
pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=600s; open_file_cache_valid 600s;
  default_type application/json;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}/books; gzip_static on; }}
}}
"""
_STARTS_WITHIN_S: Final = 20.0


class Site(NamedTuple):
    """A server that runs: its url up to the limit, and the process that does its work."""

    url: str
    pid: int


@contextmanager
def nginx(
    books: Mapping[int, bytes], zipped: Mapping[int, bytes], folder: Path, place: Place
) -> Iterator[Site]:
    """nginx over a folder with a file for each limit."""
    (folder / "books").mkdir()
    for limit, body in books.items():
        (folder / "books" / str(limit)).write_bytes(body)
        (folder / "books" / f"{limit}.gz").write_bytes(zipped[limit])
    port = free_port()
    # Started by root, its worker would be nobody and could not read the folder.
    user = "" if os.geteuid() else "user root;"
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, user=user))
    command = [
        found("nginx"),
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-e",
        str(folder / "error.log"),
    ]
    with _child(command, port, place) as child:
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        yield Site(f"http://127.0.0.1:{port}/", int(children[0]))


@contextmanager
def starlette(
    books: Mapping[int, bytes], zipped: Mapping[int, bytes], folder: Path, place: Place
) -> Iterator[Site]:
    """uvicorn with Starlette in a process of its own, which reads the books once."""
    for limit, body in books.items():
        (folder / str(limit)).write_bytes(body)
        (folder / f"{limit}.gz").write_bytes(zipped[limit])
    port = free_port()
    command = [sys.executable, "-m", "bench.sites", str(folder), str(port)]
    with _child(command, port, place) as child:
        yield Site(f"http://127.0.0.1:{port}/", child.pid)


def found(program: str) -> str:
    """The path of a program. Raises ``FileNotFoundError`` that says what to install."""
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(f"this needs {program}: apt-get install {program}")
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@contextmanager
def _child(command: list[str], port: int, place: Place) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen(command)
    try:
        place(child.pid)
        await_port(port, child)
        yield child
    finally:
        child.terminate()
        child.wait(10)


def await_port(port: int, child: "subprocess.Popen[bytes]") -> None:
    """Wait until somebody listens. Raises ``RuntimeError`` where the child ends or takes too long."""
    give_up = time.monotonic() + _STARTS_WITHIN_S
    while child.poll() is None and time.monotonic() < give_up:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{child.args!r} does not listen")


def _application(folder: Path) -> Starlette:
    plain: dict[str, bytes] = {}
    zipped: dict[str, bytes] = {}
    for path in folder.iterdir():
        (zipped if path.suffix == ".gz" else plain)[path.stem] = path.read_bytes()
    common = {"cache-control": "no-cache", "vary": "accept-encoding"}

    async def book(request: Request) -> Response:
        limit = request.path_params["limit"]
        tag = f'"{limit}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag, **common})
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers = {"etag": tag, "content-encoding": "gzip", **common}
            return Response(zipped[limit], headers=headers, media_type="application/json")
        return Response(plain[limit], headers={"etag": tag, **common}, media_type="application/json")

    return Starlette(routes=[Route("/{limit}", book)])


if __name__ == "__main__":
    uvicorn.run(
        _application(Path(sys.argv[1])),
        port=int(sys.argv[2]),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=4096,
    )
