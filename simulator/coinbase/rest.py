"""Coinbase Exchange's REST answers: products, their books by level, the time. Sans-I/O.

Statuses and words are those seen of the live service; what nobody saw is marked *chosen*.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from simulator.answer import Answer, troubled
from simulator.coinbase.exchange import CoinbaseExchange, Market
from simulator.coinbase.journal import rfc3339
from simulator.faults import Kind

JSON: Final = "application/json; charset=utf-8"

_LEVELS: Final = ("1", "2", "3")
_MAX_AGE: Final = {1: 0, 2: 2, 3: 1}


class Rest:
    """Answers requests for one :class:`~simulator.coinbase.exchange.CoinbaseExchange`."""

    def __init__(self, exchange: CoinbaseExchange) -> None:
        self._exchange = exchange

    def answer(
        self, method: str, path: str, query: str, *, headers: Mapping[str, str], address: str
    ) -> Answer:
        """The answer to a request. ``path`` is decoded, ``query`` raw."""
        exchange = self._exchange
        if not exchange.requests.allow(address, exchange.wall_ms()):
            return _message(429, "Public rate limit exceeded")
        if method not in ("GET", "HEAD"):
            return _message(405, "Method Not Allowed")  # chosen
        match path.strip("/").split("/"):
            case ["products"]:
                listed = [market.product.listed() for market in exchange.markets.values()]
                return _json(200, listed)
            case ["currencies"]:
                products = [market.product for market in exchange.markets.values()]
                names = dict.fromkeys(name for each in products for name in (each.base, each.quote))
                return _json(200, [_currency(name) for name in names])
            case ["time"]:
                now_ms = exchange.wall_ms()
                return _json(200, {"iso": rfc3339(now_ms * 1000), "epoch": now_ms / 1000})
            case ["products", name]:
                market = exchange.markets.get(name)
                return _json(200, market.product.listed()) if market else _message(404, "NotFound")
            case ["products", name, "book"]:
                market = exchange.markets.get(name)
                return self._book(market, query) if market else _message(404, "NotFound")
        return _message(404, "NotFound")

    def _book(self, market: Market, query: str) -> Answer:
        """The book as it is, unless a fault says otherwise."""
        level = dict(parse_qsl(query, keep_blank_values=True)).get("level", "1")
        if level not in _LEVELS:
            return _message(400, f"unexpected level: {level}")
        faults, journal, product = self._exchange.faults, market.journal, market.product.id
        sequence = journal.sequence
        stale = faults.take((Kind.STALE_SNAPSHOT,), product)
        if stale is not None:
            sequence = max(journal.oldest, sequence - stale.ids)
            faults.record(stale, product, None, f"{sequence} of {journal.sequence}")
        body = journal.body(sequence, int(level))
        answer = Answer(200, body, {"Content-Type": JSON, "Cache-Control": f"max-age={_MAX_AGE[int(level)]}"})
        return troubled(answer, faults, product, number=sequence, errors=_ERRORS)


def _currency(name: str) -> dict[str, Any]:
    """*"Gets a list of all known currencies"*"""
    return {
        "id": name,
        "name": name,
        "min_size": "0.00000001",
        "status": "online",
        "message": "",
        "max_precision": "0.00000001",
        "convertible_to": [],
        "details": {"type": "crypto"},
        "supported_networks": [],
    }


def _message(status: int, text: str) -> Answer:
    return _json(status, {"message": text})


def _json(status: int, content: Any) -> Answer:
    return Answer(status, json.dumps(content, separators=(",", ":")).encode(), {"Content-Type": JSON})


_ERRORS: Final = {"500": _message(500, "Internal server error"), "503": _message(503, "Service Unavailable")}
