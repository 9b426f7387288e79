"""One version of one published file, held in memory, and the answers made from it.

An edition never changes. Its answers are made once for each limit and given to every reader for as long as
they are equally fresh: smaller limits are cut from the body and kept, but no more of them than the body
itself is long.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Self

from depthcast.files import FileInfo, Version, check_body, cut, parse_key, version_of
from depthcast.store import StoredObject
from server.answers import COMMON, JSON_TYPE, Answer, Asked, Header

if TYPE_CHECKING:
    from server.freshness import Currency

DEFAULT_CACHE_CONTROL: Final = "no-cache"
"""Caches may keep the answer but ask before each use: 304 is cheap, an old book is not."""

_OVERHEAD_BYTES: Final = 4096


class _Cut:
    """The levels of one limit, and the answers that were made of them last."""

    __slots__ = ("body", "currency", "headers", "not_modified", "tag", "whole")

    def __init__(self, body: bytes, tag: bytes, headers: Sequence[Header]) -> None:
        self.body = body
        self.tag = tag
        self.headers = headers
        self.currency: Currency | None = None
        self.whole = self.not_modified = Answer(500, (), b"")

    def mark(self, currency: "Currency") -> None:
        """Make the answers that say how fresh the file is."""
        headers = (*self.headers, (b"depthcast-state", currency.state.value))
        length: Header = (b"content-length", b"%d" % len(self.body))
        self.whole = Answer(200, (JSON_TYPE, length, *headers), self.body)
        self.not_modified = Answer(304, headers, b"")
        self.currency = currency


class Edition:
    """A published file as read: its limit, its version and what its writer said about it."""

    __slots__ = ("_body", "_cache_control", "_cut_bytes", "_cuts", "info", "limit", "version")

    def __init__(self, body: bytes, limit: int, version: Version, info: FileInfo, cache_control: str) -> None:
        self.limit = limit
        self.version = version
        self.info = info
        self._body = body
        self._cache_control = cache_control.encode()
        self._cuts: dict[int, _Cut] = {}
        self._cut_bytes = 0

    @classmethod
    def of(cls, key: str, found: StoredObject, *, cache_control: str = DEFAULT_CACHE_CONTROL) -> Self:
        """The edition that a stored object is. Raises :class:`~depthcast.errors.BadFile` for any other."""
        check_body(key, found.body)
        version = version_of(key, found.body, found.metadata)
        info = FileInfo.from_metadata(key, found.metadata)
        return cls(found.body, parse_key(key).limit, version, info, cache_control)

    @property
    def body(self) -> bytes:
        """The file's own bytes."""
        return self._body

    @property
    def cost_bytes(self) -> int:
        """The most memory this edition may come to take, its cut answers included."""
        return 2 * len(self._body) + _OVERHEAD_BYTES

    def answer(self, limit: int, asked: Asked, currency: "Currency") -> Answer:
        """The answer to a request for ``limit`` levels (at most :attr:`limit`): 304 to who has it already."""
        cut = self._cuts.get(limit) or self._cut(limit)
        if cut.currency is not currency:
            cut.mark(currency)
        if asked.if_none_match is not None and _matches(asked.if_none_match, cut.tag):
            return cut.not_modified
        return cut.whole

    def check(self) -> None:
        """Raise ``AssertionError`` where the cut answers take more than they may. O(answers)."""
        bodies = [cut.body for cut in self._cuts.values()]
        assert self._cut_bytes == sum(len(body) for body in bodies if body is not self._body)
        assert len(self._body) + self._cut_bytes <= self.cost_bytes

    def _cut(self, limit: int) -> _Cut:
        body = self._body if limit == self.limit else cut(self._body, limit)
        if body is not self._body:
            self._cut_bytes += len(body)
            if self._cut_bytes > len(self._body):
                self._cuts.clear()
                self._cut_bytes = len(body)
        tag = self._tag(limit)
        headers = (
            (b"etag", tag),
            (b"cache-control", self._cache_control),
            *COMMON,
            (b"depthcast-version", str(self.version).encode()),
            (b"depthcast-certain", self._certain()),
            (b"depthcast-event-time", b"%d" % self.info.event_time_ms),
            (b"depthcast-publish-time", b"%d" % self.info.publish_time_ms),
            (b"depthcast-status", self.info.status.encode()),
        )
        made = self._cuts[limit] = _Cut(body, tag, headers)
        return made

    def _tag(self, limit: int) -> bytes:
        """A strong entity tag (RFC 9110, 8.8.3): equal tags of one URL mean equal bytes.

        The levels shown are part of it, because a replica whose book is certain to fewer levels writes a
        shorter body for the same version.
        """
        version, info = self.version, self.info
        shown = (min(info.bids, limit), min(info.asks, limit))
        return b'"%d-%d-%d-%d-%d"' % (version.epoch, version.update_id, limit, *shown)

    def _certain(self) -> bytes:
        info = self.info
        bids = f"bids={info.bids}{';complete' * info.bids_complete}"
        asks = f"asks={info.asks}{';complete' * info.asks_complete}"
        return f"{bids}, {asks}".encode()


def _matches(if_none_match: bytes, tag: bytes) -> bool:
    """RFC 9110, 13.1.2: any tag of the list by weak comparison, or ``*``.

    Our tag stands in quotation marks and holds none, so finding it in the list is finding it as a member.
    """
    return tag in if_none_match or if_none_match.strip() == b"*"
