"""Streams of any venue are asked for alike."""

import pytest

from depthcast.venues.binance_files import BINANCE_USDM
from depthcast.venues.coinbase_files import COINBASE
from depthcast.venues.requests import ApiError, DepthRequest
from server.push.requests import parse_stream


def test_a_symbol_and_a_limit_of_the_venue_s() -> None:
    coinbase, futures = parse_stream(COINBASE), parse_stream(BINANCE_USDM)
    assert coinbase(b"symbol=BTC-USD&limit=2") == DepthRequest("BTC-USD", 2, None)
    assert coinbase(b"limit=3&symbol=BTC-USD") == coinbase(b"symbol=BTC-USD")
    assert futures(b"symbol=BTCUSDT&limit=20") == DepthRequest("BTCUSDT", 20, None)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"limit=5", -1102),
        (b"symbol=btc&limit=2", -1100),
        (b"symbol=BTC-USD&limit=20", -1130),
        (b"symbol=BTC-USD&limit=x", -1130),
        (b"symbol=BTC-USD&limit=99999999999999999999", -1130),
        (b"symbol=A&symbol=B", -1101),
    ],
)
def test_what_is_no_stream_is_refused(query: bytes, code: int) -> None:
    refused = parse_stream(COINBASE)(query)
    assert isinstance(refused, ApiError)
    assert refused.code == code
