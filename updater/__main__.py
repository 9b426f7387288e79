"""``python -m updater``: one replica, from its settings to its exit status.

SIGTERM and Ctrl-C stop it: no further update is taken, and the writes in flight are finished within
:data:`STOP_WITHIN_S` seconds. A second one gives them up at once.
"""

import asyncio
import os
import signal
import sys
from asyncio import Task
from collections.abc import Sequence
from typing import Final

import uvloop

from depthcast.errors import BucketMissing, DepthcastError, SettingsError
from depthcast.logs import get_logger
from depthcast.store import Store
from depthcast.store.probe import probe
from updater.health import Health
from updater.replica import Replica
from updater.settings import UpdaterSettings

ABOUT: Final = "Keep the order books of many symbols and write their files to object storage."
STOP_WITHIN_S: Final = 4.0
"""How long writes in flight may take after SIGTERM; closing what is idle needs a moment more."""

_log = get_logger("updater")


async def serve(settings: UpdaterSettings, store: Store) -> None:
    """Run a replica with its HTTP side until SIGTERM or SIGINT; then close everything.

    Raises :class:`~depthcast.errors.DepthcastError` for what cannot be mended by waiting.
    """

    replica = Replica(settings, store, prove=probe, stop_within_s=STOP_WITHIN_S)
    health = Health(
        settings.listen,
        status=replica.report.status,
        ready=lambda: replica.report.ready,
        registry=replica.metrics.registry,
    )
    _stop_on_signals(replica)
    try:
        address = await health.start()
        _log.info("replica starts", replica=settings.replica, status=f"http://{address}/status")
        await replica.run()
    finally:
        await health.close()
        await store.close()
    _log.info("stopped", replica=settings.replica)


def _stop_on_signals(replica: Replica) -> None:
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None

    def stop(task: Task[None] = running) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        replica.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
