"""Books go the way that ccxt was told, or not at all."""

import ccxt
import pytest

import depthcast.ccxt
from tests.depthcast.ccxt.conftest import Caller


def test_ccxt_s_proxies_are_those_of_snapshots_and_sockets() -> None:
    exchange = depthcast.ccxt.binance({"httpsProxy": "http://proxy:1", "wssProxy": "http://proxy:2"})
    arguments = exchange._books_arguments()
    assert (arguments["rest_proxy"], arguments["ws_proxy"]) == ("http://proxy:1", "http://proxy:2")
    exchange = depthcast.ccxt.binance({"http_proxy_callback": lambda url, *_: f"http://proxy:3/?{url}"})
    arguments = exchange._books_arguments()
    assert arguments["rest_proxy"] == "http://proxy:3/?https://api.binance.com/api/v3"
    assert "ws_proxy" not in arguments
    # Without any those of the environment hold.
    assert not {"rest_proxy", "ws_proxy"} & depthcast.ccxt.binance()._books_arguments().keys()


async def test_behind_a_proxy_that_books_cannot_use_there_are_none(caller: Caller) -> None:
    caller.exchange.socksProxy = "socks5://127.0.0.1:1"
    with pytest.raises(ccxt.ExchangeNotAvailable, match="behind a SOCKS proxy"):
        await caller("depthcast_wait", ["ETH/USDT"])
    assert caller.exchange.depthcast_status("ETH/USDT")["book"] is None
