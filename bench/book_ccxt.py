"""ccxt.pro's binance, with one market and no network but the one that it is given."""

import asyncio
import time
from itertools import islice
from typing import Any

import ccxt.pro

from bench.book_stream import SYMBOL, UNIFIED
from depthcast.events import Snapshot

Levels = list[list[float]]


class CcxtPro:
    """``snapshot``: what its book begins from; ``None`` where it asks the exchange at ``address`` itself."""

    def __init__(self, snapshot: Snapshot | None, address: str) -> None:
        self.exchange = exchange = ccxt.pro.binance({"enableRateLimit": False})
        exchange.asyncio_loop = asyncio.get_running_loop()
        exchange.set_markets([_market()])
        exchange.urls["api"]["public"] = f"http://{address}/api/v3"
        # It tells spot from futures by this word in the url.
        exchange.urls["api"]["ws"]["spot"] = f"ws://{address}/ws/stream"
        if snapshot is not None:
            exchange.orderbooks[UNIFIED] = book = exchange.order_book({}, len(snapshot.bids))
            book.reset(
                {
                    "symbol": UNIFIED,
                    "nonce": snapshot.update_id,
                    "bids": [[float(price), float(quantity)] for price, quantity in snapshot.bids],
                    "asks": [[float(price), float(quantity)] for price, quantity in snapshot.asks],
                }
            )

    def take(self, frames: list[bytes], read: int | None) -> tuple[float, float]:
        """Frames as its client hands them on: text -> JSON -> its handler; seconds by clock and of CPU.

        ``read``: so many levels of both sides are copied after each, by the fastest loop there is.
        """
        client = self.exchange.client("ws://127.0.0.1:9/ws/stream")
        texts = [frame.decode() for frame in frames]
        began, cpu = time.perf_counter(), time.process_time()
        for text in texts:
            client.handle_text_or_binary_message(text)
            if read is not None:
                self.copy(read)
        return time.perf_counter() - began, time.process_time() - cpu

    def update_id(self) -> int:
        """The id of its book."""
        nonce: int = self.exchange.orderbooks[UNIFIED]["nonce"]
        return nonce

    def copy(self, limit: int) -> tuple[Levels, Levels]:
        """The same as :meth:`top`, as fast as may be."""
        book: dict[str, Any] = self.exchange.orderbooks[UNIFIED]
        return [[*level] for level in islice(book["bids"], limit)], [
            [*level] for level in islice(book["asks"], limit)
        ]

    def top(self, limit: int) -> tuple[Levels, Levels]:
        """The best levels of its book."""
        book: dict[str, Any] = self.exchange.orderbooks[UNIFIED]
        return [list(level) for level in book["bids"][:limit]], [
            list(level) for level in book["asks"][:limit]
        ]

    async def close(self) -> None:
        await self.exchange.close()


def _market() -> dict[str, Any]:
    return {
        "id": SYMBOL,
        "lowercaseId": SYMBOL.lower(),
        "symbol": UNIFIED,
        "base": "ETH",
        "quote": "USDT",
        "baseId": "ETH",
        "quoteId": "USDT",
        "settle": None,
        "type": "spot",
        "spot": True,
        "margin": False,
        "swap": False,
        "future": False,
        "option": False,
        "contract": False,
        "linear": None,
        "inverse": None,
        "active": True,
        "precision": {"amount": 0.0001, "price": 0.01},
        "limits": {"amount": {}, "price": {}, "cost": {}},
        "info": {},
    }
