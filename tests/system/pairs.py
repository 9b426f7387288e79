"""Two replicas that write to one store while faults hit the one of them, and the other goes on."""

import contextlib
import string
from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from typing import Any, Final

from depthcast.fleet import ranked
from depthcast.store.memory import MemoryStore
from simulator.faults import Kind
from tests.system.audit import Audited, Auditor, all_are_current, auditor_of
from tests.system.oracles import Simulated
from tests.system.replicas import are_live, are_ready, resyncs_of, running
from tests.system.rigs import Rig
from tests.system.waiting import until
from updater.replica import Replica

FOR_LONG: Final = 100_000
"""So often a fault is ordered that is to go on until the order is withdrawn."""


class Pair:
    """``struck`` comes first in rank for every symbol and writes all files; ``other`` stands by.

    What is ordered of a connection is of the struck one's, so that nothing but what hits the exchange as a
    whole costs the other one anything: :meth:`met` and :meth:`recovered` hold that.
    """

    def __init__(self, rig: Rig, sim: Simulated) -> None:
        self.rig = rig
        self.sim = sim
        self.auditor: Auditor = auditor_of(sim)
        self.store = Audited(MemoryStore(), self.auditor)
        names = names_of(rig)
        self.struck: Replica = rig.replica(sim, self.store, names[0])
        self.other: Replica = rig.replica(sim, self.store, names[1])
        self.names = names
        self.others_connection = 0

    @property
    def connection(self) -> int:
        """The struck one's."""
        (its,) = self.sim.exchange.connections.keys() - {self.others_connection}
        return its

    async def settled(self) -> None:
        """Wait until nothing is wrong: both have all books and a connection, and the struck one writes."""
        await until(lambda: len(self.sim.exchange.connections) == 2 and are_live(self.struck, self.other))
        await until(lambda: are_ready(self.struck, self.other))
        await self.current()
        await self.written_by(self.names[0])

    async def current(self, symbols: Sequence[str] | None = None) -> None:
        """Wait until files are of now."""
        await all_are_current(self.auditor, self.rig.limits, symbols=symbols)

    async def written_by(self, name: str, symbols: Sequence[str] | None = None) -> None:
        """Wait until that replica wrote the newest file of each symbol."""
        writers = self.auditor.writers
        await until(
            lambda: all(writers.get(symbol) == name for symbol in symbols or self.rig.symbols),
            what=lambda: f"{name} does not write: {writers}",
        )

    async def taken_over(self, symbols: Sequence[str] | None = None) -> None:
        """Wait until the other one writes these files, and has brought them to where their books are now."""
        await self.written_by(self.names[1], symbols)
        await self.current()

    async def met(self, kind: Kind, count: int = 1, **given: Any) -> None:
        """Order a fault, and wait until it happened so often."""
        before = self.sim.faults.counts[kind]
        self.sim.faults.inject(kind, count=count, **given)
        await self.happened(kind, before + count)

    async def happened(self, kind: Kind, times: int) -> None:
        """Wait until a fault has happened so often."""
        counts = self.sim.faults.counts
        await until(lambda: counts[kind] >= times, what=lambda: f"{kind} happened {counts[kind]} times")

    def resyncs(self) -> dict[str, dict[str, int]]:
        """How often each replica began each book anew."""
        return {
            name: resyncs_of(each) for name, each in zip(self.names, (self.struck, self.other), strict=True)
        }

    @property
    def refused(self) -> float:
        """How often one of them was told to ask nothing for a while."""
        values = [
            each.metrics.registry.get_sample_value("depthcast_silences_total") or 0.0
            for each in (self.struck, self.other)
        ]
        return sum(values)


@contextlib.asynccontextmanager
async def running_pair(rig: Rig, **settings: Any) -> AsyncIterator[Pair]:
    """A pair that has settled."""
    async with rig.simulator(**settings) as sim:
        pair = Pair(rig, sim)
        async with running(pair.struck):
            await until(lambda: are_ready(pair.struck))
            (first,) = sim.exchange.connections
            async with running(pair.other):
                await until(lambda: are_ready(pair.other))
                (pair.others_connection,) = sim.exchange.connections.keys() - {first}
                await pair.settled()
                yield pair
                assert pair.auditor.wrong == []


def names_of(rig: Rig) -> tuple[str, str]:
    """Two names of which the first comes first for every symbol."""
    return next(
        pair
        for pair in permutations(string.ascii_lowercase, 2)
        if all(ranked(symbol, pair)[0] == pair[0] for symbol in rig.symbols)
    )
