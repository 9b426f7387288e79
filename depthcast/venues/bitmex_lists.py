"""BitMEX's instruments: how their list is written, and which members count. Pure.

``GET /api/v1/instrument/active`` answers a list of some hundred instruments of about a hundred members each,
of which half move with the market: prices, volumes, open interest, funding, the hours of the session. A list
of them would be news at every look. So what is kept is the list without :data:`VOLATILE`, and every other
member counts: ``state``, ``typ``, ``tickSize``, ``lotSize``, ``maxOrderQty``, ``expiry``, ``settle``,
``settlCurrency``, ``multiplier``, margins, ``riskLimit``, ``makerFee``, ``takerFee``, …; and one that is new,
for a rule that is not known yet is news. Members are those of the API explorer's ``Instrument`` and of
answers recorded in 2021 and 2024.

``GET /api/v1`` tells the time.

In the exchange's place ``/api/v1/instrument/active`` is answered with that list, and ``/api/v1/instrument``
with those of it that are asked for: it has no instrument that is not active. ``symbol``, ``filter``,
``columns``, ``count``, ``start`` and ``reverse`` are as documented; times are passed over, and a bare series
(``XBT``) has no instrument.
"""

import re
from collections.abc import Mapping, Set
from typing import Any, Final, NamedTuple

import orjson

from depthcast.errors import MalformedAnswer
from depthcast.metadata.document import read_json, write_json
from depthcast.symbol_list import Layout, Parts
from depthcast.venues.bitmex_rest import BitmexError
from depthcast.venues.requests import ApiError, decode
from depthcast.venues.shown import Shown, size_of, text_of

LIST_PATH: Final = "/api/v1/instrument/active"
TIME_PATH: Final = "/api/v1"

_PRICES: Final = (
    "prevClosePrice",
    "limitDownPrice",
    "limitUpPrice",
    "bankruptLimitDownPrice",
    "bankruptLimitUpPrice",
    "prevPrice24h",
    "vwap",
    "highPrice",
    "lowPrice",
    "lastPrice",
    "lastPriceProtected",
    "lastTickDirection",
    "lastChangePcnt",
    "bidPrice",
    "midPrice",
    "askPrice",
    "impactBidPrice",
    "impactMidPrice",
    "impactAskPrice",
    "hasLiquidity",
    "fairBasisRate",
    "fairBasis",
    "fairPrice",
    "markPrice",
    "indicativeTaxRate",
    "indicativeSettlePrice",
    "optionUnderlyingPrice",
)
_VOLUMES: Final = (
    "prevTotalVolume",
    "totalVolume",
    "volume",
    "volume24h",
    "prevTotalTurnover",
    "totalTurnover",
    "turnover",
    "turnover24h",
    "homeNotional24h",
    "foreignNotional24h",
    "openInterest",
    "openValue",
)
_FUNDING: Final = (
    "fundingTimestamp",
    "fundingRate",
    "indicativeFundingRate",
    "fundingBaseRate",
    "fundingQuoteRate",
    "rebalanceTimestamp",
)
_HOURS: Final = ("openingTimestamp", "closingTimestamp", "timestamp")
_CONVERSIONS: Final = ("quoteToSettleMultiplier",)
"""Of a quanto contract it is the price of its quote currency in the currency that it settles in."""

VOLATILE: Final = frozenset((*_PRICES, *_VOLUMES, *_FUNDING, *_HOURS, *_CONVERSIONS))
"""What moves with the market."""

LAYOUT: Final = Layout(bare=True, status="state", timed=False, volatile=VOLATILE)

_LATEST_MS: Final = 10**13
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_NUMBERS: Final = {"count": (1, 500, 100), "start": (0, 10**9, 0)}
"""The least, the most and the default of those parameters that are numbers."""


