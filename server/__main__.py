"""``python -m server``: one server process, from its settings to its exit status.

SIGTERM and Ctrl-C stop it: no new connection is taken, requests in flight are finished within
:data:`GRACE_S` seconds.
"""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Sequence
from typing import Final

import uvicorn
import uvloop

from depthcast.errors import DepthcastError, SettingsError
from depthcast.exit import complete, run
from depthcast.garbage import Garbage
from depthcast.logs import SeldomFilter, get_logger
from depthcast.settings import Address
from depthcast.store import Store
from server.protocol import protocol_with
from server.push.websocket import websocket_with
from server.service import Service
from server.settings import ServerSettings
from server.unfinished import Unfinished

ABOUT: Final = "Serve published order books under the exchange's own REST scheme."
GRACE_S: Final = 4
"""How long requests in flight may take after SIGTERM; closing what is idle needs a moment more."""

TAKES_NOTHING_S: Final = 60.0
"""So long a client may take nothing of what is sent to it."""

_BACKLOG: Final = 2048
_OTHER_FILES: Final = 256
"""Open files beside the readers' connections: the store's, the log's, Python's own."""

_LOG: Final = get_logger("server")


class _Uvicorn(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process before the store is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listen(address: Address, *, takes_nothing_s: float = TAKES_NOTHING_S) -> socket.socket:
    """A bound socket, whose connections end where what is sent is not taken for ``takes_nothing_s``: for each
    reader that does not read megabytes would wait. (On Linux; elsewhere the kernel's own bounds hold.)

    Raises :class:`~depthcast.errors.SettingsError` where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        bound = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {address}: {error.strerror or error}",
            hint="choose another --listen, or stop the process that listens there",
        ) from None
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Connections have it from the socket that they were accepted by.
        milliseconds = min(round(takes_nothing_s * 1000), 2**31 - 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return bound


async def serve(
    settings: ServerSettings,
    store: Store,
    bound: socket.socket,
    stop: asyncio.Event | None = None,
    *,
    wall_s: Callable[[], float] = time.time,
) -> None:
    """Serve on ``bound`` until ``stop`` is set, SIGTERM or SIGINT comes; then close everything.

    ``wall_s`` is the clock whose minutes weight is counted in, in seconds since 1970.

    Raises :class:`~depthcast.errors.AccessDenied` where the store refuses the credentials at the start.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(settings, store, wall_s=wall_s)
    # What is there now stays: looking through it again and again would hold readers up.
    gc.collect()
    gc.freeze()
    http = _Uvicorn(
        uvicorn.Config(
            service.app,
            http=protocol_with(service.fast_answers),
            ws=websocket_with(service.hub, service.channels, service.clients),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # uvicorn refuses who is one too many from this number on, itself counted.
            limit_concurrency=settings.max_connections + 1,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    working = asyncio.create_task(service.run())
    sweeping = asyncio.create_task(Unfinished(http.server_state.connections).run())
    collecting = asyncio.create_task(Garbage().run())
    serving = asyncio.create_task(http.serve(sockets=[bound]))
    stopping = asyncio.create_task(stop.wait())
    host, port = bound.getsockname()[:2]
    _LOG.info("listening", url=f"http://{Address(host, port)}", store=store.url)
    try:
        await asyncio.wait((working, serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        service.end_streams()
        http.should_exit = True
        for task in (working, sweeping, collecting, stopping):
            task.cancel()
        ended = await asyncio.gather(working, sweeping, collecting, serving, stopping, return_exceptions=True)
        await service.close()
        await store.close()
        bound.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome
    _LOG.info("stopped")


def allow_open_files(wanted: int) -> None:
    """Raise this process's own limit of open files, which is 1,024 by tradition, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        _LOG.warning(
            "the system allows fewer open files than max_connections needs",
            open_files=most,
            hint="raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)",
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop; returns the exit status. Raises what the errors tree holds."""
    settings = ServerSettings.load(argv, program="depthcast server", about=ABOUT)
    settings.configure_logs()
    # A warning for each request that is malformed, or one too many.
    logging.getLogger("uvicorn.error").addFilter(SeldomFilter())
    allow_open_files(settings.max_connections + _OTHER_FILES)
    # A stream is cut off by the server, which counts it, before the kernel does it.
    takes_nothing_s = max(TAKES_NOTHING_S, 2 * settings.stream_stalled_s)
    bound = listen(settings.listen, takes_nothing_s=takes_nothing_s)
    with bound:
        complete(serve(settings, settings.open_store(), bound), loop_factory=uvloop.new_event_loop)
    return 0


def _main() -> int:
    try:
        return main()
    except DepthcastError as error:
        print(f"depthcast server: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1


if __name__ == "__main__":
    run(_main)
