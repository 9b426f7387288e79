"""The last versions of one file, and the changes from one of them to another. Pure: no I/O, no clock.

Changes have the form of the exchange's ``depthUpdate`` events: quantities are absolute, and a level that is
gone, or is no more among the first ``limit``, has a zero with as many digits as its quantity had. Applied to
the book they begin with they give the other one, level by level and string by string. Where that cannot be
promised there are none, and a reader is to be given the whole book.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from depthcast.errors import BadFile
from depthcast.files import Version
from depthcast.scheme import Layout, Level
from depthcast.venues.binance_files import BINANCE

DEFAULT_MAX_VERSIONS: Final = 64
FIRST_EPOCH: Final = 0
"""The epoch in which a symbol begins. Only its update ids stand for one version whatever happened before."""

_ASKS: Final = b'],"asks":['
_BETWEEN: Final = b"],["
_PAIRS: Final = b'{"lastUpdateId":'
"""Bodies that begin so have nothing in a level but a price and a quantity."""

_FIRST: Final = BINANCE.layout(BINANCE.limits[0])


class Shown:
    """One version of a file as it was shown to readers. ``number`` counts the versions of its history."""

    __slots__ = ("body", "number", "version")

    def __init__(self, version: Version, body: bytes, number: int) -> None:
        self.version = version
        self.body: bytes | None = body
        """``None`` once the history has forgotten it, whoever still remembers having been given it."""
        self.number = number


class History:
    """The versions of one file since it is watched, at most ``max_versions``, the newest always."""

    def __init__(self, max_versions: int = DEFAULT_MAX_VERSIONS) -> None:
        if max_versions < 1:
            raise ValueError("a history holds one version at least")
        self._max_versions = max_versions
        self._versions: deque[Shown] = deque()
        self._numbers = 0
        self.held_bytes = 0
        """The bodies' lengths together."""

    def __len__(self) -> int:
        return len(self._versions)

    @property
    def newest(self) -> Shown | None:
        """The version that readers are to have."""
        return self._versions[-1] if self._versions else None

    def take(self, version: Version, body: bytes) -> Shown | None:
        """A version is shown from now on; ``None`` where that is nothing new, or older than what was.

        In another epoch ids count anew, so what was shown before is forgotten.
        """
        newest = self.newest
        if newest is not None:
            if version < newest.version or (version == newest.version and body == newest.body):
                return None
            if version.epoch != newest.version.epoch:
                while self._versions:
                    self._forget_oldest()
        self._numbers += 1
        shown = Shown(version, body, self._numbers)
        self._versions.append(shown)
        self.held_bytes += len(body)
        while len(self._versions) > self._max_versions:
            self._forget_oldest()
        return shown

    def trim(self, max_bytes: int) -> None:
        """Forget the oldest versions until the rest fits; the newest may be of any size."""
        while self.held_bytes > max_bytes and len(self._versions) > 1:
            self._forget_oldest()

    def find(self, update_id: int) -> Shown | None:
        """The version that a reader has who was given ``update_id`` last, if that is beyond doubt.

        It is in doubt where two versions have this id (a replica's book was certain to fewer levels), and
        after the first epoch: the id may have been given in an earlier one, for another book. O(versions).
        """
        found = [shown for shown in self._versions if shown.version.update_id == update_id]
        if len(found) != 1 or found[0].version.epoch != FIRST_EPOCH:
            return None
        return found[0]

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(versions)."""
        assert len(self._versions) <= self._max_versions
        assert all(shown.body is not None for shown in self._versions)
        numbers = [shown.number for shown in self._versions]
        assert numbers == sorted(set(numbers))
        versions = [shown.version for shown in self._versions]
        assert versions == sorted(versions)
        assert len({version.epoch for version in versions}) <= 1
        assert self.held_bytes == sum(len(shown.body or b"") for shown in self._versions)

    def _forget_oldest(self) -> None:
        shown = self._versions.popleft()
        self.held_bytes -= len(shown.body or b"")
        shown.body = None


def changes(before: Shown, after: Shown, limit: int, layout: Layout = _FIRST) -> bytes | None:
    """What turns the first ``limit`` levels a side of ``before`` into those of ``after``; ``None`` where only
    the whole book is sure to be right. O(levels). ``layout`` is how the bodies read.

    >>> old = Shown(Version(0, 7), b'{"lastUpdateId":7,"bids":[["3.1","2.0"]],"asks":[]}', 1)
    >>> new = Shown(Version(0, 9), b'{"lastUpdateId":9,"bids":[["3.0","2.0"]],"asks":[]}', 2)
    >>> changes(old, new, 5)
    b'{"U":8,"u":9,"b":[["3.0","2.0"],["3.1","0.0"]],"a":[]}'
    """
    if before.body is None or after.body is None:
        return None
    if before.version.epoch != after.version.epoch or before.version.update_id >= after.version.update_id:
        return None
    sides = []
    try:
        books = [_sides(body, limit, layout) for body in (before.body, after.body)]
    except BadFile:
        return None
    for old, new in zip(*books, strict=True):
        changed = _changed(old, new, layout.padded)
        if changed is None:
            return None
        sides.append(b",".join(b"[%b]" % level for level in changed))
    first, last = before.version.update_id + 1, after.version.update_id
    bids, asks = sides
    return b'{"U":%d,"u":%d,"b":[%b],"a":[%b]}' % (first, last, bids, asks)


def _sides(body: bytes, limit: int, layout: Layout) -> tuple[list[bytes], list[bytes]]:
    """The levels of each side as they are written, ``"price","quantity"``, best first."""
    body = layout.cut(body, limit)
    if not body.startswith(_PAIRS):
        bids, asks = layout.levels("?", body)
        return [_pair(level) for level in bids], [_pair(level) for level in asks]
    asks_at = body.index(_ASKS)
    return (
        _levels(body[body.index(b"[") + 1 : asks_at]),
        _levels(body[asks_at + len(_ASKS) : -2]),
    )


def _pair(level: Level) -> bytes:
    return b'"%b","%b"' % (level[0].encode(), level[1].encode())


def _levels(side: bytes) -> list[bytes]:
    return side[1:-1].split(_BETWEEN) if side else []


def _changed(old: Sequence[bytes], new: Sequence[bytes], padded: tuple[bool, bool]) -> list[bytes] | None:
    """New and changed levels in the book's order, then those that are gone, in theirs. ``padded`` is as in
    :class:`~depthcast.scheme.Layout`."""
    if old and new:
        digits = zip(padded, _digits(old[0]), _digits(new[0]), strict=True)
        if any(each and before != after for each, before, after in digits):
            # One price would have two spellings, and it is not for us to say how a reader compares them.
            return None
    had = set(old)
    changed = [level for level in new if level not in had]
    prices = {level.partition(b",")[0] for level in new}
    for level in old:
        price, _, quantity = level.partition(b",")
        if price not in prices:
            changed.append(b"%b,%b" % (price, _zero_like(quantity)))
    return changed


def _digits(level: bytes) -> tuple[int, int]:
    """How many digits follow the point in a price and in its quantity."""
    price, _, quantity = level.partition(b",")
    return len(price.partition(b".")[2]), len(quantity.partition(b".")[2])


def _zero_like(quantity: bytes) -> bytes:
    """Zero as the exchange writes it, in quotation marks: ``"3.10"`` becomes ``"0.00"``."""
    _, point, digits = quantity.strip(b'"').partition(b".")
    return b'"0%b%b"' % (point, b"0" * len(digits))
