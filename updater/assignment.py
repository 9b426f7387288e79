"""Which symbols a replica holds, and how it ranks for each. Pure: heartbeats in, places out.

============  ========================================================================================
rank          among the replicas that can hold the symbol, by rendezvous hashing
holder        one of the ``redundancy`` first (0: all); rank 0 writes, the others stand by
leaving       a replica that was told to stop ranks behind all who stay
missing       one that died a moment ago writes nothing, and what it held moves when it stays away
============  ========================================================================================

A holder that is one no longer lets go when those before it have the book and one of them was seen to write
(:func:`may_let_go`), so a symbol that moves is never without a writer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from depthcast.fleet import candidates, holders
from depthcast.heartbeat import Heartbeat, Role, State, SymbolBeat


@dataclass(frozen=True, slots=True)
class Place:
    """A replica's place for a symbol: ``before`` are the holders in front of it, the writer first."""

    rank: int
    holder: bool
    before: tuple[str, ...]


def place(
    symbol: str,
    living: Mapping[str, Heartbeat],
    own: Heartbeat,
    missing: Mapping[str, Heartbeat] = MappingProxyType({}),
) -> Place:
    """The place of the replica that beats ``own``; ``living`` are all replicas that live, it among them.

    One that is ``missing``, dead for a short while only, goes on counting as a holder where there is another
    one to write: a replica that was late, or is started again, moves no symbol. O(replicas log replicas).
    """
    able = candidates(symbol, living, own)
    if own.redundancy > 1:
        order = holders(symbol, able + candidates(symbol, missing, own), own.redundancy)
        present = [name for name in order if name in living]
        order = present or holders(symbol, able, own.redundancy)
    else:
        order = holders(symbol, able, own.redundancy)
    if own.replica in order:
        rank = order.index(own.replica)
        return Place(rank, True, tuple(order[:rank]))
    return Place(len(order), False, tuple(order))


def may_let_go(
    symbol: str, here: Place, living: Mapping[str, Heartbeat], own: Heartbeat, *, yielded: bool
) -> bool:
    """Whether the replica at ``here`` can stop to hold ``symbol``.

    ``yielded``: another replica was seen to write since this one last did. One that moves to others waits
    for all of its new holders; one that leaves has not the time and waits for one.
    """
    if here.holder or not yielded:
        return False
    live = [_has_book(living.get(name), symbol) for name in here.before]
    return any(live) if own.state is State.LEAVING else bool(live) and all(live)


def is_written(here: Place, living: Mapping[str, Heartbeat], symbol: str, held: SymbolBeat) -> bool:
    """Whether the first in rank says that it writes ``symbol`` and has the book as it was ``held`` here."""
    beat = living.get(here.before[0]) if here.before else None
    first = beat.symbols.get(symbol) if beat is not None else None
    if first is None or first.id is None or held.id is None:
        return False
    return first.live and first.role is Role.WRITER and (first.epoch, first.id) >= (held.epoch, held.id)


def _has_book(beat: Heartbeat | None, symbol: str) -> bool:
    held = beat.symbols.get(symbol) if beat is not None else None
    return held is not None and held.live
