"""``Standby``: how a replica that does not write a symbol looks at the one file that it watches.

It writes nothing: it reads one small file, the largest of those that are written most often, once or twice a
second. When to look, and whether the file lags, :class:`~updater.watch.Watch` knows; this is its thin rim.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from depthcast.errors import BadFile, StoreError
from depthcast.files import PEEK_BYTES, FileInfo, Version, version_of
from depthcast.store import UNCHANGED, Store, StoredObject, Unchanged
from updater.claims import Claims
from updater.ports import LiveBook, Observer
from updater.watch import Watch
from updater.writing import NEVER


class Standby:
    """Looks at the file ``key`` of ``limit``, whose bodies read by ``unnumbered`` of their layout; ``claims``
    is told of the versions that it sees."""

    def __init__(
        self,
        live: LiveBook,
        store: Store,
        *,
        key: str,
        limit: int,
        unnumbered: Callable[[bytes], bytes],
        watch: Watch,
        claims: Claims,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self.watch = watch
        self.seen: StoredObject | None = None
        """The beginning of the file as it was seen last."""
        self._live = live
        self._store = store
        self._key = key
        self._limit = limit
        self._unnumbered = unnumbered
        self._claims = claims
        self._observer = observer
        self._clock = clock

    def look_at(self, now: float, mine: Version) -> float:
        """When the next look is to begin for a book that is ``mine``: to be asked whenever it changes."""
        self.watch.note(now, mine, self._levels)
        # A book that is being built takes nothing over: there is nothing to find out.
        return self.watch.look_at if self._live.live else NEVER

    def looking(self, now: float) -> None:
        """A look is begun."""
        self.watch.looking(now, self._levels)

    def _levels(self) -> int:
        """Stands for the levels that the watched file is to have."""
        book = self._live.book
        assert book is not None
        return hash(self._unnumbered(book.body(self._limit)))

    async def look(self) -> bool:
        """Look; whether the file could be read."""
        found: StoredObject | Literal[Unchanged.UNCHANGED] | None
        try:
            if self.seen is None:
                found = await self._store.get(self._key)
            else:
                found = await self._store.get_if_changed(self._key, self.seen.etag)
        except StoreError as error:
            self.watch.saw_nothing(self._clock())
            self._observer.look_failed(self._live.symbol, self._limit, error)
            return False
        self._observer.looked(self._live.symbol, self._limit)
        if found is UNCHANGED:
            self.watch.saw_the_same(self._clock())
        else:
            self._saw(found)
        return True

    def _saw(self, found: StoredObject | None) -> None:
        version = levels = None
        if found is not None:
            try:
                version, levels = (
                    version_of(self._key, found.body, found.metadata),
                    hash(self._unnumbered(found.body)),
                )
                self._claims.saw(version)
            except BadFile as error:
                self._observer.damaged(self._live.symbol, self._limit, error)
        self.seen = found and replace(found, body=found.body[:PEEK_BYTES])
        self.watch.saw(version, levels, self._clock())

    @property
    def book_is_late(self) -> bool:
        """Whether the book is, by the exchange's clock, no younger than the file as it was seen last.

        A book whose ids went down is younger than the file that they left ahead of it.
        """
        book, seen = self._live.book, self.seen
        if book is None or seen is None:
            return True
        try:
            file = FileInfo.from_metadata(self._key, seen.metadata)
        except BadFile:
            return True
        return book.event_time_ms <= file.event_time_ms

    def restart(self, stored: Version | None, *, reached: bool) -> None:
        """Begin to watch the file, which was just seen to be of this version, having written it until now.

        ``reached``: whether it was seen to be as new as some version that the book had.
        """
        self.seen = None
        self.watch.restart(self._clock(), stored, reached=reached)
