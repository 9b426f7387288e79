"""``History``: what was in force at a time, and what changed between two; few reads of the store, counted.

===================================  ==============================================================
:meth:`History.head`                 one small read
:meth:`History.at`                   two reads for what is in force now, three for what was: the head's
                                     metadata, a listing of one name, the object
:meth:`History.log`                  two small reads and a listing or two, then one read for each change
===================================  ==============================================================

The names of changes begin with the time turned round (:mod:`depthcast.metadata.record`), so that the first
name after a time is the newest change by then, however many there are.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple, TypeVar

from depthcast.aside import Aside
from depthcast.errors import BadFile
from depthcast.metadata.kinds import Kind
from depthcast.metadata.record import (
    MAX_TIME_MS,
    RECORD_PEEK,
    HeadInfo,
    Record,
    Recorded,
    newest_first,
    parse_name,
    record_within,
    turned,
)
from depthcast.store import Store

MAX_PAGE: Final = 500
"""The most changes of one page."""

T = TypeVar("T")


class Found(NamedTuple):
    """What was in force. ``final``: nothing that is recorded from now on can change that."""

    record: Record
    document: bytes
    final: bool


class Page(NamedTuple):
    """Changes, the newest first. ``more_to_ms``: there may be older ones, until this time; ``None``: none."""

    records: Sequence[Record]
    more_to_ms: int | None


class History:
    """The history of one kind. It holds nothing but ``reads``, how many calls of the store were made.

    At most ``at_once`` changes of a page are read together; ``aside`` does the unpacking. Methods raise
    :class:`~depthcast.errors.StoreError`, and :class:`~depthcast.errors.BadFile` for what is damaged.
    """

    def __init__(
        self, store: Store, kind: Kind, *, at_once: int = 8, aside: Aside = asyncio.to_thread
    ) -> None:
        self._store = store
        self._aside = aside
        self._kind = kind
        self._at_once = asyncio.Semaphore(at_once)
        self.reads = 0

    @property
    def kind(self) -> Kind:
        """What is read."""
        return self._kind

    async def head(self) -> HeadInfo | None:
        """What the newest change is; ``None`` where nothing was recorded yet."""
        found = await self._counted(self._store.peek(self._kind.head_key, 1))
        return None if found is None else HeadInfo.from_metadata(self._kind.head_key, found.metadata)

    async def current(self) -> Found | None:
        """The newest change with its document; ``None`` where nothing was recorded yet."""
        found = await self._counted(self._store.get(self._kind.head_key))
        if found is None:
            return None
        recorded = await self._aside(Recorded.parse, self._kind.head_key, found.body)
        return Found(recorded.record, recorded.document, False)

    async def at(self, time_ms: int) -> Found | None:
        """What was in force at ``time_ms``; ``None`` where nothing is kept that was recorded by then."""
        key = await self.locate(time_ms)
        return None if key is None else await self.open(key, time_ms)

    async def locate(self, time_ms: int, head: HeadInfo | None = None) -> str | None:
        """The key of the object that :meth:`at` opens: the head's while that is in force.

        ``head``: as it was read a moment ago, which saves reading it.
        """
        info = head or await self.head()
        if info is None:
            return None
        if info.observed_ms <= time_ms:
            return self._kind.head_key
        return await self._newest_by(time_ms)

    async def open(self, key: str, time_ms: int) -> Found | None:
        """The object at a key that :meth:`locate` gave for ``time_ms``."""
        found = await self._counted(self._store.get(key))
        if found is None:
            return None
        recorded = await self._aside(Recorded.parse, key, found.body)
        record = recorded.record
        if record.observed_ms > time_ms:
            # The head was replaced since it was looked at; its change before is in the history by now.
            newest = await self._newest_by(time_ms)
            return None if newest is None else await self.open(newest, time_ms)
        return Found(record, recorded.document, key != self._kind.head_key)

    async def log(
        self, from_ms: int = 0, to_ms: int = MAX_TIME_MS, *, symbol: str | None = None, limit: int = 100
    ) -> Page:
        """Changes observed from ``from_ms`` to ``to_ms``, both included, the newest first.

        ``symbol``: only those that touch it, and of each only the part that does. A page has at most
        ``limit`` changes; it may have fewer and yet be followed by others. Raises ``ValueError`` for a limit
        outside 1 to :data:`MAX_PAGE` and :class:`~depthcast.errors.BadKey` for a misspelled symbol.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise ValueError(f"a page has 1 to {MAX_PAGE} changes, not {limit}")
        to_ms = min(to_ms, MAX_TIME_MS)
        if from_ms > to_ms or to_ms < 0:
            return Page((), None)
        kind = self._kind
        folders = [kind.changes_folder]
        if symbol is not None:
            folders = [kind.symbol_folder(symbol), kind.wide_folder]
        pending = await self._pending()
        if pending is not None and not from_ms <= pending.observed_ms <= to_ms:
            pending = None
        listings = [
            await self._counted(self._store.list_after(folder, turned(to_ms), limit + 1))
            for folder in folders
        ]
        keys = sorted(
            (entry.key for listing in listings for entry in listing), key=lambda key: key.rpartition("/")[2]
        )
        keys = [key for key in keys if parse_name(key).observed_ms >= from_ms]
        records = [] if pending is None else [pending]
        more_to_ms = None
        room = limit - len(records)
        if len(keys) > room:
            last_ms = parse_name(keys[room - 1]).observed_ms if room else records[0].observed_ms
            more_to_ms = last_ms - 1
        records += await asyncio.gather(*map(self._record_at, keys[:room]))
        if symbol is not None:
            parts = (record.only(symbol) for record in records)
            records = [record for record in parts if record.changes]
        return Page(tuple(newest_first(records)), more_to_ms)

    async def _pending(self) -> Record | None:
        """The head's change where it is not in the history yet: its writer is at it, or was killed."""
        info = await self.head()
        if info is None:
            return None
        name = f"{self._kind.changes_folder}{turned(info.observed_ms)}-{info.sequence:010d}"
        if await self._counted(self._store.peek(name, 1)) is not None:
            return None
        found = await self.current()
        return None if found is None else found.record

    async def _newest_by(self, time_ms: int) -> str | None:
        if time_ms < 0:
            return None
        after = turned(min(time_ms, MAX_TIME_MS))
        listed = await self._counted(self._store.list_after(self._kind.changes_folder, after, 1))
        return listed[0].key if listed else None

    async def _record_at(self, key: str) -> Record:
        async with self._at_once:
            if not key.startswith(self._kind.changes_folder):
                whole = await self._counted(self._store.get(key))
                if whole is None:
                    raise BadFile(key, "it is gone")
                return Record.parse(key, whole.body)
            beginning = await self._counted(self._store.peek(key, RECORD_PEEK))
            record = None if beginning is None else record_within(key, beginning.body)
            if record is not None:
                return record
            whole = await self._counted(self._store.get(key))
            if whole is None:
                raise BadFile(key, "it is gone")
            return (await self._aside(Recorded.parse, key, whole.body)).record

    async def _counted(self, call: Awaitable[T]) -> T:
        self.reads += 1
        return await call
