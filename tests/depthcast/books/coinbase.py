"""A simulated Coinbase in a time of its own, and an account's key for it."""

import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from simulator.clock import ManualClock
from simulator.coinbase.app import CoinbaseSimulator
from simulator.coinbase.settings import Settings

PRODUCTS = ("BTC-USD", "ETH-USD")
KEY = ("0123456789abcdef", "passphrase", base64.b64encode(b"a secret of some length").decode())
KEY_TEXT = "\n".join(KEY)


@asynccontextmanager
async def coinbase(folder: Path, **settings: Any) -> AsyncIterator[CoinbaseSimulator]:
    """With two products, whose traders act when the test says so."""
    path = folder / "key"
    path.write_text(KEY_TEXT)
    chosen: dict[str, Any] = {"products": PRODUCTS, "orders": 40, "requests_a_second": 1000} | settings
    clock = ManualClock(time.time_ns() // 1_000_000)
    async with CoinbaseSimulator(Settings(keys=(path,), **chosen), manual=True, clock=clock) as sim:
        await sim.tick(5)
        yield sim
