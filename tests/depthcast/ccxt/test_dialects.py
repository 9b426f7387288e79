"""What differs between exchanges: what limits mean, where they are, what is asked of a server."""

from typing import Any

import ccxt
import pytest

from depthcast.ccxt.dialects import BINANCE, BINANCE_COINM, BINANCE_US, BINANCE_USDM, BITMEX, Dialect
from depthcast.ccxt.options import parse_options


@pytest.mark.parametrize(
    ("limit", "levels"), [(None, 100), (1, 1), (7, 7), (5000, 5000), (5001, 5000), (10**30, 5000)]
)
def test_a_limit_means_as_many_levels_as_on_the_exchange(limit: int | None, levels: int) -> None:
    assert BINANCE.levels(limit, {}) == levels


@pytest.mark.parametrize(
    ("limit", "levels"), [(None, 500), (5, 5), (1000, 1000), (7, None), (1, None), (5000, None)]
)
def test_futures_have_a_ladder_of_limits(limit: int | None, levels: int | None) -> None:
    assert BINANCE_USDM.levels(limit, {}) == levels


@pytest.mark.parametrize("limit", [0, -1, "5", 5.0, True, False, [5], float("nan")])
@pytest.mark.parametrize("dialect", [BINANCE, BINANCE_USDM])
def test_what_is_no_limit_is_the_exchange_s_to_refuse(dialect: Dialect, limit: Any) -> None:
    assert dialect.levels(limit, {}) is None


def test_addresses_carry_what_was_asked_and_nothing_else() -> None:
    assert (
        BINANCE.book_url("http://b/", "币安人生USDT", 7, {"symbolStatus": "TRADING"})
        == "http://b/api/v3/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=7&symbolStatus=TRADING"
    )
    assert BINANCE.book_url("http://b", "A", "1&x=2", {}) == "http://b/api/v3/depth?symbol=A&limit=1%26x%3D2"
    assert BINANCE_US.book_url("http://b", "A", 5, {}) == "http://b/binanceus/api/v3/depth?symbol=A&limit=5"
    assert BINANCE_USDM.book_url("http://b", "A", 5, {}) == "http://b/fapi/v1/depth?symbol=A&limit=5"
    prices = "http://b/api/v3/ticker/bookTicker"
    assert BINANCE.ticker_url("http://b", None, {}) == prices
    assert BINANCE.ticker_url("http://b", ["A"], {}) == f"{prices}?symbols=%5B%22A%22%5D"
    # Of futures one or all can be asked for.
    assert BINANCE_USDM.ticker_url("http://b", ["A", "B"], {}) == "http://b/fapi/v1/ticker/bookTicker"


@pytest.mark.parametrize(
    ("options", "public", "expected"),
    [
        ({}, "https://api.binance.com/api/v3", (None, None)),
        ({}, "https://api3.binance.com/api/v3", (None, None)),
        (
            {},
            "https://demo-api.binance.com/api/v3",
            ("https://demo-api.binance.com", "wss://demo-stream.binance.com"),
        ),
        (
            {"ws_url": "ws://localhost:9"},
            "http://localhost:8/api/v3",
            ("http://localhost:8", "ws://localhost:9"),
        ),
        (
            {"rest_url": "http://h:1", "ws_url": "ws://h:1"},
            "https://api.binance.com/api/v3",
            ("http://h:1", "ws://h:1"),
        ),
        (
            {"rest_url": "https://api.binance.com"},
            "http://mirror/api/v3",
            ("https://api.binance.com", None),
        ),
    ],
)
def test_books_are_those_of_the_site_that_the_exchange_object_talks_to(
    options: dict[str, Any], public: str, expected: tuple[str | None, str | None]
) -> None:
    assert BINANCE.exchange_urls(parse_options(options), public) == expected


def test_a_site_whose_streams_are_unknown_is_not_taken_for_another() -> None:
    for options in ({}, {"rest_url": "http://elsewhere"}):
        with pytest.raises(ccxt.ArgumentsRequired, match="ws_url"):
            BINANCE.exchange_urls(parse_options(options), "https://api.example.com/api/v3")


def test_bitmex_has_depths_and_no_numbers() -> None:
    levels = [BITMEX.levels(limit, {}) for limit in (None, 0, 1, 9999, -1, "5", True)]
    assert levels == [25, 0, 1, 9999, None, None, None]
    assert BITMEX.nonce(77) is None
    assert BITMEX.book_url("http://b", "XBTUSD", 25, {"depth": 25}) == (
        "http://b/api/v1/orderBook/L2?symbol=XBTUSD&depth=25"
    )
    rows = [
        {"side": "Sell", "price": 2.5, "size": 3, "timestamp": "2026-11-20T10:00:00.100Z"},
        {"side": "Sell", "price": 2.4, "size": 1, "timestamp": "2026-11-20T10:00:00.200Z"},
        {"side": "Buy", "price": None, "size": 1, "timestamp": "2026-11-20T10:00:00.000Z"},
        {"side": "Buy", "price": 2.0, "size": 7, "timestamp": "2026-11-20T10:00:00.000Z"},
    ]
    assert BITMEX.is_book(rows)
    assert BITMEX.parse(rows, False) == ([[2.0, 7.0]], [[2.4, 1.0], [2.5, 3.0]], 0, 1795168800200)
    assert BITMEX.parse(rows, True).asks == [["2.4", "1"], ["2.5", "3"]]


def test_contracts_are_of_one_side() -> None:
    market = {"contract": True, "option": False, "linear": False, "inverse": True}
    assert (BINANCE_COINM.keeps(market), BINANCE_USDM.keeps(market)) == (True, False)
    assert BINANCE_COINM.book_url("http://b", "BTCUSD_PERP", 5, {}) == (
        "http://b/dapi/v1/depth?symbol=BTCUSD_PERP&limit=5"
    )
