"""Keys of the heatmap, there and back."""

import pytest

from depthcast.errors import BadKey
from depthcast.heat.keys import HEAT_PREFIX, ManifestName, TileName, manifest_key, parse_key, tile_key
from depthcast.heat.zooms import DAY, HOUR, MINUTE
from depthcast.store.key import check_key

MIDNIGHT_MS = 1_723_161_600_000  # 2024-08-09


@pytest.mark.parametrize("symbol", ["ETHUSDT", "币安人生USDT", "A-B.C_D", "X" * 50])
@pytest.mark.parametrize("zoom", [MINUTE, HOUR, DAY])
@pytest.mark.parametrize("times", [-1, 0, 1])
def test_a_key_is_parsed_back(symbol: str, zoom: tuple[int, int, int], times: int) -> None:
    start_ms = MIDNIGHT_MS + times * zoom[1]
    key = tile_key("binance", symbol, zoom[0], start_ms)
    assert check_key(key) == key
    assert key.startswith(HEAT_PREFIX)
    assert parse_key(key) == TileName("binance", symbol, zoom[0], start_ms)
    manifest = manifest_key("binance-usdm", symbol)
    assert check_key(manifest) == manifest
    assert parse_key(manifest) == ManifestName("binance-usdm", symbol)


def test_keys_say_the_time_in_utc() -> None:
    assert tile_key("binance", "ETHUSDT", 2, MIDNIGHT_MS) == (
        "heat/venue=binance/symbol=ETHUSDT/zoom=2/date=2024-08-09/00-00-00.heat"
    )
    assert tile_key("binance", "ETHUSDT", 0, MIDNIGHT_MS - 60_000).endswith("/date=2024-08-08/23-59-00.heat")


@pytest.mark.parametrize(
    ("zoom", "start_ms"),
    [(3, MIDNIGHT_MS), (-1, MIDNIGHT_MS), (0, 1), (1, 60_000), (2, 3_600_000), (0, -60_000)],
)
def test_there_is_no_tile_but_at_its_own_time(zoom: int, start_ms: int) -> None:
    with pytest.raises(ValueError, match="no tile of zoom"):
        tile_key("binance", "ETHUSDT", zoom, start_ms)


@pytest.mark.parametrize(
    ("venue", "symbol"), [("Binance", "ETHUSDT"), ("", "X"), ("binance", "eth"), ("b", "A/B")]
)
def test_misspelled_names_have_no_key(venue: str, symbol: str) -> None:
    with pytest.raises(BadKey):
        tile_key(venue, symbol, 0, 0)
    with pytest.raises(BadKey):
        manifest_key(venue, symbol)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "api/v3/depth?symbol=ETHUSDT&limit=5",
        "heat/venue=binance/symbol=ETHUSDT/zoom=0/date=2024-08-08/23-54-30.heat",
        "heat/venue=binance/symbol=ETHUSDT/zoom=3/date=2024-08-08/00-00-00.heat",
        "heat/venue=binance/symbol=ETHUSDT/zoom=0/date=2024-02-30/23-54-00.heat",
        "heat/venue=binance/symbol=ETHUSDT/zoom=0/date=2024-08-08/24-00-00.heat",
        "heat/venue=binance/symbol=ethusdt/zoom=0/date=2024-08-08/23-54-00.heat",
        "heat/venue=binance/symbol=ETHUSDT/zoom=0/date=2024-08-08/23-54-00.heat.gz",
        "heat/venue=binance/symbol=ethusdt/index.json",
        "heat/venue=binance/index.json",
    ],
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadKey):
        parse_key(key)
