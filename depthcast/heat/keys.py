"""THE CONTRACT of the heatmap's keys: tile <-> key, built and parsed here and nowhere else. Pure.

::

    heat/venue=binance/symbol=ETHUSDT/zoom=0/date=2024-08-08/23-54-00.heat
    heat/venue=binance/symbol=ETHUSDT/index.json

Times are UTC, and a tile's is the one it begins at.
"""

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from depthcast.errors import BadKey
from depthcast.files import valid_symbol
from depthcast.heat.zooms import ZOOMS

HEAT_PREFIX: Final = "heat/"
"""What lies below it is published: anybody may read it."""

_VENUE = r"[a-z0-9][a-z0-9_-]{0,39}"
_VENUE_KEY = re.compile(_VENUE)
_TILE = re.compile(
    rf"{HEAT_PREFIX}venue=(?P<venue>{_VENUE})/symbol=(?P<symbol>[^/]+)/zoom=(?P<zoom>[0-9])"
    r"/date=(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})/(?P<time>[0-9]{2}-[0-9]{2}-[0-9]{2})\.heat"
)
_MANIFEST = re.compile(rf"{HEAT_PREFIX}venue=(?P<venue>{_VENUE})/symbol=(?P<symbol>[^/]+)/index\.json")

_MAX_TIME_MS: Final = 253_402_300_799_999  # the last millisecond of the year 9999
_TIME: Final = "%Y-%m-%d/%H-%M-%S"


class TileName(NamedTuple):
    """Which tile: of what, at which zoom, from when on (ms since 1970)."""

    venue: str
    symbol: str
    zoom: int
    start_ms: int


class ManifestName(NamedTuple):
    """Whose manifest."""

    venue: str
    symbol: str


def tile_key(venue: str, symbol: str, zoom: int, start_ms: int) -> str:
    """The key of the tile that begins at ``start_ms``.

    Raises :class:`~depthcast.errors.BadKey` where nothing can have it, ``ValueError`` where no tile of that
    zoom begins then.

    >>> tile_key("binance", "ETHUSDT", 0, 1723161240000)
    'heat/venue=binance/symbol=ETHUSDT/zoom=0/date=2024-08-08/23-54-00.heat'
    """
    folder = _folder(venue, symbol)
    if not 0 <= zoom < len(ZOOMS) or not 0 <= start_ms <= _MAX_TIME_MS or start_ms % ZOOMS[zoom].tile_ms:
        raise ValueError(f"no tile of zoom {zoom} begins at {start_ms}")
    date, _, time = datetime.fromtimestamp(start_ms // 1000, UTC).strftime(_TIME).partition("/")
    return f"{folder}zoom={zoom}/date={date}/{time}.heat"


def manifest_key(venue: str, symbol: str) -> str:
    """The key of the list of a symbol's tiles (:mod:`depthcast.heat.manifest`).

    >>> manifest_key("binance", "ETHUSDT")
    'heat/venue=binance/symbol=ETHUSDT/index.json'
    """
    return f"{_folder(venue, symbol)}index.json"


def parse_key(key: str) -> TileName | ManifestName:
    """What ``key`` names. Raises :class:`~depthcast.errors.BadKey`.

    >>> parse_key("heat/venue=binance/symbol=ETHUSDT/zoom=1/date=2024-08-08/23-00-00.heat")
    TileName(venue='binance', symbol='ETHUSDT', zoom=1, start_ms=1723158000000)
    """
    if found := _MANIFEST.fullmatch(key):
        _folder(found["venue"], found["symbol"])
        return ManifestName(found["venue"], found["symbol"])
    tile = _TILE.fullmatch(key)
    if tile is None:
        raise BadKey(key, "neither a tile of a heatmap nor a list of them")
    zoom = int(tile["zoom"])
    try:
        moment = datetime.strptime(f"{tile['date']}/{tile['time']}", _TIME).replace(tzinfo=UTC)
        name = TileName(tile["venue"], tile["symbol"], zoom, round(moment.timestamp() * 1000))
        tile_key(*name)
    except ValueError as error:
        raise BadKey(key, str(error)) from None
    return name


def _folder(venue: str, symbol: str) -> str:
    if not _VENUE_KEY.fullmatch(venue):
        raise BadKey(venue, "a venue is spelled with lower-case letters, digits, '-' and '_'")
    if not valid_symbol(symbol):
        raise BadKey(symbol, "it is not spelled like a symbol")
    return f"{HEAT_PREFIX}venue={venue}/symbol={symbol}/"
