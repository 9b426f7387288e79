"""Names of streams, and the best prices that they send."""

import json
from random import Random

import pytest

from depthcast.errors import BadFile
from depthcast.venues.binance_streams import (
    FUTURES_STREAMS,
    SPOT_STREAMS,
    futures_ticker,
    parse_futures_name,
    parse_name,
    ticker,
)
from simulator.exchange import BookTicker
from simulator.truth import Times


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("btcusdt@depth5", ("BTCUSDT", 5, 1000)),
        ("btcusdt@depth10@100ms", ("BTCUSDT", 10, 100)),
        ("btcusdt@depth20", ("BTCUSDT", 20, 1000)),
        ("btcusdt@bookTicker", ("BTCUSDT", 0, 0)),
        ("币安人生usdt@depth5", ("币安人生USDT", 5, 1000)),
        ("4-a._usdt@depth5", ("4-A._USDT", 5, 1000)),
        ("straßeusdt@depth5", ("STRAßEUSDT", 5, 1000)),
    ],
)
def test_streams_that_are_delivered(name: str, stream: tuple[str, int, int]) -> None:
    assert parse_name(name) == stream


@pytest.mark.parametrize(
    "name",
    [
        "",
        "btcusdt",
        "@depth5",
        "BTCUSDT@depth5",
        "btcUsdt@depth5",
        "btcusdt@depth",
        "btcusdt@depth@100ms",
        "btcusdt@depth7",
        "btcusdt@depth50",
        "btcusdt@depth5@1000ms",
        "btcusdt@depth5@100MS",
        "btcusdt@bookticker",
        "btcusdt@bookTicker@100ms",
        "btc/usdt@depth5",
        "btc usdt@depth5",
        "a" * 51 + "@depth5",
        "a" * 5000 + "@depth5",
        "btcusdt@depth5\n",
        "!bookTicker",
    ],
)
def test_names_that_stay_silent(name: str) -> None:
    assert parse_name(name) is None


@pytest.mark.parametrize("name", ["btcusdt@bookTicker", "btcusd_perp@bookTicker"])
def test_of_futures_the_best_prices_are_delivered(name: str) -> None:
    assert parse_futures_name(name) == (name.partition("@")[0].upper(), 0, 0)


@pytest.mark.parametrize(
    "name", ["btcusdt@depth5", "btcusdt@depth20@100ms", "btcusdt@depth@100ms", "BTCUSDT@bookTicker", "@"]
)
def test_of_futures_partial_books_and_diffs_stay_silent(name: str) -> None:
    assert parse_futures_name(name) is None


def test_limits_are_those_of_the_exchange() -> None:
    spot, futures = SPOT_STREAMS.limits, FUTURES_STREAMS.limits
    assert (spot.messages_a_second, spot.ping_every_s, spot.pong_within_s) == (5, 20, 60)
    assert (futures.messages_a_second, futures.ping_every_s, futures.pong_within_s) == (10, 180, 600)
    assert spot.streams == futures.streams == 1024
    assert (SPOT_STREAMS.route, FUTURES_STREAMS.route) == ("", "/public")


@pytest.mark.parametrize("pair", [None, "BTCUSD"])
def test_the_best_prices_are_the_exchange_s_own_message(pair: str | None) -> None:
    rng = Random(1)
    symbol = "BTCUSDT" if pair is None else "BTCUSD_PERP"
    for _ in range(50):
        update_id, event_ms = rng.randrange(2**62), rng.randrange(10**13)
        bid, ask = ((str(rng.randrange(10**6)), str(rng.randrange(10**6))) for _ in range(2))
        top = BookTicker(symbol, update_id, *bid, *ask, Times(event_ms, event_ms - 7), pair)
        names = "" if pair is None else f'"symbol":"{symbol}","pair":"{pair}",'
        body = f'{{"lastUpdateId":{update_id},{names}"E":{event_ms},"T":{event_ms - 7},"bids":[],"asks":[]}}'
        assert futures_ticker(symbol, update_id, bid, ask, body.encode()) == top.data().encode()
        spot = BookTicker(symbol, update_id, *bid, *ask)
        assert ticker(symbol, update_id, bid, ask, b"") == spot.data().encode()


def test_a_futures_file_without_times_makes_no_message() -> None:
    body = json.dumps({"lastUpdateId": 1, "bids": [], "asks": []}, separators=(",", ":")).encode()
    with pytest.raises(BadFile, match="times"):
        futures_ticker("A", 1, ("1", "1"), ("2", "1"), body)
