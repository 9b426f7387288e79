"""The indexes of a symbol's tape: the segments of a day, and the days. Built, parsed and searched here.

An index only says again what the segments say, so that an update id is found with two reads and the one of
its segment; a time needs none. It may lack the newest segments, or what a writer that died had no time to
enter; whoever writes the next one mends it. JSON, a row a segment or a day, columns named at its beginning::

    {"format":1,"venue":"binance","symbol":"ETHUSDT","date":"2024-08-08",
     "columns":["startMs","lengthS","epoch","firstId","lastId","whole","rows","bytes","holes"],
     "segments":[[1723161240000,60,0,35346513512,35346534911,true,27600,131072,[]],…]}

    {"format":1,"venue":"binance","symbol":"ETHUSDT",
     "columns":["date","lengthS","firstEpoch","firstId","lastEpoch","lastId","whole"],
     "days":[["2024-08-08",60,0,35346513512,0,35346921371,false],["2024-08-09",60,0,35346921371,null,null,null]]}

``firstId`` is the update id of the earliest book, ``lastId`` that of the latest. Of the newest day it is not
told where it ends: its own index knows. Pure.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

from depthcast.errors import BadFile, BadKey
from depthcast.files import MAX_NUMBER
from depthcast.tape.keys import DAY_S, date_of, day_index_key, segment_key
from depthcast.tape.segment import Hole, Segment

CONTENT_TYPE: Final = "application/json"

CACHE_CONTROL: Final = "no-cache"

_FORMAT: Final = 1
_SEGMENT_COLUMNS: Final = (
    "startMs",
    "lengthS",
    "epoch",
    "firstId",
    "lastId",
    "whole",
    "rows",
    "bytes",
    "holes",
)
_DAY_COLUMNS: Final = ("date", "lengthS", "firstEpoch", "firstId", "lastEpoch", "lastId", "whole")


class Entry(NamedTuple):
    """One segment in an index. ``epoch`` is the latest in it; ``rows`` its levels, ``size`` its bytes."""

    start_ms: int
    length_s: int
    epoch: int
    first_id: int
    last_id: int
    whole: bool
    rows: int
    size: int
    holes: tuple[Hole, ...] = ()

    @property
    def end_ms(self) -> int:
        """The beginning of the interval that follows."""
        return self.start_ms + self.length_s * 1000


class Day(NamedTuple):
    """One day in the index of days; of the newest one the last three are ``None``."""

    date: str
    length_s: int
    first_epoch: int
    first_id: int
    last_epoch: int | None = None
    last_id: int | None = None
    whole: bool | None = None


def entry_of(segment: Segment, *, rows: int, size: int) -> Entry:
    """The entry of a segment whose file has so many rows and bytes."""
    return Entry(
        segment.start_ms,
        segment.length_s,
        segment.epoch,
        segment.first_id,
        segment.last_id,
        segment.whole,
        rows,
        size,
        segment.holes,
    )


# Beside a segment


def to_metadata(entry: Entry) -> dict[str, str]:
    """What stands beside a segment's object, as S3 user metadata: an entry without its holes.

    >>> entry = Entry(1723161240000, 60, 0, 7, 9, True, 3, 4000)
    >>> from_metadata("k", to_metadata(entry)) == entry
    True
    """
    return {
        "start": str(entry.start_ms),
        "length": str(entry.length_s),
        "epoch": str(entry.epoch),
        "first-id": str(entry.first_id),
        "last-id": str(entry.last_id),
        "whole": "true" if entry.whole else "false",
        "rows": str(entry.rows),
        "bytes": str(entry.size),
    }


def from_metadata(key: str, metadata: Mapping[str, str]) -> Entry:
    """The reverse of :func:`to_metadata`; names in any case. Raises :class:`~depthcast.errors.BadFile`."""
    told = {name.lower(): value for name, value in metadata.items()}
    try:
        numbers = {
            name: _number(int(told[name]))
            for name in ("start", "length", "epoch", "first-id", "last-id", "rows", "bytes")
        }
        whole = {"true": True, "false": False}[told["whole"]]
    except (KeyError, ValueError) as error:
        raise BadFile(key, f"its metadata is no segment's: {error!r:.100}") from None
    return Entry(
        numbers["start"],
        numbers["length"],
        numbers["epoch"],
        numbers["first-id"],
        numbers["last-id"],
        whole,
        numbers["rows"],
        numbers["bytes"],
    )


# The segments of a day


@dataclass(frozen=True, slots=True)
class DayIndex:
    """The segments of one UTC day, by the time at which they begin."""

    venue: str
    symbol: str
    date: str
    entries: tuple[Entry, ...] = ()

    def holding(self, update_id: int, epoch: int | None = None) -> list[Entry]:
        """The segments that may have the book of this update id, the latest first. O(segments).

        ``epoch`` where it is known; otherwise that of the latest segments goes first.
        """
        found = (
            entry
            for entry in self.entries
            if entry.first_id <= update_id <= entry.last_id and epoch in (None, entry.epoch)
        )
        return sorted(found, key=lambda entry: (entry.epoch, entry.start_ms), reverse=True)

    def with_entry(self, entry: Entry) -> Self:
        """With this entry, in place of the one of its segment that was there."""
        others = (each for each in self.entries if each[:2] != entry[:2])
        return replace(self, entries=tuple(sorted((*others, entry))))

    @property
    def whole(self) -> bool:
        """Whether segments of one length fill the day, each of them whole."""
        lengths = {entry.length_s for entry in self.entries}
        return (
            len(lengths) == 1
            and len(self.entries) * next(iter(lengths)) == DAY_S
            and all(entry.whole for entry in self.entries)
        )

    def missing(self, length_s: int, until_ms: int, most: int) -> list[int]:
        """The beginnings of the last ``most`` intervals before ``until_ms``, of those without an entry.

        Only intervals of this day.
        """
        length_ms = length_s * 1000
        there = {entry.start_ms for entry in self.entries if entry.length_s == length_s}
        starts = range(until_ms - most * length_ms, until_ms, length_ms)
        return [
            start for start in starts if start not in there and start >= 0 and date_of(start) == self.date
        ]

    def to_bytes(self) -> bytes:
        """As it is stored."""
        rows = [[*entry[:-1], [[*hole] for hole in entry.holes]] for entry in self.entries]
        return _dump(self.venue, self.symbol, {"date": self.date}, _SEGMENT_COLUMNS, "segments", rows)

    @classmethod
    def parse(cls, key: str, body: bytes) -> Self:
        """The reverse of :meth:`to_bytes`. Raises :class:`~depthcast.errors.BadFile`."""
        try:
            told, rows = _load(body, "segments", _SEGMENT_COLUMNS)
            index = cls(told["venue"], told["symbol"], told["date"], tuple(map(_entry, rows)))
            for entry in index.entries:
                segment_key(index.venue, index.symbol, entry.start_ms, entry.length_s)
                if date_of(entry.start_ms) != index.date:
                    raise ValueError("it has a segment of another day")
            if list(index.entries) != sorted(index.entries):
                raise ValueError("its segments are not in order")
        except (KeyError, ValueError, TypeError, BadKey, RecursionError) as error:
            raise BadFile(key, f"it is no index of the tape: {error!r:.100}") from None
        return index


# The days


@dataclass(frozen=True, slots=True)
class DaysIndex:
    """The days of which there is a tape."""

    venue: str
    symbol: str
    days: tuple[Day, ...] = ()

    def holding(self, update_id: int) -> list[Day]:
        """The days that may have the book of this update id, the latest first. O(days)."""
        return [
            day
            for day in reversed(self.days)
            if day.last_id is None
            or day.last_epoch != day.first_epoch
            or day.first_id <= update_id <= day.last_id
        ]

    def day(self, date: str) -> Day | None:
        """What it says of a day."""
        at = bisect_left(self.days, date, key=lambda day: day.date)
        return self.days[at] if at < len(self.days) and self.days[at].date == date else None

    def with_day(self, index: DayIndex) -> Self:
        """With what a day's index says, or this index itself where that is nothing new. O(days)."""
        if not index.entries:
            return self
        first, last = index.entries[0], index.entries[-1]
        told = Day(index.date, last.length_s, first.epoch, first.first_id)
        if any(day.date > index.date for day in self.days):
            told = told._replace(last_epoch=last.epoch, last_id=last.last_id, whole=index.whole)
        if self.day(index.date) == told:
            return self
        others = (day for day in self.days if day.date != index.date)
        return replace(self, days=tuple(sorted((*others, told), key=lambda day: day.date)))

    @property
    def unfinished(self) -> list[str]:
        """The days before the newest of which it does not say where they end."""
        return [day.date for day in self.days[:-1] if day.last_id is None]

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return _dump(self.venue, self.symbol, {}, _DAY_COLUMNS, "days", [[*day] for day in self.days])

    @classmethod
    def parse(cls, key: str, body: bytes) -> Self:
        """The reverse of :meth:`to_bytes`. Raises :class:`~depthcast.errors.BadFile`."""
        try:
            told, rows = _load(body, "days", _DAY_COLUMNS)
            index = cls(told["venue"], told["symbol"], tuple(map(_day, rows)))
            for day in index.days:
                day_index_key(index.venue, index.symbol, day.date)
            dates = [day.date for day in index.days]
            if dates != sorted(set(dates)):
                raise ValueError("its days are not in order")
        except (KeyError, ValueError, TypeError, BadKey, RecursionError) as error:
            raise BadFile(key, f"it is no index of the tape: {error!r:.100}") from None
        return index


