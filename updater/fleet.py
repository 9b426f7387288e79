"""``Fleet``: this replica's heartbeat in the store, and what it hears of the others.

It beats once a second, by conditional writes to its own key, and reads the others' heartbeats twice a second
(:class:`depthcast.roster.Roster`). What follows from a reading is the caller's: it is told of each.

Promises: a store that is away makes nobody dead and stops nothing; a beat or a reading takes at most
``timeout_s``; a pause that the exchange asked of any replica of this address, even of one that has died
since, is passed on with the time that is left of it, counted on the store's clock. A pause heard from others
is not told again, or it would never end.
"""

import asyncio
import time
from asyncio import TaskGroup
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from depthcast.errors import BadFile, StoreError, StoreUnavailable
from depthcast.files import BINANCE, Scheme, heartbeat_key
from depthcast.fleet import BEAT_EVERY_S
from depthcast.heartbeat import HEARTBEAT_CONTENT_TYPE, MOST, Heartbeat, State
from depthcast.roster import Roster
from depthcast.store import Outcome, Store

CACHE_CONTROL: Final = "no-cache"
READ_EVERY_S: Final = 0.5
MISSING_S: Final = 10.0
"""So long after a replica was found dead the symbols it held are not given to others, where two hold each."""

UNDATED_PAUSE_MS: Final = 3000
"""A pause is at most so long while nothing was written yet that tells the present by the store's clock."""

LONGEST_PAUSE_MS: Final = 4 * 24 * 3600 * 1000
"""A pause is at most so long, whatever a heartbeat says: exchanges ban for three days at most."""

SETTLE_S: Final = 1.5
"""So long after its first beat a replica has heard of all who began at the same time."""


class Compose(Protocol):
    """Makes this replica's next heartbeat."""

    def __call__(self, *, beat: int, state: State, silent_for_ms: int) -> Heartbeat: ...


class Observer(Protocol):
    """Hears what the fleet does. Implemented by :class:`updater.metrics.Metrics`."""

    def beat(self, outcome: Outcome) -> None:
        """A heartbeat was written, or not."""

    def fleet_read(self, error: StoreError | None) -> None:
        """The heartbeats were read, or not."""

    def damaged_heartbeat(self, key: str, error: BadFile) -> None:
        """A stored object is no heartbeat."""

    def namesake(self, replica: str) -> None:
        """Another process writes this replica's heartbeat."""


