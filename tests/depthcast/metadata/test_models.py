"""Documents as typed values, and back without loss."""

import gzip
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcast.errors import MalformedAnswer
from depthcast.metadata.document import read_json, write_json
from depthcast.metadata.history import History
from depthcast.metadata.kinds import EXCHANGE_INFO
from depthcast.metadata.models import (
    Account,
    Commission,
    ExchangeInfo,
    Interval,
    RateLimitType,
    SymbolStatus,
    System,
    SystemStatus,
)
from depthcast.metadata.recorder import Offering
from depthcast.store.memory import MemoryStore
from server.exchange_info import Listing
from tests.depthcast.metadata.documents import compact, listing, symbol
from tests.depthcast.metadata.test_recorder import inline, recorder_on

DATA = Path(__file__).parents[4] / "shared" / "data" / "binance_spot"
CAPTURED = ["cf_20210417_exchangeInfo.txt.gz", "cf_20210814_exchangeInfo.txt.gz"]


def captured(name: str) -> bytes:
    with gzip.open(DATA / name, "rt", encoding="utf-8", newline="\n") as lines:
        [body] = [found[1] for line in lines if (found := re.match(r"http\S+ -> [0-9.]+: (\{.*)\n", line))]
    return body.encode()


@pytest.mark.captures
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no captured exchange data in {DATA}")
@pytest.mark.parametrize("name", CAPTURED)
async def test_what_binance_answered_goes_through_file_model_and_back_unchanged(name: str) -> None:
    body = captured(name)
    store = MemoryStore(content_etags=True)
    offered = await recorder_on(store).offer(body, 0)
    assert offered.offering is Offering.RECORDED
    current = await store.get(EXCHANGE_INFO.key)
    found = await History(store, EXCHANGE_INFO, aside=inline).current()
    assert current is not None
    assert found is not None
    assert current.body == found.document == body
    info = ExchangeInfo.of(found.document)
    assert info.to_json() == info.body == body
    plain = json.loads(body)
    assert list(info.symbols) == [each["symbol"] for each in plain["symbols"]]
    for each, model in zip(plain["symbols"], info.symbols.values(), strict=True):
        assert model.raw == each
        filters = {one["filterType"]: one for one in each["filters"]}
        assert (model.price and model.price.tick_size) == Decimal(filters["PRICE_FILTER"]["tickSize"])
        assert (model.lot and model.lot.step_size) == Decimal(filters["LOT_SIZE"]["stepSize"])
        assert (model.notional and model.notional.min_notional) == Decimal(
            filters["MIN_NOTIONAL"]["minNotional"]
        )
        assert model.status is SymbolStatus(each["status"])
        assert model.permissions == set(each["permissions"])
    # As the server cuts it.
    assert Listing(body).whole.before + str(plain["serverTime"]).encode() + Listing(body).whole.after == body


@pytest.mark.captures
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no captured exchange data in {DATA}")
async def test_what_changed_at_binance_in_four_months_is_told() -> None:
    """April to August 2021, against what plain sets and dictionaries say."""
    april, august = (captured(name) for name in CAPTURED)
    store = MemoryStore()
    recorder = recorder_on(store)
    await recorder.offer(april, 0)
    offered = await recorder.offer(august, 0)
    assert offered.record is not None
    before, after = (
        {each["symbol"]: each for each in json.loads(body)["symbols"]} for body in (april, august)
    )
    told = offered.record.changes
    by_what = {
        what: {change.path.partition("/")[2] for change in told if change.what.value == what}
        for what in ("listed", "delisted", "renamed")
    }
    was = {change.before for change in told if change.what.value == "renamed"}
    assert by_what["listed"] | by_what["renamed"] == after.keys() - before.keys()
    assert by_what["delisted"] | was == before.keys() - after.keys()
    statuses = {
        name: (before[name]["status"], after[name]["status"])
        for name in before.keys() & after.keys()
        if before[name]["status"] != after[name]["status"]
    }
    assert {
        change.symbols[0]: (change.before, change.after)
        for change in told
        if change.path.endswith("/status") and change.symbols[0] in before
    } == statuses
    touched = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    assert offered.record.symbols & before.keys() & after.keys() == touched