def _dump(
    venue: str, symbol: str, more: Mapping[str, str], columns: Iterable[str], name: str, rows: list[Any]
) -> bytes:
    head = {"format": _FORMAT, "venue": venue, "symbol": symbol, **more, "columns": list(columns)}
    return json.dumps({**head, name: rows}, separators=(",", ":"), ensure_ascii=False).encode()


def _load(body: bytes, name: str, columns: tuple[str, ...]) -> tuple[Mapping[str, str], list[Any]]:
    told = json.loads(body)
    if told["format"] != _FORMAT or tuple(told["columns"]) != columns:
        raise ValueError(f"it is of format {told['format']!r:.20}; this reads {_FORMAT}")
    rows = told[name]
    if not isinstance(rows, list) or not all(len(row) == len(columns) for row in rows):
        raise ValueError("its rows are not as its columns")
    for each in ("venue", "symbol"):
        if not isinstance(told[each], str):
            raise TypeError(f"{told[each]!r:.40} is no name")
    return told, rows


def _entry(row: list[Any]) -> Entry:
    *numbers, whole, rows, size, holes = row
    start_ms, length_s, epoch, first_id, last_id = map(_number, numbers)
    return Entry(
        start_ms,
        length_s,
        epoch,
        first_id,
        last_id,
        _flag(whole),
        _number(rows),
        _number(size),
        tuple(map(_hole, holes)),
    )


def _hole(row: list[Any]) -> Hole:
    after_id, before_id, from_ms, to_ms = row
    return Hole(
        None if after_id is None else _number(after_id),
        None if before_id is None else _number(before_id),
        _number(from_ms),
        _number(to_ms),
    )


def _day(row: list[Any]) -> Day:
    date, length_s, first_epoch, first_id, *end = row
    last_epoch, last_id, whole = end
    told = Day(date, _number(length_s), _number(first_epoch), _number(first_id))
    if end == [None, None, None]:
        return told
    return told._replace(last_epoch=_number(last_epoch), last_id=_number(last_id), whole=_flag(whole))


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{value!r:.40} is no whole number")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r:.40} is neither true nor false")
    return value
