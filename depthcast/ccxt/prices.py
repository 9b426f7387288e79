"""``Prices``: who answers for best bids and asks: the books in this process, a server, the exchange itself.

As for order books (:mod:`depthcast.ccxt.ladder`), with one difference: the best prices of *all* markets come
from one answer of the exchange, for nobody keeps thousands of books for them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ccxt.base.errors import ExchangeNotAvailable

from depthcast.ccxt.asking import PassedOver, Steps
from depthcast.ccxt.ladder import Ladder
from depthcast.ccxt.options import Source
from depthcast.ccxt.wish import Wish, without_ours


class Prices(Ladder):
    """Mixed into ccxt's classes."""

    def _bids_asks(self, symbols: list[str] | None, params: Mapping[str, Any]) -> Steps:
        """The steps of ``fetch_bids_asks``; markets are loaded."""
        passed = self._own_params(symbols, params)
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

    def _own_params(self, symbols: list[str] | None, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """``params`` without what chose the kind of market; ``None`` where that is none whose books are kept
        here, or the original would ask for nothing."""
        if self._dialect.prices is None or (symbols is not None and not symbols):
            return None
        named = self.market_symbols(symbols, None, True, True, True)
        market = self.get_market_from_symbols(named)
        kind, rest = self.handle_market_type_and_params("fetchBidsAsks", market, dict(params))
        sub_kind, rest = self.handle_sub_type_and_params("fetchBidsAsks", market, rest)
        asked = {"spot": kind == "spot", "linear": False, "contract": True, "option": kind == "option"}
        if self.is_linear(kind, sub_kind):
            asked |= {"spot": False, "linear": True}
        elif self.is_inverse(kind, sub_kind):
            asked |= {"spot": False}
        return rest if self._dialect.keeps(asked) else None

    def _local_prices(self, symbols: list[str], wish: Wish, passed_over: list[str]) -> Steps:
        missing = self._missing(symbols)
        if missing:
            yield from self._begin_to_keep(missing)
        raw, times_ms = [], {}
        for symbol in symbols:
            market = self.market(symbol)
            try:
                view = self._view(market["id"])
                shown, _ = self._read(market["id"], view, 1, wish.max_age_ms, strings=True)
            except PassedOver as why:
                raise PassedOver(f"{symbol}: {why}") from why
            raw.append(self._dialect.ticker(market["id"], shown))
            times_ms[market["symbol"]] = shown.time_ms
        return self._dated(self.parse_tickers(raw, symbols), times_ms.__getitem__)

    def _server_prices(self, symbols: list[str] | None, wish: Wish, passed_over: list[str]) -> Steps:
        listed = None if symbols is None else self.market_ids(symbols)
        url = self._dialect.ticker_url(self._server(), listed, wish.passed)
        body, marks = yield from self._from_server(url, wish, _is_list)
        time_ms = self._time_of(marks)
        return self._dated(self.parse_tickers(body, symbols), lambda _: time_ms)

    def _rest_prices(self, symbols: list[str] | None, wish: Wish, passed_over: list[str]) -> Steps:
        asked_ms, prices = self.milliseconds(), self._dialect.prices
        assert prices is not None  # or there would be no wish
        original = partial(super().fetch_bids_asks, symbols, {**prices.params, **wish.passed})
        tickers = yield from self._from_exchange(original, prices.weight, passed_over)
        return self._dated(tickers, lambda _: asked_ms)

    def _dated(self, tickers: dict[str, Any], time_ms_of: Callable[[str], int]) -> dict[str, Any]:
        """The exchange gives best prices no time; as for books, they have that of the last change."""
        for symbol, ticker in tickers.items():
            if ticker["timestamp"] is None:
                ticker["timestamp"] = time_ms_of(symbol)
                ticker["datetime"] = self.iso8601(ticker["timestamp"])
        return tickers


def _is_list(body: Any) -> bool:
    return isinstance(body, list)
