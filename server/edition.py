"""One version of one published file, held in memory, and the answers made from it.

An edition never changes. Its answers are made once for each limit and given to every reader for as long as
they are equally fresh: smaller limits are cut from the body and kept, and so are bodies in other codings
(:mod:`server.variants`), but no more of them than twice the body's length.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Self
from weakref import ref

from depthcast.files import BINANCE, FileInfo, Layout, Scheme, Version, check_file, parse_key, scheme_of
from depthcast.store import StoredObject
from server.answers import COMMON, NO_RANGES, VARY, Answer, Asked, Header
from server.dates import http_date, parse_http_date
from server.encodings import ASIDE_BYTES
from server.variants import Variants

if TYPE_CHECKING:
    from server.freshness import Currency

DEFAULT_CACHE_CONTROL: Final = "no-cache"
"""Caches may keep the answer but ask before each use: 304 is cheap, an old book is not."""

DATE_MARGIN_MS: Final = 2000
"""How much later than a file a date has to be to show that who sends it has seen the file."""

PREPARED_FOR: Final = 16
"""So many versions after a coding was asked for last, it is no longer made before somebody asks."""

PREPARED_AT_ONCE: Final = 8

_OVERHEAD_BYTES: Final = 4096


class Edition:
    """A published file as read: its limit, its version and what its writer said about it."""

    __slots__ = (
        "__weakref__",
        "_body",
        "_cache_control",
        "_cuts",
        "_kept_bytes",
        "_last_modified",
        "info",
        "limit",
        "scheme",
        "version",
    )

    def __init__(
        self,
        body: bytes,
        limit: int,
        version: Version,
        info: FileInfo,
        cache_control: str | None,
        scheme: Scheme = BINANCE,
    ) -> None:
        self.limit = limit
        self.scheme = scheme
        self.version = version
        self.info = info
        self._body = body
        self._cache_control = cache_control
        # Never later than the answer's own date (RFC 9110, 8.8.2.1), whatever the writer's clock says.
        self._last_modified = http_date(min(info.publish_time_ms, _wall_ms()))
        self._cuts: dict[int, Variants] = {}
        self._kept_bytes = 0

    @classmethod
    def of(cls, key: str, found: StoredObject, *, cache_control: str | None = None) -> Self:
        """The edition that a stored object is. ``cache_control``: what answers say; ``None``: as the venue
        does, or :data:`DEFAULT_CACHE_CONTROL`. Raises :class:`~depthcast.errors.BadFile` for any other."""
        version, info = check_file(key, found.body, found.metadata)
        return cls(found.body, parse_key(key).limit, version, info, cache_control, scheme_of(key))

    @property
    def body(self) -> bytes:
        """The file's own bytes."""
        return self._body

    @property
    def layout(self) -> Layout:
        """How the body reads."""
        return self.scheme.layout(self.limit)

    @property
    def cost_bytes(self) -> int:
        """The most memory this edition may come to take, its answers included."""
        return 3 * len(self._body) + _OVERHEAD_BYTES

    def answer(self, limit: int, asked: Asked, currency: "Currency") -> Answer | Awaitable[Answer]:
        """The answer to a request for ``limit``, which this file covers: 304 to who has it already.

        To be awaited only where a long body has to be encoded for the first time.
        """
        variants = self._cuts.get(limit) or self._cut(limit)
        # Only without the other (RFC 9110, 13.2.2).
        unmodified = (
            asked.if_none_match is None
            and asked.if_modified_since is not None
            and self._unmodified_since(asked.if_modified_since)
        )
        return variants.answer(asked, currency, unmodified=unmodified)

    def prepare(self, before: "Edition") -> "list[asyncio.Future[bytes]]":
        """Begin to encode what readers of the edition ``before`` asked for, or of one of the last
        :data:`PREPARED_FOR` before it: the latest asked for first, at most :data:`PREPARED_AT_ONCE`."""
        wanted = [
            (variant.unasked + 1, limit, variant.coding)
            for limit, variants in before._cuts.items()
            for variant in variants.made()
            if variant.unasked is not None
            and variant.unasked < PREPARED_FOR
            and self.scheme.covering(limit, (self.limit,)) is not None
        ]
        wanted.sort(key=lambda each: each[0])
        begun = []
        for unasked, limit, coding in wanted[:PREPARED_AT_ONCE]:
            variants = self._cuts.get(limit) or self._cut(limit)
            variant = variants.variant(coding)
            variant.unasked = unasked
            if variant.encoded is None and len(variants.body) > ASIDE_BYTES:
                begun.append(variants.encoding(variant))
        return begun

    def check(self) -> None:
        """Raise ``AssertionError`` where the answers take more than they may. O(answers)."""
        kept = sum(self._length(variants) for variants in self._cuts.values())
        assert self._kept_bytes == kept
        assert len(self._body) + kept <= self.cost_bytes

    def _cut(self, limit: int) -> Variants:
        body = self._body if limit == self.limit else self.layout.cut(self._body, limit)
        headers = (
            (b"last-modified", self._last_modified),
            (b"cache-control", self._cache_control_of(limit)),
            VARY,
            NO_RANGES,
            *COMMON,
            *version_headers(self.version),
            (b"depthcast-certain", self._certain),
            (b"depthcast-event-time", b"%d" % self.info.event_time_ms),
            (b"depthcast-publish-time", b"%d" % self.info.publish_time_ms),
            (b"depthcast-status", self.info.status.encode()),
        )
        made = Variants(body, self._tag(limit), headers, _kept_by(self))
        self._cuts[limit] = made
        self._make_room(made, self._length(made))
        return made

    def _cache_control_of(self, limit: int) -> bytes:
        told = self._cache_control
        if told is None:
            told = self.scheme.cache_control(limit) or DEFAULT_CACHE_CONTROL
        return told.encode()

    def _keep(self, variants: Variants, encoded_bytes: int) -> None:
        """Account for an encoded body, unless its cut has left to make room meanwhile."""
        if any(variants is held for held in self._cuts.values()):
            self._make_room(variants, encoded_bytes)

    def _make_room(self, for_these: Variants, more_bytes: int) -> None:
        """Keep what was made just now, and the rest unless it is too much."""
        self._kept_bytes += more_bytes
        if self._kept_bytes > self.cost_bytes - len(self._body):
            self._cuts = {limit: held for limit, held in self._cuts.items() if held is for_these}
            self._kept_bytes = self._length(for_these)

    def _length(self, variants: Variants) -> int:
        """What is kept of a limit beside the file's own bytes."""
        return variants.kept_bytes() + (0 if variants.body is self._body else len(variants.body))

    def _tag(self, limit: int) -> bytes:
        """What a strong entity tag (RFC 9110, 8.8.3) begins with: equal tags of one URL mean equal bytes.

        The levels shown are part of it, because a replica whose book is certain to fewer levels writes a
        shorter body for the same version.
        """
        version, info, depth = self.version, self.info, self.scheme.depth(limit)
        shown = (min(info.bids, depth), min(info.asks, depth))
        return b"%d-%d-%d-%d-%d" % (version.epoch, version.update_id, limit, *shown)

    def _unmodified_since(self, date: bytes) -> bool:
        """Whether who asked at ``date`` or later has this very version (RFC 9110, 13.1.3).

        There are many versions a second and dates are whole seconds by several clocks, so a date is taken
        as proof only where it is later than the file by :data:`DATE_MARGIN_MS`. The date of the file itself
        proves nothing (8.8.2.2): who sends it back is given the book. Neither does one yet to come.
        """
        since_ms = parse_http_date(date)
        if since_ms is None or since_ms > _wall_ms():
            return False
        return since_ms >= self.info.publish_time_ms + DATE_MARGIN_MS

    @property
    def _certain(self) -> bytes:
        info = self.info
        return certain_header(info.bids, info.asks, info.bids_complete, info.asks_complete)


def certain_header(bids: int, asks: int, bids_complete: bool, asks_complete: bool) -> bytes:
    """``Depthcast-Certain``: how many levels of each side are certain, and whether there are no others.

    >>> certain_header(5000, 812, False, True)
    b'bids=5000, asks=812;complete'
    """
    return f"bids={bids}{';complete' * bids_complete}, asks={asks}{';complete' * asks_complete}".encode()


def version_headers(version: Version) -> Sequence[Header]:
    """A version, and its epoch by itself: update ids of different epochs are not to be compared."""
    return (
        (b"depthcast-version", str(version).encode()),
        (b"depthcast-epoch", b"%d" % version.epoch),
    )


def _kept_by(edition: Edition) -> Callable[[Variants, int], None]:
    """Tells ``edition`` what its variants keep, and does not hold it. A circle of the two would outlive the
    version by as long as the garbage collector takes to come by, bodies and all; and a hundred books that
    change ten times a second would have it come by every few milliseconds, for milliseconds."""
    held = ref(edition)

    def keep(variants: Variants, encoded_bytes: int) -> None:
        there = held()
        if there is not None:
            there._keep(variants, encoded_bytes)

    return keep


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
