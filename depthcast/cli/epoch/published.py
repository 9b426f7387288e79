"""A symbol's files as they are in the store: each one's head, and what is said beside it."""

import asyncio
from typing import NamedTuple

from depthcast.errors import BadFile, BadKey, DepthcastError
from depthcast.files import BINANCE, PEEK_BYTES, FileInfo, Scheme, Version, parse_key, version_of
from depthcast.store import Store


class PublishedFile(NamedTuple):
    """One file. ``version`` and ``info`` are ``None`` where the object is none of ours: ``fault``."""

    key: str
    limit: int
    etag: str
    version: Version | None
    info: FileInfo | None
    fault: str
    cache_control: str | None


async def published(
    store: Store, symbol: str, *, scheme: Scheme = BINANCE, reads_at_once: int = 8
) -> list[PublishedFile]:
    """The files of a venue's ``symbol``, smallest limit first.

    Raises :class:`~depthcast.errors.StoreError`, and DepthcastError where there is none.
    """
    slots = asyncio.Semaphore(reads_at_once)

    async def one(key: str) -> PublishedFile | None:
        async with slots:
            return await look(store, key)

    keys = []
    for prefix in scheme.prefixes_of(symbol):
        async for entry in store.list(prefix):
            try:
                parse_key(entry.key)
            except BadKey:
                continue
            keys.append(entry.key)
    found = await asyncio.gather(*map(one, keys))
    files = sorted((file for file in found if file is not None), key=lambda file: scheme.size(file.limit))
    if not files:
        raise DepthcastError(
            f"no file of {symbol} is published in {store.url}", hint="check the symbol and --store-url"
        )
    return files


async def look(store: Store, key: str) -> PublishedFile | None:
    """One file, or ``None`` where there is none. Raises :class:`~depthcast.errors.StoreError`."""
    found = await store.peek(key, PEEK_BYTES)
    if found is None:
        return None
    version, info, fault = None, None, ""
    try:
        version = version_of(key, found.body, found.metadata)
        info = FileInfo.from_metadata(key, found.metadata)
    except BadFile as error:
        fault = error.message
    return PublishedFile(key, parse_key(key).limit, found.etag, version, info, fault, found.cache_control)