class Fleet:
    """One replica's side of the fleet. :meth:`run` it until cancelled, then :meth:`say_goodbye`.

    ``on_reading`` is called after each reading that went well; ``on_pause`` with milliseconds, for which the
    exchange wants nothing from this address. ``scheme`` is the venue's whose books the fleet keeps.
    """

    def __init__(
        self,
        store: Store,
        compose: Compose,
        *,
        replica: str,
        scheme: Scheme = BINANCE,
        observer: Observer,
        on_reading: Callable[[], None],
        on_pause: Callable[[int], None],
        # Times
        beat_every_s: float = BEAT_EVERY_S,
        read_every_s: float = READ_EVERY_S,
        least_gap_s: float = 0.2,
        timeout_s: float = 2.0,
        missing_s: float = MISSING_S,
        settle_s: float = SETTLE_S,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._compose = compose
        self._replica = replica
        self._key = heartbeat_key(replica, scheme)
        self._observer = observer
        self._on_reading = on_reading
        self._on_pause = on_pause
        self._beat_every_s = beat_every_s
        self._read_every_s = read_every_s
        self._least_gap_s = least_gap_s
        self._timeout_s = timeout_s
        self._missing_s = missing_s
        self._settle_s = settle_s
        self._clock = clock
        self._roster = Roster(
            store,
            own=replica,
            scheme=scheme,
            on_damaged=lambda key, error: observer.damaged_heartbeat(key, error),
            clock=clock,
        )
        self._state = State.LIVE
        self._count = 0
        self._etag: str | None = None
        self._looked = False
        """Whether the stored heartbeat is known: ``_etag``, or that there is none."""
        self._beat_at: float | None = None
        self._silent_until = float("-inf")
        self._former: tuple[int, int | None] | None = None
        """What an earlier process of this name was asked to be silent for, and when it said so (store's)."""
        self._due = asyncio.Event()
        self.own = compose(beat=0, state=State.LIVE, silent_for_ms=0)
        self.earlier = self.own
        """The own heartbeat before the last: as old as the oldest that others may be known by."""
        self.living: Mapping[str, Heartbeat] = {replica: self.own}
        """The last heartbeats of all who live, by name, this replica's own among them."""
        self.missing: Mapping[str, Heartbeat] = {}
        """Those of replicas that died within the last ``missing_s``."""
        self.read = asyncio.Event()
        """Set once the heartbeats were read for the first time."""
        self.heard = asyncio.Event()
        """Set once it is known what others, and an earlier process of this name, were asked to pause for."""
        self._began = asyncio.Event()
        """Set with the first beat."""

    @property
    def settled(self) -> bool:
        """Whether this replica has heard of all who were there or began with it."""
        begun = self._beat_at
        return self.read.is_set() and begun is not None and self._clock() - begun >= self._settle_s

    @property
    def alone(self) -> bool:
        """Whether no other replica stays."""
        return not any(
            beat.state is State.LIVE for name, beat in self.living.items() if name != self._replica
        )

    # From outside

    def silenced(self, ms: int) -> None:
        """The exchange asked this replica for silence: tell the others now."""
        self._silent_until = max(self._silent_until, self._clock() + ms / 1000)
        self._due.set()

    def leave(self) -> None:
        """Say that this replica is about to stop."""
        self._state = State.LEAVING
        self._refresh_own()
        self._due.set()

    async def say_goodbye(self) -> None:
        """The last beat, so that nobody waits for another one. Does what it can within ``timeout_s``."""
        self._state = State.GONE
        await self._beat()

    async def run(self) -> None:
        """Beat and read until cancelled."""
        async with TaskGroup() as group:
            group.create_task(self._beat_loop())
            group.create_task(self._read_loop())

    # Beating

    async def _beat_loop(self) -> None:
        with suppress(TimeoutError):
            # When an earlier process of this name beat last is known from a listing alone.
            async with asyncio.timeout(self._timeout_s):
                await self.read.wait()
        while True:
            begun = self._clock()
            self._due.clear()
            await self._beat()
            left_s = begun + self._beat_every_s - self._clock()
            try:
                async with asyncio.timeout(max(left_s, 0)):
                    await self._due.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(max(begun + self._least_gap_s - self._clock(), 0))

    async def _beat(self) -> None:
        outcome = Outcome.UNKNOWN
        try:
            async with asyncio.timeout(self._timeout_s):
                if not self._looked:
                    await self._look()
                outcome = await self._write()
                if outcome is Outcome.LOST:
                    # An earlier attempt was applied after all, or there is a namesake.
                    await self._look()
                    outcome = await self._write()
        except (StoreError, TimeoutError):
            self._looked = False
        self._observer.beat(outcome)

    async def _look(self) -> None:
        found = await self._store.get(self._key)
        self._looked = True
        self._etag = found.etag if found is not None else None
        if found is None:
            return
        try:
            stored = Heartbeat.from_body(self._key, found.body)
        except BadFile as error:
            self._observer.damaged_heartbeat(self._key, error)
            return
        if stored.started_ms != self.own.started_ms:
            if self._beat_at is not None:
                self._observer.namesake(self._replica)
            elif stored.rest.silent_for_ms and stored.rest.address == self.own.rest.address:
                self._former = (stored.rest.silent_for_ms, self._roster.modified_ms.get(self._replica))
        self._count = max(self._count, stored.beat)

    async def _write(self) -> Outcome:
        # What was stored under this name may be of any count; the next one only has to differ.
        self._count = self._count % MOST + 1
        self.earlier = self.own
        self._refresh_own()
        self._looked = False
        result = await self._store.put_if(
            self._key,
            self.own.to_body(),
            match=self._etag,
            content_type=HEARTBEAT_CONTENT_TYPE,
            cache_control=CACHE_CONTROL,
        )
        if result.outcome is Outcome.WON:
            self._looked, self._etag = True, result.etag
            if self._beat_at is None:
                self._beat_at = self._clock()
                self._began.set()
        return result.outcome

    def _refresh_own(self) -> None:
        silent_s = max(0.0, self._silent_until - self._clock())
        self.own = self._compose(beat=self._count, state=self._state, silent_for_ms=round(silent_s * 1000))
        self.living = {**self.living, self._replica: self.own}

    # Reading

    async def _read_loop(self) -> None:
        while True:
            begun = self._clock()
            error: StoreError | None = None
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._roster.read()
            except StoreError as failed:
                error = failed
            except TimeoutError:
                self._roster.members.interrupted()
                error = StoreUnavailable(f"the heartbeats were not read within {self._timeout_s:g} s")
            self._observer.fleet_read(error)
            if error is None:
                self._take(begun)
            left_s = max(begun + self._read_every_s - self._clock(), 0)
            if self.heard.is_set():
                await asyncio.sleep(left_s)
                continue
            # The first beat is the present by the store's clock: how long pauses still last is known with it.
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._began.wait()
                    await asyncio.sleep(max(begun + self._least_gap_s - self._clock(), 0))

    def _take(self, begun: float) -> None:
        now = self._clock()
        living = self._roster.members.living(now)
        self.missing = self._roster.members.missing(now, self._missing_s)
        self.living = {**living, self._replica: self.own}
        dated = self._beat_at is not None and begun >= self._beat_at
        self._pass_pauses_on(dated=dated)
        self.read.set()
        if dated:
            self.heard.set()
        self._on_reading()

    def _pass_pauses_on(self, *, dated: bool) -> None:
        """Tell of the longest pause. ``dated``: what was just read has a heartbeat of the present."""
        modified = self._roster.modified_ms
        newest = max(modified.values(), default=0)
        pauses = [
            (member.heartbeat.rest.silent_for_ms, modified.get(member.heartbeat.replica, newest))
            for member in self._roster.members
            if member.heartbeat.rest.address == self.own.rest.address
        ]
        if self._former is not None and dated:
            silent_ms, said_at = self._former
            pauses.append((silent_ms, newest if said_at is None else said_at))
            self._former = None
        left_ms = max(
            (
                min(silent_ms, LONGEST_PAUSE_MS) - (newest - said_at)
                for silent_ms, said_at in pauses
                if silent_ms
            ),
            default=0,
        )
        if left_ms > 0:
            self._on_pause(left_ms if dated else min(left_ms, UNDATED_PAUSE_MS))
