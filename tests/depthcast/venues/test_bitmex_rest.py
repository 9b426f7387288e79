"""What BitMEX's requests mean, and how they are refused."""

import json

import pytest

from depthcast.venues.bitmex_rest import (
    BAD_DEPTH,
    NO_SYMBOL,
    NOT_FOUND,
    UNAVAILABLE,
    about_body,
    parse_depth,
    too_much,
)
from depthcast.venues.requests import ApiError, DepthRequest, refuse_nothing


@pytest.mark.parametrize(
    ("query", "symbol", "depth"),
    [
        (b"symbol=XBTUSD", "XBTUSD", 25),
        (b"symbol=XBTUSD&depth=0", "XBTUSD", 0),
        (b"depth=1&symbol=XBT_USDT", "XBT_USDT", 1),
        (b"symbol=XBTUSD&depth=2147483647&columns=price", "XBTUSD", 2147483647),
        (b"symbol=XBT%5FUSDT", "XBT_USDT", 25),
    ],
)
def test_a_request_is_a_symbol_and_a_depth(query: bytes, symbol: str, depth: int) -> None:
    assert parse_depth(query) == DepthRequest(symbol, depth, None)


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        (b"", NO_SYMBOL),
        (b"symbol=", NO_SYMBOL),
        (b"depth=25", NO_SYMBOL),
        (b"symbol=XBTUSD&depth=", BAD_DEPTH),
        (b"symbol=XBTUSD&depth=-1", BAD_DEPTH),
        (b"symbol=XBTUSD&depth=all", BAD_DEPTH),
        (b"symbol=XBTUSD&depth=2147483648", BAD_DEPTH),
        ("symbol=XBTUSD&depth=٣".encode(), BAD_DEPTH),
        (b"symbol=xbtusd", NOT_FOUND),
        (b"symbol=A/B", NOT_FOUND),
    ],
)
def test_what_is_no_request_is_refused_in_the_exchanges_form(query: bytes, refusal: ApiError) -> None:
    assert parse_depth(query) is refusal
    assert json.loads(refusal.body()) == {"error": {"message": refusal.msg, "name": "HTTPError"}}


def test_a_book_that_cannot_be_had_is_503() -> None:
    assert (UNAVAILABLE.status, json.loads(UNAVAILABLE.body())["error"]["name"]) == (503, "HTTPError")


def test_the_api_tells_its_time() -> None:
    assert json.loads(about_body(1_700_000_000_123_456, ""))["timestamp"] == 1_700_000_000_123
    assert refuse_nothing(b"anything=1") is None


def test_who_goes_over_a_limit_is_told_in_the_venue_s_words() -> None:
    refused = too_much(30, 12)
    assert refused.status == 429
    message = "Rate limit exceeded, retry in 12 seconds."
    assert json.loads(refused.body()) == {"error": {"message": message, "name": "RateLimitError"}}
