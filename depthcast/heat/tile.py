"""``Tile``: a symbol's resting quantities over one interval, and the file it is.

A tile is a grid. A column is a stretch of time, a row the prices ``[n * step, (n + 1) * step)``, and a cell
the mean of the quantity that rested there, weighted by time, over the part of the column that is known. Bids
and asks are added up: the best prices of each column tell them apart.

**The file** is ``gzip(header + b"\\n" + cells)``. The header is one line of JSON. A cell is one byte, row
after row from the lowest price up:

=========  =======================================================================================
byte       the quantity
=========  =======================================================================================
255        unknown: not recorded, or beyond the price down to which the book was certain
0          known to be nothing, or less than byte 1 stands for
1 … 254    ``2 ** ((exponent + byte) / 12)``: 6 % from each to the next, so it is right to 3 %
=========  =======================================================================================

The scale is logarithmic because an eye compares quantities by their ratios, and the same for all tiles but
for the whole number ``exponent``: a quantity that moves to a tile of another exponent moves by whole bytes.

Pure: no I/O, no clock.
"""

import gzip
import json
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from depthcast.errors import BadFile
from depthcast.heat.keys import tile_key
from depthcast.heat.zooms import ZOOMS, Zoom

CONTENT_TYPE: Final = "application/octet-stream"
"""The file is gzip by itself and not by its encoding: nothing on the way may unpack it."""

FORMAT: Final = 1

MAX_ROWS: Final = 1024
"""A tile of more rows is made coarser."""

MAX_HEADER_BYTES: Final = 65_536
"""Longer than the longest: 288 columns with two best prices and a hole each."""

EMPTY: Final = 0
LARGEST: Final = 254
UNKNOWN: Final = 255
PER_OCTAVE: Final = 12

_MAX_BYTES: Final = MAX_HEADER_BYTES + MAX_ROWS * max(zoom.columns for zoom in ZOOMS)
_MARKS: Final = re.compile(r"[.+-]*")

Cells = NDArray[np.uint8]
Numbers = NDArray[np.float64]
Hole = tuple[int, int]
"""A stretch of time that is not known, ``[from_ms, to_ms)``."""

