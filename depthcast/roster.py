"""``Roster``: the heartbeats in the store, read again and again into :class:`depthcast.fleet.Members`.

One reading is one listing of ``fleet/`` and a GET of each heartbeat that has changed since. The updaters read
so to know each other, ``depthcast fleet`` to show them.
"""

import time
from asyncio import TaskGroup
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from depthcast.errors import BadFile, BadKey, StoreError
from depthcast.files import BINANCE, Scheme, heartbeat_key, parse_heartbeat_key
from depthcast.fleet import Members
from depthcast.heartbeat import Heartbeat
from depthcast.store import Entry, Store

READS_AT_ONCE: Final = 8

FORGET_AFTER_MS: Final = 600_000
"""Of a replica whose heartbeat was written so long before the newest one, what it held is of no use."""


class Roster:
    """Reads all heartbeats of replicas that keep one venue's books, at most ``reads_at_once`` at a time.
    ``scheme`` is that venue's.

    ``own`` is the caller's replica: it knows its heartbeat without reading it. ``on_damaged`` is told the key
    of an object that is no heartbeat, or another replica's, once for each time it was written; the replica
    counts as one whose heartbeat stands still. Keys that name no replica are passed over.

    Heartbeats of replicas that ended stay in the store, and each start may have a name of its own. They are
    read once; what their replicas held, which is most of them, is forgotten :data:`FORGET_AFTER_MS` later,
    by the store's clock.
    """

    def __init__(
        self,
        store: Store,
        *,
        members: Members | None = None,
        own: str | None = None,
        scheme: Scheme = BINANCE,
        reads_at_once: int = READS_AT_ONCE,
        on_damaged: Callable[[str, BadFile], None] = lambda key, error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.members: Final = Members() if members is None else members
        self.modified_ms: Mapping[str, int] = {}
        """When each heartbeat was written, by the store's clock, the caller's own among them."""
        self.damaged: Mapping[str, str] = {}
        """The ETags of objects that are no heartbeats, by the name in their key: they are not read twice."""
        self._store = store
        self._own = own
        self._scheme = scheme
        self._reads_at_once = reads_at_once
        self._on_damaged = on_damaged
        self._clock = clock
        self._ended: frozenset[str] = frozenset()
        """Those whose heartbeats are that old."""

    async def read(self) -> None:
        """Do one reading. It takes no time limit of its own: cancel it.

        Raises :class:`~depthcast.errors.StoreError`. A reading that failed or was cancelled counts for
        nothing: :meth:`depthcast.fleet.Members.interrupted`.
        """
        try:
            entries = await self._list()
            self.modified_ms = {name: entry.last_modified_ms for name, entry in entries.items()}
            self._ended = _long_still(self.modified_ms)
            self.damaged = {name: etag for name, etag in self.damaged.items() if name in entries}
            await self._read_changed({name: each for name, each in entries.items() if name != self._own})
        except BaseException:
            self.members.interrupted()
            raise
        self.members.read_all()
        self.members.forget_symbols(self._ended, self._clock())

    async def _list(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        async for entry in self._store.list(self._scheme.fleet_prefix):
            with suppress(BadKey):
                entries[parse_heartbeat_key(entry.key, self._scheme)] = entry
        return entries

    async def _read_changed(self, entries: Mapping[str, Entry]) -> None:
        changed: list[str] = []
        for name, entry in entries.items():
            known = self.members.etag(name)
            if entry.etag not in (known, self.damaged.get(name)):
                changed.append(name)
            elif known is not None:
                self.members.saw(name, known, None, self._clock())
        names, failures = iter(changed), list[StoreError]()
        # No task of the group may fail: up to Python 3.12 a group that is cancelled in that moment tells the
        # failure alone, and whoever cancelled waits for what goes on.
        async with TaskGroup() as group:
            for _ in range(min(self._reads_at_once, len(changed))):
                group.create_task(self._read_each(names, failures))
        if failures:
            raise failures[0]

    async def _read_each(self, names: Iterator[str], failures: list[StoreError]) -> None:
        for name in names:
            try:
                await self._read_one(name)
            except StoreError as error:
                failures.append(error)
            if failures:
                return

    async def _read_one(self, replica: str) -> None:
        key = heartbeat_key(replica, self._scheme)
        found = await self._store.get(key)
        if found is None:
            return
        try:
            heartbeat = Heartbeat.from_body(key, found.body)
            if heartbeat.replica != replica:
                raise BadFile(key, f"it is the heartbeat of {heartbeat.replica!r:.100}")
        except BadFile as error:
            self.damaged = {**self.damaged, replica: found.etag}
            self._on_damaged(key, error)
            known = self.members.etag(replica)
            if known is not None:
                self.members.saw(replica, known, None, self._clock())
            return
        self.damaged = {name: etag for name, etag in self.damaged.items() if name != replica}
        if replica in self._ended and self.members.etag(replica) is None:
            # If it lives in spite of its date, it is read again with its next beat.
            heartbeat = heartbeat.without_symbols()
        self.members.saw(replica, found.etag, heartbeat, self._clock())

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        self.members.check()
        names = {member.heartbeat.replica for member in self.members}
        assert self._own not in names, "the caller's own heartbeat was read"
        assert self.damaged.keys() <= self.modified_ms.keys()


def _long_still(modified_ms: Mapping[str, int]) -> frozenset[str]:
    newest_ms = max(modified_ms.values(), default=0)
    return frozenset(name for name, at_ms in modified_ms.items() if newest_ms - at_ms > FORGET_AFTER_MS)
