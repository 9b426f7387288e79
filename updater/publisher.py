"""``Publisher``: writes one symbol's files, always of its newest book.

One task a symbol, one request in flight a key. Nothing queues: a book is rendered when a write begins, so a
slow store makes files less frequent, never old. The limits that are due together are rendered together. What
may be written, and under which condition, :class:`~updater.writing.KeyWriter` decides; this is its thin rim.

Epochs. Update ids can go down (relisting, maintenance), and "only if greater" would then freeze a symbol for
good. So where a stored file of this book's epoch has stayed ahead of a book that is alive, unmoved for
``epoch_after_s``, the exchange is asked for a fresh snapshot; if that is behind the file too, the *largest*
file is written, under the usual condition, in the next epoch. A stored file of a greater epoch than the
book's, be it from another replica or from our own claim, makes the book old whatever its id: nothing is
written until it was taken anew from the exchange.
"""

import asyncio
import time
from asyncio import TaskGroup, TimerHandle
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from random import Random
from typing import Final, NamedTuple, Protocol

from depthcast.backoff import Backoff
from depthcast.book import Book
from depthcast.errors import BadFile, StoreError, VenueError
from depthcast.files import CONTENT_TYPE, LIMITS, PEEK_BYTES, FileInfo, Version, depth_key
from depthcast.store import Outcome, PutResult, Store
from updater.cadence import Cadence
from updater.slots import Slots
from updater.writing import NEVER, KeyWriter, Look, Wait, Write

CACHE_CONTROL: Final = "public, max-age=0, s-maxage=1"
"""What may be kept of a file, by default. A client asks again each time (an unchanged file costs a 304); an
edge answers one second's readers with one request to the store, and so adds a second of age at most. Nothing
stale is allowed on errors: who reads from an edge alone could not tell."""


class LiveBook(Protocol):
    """A book that somebody else keeps up to date; :class:`depthcast.keeper.LiveBook` is one."""

    @property
    def symbol(self) -> str: ...

    @property
    def book(self) -> Book | None:
        """``None`` until it was first synced; the last good one while it is built anew."""

    @property
    def live(self) -> bool:
        """Whether it is being kept up to date, rather than being built."""

    @property
    def epoch(self) -> int:
        """The epoch in which its ids count."""

    @property
    def changed_at(self) -> float:
        """When it last changed, on the monotonic clock, in seconds."""


class Policy(Protocol):
    """Whether this replica writes a key itself or leaves it to another one, for now."""

    def leave(self, symbol: str, limit: int, behind_s: float) -> bool:
        """``behind_s``: for how long the stored file has been older than this replica's book."""


class WriteAlways:
    """Every replica writes every key it can; the write rule picks the winner."""

    def leave(self, symbol: str, limit: int, behind_s: float) -> bool:
        """Always."""
        return True


class Observer(Protocol):
    """Hears what publishers do. Implemented by :class:`updater.metrics.Metrics`."""

    def wrote(self, symbol: str, limit: int, result: PutResult, seconds: float) -> None:
        """A conditional write ended."""

    def looked(self, symbol: str, limit: int) -> None:
        """The head of a stored file was read."""

    def look_failed(self, symbol: str, limit: int, error: StoreError) -> None:
        """The head of a stored file could not be read."""

    def damaged(self, symbol: str, limit: int, error: BadFile) -> None:
        """A stored object is no file of ours."""

    def newer_epoch(self, symbol: str, mine: int, stored: int) -> None:
        """A stored file is of a later epoch than the book."""

    def claim(self, symbol: str, epoch: int, event: "ClaimEvent") -> None:
        """Something became of the claim of an epoch."""


class ClaimEvent(Enum):
    """What became of the claim of an epoch, in the order in which it can."""

    ASKED = "asked"
    """A stored file stayed ahead; the exchange is asked for its id."""
    REFUTED = "refuted"
    """The exchange's own id is not behind the file, or the file moved meanwhile."""
    UNCONFIRMED = "unconfirmed"
    """The exchange did not answer."""
    WON = "won"
    LOST = "lost"
    """The write that claims it was not won; who did is seen at the next look."""


class FileState(NamedTuple):
    """One of a symbol's files: its version in the store as far as known, and its age against the book."""

    limit: int
    version: Version | None
    behind_s: float


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


