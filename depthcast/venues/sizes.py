"""How large each venue's files are: typical figures for plans, of recordings where there are any. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from depthcast.scheme import ALL
from depthcast.venues.binance_files import BINANCE, BINANCE_COINM, BINANCE_US, BINANCE_USDM
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.coinbase_files import COINBASE, ORDERS
from depthcast.venues.schemes import SCHEMES


class Size(NamedTuple):
    """A file: how many levels, or rows, a side it has at most, and the bytes of each."""

    levels: float
    level_bytes: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """One venue's: the bytes of a level, and how many of them a side has where all there are is shown.
    ``own``: by limit, what another kind of row makes of both, as factors."""

    level_bytes: float
    whole: float
    own: Mapping[int, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))


SIZES: Final[Mapping[str, Sizes]] = {
    # The mean of ETHUSDT's, as recorded on 2024-08-08.
    BINANCE.venue: Sizes(31.1, 5000),
    BINANCE_US.venue: Sizes(31.1, 5000),
    # Four books of 1,000 levels a side of 2021-04-17; COIN-M's numbers are as long.
    BINANCE_USDM.venue: Sizes(19.5, 1000),
    BINANCE_COINM.venue: Sizes(19.5, 1000),
    # Ten quiet products of 2021-04-17; large ones have tens of thousands of prices. Of orders there is no
    # recording: three of them at two prices are taken, each with an id of 36 letters in place of a count.
    COINBASE.venue: Sizes(22.0, 420, MappingProxyType({ORDERS: (1.5, 60 / 22)})),
    # XBTUSD on 2021-04-17 had 9,346 rows; a row is as it is written since July 2023.
    BITMEX.venue: Sizes(171.0, 4673),
}
"""By the venue's name."""


def size_of(venue: str, limit: int, *, level_bytes: float | None = None, whole: float | None = None) -> Size:
    """A file of a venue's ``limit``. ``level_bytes`` and ``whole``: what is known better.

    >>> size_of("binance", 100)
    Size(levels=100, level_bytes=31.1)
    >>> size_of("bitmex", 0, whole=10)
    Size(levels=10, level_bytes=171.0)
    """
    known = SIZES[venue]
    levels: float = SCHEMES[venue].depth(limit)
    if levels == ALL:
        levels = known.whole if whole is None else whole
    more, larger = known.own.get(limit, (1, 1))
    return Size(levels * more, (known.level_bytes if level_bytes is None else level_bytes) * larger)
