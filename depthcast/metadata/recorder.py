"""``Recorder``: takes what an exchange says of itself, and keeps the current file and its history.

Any number of recorders, in any number of processes, may be offered the same documents in any order. What they
write together:

* **the head** (:attr:`~depthcast.metadata.kinds.Kind.head_key`) is the newest change with its document, and
  is replaced by compare-and-swap alone. Each change has a sequence of its own, one more than the former, so
  no two heads ever have equal bytes, and an ETag made of them never comes back;
* **the history** has each head once, the same bytes under a name that follows from them. It is written by
  who won the head, and *nobody replaces a head before its change is in the history*: who wants to, writes it
  first, from the head itself. So whoever is killed wherever, no change is lost, and none is there twice;
* **the current file** is the head's document; where it is a list, cuts of it have one symbol each. Who offers
  looks at them, and mends what lags.

A document that says what the head says writes nothing; one that was made before the head is dropped. What is
no document of its kind is refused, and all that stands in the store stays.
"""

import asyncio
import time
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from depthcast.aside import Aside
from depthcast.errors import BadFile, MalformedAnswer, StoreUnavailable
from depthcast.files import CONTENT_TYPE as JSON_TYPE
from depthcast.metadata.changes import changes
from depthcast.metadata.cuts import Cuts, Wanted
from depthcast.metadata.document import Json, let_go
from depthcast.metadata.kinds import Kind, Reading, keeps_by_itself
from depthcast.metadata.record import (
    CONTENT_TYPE,
    HeadInfo,
    Record,
    Recorded,
    digest_of,
    parse_name,
)
from depthcast.store import Outcome, PutResult, Store, StoredObject
from depthcast.uncollected import uncollected

TRIES: Final = 3
"""How often a change is tried at most: the others were lost to somebody else."""

WIDE_SYMBOLS: Final = 32
"""A change that touches more symbols is kept once for all of them, rather than with each."""

DEFAULT_MAX_AHEAD_MS: Final = 60_000
"""A head further in the future than this does not hold back what comes later."""

MAX_SERVER_AHEAD_MS: Final = 86_400_000
"""A document that claims to be of a later time than this from now is refused."""

DOUBTED_FROM: Final = 10
"""So many symbols a list has at least for its loss of more than half of them to be doubted."""

DEFAULT_CONFIRMATIONS: Final = 3
"""So often such a list is offered before it is believed."""

IMMUTABLE: Final = "public, max-age=31536000, immutable"
PRIVATE: Final = "private, no-store"


class Offering(Enum):
    """What became of a document."""

    RECORDED = "recorded"
    """It is news, and in the history."""
    UNCHANGED = "unchanged"
    """The head says the same."""
    OLDER = "older"
    """The head was made later."""
    UNSETTLED = "unsettled"
    """Others wrote each time, or the store did not say what became of it: offer it again later."""


class Offered(NamedTuple):
    """What became of a document; ``record`` is its change, where it is one. ``why`` is for people."""

    offering: Offering
    record: Record | None = None
    why: str = ""


class _Head(NamedTuple):
    """The head as read."""

    info: HeadInfo
    recorded: Recorded
    stored: StoredObject


def seen_at(kind: Kind, reading: Reading, wall_ms: int, observed_ms: int) -> int:
    """When a document was made, in ms since 1970: its ``serverTime``; ``observed_ms`` where it has none.

    Raises :class:`~depthcast.errors.MalformedAnswer` where that is more than a day ahead of ``wall_ms``.
    """
    if reading.server_time_ms is None:
        return observed_ms
    check_time(kind, reading.server_time_ms, wall_ms)
    return reading.server_time_ms


def check_time(kind: Kind, told_ms: int, wall_ms: int) -> None:
    """Raise MalformedAnswer where the exchange's clock is more than a day ahead of this machine's."""
    ahead_ms = told_ms - wall_ms
    if ahead_ms > MAX_SERVER_AHEAD_MS:
        raise MalformedAnswer(
            kind.path,
            f"its serverTime is {ahead_ms / 3_600_000:.0f} hours ahead of this machine",
            hint="one of the two clocks is wrong: if it is this machine's, set it (NTP)",
        )


