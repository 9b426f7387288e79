"""Binance futures' REST scheme for market data: ``depth``, ``ticker/bookTicker``, ``exchangeInfo``, ``ping``
and ``time`` below ``/fapi/v1`` (USD-M) or ``/dapi/v1`` (COIN-M). Sans-I/O.

As :mod:`simulator.rest`: documents first, then what was seen; what neither tells is marked *chosen*.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from simulator.answer import Answer
from simulator.exchange import TAKES_MS, Instrument
from simulator.parameters import LIMIT, ApiError, checked, symbol_of
from simulator.rest import JSON, Endpoint, Rest, SignedEndpoint, compact, content_type_of, rate_limit
from simulator.truth import Times

LIMITS: Final = (5, 10, 20, 50, 100, 500, 1000)
DEFAULT_LIMIT: Final = 500


class FuturesRest(Rest):
    """Answers requests for one :class:`~simulator.exchange.Exchange` of futures."""

    root = "/fapi/v1"
    kind = "U_MARGINED"

    def _make_endpoints(self) -> dict[str, Endpoint | SignedEndpoint]:
        root = self.root
        return {
            f"{root}/ping": Endpoint((), _one, self._ping),
            f"{root}/time": Endpoint((), _one, self._time),
            f"{root}/depth": Endpoint((), depth_weight, self._depth),
            f"{root}/ticker/bookTicker": Endpoint(
                (), lambda sent: 2 if "symbol" in sent else 5, self._book_ticker
            ),
            f"{root}/exchangeInfo": Endpoint((), _one, self._exchange_info),
        }

    def _read(self, sent: Sequence[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
        # Chosen: what an endpoint does not know is passed over.
        return checked(sent, [name for name, _ in sent])

    def _times(self, instrument: Instrument, update_id: int) -> Times | None:
        journal = instrument.journal
        made = journal.times if update_id == journal.update_id else journal.times_at(update_id)
        now_ms = self._exchange.wall_ms()
        return Times(now_ms, made.transaction_ms if made is not None else now_ms - TAKES_MS)

    def _depth(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        symbol = _symbol_of(sent)
        limit = limit_of(sent)
        return self._snapshot(self._instrument(symbol), limit)

    def _book_ticker(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        if "symbol" in sent:
            top = self._futures_top(self._instrument(_symbol_of(sent)))
            return Answer(200, compact(top), content_type_of(JSON))
        tops = [self._futures_top(each) for each in self._exchange.instruments.values()]
        return Answer(200, compact(tops), content_type_of(JSON))

    def _futures_top(self, instrument: Instrument) -> dict[str, Any]:
        times = self._times(instrument, instrument.journal.update_id)
        assert times is not None
        return {
            **self._top(instrument),
            "time": times.transaction_ms,
            "lastUpdateId": instrument.journal.update_id,
        }

    def _exchange_info(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        body = {
            "timezone": "UTC",
            "serverTime": self._exchange.wall_ms(),
            "futuresType": self.kind,
            "rateLimits": [
                rate_limit("REQUEST_WEIGHT", "MINUTE", 1, self._exchange.weights.limit),
                rate_limit("ORDERS", "MINUTE", 1, 1200),
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [each.listing.futures_info() for each in self._exchange.instruments.values()],
        }
        return Answer(200, compact(body), content_type_of(JSON))


class CoinFuturesRest(FuturesRest):
    """The same of COIN-M: at another path, and each answer names the pair, too."""

    root = "/dapi/v1"
    kind = "COIN_MARGINED"

    def _book_ticker(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """*"If neither is sent, tickers for all symbols of all pairs will be returned in an array"*."""
        if "symbol" in sent and "pair" in sent:
            raise ApiError(-4084, "Method is not allowed currently. Coming soon.")  # chosen
        chosen = list(self._exchange.instruments.values())
        if "symbol" in sent:
            chosen = [self._instrument(_symbol_of(sent))]
        elif "pair" in sent:
            chosen = [each for each in chosen if each.pair == sent["pair"].upper()]
        return Answer(200, compact([self._futures_top(each) for each in chosen]), content_type_of(JSON))

    def _futures_top(self, instrument: Instrument) -> dict[str, Any]:
        symbol, *rest = super()._futures_top(instrument).items()
        return dict([symbol, ("pair", instrument.pair), *rest])


def limit_of(sent: Mapping[str, str]) -> int:
    """*"Valid limits:[5, 10, 20, 50, 100, 500, 1000]"*; another one was seen to be refused so."""
    text = sent.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not text:
        raise ApiError(-1105, "Parameter 'limit' was empty.")
    if LIMIT.fullmatch(text) is None:
        raise ApiError(
            -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."
        )
    if int(text) not in LIMITS:
        raise ApiError(-4021, f"{text} is not valid depth limit")
    return int(text)


def depth_weight(sent: Mapping[str, str]) -> int:
    """*"5, 10, 20, 50: 2; 100: 5; 500: 10; 1000: 20"*; a limit that is none costs as the default.

    >>> [depth_weight({"limit": limit}) for limit in ("50", "100", "500", "1000", "7", "x")]
    [2, 5, 10, 20, 10, 10]
    """
    text = sent.get("limit", "")
    limit = int(text) if LIMIT.fullmatch(text) else 0
    weights = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 1000: 20}
    return weights.get(limit, 10)


def _symbol_of(sent: Mapping[str, str]) -> str:
    """The parameter ``symbol``, which may be in small letters."""
    return symbol_of({name: text.upper() for name, text in sent.items() if name == "symbol"})


def _one(_: Mapping[str, str]) -> int:
    return 1
