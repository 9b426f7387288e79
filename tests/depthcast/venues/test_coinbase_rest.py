"""Requests for Coinbase's books, and its refusals (api-reference, D.4)."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.venues import coinbase_rest as rest
from depthcast.venues.requests import ApiError, DepthRequest, refuse_nothing


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (b"BTC-USD?", 1),
        (b"BTC-USD", 1),
        (b"BTC-USD?level=1", 1),
        (b"BTC-USD?level=2", 2),
        (b"BTC-USD?foo=bar&level=3", 3),
        (b"BTC-USD?lev%65l=%32", 2),
        (b"BTC-USD?level=2&level=3", 3),
    ],
)
def test_a_level_is_one_where_none_is_asked_for(text: bytes, level: int) -> None:
    assert rest.parse_book(text) == DepthRequest("BTC-USD", level, None)


@pytest.mark.parametrize("level", [b"4", b"0", b"", b"-1", b"two", b"1.0", b"9" * 5000, b"\xff"])
def test_another_level_is_refused_in_the_exchange_s_words(level: bytes) -> None:
    refused = rest.parse_book(b"BTC-USD?level=" + level)
    assert isinstance(refused, ApiError)
    assert (refused.status, refused.body()) == (400, b'{"message":"unexpected level: _"}')


@pytest.mark.parametrize("symbol", [b"btc-usd", b"..", b"", b"A" * 51, b"\xff", b"A B"])
def test_what_is_spelled_like_no_product_is_not_found(symbol: bytes) -> None:
    refused = rest.parse_book(symbol + b"?level=2")
    assert isinstance(refused, ApiError)
    assert (refused.status, refused.body()) == (404, b'{"message":"NotFound"}')


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_a_refusal(text: bytes) -> None:
    found = rest.parse_book(text)
    if isinstance(found, ApiError):
        assert list(json.loads(found.body())) == ["message"]
    else:
        assert found.limit in (1, 2, 3)


@given(st.integers(0, 4 * 10**15))
def test_the_time_is_told_twice(now_us: int) -> None:
    told = json.loads(rest.time_body(now_us, "MILLISECOND"))
    assert round(told["epoch"] * 1000) == now_us // 1000
    assert round(datetime.fromisoformat(told["iso"]).timestamp() * 1000) == now_us // 1000
    assert refuse_nothing(b"a=1") is None


def test_who_goes_over_a_limit_is_told_in_the_venue_s_words() -> None:
    refused = rest.too_much(30, 12)
    assert refused.status == 429
    assert refused.msg.startswith("Public rate limit exceeded")
