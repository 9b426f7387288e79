"""The files in memory: read once for all who ask, then kept fresh behind the readers' backs.

A file becomes *hot* by being asked for: it is then refreshed every ``refresh_s`` by a conditional read, one
at a time, for as long as somebody asked within ``hot_for_s``. The interval is from one look at the store
until the next one has ended and is shown, as long as that takes no more than a tenth of it. Later it
*cools*: it stays in memory until ``keep_for_s`` after the last request, or until room is needed, but the next
reader waits for the store to confirm it.

Where an ETag is the MD5 of the body, as on Amazon's S3 and SeaweedFS, a conditional read does not show that
the metadata alone changed. So once in ``describe_s`` a refresh reads the head of the file, without a
condition, and what has cooled for so long is read whole: a mark (:mod:`depthcast.marking`) is seen in time.

Promises: at most one read of a key is under way, whoever waits for it; a lower version never replaces a
higher one (a cache in between may be behind); what the store cannot give (an outage, a damaged object) leaves
the last good edition in place; memory, parallel reads and waiting are bounded.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from depthcast.backoff import Backoff
from depthcast.errors import BadFile, DepthcastError, StoreError
from depthcast.files import PEEK_BYTES
from depthcast.store import UNCHANGED, Store, StoredObject, Unchanged
from server.edition import Edition
from server.reads import OnRead, ReadOutcome, no_answer

if TYPE_CHECKING:
    from server.freshness import Judgement

DEFAULT_REFRESH_S: Final = 0.1
DEFAULT_DESCRIBE_S: Final = 10.0
DEFAULT_HOT_FOR_S: Final = 30.0
DEFAULT_KEEP_FOR_S: Final = 600.0
DEFAULT_READ_TIMEOUT_S: Final = 2.0
DEFAULT_MAX_BYTES: Final = 512 * 2**20
DEFAULT_MAX_READS: Final = 64

_ALLOWANCE: Final = 0.1
"""By this part of an interval, at most, a file is read earlier, so that a change is seen within it."""

_FADING: Final = 0.95
_SLOWEST_RETRY_S: Final = 2.0


_CONFIRMING: Final = (ReadOutcome.CHANGED, ReadOutcome.UNCHANGED)


class HotFile:
    """One key's place in memory. ``edition`` is set once the first read has succeeded."""

    __slots__ = (
        "_seen_as",
        "asked_at",
        "coming",
        "confirmed_at",
        "current",
        "described_at",
        "edition",
        "judged",
        "key",
        "refresher",
        "seen_etag",
        "seen_metadata",
        "written_after",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.edition: Edition | None = None
        self.coming: Edition | None = None
        """A newer edition that is not yet shown to readers."""
        self.current: Edition | None = None
        """The edition while the file is hot: who kept an answer made from it need not ask for the file."""
        # The last object seen, good or not: one that is damaged or older is not fetched again and again.
        self.seen_etag: str | None = None
        self.seen_metadata: Mapping[str, str] = {}
        self.described_at = 0.0
        self._seen_as = ReadOutcome.MISSING
        self.confirmed_at = 0.0
        self.written_after = -math.inf
        """When the store last had an older version than the edition's, as far as was seen."""
        self.judged: Judgement | None = None
        """What :class:`~server.freshness.Freshness` knows of the edition."""
        self.asked_at = 0.0
        self.refresher: asyncio.Task[None] | None = None

    @property
    def cost_bytes(self) -> int:
        return self.edition.cost_bytes if self.edition else 0

    def take(
        self,
        found: StoredObject | Literal[Unchanged.UNCHANGED] | None,
        edition_of: Callable[[str, StoredObject], Edition],
    ) -> ReadOutcome:
        """Learn what the store answered, and show it. Raises as :meth:`see`."""
        outcome = self.see(found, edition_of)
        self.show()
        return outcome

    def see(
        self,
        found: StoredObject | Literal[Unchanged.UNCHANGED] | None,
        edition_of: Callable[[str, StoredObject], Edition],
    ) -> ReadOutcome:
        """Learn what the store answered; what is newer is :attr:`coming` until :meth:`show`.

        Raises :class:`~depthcast.errors.BadFile`; nothing held is lost.
        """
        if found is None:
            return ReadOutcome.MISSING
        if found is UNCHANGED or (found.etag, found.metadata) == (self.seen_etag, self.seen_metadata):
            return ReadOutcome.UNCHANGED if self._seen_as is ReadOutcome.CHANGED else self._seen_as
        self.seen_etag, self.seen_metadata = found.etag, found.metadata
        self._seen_as = ReadOutcome.DAMAGED
        edition = edition_of(self.key, found)
        if self.edition is not None and edition.version < self.edition.version:
            self._seen_as = ReadOutcome.OLDER
        else:
            self._seen_as = ReadOutcome.CHANGED
            self.coming = edition
        return self._seen_as

    def show(self) -> None:
        """From now on readers get what is coming, if anything is."""
        edition = self.coming
        if edition is None:
            return
        if self.edition is not None and edition.version > self.edition.version:
            self.written_after = self.confirmed_at
        self.edition, self.coming = edition, None
        if self.current is not None:
            self.current = edition


@dataclass(slots=True)
class _Reading:
    """A first read: under way, or ended a moment ago."""

    task: "asyncio.Task[HotFile | None]"
    ended_at: float | None = None


class HotFiles:
    """All files in memory, least recently asked for first.

    ``edition_of`` reads a stored object or raises :class:`~depthcast.errors.BadFile`. ``clock`` is monotonic,
    in seconds, and the base of every :class:`HotFile`'s times. ``spread`` draws which part of an interval a
    file that has just become hot waits before it is refreshed, ``rng`` the pauses after failures.
    """

    def __init__(
        self,
        store: Store,
        *,
        edition_of: Callable[[str, StoredObject], Edition] = Edition.of,
        on_read: OnRead = lambda *_: None,
        # Times
        refresh_s: float = DEFAULT_REFRESH_S,
        describe_s: float = DEFAULT_DESCRIBE_S,
        hot_for_s: float = DEFAULT_HOT_FOR_S,
        keep_for_s: float = DEFAULT_KEEP_FOR_S,
        read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
        # Limits
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_reads: int = DEFAULT_MAX_READS,
        # Surroundings
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spread: Callable[[], float] = lambda: 1.0,
        rng: Random | None = None,
    ) -> None:
        self._store = store
        self._edition_of = edition_of
        self._on_read = on_read
        self.on_change: Callable[[HotFile], None] = lambda _: None
        """Told of a file that has another edition than before, as soon as readers get it."""
        self._refresh_s = refresh_s
        self._describe_s = describe_s
        self._hot_for_s = hot_for_s
        self._keep_for_s = keep_for_s
        self._read_timeout_s = read_timeout_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._sleep = sleep
        self._spread = spread
        self._rng = rng or Random()
        self._files: OrderedDict[str, HotFile] = OrderedDict()
        self._bytes = 0
        self._reading: dict[str, _Reading] = {}
        # Each kind of read has its own slots, so that nobody waits behind refreshes nobody waits for.
        self._reads = asyncio.Semaphore(max_reads)
        self._refreshes = asyncio.Semaphore(max_reads)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def bytes_held(self) -> int:
        """The memory the files may come to take, in bytes."""
        return self._bytes

    def hot_count(self) -> int:
        """How many files are being refreshed. O(files)."""
        return sum(file.refresher is not None for file in self._files.values())

    def hot_files(self) -> Iterator[HotFile]:
        """The files that are being refreshed. O(files)."""
        return (file for file in self._files.values() if file.refresher is not None)

    def get(self, key: str) -> HotFile | None:
        """The file, if it is hot: no waiting. ``None``: await :meth:`read`."""
        file = self._files.get(key)
        if file is None or file.refresher is None:
            return None
        file.asked_at = self._clock()
        self._files.move_to_end(key)
        return file

    async def read(self, key: str) -> HotFile | None:
        """The file from the store, hot from now on; ``None`` where the store has no such object.

        Where the store fails, the edition still held is returned, with its old ``confirmed_at``; where none
        is held, raises :class:`~depthcast.errors.StoreError` or :class:`~depthcast.errors.BadFile`. Whatever
        it found, or did not, is not looked for again within ``refresh_s``.
        """
        file = self.get(key)
        if file is not None:
            return file
        reading = self._reading.get(key)
        if reading is None or self._over(reading):
            reading = self._reading[key] = _Reading(asyncio.create_task(self._read(key)))
            reading.task.add_done_callback(lambda _: self._end_reading(key, reading))
        return await asyncio.shield(reading.task)

    def sweep(self) -> None:
        """Drop the files that nobody has asked for within ``keep_for_s``, and what ended reads found."""
        for key in [key for key, reading in self._reading.items() if self._over(reading)]:
            del self._reading[key]
        oldest = self._clock() - self._keep_for_s
        while self._files:
            key, file = next(iter(self._files.items()))
            if file.asked_at > oldest:
                return
            self._drop(key)

    async def close(self) -> None:
        """End every read."""
        tasks: list[asyncio.Task[None] | asyncio.Task[HotFile | None]] = [
            each.task for each in self._reading.values()
        ]
        tasks += [file.refresher for file in self._files.values() if file.refresher]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise ``AssertionError`` where the books do not balance. O(files)."""
        assert self._bytes == sum(file.cost_bytes for file in self._files.values())
        assert self._bytes <= self._max_bytes or len(self._files) <= 1
        for key, file in self._files.items():
            assert file.key == key
            assert file.edition is not None
            file.edition.check()
            reading = self._reading.get(key)
            assert file.refresher is None or reading is None or reading.ended_at is not None
            assert file.current is (file.edition if file.refresher is not None else None)

    async def _read(self, key: str) -> HotFile | None:
        file = self._files.get(key) or HotFile(key)
        error = await self._fetch(file, behind=False)
        if file.edition is None:
            if error is not None:
                raise error
            return None
        file.asked_at = self._clock()
        if self._files.get(key) is not file:
            self._files[key] = file
            self._bytes += file.cost_bytes
        self._files.move_to_end(key)
        self._make_room()
        file.refresher = asyncio.create_task(self._keep_fresh(file))
        file.current = file.edition
        return file

    def _end_reading(self, key: str, reading: "_Reading") -> None:
        # Readers of the next moments share it: a failure, so that they do not add up to a storm, and a file,
        # because where memory is short it may have left to make room already.
        reading.ended_at = self._clock()
        task = reading.task
        if not task.cancelled() and task.exception() is None and task.result() is not None:
            task.get_loop().call_later(self._refresh_s, self._forget_reading, key, reading)

    def _forget_reading(self, key: str, reading: "_Reading") -> None:
        if self._reading.get(key) is reading:
            del self._reading[key]

    def _over(self, reading: "_Reading") -> bool:
        return reading.ended_at is not None and self._clock() - reading.ended_at >= self._refresh_s

    async def _keep_fresh(self, file: HotFile) -> None:
        retry = Backoff(
            self._refresh_s,
            minimum_s=self._refresh_s,
            maximum_s=max(self._refresh_s, _SLOWEST_RETRY_S),
            rng=self._rng,
        )
        # Files that became hot together are not to be read together each time.
        pause_s = self._refresh_s * self._spread()
        lag_s = 0.0
        try:
            while self._clock() - file.asked_at < self._hot_for_s:
                due = self._clock() + pause_s
                await self._sleep(pause_s)
                began = self._clock()
                if isinstance(await self._fetch(file, behind=True), StoreError):
                    pause_s = retry.next_s()
                else:
                    retry.reset()
                    now = self._clock()
                    # From one look at the store to the end of the next one is to be no more than an interval:
                    # what the next one takes, and how late it begins, is guessed from the last ones.
                    lag_s = max(now - due, _FADING * lag_s)
                    allowance_s = min(lag_s, self._refresh_s * _ALLOWANCE)
                    pause_s = max(0.0, self._refresh_s - allowance_s - (now - began))
        finally:
            file.refresher = file.current = None

    async def _fetch(self, file: HotFile, *, behind: bool) -> DepthcastError | None:
        """Read the store and learn from it; returns what went wrong instead of raising it. ``behind``: nobody
        waits for it."""
        slots = self._refreshes if behind else self._reads
        began = self._clock()
        error: DepthcastError | None = None
        before = file.cost_bytes
        try:
            async with asyncio.timeout(self._read_timeout_s), slots:
                began = self._clock()
                found = await self._get(file, behind)
            outcome = file.see(found, self._edition_of)
            await self._show(file)
        except BadFile as bad:
            outcome, error = ReadOutcome.DAMAGED, bad
        except StoreError as failed:
            outcome, error = ReadOutcome.FAILED, failed
        except TimeoutError:
            outcome, error = ReadOutcome.FAILED, no_answer(self._store.url, self._read_timeout_s)
        if outcome in _CONFIRMING:
            file.confirmed_at = began  # what the store answered was true when it was asked, at least
        if self._files.get(file.key) is file:
            self._bytes += file.cost_bytes - before
            self._make_room()
        self._on_read(file.key, outcome, self._clock() - began, error)
        return error

    async def _show(self, file: HotFile) -> None:
        """Show what is coming once it is encoded as its readers want it, or a tenth of an interval later.

        Were it shown before, all of them would find nothing encoded and wait for it together.
        """
        if file.coming is None:
            return
        try:
            if file.edition is not None and (begun := file.coming.prepare(file.edition)):
                await asyncio.wait(begun, timeout=self._refresh_s * _ALLOWANCE)
        finally:
            file.show()
            self.on_change(file)

    async def _get(self, file: HotFile, behind: bool) -> StoredObject | Literal[Unchanged.UNCHANGED] | None:
        now = self._clock()
        if file.seen_etag is not None:
            if now - file.described_at < self._describe_s:
                return await self._store.get_if_changed(file.key, file.seen_etag)
            if behind:
                head = await self._store.peek(file.key, PEEK_BYTES)
                if head is None or (head.etag, head.metadata) == (file.seen_etag, file.seen_metadata):
                    file.described_at = now
                    return UNCHANGED if head else None
        found = await self._store.get(file.key)
        file.described_at = now
        return found

    def _make_room(self) -> None:
        """Drop what was asked for longest ago until the rest fits; the last file may be of any size."""
        while self._bytes > self._max_bytes and len(self._files) > 1:
            self._drop(next(iter(self._files)))

    def _drop(self, key: str) -> None:
        file = self._files.pop(key)
        self._bytes -= file.cost_bytes
        file.current = None
        if file.refresher is not None:
            file.refresher.cancel()
