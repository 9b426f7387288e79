"""``mark``: says in the metadata of a published file what its symbol does, and leaves the book as it is.

A symbol that is halted or delisted sends no diffs, so nobody writes its files. They stay, since nothing is
ever deleted, and a reader learns from the status beside them that they are the last ones.

Why this is safe under the write rule, which lets a file be replaced by a newer one only. A mark writes the
very bytes and metadata that were just read, but for the status, ``If-Match`` on the ETag they were read
under.

* Whoever wrote the file in between changed its ETag, and the mark is refused. A mark that arrives late is no
  other case: it is applied only to the object that was read.
* A mark that is applied leaves the version as it was. No reader sees the file go back, and a writer that saw
  this version may still replace it only by a greater one. Where ETags are not made of the body alone, that
  write is lost once, and the writer looks.
* Where an ETag is the MD5 of the body (Amazon's S3, SeaweedFS), equal ETags mean equal bytes, and so an equal
  update id; the epoch stands in the metadata. For a mark to put an earlier epoch back, all of this had to
  happen while its one request was under way: the ids went down, an epoch was claimed, and the new ids grew to
  the very same id with the very same levels. Every conditional write on such a store rests on this.
* Two marks at once may both win there, since neither changes the ETag. The later one stays until somebody
  looks again: a status is no version, and nothing is decided by it.
"""

from enum import Enum
from typing import Final

from depthcast.errors import BadFile
from depthcast.files import CONTENT_TYPE, PEEK_BYTES, STATUS_NAME, FileInfo, check_file, valid_status
from depthcast.store import Outcome, Store

TRIES: Final = 3
"""How often a mark is written at most: the others were lost to somebody who wrote a newer file."""


class Marking(Enum):
    """What became of a mark."""

    MARKED = "marked"
    ALREADY = "already"
    """The file has this status."""
    MISSING = "missing"
    DAMAGED = "damaged"
    """The object is no file of ours."""
    UNSETTLED = "unsettled"
    """Others wrote each time, or the store did not say what became of it: look again later."""


async def mark(store: Store, key: str, status: str, *, tries: int = TRIES) -> Marking:
    """Give the file at ``key`` this status. One small read where it has it; else a whole one and a write.

    Raises :class:`~depthcast.errors.StoreError` where the store cannot be read, and ``ValueError`` for what
    is not spelled like a status (:func:`depthcast.files.valid_status`).

    >>> import asyncio
    >>> from depthcast.store.memory import MemoryStore
    >>> asyncio.run(mark(MemoryStore(), "api/v3/depth?symbol=ETHUSDT&limit=5", "HALT"))
    <Marking.MISSING: 'missing'>
    """
    if not valid_status(status):
        raise ValueError(f"{status!r:.80} is not a status")
    for _ in range(tries):
        seen = await _status_of(store, key)
        if not isinstance(seen, str):
            return seen
        if seen == status:
            return Marking.ALREADY
        whole = await store.get(key)
        if whole is None:
            return Marking.MISSING
        try:
            check_file(key, whole.body, whole.metadata)
        except BadFile:
            return Marking.DAMAGED
        result = await store.put_if(
            key,
            whole.body,
            match=whole.etag,
            metadata={**whole.metadata, STATUS_NAME: status},
            content_type=whole.content_type or CONTENT_TYPE,
            cache_control=whole.cache_control,
        )
        if result.outcome is Outcome.WON:
            return Marking.MARKED
        if result.outcome is not Outcome.LOST:
            # It may have been applied, and writing again at once would not help a store in trouble.
            return Marking.MARKED if await _status_of(store, key) == status else Marking.UNSETTLED
    return Marking.UNSETTLED


async def _status_of(store: Store, key: str) -> str | Marking:
    """The status of a stored file, or why there is none."""
    head = await store.peek(key, PEEK_BYTES)
    if head is None:
        return Marking.MISSING
    try:
        return FileInfo.from_metadata(key, head.metadata).status
    except BadFile:
        return Marking.DAMAGED
