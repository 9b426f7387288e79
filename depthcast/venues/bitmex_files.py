"""What BitMEX's files are called and how they read. Pure.

A key is the request it answers, and a body the venue's own answer, rows from the highest price to the lowest,
asks first, as the venue's tables come::

    api/v1/orderBook/L2?symbol=XBTUSD&depth=25
    [{"symbol":"XBTUSD","id":…,"side":"Sell","size":…,"price":…,"timestamp":"…","transactTime":"…"},…]

A limit is a depth, rows a side; 0 is all of them, so it shows most. Depth 10 is the ten best levels as a
small file of its own, for caches to read. No body tells an update id: the metadata do.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from depthcast.errors import BadFile
from depthcast.file_info import FileInfo
from depthcast.rows.messages import Row, RowSnapshot
from depthcast.scheme import ALL, DepthKey, Layout, Level, Scheme

WHOLE: Final = 0
"""*"Send 0 for full depth."*"""

DEFAULT_DEPTH: Final = 25

DEPTHS: Final = (10, 25, 100, 500, WHOLE)
"""The depths published by default."""

MAX_DEPTH: Final = 2**31 - 1

_ROOT: Final = "api/v1/orderBook/"
_KEY: Final = re.compile(
    r"api/v1/orderBook/L2\?symbol=(?P<symbol>[^/?&=]+)&depth=(?P<depth>0|[1-9][0-9]{0,9})"
)

_BETWEEN: Final = b"},{"
"""Between two rows, and nowhere else in a compact body: no member of a row is an object."""

_ROW_BYTES: Final = 256
_BUY: Final = b'"side":"Buy"'
_ROW: Final = re.compile(
    rb'\{"symbol":"([^"]{1,50})","id":([0-9]{1,19}),"side":"(Buy|Sell)","size":([0-9]{1,19}),'
    rb'"price":([0-9][0-9.eE+-]{0,63}),"timestamp":"[^"]{0,64}"(?:,"transactTime":"([^"]{0,64})")?\}(?:,|\])'
)
_TIME: Final = re.compile(rb'"timestamp":"([^"]{0,64})"')


class RowLayout:
    """A body of rows; see :class:`~depthcast.scheme.Layout`."""

    tells_early: Final = False
    begins_books: Final = False
    padded: Final = (False, False)

    def update_id(self, key: str, body: bytes) -> None:
        """None is told."""
        if not body.startswith((b'[{"symbol":', b"[]")):
            raise BadFile(key, "it does not begin with rows")

    def check(self, key: str, body: bytes) -> None:
        """The beginning and the end of an array of rows."""
        self.update_id(key, body)
        if body != b"[]" and not body.endswith(b"}]"):
            raise BadFile(key, "it has no end")

    def cut(self, body: bytes, limit: int) -> bytes:
        """The last asks and the first bids: they meet in the middle. O(bytes up to the bids)."""
        if limit == WHOLE:
            return body
        if not (body.startswith(b"[") and body.endswith(b"]")):
            raise BadFile("?", "it is no array of rows")
        meets = _meets(body)
        begin = _begin_of_last(body, 1, meets - 1 if 1 < meets < len(body) - 1 else meets, limit)
        end = _end_of_first(body, meets, len(body) - 1, limit)
        if begin == 1 and end == len(body) - 1:
            return body
        return b"[" + body[begin:end].strip(b",") + b"]"

    def levels(self, key: str, body: bytes, depth: int = ALL) -> tuple[list[Level], list[Level]]:
        """By price; rows that share one are added up."""
        if depth < ALL:
            # Where rows share a price, fewer levels are found than there are; the venue's do not.
            body = self.cut(body, depth)
        asks: list[Level] = []
        bids: list[Level] = []
        for _, buy, size, price, _ in _rows(key, body)[1]:
            assert price is not None
            side = bids if buy else asks
            if side and float(side[-1][0]) == float(price):
                side[-1] = (side[-1][0], str(int(side[-1][1]) + (size or 0)))
            else:
                side.append((price, str(size)))
        return bids, asks[::-1]

    def rows(self, key: str, body: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """With their ``id`` and ``time``, that of the engine, empty where none is told."""
        bids: list[dict[str, Any]] = []
        asks: list[dict[str, Any]] = []
        for row_id, buy, size, price, time in _rows(key, body)[1]:
            (bids if buy else asks).append({"price": price, "amount": str(size), "id": row_id, "time": time})
        return bids, asks[::-1]

    def snapshot(self, key: str, body: bytes, info: FileInfo) -> RowSnapshot:
        """All rows. No book of a stream begins from it, for nothing joins the two."""
        if info.update_id is None:
            raise BadFile(key, "its metadata tell no update id")
        symbol, rows = _rows(key, body)
        complete = info.bids_complete and info.asks_complete and len(rows) >= info.bids + info.asks
        return RowSnapshot(symbol, info.update_id, rows, info.event_time_ms, complete)

    def unnumbered(self, body: bytes) -> bytes:
        """Without the time, which is the same in all rows."""
        match = _TIME.search(body, 0, 4 * _ROW_BYTES)
        return body if match is None else body.replace(b'"timestamp":"%b"' % match[1], b"")


def _meets(body: bytes) -> int:
    """Where the row of the best bid begins; the end of the array where there is none."""
    buy = body.find(_BUY)
    return len(body) - 1 if buy < 0 else body.rfind(b"{", 0, buy)


def _end_of_first(body: bytes, start: int, stop: int, rows: int) -> int:
    """Where the first ``rows`` rows of ``body[start:stop]`` end."""
    window = start + _ROW_BYTES * (rows + 1)
    for end in (window, stop):
        if end <= stop:
            pieces = body[start:end].split(_BETWEEN, rows)
            if len(pieces) > rows:
                return end - len(pieces[-1]) - len(_BETWEEN) + 1
    return stop


def _begin_of_last(body: bytes, start: int, stop: int, rows: int) -> int:
    """Where the last ``rows`` rows of ``body[start:stop]`` begin."""
    window = stop - _ROW_BYTES * (rows + 1)
    for begin in (window, start):
        if begin >= start:
            pieces = body[begin:stop].rsplit(_BETWEEN, rows)
            if len(pieces) > rows:
                return begin + len(pieces[0]) + len(_BETWEEN) - 1
    return start


def _rows(key: str, body: bytes) -> tuple[str, list[Row]]:
    """The symbol and the rows of a body. Raises BadFile."""
    rows: list[Row] = []
    symbols: set[bytes] = set()
    at = 1
    for match in _ROW.finditer(body):
        if match.start() != at:
            break
        symbol, row_id, side, size, price, time = match.groups()
        symbols.add(symbol)
        rows.append((int(row_id), side == b"Buy", int(size), price.decode(), (time or b"").decode()))
        at = match.end()
    if body == b"[]":
        return "", []
    if not body.startswith(b"[") or at != len(body) or len(symbols) != 1:
        raise BadFile(key, "its rows cannot be read")
    return symbols.pop().decode(), rows


_LAYOUT: Final = RowLayout()


@dataclass(frozen=True)
class BitmexScheme(Scheme):
    """``api/v1/orderBook/L2?symbol=…&depth=…``"""

    limits: tuple[int, ...] = DEPTHS

    @property
    def public_prefixes(self) -> tuple[str, ...]:
        """Of its API, what is published."""
        return ("api/v1/",)

    @property
    def depth_prefixes(self) -> tuple[str, ...]:
        """One."""
        return (f"{self.root}L2?symbol=",)

    @property
    def exchange_info_key(self) -> str:
        """*"Get all active instruments"*"""
        return "api/v1/instrument/active"

    def prefixes_of(self, symbol: str) -> tuple[str, ...]:
        """One."""
        return (f"{self.root}L2?symbol={symbol}&depth=",)

    def key(self, symbol: str, limit: int) -> str:
        """The request."""
        return f"{self.root}L2?symbol={symbol}&depth={limit}"

    def parse(self, key: str) -> DepthKey | None:
        """The reverse."""
        match = _KEY.fullmatch(key)
        if match is None or not self.valid_symbol(match["symbol"]):
            return None
        depth = int(match["depth"])
        return None if depth > MAX_DEPTH else DepthKey(match["symbol"], depth)

    def refusal(self, limit: int) -> str | None:
        """A number of rows a side, or 0."""
        return None if 0 <= limit <= MAX_DEPTH else f"the depth is not within 0 and {MAX_DEPTH}"

    def layout(self, limit: int) -> Layout:
        """There is one."""
        return _LAYOUT

    def size(self, limit: int) -> int:
        """0 shows most."""
        return ALL if limit == WHOLE else limit

    def depth(self, limit: int) -> int:
        """The same."""
        return self.size(limit)

    def covering(self, limit: int, published: tuple[int, ...]) -> int | None:
        """The smallest file with as many rows."""
        return next((each for each in published if self.size(each) >= self.size(limit)), None)


BITMEX: Final = BitmexScheme("bitmex", _ROOT, room="bitmex/")
