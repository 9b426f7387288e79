"""The store service from its settings to its exit status.

SIGTERM and Ctrl-C stop it: what SeaweedFS has acknowledged is with the operating system by then. While it
does not run, connections are closed at once, and its users wait and try again by themselves.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import uvloop
from aiohttp import web

from depthcast.cli.store.credentials import identities
from depthcast.cli.store.keeping import Keeping
from depthcast.cli.store.relay import Relay
from depthcast.cli.store.settings import StoreServiceSettings
from depthcast.cli.up.tether import tether
from depthcast.errors import SettingsError
from depthcast.heat.keys import HEAT_PREFIX
from depthcast.logs import get_logger
from depthcast.metadata.kinds import PUBLIC_PREFIXES
from depthcast.settings import Address
from depthcast.store.bucket import first_write
from depthcast.store.embedded import SeaweedFS

_ABOUT: Final = (
    "Run an S3 store (SeaweedFS) for updaters and servers elsewhere. Who may write and who may only read is "
    "written into two AWS credentials files, which the others name in AWS_SHARED_CREDENTIALS_FILE."
)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_log: Final = get_logger("store")


def main(argv: Sequence[str]) -> int:
    """Run the store until it is told to stop. Raises :class:`~depthcast.errors.DepthcastError`."""
    settings = StoreServiceSettings.load(argv, program="depthcast store", about=_ABOUT)
    settings.configure_logs()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, os.environ))
    return 0


async def serve(settings: StoreServiceSettings, env: Mapping[str, str]) -> None:
    """Run the store until SIGTERM or SIGINT. Raises what keeps it from running."""
    users = await asyncio.to_thread(identities, settings.credentials_folder, env)
    seaweed = SeaweedFS(
        settings.data,
        bucket=settings.bucket,
        identities=users,
        anonymous_prefixes=(*PUBLIC_PREFIXES, HEAT_PREFIX) if settings.anonymous_read else (),
        min_free_mb=settings.min_free_mb,
        on_progress=lambda done, of, text: _log.info(text, step=f"{done}/{of}"),
        preexec_fn=tether(),
    )
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    keeping = Keeping(
        seaweed,
        try_write=lambda: first_write(seaweed.store_url, seaweed.aws.to_env()),
        on_end=lambda: _call(loop, over),
        write_every_s=settings.write_every_s,
    )
    relay = Relay(settings.listen, keeping.target, max_connections=settings.max_connections)
    health = _health(keeping)
    for number in _SIGNALS:
        loop.add_signal_handler(number, over.set)
    try:
        await _listen(health, settings.health_listen)
        address = await relay.start()
        keeping.start()
        _log.info(
            "store starts",
            endpoint=f"http://{address}",
            bucket=settings.bucket,
            credentials=str(settings.credentials_folder),
        )
        await over.wait()
    finally:
        await relay.close()
        await asyncio.to_thread(keeping.stop)
        await health.cleanup()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    if keeping.error is not None:
        raise keeping.error
    _log.info("stopped")


def _call(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(over.set)


def _health(keeping: Keeping) -> web.AppRunner:
    async def healthz(_request: web.Request) -> web.Response:
        healthy, text = keeping.condition
        return web.Response(text=f"{text}\n", status=200 if healthy else 503)

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz)])
    return web.AppRunner(app, access_log=None, shutdown_timeout=1.0)


async def _listen(health: web.AppRunner, address: Address) -> None:
    await health.setup()
    try:
        await web.TCPSite(health, address.host, address.port).start()
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {address}: {error.strerror or error}", hint="choose another --health-listen"
        ) from None
