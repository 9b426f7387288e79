"""``WarmFiles``: a published file as the snapshot a book starts from, at no request weight.

The largest file of a symbol holds the most levels, and is the first one of a new epoch. A file that is
damaged is no file: the symbol then starts from the exchange, and the next write replaces it.
"""

from collections.abc import Callable
from typing import NamedTuple

import orjson

from depthcast.errors import BadFile
from depthcast.events import Snapshot
from depthcast.files import BINANCE, PEEK_BYTES, FileInfo, Scheme, depth_key, update_id_of
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
        seen = self._too_old.get(symbol)
        try:
            if seen is None or not seen.start.update_id < wanted_id < NO_FILE:
                found = await self._store.peek(key, PEEK_BYTES)
                if found is not None and update_id_of(key, found.body) >= wanted_id:
                    found = await self._store.get(key)
            else:
                changed = await self._store.get_if_changed(key, seen.etag)
                if changed is UNCHANGED:
                    return seen.start
                found = changed
            self._too_old.pop(symbol, None)
            if found is None:
                return None
            content = update_id_of(key, found.body) >= wanted_id
            start = _start(key, found, content=content)
            if not content and wanted_id < NO_FILE:
                self._too_old[symbol] = _Seen(found.etag, start)
            return start
        except BadFile as error:
            self._on_damaged(symbol, self._limit, error)
            return None


def _start(key: str, found: StoredObject, *, content: bool) -> WarmStart:
    info = FileInfo.from_metadata(key, found.metadata)
    update_id = update_id_of(key, found.body)
    return WarmStart(info.epoch, update_id, snapshot_of(key, found.body, info) if content else None)


def snapshot_of(key: str, body: bytes, info: FileInfo) -> Snapshot:
    """A file and its metadata as a snapshot. Raises :class:`~depthcast.errors.BadFile`.

    A side is complete if the writer's book was, and the file shows all the levels that the book had. The
    levels themselves are checked where they enter a book. A body in which the update id comes twice has two
    versions, by the beginning that is compared and by its members: it is none.
    """
    try:
        parsed = orjson.loads(body)
        update_id, bids, asks = parsed["lastUpdateId"], parsed["bids"], parsed["asks"]
        transaction_time_ms = parsed.get("T", 0)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise BadFile(key, "it is not JSON of a book") from None
    if not (
        isinstance(update_id, int)
        and isinstance(bids, list)
        and isinstance(asks, list)
        and isinstance(transaction_time_ms, int)
    ):
        raise BadFile(key, "its members are of other types")
    if update_id != update_id_of(key, body):
        raise BadFile(key, "it has two update ids")
    return Snapshot(
        update_id,
        bids,
        asks,
        info.bids_complete and len(bids) >= info.bids,
        info.asks_complete and len(asks) >= info.asks,
        info.event_time_ms,
        transaction_time_ms,
    )
