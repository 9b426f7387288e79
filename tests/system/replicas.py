"""Replicas that run in the test's own event loop, and what they say of themselves."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from depthcast.feed import FeedLimits
from depthcast.store import Store
from updater.replica import Replica
from updater.settings import UpdaterSettings

ENDS_WITHIN_S: Final = 30.0


def made_replica(store: Store, *argv: str, **more: Any) -> Replica:
    """A replica with settings as on the command line, and ``more`` of what it is made of."""

    async def proven(store: Store) -> None:
        """The conformance suite proves stores."""

    return Replica(UpdaterSettings.load(argv, {}), store, prove=proven, **more)


@contextlib.asynccontextmanager
async def running(replica: Replica) -> AsyncIterator[asyncio.Task[None]]:
    """A replica that runs, and whose task may be cancelled as ``kill -9`` would; stopped in order at the end.

    Raises what ended it before its time.
    """
    task = asyncio.ensure_future(replica.run())
    try:
        yield task
        assert task.cancelled() or not task.done(), task.exception()
    finally:
        replica.stop()
        await asyncio.wait({task}, timeout=ENDS_WITHIN_S)
        replica.give_up()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


@contextlib.asynccontextmanager
async def running_replica(
    store: Store, *argv: str, feed_limits: FeedLimits | None = None
) -> AsyncIterator[Replica]:
    """One replica with settings as on the command line; stopped in order at the end."""
    replica = made_replica(store, *argv, feed_limits=feed_limits)
    async with running(replica):
        yield replica


# What they say of themselves


def are_ready(*replicas: Replica) -> bool:
    """Whether each is."""
    return all(replica.report.ready for replica in replicas)


def are_live(*replicas: Replica) -> bool:
    """Whether each has all its books."""
    return all(set(states_of(replica).values()) == {"live"} for replica in replicas)


def states_of(replica: Replica) -> dict[str, str]:
    """What each book is: ``live``, or on its way there."""
    return {each["symbol"]: each["state"] for each in replica.report.status()["symbols"]}


def resyncs_of(replica: Replica) -> dict[str, int]:
    """How often each book was begun anew."""
    return {each["symbol"]: each["resyncs"] for each in replica.report.status()["symbols"]}


def sources_of(replica: Replica) -> dict[str, str | None]:
    """What each book began from."""
    return {each["symbol"]: each["source"] for each in replica.report.status()["symbols"]}


class Totals(Counter[tuple[str, str]]):
    """Counters by name and first label, summed over replicas."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        super().__init__()
        for replica in replicas:
            for metric in replica.metrics.registry.collect():
                for name, labels, value, *_ in metric.samples:
                    self[name, next(iter(labels.values()), "")] += value  # type: ignore[assignment]

    def of(self, name: str) -> str:
        return ", ".join(f"{label} {value:.0f}" for (n, label), value in sorted(self.items()) if n == name)