ABSENT: Final = "."
PARTIAL: Final = "-"
COMPLETE: Final = "+"


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One tile; ``cells`` has the shape (rows, columns).

    ``bid`` and ``ask`` are the best prices at the end of each column, at the last moment of it that is known;
    nan where there is none. ``children`` has a mark for each tile of the zoom below that this one is made of:
    ``"."`` where it was not there yet, ``"-"`` where it has holes, ``"+"`` where it is complete. ``holes``
    are in order and do not touch.
    """

    venue: str
    symbol: str
    zoom: Zoom
    start_ms: int
    step: float
    first_row: int
    exponent: int
    cells: Cells
    bid: Numbers
    ask: Numbers
    holes: tuple[Hole, ...] = ()
    children: str = ""

    @property
    def key(self) -> str:
        """Where it is kept."""
        return tile_key(self.venue, self.symbol, self.zoom.number, self.start_ms)

    @property
    def end_ms(self) -> int:
        """When it ends."""
        return self.start_ms + self.zoom.tile_ms

    @property
    def rows(self) -> int:
        """How many rows of prices it has."""
        return int(self.cells.shape[0])

    @property
    def complete(self) -> bool:
        """Whether all of its time is known: then it never changes."""
        return not self.holes and set(self.children) <= {COMPLETE}

    @property
    def known_ms(self) -> int:
        """How much of its time is known; of a tile made of others, as much as theirs."""
        absent_ms = self.children.count(ABSENT) * self.zoom.tile_ms // max(1, len(self.children))
        return self.zoom.tile_ms - absent_ms - sum(to_ms - from_ms for from_ms, to_ms in self.holes)

    def quantities(self) -> Numbers:
        """The quantities that the cells stand for; nan where unknown."""
        return quantities(self.cells, self.exponent)

    def encode(self) -> bytes:
        """The file. The same tile gives the same bytes."""
        header = {
            "format": FORMAT,
            "venue": self.venue,
            "symbol": self.symbol,
            "zoom": self.zoom.number,
            "start_ms": self.start_ms,
            "column_ms": self.zoom.column_ms,
            "columns": self.zoom.columns,
            "step": self.step,
            "first_row": self.first_row,
            "rows": self.rows,
            "exponent": self.exponent,
            "complete": self.complete,
            "bid": _told(self.bid),
            "ask": _told(self.ask),
            "holes": self.holes,
            "children": self.children,
        }
        line = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        return gzip.compress(line + b"\n" + self.cells.tobytes(), 9, mtime=0)

    @classmethod
    def decode(cls, key: str, body: bytes) -> Self:
        """The tile that the object at ``key`` is.

        Raises :class:`~depthcast.errors.BadFile` for what is none, or the one of another key.
        """
        try:
            tile = cls._parsed(_unpacked(body))
            tile.check()
        except (AssertionError, ValueError, TypeError, LookupError, ArithmeticError, zlib.error) as error:
            raise BadFile(key, f"it is no tile of a heatmap ({error!r:.100})") from None
        if tile.key != key:
            raise BadFile(key, f"it holds the tile {tile.key}")
        return tile

    @classmethod
    def _parsed(cls, plain: bytes) -> Self:
        end = plain.index(b"\n", 0, MAX_HEADER_BYTES)
        header: dict[str, Any] = json.loads(plain[:end])
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r:.20}")
        zoom = ZOOMS[header["zoom"]]
        cells = np.frombuffer(plain, np.uint8, offset=end + 1).reshape(header["rows"], zoom.columns)
        return cls(
            header["venue"],
            header["symbol"],
            zoom,
            header["start_ms"],
            float(header["step"]),
            header["first_row"],
            header["exponent"],
            cells,
            np.array(header["bid"], np.float64),
            np.array(header["ask"], np.float64),
            tuple((from_ms, to_ms) for from_ms, to_ms in header["holes"]),
            header["children"],
        )

    def check(self) -> None:
        """Raise ``AssertionError`` where an invariant is broken. O(columns)."""
        columns = self.zoom.columns
        assert self.start_ms % self.zoom.tile_ms == 0, "it begins at another time"
        assert self.cells.shape == (self.rows, columns), "it has another shape"
        assert self.rows <= MAX_ROWS, "too many rows"
        assert self.bid.shape == self.ask.shape == (columns,), "best prices of other columns"
        assert math.isfinite(self.step), "no step"
        assert self.step > 0, "no step"
        assert isinstance(self.first_row, int), "no first row"
        assert isinstance(self.exponent, int), "no exponent"
        assert abs(self.exponent) < 10_000, "an exponent beyond all quantities"
        assert len(self.children) == self.zoom.children, "other children"
        assert _MARKS.fullmatch(self.children), "marks that mean nothing"
        past_ms = self.start_ms
        for index, (from_ms, to_ms) in enumerate(self.holes):
            assert past_ms < from_ms or (index == 0 and past_ms == from_ms), (
                "holes touch, or are not in order"
            )
            assert from_ms < to_ms <= self.end_ms, "a hole outside, or none"
            past_ms = to_ms


def exponent_for(largest: float) -> int:
    """The exponent of a tile whose largest quantity is ``largest``: that one is the largest byte."""
    return round(PER_OCTAVE * math.log2(largest)) - LARGEST if largest > 0 else 0


def cells_of(amounts: Numbers, exponent: int) -> Cells:
    """The bytes that stand for ``amounts`` (nan: unknown)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.rint(PER_OCTAVE * np.log2(amounts)) - exponent
    steps = np.clip(np.where(amounts > 0, steps, EMPTY), EMPTY, LARGEST)
    return np.where(np.isnan(amounts), UNKNOWN, steps).astype(np.uint8)


def quantities(cells: Cells, exponent: int) -> Numbers:
    """The quantities that ``cells`` stand for; nan where unknown."""
    table = np.exp2((exponent + np.arange(256)) / PER_OCTAVE)
    table[EMPTY], table[UNKNOWN] = 0.0, np.nan
    return np.asarray(table[cells], np.float64)


def joined(holes: Sequence[Hole], within_ms: int = 0) -> tuple[Hole, ...]:
    """Holes in order, those that overlap, touch, or are no further apart than ``within_ms`` as one.

    >>> joined([(10, 12), (0, 4), (3, 6), (6, 7)])
    ((0, 7), (10, 12))
    """
    found: list[Hole] = []
    for from_ms, to_ms in sorted(holes):
        if found and from_ms <= found[-1][1] + within_ms:
            found[-1] = (found[-1][0], max(found[-1][1], to_ms))
        else:
            found.append((from_ms, to_ms))
    return tuple(found)


def _told(prices: Numbers) -> list[float | None]:
    return [None if math.isnan(price) else price for price in prices.tolist()]


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain = unpacking.decompress(body, _MAX_BYTES)
    if not unpacking.eof:
        raise ValueError("it is cut off, or holds more than a tile does")
    return plain
