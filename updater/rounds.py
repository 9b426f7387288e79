"""``Rounds``: the requests for one symbol's files: which are begun together, what they write, how they end.

Nothing queues: slots are taken before a book is rendered, a book is rendered once for all writes that begin
in one round, and of each key one request is in flight. What may be written, and under which condition,
:class:`~updater.writing.KeyWriter` decides; this is its thin rim.

Leaves to others: whether this replica writes the symbol at all, and in which epoch
(:mod:`updater.publisher`).
"""

from asyncio import TaskGroup
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from depthcast.book import Book
from depthcast.errors import StoreError
from depthcast.files import CONTENT_TYPE, PEEK_BYTES, FileInfo, Scheme, Version
from depthcast.store import Outcome, Store, StoredObject
from updater.outage import Outage
from updater.ports import Observer
from updater.slots import Slots
from updater.writing import NEVER, KeyWriter, Look, Wait, Write


class Owner(Protocol):
    """Whose files they are. Implemented by :class:`updater.publisher.Publisher`."""

    def wake(self) -> None:
        """All files are to have a round."""

    def resume(self) -> None:
        """The store answers again."""

    def target(self, limit: int, mine: Version) -> Version:
        """What the file of ``limit`` is to become where the book is ``mine``."""

    def looked(self, limit: int, found: StoredObject | None, stored: Version | None) -> None:
        """A look found this object, which is of this version; ``None``: there is none, or no file of ours."""

    def wrote(self, limit: int, version: Version, outcome: Outcome) -> None:
        """A write of this version ended."""

    def ended(self, limit: int, stored: Version | None) -> None:
        """A request ended, and this is known of the file now: it is to have a round."""


class _Ready(NamedTuple):
    """A request that may begin now, for a file that has been out of date since ``since``."""

    since: float
    limit: int
    step: Look | Write


class _Due(NamedTuple):
    """A write that may begin now: of ``version``, if the object's ETag is ``match``."""

    limit: int
    writer: KeyWriter
    match: str | None
    version: Version


class Rounds:
    """The files of ``symbol``, one for each of ``writers``, by limit of ``scheme``.

    ``replica`` and ``status``, the venue's word for what the symbol does, are written beside each file.
    ``slots`` and ``outage`` are shared with other symbols.
    """

    def __init__(
        self,
        owner: Owner,
        store: Store,
        symbol: str,
        writers: Mapping[int, KeyWriter],
        *,
        scheme: Scheme,
        replica: str,
        observer: Observer,
        cache_control: str,
        status: Callable[[], str],
        slots: Slots,
        outage: Outage,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
    ) -> None:
        self._owner = owner
        self._store = store
        self._symbol = symbol
        self._writers = writers
        self._scheme = scheme
        self._replica = replica
        self._observer = observer
        self._cache_control = cache_control
        self._status = status
        self._slots = slots
        self._outage = outage
        self._clock = clock
        self._wall_ms = wall_ms

    def begin(self, book: Book, mine: Version, group: TaskGroup, *, ended: Sequence[int] | None) -> float:
        """Begin what is due for ``book``, which is ``mine``: of the files whose request has just ``ended``;
        ``None``: of all. Returns when more will be, as far as these files go."""
        now = self._clock()
        again_at = NEVER
        ready: list[_Ready] = []
        for limit in self._writers if ended is None else ended:
            writer = self._writers[limit]
            step = writer.next_step(now, self._owner.target(limit, mine))
            if isinstance(step, Wait):
                again_at = min(again_at, step.until)
            else:
                ready.append(_Ready(writer.behind_since, limit, step))
        # The oldest file first: where slots are scarce, small ones are due again before a large one's turn.
        ready.sort()
        wake = self._owner.wake
        if ended is None and not ready:
            self._slots.withdraw(wake)
        # Who is in the queue has its turn there, and looks at everything then.
        if ready and (ended is None or not self._slots.queued(wake)):
            del ready[self._slots.take(len(ready), wake) :]
            again_at = min(again_at, self._begin(ready, book, mine, now, group))
        return again_at

    def _begin(
        self, steps: Sequence[_Ready], book: Book, mine: Version, now: float, group: TaskGroup
    ) -> float:
        """Look, or render once for all writes, and write what is worth it. Returns when the rest will be."""
        due: list[_Due] = []
        for _, limit, step in steps:
            writer = self._writers[limit]
            if isinstance(step, Look):
                writer.looking()
                group.create_task(self._look(limit, writer))
            else:
                due.append(_Due(limit, writer, step.match, self._owner.target(limit, mine)))
        if not due:
            return NEVER
        until = NEVER
        held = 0
        said: dict[tuple[int, bool], Mapping[str, str]] = {}
        for each, body in zip(due, book.bodies([each.limit for each in due]), strict=True):
            held_until = each.writer.hold_until(now, each.version, body)
            if held_until is None:
                each.writer.writing(now, each.version, body)
                how = each.version.epoch, self._scheme.layout(each.limit).tells_early
                metadata = said.get(how) or self._metadata(book, *how)
                said[how] = metadata
                group.create_task(self._write(each, body, metadata))
            else:
                until = min(until, held_until)
                held += 1
        self._slots.give(held)
        return until

    def _metadata(self, book: Book, epoch: int, body_tells_id: bool) -> Mapping[str, str]:
        certainty = book.certainty
        return FileInfo(
            epoch=epoch,
            bids=certainty.bids,
            asks=certainty.asks,
            bids_complete=certainty.bids_complete,
            asks_complete=certainty.asks_complete,
            event_time_ms=book.event_time_ms,
            publish_time_ms=self._wall_ms(),
            replica=self._replica,
            status=self._status(),
            update_id=None if body_tells_id else book.update_id,
        ).to_metadata()

    # Requests

    async def _look(self, limit: int, writer: KeyWriter) -> None:
        begun = self._clock()
        try:
            found = await self._store.peek(writer.key, PEEK_BYTES)
            damage = writer.saw(found, self._clock())
        except StoreError as error:
            writer.saw_nothing(self._clock())
            self._outage.failed(begun, self._owner.resume)
            self._observer.look_failed(self._symbol, limit, error)
        else:
            self._outage.read()
            self._observer.looked(self._symbol, limit)
            if damage is not None:
                self._observer.damaged(self._symbol, limit, damage)
            self._owner.looked(limit, found, writer.stored)
        finally:
            self._end(limit, writer)

    async def _write(self, due: _Due, body: bytes, metadata: Mapping[str, str]) -> None:
        begun = self._clock()
        try:
            result = await self._store.put_if(
                due.writer.key,
                body,
                match=due.match,
                metadata=metadata,
                content_type=CONTENT_TYPE,
                cache_control=self._cache_control,
            )
            now = self._clock()
            due.writer.done(result, now)
            if result.outcome is Outcome.UNKNOWN:
                self._outage.failed(begun, self._owner.resume)
            elif result.outcome is not Outcome.THROTTLED:
                self._outage.wrote()
        finally:
            self._end(due.limit, due.writer)
        self._observer.wrote(self._symbol, due.limit, result, now - begun)
        self._owner.wrote(due.limit, due.version, result.outcome)

    def _end(self, limit: int, writer: KeyWriter) -> None:
        self._slots.give()
        self._owner.ended(limit, writer.stored)
