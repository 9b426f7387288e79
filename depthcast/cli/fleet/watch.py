"""``Watch``: reads the heartbeats again and again, and makes an overview of each reading."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from depthcast.cli.fleet.overview import Overview, Seen, overview
from depthcast.cli.fleet.trouble import Steady, Trouble
from depthcast.errors import BadFile, StoreError, StoreUnavailable
from depthcast.files import BINANCE, Scheme, heartbeat_key
from depthcast.fleet import Member
from depthcast.heartbeat import Heartbeat
from depthcast.roster import Roster
from depthcast.store import Store

WINDOW_MS: Final = 5000
"""Over how much of a replica's own time writes a second are counted."""


class Pace:
    """Writes a second of one replica, out of its heartbeats. Pure; times are the replica's own clock."""

    def __init__(self, window_ms: int = WINDOW_MS) -> None:
        self._window_ms = window_ms
        self._past: deque[Heartbeat] = deque()

    def take(self, beat: Heartbeat) -> float | None:
        """``beat`` is the latest heartbeat, seen before or not. ``None`` while there is only one."""
        past = self._past
        if past and past[-1].started_ms != beat.started_ms:
            past.clear()
        if not past or past[-1].beat != beat.beat:
            past.append(beat)
        while len(past) > 2 and past[1].time_ms <= beat.time_ms - self._window_ms:
            past.popleft()
        lasted_ms = beat.time_ms - past[0].time_ms
        if lasted_ms <= 0:
            return None
        return max(0, beat.writes.written - past[0].writes.written) * 1000 / lasted_ms


class Watch:
    """One watcher of one venue's fleet in one store. ``symbols`` are globs that choose what is shown, none:
    everything."""

    def __init__(
        self,
        store: Store,
        *,
        scheme: Scheme = BINANCE,
        symbols: Sequence[str] = (),
        timeout_s: float = 5.0,
        on_damaged: Callable[[str, BadFile], None] = lambda key, error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self.scheme = scheme
        self._globs = () if "all" in symbols else tuple(symbols)
        self._timeout_s = timeout_s
        self._clock = clock
        self._roster = Roster(store, scheme=scheme, on_damaged=on_damaged, clock=clock)
        self._paces: dict[str, Pace] = {}
        self._first: dict[str, int] = {}
        self._steady: Steady[tuple[str, Trouble]] = Steady()
        self._last = replace(overview(store.url, (), settled=False), venue=scheme.venue)

    async def read(self) -> Overview:
        """One reading. Raises :class:`~depthcast.errors.StoreError`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._roster.read()
        except TimeoutError:
            raise StoreUnavailable(
                f"the heartbeats at {self._store.url} were not read within {self._timeout_s:g} s"
            ) from None
        now_s = self._clock()
        seen = self._seen(now_s)
        settled = self.settled
        whole = overview(
            self._store.url,
            seen,
            globs=self._globs,
            steady=lambda signs: self._steady.take(signs, now_s, sure=settled),
            damaged=[heartbeat_key(each, self.scheme) for each in self._roster.damaged],
            settled=settled,
        )
        self._last = replace(whole, venue=self.scheme.venue)
        return self._last

    async def look(self) -> Overview:
        """As :meth:`read`, but a store that is away leaves what was known before, with ``fault`` set."""
        try:
            return await self.read()
        except StoreError as error:
            return replace(self._last, fault=str(error))

    @property
    def settled(self) -> bool:
        """Whether each replica has been seen to beat, or is known to have ended: one reading cannot tell
        the living from the dead."""
        now_s = self._clock()
        return all(
            member.heartbeat.beat != self._first.get(member.heartbeat.replica)
            or not self._roster.members.lives(member, now_s)
            for member in self._roster.members
        )

    def _seen(self, now_s: float) -> list[Seen]:
        members = list(self._roster.members)
        names = {member.heartbeat.replica for member in members}
        self._paces = {name: self._paces.get(name) or Pace() for name in names}
        self._first = {
            each.heartbeat.replica: self._first.get(each.heartbeat.replica, each.heartbeat.beat)
            for each in members
        }
        modified = self._roster.modified_ms
        newest_ms = max(modified.values(), default=0)
        return [
            self._seen_one(member, now_s, newest_ms - modified.get(member.heartbeat.replica, newest_ms))
            for member in members
        ]

    def _seen_one(self, member: Member, now_s: float, older_ms: int) -> Seen:
        beat = member.heartbeat
        lives = self._roster.members.lives(member, now_s)
        age_ms = round((now_s - member.moved_at) * 1000)
        # Of one that ended before this watcher came the store knows more: by how much others beat later.
        return Seen(
            beat, lives, age_ms if lives else max(age_ms, older_ms), self._paces[beat.replica].take(beat)
        )
