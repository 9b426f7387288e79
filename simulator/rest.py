"""Binance spot's REST scheme for market data: ``depth``, ``ticker/bookTicker``, ``exchangeInfo``, ``ping``
and ``time``; the wallet's ``system/status``; and for who signs, ``account`` and its ``commission``. Sans-I/O.

Parameters, defaults, weights, errors and their order follow rest-api.md and errors.md, and where those are
silent what was seen of the live service; what neither tells is marked *chosen*.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from simulator.accounts import Account
from simulator.answer import Answer, spoiled, troubled
from simulator.exchange import Exchange, Instrument
from simulator.faults import Kind
from simulator.listing import Listing
from simulator.parameters import (
    DEFAULT_LIMIT,
    LIMIT,
    ApiError,
    all_read,
    boolean_of,
    checked,
    either,
    limit_of,
    once_each,
    permissions_of,
    status_of,
    symbol_of,
    symbol_or_symbols,
    time_unit_of,
)
from simulator.truth import Times
from simulator.weight import error_body

JSON: Final = "application/json;charset=UTF-8"

NOT_FOUND_PAGE: Final = b"<html><body><h2>404 Not found</h2></body></html>"

# As logged from api.binance.com.
_COMMON_HEADERS: Final = {
    "Server": "nginx",
    "Strict-Transport-Security": "max-age=31536000; includeSubdomains",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Xss-Protection": "1; mode=block",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
}

_DEPTH: Final = ("symbol", "limit", "symbolStatus")
_TICKER: Final = ("symbol", "symbols", "symbolStatus")
_EXCHANGE_INFO: Final = ("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
_SIGNED: Final = ("timestamp", "recvWindow", "signature")
_ACCOUNT: Final = ("omitZeroBalances", *_SIGNED)
_COMMISSION: Final = ("symbol", *_SIGNED)


class Endpoint(NamedTuple):
    """What may be asked at a path, what that weighs, and who answers."""

    parameters: Sequence[str]
    weight: Callable[[Mapping[str, str]], int]
    answer: Callable[[Mapping[str, str], Mapping[str, str]], Answer]


class SignedEndpoint(NamedTuple):
    """The same for who signs."""

    parameters: Sequence[str]
    weight: Callable[[Mapping[str, str]], int]
    answer: Callable[[Mapping[str, str], Account], Answer]


class Rest:
    """Answers requests for one :class:`~simulator.exchange.Exchange`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._endpoints = self._make_endpoints()

    def _make_endpoints(self) -> dict[str, "Endpoint | SignedEndpoint"]:
        return {
            "/api/v3/ping": Endpoint((), _one, self._ping),
            "/api/v3/time": Endpoint((), _one, self._time),
            "/api/v3/depth": Endpoint(_DEPTH, depth_weight, self._depth),
            "/api/v3/ticker/bookTicker": Endpoint(
                _TICKER, lambda sent: 2 if "symbol" in sent else 4, self._book_ticker
            ),
            "/api/v3/exchangeInfo": Endpoint(_EXCHANGE_INFO, lambda _: 20, self._exchange_info),
            # Counted with the others (chosen): the wallet's own limit is twice as high.
            "/sapi/v1/system/status": Endpoint((), _one, self._system_status),
            "/api/v3/account": SignedEndpoint(_ACCOUNT, lambda _: 20, self._account),
            "/api/v3/account/commission": SignedEndpoint(_COMMISSION, lambda _: 20, self._commission),
        }

    def answer(
        self, method: str, path: str, query: str, *, headers: Mapping[str, str], address: str
    ) -> Answer:
        """The answer to a request. ``path`` is decoded, ``query`` raw, ``headers`` have lower-case names."""
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            # *"404 … an empty body unless the Accept header includes text/html"*
            page = "text/html" in headers.get("accept", "")
            return _dressed(
                Answer(404, NOT_FOUND_PAGE if page else b"", content_type_of("text/html" if page else ""))
            )
        if method == "OPTIONS":
            return _dressed(Answer(200, b""))
        if method not in ("GET", "HEAD"):
            return _dressed(Answer(405, b"", {"Allow": "GET, HEAD, OPTIONS"}))  # chosen
        sent = parse_qsl(query, keep_blank_values=True)
        weight = endpoint.weight(dict(sent))
        charge = self._exchange.weights.charge(address, weight, self._exchange.wall_ms())
        used = {"x-mbx-used-weight": str(charge.used), "x-mbx-used-weight-1m": str(charge.used)}
        if charge.refusal is not None:
            status, retry_after_s, body = charge.refusal
            return _dressed(
                Answer(status, body, {**content_type_of(JSON), **used, "Retry-After": str(retry_after_s)})
            )
        try:
            known = self._read(sent, endpoint.parameters)
            if isinstance(endpoint, SignedEndpoint):
                now_ms = self._exchange.wall_ms()
                answer = endpoint.answer(known, self._exchange.accounts.signer(query, headers, now_ms))
            else:
                answer = endpoint.answer(known, headers)
        except ApiError as error:
            answer = Answer(error.status, error_body(error.code, error.msg), content_type_of(JSON))
        forms = self._exchange.spoiled.get(path)
        if forms:
            answer = spoiled(answer, forms.popleft(), _ERRORS)
        return _dressed(replace(answer, headers={**answer.headers, **used}))

    def _read(self, sent: Sequence[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
        """What was sent, as far as that can be refused before any value is looked at."""
        return checked(sent, known)

    def _times(self, instrument: Instrument, update_id: int) -> Times | None:
        """What a book's body at an id tells of time; nothing on spot."""
        return None

    def _ping(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        return Answer(200, b"{}", content_type_of(JSON))

    def _time(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        unit = time_unit_of(headers)
        return Answer(200, b'{"serverTime":%d}' % (self._exchange.wall_ms() * unit), content_type_of(JSON))

    def _depth(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        time_unit_of(headers)
        symbol = symbol_of(sent)
        limit = limit_of(sent)
        status = status_of(sent)
        all_read(sent, _DEPTH)
        instrument = self._instrument(symbol)
        if status is not None and status != instrument.listing.status:
            raise ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")
        return self._snapshot(instrument, limit)

    def _snapshot(self, instrument: Instrument, limit: int) -> Answer:
        """The book as it is, unless a fault says otherwise."""
        journal, truth, faults = instrument.journal, self._exchange.truth, self._exchange.faults
        symbol, update_id = instrument.symbol, journal.update_id
        stale = faults.take((Kind.STALE_SNAPSHOT,), symbol)
        if stale is not None:
            update_id = journal.latest_told(max(journal.oldest_id, update_id - stale.ids))
            faults.record(stale, symbol, None, f"{update_id} of {journal.update_id}")
        body = truth.body(
            symbol, update_id, limit, journal.generation, times=self._times(instrument, update_id)
        )
        answer = Answer(200, body, content_type_of(JSON))
        return troubled(answer, faults, symbol, number=update_id, errors=_ERRORS)

    def _book_ticker(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        time_unit_of(headers)
        symbols, status = symbol_or_symbols(sent), status_of(sent)
        either(sent)
        all_read(sent, _TICKER)
        if "symbol" in sent:
            instrument = self._instrument(symbols[0])
            if status not in (None, instrument.listing.status):
                raise ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")
            return Answer(200, compact(self._top(instrument)), content_type_of(JSON))
        once_each(symbols)
        instruments: list[Instrument] = list(self._exchange.instruments.values())
        if "symbols" in sent:
            instruments = [self._instrument(symbol) for symbol in symbols]  # chosen: in the order asked for
        tops = [self._top(each) for each in instruments if status in (None, each.listing.status)]
        return Answer(200, compact(tops), content_type_of(JSON))

    def _top(self, instrument: Instrument) -> dict[str, str]:
        """*"Best price/qty on the order book"*; a side without orders was seen to be zeros."""
        journal = instrument.journal
        body = self._exchange.truth.body(instrument.symbol, journal.update_id, 1, journal.generation)
        book = json.loads(body)
        scale = instrument.listing.scale
        none = ["0." + "0" * scale.price_digits, "0." + "0" * scale.quantity_digits]
        (bid, ask) = (side[0] if side else none for side in (book["bids"], book["asks"]))
        return {
            "symbol": instrument.symbol,
            "bidPrice": bid[0],
            "bidQty": bid[1],
            "askPrice": ask[0],
            "askQty": ask[1],
        }

    def _exchange_info(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        unit = time_unit_of(headers)
        show_sets = boolean_of(sent, "showPermissionSets", default=True)
        body = {
            "timezone": "UTC",
            "serverTime": self._exchange.wall_ms() * unit,
            "rateLimits": [
                rate_limit("REQUEST_WEIGHT", "MINUTE", 1, self._exchange.weights.limit),
                rate_limit("ORDERS", "SECOND", 10, 100),
                rate_limit("ORDERS", "DAY", 1, 200_000),
                rate_limit("RAW_REQUESTS", "MINUTE", 5, 300_000),
            ],
            "exchangeFilters": [],
            "symbols": [listing.info(permission_sets=show_sets) for listing in self._chosen(sent)],
        }
        return Answer(200, compact(body), content_type_of(JSON))

    def _system_status(self, sent: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        status = (1, "system_maintenance") if self._exchange.maintenance else (0, "normal")
        return Answer(200, compact({"status": status[0], "msg": status[1]}), content_type_of(JSON))

    def _account(self, sent: Mapping[str, str], account: Account) -> Answer:
        omit = boolean_of(sent, "omitZeroBalances", default=False)
        all_read(sent, _ACCOUNT)
        return Answer(200, compact(account.info(omit_zero_balances=omit)), content_type_of(JSON))

    def _commission(self, sent: Mapping[str, str], account: Account) -> Answer:
        symbol = symbol_of(sent)
        all_read(sent, _COMMISSION)
        self._instrument(symbol)
        return Answer(200, compact(account.commission(symbol)), content_type_of(JSON))

    def _chosen(self, sent: Mapping[str, str]) -> Sequence[Listing]:
        symbols, permissions, status = symbol_or_symbols(sent), permissions_of(sent), status_of(sent)
        either(sent)
        named = "symbol" in sent or "symbols" in sent
        if named and ("permissions" in sent or "symbolStatus" in sent):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        all_read(sent, _EXCHANGE_INFO)
        once_each(symbols)
        if named:
            return [self._instrument(symbol).listing for symbol in symbols]
        return [
            listing
            for listing in (instrument.listing for instrument in self._exchange.instruments.values())
            if not permissions.isdisjoint(listing.permissions) and status in (None, listing.status)
        ]

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._exchange.instruments.get(symbol)
        if instrument is None:
            raise ApiError(-1121, "Invalid symbol.")
        return instrument


def depth_weight(sent: Mapping[str, str]) -> int:
    """*"1-100: 5, 101-500: 25, 501-1000: 50, 1001-5000: 250"*; a limit that is none costs as the default.

    >>> [depth_weight({"limit": limit}) for limit in ("100", "101", "1000", "9999", "x")]
    [5, 25, 50, 250, 5]
    """
    text = sent.get("limit", "")
    limit = int(text) if LIMIT.fullmatch(text) else DEFAULT_LIMIT
    if limit <= 100:
        return 5
    if limit <= 500:
        return 25
    return 50 if limit <= 1000 else 250


def _one(_: Mapping[str, str]) -> int:
    return 1


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def rate_limit(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


def content_type_of(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type} if content_type else {}


def _dressed(answer: Answer) -> Answer:
    return replace(answer, headers={**_COMMON_HEADERS, **answer.headers})


def _error(status: int, code: int, msg: str) -> Answer:
    return Answer(status, error_body(code, msg), content_type_of(JSON))


_ERRORS: Final = {
    "500": _error(500, -1000, "An unknown error occurred while processing the request."),
    "503": _error(
        503,
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
    ),
}
