"""What is done to the fleet while it works: a seeded plan, and the doing.

=================  ======================================================================================
kind               what is done
=================  ======================================================================================
kill               kill -9 of a replica, which is started again some seconds later
freeze             SIGSTOP of a replica for ten seconds: a writer that wakes up and goes on as if nothing
                   had been
store_restart      kill -9 of the store, and its start on the same data and ports
store_unreachable  a replica's way to the store is reset, stalled, or cut again and again, for ten seconds
feed_cut           the same with its way to the exchange's websocket
ban                418 to every REST request for ten seconds, while diffs go missing so that books break
rebase             one symbol's update ids go down, so that a new epoch must be claimed
=================  ======================================================================================
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final, TypeVar

from simulator import faults
from simulator.app import Simulator
from soak.fleet import Fleet, Replica
from soak.proxy import Mode, Proxy

T = TypeVar("T")


class Kind(StrEnum):
    """The table above."""

    KILL = "kill"
    FREEZE = "freeze"
    STORE_RESTART = "store_restart"
    STORE_UNREACHABLE = "store_unreachable"
    FEED_CUT = "feed_cut"
    BAN = "ban"
    REBASE = "rebase"


ORDINARY: Final = tuple(kind for kind in Kind if kind is not Kind.REBASE)
ONE_REPLICA: Final = frozenset({Kind.KILL, Kind.FREEZE, Kind.STORE_UNREACHABLE, Kind.FEED_CUT})
"""What hits a single replica: the others are to take over at once."""

REBASE_EVERY: Final = 2
"""So many rounds of all other kinds for each rebase."""

WAYS: Final = ("reset", "stall", "cut")
LASTS_S: Final = 10.0
KILLED_FOR_S: Final = (3.0, 8.0)
CUT_EVERY_S: Final = 1.0
GAPS: Final = 6
REBASE_IDS: Final = 3_000


@dataclass(frozen=True, slots=True)
class Disturbance:
    """``at_s``: from the phase's beginning. ``target``: a replica, a symbol, or empty. ``way``: one of
    :data:`WAYS` where a way is disturbed. ``lasts_s``: until it is taken back."""

    at_s: float
    kind: Kind
    target: str = ""
    way: str = ""
    lasts_s: float = LASTS_S

    @property
    def label(self) -> str:
        """For people."""
        name = self.kind.value.replace("_", " ")
        return " ".join(filter(None, (name, self.target, f"({self.way})" if self.way else "")))


def plan(
    seconds: float,
    replicas: Sequence[str],
    symbols: Sequence[str],
    *,
    every_s: tuple[float, float],
    seed: int,
) -> list[Disturbance]:
    """What happens within ``seconds``, the same for the same arguments.

    Each round has every ordinary kind once, in an order of its own, and each way of disturbing comes in turn.
    A time too short for a whole round at random distances has the shortest ones.
    """
    rng = Random(f"{seed}/disturbances")
    shortest, longest = every_s
    if seconds < len(ORDINARY) * (shortest + longest) / 2:
        longest = shortest
    planned: list[Disturbance] = []
    at_s, rounds, left = 0.0, 0, list[Kind]()
    ways = {Kind.STORE_UNREACHABLE: _shuffled(WAYS, rng), Kind.FEED_CUT: _shuffled(WAYS, rng)}
    while at_s <= seconds - shortest / 2:
        if not left:
            rounds += 1
            left = _shuffled(ORDINARY, rng)
            if rounds % REBASE_EVERY == 0:
                left.insert(rng.randrange(len(left) + 1), Kind.REBASE)
        kind = left.pop()
        target, way, lasts_s = "", "", LASTS_S
        if kind in ONE_REPLICA:
            target = rng.choice(replicas)
        if kind in ways:
            way = ways[kind][0]
            ways[kind].append(ways[kind].pop(0))
        if kind is Kind.KILL:
            lasts_s = rng.uniform(*KILLED_FOR_S)
        if kind is Kind.STORE_RESTART:
            lasts_s = 0.0
        if kind is Kind.REBASE:
            target, lasts_s = rng.choice(symbols), 0.0
        planned.append(Disturbance(at_s, kind, target, way, lasts_s))
        at_s += rng.uniform(shortest, longest)
    return planned


def _shuffled(items: Sequence[T], rng: Random) -> list[T]:
    mixed = list(items)
    rng.shuffle(mixed)
    return mixed


class Disturber:
    """Does disturbances. ``restart_store`` kills the store and returns when it is back."""

    def __init__(
        self, fleet: Fleet, sim: Simulator, restart_store: Callable[[], Awaitable[None]], *, seed: int
    ) -> None:
        self._fleet = fleet
        self._sim = sim
        self._restart_store = restart_store
        self._rng = Random(f"{seed}/gaps")

    async def do(self, disturbance: Disturbance) -> None:
        """Do it, and return when it is taken back."""
        match disturbance.kind:
            case Kind.KILL:
                await self._kill(self._fleet.replicas[disturbance.target], disturbance.lasts_s)
            case Kind.FREEZE:
                await self._freeze(self._fleet.replicas[disturbance.target], disturbance.lasts_s)
            case Kind.STORE_RESTART:
                await self._restart_store()
            case Kind.STORE_UNREACHABLE:
                await disturb_way(
                    self._fleet.replicas[disturbance.target].store, disturbance.way, disturbance.lasts_s
                )
            case Kind.FEED_CUT:
                await disturb_way(
                    self._fleet.replicas[disturbance.target].feed, disturbance.way, disturbance.lasts_s
                )
            case Kind.BAN:
                await self._ban(disturbance.lasts_s)
            case Kind.REBASE:
                self._sim.faults.inject(faults.Kind.REBASE, symbol=disturbance.target, ids=REBASE_IDS)

    async def _kill(self, replica: Replica, seconds: float) -> None:
        replica.kill()
        await asyncio.sleep(seconds)
        replica.start()

    async def _freeze(self, replica: Replica, seconds: float) -> None:
        replica.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            replica.thaw()

    async def _ban(self, seconds: float) -> None:
        self._sim.faults.inject(faults.Kind.BAN, delay_s=seconds)
        symbols = list(self._sim.exchange.instruments)
        for symbol in self._rng.sample(symbols, min(GAPS, len(symbols))):
            self._sim.faults.inject(faults.Kind.GAP, symbol=symbol)
        await asyncio.sleep(seconds)


async def disturb_way(proxy: Proxy, way: str, seconds: float) -> None:
    """Disturb what goes through a proxy for so long, in one of :data:`WAYS`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    try:
        if way == "cut":
            while loop.time() < end:
                proxy.cut()
                await asyncio.sleep(CUT_EVERY_S)
        else:
            proxy.set_mode(Mode(way))
            await asyncio.sleep(seconds)
    finally:
        proxy.set_mode(Mode.OPEN)
