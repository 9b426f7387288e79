"""All schemes there are. A venue is named here and in :mod:`depthcast.venues.registry`. Pure."""

from collections.abc import Mapping
from typing import Final

from depthcast.scheme import Scheme
from depthcast.venues.binance_files import BINANCE, BINANCE_COINM, BINANCE_US, BINANCE_USDM
from depthcast.venues.bitmex_files import BITMEX
from depthcast.venues.coinbase_files import COINBASE

SCHEMES: Final[Mapping[str, Scheme]] = {
    scheme.venue: scheme for scheme in (BINANCE, BINANCE_US, BINANCE_USDM, BINANCE_COINM, COINBASE, BITMEX)
}
"""By the venue's name. No two of them share a key."""
