"""``Crew``: the replicas of one process, one a venue. What befalls one of them does not touch the others.

They share the event loop and whose turn it is in it (:mod:`depthcast.dispatch`), the store with its slots
and outages, and the address at which they are asked how they are. Each has a feed, a request weight and a
fleet of its own. One that ends by an error that no waiting mends (a wrong key, a symbol that does not exist),
or that cannot begin (no key), is begun anew after growing pauses, as a supervisor does with processes; where
none runs any more, the process ends with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from random import Random

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from depthcast.backoff import Backoff
from depthcast.dispatch import Dispatcher
from depthcast.errors import DepthcastError
from depthcast.logs import get_logger
from updater import turns
from updater.replica import Replica
from updater.status import CrewStatus

_log = get_logger("updater")


class Crew:
    """``make`` makes a venue's replica, each time that it begins. :meth:`run` it once.

    Raises :class:`~depthcast.errors.DepthcastError` where it can make none of them.
    """

    def __init__(
        self,
        venues: Sequence[str],
        make: Callable[[str], Replica],
        *,
        dispatcher: Dispatcher,
        # Waits
        retry_initial_s: float = 5.0,
        retry_maximum_s: float = 300.0,
        # Surroundings
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        self._make = make
        self._retry_s = (retry_initial_s, retry_maximum_s)
        self._sleep = sleep
        self._rng = rng or Random()
        self._stopping = asyncio.Event()
        self._venues = tuple(venues)
        self._errors: dict[str, str] = {}
        self.replicas: dict[str, Replica] = {}
        """By venue; of one that ended, the one that ended; of one that could not begin, none."""
        refused: list[DepthcastError] = []
        for venue in venues:
            try:
                self.replicas[venue] = make(venue)
            except DepthcastError as error:
                self._errors[venue] = str(error)
                refused.append(error)
        if not self.replicas:
            raise refused[0]
        self._running: set[str] = set(self.replicas)
        self.registry = CollectorRegistry()
        self.registry.register(_ByVenue(self, dispatcher))

    def stop(self) -> None:
        """Have all hand over, as :meth:`updater.replica.Replica.stop` does."""
        self._stopping.set()
        for replica in self.replicas.values():
            replica.stop()

    def give_up(self) -> None:
        """After :meth:`stop`: wait for nothing."""
        for replica in self.replicas.values():
            replica.give_up()

    @property
    def ready(self) -> bool:
        """Whether all of them are."""
        return all(self.runs(venue) and self.replicas[venue].report.ready for venue in self._venues)

    @property
    def venues(self) -> Sequence[str]:
        """All of them, whether they run or not."""
        return self._venues

    def runs(self, venue: str) -> bool:
        """Whether a venue's replica runs, and does not wait to be begun anew."""
        return venue in self._running

    def status(self) -> CrewStatus:
        """The answer of ``/status``. O(symbols)."""
        return CrewStatus(
            ready=self.ready,
            errors=dict(self._errors),
            venues={venue: replica.report.status() for venue, replica in self.replicas.items()},
        )

    async def run(self) -> None:
        """Run all until :meth:`stop`. Raises the error of the last one where none runs any more."""
        try:
            async with asyncio.TaskGroup() as group:
                for venue in self._venues:
                    group.create_task(self._keep(venue))
        except* DepthcastError as errors:
            raise errors.exceptions[0] from None

    async def _keep(self, venue: str) -> None:
        backoff = Backoff(
            self._retry_s[0], minimum_s=self._retry_s[0] / 2, maximum_s=self._retry_s[1], rng=self._rng
        )
        if venue not in self._running:
            _log.error("a venue cannot begin, and is tried again", venue=venue, error=self._errors[venue])
            if await self._stopped_within(backoff.next_s()):
                return
        while True:
            try:
                if venue not in self._running:
                    self.replicas[venue] = self._make(venue)
                    self._running.add(venue)
                    self._errors.pop(venue, None)
                await self.replicas[venue].run()
            except Exception as error:
                self._ended(venue, error)
            else:
                return
            if await self._stopped_within(backoff.next_s()):
                return

    def _ended(self, venue: str, error: Exception) -> None:
        """A replica ended by an error. Raises it where it was the last one that ran."""
        self._running.discard(venue)
        self._errors[venue] = str(error)
        if not self._running and not self._stopping.is_set():
            raise error
        unexpected = None if isinstance(error, DepthcastError) else error
        _log.error("a venue ended, and is begun anew", venue=venue, error=str(error), exc_info=unexpected)

    async def _stopped_within(self, seconds: float) -> bool:
        pause = asyncio.ensure_future(self._sleep(seconds))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((pause, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            stopped.cancel()
        return self._stopping.is_set()


class _ByVenue(Collector):
    """The metrics of all replicas, with their venue as a label, and those of the process."""

    def __init__(self, crew: Crew, dispatcher: Dispatcher) -> None:
        self._crew = crew
        self._dispatcher = dispatcher

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, Metric] = {}
        for venue, replica in self._crew.replicas.items():
            for family in replica.metrics.registry.collect():
                known = merged.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type, family.unit)
                )
                known.samples.extend(
                    sample._replace(labels=_labelled(sample.labels, venue)) for sample in family.samples
                )
        yield from merged.values()
        yield from turns.families(self._dispatcher)
        running = GaugeMetricFamily(
            "depthcast_venue_running",
            "Whether a venue's replica runs, or waits to be begun anew",
            labels=["venue"],
        )
        for venue in self._crew.venues:
            running.add_metric([venue], float(self._crew.runs(venue)))
        yield running

    def describe(self) -> Iterator[Metric]:
        # Without this the registry would collect to learn the names, before there is anything to read.
        return iter(())


def _labelled(labels: Mapping[str, str], venue: str) -> dict[str, str]:
    return {**labels, "venue": venue}
