"""``python -m updater``: one replica, or one of each of several venues, from settings to exit status.

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

from depthcast.dispatch import Dispatcher
from depthcast.errors import BucketMissing, DepthcastError, SettingsError
from depthcast.exit import complete, run
from depthcast.garbage import Garbage
from depthcast.logs import get_logger
from depthcast.store import Store
from depthcast.store.probe import probe
from updater.account import read_key
from updater.crew import Crew
from updater.health import Health
from updater.outage import Outage
from updater.progress import Bars
from updater.replica import Replica
from updater.settings import UpdaterSettings
from updater.slots import Slots
from updater.stream_key import read_stream_key

ABOUT: Final = "Keep the order books of many symbols and write their files to object storage."
FULL_COLLECTION_EVERY_S: Final = 3600.0
"""How often the collector of garbage looks through all books, 100 ms for 100 of them: next to nothing that
an updater leaves behind is circular."""

STOP_WITHIN_S: Final = 4.0
"""How long writes in flight may take after SIGTERM; closing what is idle needs a moment more."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_log = get_logger("updater")


async def serve(settings: UpdaterSettings, store: Store, *others: UpdaterSettings) -> None:
    """Run a replica with its HTTP side until SIGTERM or SIGINT; then close everything, the store too.

    ``others`` are the settings of further venues that the process serves. Raises
    :class:`~depthcast.errors.DepthcastError` for what waiting does not mend.
    """
    dispatcher, slots, outage = Dispatcher(), Slots(settings.writes_at_once), Outage()
    proof = Proof(settings)
    of_venue = {each.venue: each for each in (settings, *others)}
    bars = Bars() if others else None

    def make(venue: str) -> Replica:
        own = of_venue[venue]
        return Replica(
            own,
            store,
            prove=proof,
            key=read_key(own.account_key_file, os.environ) if own.account else None,
            stream_key=read_stream_key(own, os.environ),
            stop_within_s=STOP_WITHIN_S,
            dispatcher=dispatcher,
            slots=slots,
            outage=outage,
            bars=bars,
        )

    running: Replica | Crew
    if others:
        running = crew = Crew(list(of_venue), make, dispatcher=dispatcher)
        health = Health(settings.listen, status=crew.status, ready=lambda: crew.ready, registry=crew.registry)
    else:
        running = replica = make(settings.venue)
        health = Health(
            settings.listen,
            status=replica.report.status,
            ready=lambda: replica.report.ready,
            registry=replica.metrics.registry,
        )
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, _stop, running, loop)
    collecting = asyncio.create_task(Garbage(full_every_s=FULL_COLLECTION_EVERY_S).run())
    try:
        address = await health.start()
        _log.info("replica starts", replica=settings.replica, status=f"http://{address}/status")
        await running.run()
    finally:
        collecting.cancel()
        await health.close()
        await store.close()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    _log.info("stopped", replica=settings.replica)


def _stop(running: Replica | Crew, loop: asyncio.AbstractEventLoop) -> None:
    running.stop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, running.give_up)


class Proof:
    """Shows once that the store honours conditions, whichever replica asks first."""

    def __init__(self, settings: UpdaterSettings) -> None:
        self._settings = settings
        self._proven = False
        self._turn = asyncio.Lock()

    async def __call__(self, store: Store) -> None:
        """Raises what is wrong with the store. Makes a bucket that is missing, where that is wanted."""
        async with self._turn:
            if self._proven:
                return
            try:
                await probe(store)
            except BucketMissing as missing:
                if not self._settings.create_bucket:
                    hint = f"create it, give another --store-url, or say --create-bucket ({missing.hint})"
                    raise BucketMissing(missing.message, hint=hint) from None
                # boto3 takes half a second to import: only those who create a bucket wait for it.
                from depthcast.store.bucket import ensure_bucket

                await asyncio.to_thread(ensure_bucket, self._settings.store_url)
                _log.info("bucket was created", store=store.url)
                await probe(store)
            self._proven = True


def main(argv: Sequence[str] | None = None) -> int:
    """Run a replica until it is told to stop; returns the exit status. Raises DepthcastError."""
    settings, *others = UpdaterSettings.load_each(argv, program="depthcast updater", about=ABOUT)
    settings.configure_logs()
    complete(serve(settings, settings.open_store(), *others), loop_factory=uvloop.new_event_loop)
    return 0


def _main() -> int:
    try:
        return main()
    except DepthcastError as error:
        print(f"depthcast updater: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1


if __name__ == "__main__":
    run(_main)
