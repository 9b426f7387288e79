"""Coinbase's time and its products' restrictions."""

import pytest

from depthcast.errors import MalformedAnswer
from depthcast.symbol_list import Entry, Parts
from depthcast.venues.coinbase_lists import (
    ProductsRequest,
    parse_product,
    parse_products,
    parse_time,
    row,
    select,
    worded,
)
from depthcast.venues.requests import ApiError


def test_the_time_is_read_in_seconds_or_parts_of_them() -> None:
    assert parse_time(b'{"iso":"2024-08-08T23:54:13Z","epoch":1723161253}') == 1_723_161_253_000
    assert parse_time(b'{"epoch":1723161253.007}') == 1_723_161_253_007


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"epoch":"5"}', b'{"epoch":true}', b'{"epoch":0}', b'{"epoch":1e99}']
)
def test_what_is_no_time_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="/time"):
        parse_time(body)


def test_what_is_restricted_is_a_note() -> None:
    flags = {"cancel_only": True, "auction_mode": True, "post_only": False, "limit_only": "yes"}
    assert row({"id": "A-B", "status": "online", **flags}).note == "cancel_only auction_mode"


def test_products_are_asked_for_all_at_once_or_one_by_one() -> None:
    entry = Entry("BTC-USD", "online", frozenset(), b'{"id":"BTC-USD"}')
    parts = Parts(b'[{"id":"BTC-USD"}]', b"[", {"BTC-USD": entry}, b"]")
    assert select(parts, parse_products(b"limit=5")) == parts.whole
    assert parse_product(b"BTC-USD?x=1") == ProductsRequest("BTC-USD")
    assert select(parts, ProductsRequest("BTC-USD")) == entry.body
    gone = select(parts, ProductsRequest("ETH-USD"))
    for refused in (gone, parse_product(b"btc?")):
        assert isinstance(refused, ApiError)
        assert (refused.status, refused.body()) == (404, b'{"message":"NotFound"}')


def test_a_refusal_of_ours_is_in_the_exchange_s_form() -> None:
    assert worded(ApiError(400, -1100, "No.")).body() == b'{"message":"No."}'
