"""``WarmFiles``: a published file as the snapshot a book starts from, at no request weight.

The largest file of a symbol holds the most levels, and is the first one of a new epoch. A file that is
damaged is no file: the symbol then starts from the exchange, and the next write replaces it.
"""

from collections.abc import Callable
from typing import NamedTuple

from depthcast.errors import BadFile
from depthcast.files import BINANCE, PEEK_BYTES, FileInfo, Scheme, depth_key, layout_of, version_of
from depthcast.keeper import NO_FILE, WarmStart
from depthcast.store import UNCHANGED, Store, StoredObject


class _Seen(NamedTuple):
    etag: str
    start: WarmStart


class WarmFiles:
    """Reads the files of ``limit`` from ``store``; itself the ``warm`` of a :class:`depthcast.keeper.Keeper`.
    ``scheme`` is the venue's.

    ``on_damaged`` is told of objects that are no files. A file is looked at with a small read first. One that
    was too old is next asked for only if it changed, and whole: then it most likely will do, and where many
    books begin at once, requests are what the store is short of.
    """

    def __init__(
        self,
        store: Store,
        limit: int,
        *,
        scheme: Scheme = BINANCE,
        on_damaged: Callable[[str, int, BadFile], None],
    ) -> None:
        self._store = store
        self._scheme = scheme
        self._limit = limit
        self._on_damaged = on_damaged
        self._epochs: dict[str, int] = {}
        self._too_old: dict[str, _Seen] = {}
        """By symbol: the file that was last found to be older than what was asked for."""

    def newer_epoch(self, symbol: str, epoch: int) -> None:
        """Some file of ``symbol`` is of this epoch: start no book in an earlier one."""
        self._epochs[symbol] = max(epoch, self._epochs.get(symbol, 0))

    async def __call__(self, symbol: str, wanted_id: int) -> WarmStart | None:
        """The stored version, with the file's content where its id is at least ``wanted_id``.

        ``None`` where there is no file. Raises :class:`~depthcast.errors.StoreError`.
        """
        least = self._epochs.get(symbol, 0)
        start = await self._read(symbol, wanted_id)
        if start is None:
            return WarmStart(least, 0, None) if least else None
        if start.epoch < least:
            return WarmStart(least, start.update_id, None)
        return start

    async def _read(self, symbol: str, wanted_id: int) -> WarmStart | None:
        key = depth_key(symbol, self._limit, self._scheme)
        if not layout_of(key).begins_books:
            # Its version tells the epoch; no content of it will do.
            wanted_id = NO_FILE
        seen = self._too_old.get(symbol)
        try:
            if seen is None or not seen.start.update_id < wanted_id < NO_FILE:
                found = await self._store.peek(key, PEEK_BYTES)
                if found is not None and _update_id(key, found) >= wanted_id:
                    found = await self._store.get(key)
            else:
                changed = await self._store.get_if_changed(key, seen.etag)
                if changed is UNCHANGED:
                    return seen.start
                found = changed
            self._too_old.pop(symbol, None)
            if found is None:
                return None
            content = _update_id(key, found) >= wanted_id
            start = _start(key, found, content=content)
            if not content and wanted_id < NO_FILE:
                self._too_old[symbol] = _Seen(found.etag, start)
            return start
        except BadFile as error:
            self._on_damaged(symbol, self._limit, error)
            return None


def _start(key: str, found: StoredObject, *, content: bool) -> WarmStart:
    info = FileInfo.from_metadata(key, found.metadata)
    snapshot = layout_of(key).snapshot(key, found.body, info) if content else None
    update_id = _update_id(key, found)
    if snapshot is not None and snapshot.update_id != update_id:
        raise BadFile(key, "its metadata tells another update id")
    return WarmStart(info.epoch, update_id, snapshot)


def _update_id(key: str, found: StoredObject) -> int:
    return version_of(key, found.body, found.metadata).update_id
