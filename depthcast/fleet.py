"""The fleet as one watcher sees it: which replicas live, and who comes first for a symbol. Pure, no clock.

Membership needs neither agreement nor synchronised clocks. A replica lives for as long as its heartbeat
changes between two readings of the watcher's; one that has stood still for ``dead_after_s`` *and* over
``dead_after_rounds`` successful readings is dead. Readings that failed do not count, and neither does a time
in which the watcher itself was stopped: a store that is away, or a watcher that slept, makes nobody dead.
Two watchers that disagree for a moment do some work twice, and nothing worse.

Order is rendezvous hashing (highest random weight): each pair of symbol and replica has a fixed score, the
replicas of a symbol are ordered by it, and so a replica that joins or leaves moves no symbol but those it
gets or had.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from depthcast.heartbeat import Heartbeat, State

BEAT_EVERY_S: Final = 1.0
DEAD_AFTER_S: Final = 1.9
"""Four readings at two a second: a crash is noticed within three seconds of it, reading times included."""
DEAD_AFTER_ROUNDS: Final = 3


@lru_cache(maxsize=65_536)
def score(symbol: str, replica: str) -> int:
    """How well ``replica`` suits ``symbol``: 64 bits by chance, the same for everybody who asks."""
    digest = blake2b(f"{replica}\0{symbol}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def ranked(symbol: str, replicas: Iterable[str]) -> list[str]:
    """The replicas in the order in which they come first for ``symbol``. O(replicas log replicas).

    >>> ranked("ETHUSDT", ["a", "b", "c"]) == ranked("ETHUSDT", ["c", "b", "a"])
    True
    >>> [name for name in ranked("ETHUSDT", ["a", "b", "c"]) if name != "b"] == ranked("ETHUSDT", ["a", "c"])
    True
    """
    return sorted(replicas, key=lambda replica: (-score(symbol, replica), replica))


@dataclass(slots=True)
class Member:
    """A replica as last heard of. ``moved_at``: when its heartbeat was seen to change, on the watcher's
    clock; ``still_rounds``: successful readings since then that found it unchanged."""

    heartbeat: Heartbeat
    etag: str
    moved_at: float
    still_rounds: int = 0
    seen_alive: bool = False
    """Whether it was seen to change at all, rather than found there."""


class Members:
    """What successive readings of all heartbeats tell. Times are the caller's monotonic clock, in seconds.

    A reading is: :meth:`saw` for each heartbeat that is there, then :meth:`read_all`.

    >>> members = Members(dead_after_s=1.9, dead_after_rounds=3)
    >>> members.saw("a", '"1"', Heartbeat(replica="a", beat=1), now=0.0)
    >>> for now in (0.5, 1.0, 1.5, 2.0):
    ...     members.saw("a", '"1"', None, now)
    ...     members.read_all()
    >>> list(members.living(now=1.5)), list(members.living(now=2.0))
    (['a'], [])
    """

    def __init__(
        self, *, dead_after_s: float = DEAD_AFTER_S, dead_after_rounds: int = DEAD_AFTER_ROUNDS
    ) -> None:
        self._dead_after_s = dead_after_s
        self._dead_after_rounds = dead_after_rounds
        self._members: dict[str, Member] = {}
        self._seen: set[str] = set()

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def etag(self, replica: str) -> str | None:
        """The ETag under which a heartbeat was last seen; ``None`` for one never seen."""
        member = self._members.get(replica)
        return None if member is None else member.etag

    def saw(self, replica: str, etag: str, heartbeat: Heartbeat | None, now: float) -> None:
        """The heartbeat of ``replica`` is there under ``etag``; ``None``: it is what was seen before."""
        self._seen.add(replica)
        member = self._members.get(replica)
        if heartbeat is not None:
            # One that was written again with the same count is an older one come back, or a namesake.
            moved = member is None or heartbeat.beat != member.heartbeat.beat
            if member is None or moved:
                self._members[replica] = Member(heartbeat, etag, now, seen_alive=member is not None)
            else:
                member.etag, member.heartbeat = etag, heartbeat
        elif member is None:
            raise ValueError(f"the heartbeat of {replica} was never read")

    def read_all(self) -> None:
        """A reading ended well: what was not seen in it is not there any more."""
        self._members = {name: member for name, member in self._members.items() if name in self._seen}
        self._seen.clear()
        for member in self._members.values():
            member.still_rounds += 1

    def forget_symbols(self, replicas: Iterable[str], now: float) -> None:
        """Forget what those of ``replicas`` hold that do not live. O(replicas)."""
        for name in replicas:
            member = self._members.get(name)
            if member is not None and member.heartbeat.symbols and not self.lives(member, now):
                member.heartbeat = member.heartbeat.without_symbols()

    def interrupted(self) -> None:
        """A reading failed before its end."""
        self._seen.clear()

    def lives(self, member: Member, now: float) -> bool:
        """Whether a replica is there and not dead; one that has said good-bye does not live."""
        still = now - member.moved_at >= self._dead_after_s and member.still_rounds > self._dead_after_rounds
        return member.heartbeat.state is not State.GONE and not still

    def living(self, now: float) -> dict[str, Heartbeat]:
        """The last heartbeats of all who live, by name."""
        return {name: member.heartbeat for name, member in self._members.items() if self.lives(member, now)}

    def missing(self, now: float, within_s: float) -> dict[str, Heartbeat]:
        """The last heartbeats of those who were seen to live and are dead, without a good-bye, for less than
        ``within_s``."""
        return {
            name: member.heartbeat
            for name, member in self._members.items()
            if member.seen_alive
            and member.heartbeat.state is not State.GONE
            and not self.lives(member, now)
            and now - member.moved_at < self._dead_after_s + within_s
        }

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        for name, member in self._members.items():
            assert member.heartbeat.replica == name, "a heartbeat under another's name"
            assert member.still_rounds >= 0


def holders(symbol: str, candidates: Collection[str], redundancy: int) -> list[str]:
    """The replicas that are to hold ``symbol``, the writer first; ``redundancy`` 0: all of them.

    >>> holders("ETHUSDT", ["a", "b", "c"], 2) == ranked("ETHUSDT", ["a", "b", "c"])[:2]
    True
    """
    order = ranked(symbol, candidates)
    return order[:redundancy] if redundancy else order


def candidates(symbol: str, living: Mapping[str, Heartbeat], own: Heartbeat) -> list[str]:
    """Which of the ``living`` replicas can hold ``symbol`` as well as the one that beats ``own``.

    They stay, publish the same limits, and are set to the same symbols or hold this one already: while
    settings are being changed from one replica to the next, nobody leaves work to one that will not do it.

    >>> ours, other = Heartbeat(replica="a", beat=1), Heartbeat(replica="b", beat=1, selection="another")
    >>> candidates("ETHUSDT", {"a": ours, "b": other}, ours)
    ['a']
    """
    return [
        name
        for name, beat in living.items()
        if beat.state is State.LIVE
        and beat.limits == own.limits
        and (beat.selection == own.selection or symbol in beat.symbols)
    ]
