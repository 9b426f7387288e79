"""The replicas as people see them: who lives, what each does, and who holds a symbol. Values for templates.

Everything comes from the heartbeats that the server reads anyway. Where its credentials may not read them, or
where they are not to be shown, the page says so.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from depthcast.fleet import Member, Members
from depthcast.heartbeat import Role, State, SymbolBeat
from server.page.markets import Market, Markets


class Sight(Enum):
    """Whether the fleet is to be seen."""

    SHOWN = "shown"
    DENIED = "denied"
    """The store does not let this server read heartbeats."""
    NONE = "none"
    """There are no heartbeats, or none was read yet."""
    HIDDEN = "hidden"
    """It is not to be shown."""


class Replica(NamedTuple):
    """One line of the table. ``state`` is ``live``, ``leaving``, ``gone`` or ``silent``; ``venue`` is whose
    books it keeps, empty where all are of one."""

    name: str
    venue: str
    state: str
    heard_s: int
    version: str
    holds: int
    writes: int
    feeds: str
    weight: str
    p99_ms: str
    lost: int
    takeovers: int


class Holder(NamedTuple):
    """One replica's part in one symbol."""

    replica: str
    role: str
    rank: int
    live: bool
    update_id: str
    behind_ms: int


class Fleet(NamedTuple):
    """All that is shown. ``holders`` are those of the symbol that was asked for, the first in rank first."""

    sight: Sight
    replicas: tuple[Replica, ...] = ()
    holders: tuple[Holder, ...] = ()

    @property
    def living(self) -> int:
        """How many replicas live."""
        return sum(replica.state in ("live", "leaving") for replica in self.replicas)


MAX_REPLICAS = 64
"""So many replicas are shown, those that live first: each start may have a name of its own."""

FORGET_AFTER_S = 600.0
"""A replica that ended so long ago is shown no more."""


class FleetView:
    """Reads :class:`Fleet` off what was heard last of each venue's replicas; ``clock`` is that of members."""

    def __init__(self, markets: Markets, *, clock: Callable[[], float], shown: bool = True) -> None:
        self._markets = markets
        self._clock = clock
        self._shown = shown

    def read(self, address: str | None = None) -> Fleet:
        """The fleets of all venues now; or that of the venue whose symbol has this address, and who holds it.
        O(replicas)."""
        if not self._shown:
            return Fleet(Sight.HIDDEN)
        found = None if address is None else self._markets.find(address)
        markets = [*self._markets] if found is None else [found.market]
        several = len(markets) > 1
        symbol = None if found is None else found.symbol
        fleets = [self._of(market, symbol, market.venue if several else "") for market in markets]
        shown = [fleet for fleet in fleets if fleet.sight is Sight.SHOWN]
        if not shown:
            denied = any(fleet.sight is Sight.DENIED for fleet in fleets)
            return Fleet(Sight.DENIED if denied else Sight.NONE)
        replicas = [replica for fleet in shown for replica in fleet.replicas]
        return Fleet(Sight.SHOWN, tuple(replicas[:MAX_REPLICAS]), shown[0].holders if found else ())

    def _of(self, market: Market, symbol: str | None, venue: str) -> Fleet:
        if market.heard is None:
            return Fleet(Sight.NONE)
        if market.heard.denied:
            return Fleet(Sight.DENIED)
        heard, now = market.heard.members, self._clock()
        members = [member for member in heard if _of_use(heard, member, now)]
        if not members:
            return Fleet(Sight.NONE)
        replicas = [_replica(heard, member, now, venue) for member in members]
        replicas.sort(key=lambda each: (each.state not in ("live", "leaving"), each.name))
        holders: list[Holder] = []
        for member in members:
            beat = member.heartbeat
            held = beat.symbols.get(symbol) if symbol is not None else None
            if held is not None and heard.lives(member, now):
                holders.append(_holder(beat.replica, held))
        holders.sort(key=lambda each: (each.rank, each.replica))
        return Fleet(Sight.SHOWN, tuple(replicas[:MAX_REPLICAS]), tuple(holders[:MAX_REPLICAS]))


def _of_use(members: Members, member: Member, now: float) -> bool:
    # One that was found dead when the server came is of no use to anybody who looks now.
    lives = members.lives(member, now)
    return lives or (member.seen_alive and now - member.moved_at < FORGET_AFTER_S)


def _replica(members: Members, member: Member, now: float, venue: str) -> Replica:
    beat = member.heartbeat
    state = beat.state.value
    if beat.state is not State.GONE and not members.lives(member, now):
        state = "silent"
    p99 = beat.writes.p99_ms
    return Replica(
        name=beat.replica,
        venue=venue,
        state=state,
        heard_s=max(0, int(now - member.moved_at)),
        version=beat.version,
        holds=len(beat.symbols),
        writes=sum(held.role is not Role.STANDBY for held in beat.symbols.values()),
        feeds=f"{beat.feed.live}/{beat.feed.symbols}",
        weight=f"{beat.rest.weight_used}/{beat.rest.weight_limit}" if beat.rest.weight_limit else "",
        p99_ms="" if p99 is None else f"{p99:.0f}",
        lost=beat.writes.lost,
        takeovers=beat.writes.takeovers,
    )


def _holder(replica: str, held: SymbolBeat) -> Holder:
    return Holder(
        replica=replica,
        role=held.role.value,
        rank=held.rank,
        live=held.live,
        update_id="" if held.id is None else str(held.id),
        behind_ms=held.behind_ms,
    )
