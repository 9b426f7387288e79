"""The venues' lists as typed values, which lose nothing and know what they do not know."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from depthcast.errors import MalformedAnswer
from depthcast.metadata.document import read_json
from depthcast.venues.binance_futures_models import Contract, ContractInfo, ContractStatus, ContractType
from depthcast.venues.bitmex_models import Instrument, InstrumentState, instruments_of
from depthcast.venues.coinbase_models import Product, ProductStatus, products_of

CONTRACT: dict[str, Any] = {
    "symbol": "BTCUSDT_270326",
    "pair": "BTCUSDT",
    "contractType": "NEXT_QUARTER",
    "deliveryDate": 1_805_961_600_000,
    "onboardDate": 1_790_236_800_000,
    "status": "PENDING_TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 1,
    "quantityPrecision": 3,
    "underlyingType": "COIN",
    "underlyingSubType": ["PoW"],
    "triggerProtect": "0.0500",
    "liquidationFee": "0.010000",
    "marketTakeBound": "0.05",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "576.3", "maxPrice": "1000000", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "500", "stepSize": "0.001"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "10", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ],
    "orderTypes": ["LIMIT", "MARKET"],
    "timeInForce": ["GTC", "GTD"],
}


def test_a_contract_reads_as_documented() -> None:
    whole = {
        "timezone": "UTC",
        "serverTime": 1_800_000_000_000,
        "rateLimits": [{"limit": 2400}],
        "symbols": [CONTRACT],
    }
    body = json.dumps(whole, separators=(",", ":")).encode()
    info = ContractInfo.of(body)
    assert info.to_json() == body
    assert info.server_time == datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert info.rate_limits[0].limit == 2400
    [contract] = info.contracts.values()
    assert (contract.symbol, contract.pair, contract.base_asset) == ("BTCUSDT_270326", "BTCUSDT", "BTC")
    assert (contract.quote_asset, contract.margin_asset) == ("USDT", "USDT")
    assert contract.contract_type is ContractType.NEXT_QUARTER
    assert contract.status is ContractStatus.PENDING_TRADING
    assert contract.delivery_date == datetime(2027, 3, 25, 8, tzinfo=UTC)
    assert contract.onboard_date == datetime(2026, 9, 24, 8, tzinfo=UTC)
    assert (contract.price_precision, contract.quantity_precision) == (1, 3)
    assert (contract.underlying_type, contract.underlying_sub_types) == ("COIN", ("PoW",))
    told = (contract.trigger_protect, contract.liquidation_fee, contract.market_take_bound)
    assert told == tuple(map(Decimal, ("0.0500", "0.010000", "0.05")))
    assert (contract.order_types, contract.times_in_force) == (("LIMIT", "MARKET"), ("GTC", "GTD"))
    assert contract.price is not None
    assert contract.price.tick_size == Decimal("0.1")
    assert contract.lot is not None
    assert contract.lot.step_size == Decimal("0.001")
    assert contract.market_lot is not None
    assert contract.market_lot.max_qty == Decimal(10)
    assert contract.min_notional == Decimal(5)


def test_a_contract_of_which_little_is_told_says_so() -> None:
    contract = Contract({"symbol": "A", "status": "ON_THE_MOON", "contractType": ""})
    assert (contract.status, contract.contract_type) == ("ON_THE_MOON", "")
    assert [contract.price, contract.lot, contract.market_lot, contract.min_notional] == [None] * 4
    assert contract.delivery_date is None


def test_a_product_reads_as_documented() -> None:
    flags = {"post_only": False, "limit_only": True, "cancel_only": False, "trading_disabled": False}
    entry = {
        "id": "BTC-USD",
        "base_currency": "BTC",
        "quote_currency": "USD",
        "quote_increment": "0.01",
        "base_increment": "0.00000001",
        "min_market_funds": "1",
        "status": "delisted",
        "status_message": "it is gone",
        "max_slippage_percentage": "0.02000000",
        "auction_mode": True,
        **flags,
    }
    [product] = products_of(json.dumps([entry]).encode()).values()
    assert product.raw == entry
    assert (product.id, product.base_currency, product.quote_currency) == ("BTC-USD", "BTC", "USD")
    assert (product.quote_increment, product.base_increment) == (Decimal("0.01"), Decimal("1E-8"))
    assert (product.min_market_funds, product.max_slippage_percentage) == (Decimal(1), Decimal("0.02"))
    assert (product.status, product.status_message) == (ProductStatus.DELISTED, "it is gone")
    assert (product.post_only, product.limit_only, product.cancel_only) == (False, True, False)
    assert (product.trading_disabled, product.auction_mode) == (False, True)
    assert Product({"id": "A-B", "status": "new"}).status == "new"
    with pytest.raises(MalformedAnswer, match="no whole JSON list"):
        products_of(b'{"message":"Internal server error"}')


def test_an_instrument_reads_as_documented() -> None:
    body = (
        b'[{"symbol":"XBTZ26","state":"Settled","typ":"FFCCSX","listing":"2026-06-26T12:00:00.000Z",'
        b'"expiry":"2026-12-25T12:00:00.000Z","settle":"2026-12-25T12:00:00.000Z","underlying":"XBT",'
        b'"quoteCurrency":"USD","settlCurrency":"XBt","tickSize":0.5,"lotSize":100,"maxOrderQty":10000000,'
        b'"maxPrice":1000000,"multiplier":-100000000,"isInverse":true,"isQuanto":false,"initMargin":0.01,'
        b'"maintMargin":0.005,"makerFee":-0.0001,"takerFee":0.00075,"settlementFee":0.0005}]'
    )
    [one] = instruments_of(body).values()
    assert [dict(one.raw)] == read_json(body)
    assert (one.symbol, one.state, one.typ) == ("XBTZ26", InstrumentState.SETTLED, "FFCCSX")
    assert (one.underlying, one.quote_currency, one.settlement_currency) == ("XBT", "USD", "XBt")
    assert one.listing == datetime(2026, 6, 26, 12, tzinfo=UTC)
    assert one.expiry == one.settle == datetime(2026, 12, 25, 12, tzinfo=UTC)
    assert (one.tick_size, one.lot_size, one.max_order_qty) == (
        Decimal("0.5"),
        Decimal(100),
        Decimal(10_000_000),
    )
    assert (one.max_price, one.multiplier) == (Decimal(1_000_000), -100_000_000)
    assert (one.is_inverse, one.is_quanto) == (True, False)
    assert (one.initial_margin, one.maintenance_margin) == (Decimal("0.01"), Decimal("0.005"))
    assert (one.maker_fee, one.taker_fee, one.settlement_fee) == tuple(
        map(Decimal, ("-0.0001", "0.00075", "0.0005"))
    )
    assert Instrument({"symbol": "XBTUSD", "state": "Open", "expiry": None}).expiry is None
    with pytest.raises(MalformedAnswer, match="no time"):
        _ = Instrument({"symbol": "XBTUSD", "expiry": "soon"}).expiry
