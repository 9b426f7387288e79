"""Coinbase Exchange's products: how their list is written, and what counts of it. Pure.

``GET /products`` answers a list and tells no time; ``GET /products/{id}`` one product alone, or 404. Every
member counts: increments, ``min_market_funds``, ``status`` and the flags that say what may be done
(docs.cdp.coinbase.com, *Get all known trading pairs*)::

    {"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","quote_increment":"0.01",
     "base_increment":"0.00000001","display_name":"BTC-USD","min_market_funds":"1","margin_enabled":false,
     "post_only":false,"limit_only":false,"cancel_only":false,"status":"online","status_message":"",
     "trading_disabled":false,"fx_stablecoin":false,"max_slippage_percentage":"0.02","auction_mode":false,
     "high_bid_limit_percentage":""}
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from depthcast.errors import MalformedAnswer
from depthcast.symbol_list import Layout, Parts
from depthcast.venues.coinbase_files import COINBASE
from depthcast.venues.coinbase_rest import NOT_FOUND, CoinbaseError
from depthcast.venues.requests import ApiError
from depthcast.venues.shown import Shown, size_of, text_of

LIST_PATH: Final = "/products"
TIME_PATH: Final = "/time"

LAYOUT: Final = Layout(bare=True, name="id", timed=False, alone=True, absent=NOT_FOUND.body())

_FLAGS: Final = ("trading_disabled", "cancel_only", "post_only", "limit_only", "auction_mode")
_LATEST_S: Final = 10**10


def parse_time(body: bytes) -> int:
    """``{"iso":"2015-01-07T23:47:25.201Z","epoch":1420674445.201}`` in milliseconds since 1970.

    Raises :class:`~depthcast.errors.MalformedAnswer`.

    >>> parse_time(b'{"iso":"2015-01-07T23:47:25.201Z","epoch":1420674445.201}')
    1420674445201
    """
    try:
        epoch_s = orjson.loads(body)["epoch"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise MalformedAnswer(TIME_PATH, "no epoch in it") from None
    if isinstance(epoch_s, bool) or not isinstance(epoch_s, int | float) or not 0 < epoch_s < _LATEST_S:
        raise MalformedAnswer(TIME_PATH, "its epoch is no time in seconds")
    return round(epoch_s * 1000)


def worded(refusal: ApiError) -> ApiError:
    """A refusal of ours in Coinbase's form.

    >>> worded(ApiError(400, -1100, "No.")).body()
    b'{"message":"No."}'
    """
    return CoinbaseError(refusal.status, refusal.status, refusal.msg)


class ProductsRequest(NamedTuple):
    """A request for one product, or for all of them (``None``)."""

    product: str | None


def parse_products(query: bytes) -> ProductsRequest:
    """The request of ``GET /products``: it takes no parameters, and others are passed over."""
    return ProductsRequest(None)


def parse_product(text: bytes) -> ProductsRequest | ApiError:
    """The request of ``GET /products/{id}``: the id, ``?`` and the raw query.

    >>> parse_product(b"BTC-USD?"), parse_product(b"btc?").status
    (ProductsRequest(product='BTC-USD'), 404)
    """
    product = text.partition(b"?")[0].decode("utf-8", errors="replace")
    return ProductsRequest(product) if COINBASE.valid_symbol(product) else NOT_FOUND


def select(parts: Parts, request: ProductsRequest) -> bytes | ApiError:
    """What of the list answers a request: all of it, or a product alone."""
    if request.product is None:
        return parts.whole
    entry = parts.entries.get(request.product)
    return NOT_FOUND if entry is None else entry.body


def row(entry: Mapping[str, Any]) -> Shown:
    """A product; its note is what is restricted of it.

    >>> row({"id": "A-B", "status": "online", "quote_increment": "0.01", "post_only": True})[:4]
    ('A-B', 'online', 'post_only', Decimal('0.01'))
    """
    tick: Decimal | None = size_of(entry, "quote_increment")
    return Shown(
        text_of(entry, "id"),
        text_of(entry, "status"),
        " ".join(name for name in _FLAGS if entry.get(name) is True),
        tick,
        tick,  # "the quote_increment field specifies the min order price as well as the price increment"
        None,
        size_of(entry, "base_increment"),
        size_of(entry, "base_min_size"),
        size_of(entry, "base_max_size"),
        size_of(entry, "min_market_funds"),
    )
