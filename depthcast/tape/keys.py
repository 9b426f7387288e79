"""Where the tape's objects are: keys built and parsed here.

::

    tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-00.parquet       a segment of a minute
    tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-10_10s.parquet   one of ten seconds
    tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/index.json             the segments of a day
    tape/venue=binance/symbol=ETHUSDT/index.json                             the days

The folders are partitions as Hive names them, so DuckDB, polars and others read ``tape/**/*.parquet`` as one
table. Dates and times are UTC, of the interval's beginning. Pure.
"""

import re
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from depthcast.errors import BadKey
from depthcast.files import valid_symbol

TAPE_PREFIX: Final = "tape/"
"""Below it is all of the tape, and nothing else."""

SEGMENT_CONTENT_TYPE: Final = "application/vnd.apache.parquet"

LENGTH_S: Final = 60
"""The usual length of a segment; a segment of another length says so in its name."""

DAY_S: Final = 86_400

MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the latest that a date can be written of."""

_VENUE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FOLDER = r"tape/venue=(?P<venue>[^/=]+)/symbol=(?P<symbol>[^/=]+)/"
_SEGMENT = re.compile(
    _FOLDER + r"date=(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})/"
    r"(?P<time>[0-9]{2}-[0-9]{2}-[0-9]{2})(?:_(?P<length>[1-9][0-9]{0,4})s)?\.parquet"
)
_INDEX = re.compile(_FOLDER + r"(?:date=(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})/)?index\.json")


class SegmentName(NamedTuple):
    """What a segment's key says: whose it is, when its interval begins (ms since 1970), how long it is."""

    venue: str
    symbol: str
    start_ms: int
    length_s: int = LENGTH_S

    @property
    def end_ms(self) -> int:
        """The beginning of the interval that follows."""
        return self.start_ms + self.length_s * 1000


class IndexName(NamedTuple):
    """What an index's key says; without a ``date`` it is the index of the days."""

    venue: str
    symbol: str
    date: str | None


def valid_length(length_s: int) -> bool:
    """Whether segments may be so long: they divide a day.

    >>> valid_length(60), valid_length(10), valid_length(7)
    (True, True, False)
    """
    return 1 <= length_s <= DAY_S and DAY_S % length_s == 0


def start_of(time_ms: int, length_s: int = LENGTH_S) -> int:
    """The beginning of the interval that ``time_ms`` is in.

    >>> start_of(1723161253123) == 1723161253123 - 13123
    True
    """
    length_ms = length_s * 1000
    return time_ms - time_ms % length_ms


def date_of(time_ms: int) -> str:
    """The UTC date of a time, as keys have it.

    >>> date_of(1723161253123)
    '2024-08-08'
    """
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d")


def segment_key(venue: str, symbol: str, start_ms: int, length_s: int = LENGTH_S) -> str:
    """The key of the segment that begins at ``start_ms``.

    Raises :class:`~depthcast.errors.BadKey` for a misspelled venue or symbol, a length that does not divide
    a day, and a time at which no such interval begins.

    >>> segment_key("binance", "ETHUSDT", 1723161240000)
    'tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-00.parquet'
    >>> segment_key("binance", "ETHUSDT", 1723161250000, 10)
    'tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-10_10s.parquet'
    """
    folder = _folder(venue, symbol)
    if not valid_length(length_s):
        raise BadKey(folder, f"segments of {length_s} s do not divide a day")
    if not 0 <= start_ms <= MAX_TIME_MS or start_of(start_ms, length_s) != start_ms:
        raise BadKey(folder, f"no interval of {length_s} s begins at {start_ms} ms")
    when = datetime.fromtimestamp(start_ms // 1000, UTC)
    suffix = "" if length_s == LENGTH_S else f"_{length_s}s"
    return f"{folder}date={when:%Y-%m-%d}/{when:%H-%M-%S}{suffix}.parquet"


def parse_segment_key(key: str) -> SegmentName:
    """The reverse of :func:`segment_key`; accepts the canonical spelling only.

    >>> parse_segment_key("tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/23-54-00.parquet")
    SegmentName(venue='binance', symbol='ETHUSDT', start_ms=1723161240000, length_s=60)
    """
    match = _SEGMENT.fullmatch(key)
    if match is None:
        raise BadKey(key, "not of the form tape/venue=VENUE/symbol=SYMBOL/date=DATE/HH-MM-SS.parquet")
    try:
        when = datetime.strptime(f"{match['date']} {match['time']} +0000", "%Y-%m-%d %H-%M-%S %z")
    except ValueError:
        raise BadKey(key, "there is no such time") from None
    name = SegmentName(
        match["venue"], match["symbol"], int(when.timestamp()) * 1000, int(match["length"] or LENGTH_S)
    )
    if segment_key(*name) != key:
        raise BadKey(key, "its length is not written as it should be")
    return name


def index_key(venue: str, symbol: str) -> str:
    """The key of the index of a symbol's days.

    >>> index_key("binance", "ETHUSDT")
    'tape/venue=binance/symbol=ETHUSDT/index.json'
    """
    return f"{_folder(venue, symbol)}index.json"


def day_index_key(venue: str, symbol: str, day: str) -> str:
    """The key of the index of a day's segments; ``day`` as in ``2024-08-08``.

    >>> day_index_key("binance", "ETHUSDT", "2024-08-08")
    'tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/index.json'
    """
    folder = _folder(venue, symbol)
    _check_date(folder, day)
    return f"{folder}date={day}/index.json"


def parse_index_key(key: str) -> IndexName:
    """The reverse of :func:`index_key` and :func:`day_index_key`.

    >>> parse_index_key("tape/venue=binance/symbol=ETHUSDT/index.json").date is None
    True
    """
    match = _INDEX.fullmatch(key)
    if match is None:
        raise BadKey(key, "not of the form tape/venue=VENUE/symbol=SYMBOL/[date=DATE/]index.json")
    name = IndexName(match["venue"], match["symbol"], match["date"])
    _folder(name.venue, name.symbol)
    if name.date is not None:
        _check_date(key, name.date)
    return name


def day_folder(venue: str, symbol: str, day: str) -> str:
    """The folder of a day's segments, to be listed.

    >>> day_folder("binance", "ETHUSDT", "2024-08-08")
    'tape/venue=binance/symbol=ETHUSDT/date=2024-08-08/'
    """
    return day_index_key(venue, symbol, day).removesuffix("index.json")


def _folder(venue: str, symbol: str) -> str:
    folder = f"{TAPE_PREFIX}venue={venue}/symbol={symbol}/"
    if _VENUE.fullmatch(venue) is None:
        raise BadKey(folder, "a venue is up to 40 of a-z, 0-9, '_' and '-'")
    if not valid_symbol(symbol):
        raise BadKey(folder, "the symbol is misspelled")
    return folder


def _check_date(key: str, day: str) -> None:
    try:
        if _DATE.fullmatch(day) is None:
            raise ValueError
        date.fromisoformat(day)
    except ValueError:
        raise BadKey(key, f"{day!r:.20} is no date such as 2024-08-08") from None
