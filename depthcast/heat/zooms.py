"""The zooms: how long a tile is, and how long each of its columns. Pure."""

from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000


class Zoom(NamedTuple):
    """One zoom. ``tile_ms`` divides a day and is a multiple of the finer zoom's; ``column_ms`` likewise."""

    number: int
    tile_ms: int
    column_ms: int

    @property
    def columns(self) -> int:
        """Columns of a tile."""
        return self.tile_ms // self.column_ms

    @property
    def children(self) -> int:
        """How many tiles of the zoom below a tile consists of; 0 where it is made from the tape itself."""
        return self.tile_ms // ZOOMS[self.number - 1].tile_ms if self.number else 0

    def start_of(self, time_ms: int) -> int:
        """When the tile begins in which ``time_ms`` lies.

        >>> ZOOMS[1].start_of(1723161253000)
        1723158000000
        """
        return time_ms - time_ms % self.tile_ms


ZOOMS: Final = (Zoom(0, 60_000, 1_000), Zoom(1, 3_600_000, 15_000), Zoom(2, DAY_MS, 300_000))
"""A minute by the second, an hour by fifteen seconds, a day by five minutes."""

MINUTE: Final = ZOOMS[0]
HOUR: Final = ZOOMS[1]
DAY: Final = ZOOMS[2]


def suits(length_s: int) -> bool:
    """Whether tiles can be made of segments of the tape that are so long: they divide a minute, or are some.

    >>> suits(60), suits(10), suits(300), suits(90)
    (True, True, True, False)
    """
    minute_s = MINUTE.tile_ms // 1000
    return minute_s % length_s == 0 or length_s % minute_s == 0