def parse_time(body: bytes) -> int:
    """``{"name":"BitMEX API","version":"2.0.0","timestamp":1732027140137}``.

    Raises :class:`~depthcast.errors.MalformedAnswer`.

    >>> parse_time(b'{"name":"BitMEX API","version":"2.0.0","timestamp":1732027140137}')
    1732027140137
    """
    try:
        time_ms = orjson.loads(body)["timestamp"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise MalformedAnswer(TIME_PATH, "no timestamp in it") from None
    if isinstance(time_ms, bool) or not isinstance(time_ms, int) or not 0 < time_ms < _LATEST_MS:
        raise MalformedAnswer(TIME_PATH, "its timestamp is no time in milliseconds")
    return time_ms


class InstrumentRequest(NamedTuple):
    """A request for instruments: of one symbol or of all, those that have these values, these members of
    each, and which part of them. ``most`` ``None``: the list as it stands."""

    symbol: str | None = None
    having: tuple[tuple[str, bytes], ...] = ()
    columns: tuple[str, ...] = ()
    start: int = 0
    most: int | None = None
    reverse: bool = False


def parse_active(query: bytes) -> InstrumentRequest:
    """The request of ``GET /api/v1/instrument/active``: it takes no parameters, others are passed over."""
    return InstrumentRequest()


def parse_instrument(query: bytes) -> InstrumentRequest | ApiError:
    """The request of ``GET /api/v1/instrument``, or its refusal.

    >>> parse_instrument(b"symbol=XBTUSD").symbol, parse_instrument(b"").most
    ('XBTUSD', 100)
    >>> parse_instrument(b"count=many").msg
    "'count' must be an integer from 1 to 500."
    """
    sent: dict[str, str] = {}
    for part in query.split(b"&"):
        raw, _, value = part.partition(b"=")
        sent[decode(raw)] = decode(value)
    numbers: dict[str, int] = {}
    for name, (least, most, default) in _NUMBERS.items():
        text = sent.get(name) or str(default)
        if _NUMBER.fullmatch(text) is None or not least <= int(text) <= most:
            return _bad_number(name, least, most)
        numbers[name] = int(text)
    if sent.get("reverse", "") not in ("", "true", "false"):
        return _bad("'reverse' must be a boolean.")
    try:
        having = _having(sent.get("filter", ""))
        columns = _columns(sent.get("columns", ""))
    except ValueError as error:
        return _bad(str(error))
    symbol = sent.get("symbol") or None
    start, most = numbers["start"], numbers["count"]
    return InstrumentRequest(symbol, having, columns, start, most, sent.get("reverse") == "true")


def select(parts: Parts, request: InstrumentRequest) -> bytes | ApiError:
    """What of the list answers a request."""
    if request.most is None:
        return parts.whole
    if request.symbol is None:
        entries = list(parts.entries.values())
    else:
        entries = [parts.entries[request.symbol]] if request.symbol in parts.entries else []
    for name, value in request.having:
        entries = [each for each in entries if _member(each.body, name) == value]
    if request.reverse:
        entries.reverse()
    entries = entries[request.start : request.start + request.most]
    if request.columns:
        wanted = {*request.columns, "symbol"}
        entries = [each._replace(body=_only(each.body, wanted)) for each in entries]
    return parts.only(entries)


def worded(refusal: ApiError) -> ApiError:
    """A refusal of ours in BitMEX's form.

    >>> worded(ApiError(400, -1100, "No.")).body()
    b'{"error":{"message":"No.","name":"HTTPError"}}'
    """
    return BitmexError(refusal.status, refusal.status, refusal.msg)


def _bad(text: str) -> ApiError:
    return BitmexError(400, 400, text)


def _bad_number(name: str, least: int, most: int) -> ApiError:
    return _bad(f"'{name}' must be an integer from {least} to {most}.")


BAD_COUNT: Final = _bad_number("count", 1, 500)


def _having(text: str) -> tuple[tuple[str, bytes], ...]:
    """*"Generic table filter. Send JSON key/value pairs, such as {"key": "value"}."*"""
    if not text:
        return ()
    try:
        told = read_json(text.encode())
    except ValueError:
        told = None
    if not isinstance(told, dict) or any(isinstance(value, dict | list) for value in told.values()):
        raise ValueError("'filter' must be a JSON object of plain values.")
    return tuple((name, write_json(value)) for name, value in told.items())


def _columns(text: str) -> tuple[str, ...]:
    """*"Array of column names to fetch"*, as JSON or with commas between them."""
    if not text.startswith("["):
        return tuple(name for name in text.split(",") if name)
    try:
        told = read_json(text.encode())
    except ValueError:
        told = None
    if not isinstance(told, list) or not all(isinstance(name, str) for name in told):
        raise ValueError("'columns' must be an array of names.")
    return tuple(told)


def _member(body: bytes, name: str) -> bytes:
    return write_json(read_json(body).get(name))


def _only(body: bytes, names: Set[str]) -> bytes:
    return write_json({name: value for name, value in read_json(body).items() if name in names})


def row(entry: Mapping[str, Any]) -> Shown:
    """An instrument; its note is its type, its currency and when it expires. Quantities are contracts.

    >>> row({"symbol": "XBTZ26", "state": "Open", "typ": "FFCCSX", "settlCurrency": "XBt", "lotSize": 100,
    ...      "expiry": "2026-12-25T12:00:00.000Z"}).note
    'FFCCSX XBt until 2026-12-25'
    """
    expiry = text_of(entry, "expiry")[:10]
    note = (text_of(entry, "typ"), text_of(entry, "settlCurrency"), f"until {expiry}" if expiry else "")
    return Shown(
        text_of(entry, "symbol"),
        text_of(entry, "state"),
        " ".join(filter(None, note)),
        size_of(entry, "tickSize"),
        size_of(entry, "minPrice"),
        size_of(entry, "maxPrice"),
        size_of(entry, "lotSize"),
        size_of(entry, "lotSize"),
        size_of(entry, "maxOrderQty"),
        None,
    )
