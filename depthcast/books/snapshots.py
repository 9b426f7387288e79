"""``Snapshots``: the exchange's snapshots, as deep as the request weight allows.

5,000 levels a side cost 250 of an address's 6,000 weight a minute, 1,000 levels 50, 100 levels 5. Thirty
books asked for to their full depth would make the last of them wait for minutes. So where the books that are
still to be built cannot all have what was asked for in this minute, they begin with fewer levels, and are
completed in the background (:mod:`depthcast.keeper.refilling`).
"""

from collections.abc import Callable
from typing import Final, Protocol

from depthcast.orders.messages import AnySnapshot
from depthcast.venues import Venue

_SLACK_MS: Final = 5


class Paced(Protocol):
    """What is needed of a REST interface (:class:`depthcast.rest.Rest`)."""

    @property
    def silent_for_s(self) -> float: ...

    def expected_wait_ms(self, weight: int) -> int: ...

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> AnySnapshot: ...


class Snapshots:
    """A :class:`~depthcast.keeper.SnapshotSource`. ``unbuilt`` tells how many books wait to be built."""

    def __init__(self, rest: Paced, venue: Venue, *, unbuilt: Callable[[], int]) -> None:
        self._rest = rest
        self._venue = venue
        self._unbuilt = unbuilt
        self._asking = 0

    async def snapshot(self, symbol: str, limit: int, background: bool = False) -> AnySnapshot:
        """The exchange's book of ``symbol``, ``limit`` levels a side or, in the foreground, fewer.

        Raises :class:`~depthcast.errors.VenueError`.
        """
        if background:
            return await self._rest.snapshot(symbol, limit, background)
        limit = self.affordable(limit)
        self._asking += 1
        try:
            return await self._rest.snapshot(symbol, limit)
        finally:
            self._asking -= 1

    def affordable(self, limit: int) -> int:
        """How many levels, at most ``limit``, all books that wait to be built can have without waiting."""
        books = max(1, self._unbuilt() - self._asking)
        # A pause that the exchange asked for is the same for all, however much they ask for afterwards.
        silent_ms = self._rest.silent_for_s * 1000 + _SLACK_MS
        # What it may be cut down to: the most that each request weight buys, down to a hundred levels.
        rungs = [limit, *(rung for rung in reversed(self._venue.snapshot_limits) if 100 <= rung < limit)]
        for rung in rungs:
            if self._rest.expected_wait_ms(books * self._venue.depth_weight(rung)) <= silent_ms:
                return rung
        return rungs[-1]

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._asking >= 0, "more snapshots ended than were asked for"