class Recorder:
    """The recorder of one kind. Concurrent offers are taken one after the other.

    ``wall_ms`` is this machine's time in milliseconds since 1970; it only serves to doubt others. ``aside``
    does the parsing and compressing. ``cache_control`` is that of the current file. ``cuts``: symbols that
    have a file of their own beside it (:mod:`depthcast.metadata.cuts`).
    """

    def __init__(
        self,
        store: Store,
        kind: Kind,
        *,
        replica: str,
        cache_control: str | None = None,
        cuts: Wanted | None = None,
        # Limits
        tries: int = TRIES,
        max_ahead_ms: int = DEFAULT_MAX_AHEAD_MS,
        confirmations: int = DEFAULT_CONFIRMATIONS,
        # Surroundings
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        self._store = store
        self._kind = kind
        self._replica = replica
        self._cache_control = PRIVATE if kind.private else cache_control
        self._head_cache_control = PRIVATE if kind.private else "no-cache"
        self._tries = tries
        self._max_ahead_ms = max_ahead_ms
        self._confirmations = confirmations
        self._wall_ms = wall_ms
        self._aside = aside
        self._cuts = (
            None if cuts is None else Cuts(store, kind, cuts, cache_control=self._cache_control, aside=aside)
        )
        self._one_at_a_time = asyncio.Lock()
        self._settled = 0
        """The newest sequence that was seen to be in the history."""
        self._like_head: tuple[int, str] | None = None
        """A head's sequence, and the fingerprint of a document in other words that says the same."""
        self._doubted: tuple[str, int] | None = None
        """The fingerprint of a list that lost most of its symbols, and how often it was offered."""

    @property
    def kind(self) -> Kind:
        """What is recorded."""
        return self._kind

    async def offer(self, body: bytes, observed_ms: int, *, valid_ms: int | None = None) -> Offered:
        """Record ``body`` where it is news. One that is not costs two small reads.

        ``observed_ms`` is when the exchange answered it, as well as that is known; a ``serverTime`` in the
        document counts instead. ``valid_ms``: from when on it is valid, where the exchange says so.

        Raises :class:`~depthcast.errors.MalformedAnswer` for what is no document of this kind,
        :class:`~depthcast.errors.StoreError` where the store cannot be read, and
        :class:`~depthcast.errors.BadFile` where what it holds is damaged and cannot be mended from here.
        """
        reading = await self._aside(self._kind.read, body)
        observed_ms = seen_at(self._kind, reading, max(self._wall_ms(), observed_ms), observed_ms)
        async with self._one_at_a_time:
            for _ in range(self._tries):
                offered = await self._offer(body, reading, observed_ms, valid_ms)
                if offered is not None:
                    return offered
            return Offered(Offering.UNSETTLED, why="others write it")

    async def _offer(
        self, body: bytes, reading: Reading, observed_ms: int, valid_ms: int | None
    ) -> Offered | None:
        """One try; ``None`` where it is to be looked again, for somebody else was faster."""
        info, etag = await self._look()
        head = None
        if info is not None:
            behind = info.sequence > self._settled or (
                self._cuts is not None and self._cuts.behind(info.sequence)
            )
            if behind or not await self._is_current(info):
                await self._settle(await self._read_head())
            said = (info.sequence, reading.fingerprint)
            if info.fingerprint == reading.fingerprint or said == self._like_head:
                return Offered(Offering.UNCHANGED)
            if not self._is_later(observed_ms, info):
                return Offered(Offering.OLDER)
            head = await self._read_head()
            if head is not None and head.info != info:
                return None
        if head is None and await self._restore(etag):
            return None
        made = await self._aside(self._made, head, body, reading.fingerprint, observed_ms, valid_ms)
        if made is None:
            assert info is not None
            self._like_head = info.sequence, reading.fingerprint
            return Offered(Offering.UNCHANGED)
        new, packed = made
        record = new.record
        told = _info(record, reading)
        result = await self._put(
            self._kind.head_key,
            packed,
            head.stored.etag if head else etag,
            told,
            CONTENT_TYPE,
            self._head_cache_control,
        )
        if result.outcome is Outcome.LOST:
            return None
        if result.etag is None:
            return Offered(Offering.UNSETTLED, why=result.reason or result.outcome.value)
        await self._settle(_Head(told, new, StoredObject(packed, result.etag, told.to_metadata())))
        return Offered(Offering.RECORDED, record)

    def _is_later(self, observed_ms: int, head: HeadInfo) -> bool:
        if observed_ms > head.observed_ms:
            return True
        # A head that claims to be of the future would hold back everything until then.
        return head.observed_ms > max(observed_ms, self._wall_ms()) + self._max_ahead_ms

    def _made(
        self, head: _Head | None, body: bytes, fingerprint: str, observed_ms: int, valid_ms: int | None
    ) -> tuple[Recorded, bytes] | None:
        """The next change and its object; ``None`` where the document says what the head's does, in other
        words."""
        with uncollected():
            return self._compare(head, body, fingerprint, observed_ms, valid_ms)

    def _compare(
        self, head: _Head | None, body: bytes, fingerprint: str, observed_ms: int, valid_ms: int | None
    ) -> tuple[Recorded, bytes] | None:
        after = self._kind.parse(body)
        sequence, previous, told = 1, None, changes({}, {})
        if head is not None:
            before = head.recorded
            members = self._kind.parse(before.document)
            try:
                told = changes(members, after)
                if told:
                    self._doubt(members, after, fingerprint)
            finally:
                let_go(members)
                let_go(after)
            if not told:
                return None
            sequence, previous = before.record.sequence + 1, before.record.sha256
            observed_ms = max(observed_ms, before.record.observed_ms + 1)
        else:
            let_go(after)
        record = Record(
            self._kind.name,
            sequence,
            observed_ms,
            valid_ms,
            self._replica,
            digest_of(body),
            len(body),
            previous,
            told,
        )
        new = Recorded(record, body)
        return new, new.to_bytes()

    def _doubt(self, before: Json, after: Json, fingerprint: str) -> None:
        """Refuse a list that lost most of its symbols, until it was offered several times."""
        if not self._kind.has_symbols:
            return
        names, left = map(self._symbols_of, (before, after))
        if len(names) < DOUBTED_FROM or len(names & left) * 2 >= len(names):
            self._doubted = None
            return
        seen = self._doubted[1] + 1 if self._doubted and self._doubted[0] == fingerprint else 1
        self._doubted = (fingerprint, seen)
        if seen < self._confirmations:
            raise MalformedAnswer(
                self._kind.path,
                f"it lacks {len(names - left)} of {len(names)} symbols; believed when it was answered "
                f"{self._confirmations} times",
            )

    def _symbols_of(self, members: Json) -> set[str]:
        return set(map(self._kind.symbol_of, members["symbols"]))

    async def _look(self) -> tuple[HeadInfo | None, str | None]:
        """What the head is of, and its ETag where there is an object at all."""
        found = await self._store.peek(self._kind.head_key, 1)
        if found is None:
            return None, None
        try:
            return HeadInfo.from_metadata(self._kind.head_key, found.metadata), found.etag
        except BadFile:
            return None, found.etag

    async def _read_head(self) -> _Head | None:
        """The whole head; ``None`` where it is gone or damaged."""
        found = await self._store.get(self._kind.head_key)
        if found is None:
            return None
        try:
            info = HeadInfo.from_metadata(self._kind.head_key, found.metadata)
            return _Head(info, await self._aside(Recorded.parse, self._kind.head_key, found.body), found)
        except BadFile:
            return None

    async def _restore(self, etag: str | None) -> bool:
        """Make the newest change of the history the head again, where there is a history.

        For a head that was deleted or overwritten by hand: sequences go on where they were.
        """
        newest = await self._store.list_after(self._kind.changes_folder, "", 1)
        if not newest:
            return False
        found = await self._store.get(newest[0].key)
        if found is None:
            return True
        parse_name(newest[0].key)
        recorded = await self._aside(Recorded.parse, newest[0].key, found.body)
        told = _info(recorded.record, self._kind.read(recorded.document))
        await self._put(self._kind.head_key, found.body, etag, told, CONTENT_TYPE, self._head_cache_control)
        return True

    async def _is_current(self, info: HeadInfo) -> bool:
        """Whether the current file is this head's."""
        return (await self._current())[0] == (info.sequence, info.sha256)

    async def _current(self) -> tuple[tuple[int, str] | None, str | None]:
        """Sequence and digest of the current file, and its ETag."""
        found = await self._store.peek(self._kind.key, 1)
        if found is None:
            return None, None
        try:
            info = HeadInfo.from_metadata(self._kind.key, found.metadata)
        except BadFile:
            return None, found.etag  # somebody else's: nobody can tell what change it is of
        return (info.sequence, info.sha256), found.etag

    async def _settle(self, head: _Head | None) -> None:
        """See to it that the head's change is in the history, then that the current file is its document.

        Raises :class:`~depthcast.errors.StoreError` where it could not be done.
        """
        if head is None:
            return
        record = head.recorded.record
        if record.sequence > self._settled:
            key = self._kind.changes_folder + record.name
            # Written last of all that a change consists of, so where it is, all is.
            if await self._store.peek(key, 1) is None:
                await self._write_parts(record, head.info)
                await self._create(key, head.stored.body, head.info, CONTENT_TYPE)
            self._settled = record.sequence
        await self._settle_current(head)
        if self._cuts is not None:
            await self._cuts.follow(head.recorded, head.info)

    async def _settle_current(self, head: _Head) -> None:
        """See to it that the current file is the head's document, or a later one's."""
        record, kind = head.recorded.record, self._kind
        for _ in range(self._tries):
            there, etag = await self._current()
            if there is not None and (
                there[0] > record.sequence or there == (record.sequence, record.sha256)
            ):
                return
            result = await self._put(
                kind.key, head.recorded.document, etag, head.info, JSON_TYPE, self._cache_control
            )
            if result.outcome is Outcome.WON:
                return
            if result.outcome is not Outcome.LOST:
                raise result.error or StoreUnavailable(f"{kind.key} is not written: {result.outcome.value}")
        raise StoreUnavailable(f"{kind.key} is not written: others write it")

    async def _write_parts(self, record: Record, info: HeadInfo) -> None:
        symbols = sorted(record.symbols)
        if len(symbols) > WIDE_SYMBOLS or not all(map(keeps_by_itself, symbols)):
            await self._create(self._kind.wide_folder + record.name, record.to_bytes(), info, JSON_TYPE)
            return
        for symbol in symbols:
            key = self._kind.symbol_folder(symbol) + record.name
            await self._create(key, record.only(symbol).to_bytes(), info, JSON_TYPE)

    async def _create(self, key: str, body: bytes, info: HeadInfo, content_type: str) -> None:
        """Write what never changes. That it is there is as good: its bytes follow from its name's head."""
        cache_control = PRIVATE if self._kind.private else IMMUTABLE
        result = await self._put(key, body, None, info, content_type, cache_control)
        if result.outcome is Outcome.LOST and await self._store.peek(key, 1) is not None:
            return
        if result.outcome is not Outcome.WON:
            raise result.error or StoreUnavailable(f"{key} is not written: {result.outcome.value}")

    async def _put(
        self,
        key: str,
        body: bytes,
        match: str | None,
        info: HeadInfo,
        content_type: str,
        cache_control: str | None,
    ) -> PutResult:
        return await self._store.put_if(
            key,
            body,
            match=match,
            metadata=info.to_metadata(),
            content_type=content_type,
            cache_control=cache_control,
        )

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken."""
        assert self._settled >= 0
        if self._cuts is not None:
            self._cuts.check()
        assert self._doubted is None or self._doubted[1] > 0


def _info(record: Record, reading: Reading) -> HeadInfo:
    return HeadInfo(
        record.sequence,
        record.observed_ms,
        record.sha256,
        reading.fingerprint,
        record.replica,
        reading.server_time_ms,
    )
