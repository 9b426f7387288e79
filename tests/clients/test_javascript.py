"""Binance clients of npm, unchanged but for their base URL: ``binance-api-node`` and ``binance``."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.conftest import INSTALL_TIMEOUT_S, JAVASCRIPT, run
from tests.conformance.world import SYMBOLS

if TYPE_CHECKING:
    from tests.clients.conftest import Mirror


@pytest.mark.timeout(INSTALL_TIMEOUT_S + 120)
async def test_every_call_that_files_answer(node_packages: Path, mirror: "Mirror") -> None:
    answers = json.loads(await run("node", JAVASCRIPT / "ask.cjs", mirror.url, folder=node_packages))
    true = json.loads(mirror.world.book("ETHUSDT", 5000))

    older = answers["binance-api-node"]
    assert older["ping"] is True
    assert abs(older["time"] - time.time() * 1000) < 60_000
    assert older["symbols"] == list(SYMBOLS)
    assert older["deep"]["lastUpdateId"] == true["lastUpdateId"]
    assert [list(level.values()) for level in older["deep"]["bids"]] == true["bids"]
    assert [list(level.values()) for level in older["book"]["asks"]] == true["asks"][:5]
    assert set(older["tickers"]) == set(SYMBOLS)
    assert older["tickers"]["ETHUSDT"]["bidPrice"] == true["bids"][0][0]
    assert older["unknown"] == {"code": -1121, "message": "Invalid symbol."}

    other = answers["binance"]
    assert other["ping"] == {}
    assert other["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert other["book"] == true | {"bids": true["bids"][:5], "asks": true["asks"][:5]}
    assert [other["ticker"]["askPrice"], other["ticker"]["askQty"]] == true["asks"][0]
    assert [each["symbol"] for each in other["tickers"]] == ["BTCUSDT", "ETHUSDT"]
    assert int(other["weights"]["x-mbx-used-weight-1m"]) > 0
    assert other["unknown"]["code"] == -1121
