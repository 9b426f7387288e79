"""Binance's present Python client, ``binance-sdk-spot``, unchanged but for its base URL."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import binance_common.configuration as common
import binance_common.errors as failures
import binance_sdk_spot.spot as sdk
import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Mirror


async def call(function: Callable[..., Any], **named: Any) -> Any:
    return await asyncio.to_thread(function, **named)


def client_of(mirror: "Mirror", **named: Any) -> Any:
    configuration = common.ConfigurationRestAPI(base_path=mirror.url, timeout=30_000, **named)
    return sdk.Spot(config_rest_api=configuration).rest_api


async def test_every_call_that_files_answer(mirror: "Mirror") -> None:
    client = client_of(mirror)
    assert (await call(client.ping)).status == 200
    assert (await call(client.time)).data().server_time > 1_700_000_000_000
    answer = await call(client.depth, symbol="ETHUSDT", limit=5000)
    true = json.loads(mirror.world.book("ETHUSDT", 5000))
    book = answer.data()
    assert (book.last_update_id, book.bids, book.asks) == (true["lastUpdateId"], true["bids"], true["asks"])
    assert [limit.count for limit in answer.rate_limits] == [250]
    some = (await call(client.ticker_book_ticker, symbols=["BTCUSDT", "ETHUSDT"])).data().actual_instance
    assert [each.symbol for each in some] == ["BTCUSDT", "ETHUSDT"]
    assert [some[1].ask_price, some[1].ask_qty] == true["asks"][0]
    info = (await call(client.exchange_info, symbols=["BTCUSDT", "ETHUSDT"])).data()
    assert [each.symbol for each in info.symbols] == ["BTCUSDT", "ETHUSDT"]


async def test_time_in_microseconds(mirror: "Mirror") -> None:
    answer = await call(client_of(mirror, time_unit="MICROSECOND").time)
    assert answer.data().server_time > 1_700_000_000_000_000


async def test_errors_are_its_own(mirror: "Mirror") -> None:
    with pytest.raises(failures.BadRequestError, match="Invalid symbol"):
        await call(client_of(mirror).depth, symbol="NOSUCH")
