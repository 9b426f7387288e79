"""``Recording``: what the tape and the heatmap of one symbol make of requests and bytes. Pure.

* A segment is written once, when it is finished, and entered into its day's index, which is read before, as
  is the index of days (:mod:`updater.tape.writing`).
* Of a segment that was written the tile of its minute is made, and the tile of its hour again with that
  minute in it; with each hour that of its day (:mod:`depthcast.heat.album`). The segment is read for it, and
  the tile that is made again.

Bytes are those of ETHUSDT as recorded on 2024-08-08, ten updates a second and 5,300 levels a side; of a tile
that is made again and grows meanwhile half of its size is reckoned.
"""

from dataclasses import dataclass
from typing import Final

KEYFRAME_BYTES: Final = 29_000.0
"""Of the book at a segment's beginning: 5,300 levels a side."""

UPDATE_BYTES: Final = 177.0
"""Of each update in a segment, the mean of 600."""

INDEX_ROW_BYTES: Final = 66.0
"""Of a segment in its day's index."""

MINUTE_TILE_BYTES: Final = 4_600.0
HOUR_TILE_BYTES: Final = 54_000.0
DAY_TILE_BYTES: Final = 65_000.0
"""Of a day's an assumption: an hour's, by its columns."""

_MINUTE_S: Final = 60.0
_HOUR_S: Final = 3600.0
_DAY_S: Final = 86_400.0


@dataclass(frozen=True)
class Recording:
    """One symbol, in segments of ``segment_s``."""

    updates_per_s: float
    segment_s: float = 60.0
    keyframe_bytes: float = KEYFRAME_BYTES
    update_bytes: float = UPDATE_BYTES

    # The tape

    @property
    def segment_bytes(self) -> float:
        """Bytes of a segment."""
        return self.keyframe_bytes + self.update_bytes * self.updates_per_s * self.segment_s

    @property
    def index_bytes(self) -> float:
        """Bytes of a day's index when the day is over."""
        return INDEX_ROW_BYTES * _DAY_S / self.segment_s

    @property
    def day_bytes(self) -> float:
        """Bytes of a day of it."""
        return self.segment_bytes * _DAY_S / self.segment_s + self.index_bytes

    @property
    def puts_per_s(self) -> float:
        """Writes a second: segments and their day's index, and once a day the index of days."""
        return 2 / self.segment_s + 1 / _DAY_S

    @property
    def gets_per_s(self) -> float:
        """Reads a second of who writes: both indexes."""
        return 2 / self.segment_s

    @property
    def written_per_s(self) -> float:
        """Bytes of the writes."""
        return (self.segment_bytes + self.index_bytes / 2) / self.segment_s

    @property
    def read_per_s(self) -> float:
        """Bytes of the reads."""
        return self.index_bytes / 2 / self.segment_s

    # The heatmap

    @property
    def heat_day_bytes(self) -> float:
        """Bytes of a day's tiles."""
        return MINUTE_TILE_BYTES * 1440 + HOUR_TILE_BYTES * 24 + DAY_TILE_BYTES

    @property
    def heat_puts_per_s(self) -> float:
        """Writes a second: with each minute its tile and the hour's, with each hour the day's and the
        list."""
        return 2 / _MINUTE_S + 2 / _HOUR_S

    @property
    def heat_gets_per_s(self) -> float:
        """Reads a second: with each segment all of its minute, with each minute the hour's tile, with each
        hour the day's and the list."""
        return self._segments_read_per_s + 1 / _MINUTE_S + 2 / _HOUR_S

    @property
    def _segments_read_per_s(self) -> float:
        return max(1.0, _MINUTE_S / self.segment_s) / self.segment_s

    @property
    def heat_written_per_s(self) -> float:
        """Bytes of the writes."""
        hourly = DAY_TILE_BYTES / 2 / _HOUR_S
        return (MINUTE_TILE_BYTES + HOUR_TILE_BYTES / 2) / _MINUTE_S + hourly

    @property
    def heat_read_per_s(self) -> float:
        """Bytes of the reads."""
        tiles = HOUR_TILE_BYTES / 2 / _MINUTE_S + DAY_TILE_BYTES / 2 / _HOUR_S
        return self.segment_bytes * self._segments_read_per_s + tiles
