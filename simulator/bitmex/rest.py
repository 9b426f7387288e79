"""BitMEX's REST answers: the book of an instrument, the lists of instruments. Sans-I/O.

Statuses, words and headers are those documented or seen of the live service; what nobody saw is marked
*chosen*.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from simulator.answer import Answer, troubled
from simulator.bitmex.exchange import BitmexExchange
from simulator.bitmex.instruments import OPEN
from simulator.bitmex.market import Market
from simulator.faults import Kind

JSON: Final = "application/json; charset=utf-8"

DEFAULT_DEPTH: Final = 25
"""*"Orderbook depth per side. Send 0 for full depth."*"""

_MAX_NUMBER: Final = 2**31 - 1
_OVERLOADED: Final = "The system is currently overloaded. Please try again later."


class Rest:
    """Answers requests for one :class:`~simulator.bitmex.exchange.BitmexExchange`."""

    def __init__(self, exchange: BitmexExchange) -> None:
        self._exchange = exchange

    def answer(
        self, method: str, path: str, query: str, *, headers: Mapping[str, str], address: str
    ) -> Answer:
        """The answer to a request. ``path`` is decoded, ``query`` raw."""
        requests, now_ms = self._exchange.requests, self._exchange.wall_ms()
        if requests.banned(now_ms):
            return _error(403, "This IP address has been blocked.")  # chosen
        allowed = requests.allow(address, now_ms)
        wait_s = 0 if allowed else requests.retry_after_s(address, now_ms)
        limits = {
            "X-RateLimit-Limit": str(requests.limit),
            "X-RateLimit-Remaining": str(requests.left(address)),
            "X-RateLimit-Reset": str(now_ms // 1000 + max(1, wait_s)),
        }
        if not allowed:
            text = f"Rate limit exceeded, retry in {wait_s} seconds."
            answer = _error(429, text, name="RateLimitError", headers={"Retry-After": str(wait_s)})
        elif method not in ("GET", "HEAD"):
            answer = _error(404, "Not Found")  # chosen
        else:
            answer = self._answer(path, dict(parse_qsl(query, keep_blank_values=True)))
        return replace(answer, headers={**answer.headers, **limits})

    def _answer(self, path: str, sent: Mapping[str, str]) -> Answer:
        markets = self._exchange.markets
        match path.rstrip("/"):
            case "/api/v1":
                now_ms = self._exchange.wall_ms()
                return _json({"name": "BitMEX API", "version": "2.0.0", "timestamp": now_ms})
            case "/api/v1/orderBook/L2":
                return self._book(sent)
            case "/api/v1/instrument/active":
                return _list([each for each in markets.values() if each.instrument.state == OPEN])
            case "/api/v1/instrument":
                symbol = sent.get("symbol")
                return _list([each for name, each in markets.items() if symbol in (None, name)])
        return _error(404, "Not Found")

    def _book(self, sent: Mapping[str, str]) -> Answer:
        """The book as it is, unless a fault says otherwise."""
        symbol, depth = sent.get("symbol", ""), sent.get("depth", str(DEFAULT_DEPTH))
        if not symbol:
            return _error(400, "'symbol' is a required arg.")
        if not depth.isascii() or not depth.isdecimal() or int(depth) > _MAX_NUMBER:
            return _error(400, "'depth' must be a non-negative integer.")  # chosen
        market = self._exchange.markets.get(symbol)
        if market is None:
            return _body(b"[]")  # chosen: a filter that nothing fits
        faults, step = self._exchange.faults, market.step
        stale = faults.take((Kind.STALE_SNAPSHOT,), symbol)
        if stale is not None:
            step = max(market.history.oldest, step - stale.ids)
            faults.record(stale, symbol, None, f"{step} of {market.step}")
            body = market.body(step, int(depth))
        else:
            body = market.writer.whole(market.book.rows(int(depth)), market.time_ms).encode()
        return troubled(_body(body), faults, symbol, number=step, errors=_ERRORS)


def _list(markets: list[Market]) -> Answer:
    return _body(f"[{','.join(market.listed() for market in markets)}]".encode())


def _error(
    status: int, text: str, *, name: str = "HTTPError", headers: Mapping[str, str] | None = None
) -> Answer:
    """``{"error":{"message":…,"name":…}}``"""
    answer = _json({"error": {"message": text, "name": name}})
    return replace(answer, status=status, headers={**answer.headers, **(headers or {})})


def _json(content: Any) -> Answer:
    return _body(json.dumps(content, separators=(",", ":")).encode())


def _body(body: bytes) -> Answer:
    return Answer(200, body, {"Content-Type": JSON})


_ERRORS: Final = {"500": _error(500, "Internal Server Error"), "503": _error(503, _OVERLOADED)}
