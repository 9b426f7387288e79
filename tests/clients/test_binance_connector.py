"""Binance's former Python client, ``binance-connector``, unchanged but for its base URL."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import binance.error as errors
import binance.spot as spot
import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Mirror


async def call(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    return await asyncio.to_thread(function, *args, **named)


async def test_every_call_that_files_answer(mirror: "Mirror") -> None:
    client = spot.Spot(base_url=mirror.url)
    assert await call(client.ping) == {}
    assert abs((await call(client.time))["serverTime"] - time.time() * 1000) < 60_000
    for limit in (5, 100, 101, 5000):
        assert await call(client.depth, "ETHUSDT", limit=limit) == json.loads(
            mirror.world.book("ETHUSDT", limit)
        )
    one = await call(client.book_ticker, symbol="ETHUSDT")
    some = await call(client.book_ticker, symbols=["BTCUSDT", "ETHUSDT"])
    assert [one["bidPrice"], one["bidQty"]] == json.loads(mirror.world.book("ETHUSDT", 1))["bids"][0]
    assert [each["symbol"] for each in some] == ["BTCUSDT", "ETHUSDT"]
    assert some[1] == one in await call(client.book_ticker)
    info = await call(client.exchange_info, symbols=["BTCUSDT", "ETHUSDT"])
    assert [each["symbol"] for each in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    margin = await call(client.exchange_info, permissions=["MARGIN"])
    assert margin["symbols"] == info["symbols"]


async def test_its_own_weight_counter_is_told(mirror: "Mirror") -> None:
    client = spot.Spot(base_url=mirror.url, show_limit_usage=True)
    answer = await call(client.depth, "ETHUSDT", limit=5000)
    assert answer["limit_usage"] == {"x-mbx-used-weight": "250", "x-mbx-used-weight-1m": "250"}


async def test_errors_are_its_own(mirror: "Mirror") -> None:
    client = spot.Spot(base_url=mirror.url)
    with pytest.raises(errors.ClientError) as raised:
        await call(client.depth, "NOSUCH")
    assert (raised.value.status_code, raised.value.error_code) == (400, -1121)
    assert raised.value.error_message == "Invalid symbol."
