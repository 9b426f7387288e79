"""Each venue's list of symbols: what it is called, how it is written, and how people are shown it.

The lists' side of :mod:`depthcast.venues.registry`: :mod:`depthcast.metadata` keeps each list with its
history by what is said here. What a list costs is the venue's
(:attr:`depthcast.venues.Venue.exchange_info_weight`). Pure.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from depthcast.symbol_list import LAYOUT, Layout
from depthcast.venues import bitmex_lists, coinbase_lists
from depthcast.venues.binance_files import BINANCE, BINANCE_COINM, BINANCE_US, BINANCE_USDM
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.coinbase_files import COINBASE
from depthcast.venues.shown import Shown, binance_row


class Clock(NamedTuple):
    """Where a venue tells its time whose list does not: a path, its weight, and how to read the answer.

    ``read`` returns milliseconds since 1970 and raises :class:`~depthcast.errors.MalformedAnswer`.
    """

    path: str
    weight: int
    read: Callable[[bytes], int]


class VenueList(NamedTuple):
    """One venue's list. ``name`` is its name in keys, ``path`` what the venue calls it.

    ``clock`` is asked before it where the list tells no time. ``row`` shows an entry to people.
    """

    name: str
    path: str
    layout: Layout
    clock: Clock | None
    row: Callable[[Mapping[str, Any]], Shown]


_SPOT: Final = VenueList("exchangeInfo", "/api/v3/exchangeInfo", LAYOUT, None, binance_row)

LISTS: Final[Mapping[str, VenueList]] = {
    BINANCE.venue: _SPOT,
    BINANCE_US.venue: _SPOT,
    BINANCE_USDM.venue: _SPOT._replace(path="/fapi/v1/exchangeInfo"),
    BINANCE_COINM.venue: _SPOT._replace(path="/dapi/v1/exchangeInfo", layout=Layout(status="contractStatus")),
    COINBASE.venue: VenueList(
        "products",
        coinbase_lists.LIST_PATH,
        coinbase_lists.LAYOUT,
        Clock(coinbase_lists.TIME_PATH, 1, coinbase_lists.parse_time),
        coinbase_lists.row,
    ),
    BITMEX.venue: VenueList(
        "instrument",
        bitmex_lists.LIST_PATH,
        bitmex_lists.LAYOUT,
        Clock(bitmex_lists.TIME_PATH, 1, bitmex_lists.parse_time),
        bitmex_lists.row,
    ),
}
"""By the venue's name."""


def list_of(venue: str) -> VenueList:
    """A venue's list.

    >>> list_of("coinbaseexchange").name, list_of("binance").layout.bare
    ('products', False)
    """
    return LISTS[venue]
