"""The replicas of a run: real ones (:mod:`updater.replica`), each a process that can be frozen or killed."""

import asyncio
from functools import partial
from random import Random
from typing import Final

from depthcast.dispatch import Dispatcher, Slices
from depthcast.errors import StoreUnavailable
from depthcast.feed import FeedLimits
from depthcast.store import Store
from tests.simulation.rules import OVERLAP_S, Rules
from tests.simulation.storage import Bucket, Way
from tests.simulation.venue import Venue
from tests.simulation.world import Process, World
from updater.replica import Replica
from updater.settings import UpdaterSettings

WALL_S: Final = 1_800_000_000
"""The true time at the beginning, in seconds since 1970."""

FEED_LIMITS: Final = FeedLimits(
    connects_per_5_min=300,
    reconnect_maximum_s=3.0,
    stable_after_s=3.0,
    refused_initial_s=1.0,
    refused_maximum_s=5.0,
    ack_timeout_s=4.0,
    idle_timeout_s=6.0,
    silent_after_s=8.0,
    silent_maximum_s=30.0,
    max_age_s=40.0,
    age_jitter=0.4,
    overlap_s=OVERLAP_S,
    handover_initial_s=1.0,
    handover_maximum_s=5.0,
    tick_s=0.2,
)
"""Shorter than in use, so that in two minutes sockets grow old, fall silent and are given up."""


REPLAYED_CHANGES: Final = 2
"""Fewer than in use, so that books which wait for seconds are built in several pieces."""

NO_TIME: Final = Slices(0.0, 0.0, 0.0)
"""One piece of each kind of work in a turn of the loop; the next waits. In virtual time none takes long."""

TURNS_S: Final = (0.0, 0.002, 0.02, 0.05)
"""How long a turn of a busy replica's loop takes; drawn for each process."""


class SmallSettings(UpdaterSettings):
    """A replica of small books: the exchange is asked for few levels, which are soon used up."""

    @property
    def snapshot_limit(self) -> int:
        return 2 * self.limits[-1]


class Node:
    """One replica under one name: process after process. ``skew_ms``: by how much its wall clock is wrong."""

    def __init__(
        self,
        name: str,
        world: World,
        bucket: Bucket,
        venue: Venue,
        rules: Rules,
        settings: dict[str, object],
        *,
        rng: Random,
        skew_ms: int,
    ) -> None:
        self.name = name
        self.skew_ms = skew_ms
        self.replica: Replica | None = None
        self.way: Way | None = None
        self.process: Process | None = None
        self._world = world
        self._bucket = bucket
        self._venue = venue
        self._rules = rules
        self._settings = settings
        self._rng = rng
        self._started = 0

    def wall_ms(self) -> int:
        return round((WALL_S + self._world.now) * 1000) + self.skew_ms

    @property
    def alive(self) -> bool:
        return self.process is not None and not self.process.dead

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.runs

    def start(self) -> Process:
        """Begin a process of this name."""
        assert not self.alive
        self._started += 1
        rng = Random(self._rng.random())
        process = Process(self._world, f"{self.name}#{self._started}", origin_s=float(rng.randrange(100_000)))
        self._rules.wanted[process.name] = self._wanted
        way = self.way = Way(self._bucket, process)
        self.process = process
        settings = SmallSettings(replica=self.name, **self._settings)

        turn_s = Random(f"turns {process.name} {process.loop.time()}").choice(TURNS_S)
        loop = process.loop
        # Without time a loop turns as asyncio has it: behind all that is ready.
        come = partial(loop.call_later, turn_s) if turn_s else loop.call_soon
        dispatcher = Dispatcher(slices=NO_TIME, clock=loop.time, call_soon=come)

        async def main() -> None:
            self.replica = Replica(
                settings,
                way,
                dispatcher=dispatcher,
                prove=_prove,
                stop_within_s=3.0,
                retry_maximum_s=4.0,
                lag_every_s=5.0,
                feed_limits=FEED_LIMITS,
                connect=self._venue.connector(process),
                http=self._venue.client(process, settings.address or self.name),
                clock=process.loop.time,
                wall_ms=self.wall_ms,
                rng=rng,
            )
            await self.replica.run()

        process.spawn(main()).add_done_callback(self._ended)
        return process

    def stop(self) -> None:
        """Tell it to stop, as SIGTERM does."""
        assert self.process is not None
        self._rules.stopping.add(self.process.name)
        self.process.deliver(self._stop)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.replica = None

    def check(self) -> None:
        """Check the invariants of its stateful parts."""
        replica = self.replica
        if replica is None:
            return
        for publisher in replica._holdings.publishers.values():
            publisher.check()
        for live in replica._keeper.books.values():
            live.sync.check()
        replica._dispatcher.check()
        replica._rest._budget.check()
        replica._fleet._roster.check()
        replica._marks.check()
        replica.metadata.check()

    def _wanted(self) -> set[str]:
        return set(self.replica._feed._line_of) if self.replica is not None else set()

    def _stop(self) -> None:
        if self.replica is not None:
            self.replica.stop()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        process = self.process
        assert process is not None
        if error is not None and not process.dead and not process.ending:
            self._rules.fail("alive", f"{process.name} ended by {error!r}")
        process.kill()
        self.replica = None


async def _prove(store: Store) -> None:
    """The store is there; that it honours conditions is not in question here."""
    try:
        await store.peek("probe/0", 1)
    except StoreUnavailable:
        raise