def test_words_that_are_not_known_yet_are_told_as_they_are() -> None:
    body = listing(1_723_161_253_007, symbol("ETHUSDT", "ON_THE_MOON", new=[1, {"a": None}]), later=1.50)
    info = ExchangeInfo.of(body)
    eth = info.symbols["ETHUSDT"]
    assert eth.status == "ON_THE_MOON"
    assert eth.raw["new"] == [1, {"a": None}]
    assert info.raw["later"] == Decimal("1.5")
    assert info.server_time == datetime(2024, 8, 8, 23, 54, 13, 7000, UTC)
    assert (info.rate_limits[0].type, info.rate_limits[0].interval) == (
        RateLimitType.REQUEST_WEIGHT,
        Interval.MINUTE,
    )
    assert (info.rate_limits[0].interval_num, info.rate_limits[0].limit) == (1, 6000)
    assert eth.permissions == {"SPOT", "MARGIN", "TRD_GRP_004"}
    assert (eth.market_lot, eth.is_margin_trading_allowed, eth.is_spot_trading_allowed) == (None, None, True)
    assert (eth.base_asset, eth.quote_asset, eth.order_types) == ("ETH", "USDT", ("LIMIT", "MARKET"))
    assert (eth.base_asset_precision, eth.quote_asset_precision) == (None, None)
    assert eth.lot is not None
    assert (eth.lot.min_qty, eth.lot.max_qty) == (Decimal("0.0001"), Decimal(9000))
    assert eth.price is not None
    assert (eth.price.min_price, eth.price.max_price) == (Decimal("0.01"), Decimal(100000))


def test_the_systems_status_an_account_and_its_commission() -> None:
    assert SystemStatus.of(b'{"status":1,"msg":"system_maintenance"}').status is System.MAINTENANCE
    later = SystemStatus.of(b'{"status":7,"msg":"odd"}')
    assert (later.status, later.msg) == (7, "odd")
    rates = {"maker": "0.00100000", "taker": "0.00200000", "buyer": "0.0", "seller": "0"}
    account = Account.of(
        compact(
            {
                "commissionRates": rates,
                "canTrade": True,
                "canWithdraw": False,
                "canDeposit": True,
                "updateTime": 1_723_161_253_000,
                "accountType": "SPOT",
                "balances": [{"asset": "BTC", "free": "4723846.89208129", "locked": "0.5"}],
                "permissions": ["SPOT"],
            }
        )
    )
    assert account.commission_rates is not None
    assert account.commission_rates.taker == Decimal("0.002")
    assert account.balances["BTC"].free == Decimal("4723846.89208129")
    assert (account.can_trade, account.can_withdraw, account.can_deposit) == (True, False, True)
    assert (account.account_type, account.permissions) == ("SPOT", ("SPOT",))
    assert account.update_time == datetime(2024, 8, 8, 23, 54, 13, tzinfo=UTC)
    assert "4723846" not in f"{account!r} {account} {account.balances!r}"
    fees = Commission.of(compact({"symbol": "BTCUSDT", "standardCommission": rates, "taxCommission": rates}))
    assert fees.standard is not None
    assert (fees.symbol, fees.standard.maker, fees.special) == ("BTCUSDT", Decimal("0.001"), None)
    assert fees.tax is not None
    assert (fees.tax.buyer, fees.tax.seller) == (Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"status": "0"}, "status"),
        ({"status": True}, "status"),
        ({"msg": 5}, "msg"),
    ],
)
def test_a_member_of_another_type_is_told_when_it_is_asked_for(members: dict[str, Any], name: str) -> None:
    document = SystemStatus.of(compact(members))
    with pytest.raises(MalformedAnswer):
        getattr(document, name)


@pytest.mark.parametrize("size", ["x", "NaN", "Infinity", True, [], {}])
def test_a_size_that_is_no_number_is_told(size: Any) -> None:
    info = ExchangeInfo.of(
        listing(1, symbol("A", filters=[{"filterType": "PRICE_FILTER", "tickSize": size}]))
    )
    price = info.symbols["A"].price
    assert price is not None
    with pytest.raises(MalformedAnswer):
        _ = price.tick_size


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"a":'])
def test_what_is_no_document_is_refused(body: bytes) -> None:
    for model in (ExchangeInfo, SystemStatus, Account, Commission):
        with pytest.raises(MalformedAnswer):
            model.of(body)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, places=8)
    | st.text(),
    lambda held: st.lists(held, max_size=4) | st.dictionaries(st.text(), held, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_json_is_written_as_it_was_read(value: Any) -> None:
    try:
        text = write_json(value)
    except UnicodeEncodeError:
        return  # half of a surrogate pair is no text that UTF-8 could hold
    assert write_json(read_json(text)) == text