class Publisher:
    """One symbol's files. :meth:`run` is its task; :meth:`wake` tells it that the book changed.

    ``limits`` are the files written. The caller shares ``slots`` among all its publishers. ``on_newer_epoch``
    is called with the symbol and an epoch greater than the book's: the book is to be taken anew from the
    venue, in this epoch or a later one. ``confirm`` returns the update id of a snapshot that the venue makes
    now, or raises :class:`~depthcast.errors.VenueError`. Raises :class:`~depthcast.errors.BadKey` where there
    is no key for a symbol and a limit.
    """

    def __init__(
        self,
        live: LiveBook,
        store: Store,
        *,
        replica: str,
        observer: Observer,
        on_newer_epoch: Callable[[str, int], None],
        confirm: Callable[[str], Awaitable[int]],
        # What is written, and how often
        limits: Sequence[int] = LIMITS,
        cadence: Cadence | None = None,
        cache_control: str = CACHE_CONTROL,
        policy: Policy | None = None,
        # Limits
        slots: Slots | None = None,
        # Waits
        same_levels_s: float = 1.0,
        watch_s: float = 1.0,
        patrol_s: float = 300.0,
        epoch_after_s: float = 60.0,
        backoff_initial_s: float = 0.1,
        backoff_maximum_s: float = 10.0,
        # Time and chance
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        rng: Random | None = None,
    ) -> None:
        self.symbol = live.symbol
        self._live = live
        self._store = store
        self._replica = replica
        self._observer = observer
        self._on_newer_epoch = on_newer_epoch
        self._ask_venue = confirm
        self._cache_control = cache_control
        self._slots = slots or Slots(64)
        self._epoch_after_s = epoch_after_s
        self._clock = clock
        self._wall_ms = wall_ms

        cadence = cadence or Cadence()
        policy = policy or WriteAlways()
        rng = rng or Random()
        self._writers = {
            limit: KeyWriter(
                depth_key(live.symbol, limit),
                every_s=cadence.every_s(limit),
                same_levels_s=same_levels_s,
                watch_s=watch_s,
                patrol_s=patrol_s,
                leave=partial(policy.leave, live.symbol, limit),
                backoff=Backoff(backoff_initial_s, maximum_s=backoff_maximum_s, rng=rng),
            )
            for limit in sorted(limits)
        }
        self._largest = max(self._writers)
        self._awake = asyncio.Event()
        self._all_due = True
        self._ended: list[int] = []
        self._alarm: TimerHandle | None = None
        self._alarm_at = NEVER
        self._stopping = False

        self._newest_epoch = 0
        self._obeyed = 0
        self._claiming: int | None = None
        self._confirming: asyncio.Task[None] | None = None
        self._confirm_from = float("-inf")

    # From outside

    def wake(self) -> None:
        """The book changed, or something else that may make a write possible."""
        self._all_due = True
        self._awake.set()

    def stop(self) -> None:
        """Begin nothing any more; :meth:`run` returns when what is in flight has ended."""
        self._stopping = True
        if self._confirming is not None:
            self._confirming.cancel()
        self._awake.set()

    async def run(self) -> None:
        """Write until :meth:`stop`. Cancelled, it gives up what is in flight: its outcome stays unknown."""
        try:
            async with TaskGroup() as group:
                while not self._stopping:
                    self._awake.clear()
                    self._round(group)
                    await self._awake.wait()
        finally:
            self._set_alarm(NEVER)
            self._slots.withdraw(self.wake)

    @property
    def settled(self) -> bool:
        """Whether each file has been as new as the book at least once, written here or elsewhere."""
        return all(writer.settled for writer in self._writers.values())

    def files(self) -> list[FileState]:
        """What is known of each file, smallest limit first."""
        book, now = self._live.book, self._clock()
        if book is None:
            return [FileState(limit, writer.stored, 0.0) for limit, writer in self._writers.items()]
        mine = Version(self._live.epoch, book.update_id)
        return [
            FileState(limit, writer.stored, writer.behind_s(now, mine))
            for limit, writer in self._writers.items()
        ]

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        for writer in self._writers.values():
            writer.check()

    # One round: begin what is due

    def _round(self, group: TaskGroup) -> None:
        """Begin what is due: of all files after a change, else of those whose request has just ended."""
        everything, ended = self._all_due, self._ended
        self._all_due, self._ended = False, []
        book = self._live.book
        if book is None or self._overtaken(self._live.epoch):
            self._slots.withdraw(self.wake)
            return
        now = self._clock()
        mine = Version(self._live.epoch, book.update_id)
        again_at = NEVER if everything else self._alarm_at
        ready: list[_Ready] = []
        for limit in self._writers if everything else ended:
            writer = self._writers[limit]
            step = writer.next_step(now, self._target(limit, mine))
            if isinstance(step, Wait):
                again_at = min(again_at, step.until)
            else:
                ready.append(_Ready(writer.behind_since, limit, step))
        # The oldest file first: where slots are scarce, small ones are due again before a large one's turn.
        ready.sort()
        if everything and not ready:
            self._slots.withdraw(self.wake)
        # Who is in the queue has its turn there, and looks at everything then.
        if ready and (everything or not self._slots.queued(self.wake)):
            del ready[self._slots.take(len(ready), self.wake) :]
            again_at = min(again_at, self._begin(ready, book, mine, now, group))
        self._set_alarm(again_at)
        self._consider_claim(now, mine, group)

    def _target(self, limit: int, mine: Version) -> Version:
        """What the file of ``limit`` is to become: the book's version, or the epoch that is claimed."""
        if self._claiming is not None and limit == self._largest:
            return Version(self._claiming, mine.update_id)
        return mine

    def _set_alarm(self, at: float) -> None:
        """Wake at this time, and at no other."""
        if at == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = at
        if at < NEVER:
            delay_s = max(0.0, at - self._clock())
            self._alarm = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, NEVER
        self.wake()

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
                due.append(_Due(limit, writer, step.match, self._target(limit, mine)))
        if not due:
            return NEVER
        until = NEVER
        held = 0
        metadata = {epoch: self._metadata(book, epoch) for epoch in {each.version.epoch for each in due}}
        for each, body in zip(due, book.bodies([each.limit for each in due]), strict=True):
            held_until = each.writer.hold_until(now, each.version, body)
            if held_until is None:
                each.writer.writing(now, each.version, body)
                group.create_task(self._write(each, body, metadata[each.version.epoch]))
            else:
                until = min(until, held_until)
                held += 1
        self._slots.give(held)
        return until

    def _metadata(self, book: Book, epoch: int) -> Mapping[str, str]:
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
        ).to_metadata()

    # Requests

    async def _look(self, limit: int, writer: KeyWriter) -> None:
        try:
            found = await self._store.peek(writer.key, PEEK_BYTES)
            damage = writer.saw(found, self._clock())
        except StoreError as error:
            writer.saw_nothing(self._clock())
            self._observer.look_failed(self.symbol, limit, error)
        else:
            self._observer.looked(self.symbol, limit)
            if damage is not None:
                self._observer.damaged(self.symbol, limit, damage)
        finally:
            self._request_ended(limit, writer)

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
        finally:
            self._request_ended(due.limit, due.writer)
        self._observer.wrote(self.symbol, due.limit, result, now - begun)
        if due.version.epoch == self._claiming:
            # Won or not, what is seen next decides: a claim is tried once for each confirmation.
            event = ClaimEvent.WON if result.outcome is Outcome.WON else ClaimEvent.LOST
            self._claim_ended(due.version.epoch, event)

    def _request_ended(self, limit: int, writer: KeyWriter) -> None:
        self._slots.give()
        if writer.stored is not None:
            self._newest_epoch = max(self._newest_epoch, writer.stored.epoch)
        self._ended.append(limit)
        self._awake.set()

    # Epochs

    def _overtaken(self, epoch: int) -> bool:
        """Whether a stored file is of a later epoch than the book; has the book taken anew, once an epoch."""
        newest = self._newest_epoch
        if self._claiming is not None and self._claiming <= max(epoch, newest):
            self._claiming = None
        if newest <= epoch:
            return False
        if newest > self._obeyed:
            self._obeyed = newest
            self._observer.newer_epoch(self.symbol, epoch, newest)
            self._on_newer_epoch(self.symbol, newest)
        return True

    def _consider_claim(self, now: float, mine: Version, group: TaskGroup) -> None:
        """Begin to ask for a claim where a file has been ahead of a book that is alive for long enough."""
        since = min(
            (each.ahead_since for each in self._writers.values() if each.ahead_since is not None),
            default=now,
        )
        alive = self._live.live and self._live.changed_at >= since
        if now - since < self._epoch_after_s or not alive or now < self._confirm_from:
            return
        if self._claiming is None and self._confirming is None:
            self._observer.claim(self.symbol, mine.epoch + 1, ClaimEvent.ASKED)
            self._confirming = group.create_task(self._confirm(mine.epoch))

    async def _confirm(self, epoch: int) -> None:
        """Ask the exchange whether its ids went down, and if so let the next round claim an epoch."""
        try:
            confirmed = await self._ask_venue(self.symbol)
        except VenueError:
            refusal = ClaimEvent.UNCONFIRMED
        else:
            if self._still_ahead(epoch, confirmed):
                self._claiming = epoch + 1
                self.wake()
                return
            refusal = ClaimEvent.REFUTED
        finally:
            self._confirming = None
        self._claim_ended(epoch + 1, refusal)

    def _claim_ended(self, epoch: int, event: ClaimEvent) -> None:
        self._claiming = None
        self._confirm_from = self._clock() + self._epoch_after_s
        self._observer.claim(self.symbol, epoch, event)

    def _still_ahead(self, epoch: int, confirmed: int) -> bool:
        """Whether a file that has not moved all this time is ahead of the exchange's own id too."""
        book = self._live.book
        if book is None or self._live.epoch != epoch:
            return False
        ahead_from = self._clock() - self._epoch_after_s
        return any(
            writer.ahead_since is not None
            and writer.ahead_since <= ahead_from
            and writer.stored is not None
            and writer.stored.update_id > max(confirmed, book.update_id)
            for writer in self._writers.values()
        )
