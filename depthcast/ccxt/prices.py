"""``Prices``: who answers for best bids and asks: the books in this process, a server, the exchange itself.

As for order books (:mod:`depthcast.ccxt.ladder`), with one difference: the best prices of *all* markets come
from one answer of the exchange, for nobody keeps thousands of books for them.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson
from ccxt.base.errors import ExchangeNotAvailable

from depthcast.ccxt.asking import PassedOver, Steps
from depthcast.ccxt.ladder import Ladder
from depthcast.ccxt.options import Source
from depthcast.ccxt.served import ticker_url
from depthcast.ccxt.wish import Wish, without_ours

_LIST_WEIGHT: Final = 4
"""*"2 for a single symbol; 4 when the symbol parameter is omitted"* or with ``symbols`` (rest-api.md)"""

_NO_DIGITS: Final = "0.00000000"


class Prices(Ladder):
    """Mixed into ccxt's ``binance``."""

    def _bids_asks(self, symbols: list[str] | None, params: Mapping[str, Any]) -> Steps:
        """The steps of ``fetch_bids_asks``; markets are loaded."""
        passed = self._spot_params(symbols, params)
        if passed is None:
            return (yield partial(super().fetch_bids_asks, symbols, without_ours(params)))
        wish = self._wished(passed, local=symbols is not None)
        if symbols is None and wish.source == "local":
            # A server knows the markets that are published, which may not be all.
            wish = wish._replace(ways=("rest",))
        answer: dict[Source, Callable[..., Steps]] = {
            "local": self._local_prices,
            "server": self._server_prices,
            "rest": self._rest_prices,
        }
        passed_over: list[str] = []
        for source in wish.ways:
            try:
                return (yield from answer[source](symbols, wish, passed_over))
            except PassedOver as why:
                passed_over.append(f"{source}: {why}")
        raise ExchangeNotAvailable(f"depthcast: no best prices; {'; '.join(passed_over)}")

    def _spot_params(self, symbols: list[str] | None, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """``params`` without what chose the spot market; ``None`` where the original would ask another one,
        or for nothing."""
        if symbols is not None and not symbols:
            return None
        named = self.market_symbols(symbols, None, True, True, True)
        market = self.get_market_from_symbols(named)
        kind, rest = self.handle_market_type_and_params("fetchBidsAsks", market, dict(params))
        sub_kind, rest = self.handle_sub_type_and_params("fetchBidsAsks", market, rest)
        spot = kind == "spot" and not self.is_linear(kind, sub_kind) and not self.is_inverse(kind, sub_kind)
        return rest if spot else None

    def _local_prices(self, symbols: list[str], wish: Wish, passed_over: list[str]) -> Steps:
        missing = self._missing(symbols)
        if missing:
            yield from self._begin_to_keep(missing)
        raw, times_ms = [], {}
        for symbol in symbols:
            market = self.market(symbol)
            try:
                top, time_ms, _ = self._read(self._view(market["id"]), 1, wish.max_age_ms, strings=True)
            except PassedOver as why:
                raise PassedOver(f"{symbol}: {why}") from why
            raw.append(_ticker(market["id"], top.bids, top.asks))
            times_ms[market["symbol"]] = time_ms
        return self._dated(self.parse_tickers(raw, symbols), times_ms.__getitem__)

    def _server_prices(self, symbols: list[str] | None, wish: Wish, passed_over: list[str]) -> Steps:
        listed = None if symbols is None else orjson.dumps(self.market_ids(symbols)).decode()
        url = ticker_url(self._server(), listed, wish.passed)
        body, marks = yield from self._from_server(url, wish, _is_list)
        time_ms = self._time_of(marks)
        return self._dated(self.parse_tickers(body, symbols), lambda _: time_ms)

    def _rest_prices(self, symbols: list[str] | None, wish: Wish, passed_over: list[str]) -> Steps:
        asked_ms = self.milliseconds()
        original = partial(super().fetch_bids_asks, symbols, {"type": "spot", **wish.passed})
        tickers = yield from self._from_exchange(original, _LIST_WEIGHT, passed_over)
        return self._dated(tickers, lambda _: asked_ms)

    def _dated(self, tickers: dict[str, Any], time_ms_of: Callable[[str], int]) -> dict[str, Any]:
        """The exchange gives best prices no time; as for books, they have that of the last change."""
        for symbol, ticker in tickers.items():
            if ticker["timestamp"] is None:
                ticker["timestamp"] = time_ms_of(symbol)
                ticker["datetime"] = self.iso8601(ticker["timestamp"])
        return tickers


def _ticker(symbol: str, bids: Sequence[Sequence[Any]], asks: Sequence[Sequence[Any]]) -> dict[str, str]:
    """As the exchange's ``ticker/bookTicker``: zeros on an empty side, with as many digits as the other's.

    >>> _ticker("ETHUSDT", [], [["3000.10", "2.5"]])["bidPrice"]
    '0.00'
    """
    shape = (bids or asks or [[_NO_DIGITS, _NO_DIGITS]])[0]
    nothing = [_zeros(number) for number in shape]
    (bid, bid_quantity), (ask, ask_quantity) = (bids or [nothing])[0], (asks or [nothing])[0]
    return {
        "symbol": symbol,
        "bidPrice": bid,
        "bidQty": bid_quantity,
        "askPrice": ask,
        "askQty": ask_quantity,
    }


def _zeros(number: str) -> str:
    _, point, digits = number.partition(".")
    return f"0{point}{'0' * len(digits)}"


def _is_list(body: Any) -> bool:
    return isinstance(body, list)
