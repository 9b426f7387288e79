"""``python -m updater``: one replica, from its settings to its exit status.

SIGTERM and Ctrl-C stop it: no further update is taken, and the writes in flight are finished within
:data:`STOP_WITHIN_S` seconds. A second signal gives them up at once.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

import uvloop

from depthcast.errors import BucketMissing, DepthcastError, SettingsError
from depthcast.exit import complete, run
from depthcast.garbage import Garbage
from depthcast.logs import get_logger
from depthcast.store import Store
from depthcast.store.probe import probe
from updater.account import read_key
from updater.health import Health
from updater.replica import Replica
from updater.settings import UpdaterSettings
from updater.stream_key import read_stream_key

ABOUT: Final = "Keep the order books of many symbols and write their files to object storage."
FULL_COLLECTION_EVERY_S: Final = 3600.0
"""How often the collector of garbage looks through all books, 100 ms for 100 of them: next to nothing that
an updater leaves behind is circular."""

STOP_WITHIN_S: Final = 4.0
"""How long writes in flight may take after SIGTERM; closing what is idle needs a moment more."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_log = get_logger("updater")


async def serve(settings: UpdaterSettings, store: Store) -> None:
    """Run a replica with its HTTP side until SIGTERM or SIGINT; then close everything, the store too.

    Raises :class:`~depthcast.errors.DepthcastError` for what waiting does not mend.
    """

    async def prove(store: Store) -> None:
        try:
            await probe(store)
        except BucketMissing as missing:
            if not settings.create_bucket:
                hint = f"create it, give another --store-url, or say --create-bucket ({missing.hint})"
                raise BucketMissing(missing.message, hint=hint) from None
            # boto3 takes half a second to import: only those who create a bucket wait for it.
            from depthcast.store.bucket import ensure_bucket

            await asyncio.to_thread(ensure_bucket, settings.store_url)
            _log.info("bucket was created", store=store.url)
            await probe(store)

    key = read_key(settings.account_key_file, os.environ) if settings.account else None
    replica = Replica(
        settings,
        store,
        prove=prove,
        key=key,
        stream_key=read_stream_key(settings, os.environ),
        stop_within_s=STOP_WITHIN_S,
    )
    health = Health(
        settings.listen,
        status=replica.report.status,
        ready=lambda: replica.report.ready,
        registry=replica.metrics.registry,
    )
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, _stop, replica, loop)
    collecting = asyncio.create_task(Garbage(full_every_s=FULL_COLLECTION_EVERY_S).run())
    try:
        address = await health.start()
        _log.info("replica starts", replica=settings.replica, status=f"http://{address}/status")
        await replica.run()
    finally:
        collecting.cancel()
        await health.close()
        await store.close()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    _log.info("stopped", replica=settings.replica)


def _stop(replica: Replica, loop: asyncio.AbstractEventLoop) -> None:
    replica.stop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, replica.give_up)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a replica until it is told to stop; returns the exit status. Raises DepthcastError."""
    settings = UpdaterSettings.load(argv, program="depthcast updater", about=ABOUT)
    settings.configure_logs()
    complete(serve(settings, settings.open_store()), loop_factory=uvloop.new_event_loop)
    return 0


def _main() -> int:
    try:
        return main()
    except DepthcastError as error:
        print(f"depthcast updater: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1


if __name__ == "__main__":
    run(_main)
